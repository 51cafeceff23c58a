/* The float64 interpreter: the definition of every operation. Slow and obvious, no compiler.
 * Integers and floats alike are held as double; a cast rounds through its dtype, nothing else does: the declared
 * dtype f32 of a value does not round it, so the result is the float64 result of the program. */
#ifndef RETC_IR_GRAPH_EVAL_H
#define RETC_IR_GRAPH_EVAL_H

#include "ir/graph.h"

/* A dense array of doubles on malloc. */
typedef struct retc_tensor {
  int rank;
  int64_t dim[RETC_RANK_MAX];
  double *data;
} retc_tensor;

int64_t retc_tensor_count(const retc_tensor *tensor);
/* Zeroed. RETC_FAILED when memory is refused. */
retc_status retc_tensor_init(retc_tensor *tensor, const retc_shape *shape, const retc_dims *dims,
                             retc_diagnostics *diagnostics);
void retc_tensor_deinit(retc_tensor *tensor);

/* Lends the tensor of the input called `name` (any kind), for the length of one evaluation; false when there is none.
 */
typedef bool (*retc_eval_input)(void *user, const char *name, const retc_type *type, const retc_dims *dims,
                                const retc_tensor **out_tensor);

/* Evaluates all outputs, in the order of graph->outputs, into out_outputs[outputs.count], which the caller deinits.
 * Values are freed when their last user is done. */
retc_status retc_graph_eval(const retc_graph *graph, const retc_dims *dims, retc_eval_input input, void *user,
                            retc_diagnostics *diagnostics, retc_tensor *out_outputs);

#endif
