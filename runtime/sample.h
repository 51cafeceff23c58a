/* Choosing a token from logits; see retc_sample in retc.h for what is promised. */
#ifndef RETC_RUNTIME_SAMPLE_H
#define RETC_RUNTIME_SAMPLE_H

#include "base/status.h"

/* RETC_INVALID: options out of range, no logits. RETC_FAILED: a logit is not a number. */
retc_status retc_sample_token(const float *logits, int64_t count, const retc_sampling *sampling, uint64_t index,
                              retc_diagnostics *diagnostics, int64_t *out_token);

#endif
