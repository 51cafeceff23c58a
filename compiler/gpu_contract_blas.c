/* Products of many rows that a vendor's BLAS may compute: the rows, rounded, and the sums lie in memory, and a launch
 * between them multiplies (ir/kernel.h: product). Where no library does, that one has the sums of
 * gpu_contract_large.c, and so the bits of a launch that does all. */
#include "compiler/gpu_contract.h"

enum { RUN = 4 /* elements of a lane */, LANES = 256 };

typedef struct around {
  retc_lowering *l;
  const retc_node *node;
  retc_shape rows, sums; /* of what lies between the launches */
  int row_rank;
  retc_dtype math;
} around;

static around describe(retc_lowering *l, retc_dtype math) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  around a = {.l = l, .node = node, .rows = node->type.shape, .sums = node->type.shape,
              .row_rank = node->type.shape.rank - 1, .math = math};
  a.rows.dim[a.row_rank] = retc_lower_node(l, node->inputs[1])->type.shape.dim[1];
  return a;
}

static retc_buffer_id rows_of(around *a, unsigned access) {
  return retc_lower_between(a->l, "rows", a->math, &a->rows, 0, access);
}
static retc_buffer_id sums_of(around *a, unsigned access) {
  return retc_lower_between(a->l, "sums", RETC_DTYPE_F32, &a->sums, 0, access);
}

void retc_gpu_begin_elements(retc_lowering *l, retc_expr rows, int64_t width, retc_expr *out_row, retc_expr *out_first) {
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0);
  *out_row = retc_write_for(w, "row", RETC_LOOP_GRID, zero, rows, 1);
  retc_expr first = retc_write_for(w, "first", RETC_LOOP_GRID, zero, retc_int(l, width), LANES * RUN);
  retc_expr lane = retc_count_to(l, "lane", RETC_LOOP_LANE, LANES);
  *out_first = retc_let(l, "element", retc_add(l, first, retc_mul(l, lane, retc_int(l, RUN))));
  retc_if(l, retc_less(l, *out_first, retc_int(l, width)));
}

retc_expr retc_gpu_begin_run(retc_lowering *l, retc_expr first) {
  return retc_add(l, first, retc_count_to(l, "y", RETC_LOOP_UNROLL, RUN));
}

/* Of all rows, when there are many. */
static void begin_elements(around *a, int64_t width, retc_expr *out_row, retc_expr *out_element) {
  retc_lowering *l = a->l;
  const int64_t many = retc_schedule_get(retc_graph_region(l->graph, l->region), "many", RETC_GPU_MANY_ROWS);
  retc_expr count = retc_lower_row_count(l, &a->sums, a->row_rank);
  retc_expr first;
  retc_gpu_begin_elements(l, retc_mul(l, count, retc_gpu_has_many_rows(l, count, many)), width, out_row, &first);
  *out_element = retc_gpu_begin_run(l, first);
}

static retc_status lower_rows(around *a) {
  retc_lowering *l = a->l;
  const retc_buffer_id rows = rows_of(a, RETC_ACCESS_WRITE);
  retc_expr row, k, to[RETC_RANK_MAX];
  retc_index at[RETC_RANK_MAX];
  begin_elements(a, a->rows.dim[a->row_rank], &row, &k);
  retc_lower_row(l, &a->rows, a->row_rank, row, at);
  at[a->row_rank] = retc_at(k);
  retc_bases(at, a->row_rank + 1, to);
  retc_write_store(&l->writer, rows, to, retc_lower_value(l, a->node->inputs[0], at));
  retc_end(l, 1 + RETC_GPU_ELEMENT_BLOCKS);
  return l->status;
}

static retc_status lower_results(around *a) {
  retc_lowering *l = a->l;
  const retc_buffer_id sums = sums_of(a, RETC_ACCESS_READ);
  retc_expr row, n, from[RETC_RANK_MAX];
  retc_index at[RETC_RANK_MAX];
  l->computed = l->anchor;
  begin_elements(a, a->sums.dim[a->row_rank], &row, &n);
  retc_lower_row(l, &a->sums, a->row_rank, row, at);
  at[a->row_rank] = retc_at(n);
  retc_bases(at, a->row_rank + 1, from);
  retc_gpu_store_total(l, &a->sums, a->row_rank, row, n, retc_load(l, sums, from));
  retc_end(l, 1 + RETC_GPU_ELEMENT_BLOCKS);
  return l->status;
}

retc_status retc_gpu_blas_lower(retc_lowering *l, retc_dtype math, int64_t part, int launch) {
  around a = describe(l, math);
  if (launch == RETC_GPU_BLAS_ROWS) return lower_rows(&a);
  if (launch == RETC_GPU_BLAS_RESULTS) return lower_results(&a);
  const retc_buffer_id rows = rows_of(&a, RETC_ACCESS_READ), sums = sums_of(&a, RETC_ACCESS_WRITE);
  l->kernel->product = true;
  return retc_gpu_large_lower(l, math, part, &(retc_gpu_plain){rows, sums});
}
