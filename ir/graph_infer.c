#include <math.h>
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

typedef retc_status infer_function(const inference *in, retc_type *out_type);

/* Large enough for any chunk, count and repetition, small enough that sums and products with it stay in range. */
static const int64_t integer_max = (int64_t)1 << 31;
/* Sizes in bytes and indices of a tensor stay within int64_t with room to spare, named dimensions apart. */
static const int64_t elements_max = (int64_t)1 << 48;

static const retc_dim B = RETC_NAMED(B), T = RETC_NAMED(T), N = RETC_NAMED(N), L = RETC_NAMED(L);
static const retc_shape scalar = {.rank = 0};

__attribute__((format(printf, 2, 3))) static retc_status wrong(const inference *in, const char *format, ...) {
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

static shown show(const retc_type *type) {
  shown result;
  retc_text text;
  retc_text_init(&text);
  retc_type_print(type, &text);
  snprintf(result.text, sizeof result.text, "%s", text.data ? text.data : "");
  retc_text_deinit(&text);
  return result;
}

static shown show_shape(const retc_type *type) {
  shown whole = show(type), result;
  snprintf(result.text, sizeof result.text, "%s", whole.text + strcspn(whole.text, "["));
  return result;
}

#define SHAPE(...) \
  make_shape((int)(sizeof((retc_dim[]){__VA_ARGS__}) / sizeof(retc_dim)), (const retc_dim[]){__VA_ARGS__})
static retc_shape make_shape(int rank, const retc_dim *dims) {
  retc_shape shape = {.rank = rank};
  memcpy(shape.dim, dims, sizeof *dims * (size_t)rank);
  return shape;
}

static bool equal(const retc_type *a, const retc_type *b) {
  return a->dtype == b->dtype && retc_shape_equal(&a->shape, &b->shape);
}

static retc_status expect(const inference *in, int index, retc_dtype dtype, retc_shape shape) {
  const retc_type expected = {dtype, shape};
  if (equal(in->types[index], &expected)) return RETC_OK;
  return wrong(in, "input %d is %s, expected %s", index + 1, show(in->types[index]).text, show(&expected).text);
}

static retc_status expect_rank(const inference *in, int index, retc_dtype dtype, int rank) {
  const retc_type *type = in->types[index];
  if (type->dtype == dtype && type->shape.rank == rank) return RETC_OK;
  return wrong(in, "input %d is %s, expected %s with %d axes", index + 1, show(type).text, retc_dtype_name(dtype),
               rank);
}

static retc_status expect_axis(const inference *in, int index, int axis, retc_dim dim, const char *text) {
  if (in->types[index]->shape.dim[axis] == dim) return RETC_OK;
  return wrong(in, "input %d is %s, expected %s as axis %d", index + 1, show(in->types[index]).text, text, axis);
}

static retc_status expect_real(const inference *in, int index) {
  retc_dtype dtype = in->types[index]->dtype;
  if (dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F64) return RETC_OK;
  return wrong(in, "input %d is %s, expected f32 or f64", index + 1, show(in->types[index]).text);
}

/* Constants of a head or a rotation pair come in either precision. */
static retc_status expect_real_vector(const inference *in, int index, retc_dim length) {
  RETC_TRY(expect_real(in, index));
  return expect(in, index, in->types[index]->dtype, SHAPE(length));
}

static retc_status expect_integer(const inference *in, int which, const char *name, int64_t low, int64_t high) {
  int64_t value = in->attributes.integer[which];
  if (value >= low && value <= high) return RETC_OK;
  return wrong(in, "%s is %lld, expected %lld..%lld", name, (long long)value, (long long)low, (long long)high);
}

static retc_status expect_chunk(const inference *in) {
  return expect_integer(in, 0, "chunk", 1, integer_max);
}

static retc_status expect_pairs(const inference *in) {
  if (strcmp(in->attributes.word, "half") == 0 || strcmp(in->attributes.word, "adjacent") == 0) return RETC_OK;
  return wrong(in, "pairs is %s, expected half or adjacent", in->attributes.word);
}

static retc_status expect_even(const inference *in, int index, retc_dim width) {
  if (!retc_dim_is_named(width) && width % 2 == 0) return RETC_OK;
  return wrong(in, "input %d is %s, expected an even last axis", index + 1, show(in->types[index]).text);
}

/* Key/value heads: G divides H. */
static retc_status expect_heads(const inference *in, retc_dim heads, retc_dim key_value_heads) {
  if (!retc_dim_is_named(heads) && !retc_dim_is_named(key_value_heads) && heads % key_value_heads == 0) return RETC_OK;
  return wrong(in, "the heads of the keys, %s, do not divide the heads of the queries, %s",
               show_shape(&(retc_type){.shape = SHAPE(key_value_heads)}).text,
               show_shape(&(retc_type){.shape = SHAPE(heads)}).text);
}

static retc_status check_type(const inference *in, const retc_type *type) {
  const retc_shape *shape = &type->shape;
  if (type->dtype < 0 || type->dtype >= RETC_DTYPE_COUNT) return wrong(in, "unknown dtype");
  if (shape->rank < 0 || shape->rank > RETC_RANK_MAX) {
    return wrong(in, "%d axes, expected at most %d", shape->rank, RETC_RANK_MAX);
  }
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    retc_dim dim = shape->dim[i];
    if (retc_dim_is_named(dim)) {
      if (dim != B && dim != T && dim != N && dim != L) return wrong(in, "an axis has a name that measures no axis");
      continue;
    }
    if (dim == 0) return wrong(in, "%s has an axis of size 0", show(type).text);
    if (dim > elements_max / count) return wrong(in, "%s has too many elements", show(type).text);
    count *= dim;
  }
  return RETC_OK;
}

