#include "runtime/random_numbers.h"

#include <string.h>

/* Numbers that one hash gives, 16 bits each. */
enum { PER_HASH = 4, PIECE = 1024 };

/* splitmix64's finaliser */
static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t retc_random_key(uint64_t seed, const char *name) {
  uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a */
  for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t)*c) * 0x100000001B3u;
  return mix(hash + mix(seed + 0x9E3779B97F4A7C15u));
}

static float number_at(const retc_random_numbers *numbers, int64_t index) {
  uint64_t hash = mix(numbers->key + (uint64_t)(index / PER_HASH) * 0x9E3779B97F4A7C15u);
  int bits = (int)(hash >> (16 * (index % PER_HASH)) & 0xFFFF);
  /* Odd numbers, so that no weight is zero. */
  return numbers->mean + numbers->spread * ((float)(2 * bits - 0xFFFF) * 0x1p-16f);
}

void retc_random_fill(const retc_random_numbers *numbers, retc_dtype dtype, int64_t first, int64_t count,
                      void *target) {
  float piece[PIECE];
  for (int64_t done = 0; done < count; done += PIECE) {
    int64_t length = count - done < PIECE ? count - done : PIECE;
    char *out = (char *)target + (size_t)done * retc_dtype_size(dtype);
    for (int64_t i = 0; i < length; i++) piece[i] = number_at(numbers, first + done + i);
    if (dtype != RETC_DTYPE_BF16) {
      retc_dtype_convert(RETC_DTYPE_F32, piece, dtype, out, (size_t)length);
      continue;
    }
    for (int64_t i = 0; i < length; i++) {
      uint16_t bits = retc_f32_to_bf16(piece[i]);
      memcpy(out + (size_t)i * sizeof bits, &bits, sizeof bits);
    }
  }
}

const void *retc_stored_tensor_read(const retc_stored_tensor *tensor, int64_t first, int64_t count, void *buffer) {
  if (tensor->data) return (const char *)tensor->data + (size_t)first * retc_dtype_size(tensor->dtype);
  retc_random_fill(&tensor->random, tensor->dtype, first, count, buffer);
  return buffer;
}

void retc_stored_tensor_convert(const retc_stored_tensor *tensor, retc_dtype dtype, void *target) {
  _Alignas(8) char buffer[PIECE * 8];
  if (tensor->data) {
    retc_dtype_convert(tensor->dtype, tensor->data, dtype, target, (size_t)tensor->count);
    return;
  }
  for (int64_t first = 0; first < tensor->count; first += PIECE) {
    int64_t count = tensor->count - first < PIECE ? tensor->count - first : PIECE;
    const void *source = retc_stored_tensor_read(tensor, first, count, buffer);
    retc_dtype_convert(tensor->dtype, source, dtype, (char *)target + (size_t)first * retc_dtype_size(dtype),
                       (size_t)count);
  }
}
