#include "compiler/main/bench/bench_probes.h"

#include <string.h>

#include "runtime/tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What comes out of a probe is kept, so that the compiler cannot leave the probe out; what goes in, it cannot know. */
static volatile float sink, one = 1, small = 0x1p-20f;
static volatile int integer_sink, ones = 0x01010101;

typedef float four_floats __attribute__((vector_size(16)));

enum { PLAIN_SUMS = 8 };

/* For a CPU that this file has no better instruction for. */
static double multiply_add(const retc_probe_part *part) {
  four_floats sums[PLAIN_SUMS], a, b;
  for (int l = 0; l < 4; l++) a[l] = one - small, b[l] = small;
  for (int i = 0; i < PLAIN_SUMS; i++) sums[i] = b;
  for (int64_t r = 0; r < part->rounds; r++) {
#pragma GCC unroll 8
    for (int i = 0; i < PLAIN_SUMS; i++) sums[i] = sums[i] * a + b;
  }
  for (int i = 1; i < PLAIN_SUMS; i++) sums[0] += sums[i];
  sink = sums[0][0];
  return 2.0 * 4 * PLAIN_SUMS * (double)part->rounds;
}

/* A probe that reads: `step` bytes a turn in vectors of `type`. */
#define READ_PROBE(name, type, attributes, load, add, lowest, distance) \
  attributes static double name(const retc_probe_part *part) { \
    type sums[4]; \
    memset(sums, 0, sizeof sums); \
    for (int64_t at = 0; at < part->bytes; at += 4 * (int64_t)sizeof(type)) { \
      const char *from = part->memory + at; \
      if (distance) { \
        for (size_t line = 0; line < 4 * sizeof(type); line += 64) __builtin_prefetch(from + distance + line); \
      } \
      for (int i = 0; i < 4; i++) sums[i] = add(sums[i], load((const void *)(from + i * (int)sizeof(type)))); \
    } \
    integer_sink = lowest(add(add(sums[0], sums[1]), add(sums[2], sums[3]))); \
    return (double)part->bytes; \
  }

typedef int four_integers __attribute__((vector_size(16)));
static four_integers load_plain(const void *from) { return *(const four_integers *)from; }
static four_integers add_plain(four_integers a, four_integers b) { return a + b; }
static int lowest_plain(four_integers a) { return a[0]; }
READ_PROBE(read_2048, four_integers, , load_plain, add_plain, lowest_plain, 2048)

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f")))

/* A probe that computes: enough independent sums to fill the pipes, few enough for the registers. */
#define SUM_PROBE(name, attributes, type, count, first, left, right, step, add, keep, operations) \
  attributes static double name(const retc_probe_part *part) { \
    type sums[count]; \
    const type a = left, b = right; \
    for (int i = 0; i < count; i++) sums[i] = first; \
    for (int64_t r = 0; r < part->rounds; r++) { \
      _Pragma("GCC unroll 24") for (int i = 0; i < count; i++) sums[i] = step; \
    } \
    for (int i = 1; i < count; i++) sums[0] = add(sums[0], sums[i]); \
    keep; \
    return (double)operations * count * (double)part->rounds; \
  }

SUM_PROBE(fma_avx512, AVX512, __m512, 24, _mm512_set1_ps(small), _mm512_set1_ps(one - small), _mm512_set1_ps(small),
          _mm512_fmadd_ps(sums[i], a, b), _mm512_add_ps, sink = _mm512_cvtss_f32(sums[0]), 2 * 16)
SUM_PROBE(fma_avx2, AVX2, __m256, 12, _mm256_set1_ps(small), _mm256_set1_ps(one - small), _mm256_set1_ps(small),
          _mm256_fmadd_ps(sums[i], a, b), _mm256_add_ps, sink = _mm256_cvtss_f32(sums[0]), 2 * 8)
SUM_PROBE(dot_int8_avx512, __attribute__((target("avx512f,avx512vnni"))), __m512i, 24, _mm512_setzero_si512(),
          _mm512_set1_epi32(ones), _mm512_set1_epi32(ones), _mm512_dpbusd_epi32(sums[i], a, b), _mm512_add_epi32,
          integer_sink = _mm512_cvtsi512_si32(sums[0]), 2 * 64)
SUM_PROBE(dot_int8_avx2, __attribute__((target("avx2,avxvnni"))), __m256i, 12, _mm256_setzero_si256(),
          _mm256_set1_epi32(ones), _mm256_set1_epi32(ones), _mm256_dpbusd_avx_epi32(sums[i], a, b), _mm256_add_epi32,
          integer_sink = _mm256_cvtsi256_si32(sums[0]), 2 * 32)