static retc_status infer_declared(const inference *in, retc_type *out_type) {
  if (!in->declared) return wrong(in, "no type given");
  RETC_TRY(check_type(in, in->declared));
  *out_type = *in->declared;
  if (in->op == RETC_OP_INPUT) {
    static const char *const kinds[] = {"input", "weight", "state"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
      if (strcmp(in->attributes.word, kinds[i]) == 0) return RETC_OK;
    }
    return wrong(in, "kind is %s, expected input, weight or state", in->attributes.word);
  }
  if (in->attributes.dense_count == 1) return RETC_OK;
  const retc_shape *shape = &out_type->shape;
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    if (retc_dim_is_named(shape->dim[i])) return wrong(in, "only a single number fills %s", show(out_type).text);
    count *= shape->dim[i];
  }
  if (in->attributes.dense_count == (uint64_t)count) return RETC_OK;
  return wrong(in, "%zu numbers, expected 1 or the %lld of %s", in->attributes.dense_count, (long long)count,
               show(out_type).text);
}

static retc_status infer_broadcast(const inference *in, retc_type *out_type) {
  const retc_type *a = in->types[0], *b = in->types[1];
  RETC_TRY(expect_real(in, 0));
  if (a->dtype != b->dtype) {
    return wrong(in, "%s and %s are of different dtypes", show(a).text, show(b).text);
  }
  const retc_type *longer = a->shape.rank >= b->shape.rank ? a : b, *shorter = longer == a ? b : a;
  *out_type = *longer;
  for (int i = 1; i <= shorter->shape.rank; i++) {
    retc_dim *dim = &out_type->shape.dim[longer->shape.rank - i], other = shorter->shape.dim[shorter->shape.rank - i];
    if (*dim == 1) *dim = other;
    if (other != 1 && other != *dim) {
      return wrong(in, "%s and %s do not broadcast", show_shape(a).text, show_shape(b).text);
    }
  }
  return RETC_OK;
}

static retc_status infer_same(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_real(in, 0));
  *out_type = *in->types[0];
  return RETC_OK;
}

