/* Products of rows with a weight matrix by the matrix instructions of a GPU, for `math` in bf16 or f16: prologue(a)
 * and, where it lies in memory as something else, w are rounded to that type, products are summed in f32.
 *
 * The summed axis is cut into PARTS parts: a part is one chain of matrix instructions, a sum is that of its parts in
 * order. So the bits do not depend on how many rows there are. Rows that nobody else reads are stored rounded by what
 * makes them; of others, when they are few, as in decoding, a launch writes all, rounded, into memory. The launch for few
 * rows reads them as they lie: there a block has ROWS rows and `columns` columns, and each of its waves a part, so that
 * few rows keep as many waves busy as many do. Of several products each block has columns of one, or, where something is
 * made of two, of both: then TILE of each, so that the sums of all parts fit into shared memory. */
#include <string.h>

#include "compiler/gpu_contract.h"

enum {
  PARTS = RETC_GPU_PARTS,
  ROWS = 32,
  TILE = 16,
  STAGED = 64, /* elements of a part that are rounded at once, of two products half as many */
  TAKEN = 128, /* elements of a part that two products take one after the other, so that rows are read once */
  GAP = 8      /* between columns in shared memory, against bank conflicts */
};
/* From how many rows on a launch of its own is faster. */
enum { MANY_ROWS = 256 };

typedef struct matrix {
  retc_lowering *l;
  const retc_node *node; /* the first product's */
  retc_gpu_products products;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  retc_dtype math;
  bool stored;           /* the rows lie in memory, rounded */
  bool staged;           /* weights go through shared memory, where they are rounded */
  int64_t columns, side; /* of a block, of each product; products side by side */
  int64_t depth, slice, part, many;
  retc_expr row_count, first_row, first_column;
  retc_index row[RETC_RANK_MAX]; /* the first one, along the axes of stored rows */
  retc_buffer_id rows, weights_tile, sums, totals;
} matrix;

static const retc_region *region_of(const retc_lowering *l) { return retc_graph_region(l->graph, l->region); }

retc_dtype retc_gpu_matrix_type(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile) {
  const retc_shape *weight = &retc_graph_node(graph, node->inputs[1])->type.shape;
  const bool fits = weight->dim[0] % TILE == 0 && weight->dim[1] % TILE == 0;
  return fits ? retc_gpu_wanted_math(profile) : RETC_DTYPE_F32;
}

void retc_gpu_matrix_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                              retc_region *region) {
  const retc_dtype math = retc_gpu_matrix_type(graph, node, profile);
  const retc_node *products[RETC_GPU_PRODUCTS_MAX], *weight = retc_graph_node(graph, node->inputs[1]);
  const int count = retc_gpu_products_list(graph, node, products);
  const bool staged = weight->type.dtype != math, for_blas = profile->blas && !staged;
  const int64_t depth = weight->type.shape.dim[1];
  const int64_t least = (depth + PARTS - 1) / PARTS, unit = least > STAGED ? STAGED : TILE;
  int64_t width = 0, columns = staged ? TILE : 2 * TILE;
  for (int p = 0; p < count; p++) {
    const int64_t own = retc_graph_node(graph, products[p]->inputs[1])->type.shape.dim[0];
    width += own;
    if (own % columns) columns = TILE;
  }
  const bool is_small = width * depth <= RETC_GPU_FEW_NUMBERS;
  if (!is_small && width / columns < profile->units) columns = TILE; /* more blocks, which read the rows more often */
  retc_gpu_set_math(region, math);
  retc_schedule_set(region, "columns", columns);
  retc_schedule_set(region, "part", (least + unit - 1) / unit * unit);
  retc_schedule_set(region, "many", for_blas || is_small ? RETC_GPU_MANY_ROWS : MANY_ROWS);
  if (for_blas) retc_schedule_set(region, "blas", 1);
}

/* They lie in memory as the instructions read them: nothing is made of them here. */
static bool has_stored_rows(const retc_lowering *l) {
  const retc_value rows = retc_lower_node(l, l->anchor)->inputs[0];
  return !retc_lower_is_inside(l, rows) && l->stored_as[rows.index] == retc_gpu_scheduled_math(region_of(l));
}

/* ---- rows ---- */

/* rows[r, k] = prologue(a) of row r, element k, rounded. */
static void write_rows(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr row, k, count = retc_mul(l, m->row_count, retc_gpu_has_few_rows(l, m->row_count, m->many));
  retc_gpu_begin_elements(l, count, m->depth, &row, &k);
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &m->row_shape, m->row_rank, row, at);
  retc_expr element = retc_gpu_begin_run(l, k);
  at[m->row_rank] = retc_at(element);
  retc_write_store(&l->writer, m->rows, (retc_expr[]){row, element}, retc_lower_value(l, m->node->inputs[0], at));
  retc_end(l, 1 + RETC_GPU_ELEMENT_BLOCKS);
}

