/* The plan's buffers, as lowering finds out about them. For lower.c. */
#ifndef RETC_COMPILER_LOWER_PLAN_H
#define RETC_COMPILER_LOWER_PLAN_H

#include "base/table.h"
#include "compiler/lower.h"

typedef struct retc_plan_writer {
  retc_plan *plan;
  retc_arena *arena;
  retc_diagnostics *diagnostics;
  retc_table names;        /* of the plan's buffers: their numbers plus 1 */
  const retc_graph *graph; /* the entry at hand */
  const retc_weight_layout *layouts; /* of each of its values */
  const retc_dtype *stored_as;       /* the type that it has in memory */
  int *buffer_of;          /* of each of its values, -1: none */
} retc_plan_writer;

void retc_plan_writer_begin(retc_plan_writer *writer, const retc_graph *graph, const retc_weight_layout *layouts,
                            const retc_dtype *stored_as);
/* The buffers of the entry's inputs. To be done for all entries first: what else there is gives way to their names.
 * RETC_INVALID when two entries declare one name unlike each other, or a weight has no constant size. */
retc_status retc_plan_writer_inputs(retc_plan_writer *writer);
/* The buffer of an operand of the region built around `anchor`. */
int retc_plan_writer_operand(retc_plan_writer *writer, retc_value anchor, const retc_operand *operand);
/* What a caller reads after the entry: the outputs, states by their own names. RETC_INVALID when one is not computed.
 */
retc_status retc_plan_writer_outputs(retc_plan_writer *writer, retc_plan_entry *entry);

#endif
