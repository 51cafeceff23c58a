/* A model that can be run: source, compilation, code and weights together. Two engines, one interface: compiled
 * kernels (`jit`) and the float64 interpreter of the expanded graph (`graph`, which needs no LLVM). */
#ifndef RETC_DRIVER_ENGINE_H
#define RETC_DRIVER_ENGINE_H

#include "compiler/compile.h"
#include "compiler/source.h"
#include "runtime/program.h"

typedef struct retc_engine_options {
  bool interpret;       /* the graph engine */
  int64_t chunk_length; /* 0: the network's default */
  int threads;          /* 0: as many as the process may use */
  const char *cpu;      /* LLVM's name; NULL: this machine's */
} retc_engine_options;

typedef struct retc_engine retc_engine;

/* `source` is borrowed and must outlive the engine. RETC_INVALID when it has no weights. */
retc_status retc_engine_create(const retc_source *source, const retc_engine_options *options,
                               retc_diagnostics *diagnostics, retc_engine **out_engine);
void retc_engine_destroy(retc_engine *engine);
const retc_network *retc_engine_network(const retc_engine *engine);
int64_t retc_engine_chunk_length(const retc_engine *engine);

/* One session on an engine: B sequences and their state. The verbs are those of runtime/program.h. */
typedef struct retc_runner retc_runner;
retc_status retc_runner_create(retc_engine *engine, const retc_run_options *options, retc_diagnostics *diagnostics,
                               retc_runner **out_runner);
void retc_runner_destroy(retc_runner *runner);
void retc_runner_reset(retc_runner *runner);
int64_t retc_runner_position(const retc_runner *runner);
retc_status retc_runner_step(retc_runner *runner, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                             int64_t logit_count, retc_diagnostics *diagnostics);
retc_status retc_runner_state(retc_runner *runner, retc_diagnostics *diagnostics);
/* NULL when there is none of that name. Lent until the next call on this runner. */
const float *retc_runner_output(const retc_runner *runner, const char *name);

#endif
