/* The kernel interpreter: runs the statements in the order written, in the declared types, one rounding an operation.
 * Slow and obvious; it is the definition of what a kernel computes, and compiled code equals it bit for bit.
 *
 * Checked while running, each RETC_FAILED with the kernel, the statement and the values of its loop variables:
 *   - every index is within its axis, of parameters and of own buffers alike
 *   - every element read has been written (own buffers, and parameters that have `writer`)
 *   - iterations of a parallel loop are independent: none writes what another reads or writes
 *   - lanes of a block touch shared memory in conflict only with a barrier between
 *   - a barrier is reached by all lanes of a block */
#ifndef RETC_IR_KERNEL_EVAL_H
#define RETC_IR_KERNEL_EVAL_H

#include "ir/kernel.h"

/* The memory of one parameter, row-major in the buffer's dtype with the named dimensions bound. */
typedef struct retc_kernel_memory {
  void *data;
  int64_t bytes;    /* that may be touched; at least those of the shape */
  uint32_t *writer; /* one a byte: who wrote it last, 0 nobody; NULL: all of it counts as written, by whomever */
  uint32_t id;      /* left in `writer` by stores; an element whose bytes say otherwise is not defined for loads. Memory
                       that two buffers share is so seen to be read by the wrong one */
  const char *const *names; /* of all that `writer` may hold, for messages; NULL: they have none */
} retc_kernel_memory;

/* memories[i] is the i-th global buffer's. What a parallel loop is split over does not matter: all of it runs. */
retc_status retc_kernel_eval(const retc_kernel *kernel, const retc_dims *dims, const retc_kernel_memory *memories,
                             size_t count, retc_diagnostics *diagnostics);

#endif
