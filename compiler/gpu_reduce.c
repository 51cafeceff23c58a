/* Reductions over the last axis on a GPU, a row a block. The lanes read the row together into shared memory; there 16
 * of them have a partial result each, element x in partial x mod 16 in order of x, and a fixed tree combines these, as
 * on a CPU. What the region makes of the row with the result, as norms do, the lanes compute and store together. */
#include <math.h>

#include "compiler/anchors.h"
#include "compiler/gpu.h"

enum { SLICE = 4096 /* elements in shared memory at once */, READ_AT_ONCE = 16 };

typedef struct reduction {
  retc_lowering *l;
  const retc_node *node;
  const retc_shape *rows; /* of what is reduced */
  int axis;
  int64_t extent, lanes, slice;
  retc_kernel_op combine;
  retc_expr lane;
  retc_index at[RETC_RANK_MAX]; /* the block's row; the last index is the element's */
  retc_buffer_id tile, partials, own;
} reduction;

/* A loop in which the lanes share `count` elements out, several at once. `*out_blocks` are to end. */
static retc_expr share_out(reduction *r, int64_t count, int *out_blocks) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  const int64_t turns = (count + r->lanes - 1) / r->lanes;
  int64_t at_once = turns < READ_AT_ONCE ? turns : READ_AT_ONCE;
  while (turns % at_once) at_once--;
  retc_expr base = retc_write_for(w, "base", RETC_LOOP_SERIAL, retc_int(l, 0), retc_int(l, turns), at_once);
  retc_expr turn = retc_write_for(w, "turn", RETC_LOOP_UNROLL, retc_int(l, 0), retc_int(l, at_once), 1);
  retc_expr e =
      retc_let(l, "e", retc_add(l, retc_mul(l, retc_add(l, base, turn), retc_int(l, r->lanes)), r->lane));
  *out_blocks = 2;
  if (count % r->lanes) {
    retc_write_if(w, retc_less(l, e, retc_int(l, count)));
    ++*out_blocks;
  }
  return e;
}

/* tile[e] = element first + e, e < count. */
static void write_tile(reduction *r, retc_expr first, int64_t count) {
  retc_lowering *l = r->l;
  int blocks;
  retc_expr e = share_out(r, count, &blocks);
  r->at[r->axis] = retc_at(retc_add(l, first, e));
  retc_write_store(&l->writer, r->tile, &e, retc_lower_value(l, r->node->inputs[0], r->at));
  retc_end(l, blocks);
}

/* Lane p < 16 goes on with partial p over the tile. */
static void write_partials(reduction *r, int64_t count) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), last = retc_int(l, count);
  retc_write_if(w, retc_less(l, r->lane, retc_int(l, RETC_PARTIALS)));
  if (count % RETC_PARTIALS) last = retc_sub(l, last, r->lane);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, last, RETC_PARTIALS), place = retc_add(l, x, r->lane);
  retc_expr more = retc_expr_binary(l->kernel, r->combine, retc_load(l, r->own, &zero), retc_load(l, r->tile, &place));
  retc_lower_note(l, l->anchor);
  retc_write_store(w, r->own, &zero, more);
  retc_end(l, 2);
}

static void write_slice(reduction *r, retc_expr first, int64_t count) {
  write_tile(r, first, count);
  retc_write_barrier(&r->l->writer);
  write_partials(r, count);
  retc_write_barrier(&r->l->writer);
}

/* Partials at, at + half, ... by the tree that halves them again and again. */
static retc_expr tree(reduction *r, int64_t at, int64_t half) {
  retc_lowering *l = r->l;
  retc_expr place = retc_int(l, at);
  if (half == RETC_PARTIALS) return retc_load(l, r->partials, &place);
  return retc_expr_binary(l->kernel, r->combine, tree(r, at, 2 * half), tree(r, at + half, 2 * half));
}

static retc_expr write_reduction(reduction *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  const int64_t whole = r->extent / r->slice * r->slice, rest = r->extent - whole;
  const bool sum = r->combine == RETC_KERNEL_OP_ADD;
  retc_expr zero = retc_int(l, 0);
  retc_write_store(w, r->own, &zero, retc_f32(l, sum ? 0 : r->combine == RETC_KERNEL_OP_MAX ? -INFINITY : INFINITY));
  retc_expr first = retc_write_for(w, "first", RETC_LOOP_SERIAL, zero, retc_int(l, whole), r->slice);
  write_slice(r, first, r->slice);
  retc_end(l, 1);
  if (rest) write_slice(r, retc_int(l, whole), rest);
  retc_write_if(w, retc_less(l, r->lane, retc_int(l, RETC_PARTIALS)));
  retc_write_store(w, r->partials, &r->lane, retc_load(l, r->own, &zero));
  retc_end(l, 1);
  retc_write_barrier(w);
  retc_expr result = tree(r, 0, 1);
  if (r->node->op != RETC_OP_REDUCE_MEAN) return retc_let(l, "result", result);
  return retc_let(l, "result", retc_div(l, result, retc_f32(l, (double)r->extent)));
}