/* ---- products ---- */

/* The block's first column, as one of product `product`. */
static retc_expr first_of(matrix *m, int product) {
  return retc_sub(m->l, m->first_column, retc_int(m->l, m->products.items[product].start));
}

/* weights_tile[p,c,k]: element part * p + first + k of the block's column c, products one behind the other; zero where
 * there is none. */
static void write_weights(matrix *m, retc_expr first) {
  retc_lowering *l = m->l;
  const int64_t width = m->side * m->columns;
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, PARTS * width * m->slice), slice = retc_int(l, m->slice);
  retc_expr p = retc_let(l, "p", retc_div(l, e, retc_int(l, width * m->slice))),
            c = retc_let(l, "c", retc_mod(l, retc_div(l, e, slice), retc_int(l, width))),
            k = retc_let(l, "k", retc_mod(l, e, slice)), to[3] = {p, c, k};
  retc_expr from = retc_let(l, "from", retc_add(l, retc_add(l, retc_mul(l, p, retc_int(l, m->part)), first), k));
  retc_if(l, retc_less(l, from, retc_int(l, m->depth)));
  for (int i = 0; i < m->products.count; i++) {
    retc_gpu_product_begin(l, &m->products, i, m->side > 1 ? c : m->first_column, m->columns);
    retc_expr column = retc_add(l, first_of(m, i), m->side > 1 ? retc_mod(l, c, retc_int(l, m->columns)) : c);
    const retc_node *product = retc_lower_node(l, m->products.items[i].value);
    retc_write_store(&l->writer, m->weights_tile, to, retc_gpu_weight(l, product, retc_let(l, "column", column), from));
  }
  retc_gpu_product_end(l, &m->products);
  retc_else(l);
  retc_write_store(&l->writer, m->weights_tile, to, retc_f32(l, 0));
  retc_end(l, 2);
}

/* The wave's sums of product `product` += rows times weights of `count` elements from `start` on. */
static void write_product(matrix *m, int product, retc_expr p, retc_expr start, retc_expr count) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  const retc_gpu_product *of = &m->products.items[product];
  const int beside = m->side > 1 ? product : 0;
  const int axis = m->stored ? m->row_rank - 1 : 0; /* of the rows */
  retc_expr zero = retc_int(l, 0), column = retc_int(l, beside * m->columns), from[RETC_RANK_MAX] = {m->first_row};
  if (m->stored) retc_bases(m->row, m->row_rank, from);
  from[axis + 1] = start;
  retc_view to = retc_write_view(w, m->sums, (retc_expr[]){p, retc_int(l, beside), zero, zero}, 2, 3);
  retc_view a = retc_write_view(w, m->rows, from, axis, axis + 1);
  retc_view b = m->staged ? retc_write_view(w, m->weights_tile, (retc_expr[]){p, column, zero}, 2, 1)
                          : retc_write_view(w, of->weight, (retc_expr[]){first_of(m, product), start}, 1, 0);
  retc_lower_note(l, of->value);
  retc_write_mma_of(w, to, a, b, ROWS, retc_sub(l, m->row_count, m->first_row), m->columns, count);
}

/* The same of the block's products, and of `most` elements from `first` of the wave's part on, as many as there are. */
static void write_products(matrix *m, retc_expr first, int64_t most) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0), p = retc_count_to(l, "p", RETC_LOOP_WAVE, PARTS), count = retc_int(l, most);
  retc_expr start = retc_let(l, "start", retc_add(l, retc_mul(l, p, retc_int(l, m->part)), first));
  if (m->depth != PARTS * m->part) {
    retc_expr there = retc_min(l, count, retc_sub(l, retc_int(l, m->depth), start));
    count = retc_let(l, "count", retc_max(l, zero, there));
  }
  const bool chosen = m->side == 1 && !m->staged; /* by the block; else the same statements do for all */
  for (int i = 0; i < (chosen ? m->products.count : m->side); i++) {
    if (chosen) retc_gpu_product_begin(l, &m->products, i, m->first_column, m->columns);
    write_product(m, i, p, start, count);
  }
  if (chosen) retc_gpu_product_end(l, &m->products);
  retc_end(l, 1);
}

