#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "compiler/driver/engine.h"
#include "compiler/main/commands.h"
#include "compiler/main/prompt.h"
#include "compiler/main/reproducer.h"
#include "compiler/main/run_program.h"
#include "compiler/main/target.h"

enum { PIECE = 512, PROGRESS_FROM = 2048 };

typedef struct options {
  retc_prompt_options prompt;
  retc_build_target target;
  bool gpu;
  int64_t count, top_k, seed; /* -1 until something is chosen; these too: */
  double temperature, top_p;
  const char *cpu;
  int64_t chunk, threads, random_weights, profile;
  const char *inputs, *out, *weights, *entry;
} options;

typedef struct generation {
  const options *chosen;
  retc_runner *runner;
  const retc_prompt *prompt;
  retc_token_stream stream;
  retc_sampling sampling;
  int64_t token;  /* the last one chosen */
  retc_text text; /* of one token */
  double started;      /* seconds, of the command */
  double prompt_seconds, generation_seconds, first_text;
  int64_t generated, stepped;
} generation;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* One call of a program knows nothing of text. */
static retc_status check_call(const options *o, retc_diagnostics *diagnostics) {
  const retc_prompt_options *prompt = &o->prompt;
  const struct {
    const char *name;
    bool chosen;
  } of_text[] = {
      {"prompt", prompt->text},      {"prompt-file", prompt->file},     {"prompt-tokens", prompt->ids},
      {"count", o->count >= 0},      {"temperature", o->temperature >= 0}, {"top-k", o->top_k >= 0},
      {"top-p", o->top_p >= 0},      {"seed", o->seed >= 0},            {"bos", prompt->bos},
      {"no-bos", prompt->no_bos},    {"eos", prompt->eos},              {"ignore-eos", prompt->ignore_eos},
  };
  if (!o->inputs || !o->out) return retc_fail(diagnostics, RETC_INVALID, "run: --inputs and --out go together");
  for (size_t i = 0; i < sizeof of_text / sizeof *of_text; i++) {
    if (!of_text[i].chosen) continue;
    return retc_fail(diagnostics, RETC_INVALID, "run: --%s goes without --inputs", of_text[i].name);
  }
  return RETC_OK;
}

static retc_status parse(int count, char **words, retc_diagnostics *diagnostics, options *out_options,
                         const char **out_model, bool *out_help) {
  options *o = out_options;
  const retc_option table[] = {
      {"prompt", 0, "TEXT", "what to go on from", RETC_OPTION_TEXT, &o->prompt.text, 0, 0},
      {"prompt-file", 0, "FILE", "the same, read from a file", RETC_OPTION_TEXT, &o->prompt.file, 0, 0},
      {"prompt-tokens", 0, "IDS", "the same as token ids, 1,2,3; ids are printed too", RETC_OPTION_TEXT, &o->prompt.ids,
       0, 0},
      {"count", 'n', "N", "tokens to generate (100)", RETC_OPTION_INTEGER, &o->count, 0, 1e15},
      {"temperature", 0, "X", "of sampling; 0: always the likeliest (0)", RETC_OPTION_NUMBER, &o->temperature, 0, 1e6},
      {"top-k", 0, "K", "sample from the K likeliest; 0: all (0)", RETC_OPTION_INTEGER, &o->top_k, 0, 1e15},
      {"top-p", 0, "P", "sample from the likeliest that reach P together (1)", RETC_OPTION_NUMBER, &o->top_p, 0, 1},
      {"seed", 0, "S", "of sampling (0)", RETC_OPTION_INTEGER, &o->seed, 0, 1e15},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &o->chunk, 1, RETC_CHUNK_MAX},
      {"threads", 0, "N", "that run kernels (all)", RETC_OPTION_INTEGER, &o->threads, 1, RETC_THREADS_MAX},
      RETC_TARGET_OPTIONS(&o->target),
      RETC_BLAS_OPTION(o),
      RETC_CPU_OPTION(o->cpu),
      {"bos", 0, NULL, "begin with the bos token, as text does where there is a tokenizer", RETC_OPTION_FLAG,
       &o->prompt.bos, 0, 0},
      {"no-bos", 0, NULL, "do not", RETC_OPTION_FLAG, &o->prompt.no_bos, 0, 0},
      {"eos", 0, NULL, "stop at the eos token, as is done where there is a tokenizer", RETC_OPTION_FLAG, &o->prompt.eos,
       0, 0},
      {"ignore-eos", 0, NULL, "do not", RETC_OPTION_FLAG, &o->prompt.ignore_eos, 0, 0},
      {"random-weights", 0, "SEED", "of a bare config.json, which has none", RETC_OPTION_INTEGER, &o->random_weights, 0,
       INT32_MAX},
      {"inputs", 0, "FILE", "call the program, which may be any, once on the arrays of this safetensors file",
       RETC_OPTION_TEXT, &o->inputs, 0, 0},
      {"out", 0, "FILE", "... and write what comes out, new states included", RETC_OPTION_TEXT, &o->out, 0, 0},
      {"weights", 0, "TYPE",
       "of matrices in memory: f32, f16, bf16, int8 or int4 (as stored); with --inputs a PATH of\n"
       "                             weights, a file or model directory, unless --inputs has them",
       RETC_OPTION_TEXT, &o->weights, 0, 0},
      {"entry", 0, "NAME", "... of this entry (the first)", RETC_OPTION_TEXT, &o->entry, 0, 0},
      {"profile", 0, "N", "... and N times more, and say what every kernel takes", RETC_OPTION_INTEGER, &o->profile, 1,
       100000},
  };
  const retc_syntax syntax = {
      "run",
      "Generates text; stdout gets the generated bytes and nothing else. With --inputs and --out\n"
      "it calls a program once instead: MODEL may be any program's text then.",
      "MODEL", table, sizeof table / sizeof table[0]};
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, out_model, out_help));
  if (*out_help) return RETC_OK;
  RETC_TRY(retc_target_check(&o->target, o->cpu, diagnostics, &o->gpu));
  if (o->inputs || o->out) return check_call(o, diagnostics);
  if (o->entry) return retc_fail(diagnostics, RETC_INVALID, "run: --entry goes with --inputs");
  if (o->profile > 0) return retc_fail(diagnostics, RETC_INVALID, "run: --profile goes with --inputs");
  if (o->count < 0) o->count = 100;
  if (o->top_k < 0) o->top_k = 0;
  if (o->seed < 0) o->seed = 0;
  if (o->temperature < 0) o->temperature = 0;
  if (o->top_p < 0) o->top_p = 1;
  return RETC_OK;
}

