#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/main/eval.h"
#include "compiler/main/reproducer.h"
#include "compiler/main/target.h"

typedef struct form_info {
  const char *name;
  retc_form form;
  bool takes_chunk;
} form_info;

static const form_info forms[] = {
    {"parallel", RETC_FORM_PARALLEL, false},
    {"recurrent", RETC_FORM_RECURRENT, false},
    {"chunkwise", RETC_FORM_CHUNKWISE, true},
    {"session", RETC_FORM_SESSION, true},
};
enum { FORM_COUNT = sizeof forms / sizeof forms[0] };

typedef struct options {
  const char *tokens, *text, *form, *out, *split, *engine;
  const char *cpu;
  int64_t chunk, threads, random_weights;
  retc_arithmetic_words arithmetic;
  retc_form chosen_form;
  retc_engine_kind chosen_engine;
  retc_build_target target;
  bool gpu;
  bool loss;
} options;

/* How many tokens go in with each call. */
typedef struct pieces {
  int64_t *items;
  int64_t count;
} pieces;

static retc_status check_options(options *o, retc_diagnostics *diagnostics) {
  const char *engines[RETC_ENGINE_COUNT];
  size_t engine = RETC_ENGINE_JIT;
  for (int i = 0; i < RETC_ENGINE_COUNT; i++) engines[i] = retc_engine_kind_name((retc_engine_kind)i);
  if (o->engine) {
    RETC_TRY(retc_choose("eval: --engine", o->engine, engines, RETC_ENGINE_COUNT, diagnostics, &engine));
  }
  o->chosen_engine = (retc_engine_kind)engine;
  RETC_TRY(retc_target_check(&o->target, o->cpu, diagnostics, &o->gpu));
  o->arithmetic.math = retc_target_program_math(o->target.target, o->target.math, o->arithmetic.weights);
  if ((o->text != NULL) == (o->tokens != NULL)) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: expected either --tokens FILE or --text FILE");
  }
  if (o->text) {
    if (!o->form && !o->out && !o->split && !o->loss) return RETC_OK;
    return retc_fail(diagnostics, RETC_INVALID, "eval: --text FILE goes without --form, --split, --loss and --out");
  }
  if (!o->form || (!o->out && !o->loss)) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: --tokens FILE needs --form FORM and --out FILE or --loss");
  }
  const char *names[FORM_COUNT];
  size_t index;
  for (size_t i = 0; i < FORM_COUNT; i++) names[i] = forms[i].name;
  RETC_TRY(retc_choose("eval: --form", o->form, names, FORM_COUNT, diagnostics, &index));
  o->chosen_form = forms[index].form;
  if (o->chunk && !forms[index].takes_chunk) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: --chunk is for chunkwise and session, the form is %s",
                     o->form);
  }
  if (o->split && o->chosen_form != RETC_FORM_SESSION) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: --split is for session, the form is %s", o->form);
  }
  return RETC_OK;
}

static retc_status parse(int count, char **words, retc_diagnostics *diagnostics, options *out_options,
                         const char **out_model, bool *out_help) {
  options *o = out_options;
  const retc_option table[] = {
      {"tokens", 0, "FILE", "safetensors: input_ids, attention_mask, labels, all I64 [B,T]", RETC_OPTION_TEXT,
       &o->tokens, 0, 0},
      {"form", 0, "FORM", "parallel, recurrent, chunkwise or session", RETC_OPTION_TEXT, &o->form, 0, 0},
      {"out", 'o', "FILE", "safetensors to write: logits, state_<layer>, scale_<layer>", RETC_OPTION_TEXT, &o->out, 0,
       0},
      {"loss", 0, NULL, "print the mean cross entropy, and z-loss where the model has it", RETC_OPTION_FLAG, &o->loss,
       0, 0},
      {"split", 0, "N1,N2,..", "tokens that a session is fed at a time, T in all", RETC_OPTION_TEXT, &o->split, 0, 0},
      {"text", 0, "FILE", "print nats per token of a text instead", RETC_OPTION_TEXT, &o->text, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &o->chunk, 1, RETC_CHUNK_MAX},
      RETC_WEIGHTS_OPTION(o->arithmetic),
      {"threads", 0, "N", "that run kernels (all)", RETC_OPTION_INTEGER, &o->threads, 1, RETC_THREADS_MAX},
      RETC_TARGET_OPTIONS(&o->target),
      RETC_BLAS_OPTION(o),
      RETC_CPU_OPTION(o->cpu),
      {"engine", 0, "ENGINE", "jit: compiled; kernel: the same bits interpreted; graph: in float64 (jit)",
       RETC_OPTION_TEXT, &o->engine, 0, 0},
      {"random-weights", 0, "SEED", "of a bare config.json, which has none", RETC_OPTION_INTEGER, &o->random_weights, 0,
       INT32_MAX},
  };
  const retc_syntax syntax = {"eval", "Evaluates given tokens in one of the forms, or a text as one session.", "MODEL",
                              table, sizeof table / sizeof table[0]};
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, out_model, out_help));
  return *out_help ? RETC_OK : check_options(o, diagnostics);
}

