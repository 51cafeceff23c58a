#include <stdlib.h>

#include "compiler/main/bench/bench.h"

static retc_status parse(int count, char **words, retc_diagnostics *diagnostics, retc_bench_options *out_options,
                         const char **out_model, bool *out_help) {
  retc_bench_options *o = out_options;
  const char *positions = NULL;
  const retc_option table[] = {
      {"batch", 0, "B", "sequences at once (1)", RETC_OPTION_INTEGER, &o->batch, 1, 1e6},
      {"prompt", 0, "T", "tokens of the prompt (512)", RETC_OPTION_INTEGER, &o->prompt, 0, 1e9},
      {"tokens", 0, "N", "tokens to generate after it (64)", RETC_OPTION_INTEGER, &o->tokens, 0, 1e9},
      {"rounds", 0, "R", "of prompt and tokens, of which the median counts (5)", RETC_OPTION_INTEGER, &o->rounds, 1,
       1000},
      {"positions", 0, "P,Q,..", "time a token there, too, after other tokens than a text would have brought",
       RETC_OPTION_TEXT, &positions, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &o->chunk, 1, RETC_CHUNK_MAX},
      RETC_WEIGHTS_OPTION(o->arithmetic),
      {"threads", 0, "N", "that run kernels (all)", RETC_OPTION_INTEGER, &o->threads, 1, RETC_THREADS_MAX},
      RETC_TARGET_OPTIONS(&o->target),
      RETC_BLAS_OPTION(o),
      RETC_CPU_OPTION(o->cpu),
      {"json", 0, NULL, "the report as one JSON object", RETC_OPTION_FLAG, &o->json, 0, 0},
      {"profile", 0, NULL, "time, GFLOP/s and GB/s of every kernel", RETC_OPTION_FLAG, &o->profile, 0, 0},
      {"trace", 0, "FILE", "every kernel of every call, as Chrome's tracing reads it", RETC_OPTION_TEXT, &o->trace, 0,
       0},
      {"random-weights", 0, "SEED", "of a bare config.json, which has none (1)", RETC_OPTION_INTEGER, &o->seed, 0,
       INT32_MAX},
  };
  const retc_syntax syntax = {"bench", "Measures this machine, then how near to its limits a model runs.", "MODEL",
                              table, sizeof table / sizeof table[0]};
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, out_model, out_help));
  if (*out_help) return RETC_OK;
  RETC_TRY(retc_target_check(&o->target, o->cpu, diagnostics, &o->gpu));
  o->arithmetic.math = retc_target_program_math(o->target.target, o->target.math, o->arithmetic.weights);
  if (!positions) return RETC_OK;
  return retc_arguments_parse_list("bench: --positions", positions, 0, (int64_t)1 << 40, diagnostics, &o->positions,
                                   &o->position_count);
}

/* What cannot be written is said before the work, not after it. */
static retc_status check_trace(const char *path, retc_diagnostics *diagnostics) {
  retc_file_writer writer;
  if (!path) return RETC_OK;
  retc_status status = retc_file_writer_init(&writer, path, diagnostics);
  retc_file_writer_deinit(&writer);
  return status;
}

static retc_status run(retc_bench *bench, retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  retc_bench_profile profiles[RETC_BENCH_PHASES] = {{0}};
  bool profiled = o->profile || o->trace;
  RETC_TRY(check_trace(o->trace, diagnostics));
  bench->machine = (retc_machine){.requests = -1, .answers = -1, .process = -1};
  if (!o->gpu) RETC_TRY(retc_machine_init(&bench->machine, (int)o->threads, diagnostics));
  retc_status status = retc_bench_compile(bench, diagnostics);
  if (status == RETC_OK) status = retc_bench_measure(bench, diagnostics);
  if (status == RETC_OK && profiled) status = retc_bench_take_profile(bench, profiles, diagnostics);
  if (status == RETC_OK) status = retc_bench_report(bench, o->profile ? profiles : NULL, diagnostics);
  for (int i = 0; i < RETC_BENCH_PHASES; i++) free(profiles[i].kernels);
  retc_runner_destroy(bench->runner);
  retc_engine_destroy(bench->engine);
  free(bench->places);
  free(bench->tokens);
  retc_machine_deinit(&bench->machine);
  return status;
}

static retc_status open_source(const char *model, int64_t seed, retc_diagnostics *diagnostics,
                               retc_source **out_source) {
  if (seed >= 0) return retc_source_open_random(model, seed, diagnostics, out_source);
  RETC_TRY(retc_source_open(model, diagnostics, out_source));
  if ((*out_source)->checkpoint || (*out_source)->is_text) return RETC_OK;
  retc_source_destroy(*out_source);
  return retc_source_open_random(model, 1, diagnostics, out_source);
}

retc_status retc_bench_command(int count, char **words, retc_diagnostics *diagnostics) {
  retc_bench_options chosen = {.batch = 1, .prompt = 512, .tokens = 64, .rounds = 5, .seed = -1};
  const char *model;
  bool help;
  retc_source *source = NULL;
  retc_status status = parse(count, words, diagnostics, &chosen, &model, &help);
  if (status == RETC_OK && !help) status = open_source(model, chosen.seed, diagnostics, &source);
  if (status == RETC_OK && source) {
    retc_bench bench = {.options = &chosen, .source = source};
    status = retc_source_want_model(source, diagnostics);
    if (status == RETC_OK) status = retc_source_choose(source, &chosen.arithmetic, diagnostics);
    if (status == RETC_OK) status = run(&bench, diagnostics);
  }
  if (source) retc_source_destroy(source);
  free(chosen.positions);
  return status;
}
