/* The program with a planted mistake in one pass, or in the backend: linked with --wrap of each of them. The
 * environment variable RETC_PLANTED says which and what: PASS:wrong, the program that the pass makes computes something
 * else; PASS:invalid, it is no program; llvm:invalid and hip:invalid, the backend refuses. */
#include <stdlib.h>
#include <string.h>

#include "backends/hip/hip_backend.h"
#include "backends/llvm/llvm_backend.h"
#include "compiler/pass.h"

enum mistake { NONE, WRONG, INVALID };

static enum mistake planted_in(const char *pass) {
  const char *planted = getenv("RETC_PLANTED");
  size_t length = strlen(pass);
  if (!planted || strncmp(planted, pass, length) || planted[length] != ':') return NONE;
  return strcmp(planted + length + 1, "wrong") ? INVALID : WRONG;
}

/* The last sum becomes a difference, or has another element type than its terms. */
static void break_graph(retc_graph *graph, enum mistake mistake) {
  for (size_t i = graph->nodes.count; i-- > 1 && mistake;) {
    retc_node *node = &graph->nodes.items[i];
    if (node->op != RETC_OP_ADD) continue;
    if (mistake == WRONG) node->op = RETC_OP_SUB;
    else node->type.dtype = RETC_DTYPE_BF16;
    return;
  }
}

/* Sums of f32 become differences, or an operation that there is of integers alone. Not all of them are in use. */
static void break_kernels(retc_compilation *compilation, enum mistake mistake) {
  for (size_t k = 0; k < compilation->kernels.count && mistake; k++) {
    retc_kernel *kernel = compilation->kernels.items[k];
    for (size_t i = 1; i < kernel->exprs.count; i++) {
      retc_expr_node *node = &kernel->exprs.items[i];
      if (node->op != RETC_KERNEL_OP_ADD || node->dtype != RETC_DTYPE_F32) continue;
      node->op = mistake == WRONG ? RETC_KERNEL_OP_SUB : RETC_KERNEL_OP_MOD;
    }
  }
}

#define PLANT_GRAPH_PASS(name, function)                                                                         \
  retc_status __real_##function(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph);      \
  retc_status __wrap_##function(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph);      \
  retc_status __wrap_##function(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {     \
    retc_status status = __real_##function(cx, in, out_graph);                                                   \
    if (status == RETC_OK) break_graph(*out_graph, planted_in(name));                                            \
    return status;                                                                                               \
  }
PLANT_GRAPH_PASS("expand", retc_expand)
PLANT_GRAPH_PASS("simplify", retc_simplify)
PLANT_GRAPH_PASS("fuse", retc_fuse)
PLANT_GRAPH_PASS("schedule", retc_schedule)

retc_status __real_retc_lower(const retc_pass_context *cx);
retc_status __wrap_retc_lower(const retc_pass_context *cx);
retc_status __wrap_retc_lower(const retc_pass_context *cx) {
  retc_status status = __real_retc_lower(cx);
  if (status == RETC_OK) break_kernels(cx->compilation, planted_in("lower"));
  return status;
}

/* The kernels come one at a time. */
retc_status __real_retc_math(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel);
retc_status __wrap_retc_math(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel);
retc_status __wrap_retc_math(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel) {
  retc_status status = __real_retc_math(cx, in, out_kernel);
  retc_compilation one = {.kernels = {.items = out_kernel, .count = 1, .capacity = 1}};
  if (status == RETC_OK) break_kernels(&one, planted_in("math"));
  return status;
}

/* Wrong: as above, which the pass has no business with. Invalid: all scratch buffers share one slot. */
retc_status __real_retc_plan_memory(const retc_pass_context *cx);
retc_status __wrap_retc_plan_memory(const retc_pass_context *cx);
retc_status __wrap_retc_plan_memory(const retc_pass_context *cx) {
  retc_status status = __real_retc_plan_memory(cx);
  enum mistake mistake = planted_in("memory");
  retc_plan *plan = cx->compilation->plan;
  for (size_t i = 0; i < plan->buffers.count && status == RETC_OK && mistake == INVALID; i++) {
    if (plan->buffers.items[i].kind == RETC_PLAN_SCRATCH) plan->buffers.items[i].slot = 0;
  }
  if (status == RETC_OK && mistake == WRONG) break_kernels(cx->compilation, mistake);
  return status;
}

retc_status __real_retc_llvm_compile(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                                     retc_diagnostics *diagnostics, retc_llvm_module **out_module);
retc_status __wrap_retc_llvm_compile(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                                     retc_diagnostics *diagnostics, retc_llvm_module **out_module);
retc_status __wrap_retc_llvm_compile(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                                     retc_diagnostics *diagnostics, retc_llvm_module **out_module) {
  if (planted_in("llvm"))
    return retc_fail(diagnostics, RETC_INTERNAL, "the backend refuses kernel %s", kernels[0]->name);
  return __real_retc_llvm_compile(kernels, count, options, diagnostics, out_module);
}

retc_status __real_retc_hip_emit(const retc_kernel *const *kernels, size_t count, const retc_plan *plan,
                                 retc_diagnostics *diagnostics, retc_text *out_text);
retc_status __wrap_retc_hip_emit(const retc_kernel *const *kernels, size_t count, const retc_plan *plan,
                                 retc_diagnostics *diagnostics, retc_text *out_text);
retc_status __wrap_retc_hip_emit(const retc_kernel *const *kernels, size_t count, const retc_plan *plan,
                                 retc_diagnostics *diagnostics, retc_text *out_text) {
  if (planted_in("hip"))
    return retc_fail(diagnostics, RETC_INTERNAL, "the backend refuses kernel %s", kernels[0]->name);
  return __real_retc_hip_emit(kernels, count, plan, diagnostics, out_text);
}
