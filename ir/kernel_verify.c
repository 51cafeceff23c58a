#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel.h"
#include "ir/kernel_dependence.h"
#include "ir/kernel_walk.h"
#include "ir/lexer.h"

/* Where a variable or private buffer stands while the statements are walked in order. */
typedef enum presence { UNDEFINED, IN_SCOPE, GONE } presence;

typedef struct checker {
  const retc_kernel *kernel;
  retc_diagnostics *diagnostics;
  const retc_statement *statement; /* the one being checked */
  uint32_t number;                 /* of that statement; expressions seen by it carry the number */
  uint32_t *seen;                  /* of each expression */
  presence *variables, *buffers;
  retc_dtype *dtypes; /* of each variable in scope */
  bool has_parallel;
  int grids;      /* grid loops around the statement */
  int lanes;      /* lane loops around it */
  const retc_statement *wave;       /* the wave loop around it, or NULL */
  const retc_statement *element[2]; /* the element loops around it: of rows, of columns */
  bool *unrolled;                   /* of each variable: an unrolled loop's */
  int divergent;  /* ifs and loops around it that the lanes of a block may go through differently */
  bool *per_lane; /* of each variable: lanes may have different values of it */
  retc_arena *arena;
} checker;

static retc_status fail(checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static retc_status fail(checker *c, const char *format, ...) {
  char problem[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(problem, sizeof problem, format, arguments);
  va_end(arguments);
  const retc_kernel_source *source = &c->kernel->source;
  if (!c->statement) {
    return retc_fail(c->diagnostics, source->file_name ? RETC_INVALID : RETC_INTERNAL, "kernel %s: %s", c->kernel->name,
                     problem);
  }
  if (source->file_name) {
    return retc_text_fail(source->text, source->length, source->file_name, c->statement->offset, c->diagnostics,
                          problem);
  }
  retc_text line;
  retc_text_init(&line);
  retc_statement_print_head(c->kernel, c->statement, &line);
  retc_status status = retc_fail(c->diagnostics, RETC_INTERNAL, "kernel %s: %s, in: %s", c->kernel->name, problem,
                                 line.data ? line.data : "");
  retc_text_deinit(&line);
  return status;
}

static bool is_number(retc_dtype dtype) {
  return dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F64 || dtype == RETC_DTYPE_I64;
}

static bool is_real(retc_dtype dtype) { return dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F64; }

static retc_status check_expr(checker *c, retc_expr expr, retc_expr user);

/* The value must have this dtype. */
static retc_status check_value(checker *c, retc_expr expr, retc_dtype expected, const char *what) {
  RETC_TRY(check_expr(c, expr, (retc_expr){0}));
  retc_dtype found = retc_kernel_expr(c->kernel, expr)->dtype;
  if (found == expected) return RETC_OK;
  return fail(c, "%s is %s, expected %s", what, retc_dtype_name(found), retc_dtype_name(expected));
}

static retc_status check_buffer(checker *c, retc_buffer_id id, unsigned access) {
  if (!id.index || id.index >= c->kernel->buffers.count) return fail(c, "no such buffer");
  const retc_buffer *buffer = retc_kernel_buffer(c->kernel, id);
  if (buffer->scope != RETC_SCOPE_GLOBAL)
    return c->buffers[id.index] == IN_SCOPE ? RETC_OK : fail(c, "buffer %s is used out of its scope", buffer->name);
  if ((buffer->access & access) == access) return RETC_OK;
  return fail(c, "parameter %s is not declared %s", buffer->name, access & RETC_ACCESS_WRITE ? "write" : "read");
}

/* An index an axis, i64; constant ones with `length` elements from them on within constant extents. */
static retc_status check_index(checker *c, const retc_buffer *buffer, int axis, retc_expr index, int64_t length) {
  const retc_expr_node *node = retc_kernel_expr(c->kernel, index);
  if (node->dtype != RETC_DTYPE_I64)
    return fail(c, "index %d of %s is %s, expected i64", axis, buffer->name, retc_dtype_name(node->dtype));
  retc_dim extent = buffer->shape.dim[axis];
  if (!retc_dim_is_named(extent) && length > extent)
    return fail(c, "%" PRId64 " elements on axis %d of %s, which has %" PRId64, length, axis, buffer->name, extent);
  if (node->op != RETC_KERNEL_OP_CONST) return RETC_OK;
  if (node->integer < 0 || (!retc_dim_is_named(extent) && node->integer > extent - length))
    return fail(c, "index %" PRId64 " on axis %d of %s is out of bounds", node->integer, axis, buffer->name);
  return RETC_OK;
}

static bool is_constant(const checker *c, retc_expr expr, int64_t value) {
  const retc_expr_node *node = retc_kernel_expr(c->kernel, expr);
  return node->op == RETC_KERNEL_OP_CONST && node->integer == value;
}

static bool is_variable(const checker *c, retc_expr expr, const retc_statement *loop) {
  const retc_expr_node *node = retc_kernel_expr(c->kernel, expr);
  return loop && node->op == RETC_KERNEL_OP_VARIABLE && node->variable.index == loop->variable.index;
}

static bool goes_over(const checker *c, const retc_statement *loop, int64_t count) {
  return loop && loop->step == 1 && is_constant(c, loop->low, 0) && is_constant(c, loop->high, count);
}

/* A wave's own part of a fragment, the same in all of its lanes' registers. */
static retc_status check_part(checker *c, const retc_buffer *buffer, const retc_expr *indices) {
  if (!goes_over(c, c->wave, buffer->shape.dim[0]) || !is_variable(c, indices[0], c->wave)) {
    return fail(c, "fragment %s belongs to wave loops over 0..%" PRId64 ", by their variable", buffer->name,
                buffer->shape.dim[0]);
  }
  for (int axis = 1; axis < buffer->shape.rank - 2; axis++) {
    const retc_expr_node *node = retc_kernel_expr(c->kernel, indices[axis]);
    const bool known = node->op == RETC_KERNEL_OP_CONST ||
                       (node->op == RETC_KERNEL_OP_VARIABLE && c->unrolled[node->variable.index]);
    if (!known)
      return fail(c, "index %d of fragment %s is neither a constant nor an unrolled loop's", axis, buffer->name);
  }
  return RETC_OK;
}

static retc_status check_fragment_element(checker *c, const retc_buffer *buffer, const retc_expr *indices) {
  RETC_TRY(check_part(c, buffer, indices));
  for (int i = 0; i < 2; i++) {
    const int axis = buffer->shape.rank - 2 + i;
    if (goes_over(c, c->element[i], buffer->shape.dim[axis]) && is_variable(c, indices[axis], c->element[i])) continue;
    return fail(c, "index %d of fragment %s is not the variable of an element loop over 0..%" PRId64, axis,
                buffer->name, buffer->shape.dim[axis]);
  }
  return RETC_OK;
}

static retc_status check_access(checker *c, retc_buffer_id id, unsigned access, const retc_expr *indices,
                                retc_expr user) {
  RETC_TRY(check_buffer(c, id, access));
  const retc_buffer *buffer = retc_kernel_buffer(c->kernel, id);
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    RETC_TRY(check_expr(c, indices[axis], user));
    RETC_TRY(check_index(c, buffer, axis, indices[axis], 1));
  }
  const bool of_view = c->statement->kind == RETC_STATEMENT_MMA;
  return buffer->scope == RETC_SCOPE_FRAGMENT && !of_view ? check_fragment_element(c, buffer, indices) : RETC_OK;
}

static retc_status check_leaf(checker *c, const retc_expr_node *node, retc_expr expr) {
  switch (node->op) {
    case RETC_KERNEL_OP_CONST:
      if (!is_number(node->dtype) && node->dtype != RETC_DTYPE_BOOL)
        return fail(c, "a constant of dtype %s", retc_dtype_name(node->dtype));
      return RETC_OK;
    case RETC_KERNEL_OP_DIM:
      if (node->dtype != RETC_DTYPE_I64 || node->integer < 0 || node->integer >= RETC_DIM_COUNT)
        return fail(c, "no such dimension");
      return RETC_OK;
    case RETC_KERNEL_OP_VARIABLE: {
      uint32_t variable = node->variable.index;
      if (!variable || variable >= c->kernel->variables.count) return fail(c, "no such variable");
      if (c->variables[variable] != IN_SCOPE)
        return fail(c, "variable %s is used %s", c->kernel->variables.items[variable],
                    c->variables[variable] == GONE ? "out of its scope" : "before its definition");
      if (c->dtypes[variable] != node->dtype)
        return fail(c, "variable %s is used as %s, it is %s", c->kernel->variables.items[variable],
                    retc_dtype_name(node->dtype), retc_dtype_name(c->dtypes[variable]));
      return RETC_OK;
    }
    case RETC_KERNEL_OP_LOAD:
      RETC_TRY(check_access(c, node->buffer, RETC_ACCESS_READ, node->indices, expr));
      if (node->dtype != retc_buffer_value_dtype(retc_kernel_buffer(c->kernel, node->buffer)))
        return fail(c, "a load gives %s", retc_dtype_name(node->dtype));
      return RETC_OK;
    default: /* CAST */
      if (!is_number(node->dtype)) return fail(c, "a cast to %s", retc_dtype_name(node->dtype));
      return RETC_OK;
  }
}

/* Whether inputs of dtype `in` fit the operation, and give `out`. */
static bool types_fit(const retc_expr_node *node, retc_dtype in, retc_dtype out) {
  switch (retc_kernel_op_get_info(node->op)->result) {
    case RETC_RESULT_same: return in == out && (node->op == RETC_KERNEL_OP_MOD ? in == RETC_DTYPE_I64 : is_number(in));
    case RETC_RESULT_real: return in == out && is_real(in);
    case RETC_RESULT_truth:
      return out == RETC_DTYPE_BOOL && (node->op == RETC_KERNEL_OP_AND ? in == RETC_DTYPE_BOOL : is_number(in));
    case RETC_RESULT_select: return in == out && (is_number(in) || in == RETC_DTYPE_BOOL);
    default: return true;
  }
}

static retc_status check_expr(checker *c, retc_expr expr, retc_expr user) {
  if (!expr.index || expr.index >= c->kernel->exprs.count) return fail(c, "an expression is missing");
  if (user.index && expr.index >= user.index) return fail(c, "an expression uses a later one");
  if (c->seen[expr.index] == c->number) return RETC_OK;
  const retc_expr_node *node = retc_kernel_expr(c->kernel, expr);
  if ((unsigned)node->op >= RETC_KERNEL_OP_COUNT) return fail(c, "no such operation");
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  for (int i = 0; i < info->inputs; i++) RETC_TRY(check_expr(c, node->inputs[i], expr));
  c->seen[expr.index] = c->number;
  if (info->form == RETC_FORM_leaf) return check_leaf(c, node, expr);
  int first = 0;
  if (info->result == RETC_RESULT_select) {
    first = 1;
    if (retc_kernel_expr(c->kernel, node->inputs[0])->dtype != RETC_DTYPE_BOOL)
      return fail(c, "the condition of select is %s, expected bool",
                  retc_dtype_name(retc_kernel_expr(c->kernel, node->inputs[0])->dtype));
  }
  retc_dtype dtype = retc_kernel_expr(c->kernel, node->inputs[first])->dtype;
  for (int i = first + 1; i < info->inputs; i++) {
    retc_dtype other = retc_kernel_expr(c->kernel, node->inputs[i])->dtype;
    if (other != dtype)
      return fail(c, "%s of %s and %s", info->name, retc_dtype_name(dtype), retc_dtype_name(other));
  }
  if (types_fit(node, dtype, node->dtype)) return RETC_OK;
  return fail(c, "%s of %s giving %s", info->name, retc_dtype_name(dtype), retc_dtype_name(node->dtype));
}

static retc_status define(checker *c, retc_variable variable, retc_dtype dtype) {
  if (!variable.index || variable.index >= c->kernel->variables.count) return fail(c, "no such variable");
  if (c->variables[variable.index] != UNDEFINED)
    return fail(c, "variable %s is defined twice", c->kernel->variables.items[variable.index]);
  c->variables[variable.index] = IN_SCOPE;
  c->dtypes[variable.index] = dtype;
  return RETC_OK;
}

static retc_status check_view(checker *c, const char *which, const retc_view *view, unsigned access, int64_t rows,
                              int64_t columns) {
  RETC_TRY(check_access(c, view->buffer, access, view->base, (retc_expr){0}));
  const retc_buffer *buffer = retc_kernel_buffer(c->kernel, view->buffer);
  int rank = buffer->shape.rank;
  if (view->row_axis < 0 || view->row_axis >= rank || view->column_axis < 0 || view->column_axis >= rank ||
      view->row_axis == view->column_axis)
    return fail(c, "view %s has axes %d and %d of %d", which, view->row_axis, view->column_axis, rank);
  RETC_TRY(check_index(c, buffer, view->row_axis, view->base[view->row_axis], rows));
  return check_index(c, buffer, view->column_axis, view->base[view->column_axis], columns);
}

static retc_status check_dtype(checker *c, const char *which, const retc_view *view, const char *expected, bool fits) {
  if (fits) return RETC_OK;
  return fail(c, "view %s is %s, expected %s", which,
              retc_dtype_name(retc_kernel_buffer(c->kernel, view->buffer)->dtype), expected);
}

static retc_status check_dtypes(checker *c, const retc_statement *s) {
  const retc_buffer *left = retc_kernel_buffer(c->kernel, s->a.buffer),
                    *right = retc_kernel_buffer(c->kernel, s->b.buffer);
  static const char wide[] = "a type widened to f32";
  switch (s->form) {
    case RETC_MMA_PAIRS:
    case RETC_MMA_TILES:
      RETC_TRY(check_dtype(c, "a", &s->a, "bf16", left->dtype == RETC_DTYPE_BF16));
      return check_dtype(c, "b", &s->b, "bf16", right->dtype == RETC_DTYPE_BF16);
    case RETC_MMA_INTEGERS:
      RETC_TRY(check_dtype(c, "a", &s->a, "i8", left->dtype == RETC_DTYPE_I8));
      return check_dtype(c, "b", &s->b, "u8 or u4x2", right->dtype == RETC_DTYPE_U8 || right->dtype == RETC_DTYPE_U4X2);
    default:
      RETC_TRY(check_dtype(c, "a", &s->a, wide, retc_buffer_value_dtype(left) == RETC_DTYPE_F32));
      return check_dtype(c, "b", &s->b, wide, retc_buffer_value_dtype(right) == RETC_DTYPE_F32);
  }
}

/* b's columns are its last axis, or the one before the numbers that are packed together; a's depth lies together, too,
 * where these are read at once. */
static retc_status check_packing(checker *c, const retc_statement *s, int64_t depth, int64_t pack) {
  const retc_buffer *left = retc_kernel_buffer(c->kernel, s->a.buffer),
                    *right = retc_kernel_buffer(c->kernel, s->b.buffer);
  const int last = right->shape.rank - 1;
  if (pack == 1) {
    return s->b.column_axis == last ? RETC_OK : fail(c, "the columns of b must be its last axis");
  }
  const int64_t together = pack > 4 ? 4 : pack, step = retc_mma_step(s->form, right->dtype);
  if (depth % step) return fail(c, "the depth must be a multiple of %d", (int)step);
  if (s->form == RETC_MMA_TILES && s->c.column_axis != retc_kernel_buffer(c->kernel, s->c.buffer)->shape.rank - 1) {
    return fail(c, "the columns of c must be its last axis");
  }
  if (s->b.column_axis != last - 1 || s->b.row_axis >= last || right->shape.dim[last] != together) {
    return fail(c, "the columns of b must be its last axis but one, and that of extent %d", (int)together);
  }
  const retc_expr_node *base = retc_kernel_expr(c->kernel, s->b.base[last]);
  if (base->op != RETC_KERNEL_OP_CONST || base->integer != 0) return fail(c, "b must begin at 0 of its last axis");
  if (s->a.column_axis != left->shape.rank - 1) return fail(c, "the columns of a must be its last axis");
  return RETC_OK;
}

/* c of a product in a wave loop: shared memory, or a fragment as a whole. */
static retc_status check_wave_sums(checker *c, const retc_statement *s) {
  const retc_buffer *sums = retc_kernel_buffer(c->kernel, s->c.buffer);
  const int rows = sums->shape.rank - 2, columns = sums->shape.rank - 1;
  if (sums->scope != RETC_SCOPE_FRAGMENT) return RETC_OK;
  const bool begins = is_constant(c, s->c.base[rows], 0) && is_constant(c, s->c.base[columns], 0);
  const bool lies = s->c.row_axis == rows && s->c.column_axis == columns;
  if (!begins || !lies || s->rows != sums->shape.dim[rows] || s->columns != sums->shape.dim[columns])
    return fail(c, "fragment %s is not taken whole", sums->name);
  return check_part(c, sums, s->c.base);
}

/* a where it has a number of rows. */
static retc_status check_rows(checker *c, const retc_statement *s) {
  if (!s->row_count.index) return RETC_OK;
  const retc_buffer *rows = retc_kernel_buffer(c->kernel, s->a.buffer);
  const int last = rows->shape.rank - 1;
  RETC_TRY(check_value(c, s->row_count, RETC_DTYPE_I64, "the number of rows"));
  if (s->a.row_axis != last - 1 || s->a.column_axis != last)
    return fail(c, "the axes of a with a number of rows must be its last two");
  const bool halves = rows->dtype == RETC_DTYPE_BF16 || rows->dtype == RETC_DTYPE_F16;
  if (!halves || retc_kernel_buffer(c->kernel, s->c.buffer)->scope != RETC_SCOPE_FRAGMENT)
    return fail(c, "a number of rows goes with bf16 or f16, and with a fragment for c");
  return RETC_OK;
}

static retc_status check_mma(checker *c, const retc_statement *s) {
  if (s->rows < 1 || s->columns < 1) return fail(c, "rows and columns must be at least 1");
  RETC_TRY(check_value(c, s->depth, RETC_DTYPE_I64, "the depth"));
  const retc_expr_node *node = retc_kernel_expr(c->kernel, s->depth);
  int64_t depth = node->op == RETC_KERNEL_OP_CONST ? node->integer : 0;
  if (depth < 0) return fail(c, "the depth is negative");
  RETC_TRY(check_view(c, "c", &s->c, RETC_ACCESS_READ | RETC_ACCESS_WRITE, s->rows, s->columns));
  RETC_TRY(check_view(c, "a", &s->a, RETC_ACCESS_READ, s->row_count.index ? 1 : s->rows, depth));
  const retc_dtype sum = s->form == RETC_MMA_INTEGERS ? RETC_DTYPE_I32 : RETC_DTYPE_F32;
  const int64_t pack = retc_mma_pack(s->form, retc_kernel_buffer(c->kernel, s->b.buffer)->dtype);
  RETC_TRY(check_view(c, "b", &s->b, RETC_ACCESS_READ, depth / pack, s->columns));
  const retc_buffer *accumulator = retc_kernel_buffer(c->kernel, s->c.buffer);
  const bool of_block = accumulator->scope == RETC_SCOPE_SHARED || accumulator->scope == RETC_SCOPE_FRAGMENT;
  if (!(c->wave ? of_block : accumulator->scope == RETC_SCOPE_PRIVATE) || accumulator->dtype != sum)
    return fail(c, "c must be %s and %s", c->wave ? "shared, in a wave loop," : "private", retc_dtype_name(sum));
  RETC_TRY(check_wave_sums(c, s));
  RETC_TRY(check_rows(c, s));
  RETC_TRY(check_dtypes(c, s));
  if (s->c.buffer.index == s->a.buffer.index || s->c.buffer.index == s->b.buffer.index)
    return fail(c, "c must be another buffer than a and b");
  for (int i = 0; i < 2; i++) {
    const retc_buffer *operand = retc_kernel_buffer(c->kernel, i ? s->b.buffer : s->a.buffer);
    if (operand->scope == RETC_SCOPE_FRAGMENT) return fail(c, "fragment %s is an operand", operand->name);
  }
  return c->wave && pack == 1 ? RETC_OK : check_packing(c, s, depth, pack);
}

static retc_status check_alloc(checker *c, const retc_statement *s) {
  if (!s->buffer.index || s->buffer.index >= c->kernel->buffers.count) return fail(c, "no such buffer");
  const retc_buffer *buffer = retc_kernel_buffer(c->kernel, s->buffer);
  if (buffer->scope == RETC_SCOPE_GLOBAL) return fail(c, "a parameter is not allocated");
  if (c->buffers[s->buffer.index] != UNDEFINED) return fail(c, "buffer %s is allocated twice", buffer->name);
  if (buffer->scope == RETC_SCOPE_SHARED && !c->grids) return fail(c, "shared memory outside a grid loop");
  const int rank = buffer->shape.rank;
  const retc_dim *dim = buffer->shape.dim;
  bool sized = rank >= 3 && dim[0] % RETC_FRAGMENT_WAVES == 0;
  for (int i = 1; sized && i <= 2; i++) sized = dim[rank - i] % RETC_FRAGMENT_SIDE == 0;
  if (buffer->scope == RETC_SCOPE_FRAGMENT && (!c->grids || c->lanes || !sized || buffer->dtype != RETC_DTYPE_F32))
    return fail(c, "a fragment is f32[waves, ..., rows, columns] outside of lane loops, of multiples of 8 and 16");
  if (retc_buffer_private_bytes(buffer) < 0) return fail(c, "the shape must be constant and of a sensible size");
  c->buffers[s->buffer.index] = IN_SCOPE;
  return RETC_OK;
}

static bool differs_by_lane(const checker *c, retc_expr expr) {
  if (!expr.index || !c->grids) return false;
  const retc_expr_node *node = retc_kernel_expr(c->kernel, expr);
  if (node->op == RETC_KERNEL_OP_VARIABLE) return c->per_lane[node->variable.index];
  for (int i = 0; i < 3; i++) {
    if (differs_by_lane(c, node->inputs[i])) return true;
  }
  if (node->op != RETC_KERNEL_OP_LOAD) return false;
  const retc_buffer *buffer = retc_kernel_buffer(c->kernel, node->buffer);
  if (buffer->scope == RETC_SCOPE_PRIVATE || buffer->scope == RETC_SCOPE_FRAGMENT) return true;
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    if (differs_by_lane(c, node->indices[axis])) return true;
  }
  return false;
}

