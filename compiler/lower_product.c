/* Products of any spec. Every output is one chain of fma over the summed letters in the order of the spec, whatever the
 * loops look like:
 *
 *   tiled   f32, when letters of the output stand in one operand only and its last letter in the other alone: a task is
 *           a block of rows times up to 64 columns. Blocks of both operands are packed into private tiles, DEPTH (on a
 *           GPU GPU_DEPTH) of the last summed letter at a time, and multiplied as `rows` x 64 tiles; the last rows go
 *           one by one.
 *   plain   everything else: lanes along the output's last axis, the summed letters as loops inside.
 *
 * Operands are read as values, so that views of them cost nothing. */
#include "compiler/anchors.h"
#include "compiler/gpu.h"

enum { DEPTH = 256, GPU_DEPTH = 32, COLUMNS = 64, BLOCK = 48, ROWS_MIN = 4, LETTERS_MAX = 2 * RETC_RANK_MAX };

bool retc_anchor_product_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  return node->op == RETC_OP_CONTRACT;
}

/* The letters by what they are to the loops. */
typedef struct product {
  retc_lowering *l;
  const retc_node *node;
  retc_contraction spec;
  retc_dim extents[LETTERS_MAX];  /* of each letter */
  retc_index indices[LETTERS_MAX];
  int outer[LETTERS_MAX], outer_count;   /* letters of the output that tasks are counted by */
  int rows[LETTERS_MAX], row_count;      /* ... that rows of a block are counted by; tiled only */
  int summed[LETTERS_MAX], summed_count; /* in order */
  int column;                            /* the output's last letter, -1: the output is one number */
  int column_side;                       /* the operand that has it: 0, 1; 2: both */
} product;

static product describe(const retc_graph *graph, const retc_node *node) {
  product p = {.node = node, .column = node->type.shape.rank - 1, .column_side = 2};
  retc_contraction_parse(node->attributes.word, &p.spec);
  const retc_shape *a = &retc_graph_node(graph, node->inputs[0])->type.shape;
  const retc_shape *b = &retc_graph_node(graph, node->inputs[1])->type.shape;
  if (p.column >= 0) {
    const struct retc_letter *last = &p.spec.letters[p.column];
    p.column_side = last->b < 0 ? 0 : last->a < 0 ? 1 : 2;
  }
  for (int i = 0; i < p.spec.letter_count; i++) {
    const struct retc_letter *letter = &p.spec.letters[i];
    p.extents[i] = letter->a >= 0 ? a->dim[letter->a] : b->dim[letter->b];
    const bool alone = letter->a < 0 || letter->b < 0, other = p.column_side == 1 ? letter->b < 0 : letter->a < 0;
    if (letter->out < 0) p.summed[p.summed_count++] = i;
    else if (i == p.column) continue;
    else if (p.column_side < 2 && alone && other) p.rows[p.row_count++] = i;
    else p.outer[p.outer_count++] = i;
  }
  return p;
}

/* Rows of a block, 0 for products that are better off plain. */
static int64_t tiled_rows(const product *p) {
  if (p->node->type.dtype != RETC_DTYPE_F32 || p->column_side == 2 || !p->summed_count || !p->row_count) return 0;
  int64_t count = 1;
  for (int i = 0; i < p->row_count; i++) {
    retc_dim extent = p->extents[p->rows[i]];
    if (retc_dim_is_named(extent) || count > BLOCK) return BLOCK;
    count *= extent;
  }
  return count < ROWS_MIN ? 0 : count < BLOCK ? count : BLOCK;
}

void retc_anchor_product_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                  retc_region *region) {
  const product p = describe(graph, node);
  const int64_t block = tiled_rows(&p);
  if (!block) return;
  int64_t lanes = profile->vector_bytes / 4, vectors = lanes ? COLUMNS / lanes : 16;
  int64_t rows = vectors * 7 <= profile->vector_registers ? 6 : 4;
  retc_schedule_set(region, "rows", rows);
  retc_schedule_set(region, "block", (block + rows - 1) / rows * rows);
}

/* ---- letters ---- */

static retc_expr count_letters(product *p, const int *letters, int count) {
  retc_expr product_of = retc_int(p->l, 1);
  for (int i = 0; i < count; i++) product_of = retc_mul(p->l, product_of, retc_dim_expr(p->l, p->extents[letters[i]]));
  return product_of;
}

