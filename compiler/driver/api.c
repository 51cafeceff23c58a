#include <stdlib.h>
#include <string.h>

#include "compiler/driver/engine.h"
#include "compiler/target.h"
#include "retc.h"
#include "runtime/ids.h"
#include "runtime/sample.h"
#include "runtime/tokenizer.h"

struct retc_context {
  retc_diagnostics diagnostics;
};

struct retc_model {
  retc_context *context;
  retc_source *source;
  retc_engine *engine;
  retc_tokenizer *tokenizer; /* NULL until text is asked for: ids work without it */
  int64_t *tokens;           /* of the last encode */
};

struct retc_decoder {
  retc_model *model;
  retc_token_stream stream;
  retc_text text;
};

struct retc_session {
  retc_model *model;
  retc_runner *runner;
  int64_t batch, max_tokens, max_logits;
  float *logits; /* [B,V] of the last position */
};

const char *retc_version(void) {
  return RETC_VERSION;
}

int retc_api_version(void) {
  return RETC_API_VERSION;
}

retc_status retc_context_create(retc_context **out_context) {
  retc_context *context = calloc(1, sizeof *context);
  if (!context) return RETC_FAILED;
  retc_diagnostics_init(&context->diagnostics);
  *out_context = context;
  return RETC_OK;
}

void retc_context_destroy(retc_context *context) {
  if (!context) return;
  retc_diagnostics_deinit(&context->diagnostics);
  free(context);
}

const char *retc_context_message(const retc_context *context) {
  return retc_diagnostics_text(&context->diagnostics);
}

static retc_diagnostics *begin(retc_context *context) {
  retc_diagnostics_clear(&context->diagnostics);
  return &context->diagnostics;
}

/* A caller built against another version has a shorter or longer struct: what it does not have stays default. */
static retc_status copy_options(const char *what, const void *from, size_t size, retc_diagnostics *diagnostics,
                                void *out_options) {
  if (!from) return RETC_OK;
  size_t given;
  memcpy(&given, from, sizeof given);
  if (given < sizeof given) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: struct_size is %zu, expected sizeof(%s)", what, given, what);
  }
  memcpy(out_options, from, given < size ? given : size);
  return RETC_OK;
}

retc_status retc_model_open(retc_context *context, const char *path, const retc_model_options *options,
                            retc_model **out_model) {
  retc_diagnostics *diagnostics = begin(context);
  retc_model_options chosen = {0};
  RETC_TRY(copy_options("retc_model_options", options, sizeof chosen, diagnostics, &chosen));
  if (chosen.chunk_length < 0 || chosen.threads < 0) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "retc_model_options: chunk_length is %lld and threads %d, expected >= 0",
                     (long long)chosen.chunk_length, chosen.threads);
  }
  if (chosen.chunk_length > RETC_CHUNK_MAX) {
    return retc_fail(diagnostics, RETC_INVALID, "retc_model_options: chunk_length is %lld, expected 0 or 1..%d",
                     (long long)chosen.chunk_length, RETC_CHUNK_MAX);
  }
  bool is_hip;
  RETC_TRY(retc_target_choose("", chosen.target, chosen.math, diagnostics, &is_hip));
  retc_model *model = calloc(1, sizeof *model);
  if (!model) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", path);
  model->context = context;
  const retc_engine_options engine = {.chunk_length = chosen.chunk_length, .threads = chosen.threads, .gpu = is_hip,
                                      .math = retc_target_math(chosen.target, chosen.math)};
  const retc_arithmetic_words words = {chosen.weights,
                                       retc_target_program_math(chosen.target, chosen.math, chosen.weights)};
  retc_status status = retc_source_open(path, diagnostics, &model->source);
  if (status == RETC_OK) status = retc_source_choose(model->source, &words, diagnostics);
  if (status == RETC_OK) status = retc_engine_create(model->source, &engine, diagnostics, &model->engine);
  if (status != RETC_OK) {
    retc_model_destroy(model);
    return status;
  }
  *out_model = model;
  return RETC_OK;
}

void retc_model_destroy(retc_model *model) {
  if (!model) return;
  free(model->tokens);
  retc_tokenizer_destroy(model->tokenizer);
  retc_engine_destroy(model->engine);
  if (model->source) retc_source_destroy(model->source);
  free(model);
}

int64_t retc_model_vocabulary_size(const retc_model *model) {
  return model->source->network.vocabulary_size;
}

int64_t retc_model_chunk_length(const retc_model *model) {
  return retc_engine_chunk_length(model->engine);
}

