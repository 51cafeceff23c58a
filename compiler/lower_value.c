/* Elements of values as expressions: loads, constants, trees of pointwise and indexing operations. */
#include <math.h>
#include <string.h>

#include "compiler/lower.h"
#include "ir/kernel_walk.h"
#include "runtime/plan.h"

const retc_node *retc_lower_node(const retc_lowering *l, retc_value value) { return retc_graph_node(l->graph, value); }

bool retc_lower_is_inside(const retc_lowering *l, retc_value value) {
  return retc_lower_node(l, value)->region.index == l->region.index;
}

bool retc_lower_are_inside(const retc_lowering *l, const retc_value *values, int count) {
  int inside = 0;
  while (inside < count && retc_lower_is_inside(l, values[inside])) inside++;
  return inside == count;
}

retc_status retc_lower_refuse(retc_lowering *l, retc_value value, const char *reason) {
  if (l->status != RETC_OK) return l->status;
  const retc_region *region = retc_graph_region(l->graph, l->region);
  return l->status = retc_fail(l->cx->diagnostics, RETC_INVALID, "graph %s: %%%s: %s (region %s, %s)", l->graph->name,
                               retc_lower_node(l, value)->name, reason, region->name, region->anchor);
}

static retc_expr unary(retc_lowering *l, retc_kernel_op op, retc_expr a) { return retc_expr_unary(l->kernel, op, a); }

static retc_expr truth(retc_lowering *l, bool value) {
  return retc_kernel_add_expr(l->kernel,
                              (retc_expr_node){.op = RETC_KERNEL_OP_CONST, .dtype = RETC_DTYPE_BOOL, .integer = value});
}

static retc_expr to_f64(retc_lowering *l, retc_expr a) { return retc_expr_cast(l->kernel, RETC_DTYPE_F64, a); }

/* What stands in two places of an expression gets a name, unless it has one. */
static retc_expr let(retc_lowering *l, const char *name, retc_expr value) {
  switch (retc_kernel_expr(l->kernel, value)->op) {
    case RETC_KERNEL_OP_VARIABLE:
    case RETC_KERNEL_OP_CONST:
    case RETC_KERNEL_OP_DIM: return value;
    default: return retc_write_let(&l->writer, name, value);
  }
}

/* ---- memory ---- */

static retc_expr load_panel(retc_lowering *l, retc_value value, retc_buffer_id buffer, const retc_index *indices) {
  const retc_weight_layout layout = retc_lower_layout(l, value);
  retc_expr row = retc_lower_element(l, indices[0]), column = retc_lower_element(l, indices[1]);
  retc_expr panel = retc_int(l, RETC_PANEL), two = retc_int(l, 2);
  retc_expr at[4] = {retc_div(l, row, panel), column, retc_mod(l, row, panel)};
  if (layout == RETC_LAYOUT_PAIRS) {
    at[1] = retc_div(l, column, two);
    at[3] = retc_mod(l, column, two);
  } else if (layout != RETC_LAYOUT_PANEL) {
    retc_lower_refuse(l, value, "a weight that is packed for products of integers is read by those alone");
  }
  return retc_load(l, buffer, at);
}

static retc_expr load_operand(retc_lowering *l, retc_value value, const retc_index *indices) {
  const retc_node *node = retc_lower_node(l, value);
  retc_buffer_id buffer = retc_lower_buffer(l, value);
  if (retc_lower_layout(l, value) != RETC_LAYOUT_PLAIN) return load_panel(l, value, buffer, indices);
  retc_expr at[RETC_RANK_MAX];
  for (int i = 0; i < node->type.shape.rank; i++) at[i] = retc_lower_element(l, indices[i]);
  return retc_load(l, buffer, at);
}

static retc_expr number_of(retc_lowering *l, retc_dtype dtype, double number) {
  switch (dtype) {
    case RETC_DTYPE_BOOL: return truth(l, number != 0);
    case RETC_DTYPE_I64:
    case RETC_DTYPE_I32: return retc_int(l, (int64_t)number);
    case RETC_DTYPE_F64: return retc_real(l, dtype, number);
    default: return retc_f32(l, number);
  }
}

