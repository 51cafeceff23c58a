/* Which steps of an entry have to wait for which: those alone that meet in memory, so that a GPU runs others side by
 * side. */
#ifndef RETC_RUNTIME_HIP_ORDER_H
#define RETC_RUNTIME_HIP_ORDER_H

#include "base/status.h"
#include "runtime/plan.h"

typedef struct retc_hip_order retc_hip_order;

retc_status retc_hip_order_create(const retc_plan *plan, const retc_plan_entry *entry, retc_diagnostics *diagnostics,
                                  retc_hip_order **out_order);
void retc_hip_order_destroy(retc_hip_order *order);
/* The steps added before that step `step`, one behind them in the entry, has to wait for: none that another one of them
 * waits for. Lent until the next call. */
const int *retc_hip_order_add(retc_hip_order *order, size_t step, size_t *out_count);

#endif