static retc_status want_tokenizer(retc_model *model, retc_diagnostics *diagnostics) {
  if (model->tokenizer) return RETC_OK;
  return retc_tokenizer_create(model->source->path, retc_model_vocabulary_size(model), diagnostics,
                               &model->tokenizer);
}

retc_status retc_model_encode(retc_model *model, const char *text, size_t size, const int64_t **out_tokens,
                              int64_t *out_count) {
  retc_diagnostics *diagnostics = begin(model->context);
  int64_t *tokens;
  RETC_TRY(want_tokenizer(model, diagnostics));
  RETC_TRY(retc_tokenizer_encode(model->tokenizer, text, size, diagnostics, &tokens, out_count));
  free(model->tokens);
  *out_tokens = model->tokens = tokens;
  return RETC_OK;
}

retc_status retc_model_text_bounds(retc_model *model, int64_t *out_bos, int64_t *out_eos) {
  const retc_network *network = &model->source->network;
  RETC_TRY(want_tokenizer(model, begin(model->context)));
  *out_bos = *out_eos = -1;
  if (!retc_tokenizer_has_model(model->source->path)) return RETC_OK;
  *out_bos = network->bos_token >= 0 ? network->bos_token : retc_tokenizer_bos(model->tokenizer);
  *out_eos = network->eos_token >= 0 ? network->eos_token : retc_tokenizer_eos(model->tokenizer);
  return RETC_OK;
}

retc_status retc_decoder_create(retc_model *model, retc_decoder **out_decoder) {
  retc_diagnostics *diagnostics = begin(model->context);
  RETC_TRY(want_tokenizer(model, diagnostics));
  retc_decoder *decoder = calloc(1, sizeof *decoder);
  if (!decoder) return retc_fail(diagnostics, RETC_FAILED, "decoder: memory refused");
  decoder->model = model;
  *out_decoder = decoder;
  return RETC_OK;
}

void retc_decoder_destroy(retc_decoder *decoder) {
  if (!decoder) return;
  retc_text_deinit(&decoder->text);
  free(decoder);
}

static void lend(const retc_decoder *decoder, const char **out_text, size_t *out_size) {
  *out_text = decoder->text.data ? decoder->text.data : "";
  *out_size = decoder->text.length;
}

retc_status retc_decoder_add(retc_decoder *decoder, const int64_t *tokens, int64_t count, const char **out_text,
                             size_t *out_size) {
  retc_diagnostics *diagnostics = begin(decoder->model->context);
  retc_text_clear(&decoder->text);
  for (int64_t i = 0; i < count; i++) {
    RETC_TRY(retc_token_stream_add(&decoder->stream, decoder->model->tokenizer, tokens[i], diagnostics,
                                   &decoder->text));
  }
  lend(decoder, out_text, out_size);
  return RETC_OK;
}

retc_status retc_decoder_finish(retc_decoder *decoder, const char **out_text, size_t *out_size) {
  retc_diagnostics *diagnostics = begin(decoder->model->context);
  retc_text_clear(&decoder->text);
  RETC_TRY(retc_token_stream_finish(&decoder->stream, decoder->model->tokenizer, diagnostics, &decoder->text));
  lend(decoder, out_text, out_size);
  return RETC_OK;
}

static retc_status start_session(retc_session *session, retc_diagnostics *diagnostics) {
  int64_t row = retc_model_vocabulary_size(session->model);
  if (session->batch > INT64_MAX / (int64_t)sizeof(float) / row) {
    return retc_fail(diagnostics, RETC_FAILED, "session: a batch of %lld rows of %lld logits is too large",
                     (long long)session->batch, (long long)row);
  }
  session->logits = calloc((size_t)(session->batch * row), sizeof(float));
  if (!session->logits) {
    return retc_fail(diagnostics, RETC_FAILED, "session: memory refused for %lld x %lld logits",
                     (long long)session->batch, (long long)row);
  }
  const retc_run_options options = {session->batch, session->max_tokens, session->max_logits};
  return retc_runner_create(session->model->engine, &options, diagnostics, &session->runner);
}

