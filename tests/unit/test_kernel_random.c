/* Random kernels: compiled code and the interpreter give the same bits. They are valid by construction: indices are
 * within bounds, private buffers are filled where they begin, what runs at the same time writes elements of its own.
 * By hand: test_kernel_random [COUNT [SEED]]. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/llvm/llvm_backend.h"
#include "ir/kernel_eval.h"
#include "ir/kernel_walk.h"

enum { ROWS = 5, COLUMNS = 24, SCOPE_MAX = 64, MODULE_KERNELS = 10, FIRST_OUTPUT = 8 };
static int kernel_count = 50;
static uint64_t first_seed = 1;

/* ---- chance ---- */

static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* ---- what kernels work on ---- */

typedef struct parameter {
  const char *name;
  retc_dtype dtype;
  int rank;
  retc_dim dim[3];
} parameter;

/* Inputs, then outputs, which begin with a row of each task. */
static const parameter parameters[] = {
  {"x", RETC_DTYPE_F32, 2, {RETC_NAMED(B), COLUMNS}}, {"w", RETC_DTYPE_BF16, 3, {2, 17, 40}},
  {"h", RETC_DTYPE_F16, 2, {COLUMNS, 8}},             {"d", RETC_DTYPE_F64, 2, {RETC_NAMED(B), 7}},
  {"k", RETC_DTYPE_I64, 1, {COLUMNS}},                {"n", RETC_DTYPE_I32, 1, {17}},
  {"t", RETC_DTYPE_BOOL, 1, {COLUMNS}},               {"y", RETC_DTYPE_F32, 2, {RETC_NAMED(B), 40}},
  {"z", RETC_DTYPE_F64, 2, {RETC_NAMED(B), 40}},      {"i", RETC_DTYPE_I64, 2, {RETC_NAMED(B), 17}},
  {"s", RETC_DTYPE_BF16, 3, {RETC_NAMED(B), 8, 24}},  {"f", RETC_DTYPE_F16, 2, {RETC_NAMED(B), 24}},
  {"j", RETC_DTYPE_I32, 2, {RETC_NAMED(B), 24}},      {"b", RETC_DTYPE_BOOL, 2, {RETC_NAMED(B), 24}},
};
enum { PARAMETER_COUNT = sizeof parameters / sizeof parameters[0] };

/* ---- the generator ---- */

typedef struct known_value {
  retc_expr expr;
  int64_t bound; /* an i64 in 0..bound; else 0: anything */
} known_value;

/* A buffer that may be read anywhere, or, when `at` is there, at that place only. */
typedef struct known_buffer {
  retc_buffer_id id;
  bool pinned, writable;
  retc_expr at[RETC_RANK_MAX];
} known_buffer;

typedef struct generator {
  uint64_t chance;
  retc_kernel *kernel;
  retc_writer w;
  known_value values[SCOPE_MAX];
  known_buffer buffers[SCOPE_MAX];
  int value_count, buffer_count;
  retc_expr row; /* of outputs, if only that may be written; index 0: any */
  bool in_vector;
  int budget;
} generator;

static int pick(generator *g, int count) { return (int)(next_random(&g->chance) % (uint64_t)count); }
static retc_expr integer(generator *g, int64_t value) { return retc_expr_integer(g->kernel, value); }
static retc_expr op2(generator *g, retc_kernel_op op, retc_expr a, retc_expr b) {
  return retc_expr_binary(g->kernel, op, a, b);
}
static retc_dtype dtype_of(generator *g, retc_expr expr) { return retc_kernel_expr(g->kernel, expr)->dtype; }

static void know(generator *g, retc_expr expr, int64_t bound) {
  if (g->value_count < SCOPE_MAX) g->values[g->value_count++] = (known_value){expr, bound};
}

static retc_dtype value_dtype(const generator *g, const known_buffer *known) {
  return retc_buffer_value_dtype(retc_kernel_buffer(g->kernel, known->id));
}

static retc_expr make_expr(generator *g, retc_dtype dtype, int depth);

