/* A tree of pointwise and indexing operations: one loop over rows, lanes along the last axis. */
#include "compiler/anchors.h"

bool retc_anchor_pointwise_matches(const retc_graph *graph, const retc_node *node) {
  (void)graph;
  return retc_op_get_info(node->op)->traits & (RETC_TRAIT_POINTWISE | RETC_TRAIT_INDEXING);
}

void retc_anchor_pointwise_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                    retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

retc_status retc_anchor_pointwise_lower(retc_lowering *l) {
  retc_writer *w = &l->writer;
  retc_value result = l->results.items[0];
  const retc_shape *shape = &retc_lower_node(l, result)->type.shape;
  int axis = shape->rank - 1;
  bool lanes = axis >= 0 && !retc_dim_is_named(shape->dim[axis]);
  retc_index at[RETC_RANK_MAX];
  retc_expr rows = retc_lower_row_count(l, shape, lanes ? axis : shape->rank);
  retc_expr row = retc_write_for(w, "row", RETC_LOOP_PARALLEL, retc_int(l, 0), rows, 1);
  retc_lower_row(l, shape, lanes ? axis : shape->rank, row, at);
  retc_lanes inner = {{{0}, {0}}, 0};
  if (lanes) {
    inner = retc_lower_lanes(l, "x", shape->dim[axis], retc_lower_step(l, result));
    at[axis] = inner.index;
  }
  retc_lower_store(l, result, at, retc_lower_value(l, result, at));
  retc_lower_lanes_end(l, &inner);
  retc_write_end(w);
  return RETC_OK;
}
