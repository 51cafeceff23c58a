#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/main/verify.h"

/* NULL, with a message, when memory is refused. */
static double *add_array(retc_verify_result *result, const char *name, int64_t rows, int64_t count,
                         retc_diagnostics *diagnostics) {
  bool fits = rows <= INT64_MAX / (int64_t)sizeof(double) / (count ? count : 1);
  double *data = fits ? calloc((size_t)(rows * count) + 1, sizeof *data) : NULL;
  if (data) {
    result->arrays[result->count++] = (retc_verify_array){name, data, rows, count};
  } else {
    retc_fail(diagnostics, RETC_FAILED, "%s: memory refused for %lld x %lld numbers", name, (long long)rows,
              (long long)count);
  }
  return data;
}

/* Output `name` of the last call; float64 where the engine has it. */
static retc_status read_output(const retc_runner *runner, const char *name, int64_t first, int64_t count, double *to,
                               retc_diagnostics *diagnostics) {
  const double *exact = retc_runner_exact(runner, name);
  const float *rounded = retc_runner_output(runner, name);
  if (!exact && !rounded) return retc_fail(diagnostics, RETC_INTERNAL, "%s: the program has no such output", name);
  for (int64_t i = 0; i < count; i++) to[i] = exact ? exact[first + i] : (double)rounded[first + i];
  return RETC_OK;
}

static retc_status read_logits(retc_runner *runner, const retc_verify_input *input, const int64_t *pieces,
                               size_t piece_count, int64_t width, double *out_logits, retc_diagnostics *diagnostics) {
  int64_t first = 0;
  for (size_t piece = 0; first < input->length; piece++) {
    int64_t count = piece_count ? pieces[piece % piece_count] : input->length;
    if (count > input->length - first) count = input->length - first;
    RETC_TRY(retc_runner_step(runner, input->tokens + first, count, input->stride, count, diagnostics));
    for (int64_t b = 0; b < input->batch; b++) {
      RETC_TRY(read_output(runner, "logits", b * count * width, count * width,
                           out_logits + (b * input->length + first) * width, diagnostics));
    }
    first += count;
  }
  return RETC_OK;
}

static retc_status read_states(retc_engine *engine, retc_runner *runner, int64_t batch, retc_verify_result *result,
                               retc_diagnostics *diagnostics) {
  RETC_TRY(retc_runner_state(runner, diagnostics));
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = batch;
  for (size_t i = 0; i < retc_engine_state_count(engine); i++) {
    retc_shape shape;
    const char *name = retc_engine_state_at(engine, i, &shape);
    int64_t total = retc_shape_count(&shape, &dims);
    bool batched = shape.rank > 0 && shape.dim[0] == RETC_NAMED(B);
    double *data = add_array(result, name, batched ? batch : 1, batched ? total / batch : total, diagnostics);
    if (!data) return RETC_FAILED;
    RETC_TRY(read_output(runner, name, 0, total, data, diagnostics));
  }
  return RETC_OK;
}

static retc_status run(retc_engine *engine, retc_runner *runner, const retc_verify_input *input, const int64_t *pieces,
                       size_t piece_count, retc_diagnostics *diagnostics, retc_verify_result *result) {
  int64_t width = retc_engine_network(engine)->vocabulary_size;
  if (input->padding) retc_runner_set_padding(runner, input->padding);
  result->arrays = calloc(retc_engine_state_count(engine) + 1, sizeof *result->arrays);
  if (!result->arrays) return retc_fail(diagnostics, RETC_FAILED, "logits: memory refused");
  double *logits = add_array(result, "logits", input->batch, input->length * width, diagnostics);
  if (!logits) return RETC_FAILED;
  RETC_TRY(read_logits(runner, input, pieces, piece_count, width, logits, diagnostics));
  return read_states(engine, runner, input->batch, result, diagnostics);
}

retc_status retc_verify_run(retc_engine *engine, const retc_verify_input *input, const int64_t *pieces,
                            size_t piece_count, retc_diagnostics *diagnostics, retc_verify_result *out_result) {
  const retc_run_options options = {input->batch, input->length, input->length};
  retc_runner *runner;
  RETC_TRY(retc_runner_create(engine, &options, diagnostics, &runner));
  retc_verify_result result = {0};
  retc_status status = run(engine, runner, input, pieces, piece_count, diagnostics, &result);
  retc_runner_destroy(runner);
  if (status == RETC_OK) {
    *out_result = result;
  } else {
    retc_verify_result_deinit(&result);
  }
  return status;
}

void retc_verify_result_deinit(retc_verify_result *result) {
  for (size_t i = 0; i < result->count; i++) free(result->arrays[i].data);
  free(result->arrays);
  *result = (retc_verify_result){0};
}

static bool same(double a, double b) {
  return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

int64_t retc_verify_count_differences(const retc_verify_result *found, const retc_verify_result *whole, int64_t row) {
  int64_t differences = 0;
  for (size_t i = 0; i < found->count; i++) {
    const retc_verify_array *a = &found->arrays[i], *w = &whole->arrays[i];
    const double *expected = w->data + (w->rows > 1 ? row * w->count : 0);
    for (int64_t j = 0; j < a->rows * a->count; j++) differences += !same(a->data[j], expected[j]);
  }
  return differences;
}
