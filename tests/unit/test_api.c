/* include/retc.h on a small model, and the two engines behind it against each other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/driver/engine.h"
#include "retc.h"

#define MODEL RETC_SOURCE_DIR "/tests/cases/fla-mqa"
enum { B = 2, T = 150 };

typedef struct fixture {
  retc_context *context;
  retc_model *model;
  int64_t vocabulary;
  int64_t tokens[B * T];
} fixture;

static int open_model(void **state) {
  fixture *f = calloc(1, sizeof *f);
  *state = f;
  const retc_model_options options = {.struct_size = sizeof options, .chunk_length = 16, .threads = 2};
  if (retc_context_create(&f->context) != RETC_OK) return -1;
  if (retc_model_open(f->context, MODEL, &options, &f->model) != RETC_OK) {
    print_error("%s", retc_context_message(f->context));
    return -1;
  }
  f->vocabulary = retc_model_vocabulary_size(f->model);
  for (int i = 0; i < B * T; i++) f->tokens[i] = i * 7919 % f->vocabulary;
  return 0;
}

static int close_model(void **state) {
  fixture *f = *state;
  retc_model_destroy(f->model);
  retc_context_destroy(f->context);
  free(f);
  return 0;
}

static retc_session *start(const fixture *f, int64_t max_tokens) {
  const retc_session_options options = {.struct_size = sizeof options, .batch = B, .max_tokens = max_tokens};
  retc_session *session = NULL;
  assert_int_equal(retc_session_create(f->model, &options, &session), RETC_OK);
  return session;
}

/* All logits of a session that takes at most max_tokens at once. The caller frees them. */
static float *evaluate(const fixture *f, int64_t max_tokens) {
  retc_session *session = start(f, max_tokens);
  size_t row = (size_t)f->vocabulary;
  float *logits = malloc(B * T * row * sizeof *logits);
  assert_int_equal(retc_session_evaluate(session, f->tokens, T, logits), RETC_OK);
  assert_int_equal(retc_session_position(session), T);
  for (size_t b = 0; b < B; b++) {
    assert_memory_equal(retc_session_logits(session) + b * row, logits + (b * T + T - 1) * row, row * sizeof *logits);
  }
  retc_session_destroy(session);
  return logits;
}

static void test_pieces_give_the_same_bits(void **state) {
  const fixture *f = *state;
  float *expected = evaluate(f, 0);
  static const int64_t pieces[] = {1, 7, 64, 149};
  for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
    float *found = evaluate(f, pieces[i]);
    assert_memory_equal(found, expected, (size_t)(B * T * f->vocabulary) * sizeof *found);
    free(found);
  }
  free(expected);
}

static void test_prefill_then_steps(void **state) {
  const fixture *f = *state;
  float *expected = evaluate(f, 0);
  retc_session *session = start(f, 10);
  assert_null(retc_session_logits(session));
  int64_t prompt[B * 33], step[B];
  for (int b = 0; b < B; b++) memcpy(prompt + b * 33, f->tokens + b * T, 33 * sizeof *prompt);
  assert_int_equal(retc_session_prefill(session, prompt, 33), RETC_OK);
  for (int64_t t = 33; t < 40; t++) {
    for (int b = 0; b < B; b++) step[b] = f->tokens[b * T + t];
    assert_int_equal(retc_session_step(session, step), RETC_OK);
    assert_int_equal(retc_session_position(session), t + 1);
    for (int b = 0; b < B; b++) {
      assert_memory_equal(retc_session_logits(session) + b * f->vocabulary,
                          expected + (b * T + t) * f->vocabulary, (size_t)f->vocabulary * sizeof *expected);
    }
  }
  retc_session_reset(session);
  assert_int_equal(retc_session_position(session), 0);
  assert_null(retc_session_logits(session));
  for (int b = 0; b < B; b++) step[b] = f->tokens[b * T];
  assert_int_equal(retc_session_step(session, step), RETC_OK);
  assert_memory_equal(retc_session_logits(session), expected, (size_t)f->vocabulary * sizeof *expected);
  retc_session_destroy(session);
  free(expected);
}

static void test_refused_tokens_change_nothing(void **state) {
  const fixture *f = *state;
  retc_session *session = start(f, 4);
  int64_t tokens[B * 9] = {0};
  assert_int_equal(retc_session_prefill(session, tokens, 9), RETC_OK);
  float before = retc_session_logits(session)[0];
  tokens[B * 9 - 1] = f->vocabulary; /* in the last piece of the last row */
  assert_int_equal(retc_session_prefill(session, tokens, 9), RETC_INVALID);
  assert_non_null(strstr(retc_context_message(f->context), "tokens[1,8] is"));
  tokens[B * 9 - 1] = -1;
  assert_int_equal(retc_session_prefill(session, tokens, 9), RETC_INVALID);
  assert_int_equal(retc_session_prefill(session, tokens, 0), RETC_INVALID);
  assert_int_equal(retc_session_prefill(session, tokens, INT64_MAX), RETC_INVALID);
  assert_int_equal(retc_session_position(session), 9);
  assert_true(retc_session_logits(session)[0] == before);
  retc_session_destroy(session);
}

