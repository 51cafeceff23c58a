#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel_eval_internal.h"

typedef struct product {
  int64_t rows, columns, depth;
  int64_t there; /* rows of a; those behind are like the last one */
  retc_span a, b;
  float *c;   /* [rows, columns] */
  float *row; /* of b, widened: [columns] */
  float *left; /* of a, widened: [rows] */
  double *sums; /* [rows, columns]; NULL where no matrix instructions are meant */
} product;

/* `count` elements, `step` apart, as f32. */
static inline __attribute__((always_inline)) void widen(const retc_span *span, int64_t first, int64_t step,
                                                        int64_t count, float *to) {
  const char *from = span->cell->data + first * span->cell->size;
  switch (span->cell->buffer->dtype) {
    case RETC_DTYPE_F32:
      for (int64_t i = 0; i < count; i++) memcpy(&to[i], from + i * step * 4, 4);
      break;
    case RETC_DTYPE_BF16:
      for (int64_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, from + i * step * 2, 2);
        uint32_t wide = (uint32_t)bits << 16;
        memcpy(&to[i], &wide, 4);
      }
      break;
    default: /* F16 */
      for (int64_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, from + i * step * 2, 2);
        to[i] = retc_f16_to_f32(bits);
      }
  }
}

/* An element's order is that of the depth; which element is next is free. */
static inline __attribute__((always_inline)) void multiply(const product *p) {
  for (int64_t x = 0; x < p->depth; x++) {
    if (p->b.column == 1) widen(&p->b, p->b.first + x * p->b.row, 1, p->columns, p->row);
    else widen(&p->b, p->b.first + x * p->b.row, p->b.column, p->columns, p->row);
    widen(&p->a, p->a.first + x * p->a.column, p->a.row, p->rows, p->left);
    const float *restrict row = p->row;
    for (int64_t i = 0; i < p->rows; i++) {
      float left = p->left[i], *restrict c = p->c + i * p->columns;
      for (int64_t l = 0; l < p->columns; l++) c[l] = fmaf(left, row[l], c[l]);
    }
  }
}

/* As matrix instructions: the products of RETC_FRAGMENT_SIDE of the depth are exact in f64, and so nearly is their sum
 * with what there is, which is rounded once; in which order they are added is hardly ever to be seen. */
static inline __attribute__((always_inline)) void multiply_blocks(const product *p) {
  for (int64_t first = 0; first < p->depth; first += RETC_FRAGMENT_SIDE) {
    const int64_t end = first + RETC_FRAGMENT_SIDE < p->depth ? first + RETC_FRAGMENT_SIDE : p->depth;
    for (int64_t e = 0; e < p->rows * p->columns; e++) p->sums[e] = p->c[e];
    for (int64_t x = first; x < end; x++) {
      widen(&p->b, p->b.first + x * p->b.row, p->b.column, p->columns, p->row);
      widen(&p->a, p->a.first + x * p->a.column, p->a.row, p->there, p->left);
      for (int64_t i = p->there; i < p->rows; i++) p->left[i] = p->left[p->there - 1];
      for (int64_t i = 0; i < p->rows; i++) {
        double left = p->left[i], *restrict sum = p->sums + i * p->columns;
        for (int64_t l = 0; l < p->columns; l++) sum[l] = fma(left, p->row[l], sum[l]);
      }
    }
    for (int64_t e = 0; e < p->rows * p->columns; e++) p->c[e] = (float)p->sums[e];
  }
}

static void multiply_anywhere(const product *p) { p->sums ? multiply_blocks(p) : multiply(p); }

