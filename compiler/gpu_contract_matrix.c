/* Products of rows with a weight matrix by the matrix instructions of a GPU, for `math` in bf16 or f16: prologue(a)
 * and, where it lies in memory as something else, w are rounded to that type, products are summed in f32.
 *
 * The summed axis is cut into PARTS parts: a part is one chain of matrix instructions, a sum is that of its parts in
 * order. So the bits do not depend on how many rows there are. Of few rows, as in decoding, a launch writes all,
 * rounded, into memory, for the next one to read as they lie: there a block has ROWS rows and `columns` columns, and
 * each of its waves a part, so that few rows keep as many waves busy as many do. */
#include <string.h>

#include "compiler/gpu_contract.h"

enum {
  PARTS = RETC_GPU_PARTS,
  ROWS = 32,
  TILE = 16,
  STAGED = 64, /* elements of a part that are rounded at once */
  GAP = 8      /* between columns in shared memory, against bank conflicts */
};
/* From how many rows on a launch of its own is faster. */
enum { MANY_ROWS = 256 };

typedef struct matrix {
  retc_lowering *l;
  const retc_node *node;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  retc_dtype math;
  bool staged; /* weights go through shared memory, where they are rounded */
  int64_t width, depth, columns, slice, part, many;
  retc_expr row_count, first_row, first_column;
  retc_buffer_id rows, weights_tile, sums, totals, weight;
} matrix;

static const retc_region *region_of(const retc_lowering *l) { return retc_graph_region(l->graph, l->region); }

retc_dtype retc_gpu_matrix_type(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile) {
  const retc_shape *weight = &retc_graph_node(graph, node->inputs[1])->type.shape;
  const bool fits = weight->dim[0] % TILE == 0 && weight->dim[1] % TILE == 0;
  return fits ? retc_gpu_wanted_math(profile) : RETC_DTYPE_F32;
}

void retc_gpu_matrix_schedule(const retc_graph *graph, const retc_node *node, retc_dtype math, bool blas,
                              retc_region *region) {
  const retc_node *weight = retc_graph_node(graph, node->inputs[1]);
  const bool staged = weight->type.dtype != math, for_blas = blas && !staged;
  const int64_t width = weight->type.shape.dim[0], depth = weight->type.shape.dim[1];
  const int64_t least = (depth + PARTS - 1) / PARTS, unit = least > STAGED ? STAGED : TILE;
  retc_gpu_set_math(region, math);
  retc_schedule_set(region, "columns", staged || width % (2 * TILE) ? TILE : 2 * TILE);
  retc_schedule_set(region, "part", (least + unit - 1) / unit * unit);
  retc_schedule_set(region, "many", for_blas || width * depth <= RETC_GPU_FEW_NUMBERS ? RETC_GPU_MANY_ROWS : MANY_ROWS);
  if (for_blas) retc_schedule_set(region, "blas", 1);
}

/* ---- rows ---- */

/* rows[r, k] = prologue(a) of row r, element k, rounded; zeros up to whole blocks of rows. */
static void write_rows(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr row, k, blocks = retc_div(l, retc_add(l, m->row_count, retc_int(l, ROWS - 1)), retc_int(l, ROWS));
  retc_expr count = retc_mul(l, blocks, retc_int(l, ROWS));
  retc_gpu_begin_elements(l, retc_mul(l, count, retc_gpu_has_few_rows(l, m->row_count, m->many)), m->depth, &row, &k);
  retc_if(l, retc_less(l, row, m->row_count));
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &m->row_shape, m->row_rank, row, at);
  retc_expr element = retc_gpu_begin_run(l, k);
  at[m->row_rank] = retc_at(element);
  retc_write_store(&l->writer, m->rows, (retc_expr[]){row, element}, retc_lower_value(l, m->node->inputs[0], at));
  retc_end(l, 1);
  retc_else(l);
  element = retc_gpu_begin_run(l, k);
  retc_write_store(&l->writer, m->rows, (retc_expr[]){row, element}, retc_f32(l, 0));
  retc_end(l, 2 + RETC_GPU_ELEMENT_BLOCKS);
}

/* ---- products ---- */

