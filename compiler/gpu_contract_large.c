/* Products of many rows with a weight matrix by matrix instructions: what gpu_contract_matrix.c computes of bf16 and
 * f16 and gpu_contract.c in f32, in the same order, by blocks of ROWS rows, which read the weights less often. A wave
 * has sums of its rows and columns in its registers: of the parts of the summed axis at hand, and of those before them.
 *
 * Of bf16 and f16 that is one part at a time. In f32 the parts lie in each other: those of SLICE_F32 elements of each
 * step, which is what shared memory has of the rows and the weights, each have sums of their own. */
#include "compiler/gpu_contract.h"

enum {
  ROWS = RETC_GPU_MANY_ROWS,
  SLICE = 64,
  SLICE_F32 = 32, /* chunks of neighbouring parts */
  GAP = 8,        /* between rows in shared memory, against bank conflicts */
  GAP_F32 = 2,    /* rows of 34 numbers: 16 of them, two columns of each, lie in 32 banks */
  GROUP = 8,
  WAVES = RETC_FRAGMENT_WAVES,
  OWN = 32,
  ACROSS = 4,
  OWN_F32 = 16 /* columns; of products that lie side by side, of each */
};
enum { FEW_NUMBERS_ROWS = 16, MOST_ROWS = 256 };

typedef struct large {
  retc_lowering *l;
  const retc_node *node;
  retc_gpu_products products;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  retc_dtype math;
  int64_t depth;
  int64_t slice, gap;     /* of a row in shared memory */
  int64_t at_once, turns; /* parts that have sums at a time, and how often it takes to have had them all */
  int64_t between, step;  /* elements from one turn's first to the next one's; from one slice of a turn to the next */
  int64_t side;           /* products side by side */
  int64_t own_rows, own_columns, across; /* of a wave; waves along the columns */
  retc_expr row_count, first_row, first_column;
  retc_expr limit; /* the end of the turn at hand */
  retc_buffer_id rows_tile, weights_tile, sums, totals;
  const retc_gpu_plain *plain; /* NULL: none */
} large;

/* Of all products of the launch: blocks along their columns, and numbers of their weights. */
static void measure(const retc_graph *graph, const retc_node *anchor, int64_t *out_blocks, int64_t *out_numbers) {
  const int64_t columns = ACROSS * OWN_F32;
  const retc_node *products[RETC_GPU_PRODUCTS_MAX];
  const int count = retc_gpu_products_list(graph, anchor, products);
  *out_blocks = *out_numbers = 0;
  for (int p = 0; p < count; p++) {
    const retc_shape *weight = &retc_graph_node(graph, products[p]->inputs[1])->type.shape;
    *out_blocks += (weight->dim[0] + columns - 1) / columns;
    *out_numbers += weight->dim[0] * weight->dim[1];
  }
}

void retc_gpu_large_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                             retc_region *region) {
  int64_t many = ROWS, blocks, numbers;
  if (!profile->has_matrix_f32 || retc_graph_node(graph, node->inputs[1])->type.shape.dim[1] % GROUP) return;
  measure(graph, node, &blocks, &numbers);
  /* Where half of the units get a block. Small products take no longer than a launch does, whoever computes them. */
  while (many < MOST_ROWS && 2 * many / ROWS * blocks < profile->units) many += ROWS;
  retc_schedule_set(region, "many", numbers <= RETC_GPU_FEW_NUMBERS ? FEW_NUMBERS_ROWS : many);
}

/* Of `count` rows of a tile: the row and the first element of a group of a lane's; one block to end. */
static void begin_groups(large *m, int64_t count, retc_expr *out_row, retc_expr *out_first) {
  retc_lowering *l = m->l;
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, count * m->slice / GROUP), groups = retc_int(l, m->slice / GROUP);
  *out_row = retc_let(l, "r", retc_div(l, e, groups));
  *out_first = retc_let(l, "first_of_group", retc_mul(l, retc_mod(l, e, groups), retc_int(l, GROUP)));
}

/* Slices may end behind their turn, which has whole groups. */
static bool has_limit(const large *m) {
  if (m->math == RETC_DTYPE_F32) return m->depth % m->step;
  return m->between % m->step || m->depth != m->turns * m->between;
}

/* tile[row, first + y] = values[y], or `missing`: a loop each, for wide loads and stores. */
static void store_group(large *m, retc_buffer_id tile, retc_expr row, retc_expr first, retc_buffer_id values,
                        double missing) {
  retc_lowering *l = m->l;
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, GROUP), to[2] = {row, retc_add(l, first, y)};
  retc_write_store(&l->writer, tile, to, values.index ? retc_load(l, values, &y) : retc_f32(l, missing));
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