static retc_expr lower_constant(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  if (node->attributes.dense_count == 1) return number_of(l, node->type.dtype, retc_constant_at(node, 0));
  const retc_shape *shape = &node->type.shape;
  retc_buffer_id buffer = retc_lower_constant(l, "numbers", node->type.dtype, shape, node->attributes.dense);
  retc_expr at[RETC_RANK_MAX];
  for (int i = 0; i < shape->rank; i++) at[i] = retc_lower_element(l, indices[i]);
  return retc_load(l, buffer, at);
}

/* ---- pointwise ---- */

static retc_expr sigmoid(retc_lowering *l, retc_dtype dtype, retc_expr a, retc_expr over) {
  retc_expr grown = unary(l, RETC_KERNEL_OP_EXP, unary(l, RETC_KERNEL_OP_NEG, a));
  return retc_div(l, over, retc_add(l, retc_real(l, dtype, 1), grown));
}

static retc_expr gelu(retc_lowering *l, retc_dtype dtype, retc_expr a) {
  retc_expr erf = unary(l, RETC_KERNEL_OP_ERF, retc_mul(l, a, retc_real(l, dtype, 0.70710678118654752440)));
  return retc_mul(l, retc_mul(l, retc_real(l, dtype, 0.5), a), retc_add(l, retc_real(l, dtype, 1), erf));
}

/* e^(b log |a|) in f64, with the sign that a has when b is odd. */
static retc_expr power(retc_lowering *l, retc_dtype dtype, retc_expr a, retc_expr b) {
  const retc_dtype wide = RETC_DTYPE_F64;
  a = let(l, "base", to_f64(l, a));
  b = let(l, "by", to_f64(l, b));
  retc_expr zero = retc_real(l, wide, 0), half = retc_mul(l, b, retc_real(l, wide, 0.5));
  retc_expr is_whole = retc_equal(l, unary(l, RETC_KERNEL_OP_FLOOR, b), b);
  retc_expr is_even = retc_equal(l, unary(l, RETC_KERNEL_OP_FLOOR, half), half);
  /* The logarithm of what is below 0 is NaN, as the result is to be. */
  retc_expr size = retc_select(l, is_whole, unary(l, RETC_KERNEL_OP_ABS, a), a);
  retc_expr grown = unary(l, RETC_KERNEL_OP_EXP, retc_mul(l, b, unary(l, RETC_KERNEL_OP_LOG, size)));
  grown = let(l, "power", grown);
  retc_expr signed_power = retc_select(l, is_even, grown, unary(l, RETC_KERNEL_OP_NEG, grown));
  retc_expr is_signed = retc_and(l, retc_less(l, a, zero), is_whole);
  retc_expr result = retc_select(l, is_signed, signed_power, grown);
  result = retc_select(l, retc_equal(l, b, zero), retc_real(l, wide, 1), result);
  return retc_expr_cast(l->kernel, dtype, result);
}

static retc_expr cast(retc_lowering *l, retc_dtype dtype, retc_expr a) {
  switch (dtype) {
    case RETC_DTYPE_F16:
    case RETC_DTYPE_BF16: return retc_expr_cast(l->kernel, RETC_DTYPE_F32, a); /* and rounded as it is stored */
    case RETC_DTYPE_I32:
      a = retc_expr_cast(l->kernel, RETC_DTYPE_I64, a);
      return retc_max(l, retc_int(l, INT32_MIN), retc_min(l, retc_int(l, INT32_MAX), a));
    default: return retc_expr_cast(l->kernel, dtype, a);
  }
}

