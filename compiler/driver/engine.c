#include "compiler/driver/engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/llvm/llvm_backend.h"
#include "compiler/driver/runner.h"

/* The compiled engine's runner is a retc_run with the common head. */
typedef struct jit_runner {
  retc_runner head;
  const retc_engine *engine;
  retc_run *run;
} jit_runner;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static retc_run *run_of(const retc_runner *runner) {
  return ((const jit_runner *)runner)->run;
}

static void jit_destroy(retc_runner *runner) {
  retc_run_destroy(run_of(runner));
  free(runner);
}

static retc_status jit_create(retc_engine *engine, const retc_run_options *options, retc_diagnostics *diagnostics,
                              retc_runner **out_runner) {
  jit_runner *runner = calloc(1, sizeof *runner);
  if (!runner) return retc_fail(diagnostics, RETC_FAILED, "session: memory refused");
  runner->engine = engine;
  retc_status status = retc_run_create(engine->program, options, diagnostics, &runner->run);
  if (status != RETC_OK) {
    free(runner);
    return status;
  }
  *out_runner = &runner->head;
  return RETC_OK;
}

static void jit_reset(retc_runner *runner) {
  retc_run_reset(run_of(runner));
}

static int64_t jit_position(const retc_runner *runner) {
  return retc_run_position(run_of(runner));
}

static retc_status jit_step(retc_runner *runner, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                            int64_t logit_count, retc_diagnostics *diagnostics) {
  return retc_run_step(run_of(runner), tokens, token_count, row_stride, logit_count, diagnostics);
}

static retc_status jit_state(retc_runner *runner, retc_diagnostics *diagnostics) {
  return retc_run_state(run_of(runner), diagnostics);
}

static void jit_set_end(retc_runner *runner, int64_t position) {
  retc_run_set_end(run_of(runner), position);
}

static void jit_set_padding(retc_runner *runner, const int64_t *counts) {
  retc_run_set_padding(run_of(runner), counts);
}

static const retc_output *find_output(const retc_graph *graph, const char *name) {
  for (size_t i = 0; graph && i < graph->outputs.count; i++) {
    if (strcmp(graph->outputs.items[i].name, name) == 0) return &graph->outputs.items[i];
  }
  return NULL;
}

/* Outputs of one value, as the scales of all layers, are one buffer of the plan, which has the name of one of them. */
static const float *jit_output(const retc_runner *runner, const char *name) {
  const float *data = retc_run_output(run_of(runner), name);
  const retc_graph *graph = retc_engine_graph(((const jit_runner *)runner)->engine, "state");
  const retc_output *wanted = data ? NULL : find_output(graph, name);
  for (size_t i = 0; wanted && !data && i < graph->outputs.count; i++) {
    const retc_output *other = &graph->outputs.items[i];
    if (other->value.index == wanted->value.index) data = retc_run_output(run_of(runner), other->name);
  }
  return data;
}

static const retc_runner_verbs jit_verbs = {
    .create = jit_create, .destroy = jit_destroy, .reset = jit_reset, .position = jit_position,
    .step = jit_step, .state = jit_state, .set_padding = jit_set_padding,
    .set_end = jit_set_end, .output = jit_output};

