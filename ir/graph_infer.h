/* What the files of shape rules, ir/graph_infer*.c, share with each other and with nobody else. */
#ifndef RETC_IR_GRAPH_INFER_H
#define RETC_IR_GRAPH_INFER_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"

typedef struct inference {
  const retc_graph *graph;
  retc_op op;
  const retc_value *inputs;
  int input_count;
  const retc_type *types[RETC_OP_INPUTS_MAX]; /* of the inputs */
  const retc_type *declared;                  /* may be NULL */
  retc_attributes attributes;
  retc_diagnostics *diagnostics;
} inference;

/* Large enough for any chunk, count and repetition, small enough that sums and products with it stay in range. */
static const int64_t integer_max = (int64_t)1 << 31;
/* Sizes in bytes and indices of a tensor stay within int64_t with room to spare, named dimensions apart. */
static const int64_t elements_max = (int64_t)1 << 48;

static const retc_dim T = RETC_NAMED(T), N = RETC_NAMED(N), L = RETC_NAMED(L);
static const retc_shape scalar = {.rank = 0};

__attribute__((format(printf, 2, 3))) static inline retc_status wrong(const inference *in, const char *format, ...) {
  char reason[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  return retc_fail(in->diagnostics, RETC_INVALID, "%s: %s", retc_op_get_info(in->op)->name, reason);
}

/* A type as text that lives as long as the expression it is made in. */
typedef struct shown {
  char text[192];
} shown;

static inline shown show(const retc_type *type) {
  shown result;
  retc_text text;
  retc_text_init(&text);
  retc_type_print(type, &text);
  snprintf(result.text, sizeof result.text, "%s", text.data ? text.data : "");
  retc_text_deinit(&text);
  return result;
}

static inline shown show_shape(const retc_type *type) {
  shown whole = show(type), result;
  snprintf(result.text, sizeof result.text, "%s", whole.text + strcspn(whole.text, "["));
  return result;
}

#define SHAPE(...) \
  make_shape((int)(sizeof((retc_dim[]){__VA_ARGS__}) / sizeof(retc_dim)), (const retc_dim[]){__VA_ARGS__})
static inline retc_shape make_shape(int rank, const retc_dim *dims) {
  retc_shape shape = {.rank = rank};
  memcpy(shape.dim, dims, sizeof *dims * (size_t)rank);
  return shape;
}

static inline bool equal(const retc_type *a, const retc_type *b) {
  return a->dtype == b->dtype && retc_shape_equal(&a->shape, &b->shape);
}

static inline retc_status expect(const inference *in, int index, retc_dtype dtype, retc_shape shape) {
  const retc_type expected = {dtype, shape};
  if (equal(in->types[index], &expected)) return RETC_OK;
  return wrong(in, "input %d is %s, expected %s", index + 1, show(in->types[index]).text, show(&expected).text);
}

static inline retc_status expect_rank(const inference *in, int index, retc_dtype dtype, int rank) {
  const retc_type *type = in->types[index];
  if (type->dtype == dtype && type->shape.rank == rank) return RETC_OK;
  return wrong(in, "input %d is %s, expected %s with %d axes", index + 1, show(type).text, retc_dtype_name(dtype),
               rank);
}

static inline retc_status expect_axis(const inference *in, int index, int axis, retc_dim dim, const char *text) {
  if (in->types[index]->shape.dim[axis] == dim) return RETC_OK;
  return wrong(in, "input %d is %s, expected %s as axis %d", index + 1, show(in->types[index]).text, text, axis);
}

static inline retc_status expect_real(const inference *in, int index) {
  retc_dtype dtype = in->types[index]->dtype;
  if (dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F64) return RETC_OK;
  return wrong(in, "input %d is %s, expected f32 or f64", index + 1, show(in->types[index]).text);
}

/* Constants of a head or a rotation pair come in either precision. */
static inline retc_status expect_real_vector(const inference *in, int index, retc_dim length) {
  RETC_TRY(expect_real(in, index));
  return expect(in, index, in->types[index]->dtype, SHAPE(length));
}

static inline retc_status expect_integer(const inference *in, int which, const char *name, int64_t low, int64_t high) {
  int64_t value = in->attributes.integer[which];
  if (high < low) return wrong(in, "input 1 is %s, expected an axis", show(in->types[0]).text);
  if (value >= low && value <= high) return RETC_OK;
  return wrong(in, "%s is %lld, expected %lld..%lld", name, (long long)value, (long long)low, (long long)high);
}

static inline retc_status expect_chunk(const inference *in) {
  return expect_integer(in, 0, "chunk", 1, integer_max);
}

static inline retc_status expect_pairs(const inference *in) {
  if (strcmp(in->attributes.word, "half") == 0 || strcmp(in->attributes.word, "adjacent") == 0) return RETC_OK;
  return wrong(in, "pairs is %s, expected half or adjacent", in->attributes.word);
}

static inline retc_status expect_even(const inference *in, int index, retc_dim width) {
  if (!retc_dim_is_named(width) && width % 2 == 0) return RETC_OK;
  return wrong(in, "input %d is %s, expected an even last axis", index + 1, show(in->types[index]).text);
}

/* Key/value heads: G divides H. */
static inline retc_status expect_heads(const inference *in, retc_dim heads, retc_dim key_value_heads) {
  if (!retc_dim_is_named(heads) && !retc_dim_is_named(key_value_heads) && heads % key_value_heads == 0) return RETC_OK;
  return wrong(in, "the heads of the keys, %s, do not divide the heads of the queries, %s",
               show_shape(&(retc_type){.shape = SHAPE(key_value_heads)}).text,
               show_shape(&(retc_type){.shape = SHAPE(heads)}).text);
}

static inline retc_status check_type(const inference *in, const retc_type *type) {
  const retc_shape *shape = &type->shape;
  if (type->dtype < 0 || type->dtype >= RETC_DTYPE_COUNT) return wrong(in, "unknown dtype");
  if (shape->rank < 0 || shape->rank > RETC_RANK_MAX) {
    return wrong(in, "%d axes, expected at most %d", shape->rank, RETC_RANK_MAX);
  }
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    retc_dim dim = shape->dim[i];
    if (retc_dim_is_named(dim)) {
      bool known = ~dim < RETC_DIM_COUNT && retc_dim_is_axis((retc_dim_name)~dim);
      if (!known) return wrong(in, "an axis has a name that measures no axis");
      continue;
    }
    if (dim == 0) return wrong(in, "%s has an axis of size 0", show(type).text);
    if (dim > elements_max / count) return wrong(in, "%s has too many elements", show(type).text);
    count *= dim;
  }
  return RETC_OK;
}

/* A shape rule: the type of the node that `in` describes. */
#define RETC_SHAPE_RULE(name) retc_status retc_infer_##name(const inference *in, retc_type *out_type)
RETC_SHAPE_RULE(rotate);
RETC_SHAPE_RULE(positions);
RETC_SHAPE_RULE(chunk);
RETC_SHAPE_RULE(unchunk);
RETC_SHAPE_RULE(carry);
RETC_SHAPE_RULE(decay_mask);
RETC_SHAPE_RULE(decay_powers);
RETC_SHAPE_RULE(scan);
RETC_SHAPE_RULE(retention);
RETC_SHAPE_RULE(retention_row);
RETC_SHAPE_RULE(flush);

#endif
