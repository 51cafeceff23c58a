/* Products of rows with a weight matrix: o[m,n] = epilogue(sum_k prologue(a)[m,k] w[n,k]).
 *
 * A task is a block of rows times a group of 64-column panels. It computes its rows' prologue once into a private
 * tile, then each panel, `depth` of k at a time, as `rows` x 64 tiles and smaller ones for the last rows. Rows of f32
 * for many panels are turned in the private tile: what a step of k takes of `rows` of them lies together, and the last
 * rows are kept as lines. Where there are many rows, a part of a panel of narrow weights is widened once for all of
 * them. Every output is one chain of fma along k, whatever the tile it fell into: between two parts of k the sums lie
 * in memory.
 *
 * contract_scaled widens whatever the number of rows, and multiplies the integers with their scales on the way.
 * contract_bf16 and contract_int8 are the same with another tile: rows are rounded as they are written to it, and the
 * innermost product is one of bf16, in the order of pairs or of the CPU's tiles, or of integers.
 *
 * There are as many groups as the machine has cores, and every core gets an equal share of the panels: few rows are
 * bound by the reading of weights, many by arithmetic, and both are balanced. */
#include "base/number.h"
#include "compiler/anchors.h"
#include "compiler/lower_contract.h"
#include "compiler/lower_contract_rows.h"
#include "runtime/plan.h"

/* Tiles of rows from which on narrow weights are widened. */
enum { MANY_TILES = 2 };

typedef retc_contract_lowering contract;

/* Stores the sums of rows low..high of a panel through the epilogue tree. */
static void write_epilogue(contract *c, retc_expr low, retc_expr high) {
  retc_lowering *l = c->l;
  retc_index at[RETC_RANK_MAX];
  retc_expr zero = retc_int(l, 0), panel = retc_int(l, RETC_PANEL);
  retc_expr i = retc_write_for(&l->writer, "i", RETC_LOOP_SERIAL, low, high, 1);
  retc_lower_row(l, &c->row_shape, c->row_rank, retc_add(l, c->first_row, i), at);
  int64_t step = RETC_PANEL;
  for (size_t r = 0; r < l->results.count; r++) {
    int64_t own = retc_lower_step(l, l->results.items[r]);
    if (own < step) step = own;
  }
  retc_expr s = retc_write_for(&l->writer, "s", RETC_LOOP_SERIAL, zero, panel, step);
  retc_expr base = retc_add(l, retc_mul(l, c->panel, panel), s);
  retc_expr count = retc_int(l, step);
  if (c->columns % RETC_PANEL) count = retc_min(l, count, retc_sub(l, retc_int(l, c->columns), base));
  retc_loop_kind kind = step == 1 ? RETC_LOOP_SERIAL : RETC_LOOP_VECTOR;
  retc_expr lane = retc_write_for(&l->writer, "lane", kind, zero, count, 1);
  at[c->row_rank] = (retc_index){base, lane, step};
  retc_expr from[3] = {c->place, i, retc_add(l, s, lane)};
  l->computed_as = retc_load(l, c->sum, from);
  if (c->is_integers) l->computed_as = retc_mul(l, l->computed_as, retc_load(l, c->row_scale, &i));
  retc_lower_store_results(l, l->anchor, at);
  for (int open = 0; open < 3; open++) retc_write_end(&l->writer);
}

/* wide[x,lane] = weight[panel, first_k + x, lane] for the part of k. */
static void write_widening(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, c->k_count, 1);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, RETC_PANEL), 1);
  retc_expr from[3] = {c->panel, retc_add(l, c->first_k, x), lane}, to[2] = {x, lane};
  retc_write_store(w, c->wide, to, retc_load(l, c->weight, from));
  retc_write_end(w);
  retc_write_end(w);
}

/* Opens the loops over `rows` and lanes; few rows are written out, so that sums stay in registers. */
static retc_expr open_rows(contract *c, int64_t rows, retc_expr *out_lane) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  retc_expr i = retc_write_for(w, "i", rows < RETC_CONTRACT_TILE_ROWS / 2 ? RETC_LOOP_UNROLL : RETC_LOOP_SERIAL, zero,
                               retc_int(l, rows), 1);
  *out_lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, RETC_PANEL), 1);
  return i;
}

