/* The operations of the float64 interpreter, one node at a time. */
#ifndef RETC_IR_GRAPH_EVAL_OPS_H
#define RETC_IR_GRAPH_EVAL_OPS_H

#include "ir/graph_eval.h"

typedef struct retc_eval_call {
  const retc_node *node;
  const retc_dims *dims;
  const retc_tensor *inputs[RETC_OP_INPUTS_MAX];
  retc_diagnostics *diagnostics;
} retc_eval_call;

/* Any operation but input, const and part. `results` are zeroed and of the right shapes: the node's own, then its
 * parts. RETC_INVALID when the inputs hold what they must not (a row outside a table, a negative position). */
retc_status retc_op_eval(const retc_eval_call *call, retc_tensor *results);

#endif