retc_status retc_session_create(retc_model *model, const retc_session_options *options, retc_session **out_session) {
  retc_diagnostics *diagnostics = begin(model->context);
  retc_session_options chosen = {0};
  RETC_TRY(copy_options("retc_session_options", options, sizeof chosen, diagnostics, &chosen));
  if (chosen.batch < 0 || chosen.max_tokens < 0) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "retc_session_options: batch is %lld and max_tokens %lld, expected >= 0",
                     (long long)chosen.batch, (long long)chosen.max_tokens);
  }
  retc_session *session = calloc(1, sizeof *session);
  if (!session) return retc_fail(diagnostics, RETC_FAILED, "session: memory refused");
  session->model = model;
  session->batch = chosen.batch ? chosen.batch : 1;
  session->max_tokens = chosen.max_tokens ? chosen.max_tokens : RETC_SESSION_MAX_TOKENS;
  /* evaluate goes in pieces of at most this many tokens. */
  session->max_logits = RETC_SESSION_MAX_LOGITS;
  if (session->max_tokens < session->max_logits) session->max_logits = session->max_tokens;
  retc_status status = start_session(session, diagnostics);
  if (status != RETC_OK) {
    retc_session_destroy(session);
    return status;
  }
  *out_session = session;
  return RETC_OK;
}

void retc_session_destroy(retc_session *session) {
  if (!session) return;
  retc_runner_destroy(session->runner);
  free(session->logits);
  free(session);
}

void retc_session_reset(retc_session *session) {
  retc_runner_reset(session->runner);
}

int64_t retc_session_position(const retc_session *session) {
  return retc_runner_position(session->runner);
}

/* All of them before any is fed: a refused call changes nothing, however many pieces it would have run in. */
static retc_status check_tokens(const retc_session *session, const int64_t *tokens, int64_t token_count,
                                retc_diagnostics *diagnostics) {
  if (token_count < 1) {
    return retc_fail(diagnostics, RETC_INVALID, "token_count is %lld, expected >= 1", (long long)token_count);
  }
  int64_t most = INT64_MAX / (int64_t)sizeof *tokens / session->batch;
  if (token_count > most) {
    return retc_fail(diagnostics, RETC_INVALID, "token_count is %lld, expected at most %lld", (long long)token_count,
                     (long long)most);
  }
  const retc_shape shape = {.rank = 2, .dim = {session->batch, token_count}};
  return retc_ids_check("tokens", RETC_DTYPE_I64, tokens, &shape, 0, retc_model_vocabulary_size(session->model),
                        diagnostics);
}

/* The logits of a piece: position `first` onwards of out_logits[B,T,V], and the last position kept. */
static void take_logits(retc_session *session, int64_t first, int64_t rows, int64_t token_count, float *out_logits) {
  int64_t width = retc_model_vocabulary_size(session->model);
  size_t row_bytes = (size_t)width * sizeof(float);
  const float *logits = retc_runner_output(session->runner, "logits");
  for (int64_t b = 0; b < session->batch; b++) {
    const float *from = logits + b * rows * width;
    if (out_logits) memcpy(out_logits + (b * token_count + first) * width, from, (size_t)rows * row_bytes);
    memcpy(session->logits + b * width, from + (rows - 1) * width, row_bytes);
  }
}

static retc_status feed(retc_session *session, const int64_t *tokens, int64_t token_count, float *out_logits) {
  retc_diagnostics *diagnostics = begin(session->model->context);
  RETC_TRY(check_tokens(session, tokens, token_count, diagnostics));
  int64_t piece = out_logits ? session->max_logits : session->max_tokens;
  for (int64_t first = 0; first < token_count; first += piece) {
    int64_t count = token_count - first < piece ? token_count - first : piece;
    int64_t rows = out_logits ? count : 1;
    RETC_TRY(retc_runner_step(session->runner, tokens + first, count, token_count, rows, diagnostics));
    take_logits(session, first, rows, token_count, out_logits);
  }
  return RETC_OK;
}

retc_status retc_session_prefill(retc_session *session, const int64_t *tokens, int64_t token_count) {
  return feed(session, tokens, token_count, NULL);
}

retc_status retc_session_step(retc_session *session, const int64_t *tokens) {
  return feed(session, tokens, 1, NULL);
}

retc_status retc_session_evaluate(retc_session *session, const int64_t *tokens, int64_t token_count,
                                  float *out_logits) {
  return feed(session, tokens, token_count, out_logits);
}

const float *retc_session_logits(const retc_session *session) {
  return retc_session_position(session) > 0 ? session->logits : NULL;
}

retc_status retc_sample(retc_context *context, const float *logits, int64_t vocabulary_size,
                        const retc_sampling *sampling, uint64_t index, int64_t *out_token) {
  retc_diagnostics *diagnostics = begin(context);
  return retc_sample_token(logits, vocabulary_size, sampling, index, diagnostics, out_token);
}