/* weights_tile[p,c,k]: element part * p + first + k of column first_column + c; zero where there is none. */
static void write_weights(matrix *m, retc_expr first) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, PARTS * m->columns * m->slice), columns = retc_int(l, m->columns),
            slice = retc_int(l, m->slice);
  retc_expr p = retc_let(l, "p", retc_div(l, e, retc_int(l, m->columns * m->slice))),
            c = retc_let(l, "c", retc_mod(l, retc_div(l, e, slice), columns)), k = retc_let(l, "k", retc_mod(l, e, slice));
  retc_expr to[3] = {p, c, k}, column = retc_let(l, "column", retc_add(l, m->first_column, c));
  retc_expr from = retc_let(l, "from", retc_add(l, retc_add(l, retc_mul(l, p, retc_int(l, m->part)), first), k));
  retc_write_if(w, retc_less(l, from, retc_int(l, m->depth)));
  retc_write_store(w, m->weights_tile, to, retc_gpu_weight(l, m->node, column, from));
  retc_write_else(w);
  retc_write_store(w, m->weights_tile, to, retc_f32(l, 0));
  retc_end(l, 2);
}

/* The wave's sums += rows times weights of `count` elements from `first` of its part on, as many as there are. */
static void write_products(matrix *m, retc_expr first, int64_t most) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), p = retc_count_to(l, "p", RETC_LOOP_WAVE, PARTS), count = retc_int(l, most);
  retc_expr start = retc_let(l, "start", retc_add(l, retc_mul(l, p, retc_int(l, m->part)), first));
  if (m->depth != PARTS * m->part) {
    retc_expr there = retc_min(l, count, retc_sub(l, retc_int(l, m->depth), start));
    count = retc_let(l, "count", retc_max(l, zero, there));
  }
  retc_view to = retc_write_view(w, m->sums, (retc_expr[]){p, zero, zero}, 1, 2);
  retc_view a = retc_write_view(w, m->rows, (retc_expr[]){m->first_row, start}, 0, 1);
  retc_view b = m->staged ? retc_write_view(w, m->weights_tile, (retc_expr[]){p, zero, zero}, 2, 1)
                          : retc_write_view(w, m->weight, (retc_expr[]){m->first_column, start}, 1, 0);
  retc_lower_note(l, l->anchor);
  retc_write_mma(w, to, a, b, ROWS, m->columns, count);
  retc_end(l, 1);
}

/* Loops over the sums of the wave that has part p; two blocks to end, and the waves'. */
static void begin_sums(matrix *m, retc_expr out_at[3]) {
  out_at[0] = retc_count_to(m->l, "p", RETC_LOOP_WAVE, PARTS);
  out_at[1] = retc_count_to(m->l, "i", RETC_LOOP_ELEMENT, ROWS);
  out_at[2] = retc_count_to(m->l, "x", RETC_LOOP_ELEMENT, m->columns);
}

static void clear_sums(matrix *m) {
  retc_expr at[3];
  begin_sums(m, at);
  retc_write_store(&m->l->writer, m->sums, at, retc_f32(m->l, 0));
  retc_end(m->l, 3);
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

static void write_results(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr at[3], total = {0};
  begin_sums(m, at);
  retc_write_store(&l->writer, m->totals, at, retc_load(l, m->sums, at));
  retc_end(l, 3);
  retc_barrier(l);
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, ROWS * m->columns), columns = retc_int(l, m->columns);
  retc_expr r = retc_let(l, "r", retc_div(l, e, columns)), x = retc_let(l, "x", retc_mod(l, e, columns));
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, r)),
            column = retc_let(l, "column", retc_add(l, m->first_column, x));
  retc_write_if(&l->writer, retc_less(l, row, m->row_count));
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = retc_load(l, m->totals, (retc_expr[]){retc_int(l, p), r, x});
    total = p ? retc_add(l, total, part) : part;
  }
  retc_gpu_store_total(l, &m->row_shape, m->row_rank, row, column, total);
  retc_end(l, 2);
}

static void begin_block(matrix *m) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), few = retc_gpu_has_few_rows(l, m->row_count, m->many);
  m->first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, retc_mul(l, m->row_count, few), ROWS);
  m->first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, retc_int(l, m->width), m->columns);
  const int64_t tile[] = {PARTS, m->columns, m->slice + GAP}, sums[] = {PARTS, ROWS, m->columns};
  if (m->staged) m->weights_tile = retc_write_alloc(w, "weights_tile", RETC_SCOPE_SHARED, m->math, 3, tile);
  m->totals = retc_write_alloc(w, "totals", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 3, sums);
  m->sums = retc_write_alloc(w, "sums", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, sums);
}