static retc_status infer_cast(const inference *in, retc_type *out_type) {
  const char *word = in->attributes.word;
  *out_type = *in->types[0];
  if (!retc_dtype_parse(word, strlen(word), &out_type->dtype) || out_type->dtype == RETC_DTYPE_BOOL) {
    return wrong(in, "dtype is %s, expected f64, f32, f16, bf16, i64 or i32", word);
  }
  return RETC_OK;
}

/* The product of the constants from *axis up to the next name, which *axis is left at. */
static int64_t take_constants(const retc_shape *shape, int *axis) {
  int64_t product = 1;
  for (; *axis < shape->rank && !retc_dim_is_named(shape->dim[*axis]); ++*axis) product *= shape->dim[*axis];
  return product;
}

static retc_status infer_reshape(const inference *in, retc_type *out_type) {
  if (!in->declared) return wrong(in, "no shape given");
  const retc_type *from = in->types[0];
  *out_type = (retc_type){from->dtype, in->declared->shape};
  RETC_TRY(check_type(in, out_type));
  const retc_shape *a = &from->shape, *b = &out_type->shape;
  int i = 0, k = 0;
  do {
    bool fits = take_constants(a, &i) == take_constants(b, &k) && (i == a->rank) == (k == b->rank);
    if (fits && i < a->rank) fits = a->dim[i] == b->dim[k];
    if (!fits) {
      return wrong(in, "%s cannot become %s: names stay in order, and so does the size between them",
                   show_shape(from).text, show_shape(out_type).text);
    }
  } while (i++ < a->rank && k++ < b->rank);
  return RETC_OK;
}

static retc_status infer_repeat(const inference *in, retc_type *out_type) {
  *out_type = *in->types[0];
  RETC_TRY(expect_integer(in, 0, "axis", 0, out_type->shape.rank - 1));
  RETC_TRY(expect_integer(in, 1, "times", 1, integer_max));
  retc_dim *dim = &out_type->shape.dim[in->attributes.integer[0]];
  if (retc_dim_is_named(*dim)) {
    return wrong(in, "axis %lld of %s has no constant size", (long long)in->attributes.integer[0],
                 show(in->types[0]).text);
  }
  if (*dim > elements_max / in->attributes.integer[1]) return wrong(in, "too many elements");
  *dim *= in->attributes.integer[1];
  return RETC_OK;
}

static retc_status infer_transpose(const inference *in, retc_type *out_type) {
  *out_type = *in->types[0];
  retc_dim *dim = out_type->shape.dim;
  RETC_TRY(expect_integer(in, 0, "first", 0, out_type->shape.rank - 1));
  RETC_TRY(expect_integer(in, 1, "second", 0, out_type->shape.rank - 1));
  dim[in->attributes.integer[0]] = in->types[0]->shape.dim[in->attributes.integer[1]];
  dim[in->attributes.integer[1]] = in->types[0]->shape.dim[in->attributes.integer[0]];
  return RETC_OK;
}

static retc_status infer_tail(const inference *in, retc_type *out_type) {
  *out_type = *in->types[0];
  if (out_type->shape.rank < 2) return wrong(in, "input 1 is %s, expected [B,T,..]", show(in->types[0]).text);
  RETC_TRY(expect_axis(in, 0, 1, T, "T"));
  out_type->shape.dim[1] = L;
  return RETC_OK;
}

static retc_status infer_gather(const inference *in, retc_type *out_type) {
  const retc_type *table = in->types[0];
  RETC_TRY(expect_rank(in, 0, table->dtype, 2));
  if (!retc_dtype_is_float(table->dtype) || table->dtype == RETC_DTYPE_F64) {
    return wrong(in, "input 1 is %s, expected f32, f16 or bf16", show(table).text);
  }
  if (retc_dim_is_named(table->shape.dim[0])) return wrong(in, "the table %s has no constant size", show(table).text);
  RETC_TRY(expect_rank(in, 1, RETC_DTYPE_I64, 2));
  const retc_dim *ids = in->types[1]->shape.dim;
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(ids[0], ids[1], table->shape.dim[1])};
  return RETC_OK;
}

