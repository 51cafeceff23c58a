/* Index arithmetic of lowering: views, broadcasting, rows and lanes. */
#include "compiler/gpu.h"

retc_expr retc_lower_element(retc_lowering *l, retc_index index) {
  return index.lane.index ? retc_add(l, index.base, index.lane) : index.base;
}

static retc_index whole(retc_lowering *l, retc_index index) { return retc_at(retc_lower_element(l, index)); }

/* Constant axes out[o..oe) and in[i..ie) hold the same elements: flatten the one, split into the other. Lanes along the
 * last of out stay lanes along the last of in where every piece that these axes are cut into holds whole lots of them.
 */
static void map_group(retc_lowering *l, const retc_shape *out, int o, int oe, const retc_shape *in, int i, int ie,
                      const retc_index *indices, retc_index *mapped) {
  retc_index last = indices[oe - 1];
  const bool even_out = last.width && (oe - o == 1 || out->dim[oe - 1] % last.width == 0);
  const bool even = even_out && in->dim[ie - 1] % last.width == 0;
  if (last.lane.index && ie - i > 1 && !even) last = whole(l, last);
  retc_expr flat = retc_int(l, 0);
  for (int k = o; k < oe; k++) {
    retc_expr own = k + 1 < oe ? retc_lower_element(l, indices[k]) : last.base;
    flat = retc_add(l, retc_mul(l, flat, retc_int(l, out->dim[k])), own);
  }
  for (int k = ie - 1; k > i; k--) {
    retc_expr extent = retc_int(l, in->dim[k]);
    mapped[k] = retc_at(retc_mod(l, flat, extent));
    flat = retc_div(l, flat, extent);
  }
  mapped[i] = retc_at(flat);
  mapped[ie - 1].lane = last.lane;
  mapped[ie - 1].width = even_out ? last.width : 0;
}

void retc_lower_map_reshape(retc_lowering *l, const retc_shape *out, const retc_shape *in, const retc_index *indices,
                            retc_index *mapped) {
  int o = 0, i = 0;
  while (i < in->rank || o < out->rank) {
    if (o < out->rank && out->dim[o] == 1) {
      o++;
    } else if (i < in->rank && in->dim[i] == 1) {
      mapped[i++] = retc_at(retc_int(l, 0));
    } else if (retc_dim_is_named(in->dim[i])) {
      mapped[i++] = indices[o++];
    } else {
      int ie = i + 1, oe = o + 1;
      int64_t in_count = in->dim[i], out_count = out->dim[o];
      while (in_count != out_count) {
        if (in_count < out_count) in_count *= in->dim[ie++];
        else out_count *= out->dim[oe++];
      }
      map_group(l, out, o, oe, in, i, ie, indices, mapped);
      i = ie;
      o = oe;
    }
  }
}

void retc_lower_map_broadcast(retc_lowering *l, const retc_shape *out, const retc_shape *in, const retc_index *indices,
                              retc_index *mapped) {
  for (int i = 0; i < in->rank; i++) {
    mapped[i] = in->dim[i] == 1 ? retc_at(retc_int(l, 0)) : indices[out->rank - in->rank + i];
  }
}

retc_value retc_lower_view(retc_lowering *l, retc_value value, const retc_index *indices, retc_index *out_indices) {
  const retc_node *node = retc_lower_node(l, value);
  if (node->op == RETC_OP_RESHAPE && retc_lower_is_inside(l, value)) {
    retc_index mapped[RETC_RANK_MAX];
    const retc_shape *in = &retc_lower_node(l, node->inputs[0])->type.shape;
    retc_lower_map_reshape(l, &node->type.shape, in, indices, mapped);
    return retc_lower_view(l, node->inputs[0], mapped, out_indices);
  }
  for (int i = 0; i < node->type.shape.rank; i++) out_indices[i] = indices[i];
  return value;
}

/* ---- lanes ---- */