static void close_rows(contract *c) {
  retc_write_end(&c->l->writer);
  retc_write_end(&c->l->writer);
}

/* The integers of column k and, of halves, of k + 1 behind it, as f32. Halves are taken apart as f32, too, which is
 * exact and has wider vectors than integers have. */
static void load_integers(contract *c, retc_expr k, retc_expr lane, retc_expr *out_numbers) {
  retc_lowering *l = c->l;
  const bool is_half = retc_kernel_buffer(l->kernel, c->weight)->dtype == RETC_DTYPE_U4X2;
  retc_expr at[3] = {c->panel, is_half ? retc_div(l, k, retc_int(l, 2)) : k, lane};
  out_numbers[0] = retc_expr_cast(l->kernel, RETC_DTYPE_F32, retc_load(l, c->weight, at));
  if (!is_half) return;
  retc_expr byte = retc_write_let(&l->writer, "byte", out_numbers[0]), eight = retc_f32(l, 8);
  retc_expr upper = retc_expr_unary(l->kernel, RETC_KERNEL_OP_FLOOR, retc_mul(l, byte, retc_f32(l, 0.0625)));
  upper = retc_write_let(&l->writer, "upper", upper);
  out_numbers[0] = retc_sub(l, retc_fma(l, upper, retc_f32(l, -16), byte), eight);
  out_numbers[1] = retc_sub(l, upper, eight);
}

/* wide[x,lane] = weight[panel, first_k + x, lane] scale[panel, its group, lane] for the part of k. */
static void write_scaling(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), group = retc_int(l, c->scaled), count = group;
  const int64_t step = retc_kernel_buffer(l->kernel, c->weight)->dtype == RETC_DTYPE_U4X2 ? 2 : 1;
  retc_expr y = retc_write_for(w, "y", RETC_LOOP_SERIAL, zero, c->k_count, c->scaled);
  retc_expr g = retc_write_let(w, "g", retc_div(l, retc_add(l, c->first_k, y), group));
  if (c->depth % c->scaled) count = retc_write_let(w, "count", retc_min(l, group, retc_sub(l, c->k_count, y)));
  retc_expr z = retc_write_for(w, "z", RETC_LOOP_SERIAL, zero, count, step), x = retc_add(l, y, z), numbers[2];
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, RETC_PANEL), 1);
  load_integers(c, retc_add(l, c->first_k, x), lane, numbers);
  retc_expr scale = retc_load(l, c->scale, (retc_expr[]){c->panel, g, lane});
  for (int64_t i = 0; i < step; i++) {
    retc_write_store(w, c->wide, (retc_expr[]){retc_add(l, x, retc_int(l, i)), lane}, retc_mul(l, numbers[i], scale));
  }
  for (int open = 0; open < 3; open++) retc_write_end(w);
}

/* Rows of one panel, or the only row of RETC_CONTRACT_AT_ONCE panels side by side, from which on all of k is done. */
typedef struct rows_of {
  retc_expr row;
  int64_t rows;
  int64_t panels; /* 1: c->panel, whose sums are at c->place */
  retc_expr first; /* of several panels, whose sums are at 0.. */
} rows_of;

static retc_expr panel_of(const contract *c, const rows_of *t, retc_expr at) {
  return t->panels == 1 ? c->panel : retc_add(c->l, t->first, at);
}

/* Opens the loop over the panels, if there are several. */
static retc_expr begin_panels(contract *c, const rows_of *t) {
  retc_lowering *l = c->l;
  if (t->panels == 1) return retc_int(l, 0);
  return retc_write_for(&l->writer, "q", RETC_LOOP_UNROLL, retc_int(l, 0), retc_int(l, t->panels), 1);
}

static void end_panels(contract *c, const rows_of *t) {
  if (t->panels > 1) retc_write_end(&c->l->writer);
}

