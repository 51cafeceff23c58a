/* Products of rows with a weight matrix: o[m,n] = epilogue(sum_k prologue(a)[m,k] w[n,k]).
 *
 * A task is a block of rows times a group of 64-column panels. It computes its rows' prologue once into a private tile,
 * then each panel as `rows` x 64 tiles and the last rows one by one. Every output is one chain of fma along k, whatever
 * the tile it fell into. */
#include <string.h>

#include "compiler/anchors.h"
#include "runtime/plan.h"

/* A row of it has to fit a private tile. */
enum { DEPTH_MAX = 1 << 20 };

bool retc_anchor_contract_matches(const retc_graph *graph, const retc_node *node) {
  if (node->op != RETC_OP_CONTRACT) return false;
  const retc_node *weight = retc_graph_node(graph, node->inputs[1]);
  const retc_shape *shape = &weight->type.shape;
  if (weight->op != RETC_OP_INPUT || strcmp(weight->attributes.word, "weight") || shape->rank != 2) return false;
  if (retc_dim_is_named(shape->dim[0]) || retc_dim_is_named(shape->dim[1]) || shape->dim[1] > DEPTH_MAX) return false;
  if (node->type.dtype != RETC_DTYPE_F32) return false;
  retc_contraction spec;
  if (!retc_contraction_parse(node->attributes.word, &spec)) return false;
  int last = retc_graph_node(graph, node->inputs[0])->type.shape.rank - 1;
  if (last < 1) return false; /* one vector has no rows to make blocks of */
  for (int i = 0; i < spec.letter_count; i++) {
    const struct retc_letter *letter = &spec.letters[i];
    bool row = letter->a >= 0 && letter->a == letter->out && letter->b < 0;
    bool column = letter->a < 0 && letter->b == 0 && letter->out == node->type.shape.rank - 1;
    bool summed = letter->a == last && letter->b == 1 && letter->out < 0;
    if (!row && !column && !summed) return false;
  }
  return true;
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

void retc_anchor_contract_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                   retc_region *region) {
  const retc_shape *weight = &retc_graph_node(graph, node->inputs[1])->type.shape;
  int64_t panels = ceil_div(weight->dim[0], RETC_PANEL), depth = weight->dim[1];
  /* Accumulators and one panel row in registers; narrower vectors take a tile in several passes. */
  int64_t lanes = profile->vector_bytes / 4, vectors = lanes ? RETC_PANEL / lanes : 16;
  int64_t rows = vectors * 7 <= profile->vector_registers ? 6 : 4;
  /* The private tile takes a quarter of the second-level cache. */
  int64_t fit = profile->l2_bytes / 4 / (depth * 4) / rows;
  retc_schedule_set(region, "rows", rows);
  retc_schedule_set(region, "block", rows * (fit < 1 ? 1 : fit > 8 ? 8 : fit));
  retc_schedule_set(region, "panels", panels < 8 ? 1 : panels < 64 ? panels / 8 : 8);
}

typedef struct contract {
  retc_lowering *l;
  const retc_node *node;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  int64_t columns, depth, panels;
  int64_t rows, block, group; /* of the schedule */
  retc_expr first_row, row_count, panel;
  retc_buffer_id tile, weight;
} contract;

/* tile[r,k] = the operand's row first_row + r. */
static void write_prologue(contract *c) {
  retc_lowering *l = c->l;
  retc_index at[RETC_RANK_MAX];
  retc_expr r = retc_write_for(&l->writer, "r", RETC_LOOP_SERIAL, retc_int(l, 0), c->row_count, 1);
  retc_lower_row(l, &c->row_shape, c->row_rank, retc_add(l, c->first_row, r), at);
  retc_lanes lanes = retc_lower_lanes(l, "k", c->depth, retc_lower_step(l, c->node->inputs[0]));
  at[c->row_rank] = lanes.index;
  retc_expr k = lanes.index.lane.index ? retc_add(l, lanes.index.base, lanes.index.lane) : lanes.index.base;
  retc_expr to[2] = {r, k};
  retc_write_store(&l->writer, c->tile, to, retc_lower_value(l, c->node->inputs[0], at));
  retc_lower_lanes_end(l, &lanes);
  retc_write_end(&l->writer);
}

