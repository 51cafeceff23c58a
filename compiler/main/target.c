#include "compiler/main/target.h"

#include "compiler/target.h"

static retc_math_type math_of(const retc_build_target *target) { return retc_target_math(target->target, target->math); }

retc_status retc_target_check_blas(const retc_build_target *target, retc_diagnostics *diagnostics) {
  if (!target->blas || math_of(target) != RETC_MATH_F32) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "--blas goes with --target hip and --math bf16 or f16");
}

retc_status retc_target_check(const retc_build_target *target, const char *cpu, retc_diagnostics *diagnostics,
                              bool *out_gpu) {
  RETC_TRY(retc_target_choose("--", target->target, target->math, diagnostics, out_gpu));
  RETC_TRY(retc_target_check_blas(target, diagnostics));
  if (*out_gpu && cpu) {
    return retc_fail(diagnostics, RETC_INVALID, "--cpu names a CPU, it does not go with --target hip");
  }
  if (!target->arch || *out_gpu) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "--arch names GPUs, it goes with --target hip");
}