static void test_options(void **state) {
  const fixture *f = *state;
  retc_model *model;
  retc_session *session;
  assert_int_equal(retc_model_chunk_length(f->model), 16);
  assert_int_equal(retc_model_open(f->context, RETC_SOURCE_DIR "/absent", NULL, &model), RETC_INVALID);
  assert_non_null(strstr(retc_context_message(f->context), "/absent"));
  assert_int_equal(retc_model_open(f->context, MODEL "/config.json", NULL, &model), RETC_INVALID);
  assert_non_null(strstr(retc_context_message(f->context), "no weights"));
  assert_int_equal(retc_model_open(f->context, MODEL, &(retc_model_options){0}, &model), RETC_INVALID);
  assert_non_null(strstr(retc_context_message(f->context), "struct_size"));
  const retc_model_options long_chunk = {.struct_size = sizeof long_chunk, .chunk_length = (1 << 20) + 1};
  assert_int_equal(retc_model_open(f->context, MODEL, &long_chunk, &model), RETC_INVALID);
  assert_non_null(strstr(retc_context_message(f->context), "chunk_length is 1048577"));
  /* A struct that ends before max_tokens: what lies behind it is not read. */
  const retc_session_options shorter = {.struct_size = offsetof(retc_session_options, max_tokens), .max_tokens = -1};
  assert_int_equal(retc_session_create(f->model, &shorter, &session), RETC_OK);
  assert_string_equal(retc_context_message(f->context), "");
  retc_session_destroy(session);
  const retc_session_options negative = {.struct_size = sizeof negative, .batch = -1};
  assert_int_equal(retc_session_create(f->model, &negative, &session), RETC_INVALID);
}

static double difference(const float *a, const float *b, size_t count) {
  double square = 0, norm = 0;
  for (size_t i = 0; i < count; i++) {
    square += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    norm += (double)b[i] * b[i];
  }
  return sqrt(square / norm);
}

/* Both engines take the tokens in uneven pieces across chunks; logits and states agree after each. */
static void test_engines_agree(void **state) {
  const fixture *f = *state;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_source *source;
  retc_engine *engines[2];
  retc_runner *runners[2];
  const retc_run_options run = {B, 21, 21};
  assert_int_equal(retc_source_open(MODEL, &diagnostics, &source), RETC_OK);
  for (int e = 0; e < 2; e++) {
    const retc_engine_options options = {
        .kind = e == 1 ? RETC_ENGINE_GRAPH : RETC_ENGINE_JIT, .chunk_length = 8, .threads = 1};
    assert_int_equal(retc_engine_create(source, &options, &diagnostics, &engines[e]), RETC_OK);
    assert_int_equal(retc_runner_create(engines[e], &run, &diagnostics, &runners[e]), RETC_OK);
  }
  const retc_network *network = retc_engine_network(engines[0]);
  size_t state_size = (size_t)(B * network->heads * network->key_width * network->value_width);
  static const int64_t pieces[] = {3, 5, 1, 21, 1, 8};
  int64_t first = 0;
  for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
    const float *logits[2], *states[2];
    for (int e = 0; e < 2; e++) {
      assert_int_equal(retc_runner_step(runners[e], f->tokens + first, pieces[i], T, pieces[i], &diagnostics), RETC_OK);
      logits[e] = retc_runner_output(runners[e], "logits");
    }
    assert_true(difference(logits[0], logits[1], (size_t)(B * pieces[i] * f->vocabulary)) < 1e-5);
    for (int e = 0; e < 2; e++) {
      assert_int_equal(retc_runner_state(runners[e], &diagnostics), RETC_OK);
      states[e] = retc_runner_output(runners[e], "state_0");
    }
    assert_true(difference(states[0], states[1], state_size) < 1e-5);
    first += pieces[i];
  }
  for (int e = 0; e < 2; e++) {
    assert_int_equal(retc_runner_position(runners[e]), first);
    assert_int_equal(retc_runner_step(runners[e], f->tokens, 22, T, 1, &diagnostics), RETC_INVALID);
    retc_runner_destroy(runners[e]);
    retc_engine_destroy(engines[e]);
  }
  retc_source_destroy(source);
  retc_diagnostics_deinit(&diagnostics);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces_give_the_same_bits),
      cmocka_unit_test(test_prefill_then_steps),
      cmocka_unit_test(test_refused_tokens_change_nothing),
      cmocka_unit_test(test_options),
      cmocka_unit_test(test_engines_agree),
  };
  return cmocka_run_group_tests(tests, open_model, close_model);
}
