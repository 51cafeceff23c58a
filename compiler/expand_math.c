#include "compiler/pass.h"
#include "ir/kernel_math.h"

/* Defined by the programs retc_planted_* of the tests alone, which show that `retc verify` finds the pass with a mistake:
 * here e^a is a hundredth too large. */
#ifdef RETC_PLANTED_BUG
static retc_expr plant(void *user, retc_writer *w, const retc_expr_node *node, const retc_expr *inputs) {
  (void)user;
  if (node->op != RETC_KERNEL_OP_EXP) return (retc_expr){0};
  retc_expr wrong = retc_expr_binary(w->kernel, RETC_KERNEL_OP_ADD, inputs[0], retc_expr_number(w->kernel, node->dtype, 0.01));
  return retc_expr_unary(w->kernel, RETC_KERNEL_OP_EXP, wrong);
}
#endif

retc_status retc_math(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel) {
#ifdef RETC_PLANTED_BUG
  retc_kernel *planted = retc_kernel_rewrite(in, plant, NULL);
  *out_kernel = planted ? retc_kernel_expand_math(planted) : NULL;
  retc_kernel_destroy(planted);
#else
  *out_kernel = retc_kernel_expand_math(in);
#endif
  return *out_kernel ? RETC_OK : retc_fail(cx->diagnostics, RETC_FAILED, "kernel %s: out of memory", in->name);
}
