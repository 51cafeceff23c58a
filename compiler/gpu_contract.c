/* Products of rows with a weight matrix on a GPU: o[m,n] = epilogue(sum_k prologue(a)[m,k] w[n,k]).
 *
 * The summed axis is cut into PARTS parts of `part` elements. A sum is that of its parts, in order; a part is one chain of
 * fma. So the bits depend neither on how many rows there are nor on which block a row falls into.
 *
 * A block computes `rows` rows times COLUMNS columns: a lane has one column and one part, and a sum for each row. The rows
 * come through shared memory, `slice` elements of every part at a time; the weights are read once, from where they lie,
 * whole cache lines by each lane. */
#include "compiler/gpu_contract.h"

enum { PARTS = RETC_GPU_PARTS, COLUMNS = 32, LANES = PARTS * COLUMNS, SLICE_MOST = 64, ROWS = 8 };

static int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

void retc_gpu_contract_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                retc_region *region) {
  const retc_dtype math = retc_gpu_matrix_type(graph, node, profile);
  if (math != RETC_DTYPE_F32) {
    retc_gpu_matrix_schedule(graph, node, math, region);
    return;
  }
  const int64_t depth = retc_graph_node(graph, node->inputs[1])->type.shape.dim[1];
  const int64_t least = (depth + PARTS - 1) / PARTS;
  const int64_t slice = least > SLICE_MOST ? SLICE_MOST : round_up(least, 4);
  retc_schedule_set(region, "rows", ROWS);
  retc_schedule_set(region, "slice", slice);
  retc_schedule_set(region, "part", round_up(least, slice));
}

typedef struct contract {
  retc_lowering *l;
  const retc_node *node;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  int64_t columns, depth;
  int64_t rows, slice, part; /* of the schedule */
  retc_expr row_count, first_row, first_column;
  retc_expr lane, column, own_part; /* column: of the whole matrix */
  retc_buffer_id rows_tile, parts_tile, sum, weight;
} contract;

static retc_expr let(contract *c, const char *name, retc_expr value) { return retc_write_let(&c->l->writer, name, value); }

static retc_expr both(contract *c, retc_expr a, retc_expr b) {
  return retc_expr_binary(c->l->kernel, RETC_KERNEL_OP_AND, a, b);
}

static retc_expr begin(contract *c, const char *name, retc_loop_kind kind, int64_t count) {
  return retc_write_for(&c->l->writer, name, kind, retc_int(c->l, 0), retc_int(c->l, count), 1);
}

/* A loop in which the lanes share `count` things out; the number of the lane's one. */
static retc_expr begin_shared_out(contract *c, int64_t count) {
  retc_lowering *l = c->l;
  retc_expr turn = begin(c, "turn", RETC_LOOP_SERIAL, (count + LANES - 1) / LANES);
  retc_expr e = let(c, "e", retc_add(l, retc_mul(l, turn, retc_int(l, LANES)), c->lane));
  retc_write_if(&l->writer, retc_less(l, e, retc_int(l, count)));
  return e;
}

static void end_shared_out(contract *c) {
  retc_write_end(&c->l->writer);
  retc_write_end(&c->l->writer);
}

/* rows_tile[r,p,k] = element part * p + first + k of row first_row + r, r < rows; zero where there is none. */
static void write_rows(contract *c, retc_expr first, int64_t rows) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr slice = retc_int(l, c->slice), row_elements = retc_int(l, PARTS * c->slice);
  retc_expr e = begin_shared_out(c, rows * PARTS * c->slice);
  retc_expr r = let(c, "r", retc_div(l, e, row_elements)), p = let(c, "p", retc_div(l, retc_mod(l, e, row_elements), slice));
  retc_expr k = let(c, "k", retc_mod(l, e, slice)), to[3] = {r, p, k};
  retc_expr from = let(c, "from", retc_add(l, retc_add(l, retc_mul(l, p, retc_int(l, c->part)), first), k));
  retc_expr row = let(c, "row", retc_add(l, c->first_row, r));
  retc_write_if(w, both(c, retc_less(l, row, c->row_count), retc_less(l, from, retc_int(l, c->depth))));
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &c->row_shape, c->row_rank, row, at);
  at[c->row_rank] = retc_at(from);
  retc_write_store(w, c->rows_tile, to, retc_lower_value(l, c->node->inputs[0], at));
  retc_write_else(w);
  retc_write_store(w, c->rows_tile, to, retc_f32(l, 0));
  retc_write_end(w);
  end_shared_out(c);
}

/* Adds the products of this slice to the lane's first `rows` sums. */
static void write_products(contract *c, retc_expr first, int64_t rows) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), count = retc_int(l, c->slice);
  const bool whole = c->depth == PARTS * c->part;
  retc_expr start = let(c, "start", retc_add(l, retc_mul(l, c->own_part, retc_int(l, c->part)), first));
  if (!whole) count = let(c, "count", retc_min(l, count, retc_sub(l, retc_int(l, c->depth), start)));
  if (c->columns % COLUMNS) retc_write_if(w, retc_less(l, c->column, retc_int(l, c->columns)));
  retc_expr k = retc_write_for(w, "k", whole ? RETC_LOOP_UNROLL : RETC_LOOP_SERIAL, zero, count, 1);
  retc_expr weight = let(c, "weight", retc_load(l, c->weight, (retc_expr[]){c->column, retc_add(l, start, k)}));
  retc_expr r = begin(c, "r", RETC_LOOP_UNROLL, rows);
  retc_expr x = retc_load(l, c->rows_tile, (retc_expr[]){r, c->own_part, k});
  retc_lower_note(l, l->anchor);
  retc_write_store(w, c->sum, &r, retc_fma(l, x, weight, retc_load(l, c->sum, &r)));
  retc_write_end(w);
  retc_write_end(w);
  if (c->columns % COLUMNS) retc_write_end(w);
}

