/* Does a parallel loop carry a dependence from one iteration to another, as far as the indices show?
 *
 * An index is taken apart into a constant, terms that depend on the loop's variable, and others. Found are
 *   - a store whose place does not depend on the iteration,
 *   - a load of what is stored in the loop whose place does not depend on the iteration,
 *   - accesses that are the same but for a distance of whole iterations: x[i + 1] = x[i].
 * What stands behind a condition that depends on the iteration is left alone, and so is what cannot be told; the
 * interpreter sees those (kernel_eval.h). */
#ifndef RETC_IR_KERNEL_DEPENDENCE_H
#define RETC_IR_KERNEL_DEPENDENCE_H

#include "ir/kernel.h"

typedef struct retc_dependence {
  const retc_statement *statement; /* NULL: none was found */
  const char *buffer;
  const char *problem; /* completes "buffer NAME is ..." */
} retc_dependence;

/* `loop` is a parallel loop of a kernel that is otherwise well formed; `arena` is for the work. */
retc_dependence retc_kernel_find_dependence(const retc_kernel *kernel, const retc_statement *loop, retc_arena *arena);

#endif