static retc_status check_dependence(checker *c, const retc_statement *loop) {
  retc_dependence found = retc_kernel_find_dependence(c->kernel, loop, c->arena);
  if (!found.statement) return RETC_OK;
  c->statement = found.statement;
  return fail(c, "buffer %s is %s", found.buffer, found.problem);
}

/* A parallel loop stands alone at the top, with nothing but lets before it. */
static retc_status check_parallel(checker *c, int depth) {
  if (depth > 0) return fail(c, "a parallel loop must be outermost");
  if (c->has_parallel) return fail(c, "a second parallel loop");
  const retc_block *top = &c->kernel->body;
  for (size_t i = 0; i < top->statements.count; i++) {
    const retc_statement *other = top->statements.items[i];
    if (other != c->statement && other->kind != RETC_STATEMENT_LET)
      return fail(c, "beside the parallel loop there may only be lets");
  }
  if (top->statements.items[top->statements.count - 1] != c->statement) return fail(c, "a let after the parallel loop");
  c->has_parallel = true;
  return RETC_OK;
}

/* Two of them, the inner one all that the outer one holds. */
static retc_status check_element_loop(checker *c, const retc_statement *s) {
  const retc_expr_node *high = retc_kernel_expr(c->kernel, s->high);
  if (!c->wave || c->element[1]) return fail(c, "element loops stand in a wave loop, by twos");
  if (!goes_over(c, s, high->integer) || high->op != RETC_KERNEL_OP_CONST || high->integer % RETC_FRAGMENT_SIDE)
    return fail(c, "an element loop goes over 0..n, n a multiple of %d", RETC_FRAGMENT_SIDE);
  if (c->element[0]) return RETC_OK;
  const retc_statement *inner = s->body.statements.count == 1 ? s->body.statements.items[0] : NULL;
  if (!inner || inner->kind != RETC_STATEMENT_FOR || inner->loop != RETC_LOOP_ELEMENT)
    return fail(c, "an element loop of rows holds one of columns, and nothing else");
  return RETC_OK;
}