/* rows_tile[r, k] = prologue(a) of row first_row + r, element start + k; 0 behind the end. */
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
  store_group(m, m->rows_tile, r, first, values, 0);
  retc_write_else(w);
  store_group(m, m->rows_tile, r, first, (retc_buffer_id){0}, 0);
  retc_end(l, 2);
}

/* The same of a column of product p. What a row lacks is -0 in f32: times 0 it changes no sum, not even a -0. */
static void write_column(large *m, int p, retc_expr c, retc_expr column, retc_expr from, retc_expr first) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  const retc_gpu_product *of = &m->products.items[p];
  const bool is_last = of->columns % (m->own_columns * m->across) != 0;
  column = retc_let(l, "column", retc_sub(l, column, retc_int(l, of->start)));
  if (has_limit(m) || is_last) {
    retc_expr in_width = retc_less(l, column, retc_int(l, of->columns)), in_depth = retc_less(l, from, m->limit);
    retc_write_if(w, retc_and(l, in_width, in_depth));
  }
  const retc_node *product = retc_lower_node(l, of->value);
  const bool is_scaled = product->op == RETC_OP_CONTRACT_SCALED;
  retc_buffer_id values = alloc_group(m, is_scaled ? RETC_DTYPE_F32 : retc_kernel_buffer(l->kernel, of->weight)->dtype);
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, GROUP);
  retc_write_store(w, values, &y, retc_gpu_weight(l, product, column, retc_add(l, from, y)));
  retc_end(l, 1);
  store_group(m, m->weights_tile, c, first, values, 0);
  if (has_limit(m) || is_last) {
    retc_write_else(w);
    store_group(m, m->weights_tile, c, first, (retc_buffer_id){0}, m->math == RETC_DTYPE_F32 ? -0.0 : 0);
    retc_end(l, 1);
  }
}

/* weights_tile[c, k]: a wave's own columns of each product are neighbours. */
static void write_weights(large *m, retc_expr start) {
  retc_lowering *l = m->l;
  retc_expr c, first;
  begin_groups(m, m->side * m->own_columns * m->across, &c, &first);
  retc_expr from = retc_let(l, "from", retc_add(l, start, first)), column = c, product = m->first_column;
  if (m->side > 1) {
    retc_expr own = retc_int(l, m->own_columns), piece = retc_div(l, c, own), side = retc_int(l, m->side);
    product = retc_mod(l, piece, side);
    column = retc_add(l, retc_mul(l, retc_div(l, piece, side), own), retc_mod(l, c, own));
  }
  column = retc_add(l, m->first_column, column);
  for (int p = 0; p < m->products.count; p++) {
    retc_gpu_product_begin(l, &m->products, p, product, 1);
    write_column(m, p, c, column, from, first);
  }
  retc_gpu_product_end(l, &m->products);
  retc_end(l, 1);
}

static retc_expr begin_waves(large *m) { return retc_count_to(m->l, "unit", RETC_LOOP_WAVE, WAVES); }

static retc_expr own_row(large *m, retc_expr unit) {
  return retc_mul(m->l, retc_div(m->l, unit, retc_int(m->l, m->across)), retc_int(m->l, m->own_rows));
}
/* Of each of `products`. */
static retc_expr own_column(large *m, retc_expr unit, int64_t products) {
  return retc_mul(m->l, retc_mod(m->l, unit, retc_int(m->l, m->across)), retc_int(m->l, products * m->own_columns));
}

/* Over `count` of something; nothing to end where it is one. */
static retc_expr begin_each(large *m, const char *name, int64_t count) {
  return count > 1 ? retc_count_to(m->l, name, RETC_LOOP_UNROLL, count) : retc_int(m->l, 0);
}
static void end_each(large *m, int64_t count) { retc_end(m->l, count > 1); }

/* Two blocks to end. */
static void begin_elements(large *m, retc_expr *out_row, retc_expr *out_column) {
  *out_row = retc_count_to(m->l, "i", RETC_LOOP_ELEMENT, m->own_rows);
  *out_column = retc_count_to(m->l, "x", RETC_LOOP_ELEMENT, m->own_columns);
}