/* Loops over the sums of the wave that has part p; so many blocks to end. */
static int begin_sums(matrix *m, retc_expr out_at[4]) {
  out_at[0] = retc_count_to(m->l, "p", RETC_LOOP_WAVE, PARTS);
  out_at[1] = m->side > 1 ? retc_count_to(m->l, "product", RETC_LOOP_UNROLL, m->side) : retc_int(m->l, 0);
  out_at[2] = retc_count_to(m->l, "i", RETC_LOOP_ELEMENT, ROWS);
  out_at[3] = retc_count_to(m->l, "x", RETC_LOOP_ELEMENT, m->columns);
  return m->side > 1 ? 4 : 3;
}

static void clear_sums(matrix *m) {
  retc_expr at[4];
  const int blocks = begin_sums(m, at);
  retc_write_store(&m->l->writer, m->sums, at, retc_f32(m->l, 0));
  retc_end(m->l, blocks);
}

void retc_gpu_store_total(retc_lowering *l, const retc_shape *row_shape, int row_rank, retc_expr row, retc_expr column,
                          retc_expr total) {
  retc_index at[RETC_RANK_MAX];
  retc_lower_note(l, l->anchor);
  l->computed_as = retc_let(l, "total", total);
  retc_lower_row(l, row_shape, row_rank, row, at);
  at[row_rank] = retc_at(column);
  retc_lower_store_results(l, l->anchor, at);
}

/* The sum of the parts of product `product` at a row and column of the block. */
static retc_expr write_total(matrix *m, int product, retc_expr r, retc_expr x) {
  retc_lowering *l = m->l;
  retc_expr total = {0}, beside = retc_int(l, m->side > 1 ? product : 0);
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = retc_load(l, m->totals, (retc_expr[]){retc_int(l, p), beside, r, x});
    total = p ? retc_add(l, total, part) : part;
  }
  retc_lower_note(l, m->products.items[product].value);
  return retc_let(l, "total", total);
}

static void write_results(matrix *m) {
  retc_lowering *l = m->l;
  const bool paired = m->side > 1;
  retc_expr at[4], totals[RETC_GPU_PRODUCTS_MAX];
  const int blocks = begin_sums(m, at);
  retc_write_store(&l->writer, m->totals, at, retc_load(l, m->sums, at));
  retc_end(l, blocks);
  retc_barrier(l);
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, ROWS * m->columns), columns = retc_int(l, m->columns);
  retc_expr r = retc_let(l, "r", retc_div(l, e, columns)), x = retc_let(l, "x", retc_mod(l, e, columns));
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, r));
  retc_if(l, retc_less(l, row, m->row_count));
  for (int i = 0; i < (paired ? 1 : m->products.count); i++) {
    if (!paired) retc_gpu_product_begin(l, &m->products, i, m->first_column, m->columns);
    retc_expr column = retc_let(l, "column", retc_add(l, first_of(m, i), x));
    for (int k = 0; k < m->products.count; k++) totals[k] = paired || k == i ? write_total(m, k, r, x) : retc_f32(l, 0);
    retc_gpu_product_store(l, &m->products, i, row, column, totals);
  }
  if (!paired) retc_gpu_product_end(l, &m->products);
  retc_end(l, 2);
}

static void begin_block(matrix *m) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), few = retc_gpu_has_few_rows(l, m->row_count, m->many);
  retc_expr end = retc_int(l, m->products.items[m->products.count - 1].end);
  m->first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, retc_mul(l, m->row_count, few), ROWS);
  m->first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, end, m->columns);
  if (m->stored) retc_lower_row(l, &m->row_shape, m->row_rank, m->first_row, m->row);
  const int64_t tile[] = {PARTS, m->side * m->columns, m->slice + GAP}, sums[] = {PARTS, m->side, ROWS, m->columns};
  if (m->staged) m->weights_tile = retc_write_alloc(w, "weights_tile", RETC_SCOPE_SHARED, m->math, 3, tile);
  m->totals = retc_write_alloc(w, "totals", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 4, sums);
  m->sums = retc_write_alloc(w, "sums", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 4, sums);
}

static retc_status lower_few(matrix *m) {
  retc_lowering *l = m->l;
  begin_block(m);
  clear_sums(m);
  retc_expr first = retc_int(l, 0);
  const bool slices = m->staged || m->slice < m->part;
  if (slices) first = retc_write_for(&l->writer, "first", RETC_LOOP_SERIAL, first, retc_int(l, m->part), m->slice);
  if (m->staged) {
    write_weights(m, first);
    retc_barrier(l);
  }
  write_products(m, first, m->slice);
  if (m->staged) retc_barrier(l);
  retc_end(l, slices);
  write_results(m);
  retc_end(l, 2);
  return l->status;
}

/* ---- the launches ---- */

