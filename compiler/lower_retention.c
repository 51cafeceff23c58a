/* The retention region: rotation, decay mask, chunk boundary, in-chunk and cross products and the state update in one
 * kernel. A task is one (b, h), or a part of its value columns. It walks the chunks that the call touches; of each it
 * rotates the new keys into a tile (channels x rows, so that lanes are rows), computes the output rows, and, when the
 * chunk is complete, replaces the state. The sizes of its blocks are chosen in schedule_retention.c.
 *
 *   score[i,j] = (q_i . k_j) g^(i-j)                          j <= i
 *   o_i        = g^(i+1) S^T q_i + sum_j score[i,j] v_j       one chain of fma from the first term on, j in order
 *   S          = g^C S + sum_j (g^(C-1-j) k_j) v_j^T          j in order, behind (g^C - 1) S + S
 *
 * Rows come in blocks where the call has enough of them, else one by one; the last block ends with the last row, and
 * computes some of the rows before it again. Rows that do not exist are not computed, and a row's operations are the
 * same wherever it stands. */
#include <string.h>

#include "base/number.h"
#include "compiler/anchors.h"
#include "compiler/lower_retention.h"

bool retc_anchor_retention_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  if (node->op != RETC_OP_SCAN) return false;
  retc_retention found;
  return retc_retention_find(graph, uses, (retc_value){(uint32_t)(node - graph->nodes.items)}, &found);
}

enum { GROUP_ROWS = 64 };

typedef retc_retention_lowering retention;

/* ---- what the region consists of ---- */

/* Everything that the pattern names is computed here, by this region alone. */
static bool is_whole(const retc_lowering *l, const retc_retention *found) {
  if (!retc_lower_are_inside(l, found->members, found->member_count)) return false;
  if (!retc_lower_are_inside(l, found->sources, found->source_count)) return false;
  for (size_t i = 0; i < l->results.count; i++) {
    const uint32_t result = l->results.items[i].index;
    if (result != found->output.index && result != found->end.index && result != found->score_sum.index &&
        result != found->state_peak.index) {
      return false;
    }
  }
  return true;
}

static bool describe(retc_lowering *l, retention *r) {
  const retc_uses uses = retc_graph_uses(l->graph, l->arena);
  if (!retc_retention_find(l->graph, &uses, l->anchor, &r->found) || !is_whole(l, &r->found)) return false;
  const retc_retention found = r->found;
  if (!retc_rows_describe(l, found.q_rows, &r->q) || !retc_rows_describe(l, found.k_rows, &r->k)) return false;
  if (!retc_rows_describe(l, found.v_rows, &r->v)) return false;
  r->result = found.output;
  r->score_sum = found.score_sum;
  r->state_peak = found.state_peak;
  r->state = found.start;
  r->end_state = found.end;
  r->log_decay = found.log_decay;
  r->position = found.position;
  r->batch = retc_lower_node(l, found.output)->type.shape.dim[0];
  return true;
}

/* Scores of a group stay within this, however long the chunk. */
enum { GROUP_ELEMENTS = 1 << 16 };

static void size(retc_lowering *l, retention *r) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  r->l = l;
  r->heads = r->q.heads;
  r->repeat = r->q.heads / r->k.heads;
  r->chunk = r->k.chunk;
  r->block = retc_schedule_get(region, "rows", 4);
  r->columns = retc_schedule_get(region, "columns", 32);
  r->wide = retc_schedule_get(region, "wide", 64);
  r->score_columns = retc_schedule_get(region, "scores", 16);
  r->padded = retc_ceil_div(r->chunk, r->score_columns) * r->score_columns;
  r->has_panel = retc_schedule_get(region, "panel", 0) != 0;
  r->parts = retc_schedule_get(region, "parts", 1);
  const bool in_place =
      r->end_state.index && retc_lower_buffer(l, r->end_state).index == retc_lower_buffer(l, r->state).index;
  const bool whole = !in_place || r->score_sum.index || r->state_peak.index; /* what all columns are needed for */
  if (whole || r->parts < 1 || r->v.width % r->parts) r->parts = 1;
  const int64_t blocks = retc_smaller(GROUP_ROWS, GROUP_ELEMENTS / retc_larger(r->padded, r->q.width)) / r->block;
  r->is_gpu = l->cx->compilation->profile.wave > 0;
  r->group = r->is_gpu ? r->block : retc_larger(1, retc_smaller(blocks, retc_ceil_div(r->chunk, r->block))) * r->block;
  r->growth = retc_rows_growth_table(l, r->log_decay, r->chunk);
  r->decay = retc_rows_decay_table(l, r->log_decay, r->chunk, r->score_columns + r->block);
}

