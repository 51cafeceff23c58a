/* A program of any kind, compiled and ready to be called: machine code, weights in memory, threads. */
#ifndef RETC_DRIVER_CALLABLE_H
#define RETC_DRIVER_CALLABLE_H

#include "compiler/compile.h"
#include "runtime/program.h"

typedef struct retc_callable_options {
  int threads;     /* 0: as many as the process may use */
  const char *cpu; /* LLVM's name; NULL: this machine's */
  struct retc_gpu *gpu; /* where it runs, borrowed, with kernels made for it; NULL: here */
  const char *name;     /* of the program, for messages of a GPU's compiler */
} retc_callable_options;

typedef struct retc_callable {
  retc_weights weights;
  retc_executable *executable;
  retc_team *team;
  retc_program *program; /* what retc_run_create_for takes */
} retc_callable;

/* Of a compilation that all passes have been through; it and `weights`, where the tensors of all weights are, must
 * outlive the callable. After a failure, too, deinit is to be called. RETC_INVALID: a weight that is missing or has
 * another shape. RETC_INTERNAL: code that cannot be made. */
retc_status retc_callable_init(retc_callable *callable, const retc_compilation *compilation,
                               const retc_checkpoint *weights, const retc_callable_options *options,
                               retc_diagnostics *diagnostics);
void retc_callable_deinit(retc_callable *callable);

#endif