/* Stores rows x 64 accumulators through the epilogue tree. */
static void write_epilogue(contract *c, retc_buffer_id sum, retc_expr row, int64_t rows) {
  retc_lowering *l = c->l;
  retc_index at[RETC_RANK_MAX];
  retc_expr zero = retc_int(l, 0), panel = retc_int(l, RETC_PANEL);
  retc_expr i = retc_write_for(&l->writer, "i", RETC_LOOP_SERIAL, zero, retc_int(l, rows), 1);
  retc_lower_row(l, &c->row_shape, c->row_rank, retc_add(l, retc_add(l, c->first_row, row), i), at);
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
  retc_expr from[2] = {i, retc_add(l, s, lane)};
  l->computed_as = retc_load(l, sum, from);
  retc_lower_store_results(l, l->anchor, at);
  for (int open = 0; open < 3; open++) retc_write_end(&l->writer);
}

static void write_tile(contract *c, retc_expr row, int64_t rows) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  retc_buffer_id sum =
      retc_write_alloc(w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){rows, RETC_PANEL});
  retc_lower_zero(l, sum, retc_int(l, rows), retc_int(l, RETC_PANEL));
  retc_view to = retc_write_view(w, sum, (retc_expr[]){zero, zero}, 0, 1);
  retc_view a = retc_write_view(w, c->tile, (retc_expr[]){row, zero}, 0, 1);
  retc_view b = retc_write_view(w, c->weight, (retc_expr[]){c->panel, zero, zero}, 1, 2);
  retc_lower_note(l, l->anchor);
  retc_write_mma(w, to, a, b, rows, RETC_PANEL, retc_int(l, c->depth));
  write_epilogue(c, sum, row, rows);
}

static void write_panel(contract *c) {
  retc_lowering *l = c->l;
  retc_expr rows = retc_int(l, c->rows), whole = retc_mul(l, retc_div(l, c->row_count, rows), rows);
  whole = retc_write_let(&l->writer, "whole", whole);
  retc_expr row = retc_write_for(&l->writer, "row", RETC_LOOP_SERIAL, retc_int(l, 0), whole, c->rows);
  write_tile(c, row, c->rows);
  retc_write_end(&l->writer);
  row = retc_write_for(&l->writer, "row", RETC_LOOP_SERIAL, whole, c->row_count, 1);
  write_tile(c, row, 1);
  retc_write_end(&l->writer);
}

static contract describe(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *weight = &retc_lower_node(l, node->inputs[1])->type.shape;
  const retc_region *region = retc_graph_region(l->graph, l->region);
  contract c = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1};
  c.columns = weight->dim[0];
  c.depth = weight->dim[1];
  c.panels = ceil_div(c.columns, RETC_PANEL);
  c.rows = retc_schedule_get(region, "rows", 4);
  c.block = retc_schedule_get(region, "block", 16);
  c.group = retc_schedule_get(region, "panels", 1);
  c.weight = retc_lower_buffer(l, node->inputs[1]);
  return c;
}

retc_status retc_anchor_contract_lower(retc_lowering *l) {
  contract c = describe(l);
  retc_writer *w = &l->writer;
  l->computed = l->anchor;
  retc_expr zero = retc_int(l, 0), block = retc_int(l, c.block);
  retc_expr rows = retc_write_let(w, "rows", retc_lower_row_count(l, &c.row_shape, c.row_rank));
  retc_expr blocks = retc_div(l, retc_add(l, rows, retc_int(l, c.block - 1)), block);
  retc_expr groups = retc_int(l, ceil_div(c.panels, c.group));
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, retc_mul(l, blocks, groups), 1);
  c.first_row = retc_write_let(w, "first_row", retc_mul(l, retc_div(l, task, groups), block));
  c.row_count = retc_write_let(w, "row_count", retc_min(l, block, retc_sub(l, rows, c.first_row)));
  c.tile = retc_write_alloc(w, "tile", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){c.block, c.depth});
  write_prologue(&c);
  retc_expr panel = retc_write_let(w, "panel", retc_mul(l, retc_mod(l, task, groups), retc_int(l, c.group)));
  retc_expr end = retc_min(l, retc_add(l, panel, retc_int(l, c.group)), retc_int(l, c.panels));
  c.panel = retc_write_for(w, "p", RETC_LOOP_SERIAL, panel, end, 1);
  write_panel(&c);
  retc_write_end(w);
  retc_write_end(w);
  return l->status;
}