/* An i64 in 0..bound. */
static retc_expr make_index(generator *g, int64_t bound, int depth) {
  int start = pick(g, SCOPE_MAX);
  for (int i = 0; i < g->value_count && pick(g, 8); i++) {
    const known_value *v = &g->values[(start + i) % g->value_count];
    if (v->bound && v->bound <= bound) return v->expr;
    if (!v->bound || depth <= 0) continue;
    retc_expr sum = op2(g, RETC_KERNEL_OP_ADD, v->expr, integer(g, pick(g, 5)));
    return op2(g, RETC_KERNEL_OP_MOD, sum, integer(g, bound));
  }
  if (depth > 0 && pick(g, 4) == 0) {
    retc_expr any = make_expr(g, RETC_DTYPE_I64, depth - 1);
    any = op2(g, RETC_KERNEL_OP_MIN, any, integer(g, bound - 1));
    return op2(g, RETC_KERNEL_OP_MAX, any, integer(g, 0));
  }
  return integer(g, pick(g, (int)bound));
}

static int64_t extent_of(const retc_buffer *buffer, int axis) {
  return retc_dim_is_named(buffer->shape.dim[axis]) ? ROWS : buffer->shape.dim[axis];
}

static bool is_output(const known_buffer *known) { return known->writable && known->id.index >= FIRST_OUTPUT; }

static void make_indices(generator *g, const known_buffer *known, int depth, retc_expr *out) {
  const retc_buffer *buffer = retc_kernel_buffer(g->kernel, known->id);
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    bool own_row = axis == 0 && buffer->scope == RETC_SCOPE_GLOBAL && is_output(known) && g->row.index;
    if (known->pinned) out[axis] = known->at[axis];
    else out[axis] = own_row ? g->row : make_index(g, extent_of(buffer, axis), depth);
  }
}

/* A load that gives the dtype, or none. */
static retc_expr make_load(generator *g, retc_dtype dtype, int depth) {
  int start = pick(g, SCOPE_MAX);
  for (int i = 0; i < g->buffer_count; i++) {
    const known_buffer *known = &g->buffers[(start + i) % g->buffer_count];
    if (value_dtype(g, known) != dtype) continue;
    retc_expr indices[RETC_RANK_MAX];
    make_indices(g, known, depth, indices);
    return retc_expr_load(g->kernel, known->id, indices);
  }
  return (retc_expr){0};
}

static retc_expr make_constant(generator *g, retc_dtype dtype) {
  static const double numbers[] = {0, 1, -1, 0.5, 3.25, -7.75, 1e-3, 2.5, -0.125, 11, 1.0 / 3, -1e-6};
  static const double special[] = {-0.0, 1e30, -1e30, 0x1p-140, INFINITY, -INFINITY, NAN};
  if (dtype == RETC_DTYPE_I64) return integer(g, (int64_t)pick(g, 41) - 20);
  if (dtype == RETC_DTYPE_BOOL)
    return op2(g, RETC_KERNEL_OP_LESS, integer(g, pick(g, 3)), make_index(g, 3, 1));
  double number = pick(g, 12) ? numbers[pick(g, 12)] : special[pick(g, 7)];
  return retc_expr_number(g->kernel, dtype, number);
}

static retc_expr make_leaf(generator *g, retc_dtype dtype, int depth) {
  if (pick(g, 3)) {
    retc_expr load = make_load(g, dtype, depth);
    if (load.index) return load;
  }
  int start = pick(g, SCOPE_MAX);
  for (int i = 0; i < g->value_count && pick(g, 6); i++) {
    retc_expr known = g->values[(start + i) % g->value_count].expr;
    if (dtype_of(g, known) == dtype) return known;
  }
  return make_constant(g, dtype);
}

/* 2^a of an integer-valued a that is never out of range. */
static retc_expr make_power(generator *g, retc_dtype dtype, int depth) {
  retc_expr a = op2(g, RETC_KERNEL_OP_MIN, make_expr(g, dtype, depth), retc_expr_number(g->kernel, dtype, 9));
  a = op2(g, RETC_KERNEL_OP_MAX, a, retc_expr_number(g->kernel, dtype, -9));
  return retc_expr_unary(g->kernel, RETC_KERNEL_OP_POW2, retc_expr_unary(g->kernel, RETC_KERNEL_OP_FLOOR, a));
}

/* Of a normal number > 0. */
static retc_expr make_exponent(generator *g, retc_dtype dtype, int depth) {
  retc_expr a = retc_expr_unary(g->kernel, RETC_KERNEL_OP_ABS, make_expr(g, dtype, depth));
  a = op2(g, RETC_KERNEL_OP_MAX, a, retc_expr_number(g->kernel, dtype, 1e-30));
  return retc_expr_unary(g->kernel, RETC_KERNEL_OP_EXPONENT, a);
}

