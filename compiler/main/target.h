/* The options --target, --arch and --math of commands that run a model. */
#ifndef RETC_MAIN_TARGET_H
#define RETC_MAIN_TARGET_H

#include <stdbool.h>

#include "base/status.h"
#include "compiler/main/arguments.h"
#include "compiler/main/build.h"
#include "compiler/target.h"

#define RETC_TARGET_OPTIONS(options) \
  {"target", 0, "TARGET", "where kernels run: cpu, or hip, the first AMD GPU (cpu)", RETC_OPTION_TEXT, \
   &(options)->target, 0, 0}, \
  {"arch", 0, "ARCHS", "GPUs that kernels are made for, gfx90a,gfx942,.. (the one there is)", RETC_OPTION_TEXT, \
   &(options)->arch, 0, 0}, \
  {"math", 0, "TYPE", "of products with weights: f32, bf16, int8 (what goes with the weights); of hip f32, bf16, f16", \
   RETC_OPTION_TEXT, \
   &(options)->math, 0, 0}

#define RETC_BLAS_OPTION(options) \
  {"blas", 0, NULL, "of hip with --math bf16 or f16: products of many rows by rocBLAS where it is found; other bits", \
   RETC_OPTION_FLAG, &(options)->target.blas, 0, 0}

/* RETC_INVALID: --blas with what its products are not for. */
retc_status retc_target_check_blas(const retc_build_target *target, retc_diagnostics *diagnostics);
/* Whether it is a GPU. RETC_INVALID: no such target, no such math of hip, --arch without hip, or `cpu`, the word of
 * --cpu (NULL: not given), with it. */
retc_status retc_target_check(const retc_build_target *target, const char *cpu, retc_diagnostics *diagnostics,
                              bool *out_gpu);

#endif
