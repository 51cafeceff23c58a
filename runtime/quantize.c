#include "runtime/quantize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool retc_quantized_find(const retc_checkpoint *checkpoint, const char *name, retc_quantized *out_quantized) {
  static const struct {
    const char *suffix;
    int bits;
    bool is_scale;
  } kinds[] = {{".int8", 8, false}, {".int8.scale", 8, true}, {".int4", 4, false}, {".int4.scale", 4, true}};
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    size_t tail = strlen(kinds[i].suffix);
    if (length <= tail || strcmp(name + length - tail, kinds[i].suffix) != 0) continue;
    char *base = strndup(name, length - tail);
    const retc_stored_tensor *tensor = base ? retc_checkpoint_find(checkpoint, base) : NULL;
    free(base);
    *out_quantized = (retc_quantized){tensor, kinds[i].bits, kinds[i].is_scale};
    return tensor && tensor->rank == 2;
  }
  return false;
}

int64_t retc_quantized_group(int64_t columns, int64_t groups) {
  for (int64_t group = 64; group >= 16; group /= 2) {
    if (retc_group_count(columns, group) == groups) return group;
  }
  return 0;
}

/* To nearest even, for |x| < 2^22. */
static inline float nearest(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

static inline __attribute__((always_inline)) void make_codes(const float *x, int64_t count, float scale, float low,
                                                             float high, float *codes) {
  float inverse = scale != 0 ? 1 / scale : 0;
  for (int64_t i = 0; i < count; i++) {
    float code = nearest(x[i] * inverse);
    code = code < low ? low : code;
    codes[i] = code > high ? high : code;
  }
}

/* Sums in 16 strided parts, as compilers can keep them in lanes. */
enum { PARTS = 16, GROUP_MAX = 64 };

static inline __attribute__((always_inline)) float sum_up(const float *parts) {
  float sum = 0;
  for (int i = 0; i < PARTS; i++) sum += parts[i];
  return sum;
}

static inline __attribute__((always_inline)) float measure(const float *x, const float *codes, float scale) {
  float parts[PARTS] = {0};
  for (int64_t i = 0; i < GROUP_MAX; i += PARTS) {
    for (int64_t k = 0; k < PARTS; k++) {
      float error = x[i + k] - scale * codes[i + k];
      parts[k] += error * error;
    }
  }
  return sum_up(parts);
}

/* The scale that is best for these codes. */
static inline __attribute__((always_inline)) float fit(const float *x, const float *codes, float fallback) {
  float products[PARTS] = {0}, squares[PARTS] = {0};
  for (int64_t i = 0; i < GROUP_MAX; i += PARTS) {
    for (int64_t k = 0; k < PARTS; k++) {
      products[k] += x[i + k] * codes[i + k];
      squares[k] += codes[i + k] * codes[i + k];
    }
  }
  float square = sum_up(squares);
  return square > 0 ? sum_up(products) / square : fallback;
}

/* The number furthest from 0 becomes code `edge` +- some steps: its sign chooses the side that has one code more. */
static inline __attribute__((always_inline)) void quantize_group(int bits, const float *x, int8_t *codes, int64_t count,
                                                                 uint16_t *out_scale) {
  const float low = bits == 4 ? -8 : -127, high = bits == 4 ? 7 : 127, edge = bits == 4 ? 8 : 127;
  const int tries = bits == 4 ? 14 : 3;
  const float step = bits == 4 ? 0.25f : 0.5f;
  float extreme = 0, best_error = INFINITY, made[GROUP_MAX];
  for (int64_t i = 0; i < count; i++) extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
  uint16_t best = 0;
  for (int t = 0; t < tries; t++) {
    float scale = -extreme / (edge + step * (float)(t - (bits == 4 ? 9 : 0)));
    make_codes(x, GROUP_MAX, scale, low, high, made);
    uint16_t rounded = retc_f32_to_f16(fit(x, made, scale));
    scale = retc_f16_to_f32(rounded);
    make_codes(x, GROUP_MAX, scale, low, high, made);
    float error = measure(x, made, scale);
    if (!(error < best_error)) continue;
    best_error = error;
    best = rounded;
  }
  make_codes(x, GROUP_MAX, retc_f16_to_f32(best), low, high, made);
  for (int64_t i = 0; i < count; i++) codes[i] = (int8_t)made[i];
  *out_scale = best;
}

static inline __attribute__((always_inline)) void quantize_rows(int bits, int64_t group, const float *source,
                                                                int64_t rows, int64_t columns, int8_t *codes,
                                                                uint16_t *scales) {
  int64_t groups = retc_group_count(columns, group);
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t g = 0; g < groups; g++) {
      int64_t first = row * columns + g * group, count = columns - g * group < group ? columns - g * group : group;
      float x[GROUP_MAX] = {0}; /* what a group lacks is 0 and becomes code 0 */
      memcpy(x, source + first, (size_t)count * sizeof *x);
      quantize_group(bits, x, codes + first, count, &scales[row * groups + g]);
    }
  }
}

/* The same operations in the same order, with the vectors that the machine has. */
static void quantize_anywhere(int bits, int64_t group, const float *source, int64_t rows, int64_t columns,
                              int8_t *codes, uint16_t *scales) {
  if (bits == 4) quantize_rows(4, group, source, rows, columns, codes, scales);
  else quantize_rows(8, group, source, rows, columns, codes, scales);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void quantize_fast(int bits, int64_t group, const float *source, int64_t rows,
                                                          int64_t columns, int8_t *codes, uint16_t *scales) {
  if (bits == 4) quantize_rows(4, group, source, rows, columns, codes, scales);
  else quantize_rows(8, group, source, rows, columns, codes, scales);
}
static bool is_fast(void) { return __builtin_cpu_supports("avx2"); }
#else
static void quantize_fast(int bits, int64_t group, const float *source, int64_t rows, int64_t columns, int8_t *codes,
                          uint16_t *scales) {
  quantize_anywhere(bits, group, source, rows, columns, codes, scales);
}
static bool is_fast(void) { return false; }
#endif

void retc_quantize(int bits, int64_t group, const float *source, int64_t rows, int64_t columns, int8_t *codes,
                   uint16_t *scales) {
  if (is_fast()) quantize_fast(bits, group, source, rows, columns, codes, scales);
  else quantize_anywhere(bits, group, source, rows, columns, codes, scales);
}
