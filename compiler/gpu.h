/* Lowering for GPUs: what differs from lowering for a CPU. Weights lie in memory as in the file. */
#ifndef RETC_COMPILER_GPU_H
#define RETC_COMPILER_GPU_H

#include "compiler/lower.h"

/* Makes a kernel with a parallel loop one that a GPU runs (gpu_map.c): what is computed, and in which order, stays. Its
 * private buffers become shared memory of a block. Nothing is done to a kernel without a parallel loop. */
void retc_gpu_map(retc_kernel *kernel);

/* How many launches a region becomes on a GPU. A call's dimensions leave blocks to one of them, or to two, the later of
 * which reads what the earlier one has left. */
int retc_gpu_launches(retc_lowering *l);

/* Whether the launch at hand is a plain product (ir/kernel.h), which reads rows that the one before has left. */
bool retc_gpu_is_plain_product(const retc_lowering *l);

static inline bool retc_lower_is_gpu(const retc_lowering *l) { return l->cx->compilation->profile.wave > 0; }

#endif