static bool is_number(const reduction *r, retc_value value) {
  return retc_shape_equal(&retc_lower_node(r->l, value)->type.shape, &r->node->type.shape);
}

static void store(reduction *r, retc_value result, const retc_index *at) {
  retc_lowering *l = r->l;
  l->stored = result;
  retc_lower_store(l, result, at, retc_lower_value(l, result, at));
  l->stored = (retc_value){0};
}

/* The last number of the row that others of the region are made of: they need not make it again. */
static retc_value find_number(const reduction *r) {
  retc_value found = r->l->anchor;
  for (uint32_t i = found.index + 1; i < r->l->graph->nodes.count; i++) {
    const retc_node *node = &r->l->graph->nodes.items[i];
    bool next = false;
    for (int k = 0; k < node->input_count; k++) next |= node->inputs[k].index == found.index;
    if (next && node->region.index == r->l->region.index && is_number(r, (retc_value){i})) found = (retc_value){i};
  }
  return found;
}

static void write_results(reduction *r) {
  retc_lowering *l = r->l;
  size_t numbers = 0;
  for (size_t i = 0; i < l->results.count; i++) numbers += is_number(r, l->results.items[i]);
  r->at[r->axis] = retc_at(retc_int(l, 0));
  if (numbers) retc_write_if(&l->writer, retc_equal(l, r->lane, retc_int(l, 0)));
  for (size_t i = 0; i < l->results.count; i++) {
    if (is_number(r, l->results.items[i])) store(r, l->results.items[i], r->at);
  }
  if (numbers) retc_end(l, 1);
  if (numbers == l->results.count) return;
  const retc_value number = find_number(r);
  l->computed_as = retc_let(l, "number", retc_lower_value(l, number, r->at));
  l->computed = number;
  int blocks;
  r->at[r->axis] = retc_at(share_out(r, r->extent, &blocks));
  for (size_t i = 0; i < l->results.count; i++) {
    const retc_value result = l->results.items[i];
    if (is_number(r, result)) continue;
    retc_index at[RETC_RANK_MAX];
    retc_lower_map_reshape(l, r->rows, &retc_lower_node(l, result)->type.shape, r->at, at);
    store(r, result, at);
  }
  retc_end(l, blocks);
}

static retc_kernel_op combine_of(retc_op op) {
  if (op == RETC_OP_REDUCE_MAX) return RETC_KERNEL_OP_MAX;
  return op == RETC_OP_REDUCE_MIN ? RETC_KERNEL_OP_MIN : RETC_KERNEL_OP_ADD;
}

void retc_gpu_reduce_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                              retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

retc_status retc_gpu_reduce_lower(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor), *operand = retc_lower_node(l, node->inputs[0]);
  reduction r = {.l = l, .node = node, .rows = &operand->type.shape, .axis = operand->type.shape.rank - 1,
                 .combine = combine_of(node->op)};
  const retc_dim extent = r.rows->dim[r.axis];
  if (retc_dim_is_named(extent) || node->type.dtype != RETC_DTYPE_F32) return retc_anchor_reduce_lower(l);
  retc_writer *w = &l->writer;
  r.extent = extent;
  r.lanes = extent >= 1024 ? 256 : extent >= 256 ? 128 : 64;
  r.slice = extent < SLICE ? extent : SLICE;
  retc_expr row =
      retc_write_for(w, "row", RETC_LOOP_GRID, retc_int(l, 0), retc_lower_row_count(l, r.rows, r.axis), 1);
  retc_lower_row(l, r.rows, r.axis, row, r.at);
  r.tile = retc_write_alloc(w, "tile", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 1, &r.slice);
  r.partials = retc_write_alloc(w, "partial", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 1, (int64_t[]){RETC_PARTIALS});
  r.lane = retc_write_for(w, "lane", RETC_LOOP_LANE, retc_int(l, 0), retc_int(l, r.lanes), 1);
  r.own = retc_write_alloc(w, "own", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){1});
  l->computed_as = write_reduction(&r);
  l->computed = l->anchor;
  write_results(&r);
  retc_end(l, 2);
  return l->status;
}
