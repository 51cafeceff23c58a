/* The rows of a product's task in its private tile: f32, rounded to bf16, or integers with a scale a row; turned where
 * many panels are multiplied with them. */
#include "compiler/lower_contract_rows.h"

#include <string.h>

#include "base/number.h"
#include "compiler/lower_contract.h"

/* Panels of a task from which on it is worth the time to turn its rows. */
enum { TURNED_PANELS = 8 };
/* Lines are a little apart, so that a column of them is spread over the cache. */
enum { LINE_GAP = 16 };

typedef retc_contract_lowering contract;

bool retc_contract_has_pairs(const contract *c) {
  return c->group >= RETC_CONTRACT_AT_ONCE && c->rows > 1 && !retc_contract_has_scaling(c);
}

retc_expr retc_contract_is_single_row(const contract *c) {
  return retc_equal(c->l, c->row_count, retc_int(c->l, 1));
}

bool retc_contract_is_turned(const contract *c) {
  return c->group >= TURNED_PANELS && retc_contract_row_dtype(c->node) == RETC_DTYPE_F32;
}

/* The loops over k of a row, which goes to row r of a tile or of lines, or is all there is. */
static void write_row(contract *c, retc_expr r, const retc_index *at, retc_buffer_id to) {
  retc_lowering *l = c->l;
  retc_index index[RETC_RANK_MAX];
  memcpy(index, at, sizeof index);
  retc_lanes lanes = retc_lower_lanes(l, "k", c->depth, retc_lower_step(l, c->node->inputs[0]));
  index[c->row_rank] = lanes.index;
  retc_expr part = retc_int(l, c->part), base = lanes.index.base, within = retc_mod(l, base, part);
  if (lanes.index.lane.index) within = retc_add(l, within, lanes.index.lane);
  const int rank = retc_kernel_buffer(l->kernel, to)->shape.rank;
  retc_expr place[3] = {retc_div(l, base, part), r, within}, line[2] = {r, retc_lower_element(l, lanes.index)};
  retc_write_store(&l->writer, to, rank == 3 ? place : &line[2 - rank], retc_lower_value(l, c->node->inputs[0], index));
  retc_lower_lanes_end(l, &lanes);
}

/* What the row is filled up with. */
static void write_filling(contract *c, retc_expr r) {
  retc_lowering *l = c->l;
  if (c->filled == c->depth) return;
  retc_expr end = retc_int(l, c->filled), part = retc_int(l, c->part);
  retc_expr k = retc_write_for(&l->writer, "k", RETC_LOOP_SERIAL, retc_int(l, c->depth), end, 1);
  retc_expr none = retc_contract_row_dtype(c->node) == RETC_DTYPE_I8 ? retc_int(l, 0) : retc_f32(l, 0);
  retc_write_store(&l->writer, c->tile, (retc_expr[]){retc_div(l, k, part), r, retc_mod(l, k, part)}, none);
  retc_write_end(&l->writer);
}

/* The largest |values[k]|, as rows are reduced everywhere. */
static retc_expr write_largest(contract *c, retc_buffer_id values) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_buffer_id partial = retc_lower_partials(l, RETC_DTYPE_F32, 0);
  retc_expr partials = retc_int(l, RETC_PARTIALS), end = retc_int(l, c->depth), count = partials;
  retc_expr k = retc_write_for(w, "k", RETC_LOOP_SERIAL, retc_int(l, 0), end, RETC_PARTIALS);
  if (c->depth % RETC_PARTIALS) count = retc_min(l, count, retc_sub(l, end, k));
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, retc_int(l, 0), count, 1), at = retc_add(l, k, lane);
  retc_expr size = retc_expr_unary(l->kernel, RETC_KERNEL_OP_ABS, retc_load(l, values, &at));
  retc_write_store(w, partial, &lane, retc_max(l, size, retc_load(l, partial, &lane)));
  retc_write_end(w);
  retc_write_end(w);
  return retc_write_let(w, "largest", retc_lower_tree(l, partial, RETC_KERNEL_OP_MAX));
}