static void clear_sums(large *m) {
  retc_expr at[5] = {begin_waves(m), begin_each(m, "product", m->side), begin_each(m, "part", m->at_once)};
  begin_elements(m, &at[3], &at[4]);
  retc_write_store(&m->l->writer, m->sums, at, retc_f32(m->l, 0));
  retc_end(m->l, 2);
  end_each(m, m->at_once);
  end_each(m, m->side);
  retc_end(m->l, 1);
}

static void write_products(large *m) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  const int64_t depth = m->slice / m->at_once;
  retc_expr unit = begin_waves(m), zero = retc_int(l, 0);
  retc_expr part = begin_each(m, "part", m->at_once), product = begin_each(m, "product", m->side);
  retc_expr first = retc_mul(l, part, retc_int(l, depth));
  retc_expr column = retc_add(l, own_column(m, unit, m->side), retc_mul(l, product, retc_int(l, m->own_columns)));
  retc_view c = retc_write_view(w, m->sums, (retc_expr[]){unit, product, part, zero, zero}, 3, 4);
  retc_view a = retc_write_view(w, m->rows_tile, (retc_expr[]){own_row(m, unit), first}, 0, 1);
  retc_view b = retc_write_view(w, m->weights_tile, (retc_expr[]){column, first}, 1, 0);
  retc_lower_note(l, l->anchor);
  retc_write_mma(w, c, a, b, m->own_rows, m->own_columns, retc_int(l, depth));
  end_each(m, m->side);
  end_each(m, m->at_once);
  retc_end(l, 1);
}

/* totals = those of the turns before, and this one's. */
static void add_turn(large *m, retc_expr turn) {
  retc_lowering *l = m->l;
  retc_expr at[5] = {begin_waves(m)};
  for (int more = 0; more < 2; more++) {
    if (more) retc_write_else(&l->writer);
    else retc_write_if(&l->writer, retc_equal(l, turn, retc_int(l, 0)));
    at[1] = begin_each(m, "product", m->side);
    begin_elements(m, &at[3], &at[4]);
    retc_expr to[4] = {at[0], at[1], at[3], at[4]}, total = {0};
    if (more) total = retc_load(l, m->totals, to);
    for (int part = 0; part < m->at_once; part++) {
      at[2] = retc_int(l, part);
      retc_expr sum = retc_load(l, m->sums, at);
      total = part || more ? retc_add(l, total, sum) : sum;
    }
    retc_write_store(&l->writer, m->totals, to, total);
    retc_end(l, 2);
    end_each(m, m->side);
  }
  retc_end(l, 2);
}

static void store_sum(large *m, retc_expr row, retc_expr column, retc_expr total) {
  retc_index at[RETC_RANK_MAX];
  retc_expr to[RETC_RANK_MAX];
  retc_lower_row(m->l, &m->row_shape, m->row_rank, row, at);
  retc_bases(at, m->row_rank, to);
  to[m->row_rank] = column;
  retc_write_store(&m->l->writer, m->plain->sums, to, total);
}

static void store_result(large *m, int p, retc_expr row, retc_expr column, const retc_expr *totals) {
  retc_lowering *l = m->l;
  const retc_gpu_product *of = &m->products.items[p];
  const bool is_last = of->columns % (m->own_columns * m->across) != 0;
  column = retc_let(l, "column", retc_sub(l, column, retc_int(l, of->start)));
  if (is_last) retc_write_if(&l->writer, retc_less(l, column, retc_int(l, of->columns)));
  if (m->plain) store_sum(m, row, column, totals[p]);
  else if (m->products.count == 1) retc_gpu_store_total(l, &m->row_shape, m->row_rank, row, column, totals[p]);
  else retc_gpu_product_store(l, &m->products, p, row, column, totals);
  retc_end(l, is_last);
}

static void write_results(large *m) {
  retc_lowering *l = m->l;
  retc_expr unit = begin_waves(m), i, x, totals[RETC_GPU_PRODUCTS_MAX];
  begin_elements(m, &i, &x);
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, retc_add(l, own_row(m, unit), i)));
  retc_expr column = retc_add(l, m->first_column, retc_add(l, own_column(m, unit, 1), x));
  retc_write_if(&l->writer, retc_less(l, row, m->row_count));
  const bool paired = m->products.paired;
  for (int p = 0; p < (paired ? 1 : m->products.count); p++) {
    if (!paired) retc_gpu_product_begin(l, &m->products, p, m->first_column, 1);
    for (int k = 0; k < m->products.count; k++)
      totals[k] = paired || k == p ? retc_load(l, m->totals, (retc_expr[]){unit, retc_int(l, paired ? k : 0), i, x})
                                   : retc_f32(l, 0);
    store_result(m, p, row, column, totals);
  }
  if (!paired) retc_gpu_product_end(l, &m->products);
  retc_end(l, 4);
}

