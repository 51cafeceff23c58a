#include "compiler/lower.h"
#include "runtime/plan.h"

const retc_node *retc_lower_node(const retc_lowering *l, retc_value value) { return retc_graph_node(l->graph, value); }

bool retc_lower_is_inside(const retc_lowering *l, retc_value value) {
  return retc_lower_node(l, value)->region.index == l->region.index;
}

static retc_expr element(retc_lowering *l, retc_index index) {
  return index.lane.index ? retc_add(l, index.base, index.lane) : index.base;
}

static retc_expr load_panel(retc_lowering *l, retc_buffer_id buffer, const retc_index *indices) {
  retc_expr row = element(l, indices[0]), panel = retc_int(l, RETC_PANEL);
  retc_expr at[3] = {retc_div(l, row, panel), element(l, indices[1]), retc_mod(l, row, panel)};
  return retc_load(l, buffer, at);
}

static retc_expr load_operand(retc_lowering *l, retc_value value, const retc_index *indices) {
  const retc_node *node = retc_lower_node(l, value);
  retc_buffer_id buffer = retc_lower_buffer(l, value);
  if (retc_lower_is_panel(l->graph, value)) return load_panel(l, buffer, indices);
  retc_expr at[RETC_RANK_MAX];
  for (int i = 0; i < node->type.shape.rank; i++) at[i] = element(l, indices[i]);
  return retc_load(l, buffer, at);
}

static retc_expr lower_constant(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  if (node->attributes.dense_count == 1) return retc_expr_number(l->kernel, node->type.dtype, node->attributes.dense[0]);
  retc_buffer_id buffer = retc_lower_constant(l, "numbers", node->type.dtype, &node->type.shape, node->attributes.dense);
  retc_expr at[RETC_RANK_MAX];
  for (int i = 0; i < node->type.shape.rank; i++) at[i] = element(l, indices[i]);
  return retc_load(l, buffer, at);
}

/* ---- indices ---- */

/* Constant axes out[o..oe) and in[i..ie) hold the same elements: flatten the one, split into the other. */
static void map_group(retc_lowering *l, const retc_shape *out, int o, int oe, const retc_shape *in, int i, int ie,
                      const retc_index *indices, retc_index *mapped) {
  retc_expr flat = indices[o].base;
  for (int k = o + 1; k < oe; k++) flat = retc_add(l, retc_mul(l, flat, retc_int(l, out->dim[k])), indices[k].base);
  for (int k = ie - 1; k > i; k--) {
    retc_expr extent = retc_int(l, in->dim[k]);
    mapped[k] = retc_at(retc_mod(l, flat, extent));
    flat = retc_div(l, flat, extent);
  }
  mapped[i] = retc_at(flat);
  mapped[ie - 1].lane = indices[oe - 1].lane;
}