/* fmaf is the same function whether the machine has it or the library does it; the machine is far faster. */
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void multiply_fast(const product *p) {
  p->sums ? multiply_blocks(p) : multiply(p);
}
static bool is_fast(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
static void multiply_fast(const product *p) { multiply_anywhere(p); }
static bool is_fast(void) { return false; }
#endif

static retc_status reserve(retc_interpreter *in, int64_t rows, int64_t columns) {
  if (rows > INT64_MAX / 32 / columns) return retc_interpreter_fail(in, "out of memory");
  int64_t room = 3 * rows * columns + rows + columns;
  if (room <= in->number_room) return RETC_OK;
  float *numbers = realloc(in->numbers, (size_t)room * sizeof *numbers);
  if (!numbers) return retc_interpreter_fail(in, "out of memory for %lld numbers", (long long)room);
  in->numbers = numbers;
  in->number_room = room;
  return RETC_OK;
}

static float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static float bf16_at(const retc_span *span, int64_t element) {
  uint16_t bits;
  memcpy(&bits, span->cell->data + element * span->cell->size, sizeof bits);
  return flushed(retc_bf16_to_f32(bits));
}

/* As the instructions of x86 and Arm do it: the second number of a pair first, subnormal numbers are 0. */
static void multiply_pairs(const product *p) {
  for (int64_t i = 0; i < p->rows; i++) {
    for (int64_t l = 0; l < p->columns; l++) {
      float sum = flushed(p->c[i * p->columns + l]);
      for (int64_t x = 0; x < p->depth; x += 2) {
        for (int64_t half = 1; half >= 0; half--) {
          float left = bf16_at(&p->a, p->a.first + i * p->a.row + (x + half) * p->a.column);
          float right = bf16_at(&p->b, p->b.first + x / 2 * p->b.row + l * p->b.column + half);
          sum = flushed(fmaf(left, right, sum));
        }
      }
      if (p->depth) p->c[i * p->columns + l] = sum;
    }
  }
}

/* Of the depth from x on, the numbers at even places or at odd ones. */
static float tile_chain(const product *p, int64_t i, int64_t l, int64_t x, int64_t odd) {
  float sum = 0;
  for (int64_t at = x + odd; at < x + RETC_TILE_DEPTH; at += 2) {
    float left = bf16_at(&p->a, p->a.first + i * p->a.row + at * p->a.column);
    float right = bf16_at(&p->b, p->b.first + at / 2 * p->b.row + l * p->b.column + odd);
    sum = flushed(fmaf(left, right, sum));
  }
  return sum;
}

static void multiply_tiles(const product *p) {
  for (int64_t i = 0; i < p->rows; i++) {
    for (int64_t l = 0; l < p->columns; l++) {
      float sum = p->c[i * p->columns + l];
      for (int64_t x = 0; x < p->depth; x += RETC_TILE_DEPTH) {
        float own = flushed(tile_chain(p, i, l, x, 0) + tile_chain(p, i, l, x, 1));
        sum = flushed(flushed(sum) + own);
      }
      p->c[i * p->columns + l] = sum;
    }
  }
}

/* Numbers of the depth from x on, `pack` of them, of column l. */
static void unpack(const product *p, int64_t x, int64_t l, int64_t pack, int *out_numbers) {
  const char *at = p->b.cell->data + p->b.first + x / pack * p->b.row + l * p->b.column;
  for (int64_t k = 0; k < pack; k++) {
    uint8_t byte = (uint8_t)at[k % 4];
    out_numbers[k] = pack == 4 ? byte : k < 4 ? byte & 15 : byte >> 4;
  }
}

/* The accumulators are i32; they wrap around as the instructions' do. */
static void multiply_integers(const product *p, int64_t pack) {
  uint32_t *c = (uint32_t *)(void *)p->c;
  for (int64_t l = 0; l < p->columns; l++) {
    for (int64_t x = 0; x < p->depth; x += pack) {
      int right[8];
      unpack(p, x, l, pack, right);
      for (int64_t i = 0; i < p->rows; i++) {
        const char *left = p->a.cell->data + p->a.first + i * p->a.row + x * p->a.column;
        for (int64_t k = 0; k < pack; k++) c[i * p->columns + l] += (uint32_t)((int8_t)left[k] * right[k]);
      }
    }
  }
}

static void move_accumulator(const product *p, const retc_span *c, bool back) {
  for (int64_t i = 0; i < p->rows; i++) {
    for (int64_t l = 0; l < p->columns; l++) {
      char *at = c->cell->data + (c->first + i * c->row + l * c->column) * c->cell->size;
      float *number = &p->c[i * p->columns + l];
      if (back) memcpy(at, number, sizeof *number);
      else memcpy(number, at, sizeof *number);
    }
  }
}

/* Operands of two bytes of a wave loop. */
static bool is_of_instructions(const retc_interpreter *in, const retc_statement *s, const product *p) {
  const retc_dtype a = p->a.cell->buffer->dtype, b = p->b.cell->buffer->dtype;
  return retc_kernel_buffer(in->kernel, s->c.buffer)->scope != RETC_SCOPE_PRIVATE && a == b &&
         (a == RETC_DTYPE_BF16 || a == RETC_DTYPE_F16);
}

static retc_status open_left(retc_interpreter *in, const retc_prepared *p, product *made) {
  const retc_statement *s = p->statement;
  made->there = made->rows;
  if (!s->row_count.index) return retc_interpreter_open_view(in, &p->a, &s->a, made->rows, made->depth, &made->a);
  const int64_t count = in->slots[p->row_count].i64;
  if (count < 1) return retc_interpreter_fail(in, "a has %lld rows, expected at least 1", (long long)count);
  if (count < made->there) made->there = count;
  return retc_interpreter_open_rows(in, &p->a, made->there, made->depth, &made->a);
}

/* A product of depth 0 touches nothing. */
retc_status retc_interpreter_mma(retc_interpreter *in, const retc_prepared *p) {
  const retc_statement *s = p->statement;
  product made = {.rows = s->rows, .columns = s->columns, .depth = in->slots[p->depth].i64};
  retc_span c;
  if (made.depth < 0) return retc_interpreter_fail(in, "the depth is %lld, expected at least 0", (long long)made.depth);
  if (made.depth == 0) return RETC_OK;
  const bool fragment = retc_kernel_buffer(in->kernel, s->c.buffer)->scope == RETC_SCOPE_FRAGMENT;
  const int least = p->a.cell->buffer->dtype == RETC_DTYPE_F32 ? RETC_FRAGMENT_STEP : RETC_FRAGMENT_SIDE;
  if (fragment && made.depth % least) {
    return retc_interpreter_fail(in, "the depth is %lld, expected a multiple of %d", (long long)made.depth, least);
  }
  RETC_TRY(retc_interpreter_open_view(in, &p->c, &s->c, made.rows, made.columns, &c));
  RETC_TRY(open_left(in, p, &made));
  const int64_t pack = retc_mma_pack(s->form, p->b.cell->buffer->dtype);
  const int64_t step = retc_mma_step(s->form, p->b.cell->buffer->dtype);
  if (made.depth % step) {
    return retc_interpreter_fail(in, "the depth is %lld, expected a multiple of %d", (long long)made.depth, (int)step);
  }
  RETC_TRY(retc_interpreter_open_view(in, &p->b, &s->b, made.depth / pack, made.columns, &made.b));
  RETC_TRY(reserve(in, made.rows, made.columns));
  made.c = in->numbers + 2 * made.rows * made.columns;
  if (is_of_instructions(in, s, &made)) made.sums = (double *)(void *)in->numbers;
  made.row = made.c + made.rows * made.columns;
  made.left = made.row + made.columns;
  move_accumulator(&made, &c, false);
  if (s->form == RETC_MMA_PAIRS) multiply_pairs(&made);
  else if (s->form == RETC_MMA_TILES) multiply_tiles(&made);
  else if (s->form == RETC_MMA_INTEGERS) multiply_integers(&made, pack);
  else if (is_fast()) multiply_fast(&made);
  else multiply_anywhere(&made);
  move_accumulator(&made, &c, true);
  return retc_interpreter_write_view(in, &p->c, &c, made.rows, made.columns);
}