static void begin_block(large *m) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  const int64_t columns = m->own_columns * m->across;
  const int64_t many = retc_schedule_get(retc_graph_region(l->graph, l->region), "many", RETC_GPU_MANY_ROWS);
  retc_expr zero = retc_int(l, 0), end = retc_int(l, m->products.items[m->products.count - 1].end);
  m->row_count = retc_let(l, "rows", retc_lower_row_count(l, &m->row_shape, m->row_rank));
  retc_expr rows = retc_mul(l, m->row_count, retc_gpu_has_many_rows(l, m->row_count, many));
  m->first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, rows, ROWS);
  m->first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, end, columns);
  const int64_t row = m->slice + m->gap;
  m->rows_tile = retc_write_alloc(w, "rows_tile", RETC_SCOPE_SHARED, m->math, 2, (int64_t[]){ROWS, row});
  m->weights_tile =
      retc_write_alloc(w, "weights_tile", RETC_SCOPE_SHARED, m->math, 2, (int64_t[]){m->side * columns, row});
  const int64_t sums[] = {WAVES, m->side, m->at_once, m->own_rows, m->own_columns};
  const int64_t totals[] = {WAVES, m->side, m->own_rows, m->own_columns};
  m->sums = retc_write_alloc(w, "sums", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 5, sums);
  m->totals = retc_write_alloc(w, "totals", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 4, totals);
}

retc_expr retc_gpu_has_many_rows(retc_lowering *l, retc_expr rows, int64_t many) {
  return retc_min(l, retc_div(l, rows, retc_int(l, many)), retc_int(l, 1));
}

retc_expr retc_gpu_has_few_rows(retc_lowering *l, retc_expr rows, int64_t many) {
  return retc_sub(l, retc_int(l, 1), retc_gpu_has_many_rows(l, rows, many));
}

static large describe(retc_lowering *l, retc_dtype math, int64_t part, const retc_gpu_plain *plain) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  large m = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1, .math = math,
             .plain = plain, .slice = SLICE, .gap = GAP, .at_once = 1, .turns = RETC_GPU_PARTS, .between = part,
             .step = SLICE, .own_rows = OWN, .across = ACROSS};
  m.depth = retc_lower_node(l, node->inputs[1])->type.shape.dim[1];
  retc_gpu_products_find(l, &m.products);
  m.side = m.products.paired ? m.products.count : 1;
  m.own_columns = OWN / m.side;
  if (math == RETC_DTYPE_F32) {
    m.slice = m.between = SLICE_F32;
    m.gap = GAP_F32;
    m.at_once = SLICE_F32 / retc_gpu_chunk(node);
    m.turns = RETC_GPU_F32_PARTS / m.at_once;
    m.step = SLICE_F32 * m.turns;
    m.own_columns = OWN_F32;
    m.across = m.side > 1 ? ACROSS / 2 : ACROSS;
    m.own_rows = ROWS * m.across / WAVES;
  }
  retc_gpu_products_place(&m.products, m.own_columns * m.across);
  return m;
}

retc_status retc_gpu_large_lower(retc_lowering *l, retc_dtype math, int64_t part, const retc_gpu_plain *plain) {
  large m = describe(l, math, part, plain);
  RETC_TRY(l->status);
  if (m.depth % GROUP) return retc_lower_refuse(l, l->anchor, "its schedule is none for matrix instructions");
  retc_writer *w = &l->writer;
  if (m.products.count == 1) l->computed = l->anchor;
  begin_block(&m);
  retc_expr turn = retc_count_to(l, "turn", RETC_LOOP_SERIAL, m.turns),
            begin = retc_let(l, "begin", retc_mul(l, turn, retc_int(l, m.between)));
  const bool whole = math == RETC_DTYPE_F32;
  m.limit = whole ? retc_int(l, m.depth)
                  : retc_let(l, "limit", retc_min(l, retc_add(l, begin, retc_int(l, part)), retc_int(l, m.depth)));
  clear_sums(&m);
  retc_expr start = retc_write_for(w, "start", RETC_LOOP_SERIAL, begin, m.limit, m.step);
  write_rows(&m, start);
  write_weights(&m, start);
  retc_write_barrier(w);
  write_products(&m);
  retc_write_barrier(w);
  retc_end(l, 1);
  add_turn(&m, turn);
  retc_end(l, 1);
  write_results(&m);
  retc_end(l, 2);
  return l->status;
}