static retc_expr apply(retc_lowering *l, const retc_node *node, retc_expr *in) {
  const retc_dtype dtype = node->type.dtype;
  switch (node->op) {
    case RETC_OP_ADD: return retc_add(l, in[0], in[1]);
    case RETC_OP_SUB: return retc_sub(l, in[0], in[1]);
    case RETC_OP_MUL: return retc_mul(l, in[0], in[1]);
    case RETC_OP_DIV: return retc_div(l, in[0], in[1]);
    case RETC_OP_MIN: return retc_min(l, in[0], in[1]);
    case RETC_OP_MAX: return retc_max(l, in[0], in[1]);
    case RETC_OP_POW: return power(l, dtype, in[0], in[1]);
    case RETC_OP_NEG: return unary(l, RETC_KERNEL_OP_NEG, in[0]);
    case RETC_OP_ABS: return unary(l, RETC_KERNEL_OP_ABS, in[0]);
    case RETC_OP_SQRT: return unary(l, RETC_KERNEL_OP_SQRT, in[0]);
    case RETC_OP_RSQRT: return retc_div(l, retc_real(l, dtype, 1), unary(l, RETC_KERNEL_OP_SQRT, in[0]));
    case RETC_OP_FLOOR: return unary(l, RETC_KERNEL_OP_FLOOR, in[0]);
    case RETC_OP_EXP: return unary(l, RETC_KERNEL_OP_EXP, in[0]);
    case RETC_OP_LOG: return unary(l, RETC_KERNEL_OP_LOG, in[0]);
    case RETC_OP_SIN: return unary(l, RETC_KERNEL_OP_SIN, in[0]);
    case RETC_OP_COS: return unary(l, RETC_KERNEL_OP_COS, in[0]);
    case RETC_OP_TANH: return unary(l, RETC_KERNEL_OP_TANH, in[0]);
    case RETC_OP_SIGMOID: return sigmoid(l, dtype, in[0], retc_real(l, dtype, 1));
    case RETC_OP_RELU: return retc_max(l, in[0], retc_real(l, dtype, 0));
    case RETC_OP_SILU:
      in[0] = let(l, "a", in[0]);
      return sigmoid(l, dtype, in[0], in[0]);
    case RETC_OP_GELU:
      in[0] = let(l, "a", in[0]);
      return gelu(l, dtype, in[0]);
    case RETC_OP_LESS: return retc_less(l, in[0], in[1]);
    case RETC_OP_LESS_EQUAL: return retc_less_equal(l, in[0], in[1]);
    case RETC_OP_EQUAL: return retc_equal(l, in[0], in[1]);
    case RETC_OP_AND: return retc_and(l, in[0], in[1]);
    case RETC_OP_OR: return retc_select(l, in[0], truth(l, true), in[1]);
    case RETC_OP_NOT: return retc_select(l, in[0], truth(l, false), truth(l, true));
    case RETC_OP_SELECT: return retc_select(l, in[0], in[1], in[2]);
    case RETC_OP_COPY: return in[0];
    case RETC_OP_CAST: return cast(l, dtype, in[0]);
    default: return (retc_expr){0};
  }
}

static retc_expr lower(retc_lowering *l, retc_value value, const retc_index *indices);

static retc_expr lower_pointwise(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  retc_expr in[3] = {{0}};
  for (int i = 0; i < node->input_count; i++) {
    retc_index mapped[RETC_RANK_MAX];
    retc_lower_map_broadcast(l, &node->type.shape, &retc_lower_node(l, node->inputs[i])->type.shape, indices, mapped);
    in[i] = lower(l, node->inputs[i], mapped);
  }
  return apply(l, node, in);
}

/* ---- decays ---- */

/* e^(n log_decay[h]); its own case is n = 0, since 0 times -inf is no number. */
static double decay_power(double log_decay, double n) { return n == 0 ? 1 : exp(n * log_decay); }

enum { DECAY_TABLE_MAX = 1 << 22 };

static bool has_table(const retc_node *log_decay, int64_t count) {
  return log_decay->op == RETC_OP_CONST && !retc_dim_is_named(log_decay->type.shape.dim[0]) &&
         count <= DECAY_TABLE_MAX / log_decay->type.shape.dim[0];
}

/* table[h,i] = e^((first + step i) log_decay[h]) */
static retc_buffer_id decay_table(retc_lowering *l, const retc_node *log_decay, int64_t count, int64_t first,
                                  int64_t step) {
  const int64_t heads = log_decay->type.shape.dim[0];
  double *table = RETC_NEW_ARRAY(l->arena, double, heads * count);
  for (int64_t h = 0; h < heads; h++) {
    for (int64_t i = 0; i < count; i++) {
      table[h * count + i] = decay_power(retc_constant_at(log_decay, (size_t)h), (double)(first + step * i));
    }
  }
  retc_shape shape = {.rank = 2, .dim = {heads, count}};
  return retc_lower_constant(l, "decay", RETC_DTYPE_F32, &shape, table);
}