static retc_expr make_cast(generator *g, retc_dtype dtype, int depth) {
  static const retc_dtype from[] = {RETC_DTYPE_F32, RETC_DTYPE_F64, RETC_DTYPE_I64, RETC_DTYPE_BOOL};
  return retc_expr_cast(g->kernel, dtype, make_expr(g, from[pick(g, 4)], depth));
}

static retc_expr make_truth(generator *g, int depth) {
  static const retc_dtype of[] = {RETC_DTYPE_F32, RETC_DTYPE_F64, RETC_DTYPE_I64};
  static const retc_kernel_op ops[] = {RETC_KERNEL_OP_LESS, RETC_KERNEL_OP_LESS_EQUAL, RETC_KERNEL_OP_EQUAL};
  if (pick(g, 5) == 0)
    return op2(g, RETC_KERNEL_OP_AND, make_expr(g, RETC_DTYPE_BOOL, depth), make_expr(g, RETC_DTYPE_BOOL, depth));
  retc_dtype dtype = of[pick(g, 3)];
  return op2(g, ops[pick(g, 3)], make_expr(g, dtype, depth), make_expr(g, dtype, depth));
}

static retc_expr make_arithmetic(generator *g, retc_dtype dtype, int depth) {
  static const retc_kernel_op two[] = {RETC_KERNEL_OP_ADD, RETC_KERNEL_OP_SUB, RETC_KERNEL_OP_MUL, RETC_KERNEL_OP_MIN,
                                       RETC_KERNEL_OP_MAX, RETC_KERNEL_OP_DIV};
  static const retc_kernel_op one[] = {RETC_KERNEL_OP_NEG, RETC_KERNEL_OP_ABS, RETC_KERNEL_OP_SQRT,
                                       RETC_KERNEL_OP_FLOOR};
  bool whole = dtype == RETC_DTYPE_I64;
  int kind = pick(g, 10);
  if (kind < 6) return op2(g, two[pick(g, whole ? 5 : 6)], make_expr(g, dtype, depth), make_expr(g, dtype, depth));
  if (kind < 8) {
    retc_kernel_op op = one[pick(g, whole ? 2 : 4)];
    retc_expr of = make_expr(g, dtype, depth);
    bool real_root = op == RETC_KERNEL_OP_SQRT && pick(g, 6);
    return retc_expr_unary(g->kernel, op, real_root ? retc_expr_unary(g->kernel, RETC_KERNEL_OP_ABS, of) : of);
  }
  if (whole) {
    retc_kernel_op op = pick(g, 2) ? RETC_KERNEL_OP_DIV : RETC_KERNEL_OP_MOD;
    return op2(g, op, make_index(g, 1000, depth), integer(g, 1 + pick(g, 9)));
  }
  if (kind == 8) return pick(g, 2) ? make_power(g, dtype, depth) : make_exponent(g, dtype, depth);
  return retc_expr_ternary(g->kernel, RETC_KERNEL_OP_FMA, make_expr(g, dtype, depth), make_expr(g, dtype, depth),
                           make_expr(g, dtype, depth));
}

static retc_expr make_expr(generator *g, retc_dtype dtype, int depth) {
  if (depth <= 0 || pick(g, 6) == 0) return make_leaf(g, dtype, depth);
  if (dtype == RETC_DTYPE_BOOL) return make_truth(g, depth - 1);
  int kind = pick(g, 12);
  if (kind == 0) return make_cast(g, dtype, depth - 1);
  if (kind == 1) {
    retc_expr condition = make_expr(g, RETC_DTYPE_BOOL, depth - 1);
    return retc_expr_ternary(g->kernel, RETC_KERNEL_OP_SELECT, condition, make_expr(g, dtype, depth - 1),
                             make_expr(g, dtype, depth - 1));
  }
  retc_expr value = make_arithmetic(g, dtype, depth - 1);
  if (kind == 2) value = op2(g, RETC_KERNEL_OP_ADD, value, value); /* shared */
  return value;
}

/* ---- statements ---- */

static void make_block(generator *g, int depth);

static retc_dtype pick_value_dtype(generator *g) {
  static const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_F32, RETC_DTYPE_F32, RETC_DTYPE_F64, RETC_DTYPE_I64,
                                      RETC_DTYPE_BOOL};
  return dtypes[pick(g, 6)];
}

static void make_let(generator *g) {
  know(g, retc_write_let(&g->w, "v", make_expr(g, pick_value_dtype(g), 3)), 0);
}

