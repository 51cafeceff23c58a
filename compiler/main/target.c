#include "compiler/main/target.h"

#include <string.h>

enum { MATH_COUNT = RETC_MATH_F16 + 1 };
static const char *const maths[MATH_COUNT] = {"f32", "bf16", "f16"};

static bool is_hip(const retc_build_target *target) { return target->target && !strcmp(target->target, "hip"); }

retc_math_type retc_target_math(const retc_build_target *target) {
  if (!is_hip(target)) return RETC_MATH_F32;
  for (int i = 0; target->math && i < MATH_COUNT; i++) {
    if (!strcmp(target->math, maths[i])) return (retc_math_type)i;
  }
  return RETC_MATH_F32;
}

retc_status retc_target_check_blas(const retc_build_target *target, retc_diagnostics *diagnostics) {
  if (!target->blas || retc_target_math(target) != RETC_MATH_F32) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "--blas goes with --target hip and --math bf16 or f16");
}

const char *retc_target_product_math(const retc_build_target *target, const char *weights) {
  return !is_hip(target) ? target->math : weights ? "f32" : NULL;
}

retc_status retc_target_check(const retc_build_target *target, const char *cpu, retc_diagnostics *diagnostics,
                              bool *out_gpu) {
  static const char *const names[] = {"cpu", "hip"};
  size_t chosen = 0, math = 0;
  if (target->target) RETC_TRY(retc_arguments_choose("--target", target->target, names, 2, diagnostics, &chosen));
  if (target->math && is_hip(target))
    RETC_TRY(retc_arguments_choose("--math", target->math, maths, MATH_COUNT, diagnostics, &math));
  *out_gpu = chosen == 1;
  RETC_TRY(retc_target_check_blas(target, diagnostics));
  if (*out_gpu && cpu) {
    return retc_fail(diagnostics, RETC_INVALID, "--cpu names a CPU, it does not go with --target hip");
  }
  if (!target->arch || *out_gpu) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "--arch names GPUs, it goes with --target hip");
}