static retc_expr decay_formula(retc_lowering *l, retc_value log_decay, retc_expr head, retc_expr n) {
  retc_index at = retc_at(head);
  retc_expr count = let(l, "count", to_f64(l, n)), rate = to_f64(l, lower(l, log_decay, &at));
  retc_expr grown = unary(l, RETC_KERNEL_OP_EXP, retc_mul(l, count, rate));
  retc_expr is_none = retc_equal(l, count, retc_real(l, RETC_DTYPE_F64, 0));
  retc_expr result = retc_select(l, is_none, retc_real(l, RETC_DTYPE_F64, 1), grown);
  return retc_expr_cast(l->kernel, RETC_DTYPE_F32, result);
}

retc_expr retc_lower_decay(retc_lowering *l, retc_value log_decay, retc_expr head, retc_expr n, int64_t count) {
  const retc_node *node = retc_lower_node(l, log_decay);
  if (!has_table(node, count)) return decay_formula(l, log_decay, head, n);
  return retc_load(l, decay_table(l, node, count, 0, 1), (retc_expr[]){head, n});
}

static retc_expr lower_decay_mask(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  retc_expr h = retc_lower_element(l, indices[0]), i = retc_lower_element(l, indices[1]);
  retc_expr j = retc_lower_element(l, indices[2]), age = retc_max(l, retc_int(l, 0), retc_sub(l, i, j));
  retc_expr value = retc_lower_decay(l, node->inputs[0], h, age, node->attributes.integer[0]);
  return retc_select(l, retc_less_equal(l, j, i), value, retc_f32(l, 0));
}

static retc_expr lower_decay_powers(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  const int64_t *a = node->attributes.integer;
  const retc_node *log_decay = retc_lower_node(l, node->inputs[0]);
  retc_expr h = retc_lower_element(l, indices[0]), i = retc_lower_element(l, indices[1]);
  if (has_table(log_decay, a[0])) {
    return retc_load(l, decay_table(l, log_decay, a[0], a[1], a[2]), (retc_expr[]){h, i});
  }
  return decay_formula(l, node->inputs[0], h, retc_add(l, retc_int(l, a[1]), retc_mul(l, i, retc_int(l, a[2]))));
}

/* ---- the chunk grid ---- */

/* P mod C: the rows of the first chunk that are there already. */
static retc_expr pending_rows(retc_lowering *l, const retc_node *node) {
  retc_expr position = lower(l, node->inputs[1 + (node->op == RETC_OP_CARRY)], NULL);
  return retc_mod(l, position, retc_int(l, node->attributes.integer[0]));
}

static retc_expr lower_chunk(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  const retc_dim T = RETC_NAMED(T);
  retc_expr zero = retc_int(l, 0), row = retc_lower_element(l, indices[2]),
            chunk = retc_int(l, node->attributes.integer[0]);
  retc_expr start = retc_sub(l, retc_mul(l, retc_lower_element(l, indices[1]), chunk), pending_rows(l, node));
  retc_expr t = let(l, "t", retc_add(l, start, row)), last = retc_sub(l, retc_dim_expr(l, T), retc_int(l, 1));
  retc_index at[4] = {indices[0], retc_at(retc_max(l, zero, retc_min(l, t, last))), indices[3], indices[4]};
  retc_expr value = lower(l, node->inputs[0], at), before = retc_f32(l, 0);
  value = retc_select(l, retc_less(l, t, retc_dim_expr(l, T)), value, retc_f32(l, 0));
  if (node->input_count == 3) {
    at[1] = indices[2];
    before = lower(l, node->inputs[2], at);
  }
  return retc_select(l, retc_less(l, t, zero), before, value);
}

static retc_expr lower_unchunk(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  retc_expr chunk = retc_int(l, node->attributes.integer[0]);
  retc_expr row = retc_add(l, retc_lower_element(l, indices[1]), pending_rows(l, node));
  retc_index at[5] = {indices[0], retc_at(retc_div(l, row, chunk)), retc_at(retc_mod(l, row, chunk)), indices[2],
                      indices[3]};
  return lower(l, node->inputs[0], at);
}

