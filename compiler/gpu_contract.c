/* Products of rows with a weight matrix on a GPU: o[m,n] = epilogue(sum_k prologue(a)[m,k] w[n,k]).
 * contract_scaled has integers times scales for w, which are made of them as they are used: the products are exact.
 *
 * The summed axis is cut into chunks of as many elements as 16 bytes
 * of bf16 or of i8 are, 16 of i4; part p of PARTS has the chunks p, p + PARTS, ... So
 * neighbouring lanes read neighbouring memory, 16 bytes and more each. A part is one chain of fma, and parts are added
 * in order: the bits depend neither on how many rows there are nor on which block a row falls into, and many rows may be
 * left to blocks that have the sums of a few parts at a time (gpu_contract_large.c).
 *
 * A block computes `rows` rows times COLUMNS columns: a lane has a part of OWN columns, and a sum for each of its
 * columns and rows. It reads `steps` chunks of each of its columns at once, and waits for the rows, which come through
 * shared memory, only then.
 *
 * A launch may have several products of the same rows: one behind the other, each with blocks of its own; or, where
 * something is made of two of them, side by side, so that a block has the same columns of all. */
#include "compiler/gpu_contract.h"

enum { PARTS = RETC_GPU_F32_PARTS, COLUMNS = 16, OWN = 4, LANES = PARTS * COLUMNS / OWN };
enum { CHUNK = RETC_GPU_F32_CHUNK, QUAD = 4 /* of a chunk, 16 bytes of rows */ };
enum { ROWS = 8, ROWS_AT_ONCE = 4 /* of results */, READ_AT_ONCE = 16 /* of rows */ };
enum { ROW_STEPS = 4, ROW_STEPS_OF_INTEGERS = 2 /* read at once for one row alone */ };

void retc_gpu_contract_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                retc_region *region) {
  if (retc_gpu_matrix_type(graph, node, profile) != RETC_DTYPE_F32) {
    retc_gpu_matrix_schedule(graph, node, profile, region);
    return;
  }
  const int64_t depth = retc_graph_node(graph, node->inputs[1])->type.shape.dim[1];
  const bool is_scaled = node->op == RETC_OP_CONTRACT_SCALED;
  retc_schedule_set(region, "rows", ROWS);
  retc_schedule_set(region, "steps", !is_scaled && depth > PARTS * CHUNK ? 2 : 1);
  retc_gpu_large_schedule(graph, node, profile, region);
}

typedef struct contract {
  retc_lowering *l;
  const retc_node *node; /* the first product's */
  retc_gpu_products products;
  int64_t own_columns;  /* of a block, of each product */
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  int64_t depth;
  int64_t chunk, step; /* elements of a chunk, of one of all parts */
  int64_t group_size;  /* elements with a scale of their own; 0: no scales */
  int64_t pack;        /* elements of weights in one */
  int64_t rows, steps; /* of the schedule */
  int64_t room;        /* elements of the tile */
  retc_expr row_count, first_row, first_column;
  retc_expr lane, part, group; /* group: of OWN columns */
  retc_buffer_id tile, sum;
} contract;

/* How many rows are computed, how much of them lies in the tile, and how many steps of weights are read at once. */
typedef struct form {
  int64_t rows, slice, steps;
  retc_buffer_id weights; /* of a lane: [OWN, steps, chunk / pack] */
  retc_buffer_id scales;  /* [OWN, steps] */
} form;

static retc_expr times(contract *c, retc_expr a, int64_t b) { return retc_mul(c->l, a, retc_int(c->l, b)); }

/* `index`, or the last that is there: what lies behind is read as something, and never used. */
static retc_expr within(contract *c, retc_expr index, retc_expr count) {
  return retc_min(c->l, index, retc_sub(c->l, count, retc_int(c->l, 1)));
}

/* Where element k of a row lies in the tile: of each step the first quads of all chunks come before the second ones,
 * so that 16 bytes a lane are read without two lanes at one bank. */
