/* Products of many rows with a weight matrix by matrix instructions: what gpu_contract_matrix.c computes, in the same
 * order, by blocks of ROWS rows and COLUMNS columns, which read the weights a quarter as often. A wave has 32 rows and
 * 32 columns of sums in its registers: of the part of the summed axis at hand, and of the parts before it. */
#include "compiler/gpu_contract.h"

enum {
  PARTS = RETC_GPU_PARTS,
  ROWS = RETC_GPU_MANY_ROWS,
  COLUMNS = 128,
  SLICE = 64,
  GAP = 8, /* between rows in shared memory, against bank conflicts */
  GROUP = 8,
  WAVES = RETC_FRAGMENT_WAVES,
  OWN = 32,
  ACROSS = COLUMNS / OWN
};

typedef struct large {
  retc_lowering *l;
  const retc_node *node;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  retc_dtype math;
  int64_t width, depth, part;
  retc_expr row_count, first_row, first_column;
  retc_expr limit; /* the end of the part at hand */
  retc_buffer_id rows_tile, weights_tile, weight, sums, totals;
  const retc_gpu_plain *plain; /* NULL: none */
} large;

/* Of `count` rows of a tile: the row and the first element of a group of a lane's; one block to end. */
static void begin_groups(large *m, int64_t count, retc_expr *out_row, retc_expr *out_first) {
  retc_lowering *l = m->l;
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, count * SLICE / GROUP), groups = retc_int(l, SLICE / GROUP);
  *out_row = retc_let(l, "r", retc_div(l, e, groups));
  *out_first = retc_let(l, "first_of_group", retc_mul(l, retc_mod(l, e, groups), retc_int(l, GROUP)));
}

/* Slices may end behind their part, which has whole groups; what is there counts as 0. */
static bool has_limit(const large *m) { return m->part % SLICE || m->depth != PARTS * m->part; }

/* tile[row, first + y] = values[y], or 0: a loop each, for wide loads and stores. */
static void store_group(large *m, retc_buffer_id tile, retc_expr row, retc_expr first, retc_buffer_id values) {
  retc_lowering *l = m->l;
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, GROUP), to[2] = {row, retc_add(l, first, y)};
  retc_write_store(&l->writer, tile, to, values.index ? retc_load(l, values, &y) : retc_f32(l, 0));
  retc_end(l, 1);
}

static retc_buffer_id alloc_group(large *m, retc_dtype dtype) {
  return retc_write_alloc(&m->l->writer, "values", RETC_SCOPE_PRIVATE, dtype, 1, (int64_t[]){GROUP});
}

static retc_expr load_at(large *m, retc_buffer_id buffer, const retc_index *at) {
  retc_expr indices[RETC_RANK_MAX];
  retc_bases(at, m->row_rank + 1, indices);
  return retc_load(m->l, buffer, indices);
}

/* rows_tile[r, k] = prologue(a) of row first_row + r, element start + k. */
static void write_rows(large *m, retc_expr start) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr r, first;
  begin_groups(m, ROWS, &r, &first);
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, r)),
            from = retc_let(l, "from", retc_add(l, start, first));
  retc_expr there = retc_less(l, row, m->row_count);
  if (has_limit(m)) {
    there = retc_and(l, there, retc_less(l, from, m->limit));
  }
  retc_write_if(w, there);
  retc_buffer_id values = alloc_group(m, m->plain ? m->math : RETC_DTYPE_F32);
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &m->row_shape, m->row_rank, row, at);
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, GROUP);
  at[m->row_rank] = retc_at(retc_add(l, from, y));
  retc_expr value = m->plain ? load_at(m, m->plain->rows, at) : retc_lower_value(l, m->node->inputs[0], at);
  retc_write_store(w, values, &y, value);
  retc_end(l, 1);
  store_group(m, m->rows_tile, r, first, values);
  retc_write_else(w);
  store_group(m, m->rows_tile, r, first, (retc_buffer_id){0});
  retc_end(l, 2);
}

/* weights_tile[c, k]: the same of column first_column + c. */
static void write_weights(large *m, retc_expr start) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  const bool may_miss = has_limit(m) || m->width % COLUMNS;
  retc_expr c, first;
  begin_groups(m, COLUMNS, &c, &first);
  retc_expr column = retc_let(l, "column", retc_add(l, m->first_column, c)),
            from = retc_let(l, "from", retc_add(l, start, first));
  if (may_miss) {
    retc_expr in_width = retc_less(l, column, retc_int(l, m->width)), in_depth = retc_less(l, from, m->limit);
    retc_write_if(w, retc_and(l, in_width, in_depth));
  }
  const retc_dtype dtype = retc_kernel_buffer(l->kernel, m->weight)->dtype;
  retc_buffer_id values = alloc_group(m, dtype == m->math ? m->math : RETC_DTYPE_F32);
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, GROUP);
  retc_write_store(w, values, &y, retc_gpu_weight(l, m->node, column, retc_add(l, from, y)));
  retc_end(l, 1);
  store_group(m, m->weights_tile, c, first, values);
  if (may_miss) {
    retc_write_else(w);
    store_group(m, m->weights_tile, c, first, (retc_buffer_id){0});
    retc_end(l, 1);
  }
  retc_end(l, 1);
}

static retc_expr begin_waves(large *m) { return retc_count_to(m->l, "unit", RETC_LOOP_WAVE, WAVES); }

static retc_expr own_row(large *m, retc_expr unit) {
  return retc_mul(m->l, retc_div(m->l, unit, retc_int(m->l, ACROSS)), retc_int(m->l, OWN));
}
static retc_expr own_column(large *m, retc_expr unit) {
  return retc_mul(m->l, retc_mod(m->l, unit, retc_int(m->l, ACROSS)), retc_int(m->l, OWN));
}

