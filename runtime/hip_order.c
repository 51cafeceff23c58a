#include "runtime/hip_order.h"

#include <stdlib.h>
#include <string.h>

/* A piece of memory that buffers share: the last step that wrote it, and those that have read it since. */
typedef struct place {
  int writer; /* -1: none */
  int *readers;
  size_t reader_count;
} place;

struct retc_hip_order {
  const retc_plan *plan;
  const retc_plan_entry *entry;
  place *places;
  int *readers;     /* of all places */
  bool *touched;    /* of each buffer: by an earlier step */
  bool *waits;      /* [step][step]: it comes after that one, directly or not */
  bool *covered;    /* of each step: one found waits for it */
  int *found;
};

/* Each place gets room for as many readers as steps touch it. */
static void share_readers(retc_hip_order *order) {
  for (size_t i = 0; i < order->entry->steps.count; i++) {
    const retc_plan_step *step = &order->entry->steps.items[i];
    for (int k = 0; k < order->plan->kernels.items[step->kernel].buffer_count; k++) {
      const int at = retc_plan_room(order->plan, step->buffers[k]);
      if (at >= 0) order->places[at].reader_count++;
    }
  }
  int *next = order->readers;
  for (size_t i = 0; i < retc_plan_room_count(order->plan); i++) {
    order->places[i].writer = -1;
    order->places[i].readers = next;
    next += order->places[i].reader_count;
    order->places[i].reader_count = 0;
  }
}

static size_t count_touches(const retc_plan *plan, const retc_plan_entry *entry) {
  size_t count = 0;
  for (size_t i = 0; i < entry->steps.count; i++) {
    count += (size_t)plan->kernels.items[entry->steps.items[i].kernel].buffer_count;
  }
  return count;
}

retc_status retc_hip_order_create(const retc_plan *plan, const retc_plan_entry *entry, retc_diagnostics *diagnostics,
                                  retc_hip_order **out_order) {
  const size_t steps = entry->steps.count + 1, touches = count_touches(plan, entry) + 1;
  retc_hip_order *order = *out_order = calloc(1, sizeof *order);
  if (order) {
    *order = (retc_hip_order){.plan = plan, .entry = entry};
    order->places = calloc(retc_plan_room_count(plan) + 1, sizeof *order->places);
    order->readers = calloc(touches, sizeof *order->readers);
    order->touched = calloc(plan->buffers.count + 1, sizeof *order->touched);
    order->waits = calloc(steps * steps, sizeof *order->waits);
    order->covered = calloc(steps, sizeof *order->covered);
    order->found = calloc(steps, sizeof *order->found);
  }
  if (!order || !order->places || !order->readers || !order->touched || !order->waits || !order->covered ||
      !order->found) {
    retc_hip_order_destroy(order);
    *out_order = NULL;
    return retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  }
  share_readers(order);
  return RETC_OK;
}

void retc_hip_order_destroy(retc_hip_order *order) {
  if (!order) return;
  free(order->places);
  free(order->readers);
  free(order->touched);
  free(order->waits);
  free(order->covered);
  free(order->found);
  free(order);
}

static void wait_for(retc_hip_order *order, size_t step, int other) {
  if (other >= 0 && (size_t)other != step) order->waits[step * order->entry->steps.count + (size_t)other] = true;
}

static void visit_buffer(retc_hip_order *order, size_t step, int buffer) {
  const int number = retc_plan_room(order->plan, buffer);
  if (number < 0) return;
  place *at = &order->places[number];
  const bool writes = retc_plan_writes(order->plan, buffer, order->touched);
  wait_for(order, step, at->writer);
  order->touched[buffer] = true;
  if (!writes) {
    at->readers[at->reader_count++] = (int)step;
    return;
  }
  for (size_t i = 0; i < at->reader_count; i++) wait_for(order, step, at->readers[i]);
  at->reader_count = 0;
  at->writer = (int)step;
}

const int *retc_hip_order_add(retc_hip_order *order, size_t step, size_t *out_count) {
  const retc_plan_step *own = &order->entry->steps.items[step];
  const size_t steps = order->entry->steps.count;
  bool *waits = &order->waits[step * steps];
  for (int k = 0; k < order->plan->kernels.items[own->kernel].buffer_count; k++)
    visit_buffer(order, step, own->buffers[k]);
  memset(order->covered, 0, steps * sizeof *order->covered);
  *out_count = 0;
  for (size_t i = step; i-- > 0;) {
    if (!waits[i]) continue;
    if (!order->covered[i]) order->found[(*out_count)++] = (int)i;
    for (size_t k = 0; k < i; k++) {
      if (order->waits[i * steps + k]) waits[k] = order->covered[k] = true;
    }
  }
  return order->found;
}