static retc_expr place_of(contract *c, retc_expr k) {
  retc_lowering *l = c->l;
  retc_expr in_step = retc_mod(l, k, retc_int(l, c->step)), in_chunk = retc_mod(l, k, retc_int(l, c->chunk));
  retc_expr quads = times(c, retc_div(l, in_chunk, retc_int(l, QUAD)), PARTS * QUAD);
  retc_expr chunk = times(c, retc_div(l, in_step, retc_int(l, c->chunk)), QUAD);
  retc_expr before = retc_add(l, retc_sub(l, k, in_step), quads);
  return retc_add(l, retc_add(l, before, chunk), retc_mod(l, k, retc_int(l, QUAD)));
}

/* tile[r,k] = element first + k of row first_row + r. Which row that is of which sequence is divided out once a row. */
static void write_rows(contract *c, const form *f, retc_expr first) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  const int64_t turns = f->slice / LANES;
  int64_t at_once = turns < READ_AT_ONCE ? turns : READ_AT_ONCE;
  while (turns % at_once) at_once--;
  retc_expr r = retc_int(l, 0), row = c->first_row;
  if (f->rows > 1) {
    r = retc_count_to(l, "r", RETC_LOOP_UNROLL, f->rows);
    row = retc_let(l, "row", within(c, retc_add(l, c->first_row, r), c->row_count));
  }
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &c->row_shape, c->row_rank, row, at);
  retc_expr turn = retc_int(l, 0);
  if (turns > at_once) turn = retc_write_for(w, "base", RETC_LOOP_SERIAL, turn, retc_int(l, turns), at_once);
  turn = retc_add(l, turn, retc_count_to(l, "turn", RETC_LOOP_UNROLL, at_once));
  retc_expr k = retc_let(l, "k", retc_add(l, times(c, turn, LANES), c->lane)), from = retc_add(l, first, k);
  if (c->depth % f->slice) from = within(c, from, retc_int(l, c->depth));
  at[c->row_rank] = retc_at(retc_let(l, "from", from));
  retc_expr to = retc_add(l, times(c, r, f->slice), place_of(c, k));
  retc_write_store(w, c->tile, &to, retc_lower_value(l, c->node->inputs[0], at));
  retc_end(l, 1 + (turns > at_once) + (f->rows > 1));
}

/* The number along the summed axis of the lane's chunk in step `step` behind `first`. */
static retc_expr chunk_at(contract *c, retc_expr first, retc_expr step) {
  return retc_let(c->l, "chunk",
                  retc_add(c->l, retc_add(c->l, first, times(c, step, c->step)), times(c, c->part, c->chunk)));
}

/* Opens branches by which the statements for product p are reached: the block's product, or the lane's. */
static void begin_product(contract *c, int p) {
  const bool paired = c->products.paired;
  retc_gpu_product_begin(c->l, &c->products, p, paired ? c->group : c->first_column, c->own_columns / OWN);
}
static void end_products(contract *c) { retc_gpu_product_end(c->l, &c->products); }

/* The first column of product p that the block has. */
static retc_expr first_of(contract *c, int p) {
  return retc_sub(c->l, c->first_column, retc_int(c->l, c->products.items[p].start));
}