/* bias[g,r] = -offset sum of the group's numbers: weights are stored with the offset added. */
static void write_bias(contract *c, retc_expr r) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), groups = retc_int(l, c->filled / c->scaled);
  retc_expr g = retc_write_for(w, "g", RETC_LOOP_SERIAL, zero, groups, 1);
  retc_expr partials = retc_int(l, RETC_PARTIALS), part = retc_int(l, c->part);
  retc_buffer_id total =
      retc_write_alloc(w, "total", RETC_SCOPE_PRIVATE, RETC_DTYPE_I32, 1, (int64_t[]){RETC_PARTIALS});
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, partials, 1);
  retc_write_store(w, total, &lane, zero);
  retc_write_end(w);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, c->scaled), RETC_PARTIALS);
  retc_expr k = retc_write_let(w, "k", retc_add(l, retc_mul(l, g, retc_int(l, c->scaled)), x));
  lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, partials, 1);
  retc_expr at[3] = {retc_div(l, k, part), r, retc_add(l, retc_mod(l, k, part), lane)};
  retc_write_store(w, total, &lane, retc_add(l, retc_load(l, total, &lane), retc_load(l, c->tile, at)));
  retc_write_end(w);
  retc_write_end(w);
  retc_expr all = retc_lower_tree(l, total, RETC_KERNEL_OP_ADD);
  retc_write_store(w, c->bias, (retc_expr[]){g, r}, retc_mul(l, all, retc_int(l, -c->offset)));
  retc_write_end(w);
}

/* The row in integers, the largest as 127, and what these count. */
static void write_quantised(contract *c, retc_expr r, const retc_index *at) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), end = retc_int(l, c->depth), step = retc_int(l, RETC_CONTRACT_DEPTH_STEP),
            count = step;
  retc_buffer_id values = retc_write_alloc(w, "values", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){c->depth});
  write_row(c, r, at, values);
  retc_expr largest = write_largest(c, values), most = retc_f32(l, 127);
  retc_write_store(w, c->row_scale, &r, retc_div(l, largest, most));
  retc_expr is_some = retc_less(l, retc_f32(l, 1e-30), largest);
  retc_expr inverse = retc_write_let(w, "inverse", retc_select(l, is_some, retc_div(l, most, largest), retc_f32(l, 0)));
  retc_expr k = retc_write_for(w, "k", RETC_LOOP_SERIAL, zero, end, RETC_CONTRACT_DEPTH_STEP),
            part = retc_int(l, c->part);
  if (c->depth % RETC_CONTRACT_DEPTH_STEP) count = retc_min(l, step, retc_sub(l, end, k));
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, count, 1), from = retc_add(l, k, lane);
  retc_expr near = retc_add(l, retc_mul(l, retc_load(l, values, &from), inverse), retc_f32(l, 0.5));
  retc_expr whole = retc_expr_cast(l->kernel, RETC_DTYPE_I64, retc_expr_unary(l->kernel, RETC_KERNEL_OP_FLOOR, near));
  retc_expr to[3] = {retc_div(l, k, part), r, retc_add(l, retc_mod(l, k, part), lane)};
  retc_write_store(w, c->tile, to, whole);
  retc_write_end(w);
  retc_write_end(w);
  write_filling(c, r);
  write_bias(c, r);
}

/* tile[k / part, first / rows, k mod part, i] = line[i,k]. */
static void write_turned(contract *c, retc_expr first) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), end = retc_int(l, c->filled), part = retc_int(l, c->part), count = part;
  retc_expr first_k = retc_write_for(w, "first_k", RETC_LOOP_SERIAL, zero, end, c->part);
  if (c->filled % c->part) count = retc_min(l, part, retc_sub(l, end, first_k));
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, count, 1);
  retc_expr i = retc_write_for(w, "i", RETC_LOOP_VECTOR, zero, retc_int(l, c->rows), 1);
  retc_expr to[4] = {retc_div(l, first_k, part), retc_div(l, first, retc_int(l, c->rows)), x, i};
  retc_write_store(w, c->tile, to, retc_load(l, c->line, (retc_expr[]){i, retc_add(l, first_k, x)}));
  for (int open = 0; open < 3; open++) retc_write_end(w);
}