/* Sets the letters' indices to those of number `row` of their combinations. */
static void split_row(product *p, const int *letters, int count, retc_expr row) {
  retc_lowering *l = p->l;
  for (int i = count - 1; i > 0; i--) {
    retc_expr extent = retc_dim_expr(l, p->extents[letters[i]]);
    p->indices[letters[i]] = retc_at(retc_write_let(&l->writer, "at", retc_mod(l, row, extent)));
    row = retc_write_let(&l->writer, "rest", retc_div(l, row, extent));
  }
  if (count) p->indices[letters[0]] = retc_at(row);
}

static retc_expr read_operand(product *p, int side) {
  retc_index at[RETC_RANK_MAX];
  for (int i = 0; i < p->spec.letter_count; i++) {
    const struct retc_letter *letter = &p->spec.letters[i];
    int axis = side ? letter->b : letter->a;
    if (axis >= 0) at[axis] = p->indices[i];
  }
  retc_expr value = retc_lower_value(p->l, p->node->inputs[side], at);
  return retc_expr_cast(p->l->kernel, p->node->type.dtype, value);
}

static int64_t result_step(const retc_lowering *l) {
  int64_t step = COLUMNS;
  if (retc_lower_is_gpu(l)) return step;
  for (size_t r = 0; r < l->results.count; r++) {
    int64_t own = retc_lower_step(l, l->results.items[r]);
    if (own < step) step = own;
  }
  return step;
}

static void store(product *p) {
  retc_index at[RETC_RANK_MAX];
  for (int i = 0; i < p->spec.letter_count; i++) {
    if (p->spec.letters[i].out >= 0) at[p->spec.letters[i].out] = p->indices[i];
  }
  retc_lower_store_results(p->l, p->l->anchor, at);
}

/* ---- plain ---- */

/* sum[lane] over the summed letters, for the lanes 0..count. */
static void write_sums(product *p, retc_buffer_id sum, retc_expr column, retc_expr count) {
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  for (int i = 0; i < p->summed_count; i++) {
    retc_expr end = retc_dim_expr(l, p->extents[p->summed[i]]);
    p->indices[p->summed[i]] = retc_at(retc_write_for(w, "k", RETC_LOOP_SERIAL, zero, end, 1));
  }
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, count, 1);
  if (p->column >= 0) p->indices[p->column] = (retc_index){column, lane, COLUMNS};
  retc_expr a = read_operand(p, 0), b = read_operand(p, 1);
  retc_lower_note(l, l->anchor);
  retc_write_store(w, sum, &lane, retc_fma(l, a, b, retc_load(l, sum, &lane)));
  for (int i = 0; i <= p->summed_count; i++) retc_write_end(w);
}

static void write_plain_columns(product *p, retc_expr column, retc_expr count, int64_t width) {
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  const retc_dtype dtype = p->node->type.dtype;
  retc_expr zero = retc_int(l, 0);
  retc_buffer_id sum = retc_write_alloc(w, "sum", RETC_SCOPE_PRIVATE, dtype, 1, &width);
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, width), 1);
  retc_write_store(w, sum, &lane, retc_real(l, dtype, 0));
  retc_write_end(w);
  write_sums(p, sum, column, count);
  const bool lanes = result_step(l) == COLUMNS;
  lane = retc_write_for(w, "lane", lanes ? RETC_LOOP_VECTOR : RETC_LOOP_SERIAL, zero, count, 1);
  if (p->column >= 0) p->indices[p->column] = (retc_index){column, lane, COLUMNS};
  l->computed_as = retc_load(l, sum, &lane);
  store(p);
  retc_write_end(w);
}

static retc_status lower_plain(product *p) {
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), one = retc_int(l, 1);
  for (int i = 0; i < p->row_count; i++) p->outer[p->outer_count++] = p->rows[i];
  retc_expr tasks = count_letters(p, p->outer, p->outer_count);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1);
  split_row(p, p->outer, p->outer_count, task);
  if (p->column < 0) {
    write_plain_columns(p, zero, one, 1);
  } else {
    const retc_dim extent = p->extents[p->column];
    const bool named = retc_dim_is_named(extent);
    retc_expr end = retc_dim_expr(l, extent), count = retc_int(l, named || extent > COLUMNS ? COLUMNS : extent);
    retc_expr column = retc_write_for(w, "column", RETC_LOOP_SERIAL, zero, end, COLUMNS);
    if (named || (extent > COLUMNS && extent % COLUMNS)) count = retc_min(l, count, retc_sub(l, end, column));
    write_plain_columns(p, column, count, !named && extent < COLUMNS ? extent : COLUMNS);
    retc_write_end(w);
  }
  retc_write_end(w);
  return l->status;
}

