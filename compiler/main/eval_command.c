#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/main/eval.h"

typedef struct form {
  const char *name;
  bool takes_chunk;
} form;

enum { PARALLEL, RECURRENT, CHUNKWISE, SESSION, FORM_COUNT };
static const form forms[FORM_COUNT] = {
    [PARALLEL] = {"parallel", false},
    [RECURRENT] = {"recurrent", false},
    [CHUNKWISE] = {"chunkwise", true},
    [SESSION] = {"session", true},
};

typedef struct options {
  const char *tokens, *text, *form, *out, *split, *engine;
  int64_t chunk, threads;
  size_t form_index;
  bool interpret;
} options;

/* input_ids[B,T] of a file. */
typedef struct tokens {
  int64_t *items;
  int64_t batch, length;
} tokens;

/* How many tokens go in with each call. */
typedef struct pieces {
  int64_t *items;
  int64_t count;
} pieces;

static retc_status check_options(options *o, retc_diagnostics *diagnostics) {
  static const char *const engines[] = {"jit", "graph"};
  size_t engine = 0;
  if (o->engine) {
    RETC_TRY(retc_arguments_choose("eval: --engine", o->engine, engines, 2, diagnostics, &engine));
  }
  o->interpret = engine == 1;
  if ((o->text != NULL) == (o->tokens != NULL)) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: expected either --tokens FILE or --text FILE");
  }
  if (o->text) {
    if (!o->form && !o->out && !o->split) return RETC_OK;
    return retc_fail(diagnostics, RETC_INVALID, "eval: --text FILE goes without --form, --split and --out");
  }
  if (!o->form || !o->out) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: --tokens FILE needs --form FORM and --out FILE");
  }
  const char *names[FORM_COUNT];
  for (size_t i = 0; i < FORM_COUNT; i++) names[i] = forms[i].name;
  RETC_TRY(retc_arguments_choose("eval: --form", o->form, names, FORM_COUNT, diagnostics, &o->form_index));
  if (o->chunk && !forms[o->form_index].takes_chunk) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: --chunk is for chunkwise and session, the form is %s",
                     o->form);
  }
  if (o->split && o->form_index != SESSION) {
    return retc_fail(diagnostics, RETC_INVALID, "eval: --split is for session, the form is %s", o->form);
  }
  return RETC_OK;
}

static retc_status parse(int count, char **words, retc_diagnostics *diagnostics, options *out_options,
                         const char **out_model, bool *out_help) {
  options *o = out_options;
  const retc_option table[] = {
      {"tokens", 0, "FILE", "safetensors with input_ids, I64 [B,T]", RETC_OPTION_TEXT, &o->tokens, 0, 0},
      {"form", 0, "FORM", "parallel, recurrent, chunkwise or session", RETC_OPTION_TEXT, &o->form, 0, 0},
      {"out", 'o', "FILE", "safetensors to write: logits and state_<layer>", RETC_OPTION_TEXT, &o->out, 0, 0},
      {"split", 0, "N1,N2,..", "tokens that a session is fed at a time, T in all", RETC_OPTION_TEXT, &o->split, 0, 0},
      {"text", 0, "FILE", "print nats per token of a text instead", RETC_OPTION_TEXT, &o->text, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &o->chunk, 1, RETC_CHUNK_MAX},
      {"threads", 0, "N", "that run kernels (all)", RETC_OPTION_INTEGER, &o->threads, 1, RETC_THREADS_MAX},
      {"engine", 0, "ENGINE", "jit: compiled; graph: float64 interpreter (jit)", RETC_OPTION_TEXT, &o->engine, 0, 0},
  };
  const retc_syntax syntax = {"eval", "Evaluates given tokens in one of the forms, or a text as one session.", "MODEL",
                              table, sizeof table / sizeof table[0]};
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, out_model, out_help));
  return *out_help ? RETC_OK : check_options(o, diagnostics);
}

static retc_status copy_ids(const retc_stored_tensor *ids, int64_t vocabulary, retc_diagnostics *diagnostics,
                            tokens *out_tokens) {
  int64_t *items = malloc((size_t)ids->count * sizeof *items);
  if (!items) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused for input_ids", ids->file);
  memcpy(items, ids->data, (size_t)ids->count * sizeof *items);
  for (int64_t i = 0; i < ids->count; i++) {
    if (items[i] >= 0 && items[i] < vocabulary) continue;
    retc_fail(diagnostics, RETC_INVALID, "%s: input_ids[%lld,%lld] is %lld, expected 0..%lld", ids->file,
              (long long)(i / ids->dim[1]), (long long)(i % ids->dim[1]), (long long)items[i],
              (long long)(vocabulary - 1));
    free(items);
    return RETC_INVALID;
  }
  *out_tokens = (tokens){items, ids->dim[0], ids->dim[1]};
  return RETC_OK;
}