static retc_expr lower_carry(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  retc_expr zero = retc_int(l, 0), last = retc_sub(l, retc_dim_expr(l, RETC_NAMED(N)), retc_int(l, 1));
  retc_expr before = retc_mul(l, last, retc_int(l, node->attributes.integer[0]));
  retc_expr present = retc_sub(l, retc_add(l, pending_rows(l, node), retc_dim_expr(l, RETC_NAMED(T))), before);
  retc_index at[5] = {indices[0], retc_at(last), indices[1], indices[2], indices[3]};
  retc_expr kept = retc_select(l, retc_equal(l, last, zero), lower(l, node->inputs[1], indices), retc_f32(l, 0));
  retc_expr is_new = retc_less(l, retc_lower_element(l, indices[1]), present);
  return retc_select(l, is_new, lower(l, node->inputs[0], at), kept);
}

/* ---- indexing ---- */

static retc_expr lower_slice(retc_lowering *l, const retc_node *node, retc_index *indices) {
  const int64_t *a = node->attributes.integer;
  retc_index *index = &indices[a[0]];
  retc_expr step = retc_int(l, a[3]);
  index->base = retc_add(l, retc_mul(l, index->base, step), retc_int(l, a[1]));
  if (index->lane.index) index->lane = retc_mul(l, index->lane, step);
  if (a[3] != 1 || (index->width && a[1] % index->width)) index->width = 0;
  return lower(l, node->inputs[0], indices);
}

/* Each part is read at an index it has; which one counts is chosen afterwards. */
static retc_expr lower_concat(retc_lowering *l, const retc_node *node, retc_index *indices) {
  const int64_t axis = node->attributes.integer[0];
  retc_expr zero = retc_int(l, 0), x = let(l, "x", retc_lower_element(l, indices[axis])), result = {0};
  int64_t end = node->type.shape.dim[axis];
  for (int i = node->input_count - 1; i >= 0; i--) {
    int64_t extent = retc_lower_node(l, node->inputs[i])->type.shape.dim[axis], start = end - extent;
    retc_expr own = retc_min(l, retc_int(l, extent - 1), retc_max(l, zero, retc_sub(l, x, retc_int(l, start))));
    indices[axis] = retc_at(own);
    retc_expr value = lower(l, node->inputs[i], indices);
    result = result.index ? retc_select(l, retc_less(l, x, retc_int(l, end)), value, result) : value;
    end = start;
  }
  return result;
}

/* An id outside the table reads the nearest row. */
static retc_expr lower_gather(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  const retc_shape *table = &retc_lower_node(l, node->inputs[0])->type.shape;
  const int ids = retc_lower_node(l, node->inputs[1])->type.shape.rank;
  retc_expr last = retc_sub(l, retc_dim_expr(l, table->dim[0]), retc_int(l, 1));
  retc_expr id = retc_max(l, retc_int(l, 0), retc_min(l, lower(l, node->inputs[1], indices), last));
  retc_index at[RETC_RANK_MAX] = {retc_at(id)};
  for (int i = 1; i < table->rank; i++) at[i] = indices[ids + i - 1];
  return lower(l, node->inputs[0], at);
}

/* Channel k and the other one of its pair. Of half-split pairs, lots of lanes lie on one side, so that they stay
 * consecutive. */
static retc_expr lower_rotate(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  const int64_t half = node->type.shape.dim[3] / 2;
  const bool split = !strcmp(node->attributes.word, "half");
  const retc_index k = indices[3];
  const bool lots = split && k.width && half % k.width == 0;
  retc_expr zero = retc_int(l, 0), two = retc_int(l, 2), width = retc_int(l, half);
  retc_expr own = let(l, "k", lots ? k.base : retc_lower_element(l, k)), is_second, pair, other;
  if (split) {
    is_second = retc_less_equal(l, width, own);
    pair = retc_sub(l, own, retc_select(l, is_second, width, zero));
    other = retc_select(l, is_second, retc_sub(l, own, width), retc_add(l, own, width));
  } else {
    retc_expr odd = let(l, "odd", retc_mod(l, own, two));
    is_second = retc_equal(l, odd, retc_int(l, 1));
    pair = retc_div(l, own, two);
    other = retc_sub(l, retc_add(l, own, retc_int(l, 1)), retc_mul(l, odd, two));
  }
  retc_index at[4] = {indices[0], indices[1], indices[2], k}, angle[2] = {indices[1], retc_at(pair)};
  retc_expr y = lower(l, node->inputs[0], at);
  at[3] = lots ? (retc_index){other, k.lane, k.width} : retc_at(other);
  if (lots) angle[1] = (retc_index){pair, k.lane, k.width};
  retc_expr z = lower(l, node->inputs[0], at), turned = retc_mul(l, y, lower(l, node->inputs[1], angle));
  retc_expr added = let(l, "turned", retc_mul(l, z, lower(l, node->inputs[2], angle)));
  turned = let(l, "kept", turned);
  return retc_select(l, is_second, retc_add(l, turned, added), retc_sub(l, turned, added));
}

