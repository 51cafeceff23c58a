/* A model as the commands that print or write code need it: compiled, and its kernels as one module. */
#ifndef RETC_MAIN_BUILD_H
#define RETC_MAIN_BUILD_H

#include "backends/hip/hip_backend.h"
#include "backends/hip/hip_profile.h"
#include "backends/llvm/llvm_backend.h"
#include "compiler/compile.h"
#include "compiler/main/commands.h"

/* What code is made for, as the options say. */
typedef struct retc_build_target {
  const char *target; /* "cpu", "hip"; NULL: cpu */
  const char *arch;   /* a list, NULL: all; only with hip */
  const char *math;   /* "f32", "bf16", "f16"; NULL: f32; others only with hip */
  bool blas;          /* products of many rows may go to a vendor's BLAS; with hip and bf16 or f16 */
} retc_build_target;

typedef struct retc_build {
  retc_build_target target;         /* to be set before the model is opened */
  retc_arithmetic_words arithmetic; /* so is this */
  bool is_hip;
  retc_hip_targets hip;
  retc_source *source;
  retc_compile_options options;
  retc_compilation *compilation;
  bool locations;           /* see retc_llvm_options */
  const retc_kernel *only;  /* of which code is made; NULL: of all */
  retc_llvm_module *module; /* NULL until code is asked for */
} retc_build;

/* Opens the model and makes its options; `cpu` may be NULL. An internal error from here on leaves a reproducer behind.
 * After a failure, too, deinit is to be called. */
retc_status retc_build_open(retc_build *build, const char *model, int64_t chunk_length, const char *cpu,
                            retc_diagnostics *diagnostics);
/* The same, and compiles it. */
retc_status retc_build_init(retc_build *build, const char *model, int64_t chunk_length, const char *cpu,
                            const char *stop_after, retc_diagnostics *diagnostics);
/* The profile that schedules are made for; out_hip: the GPUs, none for a CPU. */
retc_status retc_build_choose_target(const retc_build_target *target, const char *cpu, retc_diagnostics *diagnostics,
                                     retc_hip_targets *out_hip, retc_target_profile *out_profile);
/* Code of the kernels. */
typedef enum retc_build_product {
  RETC_BUILD_LLVM,     /* LLVM IR */
  RETC_BUILD_ASSEMBLY,
  RETC_BUILD_OBJECT,
  RETC_BUILD_HIP,      /* HIP C++, of kernels for GPUs */
  RETC_BUILD_PLAN,     /* as JSON; needs a plan, and no code */
} retc_build_product;
retc_status retc_build_print(retc_build *build, retc_build_product product, retc_diagnostics *diagnostics,
                             retc_text *out_text);
void retc_build_deinit(retc_build *build);

#endif
