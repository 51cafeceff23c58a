/* Wave operations with AMD's lane layouts, written from the published instruction set documents. A is rows x depth, B
 * depth x columns, C and D rows x columns; element e of a lane is the e-th of its vector operand. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "emulator.h"
#include "fragments.h"

enum { SIDE = 16 };

/* Where element e of a lane's operand lies. `along` is the row of A or the column of B, `inner` the depth. */
typedef struct place {
  int along, inner;
} place;

typedef struct layout {
  int lanes, depth, operand_elements, result_elements;
  place (*operand)(int lane, int element);
  place (*result)(int lane, int element); /* along: row, inner: column */
  int copies;                             /* lanes of this distance hold the same operands; 0: none do */
} layout;

static place cdna_operand(int lane, int element) { return (place){lane % SIDE, 4 * (lane / SIDE) + element}; }
static place cdna_single(int lane, int element) { return (place){lane % SIDE, lane / SIDE + element}; }
static place cdna_result(int lane, int element) { return (place){4 * (lane / SIDE) + element, lane % SIDE}; }
static place rdna3_operand(int lane, int element) { return (place){lane % SIDE, element}; }
static place rdna3_result(int lane, int element) { return (place){2 * element + lane / SIDE, lane % SIDE}; }
static place rdna4_operand(int lane, int element) {
  return (place){lane % SIDE, 8 * (element / 4) + 4 * (lane / SIDE) + element % 4};
}
static place rdna4_result(int lane, int element) { return (place){element + 8 * (lane / SIDE), lane % SIDE}; }

static const layout cdna_half = {64, 16, 4, 4, cdna_operand, cdna_result, 0};
static const layout cdna_f32 = {64, 4, 1, 4, cdna_single, cdna_result, 0};
static const layout rdna3_half = {32, 16, 16, 8, rdna3_operand, rdna3_result, SIDE};
static const layout rdna4_half = {32, 16, 8, 8, rdna4_operand, rdna4_result, 0};

/* ---- element types ---- */