static void store_value(generator *g, const known_buffer *known) {
  retc_expr indices[RETC_RANK_MAX];
  make_indices(g, known, 2, indices);
  retc_dtype dtype = value_dtype(g, known);
  retc_write_store(&g->w, known->id, indices, make_expr(g, dtype, 4));
}

static known_buffer *pick_writable(generator *g) {
  int start = pick(g, SCOPE_MAX);
  for (int i = 0; i < g->buffer_count; i++) {
    known_buffer *known = &g->buffers[(start + i) % g->buffer_count];
    if (known->writable && (!g->in_vector || known->pinned)) return known;
  }
  return NULL;
}

static void make_store(generator *g) {
  known_buffer *known = pick_writable(g);
  if (known) store_value(g, known);
}

/* Iterations of a vector loop write element [.., a i + b, ..] of some buffers, and touch nothing else of these. */
static void pin(generator *g, known_buffer *known, retc_expr variable, int64_t count) {
  const retc_buffer *buffer = retc_kernel_buffer(g->kernel, known->id);
  int first = buffer->scope == RETC_SCOPE_GLOBAL && g->row.index;
  if (buffer->shape.rank <= first) return;
  int along = first + pick(g, buffer->shape.rank - first);
  int64_t extent = extent_of(buffer, along), stretch = pick(g, 3) ? 1 : extent / count;
  if (extent < count) return;
  make_indices(g, known, 1, known->at);
  int64_t room = extent - (count - 1) * stretch;
  retc_expr at = op2(g, RETC_KERNEL_OP_MUL, variable, integer(g, stretch));
  if (pick(g, 4) == 0) at = op2(g, RETC_KERNEL_OP_SUB, integer(g, (count - 1) * stretch), at);
  known->at[along] = op2(g, RETC_KERNEL_OP_ADD, at, integer(g, pick(g, (int)room)));
  /* The other indices must be the same in all iterations: those that hold the loop's variable are not. */
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    if (axis != along && !(axis < first)) known->at[axis] = integer(g, pick(g, (int)extent_of(buffer, axis)));
  }
  known->pinned = true;
}

static void make_vector(generator *g) {
  int64_t count = 1 + pick(g, pick(g, 3) ? 8 : COLUMNS), step = 1 + (pick(g, 5) == 0);
  bool named = pick(g, 4) == 0;
  if (named) count = ROWS;
  retc_expr high = named ? retc_expr_dim(g->kernel, RETC_NAMED(B)) : integer(g, (count - 1) * step + 1);
  if (named) step = 1;
  generator saved = *g;
  retc_expr variable = retc_write_for(&g->w, "lane", RETC_LOOP_VECTOR, integer(g, 0), high, step);
  retc_expr number = step == 1 ? variable : op2(g, RETC_KERNEL_OP_DIV, variable, integer(g, step));
  for (int i = 0; i < g->buffer_count; i++) {
    if (g->buffers[i].writable && pick(g, 4)) pin(g, &g->buffers[i], number, count);
  }
  g->in_vector = true;
  know(g, variable, (count - 1) * step + 1);
  for (int i = 1 + pick(g, 3); i > 0; i--) {
    if (i > 1 && pick(g, 3) == 0) make_let(g);
    else make_store(g);
  }
  retc_write_end(&g->w);
  uint64_t chance = g->chance;
  retc_writer w = g->w;
  *g = saved;
  g->chance = chance;
  g->w = w;
}

/* Leaves the block: what it defined is gone. */
static void leave(generator *g, int values, int buffers) {
  retc_write_end(&g->w);
  g->value_count = values;
  g->buffer_count = buffers;
}

static void make_loop(generator *g, int depth) {
  int values = g->value_count, buffers = g->buffer_count;
  bool unrolled = pick(g, 2);
  int64_t low = pick(g, 2), count = pick(g, 5), step = 1 + pick(g, 3);
  retc_expr high = integer(g, low + count);
  if (!unrolled && pick(g, 3) == 0) high = op2(g, RETC_KERNEL_OP_ADD, make_index(g, 5, 1), integer(g, low));
  retc_expr variable = retc_write_for(&g->w, "i", unrolled ? RETC_LOOP_UNROLL : RETC_LOOP_SERIAL, integer(g, low), high,
                                      step);
  know(g, variable, 7);
  make_block(g, depth - 1);
  leave(g, values, buffers);
}

