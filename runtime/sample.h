/* Choosing a token from logits; see retc_sample in retc.h for what is promised. */
#ifndef RETC_RUNTIME_SAMPLE_H
#define RETC_RUNTIME_SAMPLE_H

#include "base/status.h"

enum { RETC_SAMPLE_COUNT_MAX = 1 << 23 };

/* The options as they are, with zeros for what the caller's struct lacks, checked for `count` logits: RETC_INVALID when
 * they are out of range. */
retc_status retc_sampling_read(const retc_sampling *sampling, int64_t count, retc_diagnostics *diagnostics,
                               retc_sampling *out_options);
/* Of one row, with options that were read. RETC_FAILED: a logit is not a number. */
retc_status retc_sample_row(const float *logits, int64_t count, const retc_sampling *options, uint64_t index,
                            retc_diagnostics *diagnostics, int64_t *out_token);
/* Both. */
retc_status retc_sample_token(const float *logits, int64_t count, const retc_sampling *sampling, uint64_t index,
                              retc_diagnostics *diagnostics, int64_t *out_token);
/* The words for a logit that is not a number. */
retc_status retc_sample_fail(int64_t token, retc_diagnostics *diagnostics);

#endif
