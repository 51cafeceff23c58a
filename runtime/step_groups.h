/* Steps of an entry, one after the other, of which none touches what another one writes: a thread goes from one to the
 * next without waiting for the others. */
#ifndef RETC_RUNTIME_STEP_GROUPS_H
#define RETC_RUNTIME_STEP_GROUPS_H

#include "base/status.h"
#include "runtime/plan.h"

typedef struct retc_step_groups {
  size_t *first; /* [count + 1]; owned; group g is steps first[g] .. first[g + 1] - 1 */
  size_t count;
} retc_step_groups;

retc_status retc_step_groups_init(retc_step_groups *groups, const retc_plan *plan, const retc_plan_entry *entry,
                                  retc_diagnostics *diagnostics);
void retc_step_groups_deinit(retc_step_groups *groups);

#endif