static float widen_bf16(const void *element) {
  uint16_t bits;
  memcpy(&bits, element, sizeof bits);
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

static float widen_f16(const void *element) {
  uint16_t bits;
  memcpy(&bits, element, sizeof bits);
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float value = exponent == 31 ? (fraction ? NAN : INFINITY)
                               : ldexpf((float)(fraction + (exponent ? 1024 : 0)), (exponent ? exponent : 1) - 25);
  return bits & 0x8000 ? -value : value;
}

static float widen_f32(const void *element) {
  float value;
  memcpy(&value, element, sizeof value);
  return value;
}

/* ---- products ---- */

typedef struct element_type {
  size_t size;
  float (*widen)(const void *element);
} element_type;
static const element_type bf16 = {2, widen_bf16}, f16 = {2, widen_f16}, f32 = {4, widen_f32};

static const char *check_copies(const emulator_wave *wave, const layout *shape, size_t bytes) {
  for (int lane = 0; shape->copies && lane < shape->copies; lane++) {
    if (memcmp(wave->in[lane], wave->in[lane + shape->copies], 2 * bytes) == 0) continue;
    return "the operands of lanes 0-15 and 16-31 differ; this instruction wants them twice";
  }
  return NULL;
}

#if defined(__x86_64__)
#define FAST __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define FAST
#endif

/* As the instructions on f32 do it (Xie et al., "MMA-Sim", arXiv 2511.10909): one fma after another. */
FAST static void multiply_in_order(float a[SIDE][SIDE], float b[SIDE][SIDE], int depth, float d[SIDE][SIDE]) {
  for (int row = 0; row < SIDE; row++) {
    for (int inner = 0; inner < depth; inner++) {
      for (int column = 0; column < SIDE; column++)
        d[row][column] = fmaf(a[row][inner], b[inner][column], d[row][column]);
    }
  }
}

/* Those on halves add several exact products at once, how many differs from card to card: here all, rounded once. */
FAST static void multiply_at_once(float a[SIDE][SIDE], float b[SIDE][SIDE], int depth, float d[SIDE][SIDE]) {
  for (int row = 0; row < SIDE; row++) {
    double sum[SIDE];
    for (int column = 0; column < SIDE; column++) sum[column] = d[row][column];
    for (int inner = 0; inner < depth; inner++) {
      for (int column = 0; column < SIDE; column++)
        sum[column] = fma(a[row][inner], b[inner][column], sum[column]);
    }
    for (int column = 0; column < SIDE; column++) d[row][column] = (float)sum[column];
  }
}

/* D = A B + C. In: A's elements, B's, then C's (f32). */
static const char *product(const emulator_wave *wave, const layout *shape, element_type type) {
  float a[SIDE][SIDE], b[SIDE][SIDE], d[SIDE][SIDE];
  const size_t bytes = type.size * (size_t)shape->operand_elements;
  if (wave->size != shape->lanes) return "a matrix instruction of the other wave size";
  for (int lane = 0; lane < wave->size; lane++) {
    if (!wave->in[lane]) return "a lane has ended before a matrix instruction";
  }
  const char *problem = check_copies(wave, shape, bytes);
  if (problem) return problem;
  for (int lane = 0; lane < wave->size; lane++) {
    const char *in = wave->in[lane];
    for (int e = 0; e < shape->operand_elements; e++) {
      const place at = shape->operand(lane, e);
      a[at.along][at.inner] = type.widen(in + type.size * (size_t)e);
      b[at.inner][at.along] = type.widen(in + bytes + type.size * (size_t)e);
    }
    for (int e = 0; e < shape->result_elements; e++) {
      const place at = shape->result(lane, e);
      d[at.along][at.inner] = widen_f32(in + 2 * bytes + sizeof(float) * (size_t)e);
    }
  }
  (type.size == 2 ? multiply_at_once : multiply_in_order)(a, b, shape->depth, d);
  for (int lane = 0; lane < wave->size; lane++) {
    for (int e = 0; e < shape->result_elements; e++) {
      const place at = shape->result(lane, e);
      memcpy((char *)wave->out[lane] + sizeof(float) * (size_t)e, &d[at.along][at.inner], sizeof(float));
    }
  }
  return NULL;
}

#define PRODUCT(name, layout_of, type) \
  const char *emulator_##name(const emulator_wave *wave) { return product(wave, &layout_of, type); }
PRODUCT(mfma_bf16, cdna_half, bf16)
PRODUCT(mfma_f16, cdna_half, f16)
PRODUCT(mfma_f32, cdna_f32, f32)
PRODUCT(wmma_bf16, rdna3_half, bf16)
PRODUCT(wmma_f16, rdna3_half, f16)
PRODUCT(wmma_bf16_gfx12, rdna4_half, bf16)
PRODUCT(wmma_f16_gfx12, rdna4_half, f16)

/* ---- exchange between lanes ---- */

/* In: emulator_exchange. */
const char *emulator_shuffle(const emulator_wave *wave) {
  for (int lane = 0; lane < wave->size; lane++) {
    if (!wave->in[lane]) continue;
    const emulator_exchange *mine = wave->in[lane];
    if (mine->source < 0 || mine->source >= wave->size) return "a shuffle reads a lane that the wave has not";
    const emulator_exchange *from = wave->in[mine->source];
    if (!from) return "a shuffle reads a lane that has ended";
    memcpy(wave->out[lane], &from->value, sizeof from->value);
  }
  return NULL;
}

/* In: emulator_exchange whose value is 0 or 1. Out: a bit a lane. */
const char *emulator_ballot(const emulator_wave *wave) {
  uint64_t bits = 0;
  for (int lane = 0; lane < wave->size; lane++) {
    const emulator_exchange *mine = wave->in[lane];
    if (mine && mine->value) bits |= (uint64_t)1 << lane;
  }
  for (int lane = 0; lane < wave->size; lane++) {
    if (wave->in[lane]) memcpy(wave->out[lane], &bits, sizeof bits);
  }
  return NULL;
}