/* ---- pieces ---- */

/* e^((chunk - x) log_decay) of this head. */
static retc_expr decay(retention *r, retc_expr x) { return retc_load(r->l, r->decay, (retc_expr[]){r->h, x}); }

/* Runs `body` over the value columns of the part: blocks of `step` in a loop, then what is left. */
static void for_columns(retention *r, int64_t step, void (*body)(retention *r, retc_expr column, int64_t width)) {
  retc_lowering *l = r->l;
  int64_t width = r->v.width / r->parts, whole = width / step * step;
  if (whole) {
    retc_expr zero = retc_int(l, 0);
    retc_expr column = retc_write_for(&l->writer, "column", RETC_LOOP_SERIAL, zero, retc_int(l, whole), step);
    body(r, retc_add(l, r->part_column, column), step);
    retc_write_end(&l->writer);
  }
  if (width > whole) body(r, retc_add(l, r->part_column, retc_int(l, whole)), width - whole);
}

/* ---- output rows ---- */

/* A loop over the rows at hand that is written out: their accumulators stay in registers. */
static retc_expr begin_rows(retention *r) {
  return retc_write_for(&r->l->writer, "i", RETC_LOOP_UNROLL, retc_int(r->l, 0), retc_int(r->l, r->rows), 1);
}

static void zero_tile(retention *r, retc_buffer_id tile, int64_t width) {
  retc_lowering *l = r->l;
  retc_expr at[2] = {begin_rows(r),
                     retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, retc_int(l, 0), retc_int(l, width), 1)};
  retc_write_store(&l->writer, tile, at, retc_f32(l, 0));
  retc_write_end(&l->writer);
  retc_write_end(&l->writer);
}

static void write_scores(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), width = retc_int(l, r->score_columns), at[2];
  retc_expr last = retc_add(l, r->row, retc_int(l, r->rows));
  retc_write_comment(w, "scores with their decay g^(i - j); those of j > i are never read");
  retc_expr from = retc_write_for(w, "from", RETC_LOOP_SERIAL, zero, last, r->score_columns);
  retc_buffer_id sum = retc_retention_tile(r, "products", r->rows, r->score_columns);
  zero_tile(r, sum, r->score_columns);
  retc_lower_note(l, r->found.scores);
  retc_write_mma(w, retc_retention_view(r, sum, zero, zero), retc_retention_view(r, r->query_tile, r->slot, zero),
                 retc_retention_view(r, r->key_tile, zero, from), r->rows, r->score_columns, retc_int(l, r->k.width));
  retc_expr i = begin_rows(r);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, width, 1);
  retc_expr ahead = retc_sub(l, retc_add(l, retc_int(l, r->chunk), from), retc_add(l, r->row, i));
  retc_expr power = decay(r, retc_add(l, ahead, lane));
  at[0] = retc_add(l, r->slot, i);
  at[1] = retc_add(l, from, lane);
  retc_lower_note(l, r->found.mask);
  retc_lower_note(l, r->found.masked);
  retc_write_store(w, r->score_tile, at, retc_mul(l, retc_load(l, sum, (retc_expr[]){i, lane}), power));
  for (int open = 0; open < 3; open++) retc_write_end(w);
}

static retc_expr absolute(retention *r, retc_expr a) { return retc_expr_unary(r->l->kernel, RETC_KERNEL_OP_ABS, a); }

