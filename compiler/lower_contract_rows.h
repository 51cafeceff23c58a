/* What the two files share that lower products of rows with a weight matrix on a CPU: lower_contract_rows.c the rows of
 * a task, as they are multiplied, lower_contract.c all else. */
#ifndef RETC_COMPILER_LOWER_CONTRACT_ROWS_H
#define RETC_COMPILER_LOWER_CONTRACT_ROWS_H

#include "compiler/lower.h"

/* Panels that a single row is multiplied with side by side. */
enum { RETC_CONTRACT_AT_ONCE = 2 };

typedef struct retc_contract_lowering {
  retc_lowering *l;
  const retc_node *node;
  retc_shape row_shape; /* the leading axes */
  int row_rank;
  int64_t columns, depth, panels;
  int64_t rows, block, group, blocks, part, together; /* of the schedule */
  retc_expr first_row, row_count, panel;
  retc_expr whole;  /* rows in whole tiles */
  retc_expr stored; /* ... that are stored early */
  retc_expr place; /* of the panel among those that are made together */
  retc_expr first_k, k_count; /* the part of k */
  retc_buffer_id tile, sum, wide, weight;
  retc_buffer_id line; /* rows in one piece: behind the whole tiles of turned ones; else the only row of the tile, when
                        * there are panels to take together */
  int64_t filled; /* the depth as it is packed */
  int64_t scaled; /* numbers of k with a scale of their own; 0: no scales */
  retc_buffer_id scale;
  bool is_integers; /* contract_int8, which alone has: */
  int64_t offset; /* added to every weight */
  retc_buffer_id row_scale, bias;
} retc_contract_lowering;

/* Whether every part of a panel is widened with its scales. */
static inline bool retc_contract_has_scaling(const retc_contract_lowering *c) { return c->scaled && !c->is_integers; }
/* Tiles of several rows, too: a single one is stored behind all of k here. */
bool retc_contract_has_pairs(const retc_contract_lowering *c);
retc_expr retc_contract_is_single_row(const retc_contract_lowering *c);
/* tile and line are of turned rows. */
bool retc_contract_is_turned(const retc_contract_lowering *c);
/* Makes tile and line, and of integers what stands beside them. */
void retc_contract_write_rows(retc_contract_lowering *c);

#endif
