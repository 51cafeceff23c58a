/* What the lowerings of retention on a GPU share. There are one for a token alone and one for any number, in f32 and by
 * matrix instructions, and by these one in two passes too: a retention becomes a launch of each, of which a call's
 * dimensions leave the others without blocks. */
#ifndef RETC_COMPILER_GPU_RETENTION_H
#define RETC_COMPILER_GPU_RETENTION_H

#include "compiler/anchors.h"
#include "compiler/gpu.h"
#include "compiler/lower_rows.h"
#include "compiler/retention_pattern.h"

/* Channels are summed in so many parts, each a chain of fma, and these in order; a part of the keys is those of so
 * many, so many at a time. */
enum { RETC_GPU_RETENTION_PARTS = 4, RETC_GPU_RETENTION_KEYS = 64 };

typedef struct retc_gpu_retention {
  retc_retention found;
  retc_rows q, k, v;
} retc_gpu_retention;

/* False for a retention that gives more or less than rows and state, or whose keys are too wide for shared memory. */
bool retc_gpu_retention_describe(retc_lowering *l, retc_gpu_retention *out_retention);
/* Channel x of row t of this call, rotated where the rows are; of pending row j, which is. */
retc_expr retc_gpu_retention_row(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr t, retc_expr head,
                                 retc_expr x);
retc_expr retc_gpu_retention_pending(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr j, retc_expr head,
                                     retc_expr x);
/* 1 where a call has more than one token a sequence, else 0. */
retc_expr retc_gpu_has_several_tokens(retc_lowering *l);
/* The launch for one token a sequence; the other one has no blocks then. */
retc_status retc_gpu_retention_step_lower(retc_lowering *l, const retc_gpu_retention *retention);

/* By matrix instructions: the type that they are to work on; f32: it is not for them. */
retc_dtype retc_gpu_retention_type(const retc_graph *graph, const retc_node *scan, const retc_target_profile *profile);
void retc_gpu_retention_matrix_schedule(const retc_graph *graph, const retc_node *scan, retc_dtype math,
                                        const retc_target_profile *profile, retc_region *region);
int retc_gpu_retention_matrix_launches(const retc_lowering *l);
/* Whether the launch at hand makes this result of the region. */
bool retc_gpu_retention_makes(retc_lowering *l, retc_value result);
/* The type that the region's schedule says, where its rows lie so, else f32. */
retc_dtype retc_gpu_retention_math(const retc_lowering *l, const retc_gpu_retention *retention);
retc_status retc_gpu_retention_matrix_lower(retc_lowering *l, const retc_gpu_retention *retention, retc_dtype math);

#endif
