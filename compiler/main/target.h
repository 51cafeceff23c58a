/* The options --target, --arch and --math of commands that run a model. */
#ifndef RETC_MAIN_TARGET_H
#define RETC_MAIN_TARGET_H

#include <stdbool.h>

#include "base/status.h"
#include "compiler/main/arguments.h"
#include "compiler/main/build.h"

#define RETC_TARGET_OPTIONS(options) \
  {"target", 0, "TARGET", "where kernels run: cpu, or hip, the first AMD GPU (cpu)", RETC_OPTION_TEXT, \
   &(options)->target, 0, 0}, \
  {"arch", 0, "ARCHS", "GPUs that kernels are made for, gfx90a,gfx942,.. (the one there is)", RETC_OPTION_TEXT, \
   &(options)->arch, 0, 0}, \
  {"math", 0, "f32|bf16|f16", "of --target hip: what products with weights are computed in (f32)", RETC_OPTION_TEXT, \
   &(options)->math, 0, 0}

/* Whether it is a GPU. RETC_INVALID: no such target or math, or --arch or another math than f32 without hip. */
retc_status retc_target_check(const retc_build_target *target, retc_diagnostics *diagnostics, bool *out_gpu);
/* Of a target that has been checked. */
retc_math_type retc_target_math(const retc_build_target *target);

#endif
