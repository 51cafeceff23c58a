/* include/retc.h with a model on a GPU: hip_api MODEL. In f32 its logits are those of the CPU within 1e-5; in f32 and
 * f16 the bits are the same however the tokens are cut into calls. hip_api --absent MODEL: there is no GPU. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "retc.h"

enum { B = 2, T = 11, CHUNK = 4 };

static retc_context *context;

static void fail(const char *what) {
  fprintf(stderr, "hip_api: %s: %s\n", what, retc_context_message(context));
  exit(1);
}

static void expect(retc_status found, retc_status wanted, const char *what) {
  if (found != wanted) fail(what);
}

static retc_model *open_model(const char *path, const char *target, const char *math, retc_status wanted) {
  const retc_model_options options = {
      .struct_size = sizeof options, .chunk_length = CHUNK, .target = target, .math = math, .weights = math};
  retc_model *model = NULL;
  expect(retc_model_open(context, path, &options, &model), wanted, "opening the model");
  return model;
}

/* Logits [B,T,V] of a new session that is fed `piece` tokens a call. The caller frees them. */
static float *evaluate(retc_model *model, int64_t piece) {
  const int64_t vocabulary = retc_model_vocabulary_size(model);
  const retc_session_options options = {.struct_size = sizeof options, .batch = B, .max_tokens = 8};
  const size_t row = (size_t)vocabulary;
  float *logits = calloc(B * T * row, sizeof *logits), *part = calloc(B * T * row, sizeof *part);
  int64_t tokens[B * T];
  retc_session *session = NULL;
  expect(retc_session_create(model, &options, &session), RETC_OK, "a session");
  for (int64_t first = 0; first < T; first += piece) {
    const int64_t count = T - first < piece ? T - first : piece;
    for (int64_t b = 0; b < B; b++)
      for (int64_t t = 0; t < count; t++) tokens[b * count + t] = (b * T + first + t) * 7919 % vocabulary;
    if (count == 1) expect(retc_session_step(session, tokens), RETC_OK, "a step");
    else expect(retc_session_evaluate(session, tokens, count, part), RETC_OK, "evaluating");
    for (int64_t b = 0; b < B; b++) {
      const float *from = count == 1 ? retc_session_logits(session) + b * vocabulary : part + b * count * vocabulary;
      memcpy(logits + (b * T + first) * vocabulary, from, (size_t)count * row * sizeof *logits);
    }
  }
  retc_session_destroy(session);
  free(part);
  return logits;
}

static void compare(const float *found, const float *expected, size_t count, double most, const char *what) {
  double square = 0, norm = 0;
  for (size_t i = 0; i < count; i++) {
    square += ((double)found[i] - expected[i]) * ((double)found[i] - expected[i]);
    norm += (double)expected[i] * expected[i];
  }
  const double error = sqrt(square / norm);
  printf("%s: relative difference %.2e, at most %.0e\n", what, error, most);
  if (!(error <= most)) fail(what);
}

static void check(const char *path, const char *math, const float *of_cpu) {
  static const int64_t pieces[] = {1, 6};
  retc_model *model = open_model(path, "hip", math, RETC_OK);
  const size_t count = (size_t)(B * T * retc_model_vocabulary_size(model));
  float *whole = evaluate(model, T);
  compare(whole, of_cpu, count, math ? 1e-2 : 1e-5, math ? math : "f32");
  for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
    float *found = evaluate(model, pieces[i]);
    if (memcmp(found, whole, count * sizeof *found)) fail("pieces have other bits");
    free(found);
  }
  free(whole);
  retc_model_destroy(model);
}

int main(int argc, char **argv) {
  expect(retc_context_create(&context), RETC_OK, "a context");
  const char *path = argv[argc - 1];
  open_model(path, "hpi", NULL, RETC_INVALID);
  if (!strstr(retc_context_message(context), "target: found \"hpi\", did you mean \"hip\"?")) fail("the target's name");
  open_model(path, "hip", "int8", RETC_INVALID);
  if (!strstr(retc_context_message(context), "math: found \"int8\"")) fail("the math's name");
  if (argc == 3) {
    open_model(path, "hip", NULL, RETC_FAILED);
    printf("%s\n", retc_context_message(context));
  } else {
    retc_model *cpu = open_model(path, "cpu", NULL, RETC_OK);
    float *expected = evaluate(cpu, T);
    check(path, NULL, expected);
    check(path, "f16", expected);
    free(expected);
    retc_model_destroy(cpu);
  }
  retc_context_destroy(context);
  return 0;
}