static retc_status check_loop(checker *c, const retc_statement *s, int depth) {
  if ((unsigned)s->loop >= RETC_LOOP_KIND_COUNT) return fail(c, "no such kind of loop");
  if (s->step < 1 || s->step > INT32_MAX) return fail(c, "the step is %" PRId64 ", expected 1 to 2^31 - 1", s->step);
  RETC_TRY(check_value(c, s->low, RETC_DTYPE_I64, "the lower bound"));
  RETC_TRY(check_value(c, s->high, RETC_DTYPE_I64, "the upper bound"));
  if (s->loop == RETC_LOOP_PARALLEL) RETC_TRY(check_parallel(c, depth));
  if (s->loop >= RETC_LOOP_LANE && !c->grids) {
    return fail(c, "a %s loop outside a grid loop", retc_loop_kind_name(s->loop));
  }
  if (s->loop >= RETC_LOOP_LANE && c->wave)
    return fail(c, "a %s loop within a wave loop", retc_loop_kind_name(s->loop));
  if (s->loop == RETC_LOOP_WAVE && c->lanes) return fail(c, "a wave loop within a lane loop");
  if (s->loop == RETC_LOOP_UNROLL && (retc_kernel_expr(c->kernel, s->low)->op != RETC_KERNEL_OP_CONST ||
                                      retc_kernel_expr(c->kernel, s->high)->op != RETC_KERNEL_OP_CONST))
    return fail(c, "the bounds of an unrolled loop must be constant");
  if (s->loop == RETC_LOOP_ELEMENT) RETC_TRY(check_element_loop(c, s));
  else if (c->element[0]) return fail(c, "a %s loop within an element loop", retc_loop_kind_name(s->loop));
  for (size_t i = 0; s->loop == RETC_LOOP_VECTOR && i < s->body.statements.count; i++) {
    retc_statement_kind kind = s->body.statements.items[i]->kind;
    if (kind != RETC_STATEMENT_LET && kind != RETC_STATEMENT_STORE)
      return fail(c, "a vector loop may only hold let and store");
  }
  return define(c, s->variable, RETC_DTYPE_I64);
}