/* Goes on behind `tokens`; of the last ones a token is chosen, number `index` of those generated. */
static retc_status step(generation *g, const int64_t *tokens, int64_t count, bool choose, int64_t index,
                        retc_diagnostics *diagnostics) {
  if (!choose) return retc_runner_step(g->runner, tokens, count, count, 1, diagnostics);
  return retc_run_step_sample(retc_runner_run(g->runner), tokens, count, count, &g->sampling, (uint64_t)index,
                              diagnostics, &g->token);
}

static retc_status feed_prompt(generation *g, retc_diagnostics *diagnostics) {
  const retc_prompt *prompt = g->prompt;
  bool show = prompt->count > PROGRESS_FROM;
  double start = now();
  retc_status status = RETC_OK;
  for (int64_t first = 0; first < prompt->count && status == RETC_OK; first += PIECE) {
    int64_t count = prompt->count - first < PIECE ? prompt->count - first : PIECE;
    const bool last = first + count == prompt->count && g->chosen->count > 0;
    status = step(g, prompt->items + first, count, last, 0, diagnostics);
    if (show) retc_progress_show("prompt", first + count, prompt->count);
  }
  if (show) retc_progress_clear();
  g->prompt_seconds = now() - start;
  return status;
}

/* The text of a token depends on what is before it, the prompt too; of the prompt nothing is written. */
static retc_status pass_over_prompt(generation *g, retc_diagnostics *diagnostics) {
  if (!g->prompt->tokenizer) return RETC_OK;
  for (int64_t i = 0; i < g->prompt->count; i++) {
    RETC_TRY(retc_token_stream_add(&g->stream, g->prompt->tokenizer, g->prompt->items[i], diagnostics, &g->text));
    retc_text_clear(&g->text);
  }
  return retc_token_stream_finish(&g->stream, g->prompt->tokenizer, diagnostics, &g->text);
}

static retc_status write_text(generation *g, retc_diagnostics *diagnostics) {
  if (g->text.length == 0) return RETC_OK;
  RETC_TRY(retc_output_write(g->text.data, g->text.length, diagnostics));
  if (g->first_text == 0) g->first_text = now() - g->started;
  return RETC_OK;
}

static retc_status write_token(generation *g, int64_t token, retc_diagnostics *diagnostics) {
  retc_text_clear(&g->text);
  if (g->prompt->tokenizer) {
    RETC_TRY(retc_token_stream_add(&g->stream, g->prompt->tokenizer, token, diagnostics, &g->text));
  } else {
    retc_text_printf(&g->text, "%s%" PRId64, g->generated ? " " : "", token);
  }
  g->generated++;
  return write_text(g, diagnostics);
}

static retc_status write_end(generation *g, retc_diagnostics *diagnostics) {
  retc_text_clear(&g->text);
  if (g->prompt->tokenizer) {
    RETC_TRY(retc_token_stream_finish(&g->stream, g->prompt->tokenizer, diagnostics, &g->text));
  } else {
    retc_text_add(&g->text, "\n");
  }
  return retc_output_write(g->text.data, g->text.length, diagnostics);
}

/* A number that float cannot tell from 0 is not 0, which means something else. */
static float narrow(double value) {
  return value > 0 && value < (double)FLT_MIN ? FLT_MIN : (float)value;
}

