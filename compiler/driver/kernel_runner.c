#include <stdlib.h>
#include <string.h>

#include "compiler/driver/runner.h"
#include "compiler/plan_eval.h"

typedef struct kernel_runner {
  retc_runner head;
  retc_engine *engine;
  retc_run_options options;
  int64_t position;
  int64_t end;   /* dimension E */
  int64_t *pads; /* owned; [batch] */
  retc_plan_evaluation *evaluation;
} kernel_runner;

static retc_dims dims_of_call(const kernel_runner *runner, int64_t tokens, int64_t logits) {
  int64_t chunk = runner->engine->compilation->plan->chunk_length;
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = runner->options.batch;
  dims.value[RETC_DIM_T] = tokens;
  dims.value[RETC_DIM_L] = logits;
  dims.value[RETC_DIM_P] = runner->position;
  dims.value[RETC_DIM_E] = runner->end;
  dims.value[RETC_DIM_N] = retc_chunk_count(runner->position, tokens, chunk);
  return dims;
}

static retc_status check_step(const kernel_runner *runner, const int64_t *tokens, int64_t token_count,
                              int64_t row_stride, int64_t logit_count, retc_diagnostics *diagnostics) {
  const retc_run_options *options = &runner->options;
  if (token_count < 1 || token_count > options->max_tokens)
    return retc_fail(diagnostics, RETC_INVALID, "tokens: found %lld a row, expected 1..%lld", (long long)token_count,
                     (long long)options->max_tokens);
  int64_t most = token_count < options->max_logits ? token_count : options->max_logits;
  if (logit_count < 1 || logit_count > most)
    return retc_fail(diagnostics, RETC_INVALID, "logits: %lld rows wanted, expected 1..%lld", (long long)logit_count,
                     (long long)most);
  int64_t vocabulary = runner->engine->source->network.vocabulary_size;
  for (int64_t b = 0; b < options->batch; b++) {
    for (int64_t t = 0; t < token_count; t++) {
      int64_t token = tokens[b * row_stride + t];
      if (token >= 0 && token < vocabulary) continue;
      return retc_fail(diagnostics, RETC_INVALID, "token %lld of row %lld: found %lld, expected 0..%lld",
                       (long long)(runner->position + t), (long long)b, (long long)token, (long long)(vocabulary - 1));
    }
  }
  return RETC_OK;
}

/* Programs for rows without padding have no input of that name. */
static retc_status set_pads(kernel_runner *runner, retc_diagnostics *diagnostics) {
  if (retc_plan_find_buffer(runner->engine->compilation->plan, "pads") < 0) return RETC_OK;
  const retc_plan_array array = {RETC_DTYPE_I64, 1, {runner->options.batch}, runner->pads};
  return retc_plan_evaluation_set(runner->evaluation, "pads", &array, diagnostics);
}

static retc_status set_tokens(kernel_runner *runner, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                              retc_diagnostics *diagnostics) {
  int64_t batch = runner->options.batch;
  int64_t *rows = calloc((size_t)(batch * token_count) + 1, sizeof *rows);
  if (!rows) return retc_fail(diagnostics, RETC_FAILED, "tokens: memory refused");
  for (int64_t b = 0; b < batch; b++)
    memcpy(rows + b * token_count, tokens + b * row_stride, (size_t)token_count * sizeof *rows);
  const retc_plan_array array = {RETC_DTYPE_I64, 2, {batch, token_count}, rows};
  retc_status status = retc_plan_evaluation_set(runner->evaluation, "tokens", &array, diagnostics);
  free(rows);
  return status;
}

static retc_status kernel_step(retc_runner *head, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                               int64_t logit_count, retc_diagnostics *diagnostics) {
  kernel_runner *runner = (kernel_runner *)head;
  RETC_TRY(check_step(runner, tokens, token_count, row_stride, logit_count, diagnostics));
  RETC_TRY(set_pads(runner, diagnostics));
  RETC_TRY(set_tokens(runner, tokens, token_count, row_stride, diagnostics));
  const retc_dims dims = dims_of_call(runner, token_count, logit_count);
  RETC_TRY(retc_plan_evaluation_call(runner->evaluation, "step", &dims, diagnostics));
  runner->position += token_count;
  return RETC_OK;
}

static retc_status kernel_state(retc_runner *head, retc_diagnostics *diagnostics) {
  kernel_runner *runner = (kernel_runner *)head;
  RETC_TRY(set_pads(runner, diagnostics));
  const retc_dims dims = dims_of_call(runner, 0, 0);
  return retc_plan_evaluation_call(runner->evaluation, "state", &dims, diagnostics);
}

static const float *kernel_output(const retc_runner *head, const char *name) {
  const kernel_runner *runner = (const kernel_runner *)head;
  retc_plan_array array;
  bool found = retc_plan_evaluation_find(runner->evaluation, name, &array) && array.dtype == RETC_DTYPE_F32;
  return found ? array.data : NULL;
}

static void kernel_reset(retc_runner *head) {
  kernel_runner *runner = (kernel_runner *)head;
  retc_plan_evaluation_reset(runner->evaluation);
  memset(runner->pads, 0, (size_t)runner->options.batch * sizeof *runner->pads);
  runner->position = 0;
  runner->end = RETC_NO_END;
}

static void kernel_set_padding(retc_runner *head, const int64_t *counts) {
  kernel_runner *runner = (kernel_runner *)head;
  memcpy(runner->pads, counts, (size_t)runner->options.batch * sizeof *counts);
}

static void kernel_set_end(retc_runner *head, int64_t position) { ((kernel_runner *)head)->end = position; }

static int64_t kernel_position(const retc_runner *head) { return ((const kernel_runner *)head)->position; }

static void kernel_destroy(retc_runner *head) {
  kernel_runner *runner = (kernel_runner *)head;
  retc_plan_evaluation_destroy(runner->evaluation);
  free(runner->pads);
  free(runner);
}

static retc_status kernel_create(retc_engine *engine, const retc_run_options *options, retc_diagnostics *diagnostics,
                                 retc_runner **out_runner) {
  kernel_runner *runner = calloc(1, sizeof *runner);
  if (!runner) return retc_fail(diagnostics, RETC_FAILED, "session: memory refused");
  runner->engine = engine;
  runner->options = *options;
  runner->end = RETC_NO_END;
  runner->pads = calloc((size_t)options->batch + 1, sizeof *runner->pads);
  const retc_compilation *compilation = engine->compilation;
  retc_status status =
      runner->pads ? retc_plan_evaluation_create(compilation->plan,
                                                 (const retc_kernel *const *)compilation->kernels.items,
                                                 compilation->kernels.count, diagnostics, &runner->evaluation)
                   : retc_fail(diagnostics, RETC_FAILED, "session: memory refused");
  if (status != RETC_OK) {
    kernel_destroy(&runner->head);
    return status;
  }
  retc_plan_evaluation_lend_weights(runner->evaluation, &engine->weights);
  *out_runner = &runner->head;
  return RETC_OK;
}

const retc_runner_verbs retc_kernel_runner_verbs = {
    .create = kernel_create, .destroy = kernel_destroy, .reset = kernel_reset, .position = kernel_position,
    .step = kernel_step, .state = kernel_state, .set_padding = kernel_set_padding,
    .set_end = kernel_set_end, .output = kernel_output};