static retc_status check_block(checker *c, const retc_block *block, int depth);

static retc_status check_for_body(checker *c, const retc_statement *s, int depth) {
  bool differs = differs_by_lane(c, s->low) || differs_by_lane(c, s->high);
  const int axis = c->element[0] ? 1 : 0;
  if (s->loop == RETC_LOOP_ELEMENT) c->element[axis] = s;
  c->unrolled[s->variable.index] = s->loop == RETC_LOOP_UNROLL;
  c->per_lane[s->variable.index] = differs || s->loop >= RETC_LOOP_LANE || s->loop == RETC_LOOP_ELEMENT;
  c->lanes += s->loop == RETC_LOOP_LANE;
  if (s->loop == RETC_LOOP_WAVE) c->wave = s;
  c->grids += s->loop == RETC_LOOP_GRID;
  c->divergent += differs;
  RETC_TRY(check_block(c, &s->body, depth + 1));
  c->divergent -= differs;
  c->grids -= s->loop == RETC_LOOP_GRID;
  c->lanes -= s->loop == RETC_LOOP_LANE;
  if (s->loop == RETC_LOOP_WAVE) c->wave = NULL;
  if (s->loop == RETC_LOOP_ELEMENT) c->element[axis] = NULL;
  c->variables[s->variable.index] = GONE;
  return s->loop == RETC_LOOP_PARALLEL ? check_dependence(c, s) : RETC_OK;
}

