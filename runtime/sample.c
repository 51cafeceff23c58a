#include "runtime/sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sample_host.h"

_Static_assert(RETC_SAMPLE_COUNT_MAX == 1 << RETC_SAMPLE_TOKEN_BITS, "a key has room for each token");

typedef struct candidate {
  uint64_t key, weight;
} candidate;

retc_status retc_sampling_read(const retc_sampling *sampling, int64_t count, retc_diagnostics *diagnostics,
                               retc_sampling *out_options) {
  retc_sampling options = {0};
  if (sampling->struct_size < sizeof sampling->struct_size) {
    return retc_fail(diagnostics, RETC_INVALID, "retc_sampling: struct_size is %zu, expected sizeof(retc_sampling)",
                     sampling->struct_size);
  }
  memcpy(&options, sampling, sampling->struct_size < sizeof options ? sampling->struct_size : sizeof options);
  if (count < 1 || count > RETC_SAMPLE_COUNT_MAX) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: %" PRId64 " logits, expected 1 to %d", count,
                     RETC_SAMPLE_COUNT_MAX);
  }
  if (!(options.temperature >= 0) || isinf(options.temperature)) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: temperature is %g, expected a finite number >= 0",
                     (double)options.temperature);
  }
  if (!(options.top_p >= 0 && options.top_p <= 1)) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: top_p is %g, expected 0 to 1", (double)options.top_p);
  }
  if (options.top_k < 0) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: top_k is %" PRId64 ", expected 0 or more", options.top_k);
  }
  *out_options = options;
  return RETC_OK;
}

retc_status retc_sample_fail(int64_t token, retc_diagnostics *diagnostics) {
  return retc_fail(diagnostics, RETC_FAILED, "sampling: the logit of token %" PRId64 " is not a number", token);
}

/* The first NaN's, if there is one. */
static uint64_t largest_key(const float *logits, int64_t count) {
  int64_t best = 0;
  float largest = -INFINITY;
  for (int64_t i = 0; i < count; i++) {
    if (logits[i] <= largest) continue;
    best = i;
    largest = logits[i];
    if (isnan(largest)) break;
  }
  return retc_sample_key(largest, best);
}

/* The largest key that, with all larger ones, weighs as much as the target; keys below `floor` do not count. Without a
 * target it is a share of all. Digit by digit: what the keys with the same digits so far weigh by their next one. */
static uint64_t select_key(const candidate *candidates, int64_t count, uint64_t floor, bool evenly, double share,
                           uint64_t target) {
  enum { DIGIT_BITS = 8, DIGITS = 7, LAST = (1 << DIGIT_BITS) - 1 };
  uint64_t found = 0;
  for (int shift = (DIGITS - 1) * DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
    uint64_t bins[LAST + 1] = {0}, total = 0;
    for (int64_t i = 0; i < count; i++) {
      const uint64_t key = candidates[i].key, weight = evenly ? 1 : candidates[i].weight;
      if (key < floor || key >> shift >> DIGIT_BITS != found) continue;
      bins[key >> shift & LAST] += weight;
      total += weight;
    }
    if (!target) target = retc_sample_target(share, total);
    uint64_t digit = LAST;
    while (bins[digit] < target) target -= bins[digit--];
    found = found << DIGIT_BITS | digit;
  }
  return found;
}

static uint64_t draw_key(const candidate *candidates, int64_t count, const retc_sampling *options, uint64_t index) {
  const uint64_t top_k = (uint64_t)options->top_k;
  const double top_p = (double)options->top_p;
  uint64_t floor = 0;
  if (top_k > 0 && top_k < (uint64_t)count) floor = select_key(candidates, count, floor, true, 0, top_k);
  if (top_p > 0 && top_p < 1) floor = select_key(candidates, count, floor, false, top_p, 0);
  return select_key(candidates, count, floor, false, retc_sample_uniform(options->seed, index), 0);
}

retc_status retc_sample_row(const float *logits, int64_t count, const retc_sampling *options, uint64_t index,
                            retc_diagnostics *diagnostics, int64_t *out_token) {
  uint64_t key = largest_key(logits, count);
  if (!retc_sample_is_number(key)) return retc_sample_fail(retc_sample_token_of(key), diagnostics);
  if (options->temperature != 0) {
    const float largest = logits[retc_sample_token_of(key)];
    candidate *candidates = malloc((size_t)count * sizeof *candidates);
    if (!candidates) {
      return retc_fail(diagnostics, RETC_FAILED, "sampling: out of memory for %" PRId64 " logits", count);
    }
    for (int64_t i = 0; i < count; i++) {
      candidates[i] = (candidate){retc_sample_key(logits[i], i),
                                  retc_sample_weight(logits[i], largest, options->temperature)};
    }
    key = draw_key(candidates, count, options, index);
    free(candidates);
  }
  *out_token = retc_sample_token_of(key);
  return RETC_OK;
}

retc_status retc_sample_token(const float *logits, int64_t count, const retc_sampling *sampling, uint64_t index,
                              retc_diagnostics *diagnostics, int64_t *out_token) {
  retc_sampling options;
  RETC_TRY(retc_sampling_read(sampling, count, diagnostics, &options));
  return retc_sample_row(logits, count, &options, index, diagnostics, out_token);
}