static void store_row_measure(retention *r, retc_value result, retc_expr row, retc_expr value) {
  retc_lowering *l = r->l;
  retc_index to[4] = {retc_at(r->b), retc_at(retc_add(l, r->start, row)), retc_at(r->h), retc_at(retc_int(l, 0))};
  retc_lower_store(l, result, to, value);
}

static void write_score_sums(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), width = retc_int(l, RETC_PARTIALS);
  retc_expr i = retc_write_for(w, "i", RETC_LOOP_SERIAL, zero, retc_int(l, r->rows), 1);
  retc_expr row = retc_write_let(w, "score_row", retc_add(l, r->row, i));
  retc_expr end = retc_write_let(w, "score_end", retc_add(l, row, retc_int(l, 1)));
  retc_buffer_id partial = retc_lower_partials(l, RETC_DTYPE_F32, 0);
  retc_expr j = retc_write_for(w, "j", RETC_LOOP_SERIAL, zero, end, RETC_PARTIALS);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_min(l, width, retc_sub(l, end, j)), 1);
  retc_expr at[2] = {retc_add(l, r->slot, i), retc_add(l, j, lane)};
  retc_expr score = absolute(r, retc_load(l, r->score_tile, at));
  retc_write_store(w, partial, &lane, retc_add(l, retc_load(l, partial, &lane), score));
  retc_write_end(w);
  retc_write_end(w);
  store_row_measure(r, r->score_sum, row, retc_lower_tree(l, partial, RETC_KERNEL_OP_ADD));
  retc_write_end(w);
}

/* max_v sum_k |S[k,v]| of the state that the chunk starts with, for each of its rows. */
static void write_state_peak(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), values = retc_int(l, r->v.width), width = retc_int(l, RETC_PARTIALS);
  retc_buffer_id sums = retc_retention_tile(r, "state_sum", 1, r->v.width),
                 partial = retc_lower_partials(l, RETC_DTYPE_F32, 0);
  retc_lower_zero(l, sums, retc_int(l, 1), values);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, r->k.width), 1);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, values, 1);
  retc_expr size = absolute(r, retc_load(l, r->state_buffer, (retc_expr[]){r->state_b, r->state_h, x, lane}));
  retc_expr at[2] = {zero, lane};
  retc_write_store(w, sums, at, retc_add(l, retc_load(l, sums, at), size));
  retc_write_end(w);
  retc_write_end(w);
  retc_expr v = retc_write_for(w, "v", RETC_LOOP_SERIAL, zero, values, RETC_PARTIALS);
  lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_min(l, width, retc_sub(l, values, v)), 1);
  retc_expr sum = retc_load(l, sums, (retc_expr[]){zero, retc_add(l, v, lane)});
  retc_write_store(w, partial, &lane, retc_max(l, retc_load(l, partial, &lane), sum));
  retc_write_end(w);
  retc_write_end(w);
  retc_expr peak = retc_write_let(w, "peak", retc_lower_tree(l, partial, RETC_KERNEL_OP_MAX));
  retc_expr i = retc_write_for(w, "i", RETC_LOOP_SERIAL, r->first, r->end, 1);
  store_row_measure(r, r->state_peak, i, peak);
  retc_write_end(w);
}

/* acc[i,..] = g^(row + i + 1) acc[i,..] */
static void write_decayed(retention *r, retc_buffer_id acc, int64_t width) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr i = begin_rows(r);
  retc_expr ahead = retc_sub(l, retc_int(l, r->chunk - 1), retc_add(l, r->row, i));
  retc_expr power = retc_write_let(w, "power", decay(r, ahead));
  retc_expr at[2] = {i, retc_write_for(w, "lane", RETC_LOOP_VECTOR, retc_int(l, 0), retc_int(l, width), 1)};
  retc_lower_note(l, r->found.crossed);
  retc_write_store(w, acc, at, retc_mul(l, power, retc_load(l, acc, at)));
  retc_write_end(w);
  retc_write_end(w);
}