/* ---- tiled ---- */

typedef struct tiles {
  product *p;
  int row_side;                 /* the operand that the rows are in; the columns are in the other */
  int depth_letter;             /* the last summed one */
  int64_t rows, block, depth, columns;
  retc_expr first_row, row_count, first_column, column_count, first_depth, depth_count;
  retc_buffer_id row_tile, column_tile, sum;
} tiles;

/* row_tile[r,k] = the operand's row first_row + r. */
static void pack_rows(tiles *t) {
  product *p = t->p;
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), at[2];
  at[0] = retc_write_for(w, "r", RETC_LOOP_SERIAL, zero, t->row_count, 1);
  split_row(p, p->rows, p->row_count, retc_write_let(w, "row", retc_add(l, t->first_row, at[0])));
  at[1] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, t->depth_count, 1);
  p->indices[t->depth_letter] = (retc_index){t->first_depth, at[1], t->depth};
  retc_write_store(w, t->row_tile, at, read_operand(p, t->row_side));
  retc_write_end(w);
  retc_write_end(w);
}

/* column_tile[k,c], columns that are not there zero. */
static void pack_columns(tiles *t) {
  product *p = t->p;
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  const retc_dim extent = p->extents[p->column];
  retc_expr zero = retc_int(l, 0), at[2];
  at[0] = retc_write_for(w, "k", RETC_LOOP_SERIAL, zero, t->depth_count, 1);
  p->indices[t->depth_letter] = retc_at(retc_write_let(w, "at", retc_add(l, t->first_depth, at[0])));
  at[1] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, t->column_count, 1);
  p->indices[p->column] = (retc_index){t->first_column, at[1], t->columns};
  retc_write_store(w, t->column_tile, at, read_operand(p, 1 - t->row_side));
  retc_write_end(w);
  if (retc_dim_is_named(extent) || extent % t->columns) {
    at[1] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, t->column_count, retc_int(l, t->columns), 1);
    retc_write_store(w, t->column_tile, at, retc_f32(l, 0));
    retc_write_end(w);
  }
  retc_write_end(w);
}

static void write_mma(tiles *t, retc_expr low, retc_expr high, int64_t rows) {
  retc_lowering *l = t->p->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), row = retc_write_for(w, "row", RETC_LOOP_SERIAL, low, high, rows);
  retc_view c = retc_write_view(w, t->sum, (retc_expr[]){row, zero}, 0, 1);
  retc_view a = retc_write_view(w, t->row_tile, (retc_expr[]){row, zero}, 0, 1);
  retc_view b = retc_write_view(w, t->column_tile, (retc_expr[]){zero, zero}, 0, 1);
  retc_lower_note(l, l->anchor);
  retc_write_mma(w, c, a, b, rows, t->columns, t->depth_count);
  retc_write_end(w);
}

/* All of the summed letters, block by block of the last one. */
static void write_products(tiles *t) {
  product *p = t->p;
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), rows = retc_int(l, t->rows);
  for (int i = 0; i + 1 < p->summed_count; i++) {
    retc_expr end = retc_dim_expr(l, p->extents[p->summed[i]]);
    p->indices[p->summed[i]] = retc_at(retc_write_for(w, "outer", RETC_LOOP_SERIAL, zero, end, 1));
  }
  const retc_dim extent = p->extents[t->depth_letter];
  retc_expr end = retc_dim_expr(l, extent), depth = retc_int(l, t->depth);
  t->first_depth = retc_write_for(w, "first_depth", RETC_LOOP_SERIAL, zero, end, t->depth);
  const bool whole = !retc_dim_is_named(extent) && extent % t->depth == 0;
  t->depth_count =
      whole ? depth : retc_write_let(w, "depth_count", retc_min(l, depth, retc_sub(l, end, t->first_depth)));
  pack_rows(t);
  pack_columns(t);
  retc_expr split = retc_write_let(w, "whole", retc_mul(l, retc_div(l, t->row_count, rows), rows));
  write_mma(t, zero, split, t->rows);
  write_mma(t, split, t->row_count, 1);
  for (int i = 0; i < p->summed_count; i++) retc_write_end(w);
}