/* Elements of a part at once: of steps of 32, as some instructions take them, whole ones. */
static int64_t slice_of(const matrix *m) {
  if (m->part % STAGED) return m->staged ? TILE : m->part;
  if (m->side > 1) return m->staged ? STAGED / 2 : m->part % TAKEN ? STAGED : TAKEN;
  return m->staged ? STAGED : m->part;
}

static matrix describe(retc_lowering *l, retc_dtype math) {
  const retc_node *node = retc_lower_node(l, l->anchor), *weight = retc_lower_node(l, node->inputs[1]);
  const retc_region *region = region_of(l);
  matrix m = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1, .math = math};
  retc_gpu_products_find(l, &m.products);
  m.side = m.products.paired ? m.products.count : 1;
  m.stored = has_stored_rows(l);
  m.staged = weight->type.dtype != math;
  m.depth = weight->type.shape.dim[1];
  m.columns = m.side > 1 ? TILE : retc_schedule_get(region, "columns", TILE);
  m.part = retc_schedule_get(region, "part", ((m.depth + PARTS - 1) / PARTS + TILE - 1) / TILE * TILE);
  m.many = retc_schedule_get(region, "many", RETC_GPU_MANY_ROWS);
  m.slice = slice_of(&m);
  retc_gpu_products_place(&m.products, m.columns);
  return m;
}

static bool is_possible(const matrix *m) {
  if ((m->columns != TILE && m->columns != 2 * TILE) || m->side > 2) return false;
  bool sizes = m->depth % TILE == 0 && m->part % TILE == 0;
  for (int i = 0; i < m->products.count; i++) sizes &= m->products.items[i].columns % m->columns == 0;
  return sizes && PARTS * m->part >= m->depth && m->many >= RETC_GPU_MANY_ROWS && m->many % ROWS == 0;
}

/* Rows that are stored rounded leave the first of these out. */
enum { LAUNCH_ROWS, LAUNCH_FEW, LAUNCH_MANY };

static int launch_of(const retc_lowering *l) { return l->launch + (has_stored_rows(l) ? LAUNCH_FEW : LAUNCH_ROWS); }

int retc_gpu_matrix_launches(const retc_lowering *l) {
  const int before = has_stored_rows(l) ? LAUNCH_MANY - LAUNCH_FEW : LAUNCH_MANY;
  return before + (retc_schedule_get(region_of(l), "blas", 0) ? RETC_GPU_BLAS_LAUNCHES : 1);
}

retc_launch_part retc_gpu_launch_part(const retc_lowering *l) {
  const retc_region *region = region_of(l);
  const bool halves = retc_gpu_scheduled_math(region) != RETC_DTYPE_F32;
  if (strcmp(region->anchor, "contract") || !halves) return RETC_LAUNCH_WHOLE;
  const int launch = launch_of(l);
  if (launch == LAUNCH_ROWS) return RETC_LAUNCH_ROWS;
  if (launch == LAUNCH_FEW) return has_stored_rows(l) ? RETC_LAUNCH_WHOLE : RETC_LAUNCH_WITHOUT_ROWS;
  if (!retc_schedule_get(region, "blas", 0)) return RETC_LAUNCH_WHOLE;
  static const retc_launch_part parts[RETC_GPU_BLAS_LAUNCHES] = {RETC_LAUNCH_ROWS, RETC_LAUNCH_PRODUCT,
                                                                 RETC_LAUNCH_RESULTS};
  return parts[launch - LAUNCH_MANY];
}

retc_status retc_gpu_matrix_lower(retc_lowering *l, retc_dtype math) {
  matrix m = describe(l, math);
  RETC_TRY(l->status); /* of products that do not go together */
  const bool blas = retc_schedule_get(region_of(l), "blas", 0);
  if (!is_possible(&m) || (blas && m.products.count > 1))
    return retc_lower_refuse(l, l->anchor, "its schedule is none for matrix instructions");
  const int launch = launch_of(l);
  if (launch >= LAUNCH_MANY) {
    if (blas) return retc_gpu_blas_lower(l, math, m.part, launch - LAUNCH_MANY);
    return retc_gpu_large_lower(l, math, m.part, NULL);
  }
  const retc_shape rows = {.rank = 2, .dim = {m.many, m.depth}};
  const unsigned access = launch == LAUNCH_ROWS ? RETC_ACCESS_WRITE : RETC_ACCESS_READ;
  m.rows = m.stored ? retc_lower_buffer(l, m.node->inputs[0])
                    : retc_lower_between(l, "few_rows", math, &rows, 0, access);
  m.row_count = retc_lower_row_count(l, &m.row_shape, m.row_rank);
  if (launch == LAUNCH_FEW) {
    m.row_count = retc_let(l, "rows", m.row_count);
    return lower_few(&m);
  }
  write_rows(&m);
  return l->status;
}
