/* A tree of pointwise and indexing operations: one loop over rows, lanes along the last axis. */
#include "compiler/anchors.h"

bool retc_anchor_pointwise_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  if (retc_op_get_info(node->op)->traits & (RETC_TRAIT_POINTWISE | RETC_TRAIT_INDEXING)) return true;
  return node->op == RETC_OP_DECAY_MASK || node->op == RETC_OP_DECAY_POWERS;
}

void retc_anchor_pointwise_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                    retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

static const retc_shape *shape_of(const retc_lowering *l, size_t result) {
  return &retc_lower_node(l, l->results.items[result])->type.shape;
}

/* Row `row` of the results first..end, which have one shape. */
static void write_row(retc_lowering *l, size_t first, size_t end, retc_expr row) {
  const retc_shape *shape = shape_of(l, first);
  const int axis = shape->rank - 1;
  retc_index at[RETC_RANK_MAX];
  retc_lanes lanes = {.loops = 0};
  if (axis >= 0) {
    retc_lower_row(l, shape, axis, row, at);
    int64_t step = 64;
    for (size_t i = first; i < end; i++) {
      int64_t own = retc_lower_step(l, l->results.items[i]);
      if (own < step) step = own;
    }
    lanes = retc_lower_lanes(l, "x", shape->dim[axis], step);
    at[axis] = lanes.index;
  }
  for (size_t i = first; i < end; i++) {
    l->stored = l->results.items[i];
    retc_lower_store(l, l->stored, at, retc_lower_value(l, l->stored, at));
  }
  l->stored = (retc_value){0};
  retc_lower_lanes_end(l, &lanes);
}

static retc_expr count_rows(retc_lowering *l, size_t result) {
  const retc_shape *shape = shape_of(l, result);
  return retc_lower_row_count(l, shape, shape->rank ? shape->rank - 1 : 0);
}

/* Results of different shapes: the rows of all, one result's behind the other's. */
static void write_unlike(retc_lowering *l) {
  retc_writer *w = &l->writer;
  retc_expr *starts = RETC_NEW_ARRAY(l->arena, retc_expr, l->results.count + 1);
  starts[0] = retc_int(l, 0);
  for (size_t i = 0; i < l->results.count; i++) {
    starts[i + 1] = retc_write_let(w, "rows", retc_add(l, starts[i], count_rows(l, i)));
  }
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, starts[0], starts[l->results.count], 1);
  for (size_t i = 0; i < l->results.count; i++) {
    retc_expr behind = retc_less_equal(l, starts[i], task), before = retc_less(l, task, starts[i + 1]);
    retc_write_if(w, retc_and(l, behind, before));
    write_row(l, i, i + 1, retc_write_let(w, "row", retc_sub(l, task, starts[i])));
    retc_write_end(w);
  }
  retc_write_end(w);
}

retc_status retc_lower_elements(retc_lowering *l) {
  retc_writer *w = &l->writer;
  bool alike = true;
  for (size_t i = 1; i < l->results.count; i++) alike = alike && retc_shape_equal(shape_of(l, 0), shape_of(l, i));
  if (!alike) {
    write_unlike(l);
    return l->status;
  }
  write_row(l, 0, l->results.count, retc_write_for(w, "row", RETC_LOOP_PARALLEL, retc_int(l, 0), count_rows(l, 0), 1));
  retc_write_end(w);
  return l->status;
}

retc_status retc_anchor_pointwise_lower(retc_lowering *l) { return retc_lower_elements(l); }