/* The rows at hand, `width` columns from `column` on; `state` is of these columns. */
static void write_outputs(retention *r, retc_view state, retc_expr column, int64_t width) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  retc_buffer_id acc = retc_retention_tile(r, "acc", r->rows, width);
  zero_tile(r, acc, width);
  retc_lower_note(l, r->found.cross);
  retc_write_mma(w, retc_retention_view(r, acc, zero, zero), retc_retention_view(r, r->query_tile, r->slot, zero),
                 state, r->rows, width, retc_int(l, r->k.width));
  write_decayed(r, acc, width);
  retc_retention_write_value_product(r, r->found.inner, retc_retention_view(r, acc, zero, zero), r->score_tile, r->slot,
                                     r->rows, r->row, column, width);
  for (int64_t x = 0; x < r->rows; x++) {
    retc_retention_write_value_row(r, r->found.inner, retc_retention_view(r, acc, retc_int(l, x), zero), r->score_tile,
                                   retc_add(l, r->slot, retc_int(l, x)), r->rows - x,
                                   retc_add(l, r->row, retc_int(l, x)), column, width);
  }
  retc_expr i = begin_rows(r);
  retc_expr at[2] = {i, retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, width), 1)};
  retc_expr t = retc_add(l, r->start, retc_add(l, r->row, i));
  retc_index to[4] = {retc_at(r->b), retc_at(t), retc_at(r->h), {column, at[1], 0}};
  retc_lower_note(l, r->found.sum);
  retc_lower_store(l, r->result, to, retc_load(l, acc, at));
  retc_write_end(w);
  retc_write_end(w);
}

static retc_view state_view(retention *r, retc_expr column) {
  const retc_expr at[4] = {r->state_b, r->state_h, retc_int(r->l, 0), column};
  return retc_write_view(&r->l->writer, r->state_buffer, at, 2, 3);
}

/* Queries of the rows at hand, into the tile from `slot` on. */
static void write_row_queries(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr i = retc_write_for(w, "i", RETC_LOOP_SERIAL, retc_int(l, 0), retc_int(l, r->rows), 1);
  retc_expr at[2] = {retc_add(l, r->slot, i), {0}}, t = retc_add(l, r->start, retc_add(l, r->row, i));
  retc_rows_write(l, &r->q, r->b, t, r->h, r->query_tile, at, 2, 1);
  retc_write_end(w);
}

static void write_row_scores(retention *r) {
  write_scores(r);
  if (r->score_sum.index) write_score_sums(r);
}

static void alloc_row_tiles(retention *r, int64_t rows) {
  r->query_tile = retc_retention_tile(r, "query", rows, r->q.width);
  r->score_tile = retc_retention_tile(r, "score", rows, r->padded);
}

static void write_single_columns(retention *r, retc_expr column, int64_t width) {
  write_outputs(r, state_view(r, column), column, width);
}

static void write_single_rows(retention *r) {
  retc_lowering *l = r->l;
  const retc_buffer_id values = r->value_tile;
  r->rows = 1;
  r->slot = retc_int(l, 0);
  r->value_tile = (retc_buffer_id){0};
  r->row = retc_write_for(&l->writer, "row", RETC_LOOP_SERIAL, r->first, r->end, 1);
  alloc_row_tiles(r, 1);
  write_row_queries(r);
  write_row_scores(r);
  for_columns(r, r->wide, write_single_columns);
  retc_write_end(&l->writer);
  r->value_tile = values;
}

/* ---- groups of blocks ---- */

/* A loop over the blocks of a group: from r->group_start on in steps of a block, with `row` and `slot` of each. */
static void begin_blocks(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr place = retc_write_for(w, "block", RETC_LOOP_SERIAL, r->group_start, r->group_end, r->block);
  r->row = retc_write_let(w, "row", retc_min(l, place, retc_sub(l, r->end, retc_int(l, r->block))));
  r->slot = retc_write_let(w, "slot", retc_sub(l, place, r->group_start));
}