static retc_view rows_at(contract *c, const rows_of *t, retc_expr part, retc_expr x) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  if (t->panels > 1) return retc_write_view(w, c->line, (retc_expr[]){t->row, x}, 0, 1);
  if (!retc_contract_is_turned(c)) return retc_write_view(w, c->tile, (retc_expr[]){part, t->row, x}, 1, 2);
  retc_expr line[2] = {retc_sub(l, t->row, c->whole), retc_add(l, c->first_k, x)}, rows = retc_int(l, c->rows);
  if (t->rows < c->rows) return retc_write_view(w, c->line, line, 0, 1);
  return retc_write_view(w, c->tile, (retc_expr[]){part, retc_div(l, t->row, rows), x, retc_int(l, 0)}, 3, 2);
}

/* Group by group the exact sums, then one fma with the group's scale. */
static void write_integers(contract *c, const rows_of *t) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), number = retc_div(l, c->first_k, retc_int(l, c->part)),
            size = retc_int(l, c->scaled);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, c->k_count, c->scaled), i, lane;
  retc_expr k = retc_add(l, c->first_k, x), g = retc_write_let(w, "g", retc_div(l, k, size));
  retc_buffer_id dots = retc_write_alloc(w, "dots", RETC_SCOPE_PRIVATE, RETC_DTYPE_I32, 3,
                                         (int64_t[]){t->panels, t->rows, RETC_PANEL});
  retc_expr q = begin_panels(c, t);
  i = open_rows(c, t->rows, &lane);
  retc_expr bias = retc_load(l, c->bias, (retc_expr[]){g, retc_add(l, t->row, i)});
  retc_write_store(w, dots, (retc_expr[]){q, i, lane}, bias);
  close_rows(c);
  end_panels(c, t);
  q = begin_panels(c, t);
  retc_view to = retc_write_view(w, dots, (retc_expr[]){q, zero, zero}, 1, 2), a = rows_at(c, t, number, x);
  const retc_dtype dtype = retc_kernel_buffer(l->kernel, c->weight)->dtype;
  retc_expr line = retc_div(l, k, retc_int(l, retc_mma_pack(RETC_MMA_INTEGERS, dtype)));
  retc_view b = retc_write_view(w, c->weight, (retc_expr[]){panel_of(c, t, q), line, zero, zero}, 1, 2);
  retc_lower_note(l, l->anchor);
  retc_write_mma_form(w, RETC_MMA_INTEGERS, to, a, b, t->rows, RETC_PANEL, size);
  end_panels(c, t);
  q = begin_panels(c, t);
  i = open_rows(c, t->rows, &lane);
  retc_expr at[3] = {t->panels == 1 ? c->place : q, retc_add(l, t->row, i), lane};
  retc_expr exact = retc_expr_cast(l->kernel, RETC_DTYPE_F32, retc_load(l, dots, (retc_expr[]){q, i, lane}));
  retc_expr scale = retc_load(l, c->scale, (retc_expr[]){panel_of(c, t, q), g, lane});
  retc_write_store(w, c->sum, at, retc_fma(l, exact, scale, retc_load(l, c->sum, at)));
  close_rows(c);
  end_panels(c, t);
  retc_write_end(w);
}

static void write_tile(contract *c, const rows_of *t, bool is_wide) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  if (c->is_integers) {
    write_integers(c, t);
    return;
  }
  const bool is_pairs = c->node->op == RETC_OP_CONTRACT_BF16;
  retc_expr zero = retc_int(l, 0), number = retc_div(l, c->first_k, retc_int(l, c->part));
  retc_expr pair = retc_div(l, c->first_k, retc_int(l, 2)), q = begin_panels(c, t), panel = panel_of(c, t, q);
  retc_view to = retc_write_view(w, c->sum, (retc_expr[]){t->panels == 1 ? c->place : q, t->row, zero}, 1, 2);
  retc_view a = rows_at(c, t, number, zero);
  retc_view b = is_wide    ? retc_write_view(w, c->wide, (retc_expr[]){zero, zero}, 0, 1)
                : is_pairs ? retc_write_view(w, c->weight, (retc_expr[]){panel, pair, zero, zero}, 1, 2)
                           : retc_write_view(w, c->weight, (retc_expr[]){panel, c->first_k, zero}, 1, 2);
  retc_lower_note(l, l->anchor);
  const retc_mma_form form = retc_contract_adds_by_tiles(c->node) ? RETC_MMA_TILES
                             : is_pairs                           ? RETC_MMA_PAIRS
                                                                  : RETC_MMA_FMA;
  retc_write_mma_form(w, form, to, a, b, t->rows, RETC_PANEL, c->k_count);
  end_panels(c, t);
}

