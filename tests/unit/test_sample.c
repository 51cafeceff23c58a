/* Choosing tokens: greedy, by probability, filtered, in order, and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/sample.h"
#include "runtime/sample_host.h" /* where a draw falls, which is not part of the interface */

static retc_diagnostics diagnostics;

static int setup(void **state) {
  (void)state;
  retc_diagnostics_init(&diagnostics);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  retc_diagnostics_deinit(&diagnostics);
  return 0;
}

static void assert_refused(retc_status status, retc_status expected, const char *words) {
  const char *message = retc_diagnostics_text(&diagnostics);
  assert_int_equal(status, expected);
  if (!strstr(message, words)) fail_msg("\"%s\" expected in \"%s\"", words, message);
  retc_diagnostics_clear(&diagnostics);
}

static int64_t draw(const float *logits, int64_t count, retc_sampling sampling, uint64_t index) {
  int64_t token = -1;
  sampling.struct_size = sizeof sampling;
  assert_int_equal(retc_sample_token(logits, count, &sampling, index, &diagnostics, &token), RETC_OK);
  assert_in_range(token, 0, count - 1);
  return token;
}

static void greedy_takes_the_first_maximum(void **state) {
  (void)state;
  const float logits[] = {-1, 3, 2, 3}, all_low[] = {-INFINITY, -INFINITY};
  assert_int_equal(draw(logits, 4, (retc_sampling){0}, 9), 1);
  assert_int_equal(draw(all_low, 2, (retc_sampling){0}, 9), 0);
  retc_sampling shorter = {.struct_size = sizeof(size_t), .temperature = 5};
  int64_t token;
  for (uint64_t i = 0; i < 50; i++) {
    assert_int_equal(retc_sample_token(logits, 4, &shorter, i, &diagnostics, &token), RETC_OK);
    assert_int_equal(token, 1);
  }
}

static void draws_follow_the_probabilities(void **state) {
  (void)state;
  enum { DRAWS = 40000 };
  const float logits[] = {logf(0.1f), logf(0.4f), logf(0.2f), logf(0.3f)};
  const double expected[] = {0.1, 0.4, 0.2, 0.3};
  int counts[4] = {0};
  retc_sampling sampling = {.temperature = 1, .seed = 7};
  for (uint64_t i = 0; i < DRAWS; i++) counts[draw(logits, 4, sampling, i)]++;
  for (int i = 0; i < 4; i++) assert_true(fabs(counts[i] / (double)DRAWS - expected[i]) < 0.01);
  /* At temperature 1/2 probabilities are squared: 0.01 0.16 0.04 0.09 of 0.3. */
  int likely = 0;
  sampling.temperature = 0.5f;
  for (uint64_t i = 0; i < DRAWS; i++) likely += draw(logits, 4, sampling, i) == 1;
  assert_true(fabs(likely / (double)DRAWS - 0.16 / 0.3) < 0.01);
}

static unsigned tokens_seen(const float *logits, int64_t count, retc_sampling sampling) {
  unsigned seen = 0;
  for (uint64_t i = 0; i < 3000; i++) seen |= 1u << draw(logits, count, sampling, i);
  return seen;
}

static void filters_keep_the_likely(void **state) {
  (void)state;
  const float logits[] = {logf(0.1f), logf(0.4f), logf(0.2f), logf(0.3f)}, equal[] = {1, 1, 1, 1};
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1}), 15);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_k = 9}), 15);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_k = 1}), 2);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_k = 3}), 2 | 8 | 4);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_p = 1}), 15);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_p = 0.39f}), 2);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_p = 0.41f}), 2 | 8);
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_p = 0.95f}), 15);
  /* top_p is of what top_k left: 0.4 / 0.7 = 0.57. */
  assert_int_equal(tokens_seen(logits, 4, (retc_sampling){.temperature = 1, .top_k = 2, .top_p = 0.55f}), 2);
  assert_int_equal(tokens_seen(equal, 4, (retc_sampling){.temperature = 1, .top_k = 2}), 1 | 2);
  assert_int_equal(tokens_seen(equal, 4, (retc_sampling){.temperature = 1, .top_p = 0.75f}), 1 | 2 | 4);
}

static void weights_are_exponentials(void **state) {
  (void)state;
  const float temperatures[] = {0.3f, 1, 7, 1e6f};
  for (int i = 1; i < 20000; i++) {
    const float logit = (float)-i * 0.01f, temperature = temperatures[i % 4];
    const double exact = exp((double)logit / (double)temperature) * 0x1p40;
    const double weight = (double)retc_sample_weight(logit, 0, temperature);
    if (fabs(weight - exact) > 1 + 4e-6 * exact) fail_msg("%g at %g: %g, not %g", logit, temperature, weight, exact);
  }
}

typedef struct candidate {
  float logit;
  int64_t token;
} candidate;