static retc_status infer_rotate(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_pairs(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  const retc_dim *x = in->types[0]->shape.dim;
  RETC_TRY(expect_even(in, 0, x[3]));
  for (int i = 1; i < 3; i++) RETC_TRY(expect(in, i, RETC_DTYPE_F32, SHAPE(x[1], x[3] / 2)));
  *out_type = *in->types[0];
  return RETC_OK;
}

static retc_status infer_positions(const inference *in, retc_type *out_type) {
  RETC_TRY(expect(in, 0, RETC_DTYPE_I64, scalar));
  *out_type = (retc_type){RETC_DTYPE_F64, SHAPE(T)};
  return RETC_OK;
}

static retc_status infer_contract(const inference *in, retc_type *out_type) {
  const retc_type *a = in->types[0], *b = in->types[1];
  const bool weights = a->dtype == RETC_DTYPE_F32 && retc_dtype_is_float(b->dtype) && b->dtype != RETC_DTYPE_F64;
  if (!weights && !(a->dtype == RETC_DTYPE_F64 && b->dtype == RETC_DTYPE_F64)) {
    return wrong(in, "%s and %s, expected f32 and f32, f16 or bf16, or f64 and f64", show(a).text, show(b).text);
  }
  retc_contraction contraction;
  if (!retc_contraction_parse(in->attributes.word, &contraction)) {
    return wrong(in, "spec is \"%s\", expected letters like \"btk,nk->btn\"", in->attributes.word);
  }
  *out_type = (retc_type){.dtype = a->dtype};
  int ranks[2] = {0};
  for (int i = 0; i < contraction.letter_count; i++) {
    const struct retc_letter *letter = &contraction.letters[i];
    ranks[0] += letter->a >= 0;
    ranks[1] += letter->b >= 0;
  }
  if (ranks[0] != a->shape.rank || ranks[1] != b->shape.rank) {
    return wrong(in, "spec \"%s\" does not fit %s and %s", in->attributes.word, show(a).text, show(b).text);
  }
  for (int i = 0; i < contraction.letter_count; i++) {
    const struct retc_letter *letter = &contraction.letters[i];
    retc_dim dim = letter->a >= 0 ? a->shape.dim[letter->a] : b->shape.dim[letter->b];
    if (letter->a >= 0 && letter->b >= 0 && b->shape.dim[letter->b] != dim) {
      return wrong(in, "spec \"%s\": %s and %s differ along %c", in->attributes.word, show(a).text, show(b).text,
                   letter->letter);
    }
    if (letter->out < 0) continue;
    out_type->shape.dim[letter->out] = dim;
    out_type->shape.rank++;
  }
  return RETC_OK;
}

static retc_status infer_reduce(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_real(in, 0));
  *out_type = *in->types[0];
  if (out_type->shape.rank == 0) return wrong(in, "input 1 is %s, expected a last axis", show(out_type).text);
  out_type->shape.dim[out_type->shape.rank - 1] = 1;
  return RETC_OK;
}

static retc_status infer_norm(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_real(in, 0));
  *out_type = *in->types[0];
  if (out_type->shape.rank == 0) return wrong(in, "input 1 is %s, expected a last axis", show(out_type).text);
  if (!isfinite(in->attributes.number) || in->attributes.number < 0) {
    return wrong(in, "eps is %g, expected a number of at least 0", in->attributes.number);
  }
  for (int i = 1; i < in->input_count; i++) {
    RETC_TRY(expect(in, i, out_type->dtype, SHAPE(out_type->shape.dim[out_type->shape.rank - 1])));
  }
  return RETC_OK;
}

static retc_status infer_chunk(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  RETC_TRY(expect_axis(in, 0, 1, T, "T"));
  RETC_TRY(expect(in, 1, RETC_DTYPE_I64, scalar));
  const retc_dim *x = in->types[0]->shape.dim, chunk = in->attributes.integer[0];
  if (in->input_count == 3) RETC_TRY(expect(in, 2, RETC_DTYPE_F32, SHAPE(x[0], chunk, x[2], x[3])));
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(x[0], N, chunk, x[2], x[3])};
  return RETC_OK;
}