/* The lane's weights of the steps behind `first`. */
static void read_product(contract *c, const form *f, retc_expr first, int p) {
  retc_lowering *l = c->l;
  const retc_gpu_product *of = &c->products.items[p];
  retc_expr own = retc_count_to(l, "own", RETC_LOOP_UNROLL, OWN), group = c->group;
  if (c->products.paired) group = retc_mod(l, group, retc_int(l, c->own_columns / OWN));
  retc_expr column = retc_add(l, retc_add(l, first_of(c, p), times(c, group, OWN)), own);
  if (of->columns % c->own_columns) column = within(c, column, retc_int(l, of->columns));
  column = retc_let(l, "column", column);
  retc_expr step = retc_count_to(l, "step", RETC_LOOP_UNROLL, f->steps), chunk = chunk_at(c, first, step);
  const bool chunks = c->depth % c->chunk == 0;
  if (chunks && c->depth % (f->steps * c->step)) {
    chunk = retc_let(l, "there", retc_min(l, chunk, retc_int(l, c->depth - c->chunk)));
  }
  if (c->group_size) {
    retc_expr first_k = chunks ? chunk : within(c, chunk, retc_int(l, c->depth));
    retc_expr at[2] = {column, retc_div(l, first_k, retc_int(l, c->group_size))};
    retc_write_store(&l->writer, f->scales, (retc_expr[]){own, step}, retc_load(l, of->scale, at));
  }
  retc_expr i = retc_count_to(l, "i", RETC_LOOP_UNROLL, c->chunk / c->pack);
  retc_expr k = retc_add(l, retc_div(l, chunk, retc_int(l, c->pack)), i);
  if (!chunks) k = within(c, k, retc_int(l, (c->depth + c->pack - 1) / c->pack));
  retc_write_store(&l->writer, f->weights, (retc_expr[]){own, step, i},
                   retc_load(l, of->weight, (retc_expr[]){column, k}));
  retc_end(l, 3);
}

static void read_weights(contract *c, const form *f, retc_expr first) {
  for (int p = 0; p < c->products.count; p++) {
    begin_product(c, p);
    read_product(c, f, first, p);
  }
  end_products(c);
}

/* wide[own, i] = the lane's weights of a quad of a step. */
static retc_buffer_id write_wide(contract *c, const form *f, retc_expr step, retc_expr quad) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_buffer_id wide = retc_write_alloc(w, "wide", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){OWN, QUAD});
  retc_expr own = retc_count_to(l, "own", RETC_LOOP_UNROLL, OWN), numbers[2];
  retc_expr scale = retc_let(l, "scale", retc_load(l, f->scales, (retc_expr[]){own, step}));
  retc_expr i = retc_count_to(l, "i", RETC_LOOP_UNROLL, QUAD / c->pack);
  retc_expr at[3] = {own, step, retc_add(l, times(c, quad, QUAD / c->pack), i)};
  const int count = retc_gpu_integers(l, f->weights, at, numbers);
  for (int n = 0; n < count; n++) {
    retc_expr to[2] = {own, retc_add(l, times(c, i, c->pack), retc_int(l, n))};
    retc_write_store(w, wide, to, retc_mul(l, numbers[n], scale));
  }
  retc_end(l, 2);
  return wide;
}

/* sum[r, own] += the tile's number at `at` times weights[own, rest]; inside the loops of r and the chunk's numbers. */
static void add_product(contract *c, retc_expr r, retc_expr at, retc_buffer_id weights, const retc_expr rest[2]) {
  retc_lowering *l = c->l;
  retc_expr x = retc_let(l, "x", retc_load(l, c->tile, &at)), own = retc_count_to(l, "own", RETC_LOOP_UNROLL, OWN),
            to[2] = {r, own};
  retc_lower_note(l, l->anchor);
  retc_expr weight = retc_load(l, weights, (retc_expr[]){own, rest[0], rest[1]});
  retc_write_store(&l->writer, c->sum, to, retc_fma(l, x, weight, retc_load(l, c->sum, to)));
  retc_end(l, 1);
}

/* Of a step of the weights that were read. */
typedef struct at_step {
  retc_expr step, chunk; /* chunk: none where the steps end with the depth */
  retc_expr place;       /* of the chunk in the tile */
} at_step;

/* One block to end, and one where chunks `may_miss`: those behind the depth are left out. */
static at_step begin_step(contract *c, const form *f, retc_expr first, retc_expr in_tile, bool may_miss) {
  retc_lowering *l = c->l;
  at_step at = {.step = retc_count_to(l, "step", RETC_LOOP_UNROLL, f->steps)};
  if (c->depth % (f->steps * c->step)) at.chunk = chunk_at(c, first, at.step);
  at.place =
      retc_let(l, "place", retc_add(l, retc_add(l, in_tile, times(c, at.step, c->step)), times(c, c->part, QUAD)));
  if (may_miss) retc_if(l, retc_less(l, at.chunk, retc_int(l, c->depth)));
  return at;
}