/* line[i,k] = the operand's row first_row + i of each tile's, which is turned if it is a whole one. */
static void write_turned_prologue(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_index at[RETC_RANK_MAX];
  retc_expr zero = retc_int(l, 0), rows = retc_int(l, c->rows);
  retc_expr first = retc_write_for(w, "first", RETC_LOOP_SERIAL, zero, c->row_count, c->rows);
  retc_expr end = retc_write_let(w, "end", retc_min(l, retc_add(l, first, rows), c->row_count));
  retc_expr r = retc_write_for(w, "r", RETC_LOOP_SERIAL, first, end, 1);
  retc_lower_row(l, &c->row_shape, c->row_rank, retc_add(l, c->first_row, r), at);
  write_row(c, retc_sub(l, r, first), at, c->line);
  retc_write_end(w);
  retc_write_if(w, retc_less(l, first, c->whole));
  write_turned(c, first);
  retc_write_end(w);
  retc_write_end(w);
}

/* tile[k / part, r, k mod part] = the operand's row first_row + r: what a part of k needs lies together. */
static void write_prologue(contract *c) {
  retc_lowering *l = c->l;
  retc_index at[RETC_RANK_MAX];
  retc_expr r = retc_write_for(&l->writer, "r", RETC_LOOP_SERIAL, retc_int(l, 0), c->row_count, 1);
  retc_lower_row(l, &c->row_shape, c->row_rank, retc_add(l, c->first_row, r), at);
  if (c->is_integers) {
    write_quantised(c, r, at);
  } else {
    write_row(c, r, at, c->tile);
    write_filling(c, r);
  }
  retc_write_end(&l->writer);
}

/* line[0,k] = the only row of the tile. */
static void write_line(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), end = retc_int(l, c->filled), part = retc_int(l, c->part);
  retc_write_if(w, retc_contract_is_single_row(c));
  retc_expr first = retc_write_for(w, "first_k", RETC_LOOP_SERIAL, zero, end, RETC_CONTRACT_DEPTH_STEP);
  retc_expr count = retc_int(l, RETC_CONTRACT_DEPTH_STEP);
  if (c->filled % RETC_CONTRACT_DEPTH_STEP) count = retc_min(l, count, retc_sub(l, end, first));
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, count, 1);
  retc_expr from[3] = {retc_div(l, first, part), zero, retc_add(l, retc_mod(l, first, part), lane)};
  retc_expr to[2] = {zero, retc_add(l, first, lane)};
  retc_write_store(w, c->line, to, retc_load(l, c->tile, from));
  retc_write_end(w);
  retc_write_end(w);
  retc_write_end(w);
}

/* The task's rows, as they are multiplied. */
void retc_contract_write_rows(contract *c) {
  retc_writer *w = &c->l->writer;
  const retc_dtype dtype = retc_contract_row_dtype(c->node);
  const int64_t parts = retc_ceil_div(c->filled, c->part), groups = retc_ceil_div(c->block, c->rows);
  if (retc_contract_is_turned(c)) {
    const int64_t turned[4] = {parts, groups, c->part, c->rows}, lines[2] = {c->rows, c->filled + LINE_GAP};
    c->tile = retc_write_alloc(w, "tile", RETC_SCOPE_PRIVATE, dtype, 4, turned);
    c->line = retc_write_alloc(w, "line", RETC_SCOPE_PRIVATE, dtype, 2, lines);
    write_turned_prologue(c);
    return;
  }
  c->tile = retc_write_alloc(w, "tile", RETC_SCOPE_PRIVATE, dtype, 3, (int64_t[]){parts, c->block, c->part});
  write_prologue(c);
  if (!retc_contract_has_pairs(c)) return;
  c->line = retc_write_alloc(w, "line", RETC_SCOPE_PRIVATE, dtype, 2, (int64_t[]){1, c->filled});
  write_line(c);
}