static void write_slices(contract *c, int64_t rows) {
  retc_writer *w = &c->l->writer;
  retc_expr first = retc_write_for(w, "first", RETC_LOOP_SERIAL, retc_int(c->l, 0), retc_int(c->l, c->part), c->slice);
  write_rows(c, first, rows);
  retc_write_barrier(w);
  write_products(c, first, rows);
  retc_write_barrier(w);
  retc_write_end(w);
}

static void write_results(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr columns = retc_int(l, COLUMNS), r = begin(c, "r", RETC_LOOP_UNROLL, c->rows);
  retc_expr own = retc_div(l, c->lane, retc_int(l, PARTS));
  retc_write_store(w, c->parts_tile, (retc_expr[]){r, own, c->own_part}, retc_load(l, c->sum, &r));
  retc_write_end(w);
  retc_write_barrier(w);
  retc_expr e = begin_shared_out(c, c->rows * COLUMNS);
  r = let(c, "r", retc_div(l, e, columns));
  retc_expr x = let(c, "x", retc_mod(l, e, columns)), row = let(c, "row", retc_add(l, c->first_row, r));
  retc_expr column = let(c, "column", retc_add(l, c->first_column, x));
  retc_write_if(w, both(c, retc_less(l, row, c->row_count), retc_less(l, column, retc_int(l, c->columns))));
  retc_expr total = {0};
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = retc_load(l, c->parts_tile, (retc_expr[]){r, x, retc_int(l, p)});
    total = p ? retc_add(l, total, part) : part;
  }
  retc_lower_note(l, l->anchor);
  l->computed_as = let(c, "total", total);
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &c->row_shape, c->row_rank, row, at);
  at[c->row_rank] = retc_at(column);
  retc_lower_store_results(l, l->anchor, at);
  retc_write_end(w);
  end_shared_out(c);
}

static contract describe(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *weight = &retc_lower_node(l, node->inputs[1])->type.shape;
  const retc_region *region = retc_graph_region(l->graph, l->region);
  contract c = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1};
  c.columns = weight->dim[0];
  c.depth = weight->dim[1];
  c.rows = retc_schedule_get(region, "rows", ROWS);
  c.slice = retc_schedule_get(region, "slice", 4);
  c.part = retc_schedule_get(region, "part", round_up((c.depth + PARTS - 1) / PARTS, c.slice));
  c.weight = retc_lower_buffer(l, node->inputs[1]);
  return c;
}

/* Blocks are counted along rows (y) and columns (x); opens both loops. */
static void begin_blocks(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  c->row_count = let(c, "rows", retc_lower_row_count(l, &c->row_shape, c->row_rank));
  c->first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, c->row_count, c->rows);
  c->first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, retc_int(l, c->columns), COLUMNS);
  c->rows_tile = retc_write_alloc(w, "rows_tile", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 3,
                                  (int64_t[]){c->rows, PARTS, c->slice});
  c->parts_tile = retc_write_alloc(w, "parts_tile", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 3,
                                   (int64_t[]){c->rows, COLUMNS, PARTS});
}

retc_status retc_gpu_contract_lower(retc_lowering *l) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  if (retc_schedule_get(region, "bf16", 0)) return retc_gpu_matrix_lower(l, RETC_DTYPE_BF16);
  if (retc_schedule_get(region, "f16", 0)) return retc_gpu_matrix_lower(l, RETC_DTYPE_F16);
  contract c = describe(l);
  retc_writer *w = &l->writer;
  l->computed = l->anchor;
  begin_blocks(&c);
  c.lane = begin(&c, "lane", RETC_LOOP_LANE, LANES);
  c.own_part = let(&c, "part", retc_mod(l, c.lane, retc_int(l, PARTS)));
  c.column = let(&c, "column", retc_add(l, c.first_column, retc_div(l, c.lane, retc_int(l, PARTS))));
  c.sum = retc_write_alloc(w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, &c.rows);
  retc_expr r = begin(&c, "r", RETC_LOOP_UNROLL, c.rows);
  retc_write_store(w, c.sum, &r, retc_f32(l, 0));
  retc_write_end(w);
  retc_write_comment(w, "one row alone, as in decoding, waits for no others");
  retc_write_if(w, retc_equal(l, retc_sub(l, c.row_count, c.first_row), retc_int(l, 1)));
  write_slices(&c, 1);
  retc_write_else(w);
  write_slices(&c, c.rows);
  retc_write_end(w);
  write_results(&c);
  for (int open = 0; open < 3; open++) retc_write_end(w);
  return l->status;
}
