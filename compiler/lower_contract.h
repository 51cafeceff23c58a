/* What is known of a product with a weight matrix: lower_contract.c writes its kernel for a CPU, schedule_contract.c chooses
 * the sizes. */
#ifndef RETC_COMPILER_LOWER_CONTRACT_H
#define RETC_COMPILER_LOWER_CONTRACT_H

#include "ir/graph.h"

/* Of k at a time, a multiple of the step. Rows of the CPU's tiles (AMX), two by two. */
enum { RETC_CONTRACT_DEPTH_PART = 256, RETC_CONTRACT_DEPTH_STEP = 64, RETC_CONTRACT_TILE_ROWS = 32 };

/* What rows are turned into before they are multiplied. */
retc_dtype retc_contract_row_dtype(const retc_node *node);
/* Whether sums of bf16 are in the order of tiles. */
bool retc_contract_adds_by_tiles(const retc_node *node);
/* Whether parts of a weight of this type are widened for many rows. */
bool retc_contract_is_widened(const retc_node *node, retc_dtype weight);

#endif
