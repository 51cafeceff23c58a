#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compiler/main/eval.h"

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

/* -ln softmax(logits)[token] */
static double surprise(const float *logits, int64_t count, int64_t token) {
  double largest = logits[0], sum = 0;
  for (int64_t i = 1; i < count; i++) {
    if (logits[i] > largest) largest = logits[i];
  }
  for (int64_t i = 0; i < count; i++) sum += exp(logits[i] - largest);
  return largest + log(sum) - logits[token];
}

static retc_status measure(retc_evaluation *e, const retc_file *file, retc_diagnostics *diagnostics,
                           double *out_nats) {
  int64_t width = retc_engine_network(e->engine)->vocabulary_size;
  int64_t total = (int64_t)file->size - 1; /* the last byte is only predicted */
  double sum = 0;
  for (int64_t first = 0; first < total; first += e->piece) {
    int64_t count = total - first < e->piece ? total - first : e->piece;
    int64_t tokens[PIECE_MAX];
    for (int64_t i = 0; i < count; i++) tokens[i] = file->data[first + i];
    RETC_TRY(retc_runner_step(e->runner, tokens, count, count, count, diagnostics));
    const float *logits = retc_runner_output(e->runner, "logits");
    for (int64_t i = 0; i < count; i++) sum += surprise(logits + i * width, width, file->data[first + i + 1]);
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
  RETC_TRY(retc_source_check_bytes(source, "use --tokens FILE", diagnostics));
  retc_file file;
  RETC_TRY(retc_file_map(path, diagnostics, &file));
  retc_evaluation evaluation = {0};
  retc_status status = RETC_OK;
  double nats = 0;
  if (file.size < 2) {
    status = retc_fail(diagnostics, RETC_INVALID, "%s: has %zu bytes, expected at least 2", path, file.size);
  }
  if (status == RETC_OK) {
    status = retc_evaluation_init(&evaluation, source, options, 1, (int64_t)file.size, diagnostics);
  }
  if (status == RETC_OK) {
    status = measure(&evaluation, &file, diagnostics, &nats);
    retc_progress_clear();
  }
  if (status == RETC_OK) status = report(nats, path, diagnostics);
  retc_evaluation_deinit(&evaluation);
  retc_file_unmap(&file);
  return status;
}
