/* Reductions over the last axis, one row a task: 16 strided partial results, element x in partial x mod 16 in order of
 * x, combined by a fixed tree. */
#include <math.h>

#include "compiler/anchors.h"
#include "compiler/gpu.h"

bool retc_anchor_reduce_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  switch (node->op) {
    case RETC_OP_REDUCE_SUM:
    case RETC_OP_REDUCE_MEAN:
    case RETC_OP_REDUCE_MAX:
    case RETC_OP_REDUCE_MIN: return true;
    default: return false;
  }
}

void retc_anchor_reduce_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                 retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

enum { partial_count = RETC_PARTIALS };

static retc_kernel_op combine(retc_op op) {
  if (op == RETC_OP_REDUCE_MAX) return RETC_KERNEL_OP_MAX;
  return op == RETC_OP_REDUCE_MIN ? RETC_KERNEL_OP_MIN : RETC_KERNEL_OP_ADD;
}

static double start_of(retc_op op) {
  if (op == RETC_OP_REDUCE_MAX) return (double)-INFINITY;
  return op == RETC_OP_REDUCE_MIN ? (double)INFINITY : 0;
}

retc_buffer_id retc_lower_partials(retc_lowering *l, retc_dtype dtype, double start) {
  retc_writer *w = &l->writer;
  retc_buffer_id partial = retc_write_alloc(w, "partial", RETC_SCOPE_PRIVATE, dtype, 1, (int64_t[]){partial_count});
  retc_expr zero = retc_int(l, 0);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, partial_count), 1);
  retc_write_store(w, partial, &lane, retc_expr_number(l->kernel, dtype, start));
  retc_write_end(w);
  return partial;
}

retc_expr retc_lower_tree(retc_lowering *l, retc_buffer_id partial, retc_kernel_op combine_op) {
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  for (int64_t half = partial_count / 2; half; half /= 2) {
    retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, half), 1);
    retc_expr other = retc_add(l, lane, retc_int(l, half));
    retc_expr both =
        retc_expr_binary(l->kernel, combine_op, retc_load(l, partial, &lane), retc_load(l, partial, &other));
    retc_write_store(w, partial, &lane, both);
    retc_write_end(w);
  }
  return retc_load(l, partial, &zero);
}

static void write_partials(retc_lowering *l, retc_buffer_id partial, retc_dim extent, retc_index *at, int axis) {
  retc_writer *w = &l->writer;
  const retc_node *node = retc_lower_node(l, l->anchor);
  bool gpu = retc_lower_is_gpu(l), lanes = !gpu && retc_lower_step(l, node->inputs[0]) >= partial_count;
  retc_expr zero = retc_int(l, 0), end = retc_dim_expr(l, extent), slot = zero;
  /* A lane of a GPU sums its partial result up on its own, so it keeps it and reads ahead. */
  if (gpu) slot = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, partial_count), 1);
  if (gpu && (retc_dim_is_named(extent) || extent % partial_count)) end = retc_sub(l, end, slot);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, end, gpu || lanes ? partial_count : 1);
  if (gpu) {
    at[axis] = retc_at(retc_add(l, x, slot));
  } else if (lanes) {
    retc_expr count = retc_int(l, partial_count);
    if (retc_dim_is_named(extent) || extent % partial_count) count = retc_min(l, count, retc_sub(l, end, x));
    slot = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, count, 1);
    at[axis] = (retc_index){x, slot, partial_count};
  } else {
    slot = retc_mod(l, x, retc_int(l, partial_count));
    at[axis] = retc_at(x);
  }
  retc_expr value = retc_lower_value(l, node->inputs[0], at);
  value = retc_expr_binary(l->kernel, combine(node->op), retc_load(l, partial, &slot), value);
  retc_lower_note(l, l->anchor);
  retc_write_store(w, partial, &slot, value);
  retc_write_end(w);
  if (gpu || lanes) retc_write_end(w);
}

retc_status retc_anchor_reduce_lower(retc_lowering *l) {
  retc_writer *w = &l->writer;
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *shape = &retc_lower_node(l, node->inputs[0])->type.shape;
  int axis = shape->rank - 1;
  retc_dtype dtype = node->type.dtype;
  retc_expr zero = retc_int(l, 0);
  retc_expr rows = retc_lower_row_count(l, shape, axis);
  retc_expr row = retc_write_for(w, "row", RETC_LOOP_PARALLEL, zero, rows, 1);
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, shape, axis, row, at);
  retc_buffer_id partial = retc_lower_partials(l, dtype, start_of(node->op));
  write_partials(l, partial, shape->dim[axis], at, axis);
  retc_expr result = retc_lower_tree(l, partial, combine(node->op));
  if (node->op == RETC_OP_REDUCE_MEAN) {
    retc_dim extent = shape->dim[axis];
    retc_expr count = retc_dim_is_named(extent) ? retc_expr_cast(l->kernel, dtype, retc_dim_expr(l, extent))
                                                : retc_real(l, dtype, (double)extent);
    result = retc_div(l, result, count);
  }
  at[axis] = retc_at(zero);
  l->computed = l->anchor;
  l->computed_as = retc_write_let(w, "result", result);
  retc_lower_store_results(l, l->anchor, at);
  retc_write_end(w);
  return l->status;
}
