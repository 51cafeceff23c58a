/* What the lowerings of retention on a GPU share: one for a token alone, one for any number. A retention becomes a launch
 * of each, of which a call's dimensions leave one without blocks. */
#ifndef RETC_COMPILER_GPU_RETENTION_H
#define RETC_COMPILER_GPU_RETENTION_H

#include "compiler/lower_rows.h"
#include "compiler/retention_pattern.h"

/* Channels are summed in so many parts, each a chain of fma, and these in order; a part of the keys is those of so many,
 * so many at a time. */
enum { RETC_GPU_RETENTION_PARTS = 4, RETC_GPU_RETENTION_KEYS = 64 };

typedef struct retc_gpu_retention {
  retc_retention found;
  retc_rows q, k, v;
} retc_gpu_retention;

/* False for a retention that gives more or less than rows and state, or whose keys are too wide for shared memory. */
bool retc_gpu_retention_describe(retc_lowering *l, retc_gpu_retention *out_retention);
/* The launch for one token a sequence; the other one has no blocks then. */
retc_status retc_gpu_retention_step_lower(retc_lowering *l, const retc_gpu_retention *retention);

#endif
