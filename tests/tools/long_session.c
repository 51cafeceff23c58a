/* A long text through one compiled session: its memory does not grow, and its end is as exact as the interpreter's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/engine.h"
#include "tests/tools/tool.h"

enum { PIECE = 500, LAST = 50, SETTLED = 10000, GROWTH_KB_MAX = 1024 };
static const double logits_tolerance = 1e-5;

/* Kilobytes of the process that no file backs. */
static long anonymous_memory(void) {
  FILE *stream = fopen("/proc/self/status", "r");
  char line[256];
  long kilobytes = -1;
  while (stream && kilobytes < 0 && fgets(line, sizeof line, stream)) sscanf(line, "RssAnon: %ld kB", &kilobytes);
  if (stream) fclose(stream);
  if (kilobytes < 0) tool_fail("/proc/self/status: no RssAnon");
  return kilobytes;
}

static void check(retc_status status, const retc_diagnostics *diagnostics) {
  if (status != RETC_OK) tool_fail("%s", retc_diagnostics_text(diagnostics));
}

/* Takes all tokens; returns by how many kilobytes the process has grown since the first SETTLED. */
static long feed(retc_runner *runner, const int64_t *tokens, int64_t count, retc_diagnostics *diagnostics) {
  long settled = 0;
  for (int64_t first = 0; first < count; first += PIECE) {
    if (first == SETTLED) settled = anonymous_memory();
    check(retc_runner_step(runner, tokens + first, PIECE, PIECE, LAST, diagnostics), diagnostics);
  }
  return anonymous_memory() - settled;
}

static bool compare(const char *name, const float *found, const float *expected, int64_t count, double tolerance) {
  if (!found) tool_fail("the session has no %s", name);
  double squares = 0, reference = 0;
  for (int64_t i = 0; i < count; i++) {
    squares += ((double)found[i] - expected[i]) * ((double)found[i] - expected[i]);
    reference += (double)expected[i] * expected[i];
  }
  double error = sqrt(squares / reference);
  bool holds = error <= tolerance;
  printf("%s %.2e%s  ", name, error, holds ? "" : " FAILED");
  return holds;
}

/* The end of the interpreter's logits, and its states. */
static bool compare_end(const retc_engine *engine, retc_runner *runner, const char *path, double state_tolerance,
                        retc_diagnostics *diagnostics) {
  retc_checkpoint *reference = tool_open(path);
  const retc_stored_tensor *logits = tool_tensor(reference, path, "logits", RETC_DTYPE_F32, 3);
  int64_t count = LAST * logits->dim[2];
  if (logits->dim[1] != retc_runner_position(runner)) tool_fail("%s: logits of another text", path);
  const float *end = (const float *)logits->data + (logits->count - count);
  bool holds = compare("logits", retc_runner_output(runner, "logits"), end, count, logits_tolerance);
  check(retc_runner_state(runner, diagnostics), diagnostics);
  for (size_t i = 0; i < retc_engine_state_count(engine); i++) {
    retc_shape shape;
    const char *name = retc_engine_state_at(engine, i, &shape);
    const retc_stored_tensor *state = tool_tensor(reference, path, name, RETC_DTYPE_F32, shape.rank);
    holds = compare(name, retc_runner_output(runner, name), state->data, state->count, state_tolerance) && holds;
  }
  retc_checkpoint_destroy(reference);
  return holds;
}

static int64_t *read_tokens(const char *path, int64_t *out_count) {
  retc_checkpoint *file = tool_open(path);
  const retc_stored_tensor *ids = tool_tensor(file, path, "input_ids", RETC_DTYPE_I64, 2);
  if (ids->dim[0] != 1 || ids->dim[1] % PIECE || ids->dim[1] <= SETTLED) {
    tool_fail("%s: expected one row of a multiple of %d tokens, more than %d", path, PIECE, SETTLED);
  }
  *out_count = ids->count;
  int64_t *tokens = malloc((size_t)ids->count * sizeof *tokens);
  if (!tokens) tool_fail("out of memory");
  memcpy(tokens, ids->data, (size_t)ids->count * sizeof *tokens);
  retc_checkpoint_destroy(file);
  return tokens;
}

static int run_check(char **words) {
  retc_diagnostics diagnostics;
  retc_source *source;
  retc_engine *engine;
  retc_runner *runner;
  int64_t count;
  int64_t *tokens = read_tokens(words[1], &count);
  double state_tolerance = tool_number(words[3]);
  retc_diagnostics_init(&diagnostics);
  check(retc_source_open(words[0], &diagnostics, &source), &diagnostics);
  check(retc_engine_create(source, &(retc_engine_options){0}, &diagnostics, &engine), &diagnostics);
  check(retc_runner_create(engine, &(retc_run_options){1, PIECE, LAST}, &diagnostics, &runner), &diagnostics);
  long growth = feed(runner, tokens, count, &diagnostics);
  printf("memory +%ld kB%s  ", growth, growth > GROWTH_KB_MAX ? " FAILED" : "");
  bool holds = compare_end(engine, runner, words[2], state_tolerance, &diagnostics) && growth <= GROWTH_KB_MAX;
  printf("(<= logits %.0e, states %.0e, memory %d kB)\n", logits_tolerance, state_tolerance, GROWTH_KB_MAX);
  retc_runner_destroy(runner);
  retc_engine_destroy(engine);
  retc_source_destroy(source);
  retc_diagnostics_deinit(&diagnostics);
  free(tokens);
  return !holds;
}

int main(int count, char **words) {
  static const tool_command commands[] = {
      {"check", "MODEL TOKENS REFERENCE STATE_TOLERANCE: REFERENCE is from `eval --form session --engine graph`", 4,
       run_check},
  };
  return tool_main(count, words, commands, sizeof commands / sizeof commands[0]);
}
