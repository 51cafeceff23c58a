/* A model as the commands that print or write code need it: compiled, and its kernels as one module. */
#ifndef RETC_MAIN_BUILD_H
#define RETC_MAIN_BUILD_H

#include "backends/llvm/llvm_backend.h"
#include "compiler/compile.h"
#include "compiler/main/commands.h"

typedef struct retc_build {
  retc_source *source;
  retc_compilation *compilation;
  retc_llvm_module *module; /* NULL until retc_build_emit */
} retc_build;

/* Source and compilation; `cpu` may be NULL. After a failure, too, deinit is to be called. */
retc_status retc_build_init(retc_build *build, const char *model, int64_t chunk_length, const char *cpu,
                            const char *stop_after, retc_diagnostics *diagnostics);
retc_status retc_build_emit(retc_build *build, const char *cpu, retc_diagnostics *diagnostics);
void retc_build_deinit(retc_build *build);

#endif