retc_status retc_code_load(const retc_compilation *compilation, const retc_llvm_options *options,
                           retc_diagnostics *diagnostics, retc_executable **out_executable) {
  return retc_llvm_build((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count, options,
                         diagnostics, out_executable);
}

/* Kernels and plan, the same for the engines that have them. */
static retc_status compile_kernels(retc_engine *engine, const retc_engine_options *options,
                                   const retc_llvm_options *llvm, retc_compile_options compile,
                                   retc_diagnostics *diagnostics) {
  if (options->gpu) RETC_TRY(retc_gpu_profile(engine->gpu, options->archs, diagnostics, &compile.profile));
  else RETC_TRY(retc_llvm_profile(llvm, diagnostics, &compile.profile));
  compile.profile.math = options->math;
  compile.profile.blas = options->blas;
  if (!options->gpu) compile.profile.cores = options->threads > 0 ? options->threads : retc_team_default_size();
  return retc_compile(&engine->source->network, &compile, diagnostics, &engine->compilation);
}

static retc_status load_weights(retc_engine *engine, retc_diagnostics *diagnostics) {
  double start = now();
  retc_status status =
      retc_weights_load(engine->compilation->plan, engine->source->checkpoint, diagnostics, &engine->weights);
  engine->load_seconds = now() - start;
  return status;
}

static retc_status prepare_jit(retc_engine *engine, const retc_engine_options *options,
                               const retc_compile_options *compile, retc_diagnostics *diagnostics) {
  engine->verbs = &jit_verbs;
  const retc_llvm_options llvm = {.cpu = options->cpu};
  double start = now();
  RETC_TRY(compile_kernels(engine, options, &llvm, *compile, diagnostics));
  retc_status status = retc_code_load(engine->compilation, &llvm, diagnostics, &engine->executable);
  RETC_TRY(retc_compile_report(compile, "llvm", engine->compilation, status, diagnostics));
  engine->compile_seconds = now() - start;
  if (options->code_only) return RETC_OK;
  RETC_TRY(load_weights(engine, diagnostics));
  RETC_TRY(retc_team_create(options->threads, diagnostics, &engine->team));
  return retc_program_create(engine->compilation->plan, &engine->weights, engine->executable, engine->team,
                             diagnostics, &engine->program);
}

/* The weights are on the device afterwards, and no more here. */
static retc_status prepare_gpu(retc_engine *engine, const retc_engine_options *options,
                               const retc_compile_options *compile, retc_diagnostics *diagnostics) {
  engine->verbs = &jit_verbs;
  const retc_llvm_options none = {0};
  RETC_TRY(retc_gpu_open(diagnostics, &engine->gpu));
  double start = now();
  RETC_TRY(compile_kernels(engine, options, &none, *compile, diagnostics));
  retc_status status = retc_gpu_load(engine->gpu, engine->compilation, engine->source->path, diagnostics);
  RETC_TRY(retc_compile_report(compile, "hip", engine->compilation, status, diagnostics));
  engine->compile_seconds = now() - start;
  if (options->code_only) return RETC_OK;
  RETC_TRY(load_weights(engine, diagnostics));
  RETC_TRY(retc_gpu_make_program(engine->gpu, engine->compilation->plan, &engine->weights, diagnostics,
                                 &engine->program));
  retc_weights_deinit(&engine->weights);
  return RETC_OK;
}

static retc_status prepare_kernel(retc_engine *engine, const retc_engine_options *options,
                                  const retc_compile_options *compile, retc_diagnostics *diagnostics) {
  engine->verbs = &retc_kernel_runner_verbs;
  const retc_llvm_options llvm = {.cpu = options->cpu};
  RETC_TRY(compile_kernels(engine, options, &llvm, *compile, diagnostics));
  return load_weights(engine, diagnostics);
}

static retc_status prepare_graph(retc_engine *engine, const retc_compile_options *compile,
                                 retc_diagnostics *diagnostics) {
  engine->verbs = &retc_graph_runner_verbs;
  retc_compile_options graphs = *compile;
  graphs.stop_after = "simplify";
  return retc_compile(&engine->source->network, &graphs, diagnostics, &engine->compilation);
}

static retc_status prepare(retc_engine *engine, const retc_engine_options *options,
                           const retc_compile_options *compile, retc_diagnostics *diagnostics) {
  switch (options->kind) {
    case RETC_ENGINE_JIT:
      return options->gpu ? prepare_gpu(engine, options, compile, diagnostics)
                          : prepare_jit(engine, options, compile, diagnostics);
    case RETC_ENGINE_KERNEL: return prepare_kernel(engine, options, compile, diagnostics);
    case RETC_ENGINE_GRAPH: return prepare_graph(engine, compile, diagnostics);
    default: return retc_fail(diagnostics, RETC_INTERNAL, "there is no engine number %d", (int)options->kind);
  }
}

const char *retc_engine_kind_name(retc_engine_kind kind) {
  static const char *const names[] = {"jit", "kernel", "graph"};
  return names[kind];
}

static int64_t default_chunk_length(const retc_network *network, retc_form form) {
  switch (form) {
    case RETC_FORM_SESSION: return network->chunk_length;
    case RETC_FORM_RECURRENT: return 1;
    case RETC_FORM_CHUNKWISE: return network->form_chunk_length;
    case RETC_FORM_PARALLEL: return 0; /* compiling refuses it */
  }
  return 0;
}

retc_status retc_engine_create(const retc_source *source, const retc_engine_options *options,
                               retc_diagnostics *diagnostics, retc_engine **out_engine) {
  RETC_TRY(retc_source_want_model(source, diagnostics));
  if (!source->checkpoint && !options->code_only) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "%s: has no weights, expected a directory with config.json and *.safetensors", source->path);
  }
  retc_engine *engine = calloc(1, sizeof *engine);
  if (!engine) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", source->path);
  engine->source = source;
  engine->chunk_length = options->chunk_length;
  if (!engine->chunk_length) engine->chunk_length = default_chunk_length(&source->network, options->form);
  retc_arena_init(&engine->arena);
  const retc_compile_options compile = {
      .form = options->form, .padded = options->padded, .chunk_length = engine->chunk_length,
      .cpu = options->cpu, .failed = options->failed, .user = options->user};
  retc_status status = prepare(engine, options, &compile, diagnostics);
  if (status != RETC_OK) {
    retc_engine_destroy(engine);
    return status;
  }
  *out_engine = engine;
  return RETC_OK;
}