/* x[b,n,i,..] on the grid. */
static retc_status expect_grid(const inference *in) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 5));
  RETC_TRY(expect_axis(in, 0, 1, N, "N"));
  return expect_axis(in, 0, 2, in->attributes.integer[0], "the chunk length");
}

static retc_status infer_unchunk(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_grid(in));
  RETC_TRY(expect(in, 1, RETC_DTYPE_I64, scalar));
  const retc_dim *x = in->types[0]->shape.dim;
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(x[0], T, x[3], x[4])};
  return RETC_OK;
}

static retc_status infer_carry(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_grid(in));
  const retc_dim *x = in->types[0]->shape.dim;
  RETC_TRY(expect(in, 1, RETC_DTYPE_F32, SHAPE(x[0], x[2], x[3], x[4])));
  RETC_TRY(expect(in, 2, RETC_DTYPE_I64, scalar));
  *out_type = *in->types[1];
  return RETC_OK;
}

static retc_status expect_decay(const inference *in) {
  if (in->types[0]->shape.rank != 1) return wrong(in, "input 1 is %s, expected [H]", show(in->types[0]).text);
  return expect_real(in, 0);
}

static retc_status infer_decay_mask(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_decay(in));
  const retc_dim chunk = in->attributes.integer[0];
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(in->types[0]->shape.dim[0], chunk, chunk)};
  return RETC_OK;
}

static retc_status infer_decay_powers(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_integer(in, 0, "count", 1, integer_max));
  RETC_TRY(expect_integer(in, 1, "first", -integer_max, integer_max));
  RETC_TRY(expect_integer(in, 2, "step", -integer_max, integer_max));
  RETC_TRY(expect_decay(in));
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(in->types[0]->shape.dim[0], in->attributes.integer[0])};
  return RETC_OK;
}

static retc_status infer_scan(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 5));
  RETC_TRY(expect_axis(in, 0, 1, N, "N"));
  const retc_dim *x = in->types[0]->shape.dim;
  RETC_TRY(expect(in, 1, RETC_DTYPE_F32, SHAPE(x[2], 1)));
  RETC_TRY(expect(in, 2, RETC_DTYPE_F32, SHAPE(x[0], x[2], x[3], x[4])));
  RETC_TRY(expect(in, 3, RETC_DTYPE_I64, scalar));
  *out_type = *in->types[0];
  return RETC_OK;
}

/* S[b,h,k,v], pending_k[b,c,g,k], pending_v[b,c,g,v] as three inputs from `first` on, with the sizes given. */
static retc_status expect_state(const inference *in, int first, const retc_dim *q, const retc_dim *v) {
  const retc_dim chunk = in->attributes.integer[0];
  RETC_TRY(expect(in, first, RETC_DTYPE_F32, SHAPE(q[0], q[2], q[3], v[3])));
  RETC_TRY(expect(in, first + 1, RETC_DTYPE_F32, SHAPE(q[0], chunk, v[2], q[3])));
  return expect(in, first + 2, RETC_DTYPE_F32, SHAPE(q[0], chunk, v[2], v[3]));
}

static retc_status infer_retention(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_pairs(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  RETC_TRY(expect_axis(in, 0, 1, T, "T"));
  RETC_TRY(expect_rank(in, 2, RETC_DTYPE_F32, 4));
  const retc_dim *q = in->types[0]->shape.dim, *v = in->types[2]->shape.dim;
  RETC_TRY(expect_even(in, 0, q[3]));
  RETC_TRY(expect_heads(in, q[2], v[2]));
  RETC_TRY(expect(in, 1, RETC_DTYPE_F32, SHAPE(q[0], T, v[2], q[3])));
  RETC_TRY(expect(in, 2, RETC_DTYPE_F32, SHAPE(q[0], T, v[2], v[3])));
  RETC_TRY(expect_real_vector(in, 3, q[2]));
  RETC_TRY(expect_real_vector(in, 4, q[3] / 2));
  RETC_TRY(expect(in, 5, RETC_DTYPE_I64, scalar));
  RETC_TRY(expect_state(in, 6, q, v));
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(q[0], T, q[2], v[3])};
  return RETC_OK;
}