/* Columns of the state close together: its rows lie so far apart that a few of them fill their part of the first
 * cache. */
static retc_view write_state_panel(retention *r, retc_expr column, int64_t width) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), at[2];
  retc_buffer_id panel = retc_retention_tile(r, "panel", r->k.width, width);
  at[0] = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, r->k.width), 1);
  at[1] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, width), 1);
  const retc_expr from[4] = {r->state_b, r->state_h, at[0], retc_add(l, column, at[1])};
  retc_write_store(w, panel, at, retc_load(l, r->state_buffer, from));
  retc_write_end(w);
  retc_write_end(w);
  return retc_retention_view(r, panel, zero, zero);
}

static void write_group_columns(retention *r, retc_expr column, int64_t width) {
  retc_view state = r->has_panel ? write_state_panel(r, column, width) : state_view(r, column);
  begin_blocks(r);
  write_outputs(r, state, column, width);
  retc_write_end(&r->l->writer);
}

static void write_groups(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  r->rows = r->block;
  r->group_start = retc_write_for(w, "group", RETC_LOOP_SERIAL, r->first, r->end, r->group);
  r->group_end =
      retc_write_let(w, "group_end", retc_min(l, r->end, retc_add(l, r->group_start, retc_int(l, r->group))));
  alloc_row_tiles(r, r->group);
  begin_blocks(r);
  write_row_queries(r);
  retc_write_end(w);
  begin_blocks(r);
  write_row_scores(r);
  retc_write_end(w);
  for_columns(r, r->columns, write_group_columns);
  retc_write_end(w);
}

static void write_rows(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  if (r->chunk < r->block) {
    write_single_rows(r);
    return;
  }
  retc_write_if(w, retc_less_equal(l, retc_int(l, r->block), retc_sub(l, r->end, r->first)));
  write_groups(r);
  retc_write_else(w);
  write_single_rows(r);
  retc_write_end(w);
}

/* ---- the state at the end of a chunk ---- */

static void write_state_rows(retention *r, retc_expr channel, int64_t rows, retc_expr column, int64_t width) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  retc_buffer_id sum = retc_retention_tile(r, "sum", rows, width);
  r->rows = rows;
  for (int after = 0; after < 2; after++) {
    retc_expr i = begin_rows(r);
    retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, width), 1);
    retc_expr at[2] = {i, lane},
              state[4] = {r->state_b, r->state_h, retc_add(l, channel, i), retc_add(l, column, lane)};
    retc_lower_note(l, l->anchor);
    if (after)
      retc_write_store(w, r->state_buffer, state, retc_load(l, sum, at));
    else
      retc_write_store(w, sum, at,
                       retc_fma(l, retc_load(l, r->growth, &r->h), retc_load(l, r->state_buffer, state),
                                retc_load(l, r->state_buffer, state)));
    retc_write_end(w);
    retc_write_end(w);
    if (after) continue;
    retc_retention_write_value_product(r, r->found.update, retc_retention_view(r, sum, zero, zero), r->key_tile,
                                       channel, rows, retc_int(l, r->chunk), column, width);
  }
}

static void write_state_columns(retention *r, retc_expr column, int64_t width) {
  retc_lowering *l = r->l;
  int64_t whole = r->k.width / r->block * r->block;
  retc_expr all = retc_int(l, r->k.width), split = retc_int(l, whole);
  if (whole) {
    retc_expr x = retc_write_for(&l->writer, "x", RETC_LOOP_SERIAL, retc_int(l, 0), split, r->block);
    write_state_rows(r, x, r->block, column, width);
    retc_write_end(&l->writer);
  }
  if (whole == r->k.width) return;
  write_state_rows(r, retc_write_for(&l->writer, "x", RETC_LOOP_SERIAL, split, all, 1), 1, column, width);
  retc_write_end(&l->writer);
}

