/* Random graphs of all operations, for test_graph_random.c. Every value carries what is known of its numbers: how large
 * they may be and how far float32 may be from float64, so that graphs in which rounding grows too much are not made,
 * and what cannot be compared (a comparison of numbers that are nearly equal) is asked of exact numbers only. */
#ifndef RETC_TEST_GRAPH_RANDOM_H
#define RETC_TEST_GRAPH_RANDOM_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/graph.h"

enum { VALUES_MAX = 160, OUTPUTS_MAX = 8 };

typedef struct known {
  retc_value value;
  double most;  /* |x| <= most */
  double low;   /* every x >= low > 0; 0: unknown */
  double error; /* |float32's x - x| <= error */
  double grain; /* x is a multiple of it and computed without rounding; 0: unknown */
} known;

/* What is compared, and how. */
typedef struct expected_output {
  char name[24];
  double error;
  bool ragged; /* rows of an unfinished chunk: only those that are there count */
} expected_output;

typedef struct generator {
  uint64_t chance;
  retc_builder b;
  retc_diagnostics diagnostics;
  retc_dims dims;
  int64_t chunk;
  known values[VALUES_MAX];
  int count, inputs;
  expected_output outputs[OUTPUTS_MAX];
  int output_count;
  retc_value position;
} generator;

static const double rounding = 0x1p-23, function_error = 2e-6, error_max = 5e-3, relative_error_max = 5e-5,
                    most_max = 1e4;

/* ---- chance ---- */

static inline uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static inline int pick(generator *g, int count) { return (int)(next_random(&g->chance) % (uint64_t)count); }

static inline const retc_type *type_of(const generator *g, retc_value value) {
  return &retc_graph_node(g->b.graph, value)->type;
}

static inline int64_t elements(const generator *g, const retc_shape *shape) {
  return retc_shape_count(shape, &g->dims);
}

/* ---- values ---- */

static inline const known *remember(generator *g, known k) {
  if (g->count == VALUES_MAX) return NULL;
  g->values[g->count] = k;
  return &g->values[g->count++];
}

/* Adds the operation when it is well typed, not too large, and its numbers are as tame as `k` must be. */
static inline const known *add(generator *g, retc_op op, const retc_value *inputs, int count, const retc_type *declared,
                               const retc_attributes *attributes, known k) {
  static const retc_attributes none = {.word = NULL};
  retc_type type;
  if (!attributes) attributes = &none;
  if (!(k.error <= error_max + relative_error_max * k.most) || !(k.most <= most_max)) return NULL;
  retc_status status = retc_graph_infer(g->b.graph, op, inputs, count, declared, attributes, &g->diagnostics, &type);
  retc_diagnostics_clear(&g->diagnostics);
  if (status != RETC_OK || elements(g, &type.shape) > 20000) return NULL;
  k.value = retc_graph_add(&g->b, op, inputs, count, declared, attributes);
  if (type.dtype == RETC_DTYPE_F16 || type.dtype == RETC_DTYPE_BF16) k.low = 0;
  return remember(g, k);
}

/* Multiples of 1/8 in [-2, 2]; whole numbers 0..7; truths. */
static inline const known *new_input(generator *g, const char *kind, retc_dtype dtype, const retc_shape *shape) {
  char name[24];
  snprintf(name, sizeof name, "in_%d", g->inputs++);
  known k = {.most = retc_dtype_is_float(dtype) ? 2 : 7, .grain = retc_dtype_is_float(dtype) ? 0.125 : 1};
  if (elements(g, shape) > 20000) return NULL;
  k.value = retc_build_input(&g->b, kind, name, dtype, shape);
  return remember(g, k);
}

/* Logarithms of decays, one a head: constants, or a weight whose name tells what it holds. */
static inline retc_value new_decay(generator *g, int64_t heads) {
  const retc_shape shape = {1, {heads}};
  double numbers[8];
  char name[24];
  for (int i = 0; i < 8; i++) numbers[i] = -(1 + pick(g, 4)) / 8.0;
  if (pick(g, 3)) return retc_build_dense(&g->b, RETC_DTYPE_F64, &shape, numbers, (size_t)heads);
  snprintf(name, sizeof name, "decay_%d", g->inputs++);
  return retc_build_input(&g->b, "weight", name, pick(g, 2) ? RETC_DTYPE_F64 : RETC_DTYPE_F32, &shape);
}

static inline retc_value position_of(generator *g) {
  const retc_shape scalar = {0};
  if (!g->position.index) g->position = retc_build_input(&g->b, "input", "P", RETC_DTYPE_I64, &scalar);
  return g->position;
}

static inline retc_dim any_size(generator *g) {
  static const retc_dim sizes[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33, 65};
  return sizes[pick(g, pick(g, 3) ? 7 : 12)];
}

