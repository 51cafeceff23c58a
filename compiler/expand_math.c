#include "compiler/pass.h"
#include "ir/kernel_math.h"

retc_status retc_math(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel) {
  *out_kernel = retc_kernel_expand_math(in);
  return *out_kernel ? RETC_OK : retc_fail(cx->diagnostics, RETC_FAILED, "kernel %s: out of memory", in->name);
}
