/* Runs the entries of a compiled program with the kernel interpreter, in memory of its own: a second opinion on what
 * runtime/run.c does with the plan, and on the plan.
 *
 * Beyond what retc_kernel_eval checks: buffers that share a slot share its memory, which knows of each byte what buffer
 * it was written as, so that a buffer which is read after another took its place is an error that names both; and an
 * output must be written whole. Buffers without a slot (before the pass `memory`) have memory of their own.
 *
 * A program need not be a language model: arrays go in and come out by name, in the plan's dtypes and shapes. */
#ifndef RETC_COMPILER_PLAN_EVAL_H
#define RETC_COMPILER_PLAN_EVAL_H

#include "ir/kernel.h"
#include "runtime/plan.h"
#include "runtime/weights.h"

typedef struct retc_plan_evaluation retc_plan_evaluation;

/* Row-major, without gaps. */
typedef struct retc_plan_array {
  retc_dtype dtype;
  int rank;
  int64_t dim[RETC_RANK_MAX];
  const void *data;
} retc_plan_array;

/* `plan` and `kernels`, which are found by name, must outlive the evaluation. RETC_INTERNAL: the plan wants a kernel
 * that is not there, or one with another number of parameters; retc_plan_verify says more. */
retc_status retc_plan_evaluation_create(const retc_plan *plan, const retc_kernel *const *kernels, size_t count,
                                        retc_diagnostics *diagnostics, retc_plan_evaluation **out_evaluation);
void retc_plan_evaluation_destroy(retc_plan_evaluation *evaluation);

/* Takes all weights from those that the runtime loaded for this plan; they must outlive the evaluation. */
void retc_plan_evaluation_lend_weights(retc_plan_evaluation *evaluation, const retc_weights *weights);
/* Copies the array into the weight, input or state called `name`. A weight is given as a file has it: it is converted
 * to the plan's dtype and packed into its layout. An input or state has the plan's dtype and stays until it is set
 * again; the named dimensions of its shape are compared in the call. RETC_INVALID: no such buffer, another dtype or
 * shape. */
retc_status retc_plan_evaluation_set(retc_plan_evaluation *evaluation, const char *name, const retc_plan_array *array,
                                     retc_diagnostics *diagnostics);

/* Runs an entry. All named dimensions and scalars that the entry's kernels use are in `dims`. States are what the call
 * before left, zero at first. RETC_INVALID: no such entry, an input or weight that was never set or is not of the shape
 * that `dims` give it, a state left by a call with other dimensions. RETC_FAILED: what the interpreter found, with the
 * step; the states are then undefined. */
retc_status retc_plan_evaluation_call(retc_plan_evaluation *evaluation, const char *entry, const retc_dims *dims,
                                      retc_diagnostics *diagnostics);
/* All states are zero again, of any dimensions. */
void retc_plan_evaluation_reset(retc_plan_evaluation *evaluation);

/* An output of the last call, or a state after it, lent until the next call or reset; false when there is none of this
 * name. */
bool retc_plan_evaluation_find(const retc_plan_evaluation *evaluation, const char *name, retc_plan_array *out_array);

#endif