static retc_expr lower_indexing(retc_lowering *l, retc_value value, const retc_index *indices) {
  const retc_node *node = retc_lower_node(l, value);
  const retc_shape *shape = &node->type.shape;
  const int64_t *attributes = node->attributes.integer;
  retc_index mapped[RETC_RANK_MAX];
  for (int i = 0; i < shape->rank; i++) mapped[i] = indices[i];
  switch (node->op) {
    case RETC_OP_RESHAPE:
      retc_lower_map_reshape(l, shape, &retc_lower_node(l, node->inputs[0])->type.shape, indices, mapped);
      break;
    case RETC_OP_REPEAT:
      mapped[attributes[0]] =
          retc_at(retc_div(l, retc_lower_element(l, indices[attributes[0]]), retc_int(l, attributes[1])));
      break;
    case RETC_OP_TRANSPOSE:
      mapped[attributes[0]] = indices[attributes[1]];
      mapped[attributes[1]] = indices[attributes[0]];
      break;
    case RETC_OP_TAIL: {
      retc_expr skipped = retc_sub(l, retc_dim_expr(l, RETC_NAMED(T)), retc_dim_expr(l, RETC_NAMED(L)));
      mapped[1] = (retc_index){retc_add(l, skipped, indices[1].base), indices[1].lane, 0};
      break;
    }
    case RETC_OP_PART:
      if (attributes[0] == 0) break;
      retc_lower_refuse(l, value, "a further result is computed where the first one is");
      return retc_f32(l, 0);
    case RETC_OP_POSITIONS: {
      retc_expr position = retc_add(l, lower(l, node->inputs[0], NULL), retc_lower_element(l, indices[0]));
      return to_f64(l, position);
    }
    case RETC_OP_SLICE: return lower_slice(l, node, mapped);
    case RETC_OP_CONCAT: return lower_concat(l, node, mapped);
    case RETC_OP_GATHER: return lower_gather(l, node, indices);
    case RETC_OP_ROTATE: return lower_rotate(l, node, indices);
    case RETC_OP_CHUNK: return lower_chunk(l, node, indices);
    case RETC_OP_UNCHUNK: return lower_unchunk(l, node, indices);
    case RETC_OP_CARRY: return lower_carry(l, node, indices);
    case RETC_OP_DECAY_MASK: return lower_decay_mask(l, node, indices);
    case RETC_OP_DECAY_POWERS: return lower_decay_powers(l, node, indices);
    default:
      retc_lower_refuse(l, value, "this operation is what a region is built around, and its region has another one");
      return number_of(l, node->type.dtype, 0);
  }
  return lower(l, node->inputs[0], mapped);
}

/* ---- values ---- */

static bool same_expr(const retc_kernel *kernel, retc_expr a, retc_expr b) {
  if (a.index == b.index) return true;
  if (!a.index || !b.index) return false;
  const retc_expr_node *x = retc_kernel_expr(kernel, a), *y = retc_kernel_expr(kernel, b);
  if (x->op != y->op || x->dtype != y->dtype || x->op == RETC_KERNEL_OP_LOAD) return false;
  if (x->integer != y->integer || x->variable.index != y->variable.index) return false;
  if (memcmp(&x->number, &y->number, sizeof x->number) != 0) return false;
  for (int i = 0; i < 3; i++) {
    if (!same_expr(kernel, x->inputs[i], y->inputs[i])) return false;
  }
  return true;
}