static int compare(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
  return (x->token > y->token) - (x->token < y->token);
}

/* Of tokens in order of likelihood the one that the draw falls on, by sorting, and sums in floating point. */
static void draws_follow_the_order(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static const retc_sampling all[] = {{.temperature = 1}, {.temperature = 2, .top_k = 40},
                                      {.temperature = 3, .top_p = 0.9f},
                                      {.temperature = 1, .top_k = 2000, .top_p = 0.5f}};
  float logits[COUNT];
  candidate sorted[COUNT];
  for (int i = 0; i < COUNT; i++) {
    logits[i] = (float)(i * 7919 % 1000) * 0.012f;
    sorted[i] = (candidate){logits[i], i};
  }
  qsort(sorted, COUNT, sizeof *sorted, compare);
  for (size_t a = 0; a < sizeof all / sizeof *all; a++) {
    double sums[COUNT + 1] = {0};
    int kept = all[a].top_k ? (int)all[a].top_k : COUNT, last = 0;
    for (int i = 0; i < kept; i++) {
      sums[i + 1] = sums[i] + exp(((double)sorted[i].logit - (double)sorted[0].logit) / (double)all[a].temperature);
    }
    if (all[a].top_p > 0) {
      while (sums[last] < (double)all[a].top_p * sums[kept]) last++;
      kept = last;
    }
    for (uint64_t index = 0; index < 200; index++) {
      const int64_t token = draw(logits, COUNT, all[a], index);
      const double part = retc_sample_uniform(all[a].seed, index) * sums[kept];
      int place = 0;
      while (sorted[place].token != token) place++;
      assert_true(place < kept);
      assert_true(part > sums[place] - 1e-4 && part < sums[place + 1] + 1e-4);
    }
  }
}

static void draws_are_pure_functions(void **state) {
  (void)state;
  float logits[32] = {0};
  retc_sampling sampling = {.temperature = 1, .seed = 1}, other = {.temperature = 1, .seed = 2};
  int different_index = 0, different_seed = 0;
  for (uint64_t i = 0; i < 100; i++) {
    int64_t token = draw(logits, 32, sampling, i);
    assert_int_equal(token, draw(logits, 32, sampling, i));
    different_index += token != draw(logits, 32, sampling, i + 1);
    different_seed += token != draw(logits, 32, other, i);
  }
  assert_true(different_index > 80 && different_seed > 80);
}

static void odd_logits_and_options(void **state) {
  (void)state;
  const float infinite[] = {0, INFINITY, 1, INFINITY}, broken[] = {0, NAN}, low[] = {-INFINITY, 0, -INFINITY};
  const float fine[] = {0, 1};
  assert_int_equal(tokens_seen(infinite, 4, (retc_sampling){.temperature = 1}), 2 | 8);
  assert_int_equal(tokens_seen(low, 3, (retc_sampling){.temperature = 1, .top_p = 0.9f}), 2);
  assert_int_equal(tokens_seen(fine, 2, (retc_sampling){.temperature = 1e-45f}), 2);
  static const struct {
    retc_sampling sampling;
    const char *words;
  } bad[] = {
      {{.temperature = -1}, "temperature"},
      {{.temperature = NAN}, "temperature"},
      {{.temperature = INFINITY}, "temperature"},
      {{.top_p = -0.1f}, "top_p"},
      {{.top_p = 1.1f}, "top_p"},
      {{.top_p = NAN}, "top_p"},
      {{.top_k = -1}, "top_k"},
  };
  int64_t token;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    retc_sampling sampling = bad[i].sampling;
    sampling.struct_size = sizeof sampling;
    assert_refused(retc_sample_token(fine, 2, &sampling, 0, &diagnostics, &token), RETC_INVALID, bad[i].words);
  }
  retc_sampling greedy = {.struct_size = sizeof greedy};
  assert_refused(retc_sample_token(broken, 2, &greedy, 0, &diagnostics, &token), RETC_FAILED, "token 1");
  retc_sampling sizeless = {.temperature = 1};
  assert_refused(retc_sample_token(fine, 2, &sizeless, 0, &diagnostics, &token), RETC_INVALID, "struct_size");
  assert_refused(retc_sample_token(fine, 0, &greedy, 0, &diagnostics, &token), RETC_INVALID, "logits");
  assert_refused(retc_sample_token(fine, RETC_SAMPLE_COUNT_MAX + 1, &greedy, 0, &diagnostics, &token), RETC_INVALID,
                 "expected 1 to 8388608");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(greedy_takes_the_first_maximum),
      cmocka_unit_test(draws_follow_the_probabilities),
      cmocka_unit_test(filters_keep_the_likely),
      cmocka_unit_test(weights_are_exponentials),
      cmocka_unit_test(draws_follow_the_order),
      cmocka_unit_test(draws_are_pure_functions),
      cmocka_unit_test(odd_logits_and_options),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
