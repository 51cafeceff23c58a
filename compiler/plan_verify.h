/* Checks a plan against its kernels: what the steps hand to whom. */
#ifndef RETC_COMPILER_PLAN_VERIFY_H
#define RETC_COMPILER_PLAN_VERIFY_H

#include "ir/kernel.h"
#include "runtime/plan.h"

/* Where a plan is wrong. */
typedef struct retc_plan_place {
  int entry, step; /* step -1: the entry as a whole */
} retc_plan_place;

/* RETC_INTERNAL and the place, naming entry, step and buffer, unless
 *   - every step has a kernel, which is as the plan describes it, and buffers, each of the dtype and shape (packed
 *     weights: of the panels) of the kernel's parameter
 *   - weights, constants and inputs are not written
 *   - scratch and outputs are written by one step of an entry, before the others read them; a state is replaced by one
 *     step at most, and not read after it
 *   - a buffer that a kernel writes is given to it once
 *   - an entry's outputs are written by it, or are what it was given
 *   - buffers of one slot are not in use at the same time: from the first step that has them to the last, an output to
 *     the end (only where buffers have slots, after the pass `memory`)
 * A buffer that a kernel may both read and write counts as written first; retc_kernel_eval sees whether it is. */
retc_status retc_plan_verify(const retc_plan *plan, const retc_kernel *const *kernels, size_t count,
                             retc_diagnostics *diagnostics, retc_plan_place *out_place);

#endif
