/* Every length from one token to behind the third chunk: compiled code against the float64 interpreter. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "compiler/driver/engine.h"

static const char *const models[] = {"fla-tiny", "ts-one-head"};
static const int64_t chunks[] = {1, 2, 5, 16};
enum { MODEL_COUNT = sizeof models / sizeof models[0], CHUNK_COUNT = sizeof chunks / sizeof chunks[0] };
enum { TOKENS_MAX = 3 * 16 + 1 };
static const double tolerance = 1e-5;

typedef struct fixture {
  retc_diagnostics diagnostics;
  retc_source *sources[MODEL_COUNT];
} fixture;

static int open_sources(void **state) {
  fixture *f = calloc(1, sizeof *f);
  *state = f;
  retc_diagnostics_init(&f->diagnostics);
  for (int i = 0; i < MODEL_COUNT; i++) {
    char path[4096];
    snprintf(path, sizeof path, RETC_SOURCE_DIR "/tests/cases/%s", models[i]);
    if (retc_source_open(path, &f->diagnostics, &f->sources[i]) == RETC_OK) continue;
    print_error("%s", retc_diagnostics_text(&f->diagnostics));
    return -1;
  }
  return 0;
}

static int close_sources(void **state) {
  fixture *f = *state;
  for (int i = 0; i < MODEL_COUNT; i++) retc_source_destroy(f->sources[i]);
  retc_diagnostics_deinit(&f->diagnostics);
  free(f);
  return 0;
}

static void check(fixture *f, retc_status status) {
  if (status != RETC_OK) fail_msg("%s", retc_diagnostics_text(&f->diagnostics));
}

/* The two engines of one model, form and chunk length; [1] is the interpreter. */
typedef struct pair {
  fixture *f;
  const char *name;
  retc_engine *engines[2];
} pair;

static pair start(fixture *f, int model, retc_form form, int64_t chunk) {
  pair p = {f, models[model], {NULL, NULL}};
  for (int e = 0; e < 2; e++) {
    const retc_engine_options options = {
        .kind = e == 1 ? RETC_ENGINE_GRAPH : RETC_ENGINE_JIT, .form = form, .chunk_length = chunk, .threads = 1};
    check(f, retc_engine_create(f->sources[model], &options, &f->diagnostics, &p.engines[e]));
  }
  return p;
}

static void stop(pair *p) {
  for (int e = 0; e < 2; e++) retc_engine_destroy(p->engines[e]);
}

/* Of the output `name`, all of its `count` numbers. */
static void compare(const pair *p, retc_runner *const *runners, const char *name, int64_t count, int64_t tokens) {
  const float *found = retc_runner_output(runners[0], name);
  const double *expected = retc_runner_exact(runners[1], name);
  assert_non_null(found);
  assert_non_null(expected);
  double squares = 0, reference = 0;
  for (int64_t i = 0; i < count; i++) {
    squares += (found[i] - expected[i]) * (found[i] - expected[i]);
    reference += expected[i] * expected[i];
  }
  double error = sqrt(squares / reference);
  if (error <= tolerance) return;
  fail_msg("%s: %s after %lld tokens in chunks of %lld: relative error %.2e, expected at most %.0e", p->name, name,
           (long long)tokens, (long long)retc_engine_chunk_length(p->engines[0]), error, tolerance);
}

static void compare_states(const pair *p, retc_runner *const *runners, int64_t tokens) {
  for (int e = 0; e < 2; e++) check(p->f, retc_runner_state(runners[e], &p->f->diagnostics));
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = 1;
  size_t count = retc_engine_state_count(p->engines[0]);
  assert_int_not_equal(count, 0);
  for (size_t i = 0; i < count; i++) {
    retc_shape shape;
    const char *name = retc_engine_state_at(p->engines[0], i, &shape);
    int64_t size = 1;
    for (int k = 0; k < shape.rank; k++) size *= retc_dim_value(shape.dim[k], &dims);
    compare(p, runners, name, size, tokens);
  }
}

static void run_length(const pair *p, const int64_t *tokens, int64_t count) {
  retc_runner *runners[2];
  const retc_run_options options = {1, count, count};
  for (int e = 0; e < 2; e++) {
    check(p->f, retc_runner_create(p->engines[e], &options, &p->f->diagnostics, &runners[e]));
    check(p->f, retc_runner_step(runners[e], tokens, count, count, count, &p->f->diagnostics));
  }
  compare(p, runners, "logits", count * retc_engine_network(p->engines[0])->vocabulary_size, count);
  compare_states(p, runners, count);
  for (int e = 0; e < 2; e++) retc_runner_destroy(runners[e]);
}

static void run_lengths(fixture *f, int model, retc_form form, int64_t chunk, int64_t longest) {
  int64_t tokens[TOKENS_MAX];
  int64_t vocabulary = f->sources[model]->network.vocabulary_size;
  for (int64_t i = 0; i < TOKENS_MAX; i++) tokens[i] = (i * i + 5 * i + 3) % vocabulary;
  pair p = start(f, model, form, chunk);
  for (int64_t count = 1; count <= longest; count++) run_length(&p, tokens, count);
  stop(&p);
}

static void test_form(void **state, retc_form form) {
  for (int model = 0; model < MODEL_COUNT; model++) {
    for (int i = 0; i < CHUNK_COUNT; i++) run_lengths(*state, model, form, chunks[i], 3 * chunks[i] + 1);
  }
}

static void test_sessions(void **state) { test_form(state, RETC_FORM_SESSION); }
static void test_chunkwise(void **state) { test_form(state, RETC_FORM_CHUNKWISE); }

/* Chunks longer than the text, by one token and more. */
static void test_parallel(void **state) {
  for (int model = 0; model < MODEL_COUNT; model++) {
    run_lengths(*state, model, RETC_FORM_PARALLEL, 7, 7);
    run_lengths(*state, model, RETC_FORM_PARALLEL, 33, 17);
  }
}

/* One engine each: the tokens one at a time, as they are generated. */
static void test_single_steps(void **state) {
  fixture *f = *state;
  for (int model = 0; model < MODEL_COUNT; model++) {
    pair p = start(f, model, RETC_FORM_SESSION, 5);
    retc_runner *runners[2];
    const retc_run_options options = {1, 1, 1};
    int64_t vocabulary = f->sources[model]->network.vocabulary_size;
    for (int e = 0; e < 2; e++) check(f, retc_runner_create(p.engines[e], &options, &f->diagnostics, &runners[e]));
    for (int64_t i = 0; i < 16; i++) {
      int64_t token = i * 31 % vocabulary;
      for (int e = 0; e < 2; e++) check(f, retc_runner_step(runners[e], &token, 1, 1, 1, &f->diagnostics));
      compare(&p, runners, "logits", vocabulary, i + 1);
      compare_states(&p, runners, i + 1);
    }
    for (int e = 0; e < 2; e++) retc_runner_destroy(runners[e]);
    stop(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sessions),
      cmocka_unit_test(test_chunkwise),
      cmocka_unit_test(test_parallel),
      cmocka_unit_test(test_single_steps),
  };
  return cmocka_run_group_tests(tests, open_sources, close_sources);
}
