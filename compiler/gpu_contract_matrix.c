/* Products of rows with a weight matrix by the matrix instructions of a GPU, for `math` in bf16 or f16: prologue(a)
 * and, where it lies in memory as something else, w are rounded to that type, products are summed in f32.
 *
 * The summed axis is cut into PARTS parts, as in gpu_contract.c: a part is one chain of matrix instructions, a sum is
 * that of its parts in order. A block computes ROWS rows times `columns` columns, `slice` elements of all parts at a
 * time; a wave has a part and 16 columns. So a few rows, as in decoding, keep as many waves busy as many rows do, and
 * the bits do not depend on how many there are. */
#include "compiler/gpu_contract.h"

enum {
  PARTS = RETC_GPU_PARTS,
  ROWS = 16,
  TILE = 16,
  RUN = 4 /* elements of a row that a lane reads */,
  GAP = 8 /* between rows, against bank conflicts */
};

typedef struct matrix {
  retc_lowering *l;
  const retc_node *node;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  retc_dtype math;
  bool staged; /* weights go through shared memory, where they are rounded */
  int64_t width, depth, columns, slice, part;
  retc_expr row_count, first_row, first_column;
  retc_buffer_id rows_tile, weights_tile, sums, weight;
} matrix;

static retc_expr begin_lanes(matrix *m, int64_t count) {
  return retc_write_for(&m->l->writer, "e", RETC_LOOP_LANE, retc_int(m->l, 0), retc_int(m->l, count), 1);
}

static const retc_region *region_of(const retc_lowering *l) { return retc_graph_region(l->graph, l->region); }

static bool is_half(retc_dtype dtype) { return dtype == RETC_DTYPE_BF16 || dtype == RETC_DTYPE_F16; }

retc_dtype retc_gpu_matrix_type(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile) {
  const retc_dtype math = profile->math == RETC_MATH_BF16 ? RETC_DTYPE_BF16 : RETC_DTYPE_F16;
  const retc_shape *weight = &retc_graph_node(graph, node->inputs[1])->type.shape;
  const bool fits = weight->dim[0] % TILE == 0 && weight->dim[1] % TILE == 0;
  return profile->math != RETC_MATH_F32 && fits ? math : RETC_DTYPE_F32;
}

void retc_gpu_matrix_schedule(const retc_graph *graph, const retc_node *node, retc_dtype math, bool blas,
                              retc_region *region) {
  const retc_node *weight = retc_graph_node(graph, node->inputs[1]);
  const bool staged = weight->type.dtype != math;
  const int64_t least = (weight->type.shape.dim[1] + PARTS - 1) / PARTS, most = staged ? 64 : 128;
  const int64_t slice = least > most ? most : (least + TILE - 1) / TILE * TILE;
  retc_schedule_set(region, math == RETC_DTYPE_BF16 ? "bf16" : "f16", 1);
  retc_schedule_set(region, "columns", staged || weight->type.shape.dim[0] < 32 ? TILE : 2 * TILE);
  retc_schedule_set(region, "slice", slice);
  retc_schedule_set(region, "part", (least + slice - 1) / slice * slice);
  if (blas && !staged) retc_schedule_set(region, "blas", 1);
}

/* The place of element e of a tile [PARTS, rows, slice + GAP], and the number along the summed axis it stands for. */
static retc_expr place(matrix *m, retc_expr e, int64_t rows, retc_expr first, retc_expr to[3]) {
  retc_lowering *l = m->l;
  to[0] = retc_let(l, "p", retc_div(l, e, retc_int(l, rows * m->slice)));
  to[1] = retc_let(l, "r", retc_mod(l, retc_div(l, e, retc_int(l, m->slice)), retc_int(l, rows)));
  to[2] = retc_let(l, "k", retc_mod(l, e, retc_int(l, m->slice)));
  return retc_let(l, "from", retc_add(l, retc_add(l, retc_mul(l, to[0], retc_int(l, m->part)), first), to[2]));
}

/* A loop over `count` elements of which a lane has RUN that lie together; the first of them. */
static retc_expr begin_runs(matrix *m, int64_t count) {
  return retc_let(m->l, "e_first", retc_mul(m->l, begin_lanes(m, count / RUN), retc_int(m->l, RUN)));
}