static retc_status read_tokens(const char *path, int64_t vocabulary, retc_diagnostics *diagnostics,
                               tokens *out_tokens) {
  retc_checkpoint *file;
  RETC_TRY(retc_checkpoint_open_file(path, diagnostics, &file));
  const retc_stored_tensor *ids = retc_checkpoint_find(file, "input_ids");
  retc_status status = RETC_OK;
  if (!ids) {
    status = retc_fail(diagnostics, RETC_INVALID, "%s: no tensor input_ids, expected I64 [B,T]", path);
  } else if (ids->dtype != RETC_DTYPE_I64 || ids->rank != 2) {
    status = retc_fail(diagnostics, RETC_INVALID, "%s: input_ids is %s of rank %d, expected I64 [B,T]", path,
                       retc_dtype_file_name(ids->dtype), ids->rank);
  } else if (ids->count == 0) {
    status = retc_fail(diagnostics, RETC_INVALID, "%s: input_ids is [%lld,%lld], expected at least one token", path,
                       (long long)ids->dim[0], (long long)ids->dim[1]);
  } else {
    status = copy_ids(ids, vocabulary, diagnostics, out_tokens);
  }
  retc_checkpoint_destroy(file);
  return status;
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

static retc_status feed(retc_evaluation *e, const tokens *input, const pieces *split, float *out_logits,
                        retc_diagnostics *diagnostics) {
  int64_t width = retc_engine_network(e->engine)->vocabulary_size, first = 0;
  for (int64_t i = 0; i < split->count; i++) {
    for (int64_t left = split->items[i]; left > 0;) {
      int64_t count = left < e->piece ? left : e->piece;
      RETC_TRY(retc_runner_step(e->runner, input->items + first, count, input->length, count, diagnostics));
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

static retc_status write_result(retc_evaluation *e, const tokens *input, const float *logits, const char *path,
                                retc_diagnostics *diagnostics) {
  const retc_network *network = retc_engine_network(e->engine);
  RETC_TRY(retc_runner_state(e->runner, diagnostics));
  retc_arena arena;
  retc_arena_init(&arena);
  RETC_VEC(retc_tensor_to_write) tensors = {0};
  retc_tensor_to_write tensor = {
      "logits", RETC_DTYPE_F32, 3, {input->batch, input->length, network->vocabulary_size}, logits};
  RETC_VEC_PUSH(&arena, tensors, tensor);
  for (int64_t layer = 0; layer < network->layers; layer++) {
    const char *name = retc_arena_printf(&arena, "state_%lld", (long long)layer);
    const float *state = retc_runner_output(e->runner, name);
    if (!state) continue;
    tensor = (retc_tensor_to_write){
        name, RETC_DTYPE_F32, 4, {input->batch, network->heads, network->key_width, network->value_width}, state};
    RETC_VEC_PUSH(&arena, tensors, tensor);
  }
  retc_status status = retc_safetensors_write(path, tensors.items, tensors.count, diagnostics);
  retc_arena_deinit(&arena);
  return status;
}

static retc_status evaluate(retc_evaluation *e, const tokens *input, const pieces *split, const char *path,
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
  if (status == RETC_OK) status = write_result(e, input, logits, path, diagnostics);
  free(logits);
  return status;
}

static retc_engine_options engine_options(const options *o, int64_t length) {
  retc_engine_options result = {.interpret = o->interpret, .chunk_length = o->chunk, .threads = (int)o->threads};
  if (!o->text && o->form_index == PARALLEL) result.chunk_length = length;
  if (!o->text && o->form_index == RECURRENT) result.chunk_length = 1;
  return result;
}

static retc_status eval_tokens(const options *o, const retc_source *source, retc_diagnostics *diagnostics) {
  tokens input = {0};
  pieces split = {0};
  retc_evaluation evaluation = {0};
  RETC_TRY(read_tokens(o->tokens, source->network.vocabulary_size, diagnostics, &input));
  retc_status status = read_split(o, input.length, diagnostics, &split);
  if (status == RETC_OK) {
    const retc_engine_options engine = engine_options(o, input.length);
    status = retc_evaluation_init(&evaluation, source, &engine, input.batch, input.length, diagnostics);
  }
  if (status == RETC_OK) status = evaluate(&evaluation, &input, &split, o->out, diagnostics);
  retc_evaluation_deinit(&evaluation);
  free(split.items);
  free(input.items);
  return status;
}

retc_status retc_eval_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {0};
  const char *model;
  bool help;
  RETC_TRY(parse(count, words, diagnostics, &chosen, &model, &help));
  if (help) return RETC_OK;
  retc_source *source;
  RETC_TRY(retc_source_open(model, diagnostics, &source));
  const retc_engine_options engine = engine_options(&chosen, 0);
  retc_status status = chosen.text ? retc_eval_text(source, chosen.text, &engine, diagnostics)
                                   : eval_tokens(&chosen, source, diagnostics);
  retc_source_destroy(source);
  return status;
}