static retc_status read_split(const options *o, int64_t length, retc_diagnostics *diagnostics, pieces *out_pieces) {
  if (!o->split) {
    *out_pieces = (pieces){malloc(sizeof(int64_t)), 1};
    if (!out_pieces->items) return retc_fail(diagnostics, RETC_FAILED, "eval: memory refused");
    out_pieces->items[0] = length;
    return RETC_OK;
  }
  pieces split;
  RETC_TRY(retc_arguments_parse_list("eval: --split", o->split, 1, length, diagnostics, &split.items,
                                     &split.count));
  int64_t sum = 0;
  for (int64_t i = 0; i < split.count; i++) sum += split.items[i];
  if (sum != length) {
    free(split.items);
    return retc_fail(diagnostics, RETC_INVALID, "eval: --split: the sum is %lld, expected %lld, the tokens of a row",
                     (long long)sum, (long long)length);
  }
  *out_pieces = split;
  return RETC_OK;
}

static retc_status feed(retc_evaluation *e, const retc_eval_input *input, const pieces *split, float *out_logits,
                        retc_diagnostics *diagnostics) {
  int64_t width = retc_engine_network(e->engine)->vocabulary_size, first = 0;
  for (int64_t i = 0; i < split->count; i++) {
    for (int64_t left = split->items[i]; left > 0;) {
      int64_t count = left < e->piece ? left : e->piece;
      RETC_TRY(retc_runner_step(e->runner, input->ids + first, count, input->length, count, diagnostics));
      const float *logits = retc_runner_output(e->runner, "logits");
      for (int64_t b = 0; b < input->batch; b++) {
        memcpy(out_logits + (b * input->length + first) * width, logits + b * count * width,
               (size_t)(count * width) * sizeof(float));
      }
      first += count;
      left -= count;
    }
  }
  return RETC_OK;
}

/* Every output of the entry "state", in the layout of the form. */
static retc_status write_result(retc_evaluation *e, const retc_eval_input *input, retc_form chosen,
                                const float *logits, const char *path, retc_diagnostics *diagnostics) {
  const retc_network *network = retc_engine_network(e->engine);
  if (chosen == RETC_FORM_CHUNKWISE && network->normaliser == RETC_NORMALISER_TORCHSCALE) {
    const retc_run_options run = {input->batch, e->piece, e->piece};
    RETC_TRY(retc_runner_fill(e->runner, &run, retc_engine_chunk_length(e->engine), diagnostics));
  }
  RETC_TRY(retc_runner_state(e->runner, diagnostics));
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = input->batch;
  retc_arena arena;
  retc_arena_init(&arena);
  RETC_VEC(retc_tensor_to_write) tensors = {0};
  retc_tensor_to_write tensor = {"logits",
                                 RETC_DTYPE_F32,
                                 3,
                                 {input->batch, input->length, retc_engine_network(e->engine)->vocabulary_size},
                                 logits};
  RETC_VEC_PUSH(&arena, tensors, tensor);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < retc_engine_state_count(e->engine) && status == RETC_OK; i++) {
    retc_shape shape;
    const char *name = retc_engine_state_at(e->engine, i, &shape);
    tensor = (retc_tensor_to_write){.name = name, .dtype = RETC_DTYPE_F32, .rank = shape.rank,
                                    .data = retc_runner_output(e->runner, name)};
    for (int k = 0; k < shape.rank; k++) tensor.dim[k] = retc_dim_value(shape.dim[k], &dims);
    if (!tensor.data) status = retc_fail(diagnostics, RETC_INTERNAL, "the program does not compute %s", name);
    RETC_VEC_PUSH(&arena, tensors, tensor);
  }
  if (status == RETC_OK) status = retc_safetensors_write(path, tensors.items, tensors.count, diagnostics);
  retc_arena_deinit(&arena);
  return status;
}