static retc_status check_branches(checker *c, const retc_statement *s, int depth) {
  bool differs = differs_by_lane(c, s->value);
  c->divergent += differs;
  RETC_TRY(check_block(c, &s->body, depth + 1));
  RETC_TRY(check_block(c, &s->other, depth + 1));
  c->divergent -= differs;
  return RETC_OK;
}

static retc_status check_statement(checker *c, const retc_statement *s, int depth) {
  c->statement = s;
  c->number++;
  const bool store = s->kind == RETC_STATEMENT_STORE && !c->element[1];
  if (c->wave && (store || s->kind == RETC_STATEMENT_ALLOC || s->kind == RETC_STATEMENT_BARRIER))
    return fail(c, "a wave loop holds only let, if, loops and mma, and stores in element loops");
  if (c->element[0] && s->kind == RETC_STATEMENT_MMA) return fail(c, "a mma in an element loop");
  switch (s->kind) {
    case RETC_STATEMENT_FOR:
      RETC_TRY(check_loop(c, s, depth));
      return check_for_body(c, s, depth);
    case RETC_STATEMENT_IF:
      RETC_TRY(check_value(c, s->value, RETC_DTYPE_BOOL, "the condition"));
      return check_branches(c, s, depth);
    case RETC_STATEMENT_LET:
      RETC_TRY(check_expr(c, s->value, (retc_expr){0}));
      c->per_lane[s->variable.index < c->kernel->variables.count ? s->variable.index : 0] =
          differs_by_lane(c, s->value);
      return define(c, s->variable, retc_kernel_expr(c->kernel, s->value)->dtype);
    case RETC_STATEMENT_STORE:
      RETC_TRY(check_access(c, s->buffer, RETC_ACCESS_WRITE, s->indices, (retc_expr){0}));
      return check_value(c, s->value, retc_buffer_value_dtype(retc_kernel_buffer(c->kernel, s->buffer)), "the value");
    case RETC_STATEMENT_ALLOC: return check_alloc(c, s);
    case RETC_STATEMENT_BARRIER:
      if (!c->grids) return fail(c, "a barrier outside a grid loop");
      return c->divergent ? fail(c, "a barrier where some lanes of a block may not come by") : RETC_OK;
    case RETC_STATEMENT_MMA: return check_mma(c, s);
  }
  return fail(c, "no such statement");
}