/* With which `node` hands lanes along its last axis on to its operands, when these take `step`. */
static int64_t step_through(const retc_graph *graph, const retc_node *node, int64_t step) {
  const retc_shape *shape = &node->type.shape;
  const int64_t *attributes = node->attributes.integer;
  switch (node->op) {
    case RETC_OP_RESHAPE: {
      const retc_shape *in = &retc_graph_node(graph, node->inputs[0])->type.shape;
      int64_t from = in->rank ? in->dim[in->rank - 1] : 1, to = shape->rank ? shape->dim[shape->rank - 1] : 1;
      bool split = to > 1 && from != to; /* a named last axis stays whole */
      while (split && from % step) step /= 2;
      return step;
    }
    case RETC_OP_REPEAT: return attributes[0] == shape->rank - 1 ? 1 : step;
    case RETC_OP_SLICE:
      while (attributes[0] == shape->rank - 1 && attributes[1] % step) step /= 2;
      return step;
    default: return step;
  }
}

int64_t retc_lower_step(const retc_lowering *l, retc_value value) {
  if (!retc_lower_is_inside(l, value) || value.index == l->computed.index) return 64;
  int64_t *steps = RETC_NEW_ARRAY(l->arena, int64_t, value.index + 1);
  for (uint32_t i = 1; i <= value.index; i++) {
    const retc_node *node = &l->graph->nodes.items[i];
    steps[i] = 64;
    if (node->region.index != l->region.index || i == l->computed.index) continue;
    int64_t step = 64;
    for (int k = 0; k < node->input_count; k++) {
      if (steps[node->inputs[k].index] < step) step = steps[node->inputs[k].index];
    }
    steps[i] = step_through(l->graph, node, step);
  }
  return steps[value.index];
}

retc_lanes retc_lower_lanes(retc_lowering *l, const char *name, retc_dim extent, int64_t step) {
  retc_expr zero = retc_int(l, 0), end = retc_dim_expr(l, extent);
  const bool named = retc_dim_is_named(extent);
  if (retc_lower_is_gpu(l)) { /* a block has lanes for all, each with an index of its own */
    return (retc_lanes){{zero, retc_write_for(&l->writer, name, RETC_LOOP_VECTOR, zero, end, 1), named ? 0 : extent},
                        1};
  }
  if (step == 1) {
    return (retc_lanes){retc_at(retc_write_for(&l->writer, name, RETC_LOOP_SERIAL, zero, end, 1)), 1};
  }
  if (!named && extent <= step) {
    return (retc_lanes){{zero, retc_write_for(&l->writer, name, RETC_LOOP_VECTOR, zero, end, 1), extent}, 1};
  }
  retc_expr base = retc_write_for(&l->writer, name, RETC_LOOP_SERIAL, zero, end, step);
  retc_expr count = retc_int(l, step);
  if (named || extent % step) count = retc_min(l, count, retc_sub(l, end, base));
  return (retc_lanes){{base, retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, zero, count, 1), step}, 2};
}

void retc_lower_lanes_end(retc_lowering *l, const retc_lanes *lanes) {
  for (int i = 0; i < lanes->loops; i++) retc_write_end(&l->writer);
}

/* ---- rows ---- */

retc_expr retc_lower_row_count(retc_lowering *l, const retc_shape *shape, int rank) {
  retc_expr count = retc_int(l, 1);
  for (int i = 0; i < rank; i++) count = retc_mul(l, count, retc_dim_expr(l, shape->dim[i]));
  return count;
}

void retc_lower_row(retc_lowering *l, const retc_shape *shape, int rank, retc_expr row, retc_index *out_indices) {
  for (int i = rank - 1; i > 0; i--) {
    retc_expr extent = retc_dim_expr(l, shape->dim[i]);
    out_indices[i] = retc_at(retc_write_let(&l->writer, "at", retc_mod(l, row, extent)));
    row = retc_write_let(&l->writer, "rest", retc_div(l, row, extent));
  }
  if (rank) out_indices[0] = retc_at(row);
}

void retc_lower_zero(retc_lowering *l, retc_buffer_id buffer, retc_expr rows, retc_expr columns) {
  const retc_dtype dtype = retc_kernel_buffer(l->kernel, buffer)->dtype;
  retc_expr zero = retc_int(l, 0), at[2];
  at[0] = retc_write_for(&l->writer, "i", RETC_LOOP_SERIAL, zero, rows, 1);
  at[1] = retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, zero, columns, 1);
  retc_write_store(&l->writer, buffer, at, retc_real(l, dtype, 0));
  retc_write_end(&l->writer);
  retc_write_end(&l->writer);
}
