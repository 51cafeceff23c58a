/* The passes, as functions. What each promises is its row in passes.def. Graph and kernel passes read a const program
 * and build a new one; a failure is RETC_INTERNAL unless said. */
#ifndef RETC_COMPILER_PASS_H
#define RETC_COMPILER_PASS_H

#include "compiler/compile.h"

typedef struct retc_pass_context {
  retc_diagnostics *diagnostics;
  const retc_network *network; /* NULL for programs read from text; only import asks */
  retc_network_options build;
  retc_compilation *compilation; /* whole passes change it; graph passes ask only for its profile */
} retc_pass_context;

/* What the plan says of a kernel; copied to the plan's arena. */
retc_plan_kernel retc_plan_describe_kernel(retc_plan *plan, const retc_kernel *kernel);

#define RETC_GRAPH_PASS(name, function, same_bits, after) \
  retc_status function(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph);
#define RETC_KERNEL_PASS(name, function, same_bits, after) \
  retc_status function(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel);
#define RETC_WHOLE_PASS(name, function, same_bits, after) retc_status function(const retc_pass_context *cx);
#include "compiler/passes.def"
#undef RETC_GRAPH_PASS
#undef RETC_KERNEL_PASS
#undef RETC_WHOLE_PASS

#endif