static void write_sums_out(tiles *t) {
  product *p = t->p;
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), at[2];
  at[0] = retc_write_for(w, "i", RETC_LOOP_SERIAL, zero, t->row_count, 1);
  split_row(p, p->rows, p->row_count, retc_write_let(w, "row", retc_add(l, t->first_row, at[0])));
  const bool lanes = result_step(l) == COLUMNS;
  at[1] = retc_write_for(w, "lane", lanes ? RETC_LOOP_VECTOR : RETC_LOOP_SERIAL, zero, t->column_count, 1);
  p->indices[p->column] = (retc_index){t->first_column, at[1], t->columns};
  l->computed_as = retc_load(l, t->sum, at);
  store(p);
  retc_write_end(w);
  retc_write_end(w);
}

static retc_buffer_id alloc(tiles *t, const char *name, int64_t rows, int64_t columns) {
  return retc_write_alloc(&t->p->l->writer, name, RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){rows, columns});
}

/* `count` things in blocks of `size`: the number of blocks. */
static retc_expr count_blocks(retc_lowering *l, retc_expr count, int64_t size) {
  return retc_div(l, retc_add(l, count, retc_int(l, size - 1)), retc_int(l, size));
}

static retc_status lower_tiled(product *p, int64_t rows, int64_t block) {
  retc_lowering *l = p->l;
  retc_writer *w = &l->writer;
  const retc_dim width = p->extents[p->column];
  tiles t = {.p = p, .row_side = 1 - p->column_side, .depth_letter = p->summed[p->summed_count - 1], .rows = rows,
             .block = block, .depth = retc_lower_is_gpu(l) ? GPU_DEPTH : DEPTH, .columns = COLUMNS};
  const retc_dim depth = p->extents[t.depth_letter];
  if (!retc_dim_is_named(depth) && depth < t.depth) t.depth = depth;
  if (!retc_dim_is_named(width) && width < COLUMNS) t.columns = width;
  retc_expr zero = retc_int(l, 0), all_rows = retc_write_let(w, "rows", count_letters(p, p->rows, p->row_count));
  retc_expr columns = retc_dim_expr(l, width),
            row_blocks = retc_write_let(w, "row_blocks", count_blocks(l, all_rows, block));
  retc_expr column_blocks = retc_write_let(w, "column_blocks", count_blocks(l, columns, t.columns));
  retc_expr blocks = retc_write_let(w, "blocks", retc_mul(l, row_blocks, column_blocks));
  retc_expr tasks = retc_mul(l, count_letters(p, p->outer, p->outer_count), blocks);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1);
  retc_expr part = retc_write_let(w, "part", retc_mod(l, task, blocks));
  split_row(p, p->outer, p->outer_count, retc_write_let(w, "outer", retc_div(l, task, blocks)));
  retc_expr first_row = retc_mul(l, retc_div(l, part, column_blocks), retc_int(l, block));
  t.first_row = retc_write_let(w, "first_row", first_row);
  t.row_count = retc_write_let(w, "row_count", retc_min(l, retc_int(l, block), retc_sub(l, all_rows, t.first_row)));
  t.first_column =
      retc_write_let(w, "first_column", retc_mul(l, retc_mod(l, part, column_blocks), retc_int(l, t.columns)));
  retc_expr column_count = retc_min(l, retc_int(l, t.columns), retc_sub(l, columns, t.first_column));
  const bool whole = !retc_dim_is_named(width) && width % t.columns == 0;
  t.column_count = whole ? retc_int(l, t.columns) : retc_write_let(w, "column_count", column_count);
  t.sum = alloc(&t, "sum", block, t.columns);
  t.row_tile = alloc(&t, "row_tile", block, t.depth);
  t.column_tile = alloc(&t, "column_tile", t.depth, t.columns);
  retc_lower_zero(l, t.sum, t.row_count, retc_int(l, t.columns));
  write_products(&t);
  write_sums_out(&t);
  retc_write_end(w);
  return l->status;
}

retc_status retc_anchor_product_lower(retc_lowering *l) {
  product p = describe(l->graph, retc_lower_node(l, l->anchor));
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const int64_t rows = retc_schedule_get(region, "rows", 0), block = retc_schedule_get(region, "block", 0);
  p.l = l;
  l->computed = l->anchor;
  const bool tiled = rows >= 1 && block >= rows && tiled_rows(&p);
  return tiled ? lower_tiled(&p, rows, block) : lower_plain(&p);
}