/* The next of the run's elements in the tile, and along the summed axis. */
static retc_expr begin_run(matrix *m, retc_expr to[3], retc_expr *from) {
  retc_expr i = retc_write_for(&m->l->writer, "i", RETC_LOOP_UNROLL, retc_int(m->l, 0), retc_int(m->l, RUN), 1);
  *from = retc_add(m->l, *from, i);
  return to[2] = retc_add(m->l, to[2], i);
}

/* rows_tile[p,r,k] = element part * p + first + k of row first_row + r, rounded; zero where there is none. */
static void write_rows(matrix *m, retc_expr first) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr to[3], from = place(m, begin_runs(m, PARTS * ROWS * m->slice), ROWS, first, to), start = from, k = to[2];
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, to[1]));
  retc_write_if(w, retc_and(l, retc_less(l, row, m->row_count), retc_less(l, from, retc_int(l, m->depth))));
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &m->row_shape, m->row_rank, row, at);
  begin_run(m, to, &from);
  at[m->row_rank] = retc_at(from);
  retc_write_store(w, m->rows_tile, to, retc_lower_value(l, m->node->inputs[0], at));
  retc_end(l, 1);
  retc_write_else(w);
  from = start;
  to[2] = k;
  begin_run(m, to, &from);
  retc_write_store(w, m->rows_tile, to, retc_f32(l, 0));
  retc_end(l, 3);
}

/* weights_tile[p,c,k]: the same of column first_column + c. */
static void write_weights(matrix *m, retc_expr first) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  retc_expr to[3], from = place(m, begin_lanes(m, PARTS * m->columns * m->slice), m->columns, first, to);
  retc_expr column = retc_let(l, "column", retc_add(l, m->first_column, to[1]));
  retc_write_if(
      w, retc_and(l, retc_less(l, column, retc_int(l, m->width)), retc_less(l, from, retc_int(l, m->depth))));
  retc_write_store(w, m->weights_tile, to, retc_gpu_weight(l, m->node, column, from));
  retc_write_else(w);
  retc_write_store(w, m->weights_tile, to, retc_f32(l, 0));
  retc_end(l, 2);
}

static void write_products(matrix *m, retc_expr first) {
  retc_lowering *l = m->l;
  retc_writer *w = &l->writer;
  const int64_t tiles = m->columns / TILE;
  retc_expr zero = retc_int(l, 0);
  retc_expr unit = retc_write_for(w, "unit", RETC_LOOP_WAVE, zero, retc_int(l, PARTS * tiles), 1);
  retc_expr p = retc_let(l, "p", retc_div(l, unit, retc_int(l, tiles)));
  retc_expr n = retc_let(l, "n", retc_mul(l, retc_mod(l, unit, retc_int(l, tiles)), retc_int(l, TILE)));
  retc_expr start = retc_let(l, "start", retc_add(l, retc_mul(l, p, retc_int(l, m->part)), first));
  retc_expr column = retc_let(l, "column", retc_add(l, m->first_column, n)), count = retc_int(l, m->slice);
  if (m->depth != PARTS * m->part) {
    count =
        retc_let(l, "count", retc_max(l, zero, retc_min(l, count, retc_sub(l, retc_int(l, m->depth), start))));
  }
  if (m->width % m->columns) retc_write_if(w, retc_less(l, column, retc_int(l, m->width)));
  retc_view to = retc_write_view(w, m->sums, (retc_expr[]){p, zero, n}, 1, 2);
  retc_view a = retc_write_view(w, m->rows_tile, (retc_expr[]){p, zero, zero}, 1, 2);
  retc_view b = m->staged ? retc_write_view(w, m->weights_tile, (retc_expr[]){p, n, zero}, 2, 1)
                          : retc_write_view(w, m->weight, (retc_expr[]){column, start}, 1, 0);
  retc_lower_note(l, l->anchor);
  retc_write_mma(w, to, a, b, ROWS, TILE, count);
  retc_end(l, m->width % m->columns ? 2 : 1);
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
  retc_expr e = begin_lanes(m, ROWS * m->columns), total = {0};
  retc_expr r = retc_let(l, "r", retc_div(l, e, retc_int(l, m->columns))),
            x = retc_let(l, "x", retc_mod(l, e, retc_int(l, m->columns)));
  retc_expr row = retc_let(l, "row", retc_add(l, m->first_row, r)),
            column = retc_let(l, "column", retc_add(l, m->first_column, x));
  retc_write_if(&l->writer,
                retc_and(l, retc_less(l, row, m->row_count), retc_less(l, column, retc_int(l, m->width))));
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = retc_load(l, m->sums, (retc_expr[]){retc_int(l, p), r, x});
    total = p ? retc_add(l, total, part) : part;
  }
  retc_gpu_store_total(l, &m->row_shape, m->row_rank, row, column, total);
  retc_end(l, 2);
}