static retc_status print_loss(retc_evaluation *e, const retc_eval_input *input, const float *logits, const char *path,
                              retc_diagnostics *diagnostics) {
  const retc_network *network = retc_engine_network(e->engine);
  double loss = retc_eval_loss(input, logits, network->vocabulary_size, network->z_loss);
  if (!isfinite(loss)) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: the loss is %f, not a finite number", path, loss);
  }
  char line[64];
  int length = snprintf(line, sizeof line, "loss %.9g\n", loss);
  return retc_output_write(line, (size_t)length, diagnostics);
}

static retc_status evaluate(retc_evaluation *e, const options *o, const retc_eval_input *input, const pieces *split,
                            retc_diagnostics *diagnostics) {
  int64_t width = retc_engine_network(e->engine)->vocabulary_size;
  int64_t positions = input->batch * input->length;
  float *logits = positions <= INT64_MAX / (int64_t)sizeof(float) / width
                      ? malloc((size_t)(positions * width) * sizeof(float))
                      : NULL;
  if (!logits) {
    return retc_fail(diagnostics, RETC_FAILED, "logits: memory refused for %lld x %lld numbers", (long long)positions,
                     (long long)width);
  }
  retc_status status = feed(e, input, split, logits, diagnostics);
  if (status == RETC_OK && o->out) status = write_result(e, input, o->chosen_form, logits, o->out, diagnostics);
  if (status == RETC_OK && o->loss) status = print_loss(e, input, logits, o->tokens, diagnostics);
  free(logits);
  return status;
}

/* What cannot be written is said before the work, not after it. */
static retc_status check_out(const char *path, retc_diagnostics *diagnostics) {
  retc_file_writer writer;
  retc_status status = retc_file_writer_init(&writer, path, diagnostics);
  retc_file_writer_deinit(&writer);
  return status;
}

static retc_engine_options engine_options(const options *o, const retc_eval_input *input) {
  retc_engine_options result = {.kind = o->chosen_engine,
                                .form = o->chosen_form,
                                .padded = input && input->padding,
                                .chunk_length = o->chunk,
                                .threads = (int)o->threads,
                                .gpu = o->gpu,
                                .archs = o->target.arch, .math = retc_target_math(o->target.target, o->target.math), .blas = o->target.blas,
                                .cpu = o->cpu,
                                .failed = retc_reproducer_write};
  if (o->chosen_form == RETC_FORM_PARALLEL) result.chunk_length = input->length;
  return result;
}

static retc_status eval_input(const options *o, const retc_source *source, const retc_eval_input *input,
                              retc_diagnostics *diagnostics) {
  pieces split = {0};
  retc_evaluation evaluation = {0};
  RETC_TRY(read_split(o, input->length, diagnostics, &split));
  retc_status status = o->out ? check_out(o->out, diagnostics) : RETC_OK;
  if (status == RETC_OK) {
    const retc_engine_options engine = engine_options(o, input);
    status = retc_evaluation_init(&evaluation, source, &engine, input->batch, input->length, diagnostics);
  }
  if (status == RETC_OK && input->padding) retc_runner_set_padding(evaluation.runner, input->padding);
  if (status == RETC_OK) status = evaluate(&evaluation, o, input, &split, diagnostics);
  retc_evaluation_deinit(&evaluation);
  free(split.items);
  return status;
}

static retc_status eval_tokens(const options *o, const retc_source *source, retc_diagnostics *diagnostics) {
  retc_eval_input input;
  RETC_TRY(retc_eval_input_read(o->tokens, source->network.vocabulary_size, o->loss, diagnostics, &input));
  if (input.padding && o->chosen_form == RETC_FORM_CHUNKWISE) {
    fprintf(stderr, "retc: %s: attention_mask is ignored, as upstream's chunkwise form ignores it\n", o->tokens);
    free(input.padding);
    input.padding = NULL;
  }
  retc_status status = eval_input(o, source, &input, diagnostics);
  retc_eval_input_deinit(&input);
  return status;
}

retc_status retc_eval_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {.random_weights = -1};
  const char *model;
  bool help;
  RETC_TRY(parse(count, words, diagnostics, &chosen, &model, &help));
  if (help) return RETC_OK;
  retc_source *source;
  RETC_TRY(retc_source_open_random(model, chosen.random_weights, diagnostics, &source));
  retc_status status = retc_source_choose(source, &chosen.arithmetic, diagnostics);
  if (status != RETC_OK) {
    retc_source_destroy(source);
    return status;
  }
  if (chosen.text) {
    const retc_engine_options engine = engine_options(&chosen, NULL);
    status = retc_eval_text(source, chosen.text, &engine, diagnostics);
  } else {
    status = eval_tokens(&chosen, source, diagnostics);
  }
  retc_source_destroy(source);
  return status;
}
