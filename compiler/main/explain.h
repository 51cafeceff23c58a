/* The parts of `retc explain`. */
#ifndef RETC_MAIN_EXPLAIN_H
#define RETC_MAIN_EXPLAIN_H

#include "compiler/main/build.h"

/* Prints, for each GPU that the build is for, the kernels of the entry "step" in a call of `batch` rows of `tokens`
 * tokens: launches, blocks, threads, shared memory, occupancy, and the least time by the card's peaks and bandwidth. */
retc_status retc_explain_hip(const retc_build *build, int64_t batch, int64_t tokens, retc_diagnostics *diagnostics);

#endif
