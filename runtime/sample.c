#include "runtime/sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
  float logit;
  int64_t token;
} candidate;

/* The more likely first, of equal ones the lower token. */
static int compare(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
  return (x->token > y->token) - (x->token < y->token);
}

static uint64_t mix(uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
  return bits ^ bits >> 31;
}

/* Uniform in [0, 1), draw `index` of `seed`: splitmix64 as a function of its counter. */
static double uniform(uint64_t seed, uint64_t index) {
  const uint64_t golden = 0x9e3779b97f4a7c15u;
  return (double)(mix(mix(seed + golden) + (index + 1) * golden) >> 11) * 0x1p-53;
}

static retc_status check(const float *logits, int64_t count, const retc_sampling *sampling,
                         retc_diagnostics *diagnostics) {
  if (count < 1) return retc_fail(diagnostics, RETC_INVALID, "sampling: %" PRId64 " logits, expected some", count);
  if (!(sampling->temperature >= 0) || isinf(sampling->temperature)) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: temperature is %g, expected a finite number >= 0",
                     (double)sampling->temperature);
  }
  if (!(sampling->top_p >= 0 && sampling->top_p <= 1)) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: top_p is %g, expected 0 to 1", (double)sampling->top_p);
  }
  if (sampling->top_k < 0) {
    return retc_fail(diagnostics, RETC_INVALID, "sampling: top_k is %" PRId64 ", expected 0 or more", sampling->top_k);
  }
  for (int64_t i = 0; i < count; i++) {
    if (isnan(logits[i])) {
      return retc_fail(diagnostics, RETC_FAILED, "sampling: the logit of token %" PRId64 " is not a number", i);
    }
  }
  return RETC_OK;
}

static int64_t first_maximum(const float *logits, int64_t count) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; i++) {
    if (logits[i] > logits[best]) best = i;
  }
  return best;
}

/* Proportional to the token's probability, 1 for the largest; infinite logits included. */
static double weight(float logit, float largest, double temperature) {
  return logit == largest ? 1 : exp(((double)logit - (double)largest) / temperature);
}

/* Sorts, and returns how many of the candidates top_k and then top_p keep. */
static int64_t keep(candidate *candidates, int64_t count, const retc_sampling *sampling) {
  double temperature = (double)sampling->temperature, top_p = (double)sampling->top_p;
  qsort(candidates, (size_t)count, sizeof *candidates, compare);
  if (sampling->top_k > 0 && sampling->top_k < count) count = sampling->top_k;
  if (top_p == 0 || top_p == 1) return count;
  double total = 0, reached = 0;
  for (int64_t i = 0; i < count; i++) total += weight(candidates[i].logit, candidates[0].logit, temperature);
  for (int64_t i = 0; i < count; i++) {
    reached += weight(candidates[i].logit, candidates[0].logit, temperature);
    if (reached >= top_p * total) return i + 1;
  }
  return count;
}

static int64_t draw(const candidate *candidates, int64_t count, float largest, double temperature, double fraction) {
  double total = 0, reached = 0;
  for (int64_t i = 0; i < count; i++) total += weight(candidates[i].logit, largest, temperature);
  for (int64_t i = 0; i < count; i++) {
    reached += weight(candidates[i].logit, largest, temperature);
    if (reached > fraction * total) return candidates[i].token;
  }
  return candidates[count - 1].token; /* not reached: fraction < 1 and both sums are the same additions */
}

retc_status retc_sample_token(const float *logits, int64_t count, const retc_sampling *sampling, uint64_t index,
                              retc_diagnostics *diagnostics, int64_t *out_token) {
  retc_sampling options = {0};
  if (sampling->struct_size < sizeof sampling->struct_size) {
    return retc_fail(diagnostics, RETC_INVALID, "retc_sampling: struct_size is %zu, expected sizeof(retc_sampling)",
                     sampling->struct_size);
  }
  memcpy(&options, sampling, sampling->struct_size < sizeof options ? sampling->struct_size : sizeof options);
  RETC_TRY(check(logits, count, &options, diagnostics));
  int64_t best = first_maximum(logits, count);
  if (options.temperature == 0) {
    *out_token = best;
    return RETC_OK;
  }
  candidate *candidates = malloc((size_t)count * sizeof *candidates);
  if (!candidates) {
    return retc_fail(diagnostics, RETC_FAILED, "sampling: out of memory for %" PRId64 " logits", count);
  }
  for (int64_t i = 0; i < count; i++) candidates[i] = (candidate){logits[i], i};
  int64_t kept = count;
  if (options.top_k > 0 || (options.top_p > 0 && options.top_p < 1)) kept = keep(candidates, count, &options);
  *out_token = draw(candidates, kept, logits[best], (double)options.temperature, uniform(options.seed, index));
  free(candidates);
  return RETC_OK;
}