static retc_sampling choose_sampling(const options *o) {
  return (retc_sampling){.struct_size = sizeof(retc_sampling), .temperature = narrow(o->temperature),
                         .top_p = narrow(o->top_p), .top_k = o->top_k, .seed = (uint64_t)o->seed};
}

static retc_status generate(generation *g, retc_diagnostics *diagnostics) {
  const int64_t count = g->chosen->count;
  double start = now();
  for (int64_t i = 0; i < count; i++) {
    if (g->token == g->prompt->eos) break;
    RETC_TRY(write_token(g, g->token, diagnostics));
    if (i + 1 == count) break;
    RETC_TRY(step(g, &g->token, 1, true, i + 1, diagnostics));
    g->stepped++;
  }
  g->generation_seconds = now() - start;
  return write_end(g, diagnostics);
}

static void print_summary(const generation *g) {
  fprintf(stderr, "prompt: %lld tokens, %.1f tokens/s; ", (long long)g->prompt->count,
          (double)g->prompt->count / g->prompt_seconds);
  /* The first token comes out of the prompt's logits: what generation takes time for is the steps. */
  if (g->stepped > 0) {
    fprintf(stderr, "generation: %lld tokens, %.1f tokens/s; ", (long long)g->generated,
            (double)g->stepped / g->generation_seconds);
  } else {
    fprintf(stderr, "generation: %lld tokens; ", (long long)g->generated);
  }
  if (g->first_text > 0) {
    fprintf(stderr, "first text after %.3f s\n", g->first_text);
  } else {
    fprintf(stderr, "no text\n");
  }
}

static retc_status run_source(const options *o, const retc_source *source, const retc_prompt *prompt, double started,
                              retc_diagnostics *diagnostics) {
  const retc_engine_options engine_options = {
      .chunk_length = o->chunk, .threads = (int)o->threads, .gpu = o->gpu, .archs = o->target.arch,
      .math = retc_target_math(o->target.target, o->target.math), .blas = o->target.blas,
      .cpu = o->cpu, .failed = retc_reproducer_write};
  const retc_run_options run_options = {1, prompt->count < PIECE ? prompt->count : PIECE, 1};
  generation g = {.chosen = o, .prompt = prompt, .sampling = choose_sampling(o), .started = started};
  retc_engine *engine = NULL;
  RETC_TRY(retc_engine_create(source, &engine_options, diagnostics, &engine));
  retc_status status = retc_runner_create(engine, &run_options, diagnostics, &g.runner);
  if (status == RETC_OK) status = feed_prompt(&g, diagnostics);
  if (status == RETC_OK) status = pass_over_prompt(&g, diagnostics);
  if (status == RETC_OK) status = generate(&g, diagnostics);
  if (status == RETC_OK) print_summary(&g);
  retc_text_deinit(&g.text);
  retc_runner_destroy(g.runner);
  retc_engine_destroy(engine);
  return status;
}

static retc_status run(const options *o, const retc_source *source, double started, retc_diagnostics *diagnostics) {
  const retc_run_program_options program = {.inputs = o->inputs, .out = o->out, .weights = o->weights,
                                            .entry = o->entry, .cpu = o->cpu, .chunk_length = o->chunk,
                                            .threads = o->threads, .gpu = o->gpu, .archs = o->target.arch,
                                            .profile = o->profile, .math = retc_target_math(o->target.target, o->target.math)};
  if (o->inputs) return retc_run_program(source, &program, diagnostics);
  if (source->is_text) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "%s: is program text, which runs with --inputs FILE and --out FILE; text is written by a model "
                     "(config.json or its directory)", source->path);
  }
  retc_prompt prompt = {0};
  retc_status status = retc_prompt_check(&o->prompt, diagnostics);
  if (status == RETC_OK) status = retc_prompt_read(&o->prompt, source, diagnostics, &prompt);
  if (status == RETC_OK) status = run_source(o, source, &prompt, started, diagnostics);
  retc_prompt_deinit(&prompt);
  return status;
}

retc_status retc_run_command(int count, char **words, retc_diagnostics *diagnostics) {
  double started = now();
  options chosen = {.count = -1, .top_k = -1, .seed = -1, .temperature = -1, .top_p = -1, .random_weights = -1};
  const char *model;
  bool help;
  RETC_TRY(parse(count, words, diagnostics, &chosen, &model, &help));
  if (help) return RETC_OK;
  retc_source *source;
  RETC_TRY(retc_source_open_random(model, chosen.random_weights, diagnostics, &source));
  const char *weights = chosen.inputs ? NULL : chosen.weights;
  const retc_arithmetic_words arithmetic = {weights, retc_target_program_math(chosen.target.target, chosen.target.math, weights)};
  retc_status status = RETC_OK;
  if (source->is_text && arithmetic.weights) {
    status = retc_fail(diagnostics, RETC_INVALID, "run: --weights goes with --inputs");
  }
  if (status == RETC_OK) status = retc_source_choose(source, &arithmetic, diagnostics);
  if (status == RETC_OK) status = run(&chosen, source, started, diagnostics);
  retc_source_destroy(source);
  return status;
}
