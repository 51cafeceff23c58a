/* What the lowerings of products with a weight matrix on a GPU share, and what fuse puts together for them. */
#ifndef RETC_COMPILER_GPU_CONTRACT_H
#define RETC_COMPILER_GPU_CONTRACT_H

#include "compiler/anchors.h"
#include "compiler/gpu.h"

/* Parts of the summed axis, which are summed up on their own and then added in order. */
enum { RETC_GPU_PARTS = 8 };

/* At most so many products share a launch. */
enum { RETC_GPU_PRODUCTS_MAX = 4 };
/* Whether two products may: of the same rows, with weights and scales of the same types and groups. */
bool retc_gpu_products_match(const retc_graph *graph, const retc_node *a, const retc_node *b);

/* What w[column, k] of a product is multiplied as, in f32: the number stored, of contract_scaled times its scale. */
retc_expr retc_gpu_weight(retc_lowering *l, const retc_node *product, retc_expr column, retc_expr k);
/* The integer numbers at the place `at` of a buffer of i8 (one) or u4x2 (two, one behind the other) as f32. */
int retc_gpu_integers(retc_lowering *l, retc_buffer_id codes, const retc_expr *at, retc_expr out_numbers[2]);

/* The type that matrix instructions are to work on for this product; f32: it is not for them. */
retc_dtype retc_gpu_matrix_type(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile);
void retc_gpu_matrix_schedule(const retc_graph *graph, const retc_node *node, retc_dtype math, bool blas,
                              retc_region *region);
retc_status retc_gpu_matrix_lower(retc_lowering *l, retc_dtype math);
/* Stores the results of the region at a row and column of its only product, whose sum is `total`. */
void retc_gpu_store_total(retc_lowering *l, const retc_shape *row_shape, int row_rank, retc_expr row, retc_expr column,
                          retc_expr total);
/* A launch for RETC_GPU_MANY_ROWS rows and more; the other one has no blocks then. `part`: of the summed axis. */
enum { RETC_GPU_MANY_ROWS = 64 };
retc_expr retc_gpu_has_many_rows(retc_lowering *l, retc_expr rows); /* 1 or 0 */
/* Where rows and sums lie, of a plain product; NULL: rows are computed as they are read, results of the sums. */
typedef struct retc_gpu_plain {
  retc_buffer_id rows, sums;
} retc_gpu_plain;
retc_status retc_gpu_matrix_large_lower(retc_lowering *l, retc_dtype math, int64_t part, const retc_gpu_plain *plain);
/* Launches of a product of many rows that a vendor's BLAS may compute: 1 writes the rows, rounded, 2 is the product
 * alone, 3 makes the region's results of its sums. Together they have the bits of the one that does all. */
retc_status retc_gpu_blas_lower(retc_lowering *l, retc_dtype math, int64_t part);

#endif
