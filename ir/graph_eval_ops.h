/* The operations of the float64 interpreter, one node at a time. */
#ifndef RETC_IR_GRAPH_EVAL_OPS_H
#define RETC_IR_GRAPH_EVAL_OPS_H

#include <string.h>

#include "ir/graph_eval.h"

typedef struct retc_eval_call {
  const retc_graph *graph;
  const retc_node *node;
  const retc_dims *dims;
  const retc_tensor *inputs[RETC_OP_INPUTS_MAX];
  retc_diagnostics *diagnostics;
} retc_eval_call;

/* Any operation but input, const and part. `results` are zeroed and of the right shapes: the node's own, then its
 * parts. RETC_INVALID when the inputs hold what they must not (a row outside a table, a negative position). */
retc_status retc_op_eval(const retc_eval_call *call, retc_tensor *results);

/* For the files ir/graph_eval_*.c only: what they share, and the operations of graph_eval_grid.c. */

typedef retc_status retc_eval_function(const retc_eval_call *call, retc_tensor *results);
retc_eval_function retc_eval_rotate;
retc_eval_function retc_eval_positions;
retc_eval_function retc_eval_chunk;
retc_eval_function retc_eval_unchunk;
retc_eval_function retc_eval_carry;
retc_eval_function retc_eval_decay_mask;
retc_eval_function retc_eval_decay_powers;
retc_eval_function retc_eval_scan;
retc_eval_function retc_eval_flush;
retc_eval_function retc_eval_retention;

static inline retc_status wrong(const retc_eval_call *call, const char *what, double found, double low, double high) {
  return retc_fail(call->diagnostics, RETC_INVALID, "%s: %s is %.17g, expected %.17g to %.17g",
                   retc_op_get_info(call->node->op)->name, what, found, low, high);
}

static inline int64_t product(const retc_tensor *tensor, int first, int last) {
  int64_t count = 1;
  for (int i = first; i < last; i++) count *= tensor->dim[i];
  return count;
}

static inline void copy_row(double *to, const double *from, int64_t count) {
  memcpy(to, from, sizeof *to * (size_t)count);
}

static inline double dot(const double *restrict a, const double *restrict b, int64_t count) {
  double sums[4] = {0};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    sums[0] += a[i] * b[i];
    sums[1] += a[i + 1] * b[i + 1];
    sums[2] += a[i + 2] * b[i + 2];
    sums[3] += a[i + 3] * b[i + 3];
  }
  for (; i < count; i++) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

#endif