static retc_expr row_at(contract *c, const form *f, retc_expr place, retc_expr r) {
  return retc_add(c->l, place, f->rows > 1 ? times(c, r, f->slice) : retc_int(c->l, 0));
}

/* write_products of integers: a quad is made once for all rows. */
static void write_scaled_products(contract *c, const form *f, retc_expr first, retc_expr in_tile) {
  retc_lowering *l = c->l;
  const bool chunks = c->depth % c->chunk == 0, whole = c->depth % (f->steps * c->step) == 0;
  const at_step at = begin_step(c, f, first, in_tile, !whole);
  retc_expr quad = retc_count_to(l, "quad", RETC_LOOP_UNROLL, c->chunk / QUAD);
  retc_buffer_id wide = write_wide(c, f, at.step, quad);
  retc_expr r = retc_count_to(l, "r", RETC_LOOP_UNROLL, f->rows), i = retc_count_to(l, "i", RETC_LOOP_UNROLL, QUAD);
  if (!chunks) {
    retc_expr number = retc_add(l, retc_add(l, at.chunk, times(c, quad, QUAD)), i);
    retc_if(l, retc_less(l, number, retc_int(l, c->depth)));
  }
  retc_expr place = retc_add(l, retc_add(l, row_at(c, f, at.place, r), i), times(c, quad, PARTS * QUAD));
  add_product(c, r, place, wide, (retc_expr[]){i, {0}});
  retc_end(l, 4 + !whole + !chunks);
}

/* Adds the products of the steps behind `first`, which lie in the tile from `in_tile` on. */
static void write_products(contract *c, const form *f, retc_expr first, retc_expr in_tile) {
  if (c->group_size) {
    write_scaled_products(c, f, first, in_tile);
    return;
  }
  retc_lowering *l = c->l;
  const bool chunks = c->depth % CHUNK == 0, whole = c->depth % (f->steps * c->step) == 0;
  const at_step at = begin_step(c, f, first, in_tile, !whole && chunks);
  retc_expr r = retc_count_to(l, "r", RETC_LOOP_UNROLL, f->rows), i = retc_count_to(l, "i", RETC_LOOP_UNROLL, CHUNK);
  if (!chunks) retc_if(l, retc_less(l, retc_add(l, at.chunk, i), retc_int(l, c->depth)));
  retc_expr in_chunk =
      retc_add(l, times(c, retc_div(l, i, retc_int(l, QUAD)), PARTS * QUAD), retc_mod(l, i, retc_int(l, QUAD)));
  add_product(c, r, retc_add(l, row_at(c, f, at.place, r), in_chunk), f->weights, (retc_expr[]){at.step, i});
  retc_end(l, whole ? 3 : 4);
}

/* The sum of the parts of the row and column e of product p, one of a block's. */
static retc_expr write_total(contract *c, retc_expr r, retc_expr x, int p) {
  retc_lowering *l = c->l;
  retc_expr own = retc_int(l, c->products.paired ? p * c->own_columns : 0);
  retc_expr e = retc_add(l, times(c, r, COLUMNS), retc_add(l, x, own));
  retc_expr parts = retc_let(l, "parts", times(c, e, PARTS + 1)), total = {0};
  for (int n = 0; n < PARTS; n++) {
    retc_expr place = retc_add(l, parts, retc_int(l, n)), sum = retc_load(l, c->tile, &place);
    total = n ? retc_add(l, total, sum) : sum;
  }
  retc_lower_note(l, c->products.items[p].value);
  return retc_let(l, "total", total);
}

