/* `retc run FILE --inputs IN --out OUT`: one call of an entry of any program, compiled. */
#ifndef RETC_MAIN_RUN_PROGRAM_H
#define RETC_MAIN_RUN_PROGRAM_H

#include "compiler/source.h"

typedef struct retc_run_program_options {
  const char *inputs, *out; /* safetensors */
  const char *weights;      /* a file or a model's directory; NULL: in `inputs`, or the model's own */
  const char *entry;        /* NULL: the first */
  const char *cpu;          /* whose code is made; NULL: this machine's */
  int64_t chunk_length, threads;
  int64_t profile;   /* further calls, whose times are printed to stderr */
  bool gpu;          /* runs on the first GPU */
  const char *archs; /* that kernels are made for; NULL: the GPU's */
  retc_math_type math; /* of products with weights, on GPUs */
} retc_run_program_options;

/* RETC_INVALID: everything that is wrong with the arrays, before anything is compiled or written. */
retc_status retc_run_program(const retc_source *source, const retc_run_program_options *options,
                             retc_diagnostics *diagnostics);

#endif