/* What a block defines is gone at its end. */
static retc_status check_block(checker *c, const retc_block *block, int depth) {
  for (size_t i = 0; i < block->statements.count; i++)
    RETC_TRY(check_statement(c, block->statements.items[i], depth));
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_LET) c->variables[s->variable.index] = GONE;
    if (s->kind == RETC_STATEMENT_ALLOC) c->buffers[s->buffer.index] = GONE;
  }
  return RETC_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Buffers and variables share one space of names. */
static retc_status check_names(checker *c, retc_arena *arena) {
  const retc_kernel *kernel = c->kernel;
  const char **names = RETC_NEW_ARRAY(arena, const char *, kernel->variables.count + kernel->buffers.count);
  size_t count = 0;
  for (size_t i = 1; i < kernel->variables.count; i++) names[count++] = kernel->variables.items[i];
  for (size_t i = 1; i < kernel->buffers.count; i++) names[count++] = kernel->buffers.items[i].name;
  if (count) qsort(names, count, sizeof *names, compare_names);
  for (size_t i = 1; i < count; i++)
    if (!strcmp(names[i - 1], names[i])) return fail(c, "the name %s stands for two things", names[i]);
  return RETC_OK;
}

static retc_status check_parameters(checker *c) {
  for (size_t i = 1; i < c->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &c->kernel->buffers.items[i];
    if (buffer->shape.rank < 0 || buffer->shape.rank > RETC_RANK_MAX)
      return fail(c, "%s has %d axes", buffer->name, buffer->shape.rank);
    for (int axis = 0; axis < buffer->shape.rank; axis++) {
      retc_dim dim = buffer->shape.dim[axis];
      if (retc_dim_is_named(dim) && (~dim >= RETC_DIM_COUNT || !retc_dim_is_axis((retc_dim_name)~dim)))
        return fail(c, "axis %d of %s has no valid extent", axis, buffer->name);
    }
  }
  return RETC_OK;
}

