/* Lowering for GPUs: what differs from lowering for a CPU. Weights lie in memory as in the file. */
#ifndef RETC_COMPILER_GPU_H
#define RETC_COMPILER_GPU_H

#include "compiler/lower.h"

/* Makes a kernel with a parallel loop one that a GPU runs (gpu_map.c): what is computed, and in which order, stays. Its
 * private buffers become shared memory of a block. Nothing is done to a kernel without a parallel loop. */
void retc_gpu_map(retc_kernel *kernel);

/* What matrix instructions are to work on: where the target asks for it, else f32; and where a region's schedule says so
 * ("bf16" or "f16"). */
retc_dtype retc_gpu_wanted_math(const retc_target_profile *profile);
void retc_gpu_set_math(retc_region *region, retc_dtype math);
retc_dtype retc_gpu_scheduled_math(const retc_region *region);

/* The type that each value has in memory: its own; or that of the products by matrix instructions which alone read it, as
 * they would round it. */
const retc_dtype *retc_gpu_stored_types(const retc_graph *graph, const retc_uses *uses, retc_arena *arena);

/* How many launches a region becomes on a GPU. A call's dimensions leave blocks to one of them, or to two or three, of
 * which later ones read what earlier ones have left. */
int retc_gpu_launches(retc_lowering *l);

/* What the launch at hand does of a region built around a product: all; the rows that others multiply; all else; the plain
 * product of such rows (ir/kernel.h); what is made of its sums. */
typedef enum retc_launch_part {
  RETC_LAUNCH_WHOLE,
  RETC_LAUNCH_ROWS,
  RETC_LAUNCH_WITHOUT_ROWS,
  RETC_LAUNCH_PRODUCT,
  RETC_LAUNCH_RESULTS
} retc_launch_part;
retc_launch_part retc_gpu_launch_part(const retc_lowering *l);
/* Whether the launch at hand, of several, makes this result of the region. */
bool retc_gpu_launch_makes(retc_lowering *l, retc_value result);

static inline bool retc_lower_is_gpu(const retc_lowering *l) { return l->cx->compilation->profile.wave > 0; }

#endif
