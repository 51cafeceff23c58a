#include "compiler/target.h"

#include <stdio.h>
#include <string.h>

static const char *const targets[] = {"cpu", "hip"}, *const maths[] = {"f32", "bf16", "f16"};
enum { TARGET_COUNT = sizeof targets / sizeof targets[0], MATH_COUNT = RETC_MATH_F16 + 1 };

bool retc_target_is_hip(const char *target) { return target && strcmp(target, "hip") == 0; }

retc_status retc_target_choose(const char *prefix, const char *target, const char *math, retc_diagnostics *diagnostics,
                               bool *out_is_hip) {
  size_t index;
  char what[32];
  snprintf(what, sizeof what, "%starget", prefix);
  if (target) RETC_TRY(retc_choose(what, target, targets, TARGET_COUNT, diagnostics, &index));
  *out_is_hip = retc_target_is_hip(target);
  snprintf(what, sizeof what, "%smath", prefix);
  return *out_is_hip && math ? retc_choose(what, math, maths, MATH_COUNT, diagnostics, &index) : RETC_OK;
}

retc_math_type retc_target_math(const char *target, const char *math) {
  int index = 0;
  while (math && retc_target_is_hip(target) && index < MATH_COUNT && strcmp(math, maths[index]) != 0) index++;
  return index < MATH_COUNT ? (retc_math_type)index : RETC_MATH_F32;
}

const char *retc_target_program_math(const char *target, const char *math, const char *weights) {
  if (!retc_target_is_hip(target)) return math;
  return weights ? "f32" : NULL;
}
