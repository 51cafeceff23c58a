/* What the lowerings of products with a weight matrix on a GPU share, and what fuse puts together for them. */
#ifndef RETC_COMPILER_GPU_CONTRACT_H
#define RETC_COMPILER_GPU_CONTRACT_H

#include "compiler/anchors.h"
#include "compiler/gpu.h"

/* Parts of the summed axis, which are summed up on their own and then added in order; of bf16 and f16. */
enum { RETC_GPU_PARTS = 8 };
/* In f32 part p has the chunks p, p + RETC_GPU_F32_PARTS, ... of the axis; they are added in order, too. */
enum { RETC_GPU_F32_PARTS = 32, RETC_GPU_F32_CHUNK = 8 };
/* Elements of a chunk of this product's. */
int64_t retc_gpu_chunk(const retc_node *product);

/* At most so many products share a launch. */
enum { RETC_GPU_PRODUCTS_MAX = 4 };
/* Whether two products may: of the same rows, with weights and scales of the same types and groups. */
bool retc_gpu_products_match(const retc_graph *graph, const retc_node *a, const retc_node *b);
/* The products of the region that has this one, which are so many; of more the first. */
int retc_gpu_products_list(const retc_graph *graph, const retc_node *product,
                           const retc_node *out_products[RETC_GPU_PRODUCTS_MAX]);

/* gpu_products.c: the products of the region at hand, and how they lie in a launch: one behind the other, each with
 * blocks of its own; or, where something is made of several, side by side in each block. */
typedef struct retc_gpu_product {
  retc_value value;
  retc_buffer_id weight, scale;
  int64_t columns, start, end; /* of the columns of all, in whole blocks */
} retc_gpu_product;
typedef struct retc_gpu_products {
  retc_gpu_product items[RETC_GPU_PRODUCTS_MAX];
  int count;
  bool paired; /* side by side */
} retc_gpu_products;
retc_status retc_gpu_products_find(retc_lowering *l, retc_gpu_products *out_products);
/* Sets start and end, for blocks of so many columns of each product. */
void retc_gpu_products_place(retc_gpu_products *products, int64_t columns);
/* Opens branches for product p, which is called for all of them in order: where `at` is below the product's end or, of
 * paired ones, below (p + 1) * own. */
void retc_gpu_product_begin(retc_lowering *l, const retc_gpu_products *products, int p, retc_expr at, int64_t own);
void retc_gpu_product_end(retc_lowering *l, const retc_gpu_products *products);
/* Stores what is made of product p, of paired ones of any; `totals` are the sums at the row and column of each. */
void retc_gpu_product_store(retc_lowering *l, const retc_gpu_products *products, int p, retc_expr row, retc_expr column,
                            const retc_expr *totals);

/* What w[column, k] of a product is multiplied as, in f32: the number stored, of contract_scaled times its scale. */
retc_expr retc_gpu_weight(retc_lowering *l, const retc_node *product, retc_expr column, retc_expr k);
/* The integer numbers at the place `at` of a buffer of i8 (one) or u4x2 (two, one behind the other) as f32. */
int retc_gpu_integers(retc_lowering *l, retc_buffer_id codes, const retc_expr *at, retc_expr out_numbers[2]);

/* The type that matrix instructions are to work on for this product; f32: it is not for them. */
retc_dtype retc_gpu_matrix_type(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile);
void retc_gpu_matrix_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                              retc_region *region);
retc_status retc_gpu_matrix_lower(retc_lowering *l, retc_dtype math);
/* Stores the results of the region at a row and column of its only product, whose sum is `total`. */
void retc_gpu_store_total(retc_lowering *l, const retc_shape *row_shape, int row_rank, retc_expr row, retc_expr column,
                          retc_expr total);
/* How many launches a region becomes that is scheduled for matrix instructions. */
int retc_gpu_matrix_launches(const retc_lowering *l);
/* 1 where there are `many` rows and more, for which there are launches of their own; the others have no blocks then. Or
 * 0. */
retc_expr retc_gpu_has_many_rows(retc_lowering *l, retc_expr rows, int64_t many);
retc_expr retc_gpu_has_few_rows(retc_lowering *l, retc_expr rows, int64_t many);
/* Rows of a block of the launch for many; of bf16 and f16 the least that are. */
enum { RETC_GPU_MANY_ROWS = 64 };
/* Of weights with so few numbers any launch is fast enough; those for many rows begin early then, where tests see them. */
enum { RETC_GPU_FEW_NUMBERS = 1 << 16 };
/* From how many rows on a product in f32 is for matrix instructions: "many" of its schedule; none where the target has
 * no such instructions, or the depth does not suit them. */
void retc_gpu_large_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                             retc_region *region);
/* Where rows and sums lie, of a plain product; NULL: rows are computed as they are read, results of the sums. */
typedef struct retc_gpu_plain {
  retc_buffer_id rows, sums;
} retc_gpu_plain;
/* The launch of many rows; `part`: elements of the summed axis in one, of bf16 and f16. */
retc_status retc_gpu_large_lower(retc_lowering *l, retc_dtype math, int64_t part, const retc_gpu_plain *plain);
/* Launches of a product of many rows that a vendor's BLAS may compute: one writes the rows, rounded, one is the product
 * alone, one makes the region's results of its sums. Together they have the bits of the one that does all. */
enum { RETC_GPU_BLAS_ROWS, RETC_GPU_BLAS_PRODUCT, RETC_GPU_BLAS_RESULTS, RETC_GPU_BLAS_LAUNCHES };
retc_status retc_gpu_blas_lower(retc_lowering *l, retc_dtype math, int64_t part, int launch);
/* Blocks of which each has a row of `rows` and some of its `width` elements, a lane a run of them: its first. So many
 * blocks to end; the loop over the elements of a run is one more. */
enum { RETC_GPU_ELEMENT_BLOCKS = 4 };
void retc_gpu_begin_elements(retc_lowering *l, retc_expr rows, int64_t width, retc_expr *out_row, retc_expr *out_first);
retc_expr retc_gpu_begin_run(retc_lowering *l, retc_expr first);

#endif