static void make_if(generator *g, int depth) {
  int values = g->value_count, buffers = g->buffer_count;
  retc_write_if(&g->w, make_expr(g, RETC_DTYPE_BOOL, 3));
  make_block(g, depth - 1);
  g->value_count = values;
  g->buffer_count = buffers;
  if (pick(g, 2)) {
    retc_write_else(&g->w);
    make_block(g, depth - 1);
  }
  leave(g, values, buffers);
}

/* The buffer is filled before it is known. */
static void make_alloc(generator *g) {
  static const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_F32, RETC_DTYPE_F32, RETC_DTYPE_BF16,
                                      RETC_DTYPE_F16, RETC_DTYPE_F64, RETC_DTYPE_I64, RETC_DTYPE_I32, RETC_DTYPE_BOOL};
  static const int64_t sizes[] = {1, 3, 4, 8, 17, 24, 40};
  if (g->buffer_count == SCOPE_MAX) return;
  int rank = 1 + pick(g, 2);
  int64_t extents[2] = {sizes[pick(g, 7)], sizes[pick(g, 7)]};
  retc_dtype dtype = dtypes[pick(g, 9)];
  known_buffer known = {retc_write_alloc(&g->w, "own", RETC_SCOPE_PRIVATE, dtype, rank, extents), true, true, {{0}}};
  for (int axis = 0; axis < rank; axis++) {
    bool last = axis == rank - 1;
    known.at[axis] = retc_write_for(&g->w, "fill", last ? RETC_LOOP_VECTOR : RETC_LOOP_SERIAL, integer(g, 0),
                                    integer(g, extents[axis]), 1);
  }
  store_value(g, &known);
  for (int axis = 0; axis < rank; axis++) retc_write_end(&g->w);
  known.pinned = false;
  g->buffers[g->buffer_count++] = known;
}

/* A view of a buffer of rank 2 or more, or none: where it begins is left to the caller. */
static const known_buffer *pick_matrix(generator *g, bool accumulator, retc_buffer_id not) {
  int start = pick(g, SCOPE_MAX);
  for (int i = 0; i < g->buffer_count; i++) {
    const known_buffer *known = &g->buffers[(start + i) % g->buffer_count];
    const retc_buffer *buffer = retc_kernel_buffer(g->kernel, known->id);
    bool own = buffer->scope == RETC_SCOPE_PRIVATE && buffer->dtype == RETC_DTYPE_F32;
    if (buffer->shape.rank < 2 || known->id.index == not.index || (accumulator && !own)) continue;
    if (value_dtype(g, known) == RETC_DTYPE_F32) return known;
  }
  return NULL;
}

typedef struct matrix {
  const known_buffer *known;
  int row_axis, column_axis;
  int64_t rows, columns; /* there are */
} matrix;

static matrix open_matrix(generator *g, const known_buffer *known, bool last_columns) {
  const retc_buffer *buffer = retc_kernel_buffer(g->kernel, known->id);
  int rank = buffer->shape.rank, free_axes = is_output(known) && g->row.index;
  matrix m = {known, rank - 2, rank - 1, 0, 0};
  if (!last_columns && pick(g, 2)) m = (matrix){known, rank - 1, rank - 2, 0, 0};
  if (free_axes && rank == 2) return m; /* the rows belong to others */
  m.rows = extent_of(buffer, m.row_axis);
  m.columns = extent_of(buffer, m.column_axis);
  return m;
}

