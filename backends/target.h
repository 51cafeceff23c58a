/* What a compiler pass may know of the machine that code is made for. Schedules are computed from it; the choice of
 * sizes may depend on it, results may not. */
#ifndef RETC_BACKENDS_TARGET_H
#define RETC_BACKENDS_TARGET_H

#include <stdbool.h>
#include <stdint.h>

/* What products with weights are computed in; sums are f32 in any case. */
typedef enum retc_math_type { RETC_MATH_F32, RETC_MATH_BF16, RETC_MATH_F16 } retc_math_type;

typedef struct retc_target_profile {
  const char *name;             /* "x86-64-v4", "gfx942", ... */
  int64_t vector_bytes;         /* widest vector register */
  int64_t vector_registers;
  int64_t l1_bytes, l2_bytes;   /* data caches of one core */
  const char *dots;             /* a CPU's dot instructions of less than f32, for people; NULL: unknown */
  int64_t wave;                 /* lanes of a wave of a GPU; 0: it is a CPU */
  retc_math_type math;          /* GPU */
  bool blas;                    /* GPU: products of many rows are kernels that a vendor's BLAS may replace */
  int64_t shared_bytes;         /* GPU: what a block may have of shared memory */
  int64_t units;                /* GPU: what blocks run on, of the largest of the cards */
  bool has_matrix_f32;          /* GPU: some of the cards have matrix instructions on f32 */
  bool has_dot_bf16, has_dot_int8; /* instructions for products of pairs of bf16, of fours of bytes */
  bool has_tiles; /* AMX: matrices of bf16 and int8 in registers; the order of bf16 sums depends on it */
  bool has_multiply_add;           /* ... of pairs of 16-bit integers, of this width */
  int64_t cores;                /* that work is shared out to */
} retc_target_profile;

#endif