static retc_status lower_few(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0);
  l->computed = l->anchor;
  begin_block(m);
  clear_sums(m);
  if (m->staged) {
    retc_expr first = retc_write_for(&l->writer, "first", RETC_LOOP_SERIAL, zero, retc_int(l, m->part), m->slice);
    write_weights(m, first);
    retc_barrier(l);
    write_products(m, first, m->slice);
    retc_barrier(l);
    retc_end(l, 1);
  } else {
    write_products(m, zero, m->part);
  }
  write_results(m);
  retc_end(l, 2);
  return l->status;
}

/* ---- the launches ---- */

static matrix describe(retc_lowering *l, retc_dtype math) {
  const retc_node *node = retc_lower_node(l, l->anchor), *weight = retc_lower_node(l, node->inputs[1]);
  const retc_region *region = region_of(l);
  matrix m = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1, .math = math};
  m.staged = weight->type.dtype != math;
  m.width = weight->type.shape.dim[0];
  m.depth = weight->type.shape.dim[1];
  m.columns = retc_schedule_get(region, "columns", TILE);
  m.part = retc_schedule_get(region, "part", ((m.depth + PARTS - 1) / PARTS + TILE - 1) / TILE * TILE);
  m.many = retc_schedule_get(region, "many", RETC_GPU_MANY_ROWS);
  m.slice = m.part % STAGED ? TILE : STAGED;
  m.weight = retc_lower_buffer(l, node->inputs[1]);
  return m;
}

static bool is_possible(const matrix *m) {
  if (m->columns != TILE && m->columns != 2 * TILE) return false;
  const bool sizes = m->width % m->columns == 0 && m->depth % TILE == 0 && m->part % TILE == 0;
  return sizes && PARTS * m->part >= m->depth && m->many >= RETC_GPU_MANY_ROWS && m->many % ROWS == 0;
}

enum { LAUNCH_ROWS, LAUNCH_FEW, LAUNCH_MANY };

int retc_gpu_matrix_launches(const retc_region *region) {
  return LAUNCH_MANY + (retc_schedule_get(region, "blas", 0) ? RETC_GPU_BLAS_LAUNCHES : 1);
}

retc_launch_part retc_gpu_launch_part(const retc_lowering *l) {
  const retc_region *region = region_of(l);
  const bool halves = retc_gpu_scheduled_math(region) != RETC_DTYPE_F32;
  if (strcmp(region->anchor, "contract") || !halves) return RETC_LAUNCH_WHOLE;
  if (l->launch == LAUNCH_ROWS) return RETC_LAUNCH_ROWS;
  if (l->launch == LAUNCH_FEW) return RETC_LAUNCH_WITHOUT_ROWS;
  if (!retc_schedule_get(region, "blas", 0)) return RETC_LAUNCH_WHOLE;
  static const retc_launch_part parts[RETC_GPU_BLAS_LAUNCHES] = {RETC_LAUNCH_ROWS, RETC_LAUNCH_PRODUCT,
                                                                 RETC_LAUNCH_RESULTS};
  return parts[l->launch - LAUNCH_MANY];
}

retc_status retc_gpu_matrix_lower(retc_lowering *l, retc_dtype math) {
  matrix m = describe(l, math);
  retc_gpu_products products;
  RETC_TRY(retc_gpu_products_find(l, &products));
  if (!is_possible(&m) || products.count > 1)
    return retc_lower_refuse(l, l->anchor, "its schedule is none for matrix instructions");
  if (l->launch >= LAUNCH_MANY) {
    const bool blas = retc_schedule_get(region_of(l), "blas", 0);
    if (blas) return retc_gpu_blas_lower(l, math, m.part, l->launch - LAUNCH_MANY);
    return retc_gpu_large_lower(l, math, m.part, NULL);
  }
  const retc_shape rows = {.rank = 2, .dim = {m.many, m.depth}};
  const unsigned access = l->launch == LAUNCH_ROWS ? RETC_ACCESS_WRITE : RETC_ACCESS_READ;
  m.rows = retc_lower_between(l, "few_rows", math, &rows, 0, access);
  m.row_count = retc_let(l, "rows", retc_lower_row_count(l, &m.row_shape, m.row_rank));
  if (l->launch == LAUNCH_FEW) return lower_few(&m);
  write_rows(&m);
  return l->status;
}