/* What is said of a product is so of its parameters. */
static retc_status check_product(const checker *c) {
  const retc_buffer *of[3] = {NULL};
  int count = 0;
  for (size_t i = 1; i < c->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &c->kernel->buffers.items[i];
    if (buffer->scope != RETC_SCOPE_GLOBAL) continue;
    if (count < 3) of[count] = buffer;
    count++;
  }
  bool fits = count == 3 && of[0]->shape.rank == 2 && of[1]->shape.rank >= 2 && of[1]->shape.rank == of[2]->shape.rank;
  if (fits) {
    const int last = of[1]->shape.rank - 1;
    for (int i = 0; i < last; i++) fits &= of[1]->shape.dim[i] == of[2]->shape.dim[i];
    fits &= of[1]->shape.dim[last] == of[0]->shape.dim[1] && of[2]->shape.dim[last] == of[0]->shape.dim[0];
    fits &= of[0]->dtype == of[1]->dtype && of[2]->dtype == RETC_DTYPE_F32;
    fits &= of[0]->access == RETC_ACCESS_READ && of[1]->access == RETC_ACCESS_READ;
    fits &= of[2]->access == RETC_ACCESS_WRITE;
  }
  if (fits) return RETC_OK;
  return retc_fail(c->diagnostics, RETC_INVALID,
                   "kernel %s: a product is expected to read [N,K] and [..,K] of one type and to write f32[..,N]",
                   c->kernel->name);
}

retc_status retc_kernel_verify(const retc_kernel *kernel, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  checker c = {
    .kernel = kernel,
    .diagnostics = diagnostics,
    .seen = RETC_NEW_ARRAY(&arena, uint32_t, kernel->exprs.count),
    .variables = RETC_NEW_ARRAY(&arena, presence, kernel->variables.count),
    .buffers = RETC_NEW_ARRAY(&arena, presence, kernel->buffers.count),
    .dtypes = RETC_NEW_ARRAY(&arena, retc_dtype, kernel->variables.count),
    .per_lane = RETC_NEW_ARRAY(&arena, bool, kernel->variables.count),
    .unrolled = RETC_NEW_ARRAY(&arena, bool, kernel->variables.count),
    .arena = &arena,
  };
  retc_status status = check_parameters(&c);
  if (status == RETC_OK && kernel->product) status = check_product(&c);
  if (status == RETC_OK) status = check_names(&c, &arena);
  if (status == RETC_OK) status = check_block(&c, &kernel->body, 0);
  retc_arena_deinit(&arena);
  return status;
}
