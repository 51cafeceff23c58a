#include <math.h>
#include <stdlib.h>

#include "compiler/main/eval.h"
#include "runtime/tokenizer.h"

enum { PIECE_MAX = 512, PIECE_LOGITS_MAX = 1 << 24 };

retc_status retc_evaluation_init(retc_evaluation *evaluation, const retc_source *source,
                                 const retc_engine_options *options, int64_t batch, int64_t length,
                                 retc_diagnostics *diagnostics) {
  /* Results do not depend on the piece; the memory of its logits does, so a large vocabulary goes in smaller ones. */
  int64_t piece = PIECE_LOGITS_MAX / source->network.vocabulary_size / batch;
  if (piece > PIECE_MAX) piece = PIECE_MAX;
  if (piece > length) piece = length;
  if (piece < 1) piece = 1;
  evaluation->piece = piece;
  RETC_TRY(retc_engine_create(source, options, diagnostics, &evaluation->engine));
  const retc_run_options run = {batch, piece, piece};
  return retc_runner_create(evaluation->engine, &run, diagnostics, &evaluation->runner);
}

void retc_evaluation_deinit(retc_evaluation *evaluation) {
  retc_runner_destroy(evaluation->runner);
  retc_engine_destroy(evaluation->engine);
}

/* What is measured: the tokens of a file. */
typedef struct text_tokens {
  int64_t *ids;
  int64_t count;
} text_tokens;

static retc_status read_tokens(const retc_source *source, const char *path, retc_diagnostics *diagnostics,
                               text_tokens *out_tokens) {
  retc_tokenizer *tokenizer;
  retc_file file;
  RETC_TRY(retc_tokenizer_create(source->path, source->network.vocabulary_size, diagnostics, &tokenizer));
  retc_status status = retc_file_map(path, diagnostics, &file);
  if (status == RETC_OK) {
    const char *text = file.data ? (const char *)file.data : "";
    status = retc_tokenizer_encode(tokenizer, text, file.size, diagnostics, &out_tokens->ids, &out_tokens->count);
    retc_file_unmap(&file);
  }
  retc_tokenizer_destroy(tokenizer);
  if (status != RETC_OK || out_tokens->count >= 2) return status;
  return retc_fail(diagnostics, RETC_INVALID, "%s: has %lld tokens, expected at least 2", path,
                   (long long)out_tokens->count);
}

static retc_status measure(retc_evaluation *e, const text_tokens *tokens, retc_diagnostics *diagnostics,
                           double *out_nats) {
  int64_t width = retc_engine_network(e->engine)->vocabulary_size;
  int64_t total = tokens->count - 1; /* the last token is only predicted */
  double sum = 0;
  for (int64_t first = 0; first < total; first += e->piece) {
    int64_t count = total - first < e->piece ? total - first : e->piece;
    RETC_TRY(retc_runner_step(e->runner, tokens->ids + first, count, count, count, diagnostics));
    const float *logits = retc_runner_output(e->runner, "logits");
    for (int64_t i = 0; i < count; i++) {
      const float *row = logits + i * width;
      sum += retc_log_sum_exp(row, width) - row[tokens->ids[first + i + 1]];
    }
    retc_progress_show("eval", first + count, total);
  }
  *out_nats = sum / (double)total;
  return RETC_OK;
}

static retc_status report(double nats, const char *path, retc_diagnostics *diagnostics) {
  if (!isfinite(nats)) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: the logits are not finite, nats per token is %f", path, nats);
  }
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "nats_per_token %.6f\n", nats);
  retc_status status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  return status;
}

retc_status retc_eval_text(const retc_source *source, const char *path, const retc_engine_options *options,
                           retc_diagnostics *diagnostics) {
  text_tokens tokens = {0};
  retc_evaluation evaluation = {0};
  double nats = 0;
  retc_status status = read_tokens(source, path, diagnostics, &tokens);
  if (status == RETC_OK) {
    status = retc_evaluation_init(&evaluation, source, options, 1, tokens.count, diagnostics);
  }
  if (status == RETC_OK) {
    status = measure(&evaluation, &tokens, diagnostics, &nats);
    retc_progress_clear();
  }
  if (status == RETC_OK) status = report(nats, path, diagnostics);
  retc_evaluation_deinit(&evaluation);
  free(tokens.ids);
  return status;
}
