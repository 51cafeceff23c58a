/* What an engine is made of, for the files that make the kinds of engine. */
#ifndef RETC_DRIVER_RUNNER_H
#define RETC_DRIVER_RUNNER_H

#include "backends/llvm/llvm_backend.h"
#include "compiler/driver/engine.h"
#include "compiler/driver/gpu_engine.h"
#include "ir/graph_eval.h"

/* One kind of engine. `create` returns an object that begins with a retc_runner; the others get it back. */
typedef struct retc_runner_verbs {
  retc_status (*create)(retc_engine *engine, const retc_run_options *options, retc_diagnostics *diagnostics,
                        retc_runner **out_runner);
  void (*destroy)(retc_runner *runner);
  void (*reset)(retc_runner *runner);
  int64_t (*position)(const retc_runner *runner);
  retc_status (*step)(retc_runner *runner, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                      int64_t logit_count, retc_diagnostics *diagnostics);
  retc_status (*state)(retc_runner *runner, retc_diagnostics *diagnostics);
  void (*set_padding)(retc_runner *runner, const int64_t *counts);
  void (*set_end)(retc_runner *runner, int64_t position);
  const float *(*output)(const retc_runner *runner, const char *name);
} retc_runner_verbs;

struct retc_runner {
  const retc_runner_verbs *verbs;
};

/* A weight as the interpreter reads it, made on first use. */
typedef struct retc_graph_weight {
  const char *name; /* of the checkpoint */
  retc_tensor tensor;
} retc_graph_weight;

struct retc_engine {
  const retc_runner_verbs *verbs;
  const retc_source *source;
  int64_t chunk_length;
  retc_compilation *compilation;
  double compile_seconds, load_seconds;
  retc_weights weights; /* jit, kernel */
  /* jit */
  retc_executable *executable;
  retc_team *team;
  retc_program *program;
  retc_gpu *gpu; /* where the program runs; NULL: here */
  /* graph */
  retc_arena arena;
  RETC_VEC(retc_graph_weight) graph_weights;
};

extern const retc_runner_verbs retc_graph_runner_verbs;
extern const retc_runner_verbs retc_kernel_runner_verbs;

/* Machine code of a compilation's kernels. */
retc_status retc_code_load(const retc_compilation *compilation, const retc_llvm_options *options,
                           retc_diagnostics *diagnostics, retc_executable **out_executable);

/* The graph of the entry called `name`, NULL when there is none. */
const retc_graph *retc_engine_graph(const retc_engine *engine, const char *name);

#endif