static inline bool is_constant(const retc_shape *shape) {
  for (int i = 0; i < shape->rank; i++) {
    if (retc_dim_is_named(shape->dim[i])) return false;
  }
  return true;
}

static inline const known *random_input(generator *g) {
  static const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_F32,  RETC_DTYPE_F32, RETC_DTYPE_F32, RETC_DTYPE_F64,
                                      RETC_DTYPE_F16, RETC_DTYPE_BF16, RETC_DTYPE_I64, RETC_DTYPE_I32, RETC_DTYPE_BOOL};
  retc_shape shape = {.rank = pick(g, 5)};
  bool rows = pick(g, 3);
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = any_size(g);
  if (rows && shape.rank > 0) shape.dim[0] = RETC_NAMED(B);
  if (rows && shape.rank > 1 && pick(g, 4)) shape.dim[1] = RETC_NAMED(T);
  const char *kind = is_constant(&shape) && shape.rank && pick(g, 2) ? "weight" : "input";
  return new_input(g, kind, dtypes[pick(g, 10)], &shape);
}

typedef bool (*wanted)(const generator *g, const known *k);

static inline bool is_real(const generator *g, const known *k) {
  retc_dtype dtype = type_of(g, k->value)->dtype;
  return dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F64;
}
static inline bool is_f32(const generator *g, const known *k) { return type_of(g, k->value)->dtype == RETC_DTYPE_F32; }
static inline bool is_bool(const generator *g, const known *k) {
  return type_of(g, k->value)->dtype == RETC_DTYPE_BOOL;
}
static inline bool is_positive(const generator *g, const known *k) { return is_real(g, k) && k->low >= 0.05; }
static inline bool is_exact(const generator *g, const known *k) { return is_real(g, k) && k->grain > 0; }
static inline bool is_float(const generator *g, const known *k) {
  return retc_dtype_is_float(type_of(g, k->value)->dtype);
}
static inline bool is_any(const generator *g, const known *k) { return g && k; }
/* f32[x,T,y,z] */
static inline bool is_rows(const generator *g, const known *k) {
  const retc_type *type = type_of(g, k->value);
  return is_f32(g, k) && type->shape.rank == 4 && type->shape.dim[1] == RETC_NAMED(T) && k->most <= 16;
}
/* f32[x,N,chunk,y,z] */
static inline bool is_grid(const generator *g, const known *k) {
  const retc_type *type = type_of(g, k->value);
  return is_f32(g, k) && type->shape.rank == 5 && type->shape.dim[1] == RETC_NAMED(N) && type->shape.dim[2] == g->chunk;
}

/* A value of this kind, the later ones rather; NULL: there is none. */
static inline const known *find_value(generator *g, wanted accept) {
  if (!g->count) return NULL;
  int start = pick(g, 2) ? g->count - 1 - pick(g, g->count < 6 ? g->count : 6) : pick(g, g->count);
  for (int i = 0; i < g->count; i++) {
    const known *k = &g->values[(start + i) % g->count];
    if (accept(g, k)) return k;
  }
  return NULL;
}

/* ---- what becomes of the numbers ---- */

static inline double larger(double a, double b) { return a > b ? a : b; }
static inline double smaller(double a, double b) { return a < b ? a : b; }

/* Numbers are exact as long as they are that many multiples of their grain. */
static inline known settle(known k, double own_rounding) {
  if (k.grain > 0 && k.most / k.grain <= 0x1p22)
    k.error = 0;
  else
    k = (known){.most = k.most, .low = k.low, .error = k.error + own_rounding};
  if (k.error > 0.1 * k.low) k.low = 0;
  return k;
}

static inline double common_grain(const known *a, const known *b) {
  return a->grain > 0 && b->grain > 0 ? smaller(a->grain, b->grain) : 0;
}

static inline known sum_of(const known *a, const known *b, bool minus) {
  known k = {.most = a->most + b->most, .error = a->error + b->error, .grain = common_grain(a, b)};
  if (!minus && a->low > 0 && b->low > 0) k.low = a->low + b->low;
  if (a->low > b->most) k.low = larger(k.low, a->low - b->most);
  if (!minus && b->low > a->most) k.low = larger(k.low, b->low - a->most);
  return settle(k, rounding * k.most);
}

/* Of `terms` products. */
static inline known product_of(const known *a, const known *b, double terms) {
  known k = {.most = terms * a->most * b->most, .low = terms * a->low * b->low, .grain = a->grain * b->grain};
  k.error = terms * (a->error * b->most + b->error * a->most + a->error * b->error);
  return settle(k, (terms + 1) * rounding * k.most);
}
#endif
