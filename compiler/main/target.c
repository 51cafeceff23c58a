#include "compiler/main/target.h"

retc_status retc_target_check(const retc_build_target *target, retc_diagnostics *diagnostics, bool *out_gpu) {
  static const char *const names[] = {"cpu", "hip"};
  size_t chosen = 0;
  if (target->target) RETC_TRY(retc_arguments_choose("--target", target->target, names, 2, diagnostics, &chosen));
  *out_gpu = chosen == 1;
  if (!target->arch || *out_gpu) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "--arch names GPUs, it goes with --target hip");
}