static retc_view make_view(generator *g, const matrix *m, int64_t rows, int64_t columns) {
  retc_expr base[RETC_RANK_MAX];
  make_indices(g, m->known, 1, base);
  base[m->row_axis] = make_index(g, m->rows - rows + 1, 1);
  base[m->column_axis] = make_index(g, m->columns - columns + 1, 1);
  return retc_write_view(&g->w, m->known->id, base, m->row_axis, m->column_axis);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* A row of the product goes where it can be seen: y[row, n] = sum[m, n]. */
static void show_product(generator *g, const known_buffer *sum) {
  const retc_buffer *buffer = retc_kernel_buffer(g->kernel, sum->id);
  int64_t columns = least(buffer->shape.dim[1], parameters[FIRST_OUTPUT - 1].dim[1]);
  retc_expr row = g->row.index ? g->row : integer(g, pick(g, ROWS)), m = integer(g, pick(g, (int)buffer->shape.dim[0]));
  retc_expr n = retc_write_for(&g->w, "n", RETC_LOOP_VECTOR, integer(g, 0), integer(g, columns), 1);
  retc_expr value = retc_expr_load(g->kernel, sum->id, (retc_expr[]){m, n});
  retc_write_store(&g->w, (retc_buffer_id){FIRST_OUTPUT}, (retc_expr[]){row, n}, value);
  retc_write_end(&g->w);
}

/* Products side by side: each into a row of sums of its own. */
static void make_products(generator *g, const matrix *a, const matrix *b, int64_t columns, int64_t depth) {
  const int64_t count = 2 + pick(g, 3);
  retc_expr zero = integer(g, 0);
  retc_buffer_id sums =
      retc_write_alloc(&g->w, "sums", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 3, (int64_t[]){count, 1, columns});
  for (int64_t m = 0; m < count; m++) {
    retc_expr n = retc_write_for(&g->w, "n", RETC_LOOP_VECTOR, zero, integer(g, columns), 1);
    retc_expr first = retc_expr_number(g->kernel, RETC_DTYPE_F32, 0.5 * (double)m);
    retc_write_store(&g->w, sums, (retc_expr[]){integer(g, m), zero, n}, first);
    retc_write_end(&g->w);
  }
  retc_expr q = retc_write_for(&g->w, "q", RETC_LOOP_UNROLL, zero, integer(g, count), 1);
  retc_view to = retc_write_view(&g->w, sums, (retc_expr[]){q, zero, zero}, 1, 2);
  retc_view left = make_view(g, a, 1, depth), right = make_view(g, b, depth, columns);
  retc_write_mma(&g->w, to, left, right, 1, columns, integer(g, depth));
  retc_write_end(&g->w);
  const int64_t shown = least(columns, parameters[FIRST_OUTPUT - 1].dim[1]);
  retc_expr row = g->row.index ? g->row : integer(g, pick(g, ROWS)), m = integer(g, pick(g, (int)count));
  retc_expr n = retc_write_for(&g->w, "n", RETC_LOOP_VECTOR, zero, integer(g, shown), 1);
  retc_expr value = retc_expr_load(g->kernel, sums, (retc_expr[]){m, zero, n});
  retc_write_store(&g->w, (retc_buffer_id){FIRST_OUTPUT}, (retc_expr[]){row, n}, value);
  retc_write_end(&g->w);
}

static void make_mma(generator *g) {
  const known_buffer *sum = pick_matrix(g, true, (retc_buffer_id){0});
  if (!sum) return;
  const known_buffer *left = pick_matrix(g, false, sum->id), *right = pick_matrix(g, false, sum->id);
  if (!left || !right) return;
  matrix c = open_matrix(g, sum, false), a = open_matrix(g, left, false), b = open_matrix(g, right, true);
  int64_t rows = least(c.rows, a.rows), columns = least(c.columns, b.columns), depth = least(a.columns, b.rows);
  if (!rows || !columns || !depth) return;
  rows = least(rows, 1 + pick(g, 7));
  columns -= pick(g, (int)columns);
  if (pick(g, 3) == 0) {
    make_products(g, &a, &b, columns, depth);
    return;
  }
  retc_expr varied = make_index(g, depth + 1, 1);
  retc_view sums = make_view(g, &c, rows, columns), lefts = make_view(g, &a, rows, depth);
  retc_view rights = make_view(g, &b, depth, columns);
  retc_write_mma(&g->w, sums, lefts, rights, rows, columns, pick(g, 2) ? integer(g, depth) : varied);
  show_product(g, sum);
}

static void make_block(generator *g, int depth) {
  for (int i = 1 + pick(g, 4); i > 0 && g->budget > 0; i--) {
    g->budget--;
    switch (pick(g, depth > 0 ? 11 : 8)) {
      case 0: make_let(g); break;
      case 1: make_store(g); break;
      case 2: make_alloc(g); break;
      case 3:
      case 4: make_mma(g); break;
      case 8:
      case 9: make_loop(g, depth); break;
      case 10: make_if(g, depth); break;
      default: make_vector(g); break;
    }
  }
}

/* ---- the kernel around them, and its memory ---- */

static const retc_dims dims = {.value = {[RETC_DIM_B] = ROWS, [RETC_DIM_T] = 9, [RETC_DIM_P] = 130}};

static retc_kernel *make_kernel(const char *name, uint64_t seed) {
  generator g = {.chance = seed, .kernel = retc_kernel_create(name), .budget = 40};
  retc_writer_init(&g.w, g.kernel);
  for (int i = 0; i < PARAMETER_COUNT; i++) {
    const parameter *p = &parameters[i];
    const retc_shape shape = {p->rank, {p->dim[0], p->dim[1], p->dim[2]}};
    bool output = i + 1 >= FIRST_OUTPUT;
    unsigned access = output ? RETC_ACCESS_READ | RETC_ACCESS_WRITE : RETC_ACCESS_READ;
    retc_buffer_id id = retc_write_parameter(&g.w, p->name, p->dtype, &shape, access);
    g.buffers[g.buffer_count++] = (known_buffer){id, false, output, {{0}}};
  }
  know(&g, retc_expr_dim(g.kernel, RETC_NAMED(T)), 10);
  know(&g, retc_expr_dim(g.kernel, RETC_NAMED(P)), 131);
  bool parallel = pick(&g, 3);
  if (parallel) {
    retc_expr high = retc_expr_dim(g.kernel, RETC_NAMED(B));
    g.row = retc_write_for(&g.w, "task", RETC_LOOP_PARALLEL, integer(&g, 0), high, 1);
    know(&g, g.row, ROWS);
  }
  while (g.budget > 0) make_block(&g, 3);
  if (parallel) retc_write_end(&g.w);
  return g.kernel;
}

typedef struct memory {
  void *data[PARAMETER_COUNT];
  int64_t bytes[PARAMETER_COUNT];
} memory;

static double make_number(uint64_t *chance, bool whole) {
  static const double special[] = {0, -0.0, 1, INFINITY, -INFINITY, NAN, 1e-40, 3e38};
  uint64_t r = next_random(chance);
  if (whole) return (double)(r % 1000);
  if (r % 256 == 0) return special[r / 256 % 8];
  return ((double)(r >> 12) / 0x1p51 - 1.0) * (double)(1 << (r % 5));
}

/* k holds 0..1000: it serves as an index. */
static memory memory_init(uint64_t seed) {
  memory m;
  for (int i = 0; i < PARAMETER_COUNT; i++) {
    const parameter *p = &parameters[i];
    const retc_shape shape = {p->rank, {p->dim[0], p->dim[1], p->dim[2]}};
    int64_t count = retc_shape_count(&shape, &dims);
    m.bytes[i] = count * (int64_t)retc_dtype_size(p->dtype);
    m.data[i] = malloc((size_t)m.bytes[i]);
    for (int64_t n = 0; n < count; n++)
      retc_dtype_store(p->dtype, m.data[i], (size_t)n,
                       p->dtype == RETC_DTYPE_BOOL ? (double)(next_random(&seed) % 2)
                                                   : make_number(&seed, !retc_dtype_is_float(p->dtype)));
  }
  return m;
}

static void memory_deinit(memory *m) {
  for (int i = 0; i < PARAMETER_COUNT; i++) free(m->data[i]);
}

/* One NaN is as good as another: which of two is kept is not promised. */
static bool same(retc_dtype dtype, const void *a, const void *b, size_t index) {
  size_t size = retc_dtype_size(dtype);
  if (!memcmp((const char *)a + index * size, (const char *)b + index * size, size)) return true;
  return retc_dtype_is_float(dtype) && isnan(retc_dtype_load(dtype, a, index)) &&
         isnan(retc_dtype_load(dtype, b, index));
}

static void explain(const retc_kernel *kernel, uint64_t seed, const char *words) {
  retc_text text;
  retc_text_init(&text);
  retc_kernel_print(kernel, &text);
  print_error("seed %llu:\n%s\n", (unsigned long long)seed, text.data);
  retc_text_deinit(&text);
  fail_msg("seed %llu: %s", (unsigned long long)seed, words);
}

static void compare(const retc_kernel *kernel, uint64_t seed, const memory *expected, const memory *found,
                    int64_t threads) {
  for (int i = 0; i < PARAMETER_COUNT; i++) {
    size_t size = retc_dtype_size(parameters[i].dtype);
    for (size_t n = 0; n < (size_t)expected->bytes[i] / size; n++) {
      if (same(parameters[i].dtype, expected->data[i], found->data[i], n)) continue;
      char words[256];
      snprintf(words, sizeof words, "element %zu of %s: interpreted %a, compiled with %lld threads %a", n,
               parameters[i].name, retc_dtype_load(parameters[i].dtype, expected->data[i], n), (long long)threads,
               retc_dtype_load(parameters[i].dtype, found->data[i], n));
      explain(kernel, seed, words);
    }
  }
}

/* ---- compiled ---- */

/* The parameters, then B, P and T in the order of the table of dimensions (B is in the shapes, the others are used by
 * some kernels), then scratch, thread, threads. */
#define POINTERS \
  void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *
#define D(i) m->data[i]
#define DATA D(0), D(1), D(2), D(3), D(4), D(5), D(6), D(7), D(8), D(9), D(10), D(11), D(12), D(13)
typedef union function {
  void *address;
  void (*of1)(POINTERS, int64_t, void *, int64_t, int64_t);
  void (*of2)(POINTERS, int64_t, int64_t, void *, int64_t, int64_t);
  void (*of3)(POINTERS, int64_t, int64_t, int64_t, void *, int64_t, int64_t);
} function;

static void call(function f, const retc_kernel *kernel, memory *m, int64_t threads) {
  retc_signature signature = retc_kernel_signature(kernel);
  assert_int_equal(signature.buffer_count, 14);
  int64_t d[3] = {0};
  for (int i = 0; i < signature.dim_count; i++) d[i] = dims.value[signature.dims[i]];
  void *scratch = aligned_alloc(64, (size_t)signature.scratch_bytes + 64);
  memset(scratch, 0xA5, (size_t)signature.scratch_bytes + 64);
  for (int64_t thread = 0; thread < threads; thread++) {
    if (signature.dim_count == 1) f.of1(DATA, d[0], scratch, thread, threads);
    else if (signature.dim_count == 2) f.of2(DATA, d[0], d[1], scratch, thread, threads);
    else f.of3(DATA, d[0], d[1], d[2], scratch, thread, threads);
  }
  free(scratch);
}

static void check_kernel(const retc_kernel *kernel, retc_executable *executable, uint64_t seed) {
  memory expected = memory_init(seed);
  retc_kernel_memory memories[PARAMETER_COUNT] = {{0}};
  for (int i = 0; i < PARAMETER_COUNT; i++)
    memories[i] = (retc_kernel_memory){.data = expected.data[i], .bytes = expected.bytes[i]};
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_kernel_eval(kernel, &dims, memories, PARAMETER_COUNT, &diagnostics) != RETC_OK)
    explain(kernel, seed, retc_diagnostics_text(&diagnostics));
  retc_diagnostics_deinit(&diagnostics);
  function f = {executable->find(executable, kernel->name)};
  assert_non_null(f.address);
  for (int64_t threads = 1; threads <= 3; threads += 2) {
    memory found = memory_init(seed);
    call(f, kernel, &found, threads);
    compare(kernel, seed, &expected, &found, threads);
    memory_deinit(&found);
  }
  memory_deinit(&expected);
}

