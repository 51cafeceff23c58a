/* A model that can be run: source, compilation, code and weights together. Three engines, one interface: compiled
 * kernels (`jit`), the interpreter of the same kernels, whose results are the same bits (`kernel`), and the float64
 * interpreter of the expanded graph (`graph`). */
#ifndef RETC_DRIVER_ENGINE_H
#define RETC_DRIVER_ENGINE_H

#include "compiler/compile.h"
#include "compiler/source.h"
#include "runtime/program.h"

typedef enum retc_engine_kind {
  RETC_ENGINE_JIT,
  RETC_ENGINE_KERNEL,
  RETC_ENGINE_GRAPH,
  RETC_ENGINE_COUNT
} retc_engine_kind;
/* "jit", "kernel", "graph". */
const char *retc_engine_kind_name(retc_engine_kind kind);

typedef struct retc_engine_options {
  retc_engine_kind kind;
  retc_form form;       /* whose normalisers and state; 0: a session's */
  bool padded;          /* rows may begin with padding, see retc_runner_set_padding */
  int64_t chunk_length; /* 0: the network's default for the form; the parallel form needs one */
  int threads;          /* 0: as many as the process may use */
  const char *cpu;      /* LLVM's name; NULL: this machine's */
  bool code_only;       /* of compiled kernels: no weights, no threads, so that there can be no runner */
  bool gpu;             /* kernels are made for GPUs, and compiled ones run on the first that HIP finds */
  retc_math_type math;  /* of products with weights, on GPUs */
  bool blas;            /* a vendor's library may compute those of many rows, in an order of its own */
  const char *archs;    /* of GPUs, a list; NULL: that of the one they run on, of interpreted kernels all */
  /* As in retc_compile_options, of code generation too. */
  void (*failed)(void *user, const retc_failure *failure, retc_diagnostics *diagnostics);
  void *user;
} retc_engine_options;

typedef struct retc_engine retc_engine;

/* A session's sizes when nobody asks for others: tokens a call, and rows of logits held at once, so that a large
 * vocabulary costs a session megabytes, not gigabytes. */
enum { RETC_SESSION_MAX_TOKENS = 512, RETC_SESSION_MAX_LOGITS = 64 };

/* `source` is borrowed and must outlive the engine. RETC_INVALID when it has no weights. */
retc_status retc_engine_create(const retc_source *source, const retc_engine_options *options,
                               retc_diagnostics *diagnostics, retc_engine **out_engine);
void retc_engine_destroy(retc_engine *engine);
/* Seconds that creating the engine took: passes and code generation; reading and packing weights. */
void retc_engine_seconds(const retc_engine *engine, double *out_compile, double *out_load);
const retc_compilation *retc_engine_compilation(const retc_engine *engine);
const retc_network *retc_engine_network(const retc_engine *engine);
int64_t retc_engine_chunk_length(const retc_engine *engine);
/* Where compiled kernels run, when that is a GPU; NULL: here. */
struct retc_gpu *retc_engine_gpu(const retc_engine *engine);

/* What the entry "state" gives, in order: name and shape (of constants and B). */
size_t retc_engine_state_count(const retc_engine *engine);
const char *retc_engine_state_at(const retc_engine *engine, size_t index, retc_shape *out_shape);

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
/* How many padding tokens each of the B rows begins with; zero at first and after a reset. To be set before the
 * first step; of an engine made with `padded`. */
void retc_runner_set_padding(retc_runner *runner, const int64_t *counts);
/* Takes zero vectors in the place of tokens until the chunk is complete, as upstream's chunkwise form does before it
 * hands out its state. The sequence is at its end: nothing but the state is asked for afterwards. `options` are those
 * that the runner was created with. */
retc_status retc_runner_fill(retc_runner *runner, const retc_run_options *options, int64_t chunk_length,
                             retc_diagnostics *diagnostics);
/* The session of compiled kernels that is behind it; NULL of other engines. */
retc_run *retc_runner_run(retc_runner *runner);
/* NULL when there is none of that name. Lent until the next call on this runner. */
const float *retc_runner_output(const retc_runner *runner, const char *name);
/* The same before rounding, of the graph engine; NULL of the others. */
const double *retc_runner_exact(const retc_runner *runner, const char *name);

#endif
