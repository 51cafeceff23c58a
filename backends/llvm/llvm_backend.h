/* Kernels in, CPU code out, through LLVM's C API. Sees kernels, never graphs.
 *
 * No fast-math flags, no contraction: the code computes what kernel IR says, operation by operation. */
#ifndef RETC_BACKENDS_LLVM_BACKEND_H
#define RETC_BACKENDS_LLVM_BACKEND_H

#include "backends/target.h"
#include "base/status.h"
#include "base/text.h"
#include "ir/kernel.h"
#include "runtime/executable.h"

typedef struct retc_llvm_options {
  const char *cpu; /* LLVM's name ("znver4", "x86-64-v3"); NULL or "host": the CPU this runs on, with its features,
                      tiles where the system permits them. ",no-tiles" behind it: without tiles */
  bool
      locations; /* LLVM IR and assembly say for each instruction which statement of its kernel it is made for, counted
                    from 1 as retc_kernel_print prints them (line numbers of debug information). The code is the same */
} retc_llvm_options;

/* A set of kernels as one optimised module. */
typedef struct retc_llvm_module retc_llvm_module;

/* Another CPU by name whose code runs here too: the level below this machine's; NULL when there is none. */
const char *retc_llvm_lesser_cpu(void);

retc_status retc_llvm_profile(const retc_llvm_options *options, retc_diagnostics *diagnostics,
                              retc_target_profile *out_profile);

/* Emits, verifies and optimises. A kernel that this backend cannot express is RETC_INTERNAL with its name. */
retc_status retc_llvm_compile(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                              retc_diagnostics *diagnostics, retc_llvm_module **out_module);
void retc_llvm_module_destroy(retc_llvm_module *module);

retc_status retc_llvm_emit_ir(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_text *out_text);
retc_status retc_llvm_emit_assembly(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_text *out_text);
/* A relocatable, position-independent object file. */
retc_status retc_llvm_emit_object(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_text *out_bytes);

/* Kernels to code in memory at once: what compile and load do, on as many threads as there are CPUs, or from the cache
 * (runtime/code_cache.h) when these very kernels have been compiled for this CPU before. options->locations does not
 * matter. RETC_INVALID for a CPU whose code may not run here: another than this one that is no level it has, or one
 * with tiles that the system does not permit. */
retc_status retc_llvm_build(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                            retc_diagnostics *diagnostics, retc_executable **out_executable);

/* Code in memory. The executable does not need the module any more. */
retc_status retc_llvm_load(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_executable **out_executable);

#endif