/* Of narrow weights a part of a panel is widened for the rows of many tiles. */
static bool is_widened(const contract *c) {
  return retc_contract_is_widened(c->node, retc_kernel_buffer(c->l->kernel, c->weight)->dtype);
}

static retc_expr is_many(contract *c) {
  return retc_less_equal(c->l, retc_int(c->l, c->rows * MANY_TILES), c->row_count);
}

/* Whole tiles of f32 are stored as soon as their last part is added: the CPU waits for the memory of results while it
 * multiplies the next tile. */
static bool stores_early(const contract *c) { return retc_contract_row_dtype(c->node) == RETC_DTYPE_F32; }

static retc_expr stored_rows(contract *c) {
  retc_lowering *l = c->l;
  if (!stores_early(c)) return retc_int(l, 0);
  if (!is_widened(c)) return c->whole;
  return retc_write_let(&l->writer, "stored", retc_select(l, is_many(c), c->whole, retc_int(l, 0)));
}

static void write_early_epilogue(contract *c, retc_expr row) {
  retc_lowering *l = c->l;
  retc_expr end = retc_int(l, c->filled), next = retc_add(l, c->first_k, retc_int(l, c->part));
  retc_write_if(&l->writer, retc_less_equal(l, end, next));
  write_epilogue(c, row, retc_add(l, row, retc_int(l, c->rows)));
  retc_write_end(&l->writer);
}

/* All rows: tiles of c->rows, then of the largest power of two below it, down to 1. */
static void write_tiles(contract *c, bool is_wide) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr done = retc_int(l, 0);
  for (int64_t rows = c->rows; rows > 0;) {
    retc_expr step = retc_int(l, rows), rest = retc_div(l, retc_sub(l, c->row_count, done), step);
    retc_expr end = rows == c->rows ? c->whole
                    : rows == 1     ? c->row_count
                                    : retc_write_let(w, "upto", retc_add(l, done, retc_mul(l, rest, step)));
    retc_expr row = retc_write_for(w, "row", RETC_LOOP_SERIAL, done, end, rows);
    write_tile(c, &(rows_of){row, rows, 1, {0}}, is_wide);
    if (rows == c->rows && stores_early(c) && (is_wide || !is_widened(c))) write_early_epilogue(c, row);
    retc_write_end(w);
    done = end;
    int64_t less = 1;
    while (less * 2 < rows) less *= 2;
    rows = rows == 1 ? 0 : less;
  }
}

static void write_part(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  if (retc_contract_has_scaling(c)) {
    /* Of halves an odd depth is followed by one more. */
    const int64_t room = (c->part + 1) / 2 * 2;
    c->wide = retc_write_alloc(w, "wide", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){room, RETC_PANEL});
    write_scaling(c);
    write_tiles(c, true);
    return;
  }
  if (is_widened(c)) {
    retc_write_if(w, is_many(c));
    c->wide = retc_write_alloc(w, "wide", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){c->part, RETC_PANEL});
    write_widening(c);
    write_tiles(c, true);
    retc_write_else(w);
  }
  write_tiles(c, false);
  if (is_widened(c)) retc_write_end(w);
}

static void write_zeros(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), at[3] = {c->place};
  at[1] = retc_write_for(w, "i", RETC_LOOP_SERIAL, zero, c->row_count, 1);
  at[2] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, RETC_PANEL), 1);
  retc_write_store(w, c->sum, at, retc_f32(l, 0));
  retc_write_end(w);
  retc_write_end(w);
}