static retc_expr find_known(const retc_lowering *l, retc_value value, const retc_index *indices) {
  const int rank = retc_lower_node(l, value)->type.shape.rank;
  for (size_t k = l->known.count; k-- > 0;) {
    const retc_known *known = &l->known.items[k];
    bool same = known->value.index == value.index;
    for (int i = 0; same && i < rank; i++) {
      same = same_expr(l->kernel, known->indices[i].base, indices[i].base) &&
             same_expr(l->kernel, known->indices[i].lane, indices[i].lane);
    }
    if (same) return known->expr;
  }
  return (retc_expr){0};
}

static void remember(retc_lowering *l, retc_value value, const retc_index *indices, retc_expr expr) {
  const int rank = retc_lower_node(l, value)->type.shape.rank;
  retc_index *copy = RETC_NEW_ARRAY(l->arena, retc_index, rank + 1);
  for (int i = 0; i < rank; i++) copy[i] = indices[i];
  RETC_VEC_PUSH(l->arena, l->known, ((retc_known){value, copy, expr}));
}

/* Rounded to a type that only memory holds: f32 and i64 are what expressions have. */
static bool is_rounding(const retc_node *node) {
  const retc_dtype dtype = node->type.dtype;
  return node->op == RETC_OP_CAST && (dtype == RETC_DTYPE_F16 || dtype == RETC_DTYPE_BF16 || dtype == RETC_DTYPE_I32);
}

static retc_expr lower_inside(retc_lowering *l, retc_value value, const retc_index *indices) {
  const retc_node *node = retc_lower_node(l, value);
  retc_expr known = find_known(l, value, indices);
  if (known.index) return known;
  if (is_rounding(node) && value.index != l->stored.index) {
    retc_lower_refuse(l, value, "what is rounded to this type has to be stored, in a region of its own");
  }
  retc_lower_note(l, value);
  const bool pointwise = retc_op_get_info(node->op)->traits & RETC_TRAIT_POINTWISE;
  retc_expr expr = pointwise ? lower_pointwise(l, node, indices) : lower_indexing(l, value, indices);
  if (l->uses[value.index] > 1) {
    expr = let(l, "v", expr);
    remember(l, value, indices, expr);
  }
  return expr;
}

static retc_expr lower(retc_lowering *l, retc_value value, const retc_index *indices) {
  if (l->computed.index && value.index == l->computed.index) return l->computed_as;
  for (int i = 0; i < l->also_count; i++) {
    if (value.index == l->also[i].index) return l->also_as[i];
  }
  const retc_node *node = retc_lower_node(l, value);
  retc_dim_name scalar;
  if (!retc_lower_is_inside(l, value)) {
    return retc_lower_is_scalar(node, &scalar) ? retc_dim_expr(l, ~(retc_dim)scalar) : load_operand(l, value, indices);
  }
  if (node->op == RETC_OP_CONST) return lower_constant(l, node, indices);
  return lower_inside(l, value, indices);
}

retc_expr retc_lower_value(retc_lowering *l, retc_value value, const retc_index *indices) {
  l->known.count = 0;
  return lower(l, value, indices);
}

void retc_lower_note(retc_lowering *l, retc_value value) {
  if (!value.index) return;
  retc_text text;
  retc_text_init(&text);
  retc_value_print(l->graph, value, &text);
  if (text.data) retc_write_computed(&l->writer, text.data);
  retc_text_deinit(&text);
}

void retc_lower_store(retc_lowering *l, retc_value result, const retc_index *indices, retc_expr value) {
  retc_expr at[RETC_RANK_MAX];
  int rank = retc_lower_node(l, result)->type.shape.rank;
  for (int i = 0; i < rank; i++) at[i] = retc_lower_element(l, indices[i]);
  retc_lower_note(l, result);
  retc_write_store(&l->writer, retc_lower_buffer(l, result), at, value);
}

void retc_lower_store_results(retc_lowering *l, retc_value like, const retc_index *indices) {
  for (size_t i = 0; i < l->results.count; i++) {
    retc_value result = l->results.items[i];
    const retc_shape *shape = &retc_lower_node(l, result)->type.shape;
    if (!retc_shape_equal(shape, &retc_lower_node(l, like)->type.shape)) {
      retc_lower_refuse(l, result, "a result of this region is expected to have the shape of what it is built around");
      return;
    }
    l->stored = result;
    retc_lower_store(l, result, indices, retc_lower_value(l, result, indices));
    l->stored = (retc_value){0};
  }
}