/* Rows from + r, r < rows, of the block: the parts come together in the tile. */
static void write_results(contract *c, int64_t from, int64_t rows) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr r = retc_count_to(l, "r", RETC_LOOP_UNROLL, rows),
            own = retc_count_to(l, "own", RETC_LOOP_UNROLL, OWN);
  retc_expr x = retc_add(l, times(c, c->group, OWN), own);
  retc_expr to = retc_add(l, times(c, retc_add(l, times(c, r, COLUMNS), x), PARTS + 1), c->part);
  retc_write_store(w, c->tile, &to, retc_load(l, c->sum, (retc_expr[]){retc_add(l, r, retc_int(l, from)), own}));
  retc_end(l, 2);
  retc_write_barrier(w);
  retc_expr width = retc_int(l, c->own_columns), totals[RETC_GPU_PRODUCTS_MAX];
  r = retc_let(l, "r", retc_div(l, c->lane, width));
  x = retc_let(l, "x", retc_mod(l, c->lane, width));
  retc_expr row = retc_let(l, "row", retc_add(l, retc_add(l, c->first_row, r), retc_int(l, from)));
  retc_write_if(w, retc_expr_binary(l->kernel, RETC_KERNEL_OP_AND,
                                    retc_less(l, c->lane, retc_int(l, rows * c->own_columns)),
                                    retc_less(l, row, c->row_count)));
  const bool paired = c->products.paired;
  for (int p = 0; p < (paired ? 1 : c->products.count); p++) {
    if (!paired) begin_product(c, p);
    retc_expr column = retc_let(l, "column", retc_add(l, first_of(c, p), x));
    if (c->products.items[p].columns % c->own_columns)
      retc_write_if(w, retc_less(l, column, retc_int(l, c->products.items[p].columns)));
    for (int k = 0; k < c->products.count; k++) totals[k] = paired || k == p ? write_total(c, r, x, k) : retc_f32(l, 0);
    retc_gpu_product_store(l, &c->products, p, row, column, totals);
    if (c->products.items[p].columns % c->own_columns) retc_end(l, 1);
  }
  if (!paired) end_products(c);
  retc_end(l, 1);
}

/* All of the block's work for `rows` rows, of which `slice` elements a row lie in the tile. */
static void write_form(contract *c, int64_t rows, int64_t slice, int64_t steps) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  form f = {.rows = rows, .slice = slice, .steps = steps};
  const int64_t read = steps * c->step;
  const retc_gpu_product *product = &c->products.items[0];
  f.weights = retc_write_alloc(w, "weights", RETC_SCOPE_PRIVATE, retc_kernel_buffer(l->kernel, product->weight)->dtype,
                               3, (int64_t[]){OWN, steps, c->chunk / c->pack});
  if (c->group_size) {
    const retc_dtype dtype = retc_kernel_buffer(l->kernel, product->scale)->dtype;
    f.scales = retc_write_alloc(w, "scales", RETC_SCOPE_PRIVATE, dtype, 2, (int64_t[]){OWN, steps});
  }
  retc_expr first = retc_write_for(w, "first", RETC_LOOP_SERIAL, retc_int(l, 0), retc_int(l, c->depth), slice);
  read_weights(c, &f, first);
  write_rows(c, &f, first);
  retc_write_barrier(w);
  write_products(c, &f, first, retc_int(l, 0));
  if (slice > read) {
    const retc_loop_kind kind = slice <= 4 * read ? RETC_LOOP_UNROLL : RETC_LOOP_SERIAL;
    retc_expr more = retc_write_for(w, "more", kind, retc_int(l, read), retc_int(l, slice), read);
    retc_expr next = retc_let(l, "next", retc_add(l, first, more));
    read_weights(c, &f, next);
    write_products(c, &f, next, more);
    retc_end(l, 1);
  }
  retc_write_barrier(w);
  retc_end(l, 1);
  for (int64_t from = 0; from < rows; from += ROWS_AT_ONCE) {
    if (from) retc_write_barrier(w);
    write_results(c, from, rows - from < ROWS_AT_ONCE ? rows - from : ROWS_AT_ONCE);
  }
}