__attribute__((target("avx512f,avx512bf16"))) static double dot_bf16_avx512(const retc_probe_part *part) {
  enum { SUMS = 24 };
  __m512 sums[SUMS];
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(one), _mm512_set1_ps(one));
  const __m512bh b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(small), _mm512_set1_ps(small));
  for (int i = 0; i < SUMS; i++) sums[i] = _mm512_set1_ps(small);
  for (int64_t r = 0; r < part->rounds; r++) {
#pragma GCC unroll 24
    for (int i = 0; i < SUMS; i++) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
  }
  for (int i = 1; i < SUMS; i++) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  sink = _mm512_cvtss_f32(sums[0]);
  return 2.0 * 32 * SUMS * (double)part->rounds;
}

/* Sizes of tiles, as the instruction reads them. */
typedef struct tile_sizes {
  uint8_t palette, start, none[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_sizes;

/* Two by two tiles of sums; what is multiplied stays in its tiles. */
#define TILE_PROBE(name, feature, product, depth) \
  __attribute__((target("amx-tile," feature))) static double name(const retc_probe_part *part) { \
    enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 }; \
    tile_sizes sizes = {.palette = 1}; \
    int32_t sums[ROWS][ROW_BYTES / 4]; \
    for (int i = 0; i < TILES; i++) sizes.row_bytes[i] = ROW_BYTES, sizes.rows[i] = ROWS; \
    /* The compiler believes that only the first bytes are read. */ \
    __asm__ volatile("" : : "r"(&sizes) : "memory"); \
    _tile_loadconfig(&sizes); /* and all tiles are zero */ \
    for (int64_t r = 0; r < part->rounds; r++) { \
      product(0, 4, 6); \
      product(1, 4, 7); \
      product(2, 5, 6); \
      product(3, 5, 7); \
    } \
    _tile_stored(0, sums, ROW_BYTES); \
    _tile_release(); \
    integer_sink = sums[0][0]; \
    return 2.0 * 4 * ROWS * (ROW_BYTES / 4) * depth * (double)part->rounds; \
  }
TILE_PROBE(tile_bf16, "amx-bf16", _tile_dpbf16ps, 32)
TILE_PROBE(tile_int8, "amx-int8", _tile_dpbsud, 64)

READ_PROBE(read_avx512_0, __m512i, AVX512, _mm512_load_si512, _mm512_add_epi32, _mm512_cvtsi512_si32, 0)
READ_PROBE(read_avx512_1024, __m512i, AVX512, _mm512_load_si512, _mm512_add_epi32, _mm512_cvtsi512_si32, 1024)
READ_PROBE(read_avx512_2048, __m512i, AVX512, _mm512_load_si512, _mm512_add_epi32, _mm512_cvtsi512_si32, 2048)
READ_PROBE(read_avx512_4096, __m512i, AVX512, _mm512_load_si512, _mm512_add_epi32, _mm512_cvtsi512_si32, 4096)
READ_PROBE(read_avx2_2048, __m256i, AVX2, _mm256_load_si256, _mm256_add_epi32, _mm256_cvtsi256_si32, 2048)

/* Two streams side by side, as products of one row read their panels. */
AVX512 static double read_avx512_two(const retc_probe_part *part) {
  enum { STREAM = 128 << 10, DISTANCE = 1024, STEP = 128 };
  __m512i sums[4] = {0};
  int64_t done = 0;
  for (; done + 2 * STREAM <= part->bytes; done += 2 * STREAM) {
    const char *from[2] = {part->memory + done, part->memory + done + STREAM};
    for (int64_t at = 0; at < STREAM; at += STEP) {
#pragma GCC unroll 2
      for (int stream = 0; stream < 2; stream++) {
        const char *line = from[stream] + at;
        __builtin_prefetch(line + DISTANCE);
        __builtin_prefetch(line + DISTANCE + 64);
        sums[2 * stream] = _mm512_add_epi32(sums[2 * stream], _mm512_load_si512(line));
        sums[2 * stream + 1] = _mm512_add_epi32(sums[2 * stream + 1], _mm512_load_si512(line + 64));
      }
    }
  }
  integer_sink = _mm512_cvtsi512_si32(
      _mm512_add_epi32(_mm512_add_epi32(sums[0], sums[1]), _mm512_add_epi32(sums[2], sums[3])));
  return (double)done;
}
#endif

bool retc_probe_at(size_t index, retc_probe *out_probe) {
  size_t found = 0;
#define RETC_PROBE(row_kind, row_name, test, function) \
  if ((test) && found++ == index) { \
    *out_probe = (retc_probe){.kind = row_kind, .name = row_name, .run = function}; \
    return true; \
  }
#include "compiler/main/bench/bench_probes.def"
#undef RETC_PROBE
  return false;
}