/* From the axes of a reshape's result to those of its operand. */
static void map_reshape(retc_lowering *l, const retc_shape *out, const retc_shape *in, const retc_index *indices,
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

static void map_broadcast(retc_lowering *l, const retc_shape *out, const retc_shape *in, const retc_index *indices,
                          retc_index *mapped) {
  for (int i = 0; i < in->rank; i++) {
    mapped[i] = in->dim[i] == 1 ? retc_at(retc_int(l, 0)) : indices[out->rank - in->rank + i];
  }
}

retc_value retc_lower_view(retc_lowering *l, retc_value value, const retc_index *indices, retc_index *out_indices) {
  const retc_node *node = retc_lower_node(l, value);
  if (node->op == RETC_OP_RESHAPE && retc_lower_is_inside(l, value)) {
    retc_index mapped[RETC_RANK_MAX];
    map_reshape(l, &node->type.shape, &retc_lower_node(l, node->inputs[0])->type.shape, indices, mapped);
    return retc_lower_view(l, node->inputs[0], mapped, out_indices);
  }
  for (int i = 0; i < node->type.shape.rank; i++) out_indices[i] = indices[i];
  return value;
}

int64_t retc_lower_step(const retc_lowering *l, retc_value value) {
  if (!retc_lower_is_inside(l, value) || value.index == l->computed.index) return 64;
  const retc_node *node = retc_lower_node(l, value);
  int64_t step = 64;
  for (int i = 0; i < node->input_count; i++) {
    int64_t inner = retc_lower_step(l, node->inputs[i]);
    if (inner < step) step = inner;
  }
  const retc_shape *shape = &node->type.shape;
  if (node->op == RETC_OP_RESHAPE) {
    const retc_shape *in = &retc_lower_node(l, node->inputs[0])->type.shape;
    int64_t from = in->rank ? in->dim[in->rank - 1] : 1, to = shape->rank ? shape->dim[shape->rank - 1] : 1;
    bool split = to > 1 && from != to; /* a named last axis stays whole */
    while (split && from % step) step /= 2;
  }
  if (node->op == RETC_OP_REPEAT && node->attributes.integer[0] == shape->rank - 1) step = 1;
  /* The lanes then run along an inner axis of the operand, where splits were not asked about. */
  if (node->op == RETC_OP_TRANSPOSE && retc_lower_is_inside(l, node->inputs[0])) step = 1;
  return step;
}

/* ---- expressions ---- */

static retc_expr sigmoid_product(retc_lowering *l, retc_expr a) {
  retc_kernel *k = l->kernel;
  retc_expr grown = retc_expr_unary(k, RETC_KERNEL_OP_EXP, retc_expr_unary(k, RETC_KERNEL_OP_NEG, a));
  return retc_div(l, a, retc_add(l, retc_f32(l, 1), grown));
}

static retc_expr gelu(retc_lowering *l, retc_expr a) {
  retc_expr scaled = retc_mul(l, a, retc_f32(l, 0.70710678118654752440));
  retc_expr erf = retc_expr_unary(l->kernel, RETC_KERNEL_OP_ERF, scaled);
  return retc_mul(l, retc_mul(l, retc_f32(l, 0.5), a), retc_add(l, retc_f32(l, 1), erf));
}

static retc_expr apply(retc_lowering *l, const retc_node *node, const retc_expr *in) {
  retc_kernel *k = l->kernel;
  retc_dtype dtype = node->type.dtype;
  switch (node->op) {
    case RETC_OP_ADD: return retc_add(l, in[0], in[1]);
    case RETC_OP_SUB: return retc_sub(l, in[0], in[1]);
    case RETC_OP_MUL: return retc_mul(l, in[0], in[1]);
    case RETC_OP_DIV: return retc_div(l, in[0], in[1]);
    case RETC_OP_MIN: return retc_min(l, in[0], in[1]);
    case RETC_OP_MAX: return retc_max(l, in[0], in[1]);
    case RETC_OP_NEG: return retc_expr_unary(k, RETC_KERNEL_OP_NEG, in[0]);
    case RETC_OP_ABS: return retc_expr_unary(k, RETC_KERNEL_OP_ABS, in[0]);
    case RETC_OP_SQRT: return retc_expr_unary(k, RETC_KERNEL_OP_SQRT, in[0]);
    case RETC_OP_RSQRT:
      return retc_div(l, retc_expr_number(k, dtype, 1), retc_expr_unary(k, RETC_KERNEL_OP_SQRT, in[0]));
    case RETC_OP_FLOOR: return retc_expr_unary(k, RETC_KERNEL_OP_FLOOR, in[0]);
    case RETC_OP_EXP: return retc_expr_unary(k, RETC_KERNEL_OP_EXP, in[0]);
    case RETC_OP_SIN: return retc_expr_unary(k, RETC_KERNEL_OP_SIN, in[0]);
    case RETC_OP_COS: return retc_expr_unary(k, RETC_KERNEL_OP_COS, in[0]);
    case RETC_OP_RELU: return retc_max(l, in[0], retc_expr_number(k, dtype, 0));
    case RETC_OP_SILU: return sigmoid_product(l, in[0]);
    case RETC_OP_GELU: return gelu(l, in[0]);
    case RETC_OP_CAST: return retc_expr_cast(k, dtype, in[0]);
    default: return (retc_expr){0};
  }
}

static retc_expr lower_pointwise(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  retc_expr in[2] = {{0}, {0}};
  for (int i = 0; i < node->input_count; i++) {
    retc_index mapped[RETC_RANK_MAX];
    map_broadcast(l, &node->type.shape, &retc_lower_node(l, node->inputs[i])->type.shape, indices, mapped);
    in[i] = retc_lower_value(l, node->inputs[i], mapped);
  }
  return apply(l, node, in);
}

static retc_expr lower_indexing(retc_lowering *l, const retc_node *node, const retc_index *indices) {
  const retc_shape *shape = &node->type.shape;
  retc_index mapped[RETC_RANK_MAX];
  for (int i = 0; i < shape->rank; i++) mapped[i] = indices[i];
  switch (node->op) {
    case RETC_OP_RESHAPE:
      map_reshape(l, shape, &retc_lower_node(l, node->inputs[0])->type.shape, indices, mapped);
      return retc_lower_value(l, node->inputs[0], mapped);
    case RETC_OP_REPEAT: {
      int64_t axis = node->attributes.integer[0];
      mapped[axis] = retc_at(retc_div(l, element(l, indices[axis]), retc_int(l, node->attributes.integer[1])));
      return retc_lower_value(l, node->inputs[0], mapped);
    }
    case RETC_OP_TRANSPOSE: {
      int64_t first = node->attributes.integer[0], second = node->attributes.integer[1];
      mapped[first] = indices[second];
      mapped[second] = indices[first];
      return retc_lower_value(l, node->inputs[0], mapped);
    }
    case RETC_OP_TAIL: {
      retc_expr skipped = retc_sub(l, retc_dim_expr(l, RETC_NAMED(T)), retc_dim_expr(l, RETC_NAMED(L)));
      mapped[1].base = retc_add(l, skipped, indices[1].base);
      return retc_lower_value(l, node->inputs[0], mapped);
    }
    case RETC_OP_GATHER: {
      retc_index at[2] = {retc_at(retc_lower_value(l, node->inputs[1], indices)), indices[shape->rank - 1]};
      return retc_lower_value(l, node->inputs[0], at);
    }
    case RETC_OP_POSITIONS: {
      retc_expr position = retc_add(l, retc_lower_value(l, node->inputs[0], NULL), element(l, indices[0]));
      return retc_expr_cast(l->kernel, RETC_DTYPE_F64, position);
    }
    default: return (retc_expr){0};
  }
}

retc_expr retc_lower_value(retc_lowering *l, retc_value value, const retc_index *indices) {
  if (l->computed.index && value.index == l->computed.index) return l->computed_as;
  const retc_node *node = retc_lower_node(l, value);
  if (!retc_lower_is_inside(l, value)) {
    retc_dim_name scalar;
    return retc_lower_is_scalar(node, &scalar) ? retc_dim_expr(l, ~(retc_dim)scalar) : load_operand(l, value, indices);
  }
  if (node->op == RETC_OP_CONST) return lower_constant(l, node, indices);
  if (retc_op_get_info(node->op)->traits & RETC_TRAIT_POINTWISE) return lower_pointwise(l, node, indices);
  return lower_indexing(l, node, indices);
}

void retc_lower_store(retc_lowering *l, retc_value result, const retc_index *indices, retc_expr value) {
  retc_expr at[RETC_RANK_MAX];
  int rank = retc_lower_node(l, result)->type.shape.rank;
  for (int i = 0; i < rank; i++) at[i] = element(l, indices[i]);
  retc_write_store(&l->writer, retc_lower_buffer(l, result), at, value);
}

/* ---- loops ---- */

retc_lanes retc_lower_lanes(retc_lowering *l, const char *name, int64_t extent, int64_t step) {
  retc_expr zero = retc_int(l, 0), end = retc_int(l, extent);
  if (step == 1) {
    return (retc_lanes){retc_at(retc_write_for(&l->writer, name, RETC_LOOP_SERIAL, zero, end, 1)), 1};
  }
  if (extent <= step) {
    return (retc_lanes){{zero, retc_write_for(&l->writer, name, RETC_LOOP_VECTOR, zero, end, 1)}, 1};
  }
  retc_expr base = retc_write_for(&l->writer, name, RETC_LOOP_SERIAL, zero, end, step);
  retc_expr count = retc_int(l, step);
  if (extent % step) count = retc_min(l, count, retc_sub(l, end, base));
  return (retc_lanes){{base, retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, zero, count, 1)}, 2};
}

void retc_lower_lanes_end(retc_lowering *l, const retc_lanes *lanes) {
  for (int i = 0; i < lanes->loops; i++) retc_write_end(&l->writer);
}

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

void retc_lower_zero(retc_lowering *l, retc_buffer_id buffer, int64_t rows, retc_expr columns) {
  retc_expr zero = retc_int(l, 0), at[2];
  at[0] = retc_write_for(&l->writer, "i", RETC_LOOP_SERIAL, zero, retc_int(l, rows), 1);
  at[1] = retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, zero, columns, 1);
  retc_write_store(&l->writer, buffer, at, retc_f32(l, 0));
  retc_write_end(&l->writer);
  retc_write_end(&l->writer);
}