/* Opens the loop over the panels first.. that are made together. */
static void write_for_panels(contract *c, retc_expr first, retc_expr count) {
  retc_lowering *l = c->l;
  c->place = retc_write_for(&l->writer, "q", RETC_LOOP_SERIAL, retc_int(l, 0), count, 1);
  c->panel = retc_write_let(&l->writer, "p", retc_add(l, first, c->place));
}

/* The sums of all panels, part of k by part. */
static void write_parts(contract *c, retc_expr first, retc_expr count) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), end = retc_int(l, c->filled), part = retc_int(l, c->part);
  c->first_k = retc_write_for(w, "first_k", RETC_LOOP_SERIAL, zero, end, c->part);
  c->k_count = part;
  if (c->filled % c->part) c->k_count = retc_write_let(w, "k_count", retc_min(l, part, retc_sub(l, end, c->first_k)));
  write_for_panels(c, first, count);
  write_part(c);
  retc_write_end(w);
  retc_write_end(w);
}

static void write_panels(contract *c, retc_expr first, retc_expr count) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  write_for_panels(c, first, count);
  write_zeros(c);
  retc_write_end(w);
  if (retc_contract_has_pairs(c)) {
    retc_expr is_full = retc_less_equal(l, retc_int(l, RETC_CONTRACT_AT_ONCE), count);
    retc_write_if(w, retc_and(l, retc_contract_is_single_row(c), is_full));
    c->first_k = retc_int(l, 0);
    c->k_count = retc_int(l, c->filled);
    write_tile(c, &(rows_of){retc_int(l, 0), 1, RETC_CONTRACT_AT_ONCE, first}, false);
    retc_write_else(w);
  }
  write_parts(c, first, count);
  if (retc_contract_has_pairs(c)) retc_write_end(w);
  write_for_panels(c, first, count);
  write_epilogue(c, c->stored, c->row_count);
  retc_write_end(w);
}

static contract describe(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *weight = &retc_lower_node(l, node->inputs[1])->type.shape;
  const retc_region *region = retc_graph_region(l->graph, l->region);
  contract c = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1};
  c.columns = weight->dim[0];
  c.depth = weight->dim[1];
  c.panels = retc_ceil_div(c.columns, RETC_PANEL);
  c.rows = retc_schedule_get(region, "rows", 4);
  c.block = retc_schedule_get(region, "block", 16);
  c.group = retc_schedule_get(region, "panels", 1);
  c.blocks = retc_schedule_get(region, "blocks", 1);
  c.part = retc_schedule_get(region, "depth", RETC_CONTRACT_DEPTH_PART);
  c.part = c.part / RETC_CONTRACT_DEPTH_STEP * RETC_CONTRACT_DEPTH_STEP;
  if (c.part < RETC_CONTRACT_DEPTH_STEP) c.part = RETC_CONTRACT_DEPTH_STEP;
  c.filled = retc_contract_row_dtype(node) == RETC_DTYPE_F32
                 ? c.depth
                 : retc_ceil_div(c.depth, RETC_PACKED_COLUMNS) * RETC_PACKED_COLUMNS;
  if (node->op == RETC_OP_CONTRACT_INT8 || node->op == RETC_OP_CONTRACT_SCALED) {
    c.scaled = node->attributes.integer[0];
    c.scale = retc_lower_buffer(l, node->inputs[2]);
  }
  c.is_integers = node->op == RETC_OP_CONTRACT_INT8;
  if (c.is_integers) {
    c.filled = retc_ceil_div(c.depth, c.scaled) * c.scaled;
    c.offset = retc_lower_node(l, node->inputs[1])->type.dtype == RETC_DTYPE_I4 ? 8 : 128;
  }
  if (c.part > c.filled) c.part = c.filled;
  c.together = retc_schedule_get(region, "together", 1);
  c.weight = retc_lower_buffer(l, node->inputs[1]);
  return c;
}

