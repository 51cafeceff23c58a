/* Values written one behind the other: each part has loops of its own, so that no element chooses its part. */
#include "compiler/anchors.h"

bool retc_anchor_concat_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  return node->op == RETC_OP_CONCAT;
}

void retc_anchor_concat_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                 retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

/* Lanes along the last axis of part `i`; `at` is the place in the part, but for the last axis. `start`: where the part
 * begins along `axis` of the whole. */
static void write_part(retc_lowering *l, int i, int axis, int64_t start, const retc_index *at) {
  const retc_value part = retc_lower_node(l, l->anchor)->inputs[i];
  const retc_shape *shape = &retc_lower_node(l, part)->type.shape;
  const int last = shape->rank - 1;
  retc_index own[RETC_RANK_MAX], whole[RETC_RANK_MAX];
  for (int k = 0; k < last; k++) own[k] = whole[k] = at[k];
  retc_lanes lanes = retc_lower_lanes(l, "x", shape->dim[last], retc_lower_step(l, part));
  own[last] = whole[last] = lanes.index;
  whole[axis] = (retc_index){retc_add(l, own[axis].base, retc_int(l, start)), own[axis].lane, 0};
  l->computed_as = retc_lower_value(l, part, own);
  retc_lower_note(l, l->anchor);
  retc_lower_store_results(l, l->anchor, whole);
  retc_lower_lanes_end(l, &lanes);
}

retc_status retc_anchor_concat_lower(retc_lowering *l) {
  retc_writer *w = &l->writer;
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *shape = &node->type.shape;
  const int axis = (int)node->attributes.integer[0], last = shape->rank - 1;
  retc_index at[RETC_RANK_MAX];
  l->computed = l->anchor;
  retc_expr rows = retc_lower_row_count(l, shape, last);
  retc_expr row = retc_write_for(w, "row", RETC_LOOP_PARALLEL, retc_int(l, 0), rows, 1);
  retc_lower_row(l, shape, last, row, at);
  int64_t start = 0;
  for (int i = 0; i < node->input_count; i++) {
    int64_t extent = retc_lower_node(l, node->inputs[i])->type.shape.dim[axis];
    retc_expr x = at[axis].base, from = retc_int(l, start);
    if (axis != last) {
      retc_expr behind = retc_less_equal(l, from, x), before = retc_less(l, x, retc_int(l, start + extent));
      retc_write_if(w, retc_and(l, behind, before));
      retc_index own[RETC_RANK_MAX];
      for (int k = 0; k < last; k++) own[k] = at[k];
      own[axis] = retc_at(retc_write_let(w, "own", retc_sub(l, x, from)));
      write_part(l, i, axis, start, own);
      retc_write_end(w);
    } else {
      write_part(l, i, axis, start, at);
    }
    start += extent;
  }
  retc_write_end(w);
  return l->status;
}