/* Two blocks to end. */
static void begin_elements(large *m, retc_expr unit, retc_expr out_at[3]) {
  out_at[0] = unit;
  out_at[1] = retc_count_to(m->l, "i", RETC_LOOP_ELEMENT, OWN);
  out_at[2] = retc_count_to(m->l, "x", RETC_LOOP_ELEMENT, OWN);
}

static void clear_sums(large *m) {
  retc_expr at[3];
  begin_elements(m, begin_waves(m), at);
  retc_write_store(&m->l->writer, m->sums, at, retc_f32(m->l, 0));
  retc_end(m->l, 3);
}

static void write_products(large *m) {
  retc_writer *w = &m->l->writer;
  retc_expr unit = begin_waves(m), zero = retc_int(m->l, 0);
  retc_view c = retc_write_view(w, m->sums, (retc_expr[]){unit, zero, zero}, 1, 2);
  retc_view a = retc_write_view(w, m->rows_tile, (retc_expr[]){own_row(m, unit), zero}, 0, 1);
  retc_view b = retc_write_view(w, m->weights_tile, (retc_expr[]){own_column(m, unit), zero}, 1, 0);
  retc_lower_note(m->l, m->l->anchor);
  retc_write_mma(w, c, a, b, OWN, OWN, retc_int(m->l, SLICE));
  retc_end(m->l, 1);
}

/* totals = those before part p, and the part's. */
static void add_part(large *m, retc_expr p) {
  retc_lowering *l = m->l;
  retc_expr unit = begin_waves(m), at[3];
  retc_write_if(&l->writer, retc_equal(l, p, retc_int(l, 0)));
  begin_elements(m, unit, at);
  retc_write_store(&l->writer, m->totals, at, retc_load(l, m->sums, at));
  retc_end(l, 2);
  retc_write_else(&l->writer);
  begin_elements(m, unit, at);
  retc_write_store(&l->writer, m->totals, at, retc_add(l, retc_load(l, m->totals, at), retc_load(l, m->sums, at)));
  retc_end(l, 4);
}

static void store_sum(large *m, retc_expr row, retc_expr column, retc_expr total) {
  retc_index at[RETC_RANK_MAX];
  retc_expr to[RETC_RANK_MAX];
  retc_lower_row(m->l, &m->row_shape, m->row_rank, row, at);
  retc_bases(at, m->row_rank, to);
  to[m->row_rank] = column;
  retc_write_store(&m->l->writer, m->plain->sums, to, total);
}

static void write_results(large *m) {
  retc_lowering *l = m->l;
  retc_expr unit = begin_waves(m), at[3];
  begin_elements(m, unit, at);
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, retc_add(l, own_row(m, unit), at[1])));
  retc_expr column = retc_let(l, "column", retc_add(l, m->first_column, retc_add(l, own_column(m, unit), at[2])));
  retc_expr there = retc_less(l, row, m->row_count), in_width = retc_less(l, column, retc_int(l, m->width));
  retc_write_if(&l->writer,
                m->width % COLUMNS ? retc_and(l, there, in_width) : there);
  if (m->plain) store_sum(m, row, column, retc_load(l, m->totals, at));
  else retc_gpu_store_total(l, &m->row_shape, m->row_rank, row, column, retc_load(l, m->totals, at));
  retc_end(l, 4);
}

static void begin_block(large *m) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  m->row_count = retc_let(l, "rows", retc_lower_row_count(l, &m->row_shape, m->row_rank));
  retc_expr rows = retc_mul(l, m->row_count, retc_gpu_has_many_rows(l, m->row_count));
  m->first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, rows, ROWS);
  m->first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, retc_int(l, m->width), COLUMNS);
  m->rows_tile = retc_write_alloc(w, "rows_tile", RETC_SCOPE_SHARED, m->math, 2, (int64_t[]){ROWS, SLICE + GAP});
  m->weights_tile =
      retc_write_alloc(w, "weights_tile", RETC_SCOPE_SHARED, m->math, 2, (int64_t[]){COLUMNS, SLICE + GAP});
  const int64_t own[] = {WAVES, OWN, OWN};
  m->sums = retc_write_alloc(w, "sums", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, own);
  m->totals = retc_write_alloc(w, "totals", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, own);
}

retc_expr retc_gpu_has_many_rows(retc_lowering *l, retc_expr rows) {
  return retc_min(l, retc_div(l, rows, retc_int(l, ROWS)), retc_int(l, 1));
}

retc_status retc_gpu_matrix_large_lower(retc_lowering *l, retc_dtype math, int64_t part, const retc_gpu_plain *plain) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *weight = &retc_lower_node(l, node->inputs[1])->type.shape;
  large m = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1, .math = math,
             .width = weight->dim[0], .depth = weight->dim[1], .part = part, .plain = plain};
  retc_writer *w = &l->writer;
  m.weight = retc_lower_buffer(l, node->inputs[1]);
  l->computed = l->anchor;
  begin_block(&m);
  retc_expr p = retc_count_to(l, "p", RETC_LOOP_SERIAL, PARTS),
            begin = retc_let(l, "begin", retc_mul(l, p, retc_int(l, part)));
  m.limit = retc_let(l, "limit", retc_min(l, retc_add(l, begin, retc_int(l, part)), retc_int(l, m.depth)));
  clear_sums(&m);
  retc_expr start = retc_write_for(w, "start", RETC_LOOP_SERIAL, begin, m.limit, SLICE);
  write_rows(&m, start);
  write_weights(&m, start);
  retc_write_barrier(w);
  write_products(&m);
  retc_write_barrier(w);
  retc_end(l, 1);
  add_part(&m, p);
  retc_end(l, 1);
  write_results(&m);
  retc_end(l, 2);
  return l->status;
}