/* Rows of a task: as few blocks as hold them, as equal as can be, and at least as many as there are cores for. */
static void write_blocks(contract *c, retc_expr rows, retc_expr *out_blocks, retc_expr *out_block) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr one = retc_int(l, 1), tile = retc_int(l, c->rows), most = retc_int(l, c->block);
  retc_expr blocks = retc_div(l, retc_add(l, rows, retc_int(l, c->block - 1)), most);
  retc_expr tiles = retc_div(l, retc_add(l, rows, retc_int(l, c->rows - 1)), tile);
  if (c->blocks > 1) blocks = retc_max(l, blocks, retc_min(l, retc_int(l, c->blocks), tiles));
  blocks = retc_write_let(w, "blocks", blocks);
  retc_expr each = retc_div(l, retc_sub(l, retc_add(l, tiles, blocks), one), retc_max(l, blocks, one));
  *out_block = retc_write_let(w, "block", retc_mul(l, each, tile));
  *out_blocks = blocks;
}

retc_status retc_anchor_contract_lower(retc_lowering *l) {
  contract c = describe(l);
  retc_writer *w = &l->writer;
  retc_compilation *compilation = l->cx->compilation;
  compilation->plan->uses_tiles |= retc_contract_uses_tiles(c.node, &compilation->profile);
  l->computed = l->anchor;
  retc_expr zero = retc_int(l, 0), blocks, block, group = retc_int(l, c.group);
  retc_expr rows = retc_write_let(w, "rows", retc_lower_row_count(l, &c.row_shape, c.row_rank));
  write_blocks(&c, rows, &blocks, &block);
  retc_expr groups = retc_int(l, retc_ceil_div(c.panels, c.group));
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, retc_mul(l, groups, blocks), 1);
  c.first_row = retc_write_let(w, "first_row", retc_mul(l, retc_mod(l, task, blocks), block));
  c.row_count = retc_max(l, zero, retc_min(l, block, retc_sub(l, rows, c.first_row)));
  c.row_count = retc_write_let(w, "row_count", c.row_count);
  retc_expr tile = retc_int(l, c.rows);
  c.whole = retc_write_let(w, "whole", retc_mul(l, retc_div(l, c.row_count, tile), tile));
  c.sum = retc_write_alloc(w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 3,
                           (int64_t[]){retc_contract_has_pairs(&c) && c.together < RETC_CONTRACT_AT_ONCE
                                           ? RETC_CONTRACT_AT_ONCE
                                           : c.together,
                                       c.block, RETC_PANEL});
  if (c.is_integers) {
    const int64_t scales = c.filled / c.scaled;
    c.row_scale = retc_write_alloc(w, "row_scale", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, &c.block);
    c.bias = retc_write_alloc(w, "bias", RETC_SCOPE_PRIVATE, RETC_DTYPE_I32, 2, (int64_t[]){scales, c.block});
  }
  retc_contract_write_rows(&c);
  retc_expr panel = retc_write_let(w, "panel", retc_mul(l, retc_div(l, task, blocks), group));
  retc_expr end = retc_write_let(w, "end", retc_min(l, retc_add(l, panel, group), retc_int(l, c.panels)));
  /* Few rows take panel by panel: the weights are one stream then, or two of a single row. */
  retc_expr one = retc_int(l, 1), together = retc_int(l, c.together);
  if (retc_contract_has_pairs(&c)) {
    retc_expr few = retc_select(l, retc_contract_is_single_row(&c), retc_int(l, RETC_CONTRACT_AT_ONCE), one);
    together = retc_write_let(w, "together", retc_select(l, is_many(&c), together, few));
  }
  c.stored = stored_rows(&c);
  retc_expr turns = retc_div(l, retc_sub(l, retc_add(l, retc_sub(l, end, panel), together), one), together);
  retc_expr turn = retc_write_for(w, "turn", RETC_LOOP_SERIAL, zero, turns, 1);
  retc_expr first = retc_write_let(w, "first", retc_add(l, panel, retc_mul(l, turn, together)));
  write_panels(&c, first, retc_write_let(w, "count", retc_min(l, together, retc_sub(l, end, first))));
  retc_write_end(w);
  retc_write_end(w);
  return l->status;
}