void retc_engine_destroy(retc_engine *engine) {
  if (!engine) return;
  if (engine->program) retc_program_destroy(engine->program);
  retc_gpu_close(engine->gpu);
  if (engine->team) retc_team_destroy(engine->team);
  retc_weights_deinit(&engine->weights);
  if (engine->executable) engine->executable->destroy(engine->executable);
  if (engine->compilation) retc_compilation_destroy(engine->compilation);
  for (size_t i = 0; i < engine->graph_weights.count; i++) {
    retc_tensor_deinit(&engine->graph_weights.items[i].tensor);
  }
  retc_arena_deinit(&engine->arena);
  free(engine);
}

void retc_engine_seconds(const retc_engine *engine, double *out_compile, double *out_load) {
  *out_compile = engine->compile_seconds;
  *out_load = engine->load_seconds;
}

const retc_compilation *retc_engine_compilation(const retc_engine *engine) {
  return engine->compilation;
}

const retc_network *retc_engine_network(const retc_engine *engine) {
  return &engine->source->network;
}

struct retc_gpu *retc_engine_gpu(const retc_engine *engine) {
  return engine->gpu;
}

int64_t retc_engine_chunk_length(const retc_engine *engine) {
  return engine->chunk_length;
}

const retc_graph *retc_engine_graph(const retc_engine *engine, const char *name) {
  const retc_compilation *compilation = engine->compilation;
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    if (strcmp(compilation->graphs.items[i]->name, name) == 0) return compilation->graphs.items[i];
  }
  return NULL;
}

size_t retc_engine_state_count(const retc_engine *engine) {
  const retc_graph *graph = retc_engine_graph(engine, "state");
  return graph ? graph->outputs.count : 0;
}

const char *retc_engine_state_at(const retc_engine *engine, size_t index, retc_shape *out_shape) {
  const retc_graph *graph = retc_engine_graph(engine, "state");
  const retc_output *output = &graph->outputs.items[index];
  *out_shape = retc_graph_node(graph, output->value)->type.shape;
  return output->name;
}

retc_status retc_runner_create(retc_engine *engine, const retc_run_options *options, retc_diagnostics *diagnostics,
                               retc_runner **out_runner) {
  RETC_TRY(engine->verbs->create(engine, options, diagnostics, out_runner));
  (*out_runner)->verbs = engine->verbs;
  return RETC_OK;
}

retc_run *retc_runner_run(retc_runner *runner) {
  return runner->verbs == &jit_verbs ? run_of(runner) : NULL;
}

void retc_runner_destroy(retc_runner *runner) {
  if (runner) runner->verbs->destroy(runner);
}

void retc_runner_reset(retc_runner *runner) {
  runner->verbs->reset(runner);
}

int64_t retc_runner_position(const retc_runner *runner) {
  return runner->verbs->position(runner);
}

retc_status retc_runner_step(retc_runner *runner, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                             int64_t logit_count, retc_diagnostics *diagnostics) {
  return runner->verbs->step(runner, tokens, token_count, row_stride, logit_count, diagnostics);
}

retc_status retc_runner_state(retc_runner *runner, retc_diagnostics *diagnostics) {
  return runner->verbs->state(runner, diagnostics);
}

retc_status retc_runner_fill(retc_runner *runner, const retc_run_options *options, int64_t chunk_length,
                             retc_diagnostics *diagnostics) {
  int64_t left = (chunk_length - retc_runner_position(runner) % chunk_length) % chunk_length;
  int64_t piece = left < options->max_tokens ? left : options->max_tokens;
  int64_t *zeros = calloc((size_t)(options->batch * piece) + 1, sizeof *zeros);
  if (!zeros) return retc_fail(diagnostics, RETC_FAILED, "filling a chunk: memory refused");
  runner->verbs->set_end(runner, retc_runner_position(runner));
  retc_status status = RETC_OK;
  for (; left > 0 && status == RETC_OK; left -= piece) {
    if (piece > left) piece = left;
    status = retc_runner_step(runner, zeros, piece, piece, 1, diagnostics);
  }
  free(zeros);
  return status;
}

void retc_runner_set_padding(retc_runner *runner, const int64_t *counts) {
  runner->verbs->set_padding(runner, counts);
}

const float *retc_runner_output(const retc_runner *runner, const char *name) {
  return runner->verbs->output(runner, name);
}