static retc_buffer_id shared(matrix *m, const char *name, retc_dtype dtype, int64_t rows, int64_t columns) {
  return retc_write_alloc(&m->l->writer, name, RETC_SCOPE_SHARED, dtype, 3, (int64_t[]){PARTS, rows, columns});
}

static matrix describe(retc_lowering *l, retc_dtype math) {
  const retc_node *node = retc_lower_node(l, l->anchor), *weight = retc_lower_node(l, node->inputs[1]);
  const retc_region *region = retc_graph_region(l->graph, l->region);
  matrix m = {.l = l, .node = node, .row_shape = node->type.shape, .row_rank = node->type.shape.rank - 1, .math = math};
  m.staged = weight->type.dtype != math;
  m.width = weight->type.shape.dim[0];
  m.depth = weight->type.shape.dim[1];
  m.columns = retc_schedule_get(region, "columns", TILE);
  m.slice = retc_schedule_get(region, "slice", TILE);
  m.part = retc_schedule_get(region, "part", ((m.depth + PARTS - 1) / PARTS + m.slice - 1) / m.slice * m.slice);
  m.weight = retc_lower_buffer(l, node->inputs[1]);
  return m;
}

retc_status retc_gpu_matrix_lower(retc_lowering *l, retc_dtype math) {
  matrix m = describe(l, math);
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  if (!is_half(math) || m.width % TILE || m.depth % TILE || m.slice % TILE || m.part % m.slice || m.columns % TILE) {
    return retc_lower_refuse(l, l->anchor, "its schedule is none for matrix instructions");
  }
  if (l->launch && retc_schedule_get(region_of(l), "blas", 0)) return retc_gpu_blas_lower(l, math, m.part);
  if (l->launch == 1) return retc_gpu_large_lower(l, math, m.part, NULL);
  l->computed = l->anchor;
  m.row_count = retc_let(l, "rows", retc_lower_row_count(l, &m.row_shape, m.row_rank));
  retc_expr few = retc_gpu_has_few_rows(l, m.row_count, RETC_GPU_MANY_ROWS);
  m.first_row = retc_write_for(w, "first_row", RETC_LOOP_GRID, zero, retc_mul(l, m.row_count, few), ROWS);
  m.first_column = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, retc_int(l, m.width), m.columns);
  m.rows_tile = shared(&m, "rows_tile", math, ROWS, m.slice + GAP);
  if (m.staged) m.weights_tile = shared(&m, "weights_tile", math, m.columns, m.slice + GAP);
  m.sums = shared(&m, "sums", RETC_DTYPE_F32, ROWS, m.columns);
  retc_expr e = begin_lanes(&m, PARTS * ROWS * m.columns), columns = retc_int(l, m.columns),
            rows = retc_int(l, ROWS);
  retc_expr at[3] = {retc_div(l, e, retc_int(l, ROWS * m.columns)), retc_mod(l, retc_div(l, e, columns), rows),
                     retc_mod(l, e, columns)};
  retc_write_store(w, m.sums, at, retc_f32(l, 0));
  retc_end(l, 1);
  retc_expr first = retc_write_for(w, "first", RETC_LOOP_SERIAL, zero, retc_int(l, m.part), m.slice);
  write_rows(&m, first);
  if (m.staged) write_weights(&m, first);
  retc_write_barrier(w);
  write_products(&m, first);
  retc_write_barrier(w);
  retc_end(l, 1);
  write_results(&m);
  retc_end(l, 2);
  return l->status;
}