static contract describe(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_region *region = retc_graph_region(l->graph, l->region);
  contract c = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1};
  c.depth = retc_lower_node(l, node->inputs[1])->type.shape.dim[1];
  if (node->op == RETC_OP_CONTRACT_SCALED) c.group_size = node->attributes.integer[0];
  c.chunk = retc_gpu_chunk(node);
  c.step = PARTS * c.chunk;
  c.pack = retc_lower_node(l, node->inputs[1])->type.dtype == RETC_DTYPE_I4 ? 2 : 1;
  c.rows = retc_schedule_get(region, "rows", ROWS);
  c.steps = retc_schedule_get(region, "steps", 1);
  retc_gpu_products_find(l, &c.products);
  c.own_columns = c.products.paired ? COLUMNS / c.products.count : COLUMNS;
  retc_gpu_products_place(&c.products, c.own_columns);
  const int64_t results = (c.rows < ROWS_AT_ONCE ? c.rows : ROWS_AT_ONCE) * COLUMNS * (PARTS + 1);
  c.room = c.rows * c.steps * c.step;
  if (c.room < results) c.room = results;
  return c;
}

/* Blocks are counted along rows (y) and columns (x); opens both loops. */
static void begin_blocks(contract *c) {
  retc_lowering *l = c->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), columns = retc_int(l, c->products.items[c->products.count - 1].end);
  c->row_count = retc_let(l, "rows", retc_lower_row_count(l, &c->row_shape, c->row_rank));
  const int64_t many = retc_schedule_get(retc_graph_region(l->graph, l->region), "many", 0);
  retc_expr rows = many ? retc_mul(l, c->row_count, retc_gpu_has_few_rows(l, c->row_count, many)) : c->row_count;
  c->first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, rows, c->rows);
  c->first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, columns, c->own_columns);
  c->tile = retc_write_alloc(w, "tile", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 1, &c->room);
}

/* Steps of one row read at once, and elements of it in the tile. */
static void write_one_row(contract *c) {
  const int64_t least = (c->depth + c->step - 1) / c->step, at_once = c->group_size ? ROW_STEPS_OF_INTEGERS : ROW_STEPS;
  const int64_t steps = least < at_once ? least : at_once;
  const int64_t wanted = (least + steps - 1) / steps, most = c->room / (steps * c->step);
  write_form(c, 1, (wanted < most ? wanted : most) * steps * c->step, steps);
}

retc_status retc_gpu_contract_lower(retc_lowering *l) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const retc_dtype math = retc_gpu_scheduled_math(region);
  if (math != RETC_DTYPE_F32) return retc_gpu_matrix_lower(l, math);
  if (l->launch) return retc_gpu_large_lower(l, RETC_DTYPE_F32, 0, NULL);
  contract c = describe(l);
  RETC_TRY(l->status); /* of products that do not go together */
  retc_writer *w = &l->writer;
  begin_blocks(&c);
  c.lane = retc_count_to(l, "lane", RETC_LOOP_LANE, LANES);
  c.part = retc_let(l, "part", retc_mod(l, c.lane, retc_int(l, PARTS)));
  c.group = retc_let(l, "group", retc_div(l, c.lane, retc_int(l, PARTS)));
  c.sum = retc_write_alloc(w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){c.rows, OWN});
  retc_expr r = retc_count_to(l, "r", RETC_LOOP_UNROLL, c.rows),
            own = retc_count_to(l, "own", RETC_LOOP_UNROLL, OWN);
  retc_write_store(w, c.sum, (retc_expr[]){r, own}, retc_f32(l, 0));
  retc_end(l, 2);
  retc_write_comment(w, "one row alone, as in decoding, waits for no others");
  retc_write_if(w, retc_equal(l, retc_sub(l, c.row_count, c.first_row), retc_int(l, 1)));
  write_one_row(&c);
  retc_write_else(w);
  write_form(&c, c.rows, c.steps * c.step, c.steps);
  retc_end(l, 4);
  return l->status;
}