/* A number for each token and head. */
static retc_status infer_retention_row(const inference *in, retc_type *out_type) {
  RETC_TRY(infer_retention(in, out_type));
  out_type->shape.dim[3] = 1;
  return RETC_OK;
}

static retc_status infer_flush(const inference *in, retc_type *out_type) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  RETC_TRY(expect_rank(in, 2, RETC_DTYPE_F32, 4));
  const retc_dim *s = in->types[0]->shape.dim, *v = in->types[2]->shape.dim;
  RETC_TRY(expect_heads(in, s[1], v[2]));
  RETC_TRY(expect_state(in, 0, (retc_dim[]){s[0], 0, s[1], s[2]}, (retc_dim[]){0, 0, v[2], s[3]}));
  RETC_TRY(expect_real_vector(in, 3, s[1]));
  RETC_TRY(expect(in, 4, RETC_DTYPE_I64, scalar));
  *out_type = *in->types[0];
  return RETC_OK;
}

static retc_status infer_part(const inference *in, retc_type *out_type) {
  const int64_t index = in->attributes.integer[0];
  const retc_node *whole = retc_graph_node(in->graph, in->inputs[0]);
  if (index == 0) {
    *out_type = whole->type;
    return RETC_OK;
  }
  int input = retc_part_input(whole->op, index);
  if (input < 0) {
    return wrong(in, "%s has no result %lld", retc_op_get_info(whole->op)->name, (long long)index);
  }
  *out_type = retc_graph_node(in->graph, whole->inputs[input])->type;
  return RETC_OK;
}

static infer_function *const rules[RETC_OP_COUNT] = {
#define RETC_OP(NAME, text, minimum, maximum, traits, rule, attributes, meaning) infer_##rule,
#include "ir/graph_ops.def"
#undef RETC_OP
};

static retc_status check_attributes(const inference *in) {
  for (retc_attribute_walk walk = retc_attribute_walk_start(in->op); retc_attribute_walk_next(&walk);) {
    if (walk.kind == 's' && !in->attributes.word) return wrong(in, "no %.*s given", walk.name_length, walk.name);
    if (walk.kind == 'd' && (!in->attributes.dense || !in->attributes.dense_count)) {
      return wrong(in, "no numbers given");
    }
  }
  return RETC_OK;
}

retc_status retc_graph_infer(const retc_graph *graph, retc_op op, const retc_value *inputs, int input_count,
                             const retc_type *declared, const retc_attributes *attributes,
                             retc_diagnostics *diagnostics, retc_type *out_type) {
  if ((int)op < 0 || op >= RETC_OP_COUNT) return retc_fail(diagnostics, RETC_INVALID, "unknown operation %d", (int)op);
  inference in = {.graph = graph, .op = op, .inputs = inputs, .input_count = input_count, .declared = declared,
                  .diagnostics = diagnostics};
  if (attributes) in.attributes = *attributes;
  const retc_op_info *info = retc_op_get_info(op);
  if (input_count < info->min_inputs || input_count > info->max_inputs) {
    if (info->min_inputs == info->max_inputs) {
      return wrong(&in, "%d inputs, expected %d", input_count, info->min_inputs);
    }
    return wrong(&in, "%d inputs, expected %d to %d", input_count, info->min_inputs, info->max_inputs);
  }
  for (int i = 0; i < input_count; i++) {
    if (inputs[i].index == 0 || inputs[i].index >= graph->nodes.count) return wrong(&in, "input %d is missing", i + 1);
    in.types[i] = &retc_graph_node(graph, inputs[i])->type;
  }
  RETC_TRY(check_attributes(&in));
  retc_type type;
  RETC_TRY(rules[op](&in, &type));
  RETC_TRY(check_type(&in, &type));
  *out_type = type;
  return RETC_OK;
}