static void check_module(uint64_t seed, int count, const char *cpu) {
  retc_kernel *kernels[MODULE_KERNELS];
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  for (int i = 0; i < count; i++) {
    char name[32];
    snprintf(name, sizeof name, "probe_%d", i);
    kernels[i] = make_kernel(name, seed + (uint64_t)i);
    if (retc_kernel_verify(kernels[i], &diagnostics) != RETC_OK)
      explain(kernels[i], seed + (uint64_t)i, retc_diagnostics_text(&diagnostics));
  }
  retc_llvm_module *module;
  retc_executable *executable;
  const retc_llvm_options options = {.cpu = cpu};
  if (retc_llvm_compile((const retc_kernel *const *)kernels, (size_t)count, &options, &diagnostics, &module) != RETC_OK)
    fail_msg("%s", retc_diagnostics_text(&diagnostics));
  assert_int_equal(retc_llvm_load(module, &diagnostics, &executable), RETC_OK);
  retc_llvm_module_destroy(module);
  for (int i = 0; i < count; i++) {
    check_kernel(kernels[i], executable, seed + (uint64_t)i);
    retc_kernel_destroy(kernels[i]);
  }
  executable->destroy(executable);
  retc_diagnostics_deinit(&diagnostics);
}

static void test_random(void **state) {
  (void)state;
  for (int done = 0; done < kernel_count; done += MODULE_KERNELS) {
    int count = kernel_count - done < MODULE_KERNELS ? kernel_count - done : MODULE_KERNELS;
    check_module(first_seed + (uint64_t)done, count, NULL);
  }
}

/* Narrower vectors, other remainders. */
static void test_random_narrow(void **state) {
  (void)state;
#ifdef __x86_64__
  check_module(first_seed, MODULE_KERNELS, "x86-64-v3");
#endif
}

int main(int count, char **words) {
  if (count > 1) kernel_count = atoi(words[1]);
  if (count > 2) first_seed = strtoull(words[2], NULL, 10);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_random_narrow)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