static void write_state(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), chunk = retc_int(l, r->chunk), at[2];
  retc_write_comment(w, "chunk boundary: a complete chunk enters the state");
  retc_write_if(w, retc_equal(l, r->end, chunk));
  at[0] = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, r->k.width), 1);
  at[1] = retc_write_for(w, "j", RETC_LOOP_VECTOR, zero, chunk, 1);
  retc_expr power = decay(r, retc_add(l, at[1], retc_int(l, 1)));
  retc_lower_note(l, r->found.decayed);
  retc_write_store(w, r->key_tile, at, retc_mul(l, power, retc_load(l, r->key_tile, at)));
  retc_write_end(w);
  retc_write_end(w);
  for_columns(r, r->columns, write_state_columns);
  retc_write_end(w);
}

/* ---- where the state is ---- */

/* A state that is replaced lies where it is; any other is copied to where the new one is wanted, or, when nobody wants
 * that, to a tile. */
static void write_state_place(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  r->state_b = r->b;
  r->state_h = r->h;
  if (r->end_state.index) {
    r->state_buffer = retc_lower_buffer(l, r->end_state);
    if (r->state_buffer.index == retc_lower_buffer(l, r->state).index) return;
    l->kernel->buffers.items[r->state_buffer.index].access |= RETC_ACCESS_READ;
  } else {
    const int64_t extents[4] = {1, 1, r->k.width, r->v.width};
    r->state_buffer = retc_write_alloc(w, "state", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 4, extents);
    r->state_b = r->state_h = zero;
  }
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, r->k.width), 1);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, r->v.width), 1);
  retc_index from[4] = {retc_at(r->b), retc_at(r->h), retc_at(x), {zero, lane, r->v.width}};
  retc_expr to[4] = {r->state_b, r->state_h, x, lane};
  retc_write_store(w, r->state_buffer, to, retc_lower_value(l, r->state, from));
  retc_write_end(w);
  retc_write_end(w);
}

retc_status retc_anchor_retention_lower(retc_lowering *l) {
  retention r = {0};
  if (!describe(l, &r)) {
    return retc_lower_refuse(l, l->anchor,
                             "this region is not the whole retention that expand makes and fuse puts together");
  }
  size(l, &r);
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), chunk = retc_int(l, r.chunk), heads = retc_int(l, r.heads);
  retc_expr parts = retc_int(l, r.parts), tasks = retc_mul(l, retc_mul(l, retc_dim_expr(l, r.batch), heads), parts);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1), head = task;
  r.part_column = zero;
  if (r.parts > 1) {
    r.part_column = retc_write_let(w, "part", retc_mul(l, retc_mod(l, task, parts), retc_int(l, r.v.width / r.parts)));
    head = retc_write_let(w, "head", retc_div(l, task, parts));
  }
  r.b = retc_write_let(w, "b", retc_div(l, head, heads));
  r.h = retc_write_let(w, "h", retc_mod(l, head, heads));
  r.g = retc_write_let(w, "g", retc_div(l, r.h, retc_int(l, r.repeat)));
  retc_expr position = retc_lower_value(l, r.position, NULL);
  retc_expr pending = retc_write_let(w, "pending", retc_mod(l, position, chunk));
  write_state_place(&r);
  r.key_tile = retc_retention_tile(&r, "key", r.k.width, r.padded + (r.is_gpu ? 0 : RETC_TILE_GAP));
  retc_expr n = retc_write_for(w, "n", RETC_LOOP_SERIAL, zero, retc_dim_expr(l, RETC_NAMED(N)), 1);
  r.first = retc_write_let(w, "first", retc_select(l, retc_equal(l, n, zero), pending, zero));
  r.start = retc_write_let(w, "start", retc_sub(l, retc_mul(l, n, chunk), pending));
  r.end = retc_write_let(w, "end", retc_min(l, chunk, retc_sub(l, retc_dim_expr(l, RETC_NAMED(T)), r.start)));
  retc_retention_write_keys(&r);
  retc_retention_write_values(&r);
  if (r.state_peak.index) write_state_peak(&r);
  write_rows(&r);
  write_state(&r);
  retc_write_end(w);
  retc_write_end(w);
  return l->status;
}
