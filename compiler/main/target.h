/* The options --target and --arch of commands that run a model. */
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
   &(options)->arch, 0, 0}

/* Whether it is a GPU. RETC_INVALID: no such target, or --arch without hip. */
retc_status retc_target_check(const retc_build_target *target, retc_diagnostics *diagnostics, bool *out_gpu);

#endif
