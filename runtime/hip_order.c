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
  size_t slots;     /* places of slots; those of buffers without one follow */
  place *places;
  int *readers;     /* of all places */
  bool *touched;    /* of each buffer: by an earlier step */
  bool *waits;      /* [step][step]: it comes after that one, directly or not */
  bool *covered;    /* of each step: one found waits for it */
  int *found;
};

static bool is_constant(const retc_plan_buffer *buffer) {
  return buffer->kind == RETC_PLAN_WEIGHT || buffer->kind == RETC_PLAN_CONSTANT || buffer->kind == RETC_PLAN_INPUT;
}

static place *place_of(const retc_hip_order *order, int buffer) {
  const int slot = order->plan->buffers.items[buffer].slot;
  return &order->places[slot >= 0 ? (size_t)slot : order->slots + (size_t)buffer];
}

/* Each place gets room for as many readers as steps touch it. */
static void share_readers(retc_hip_order *order) {
  for (size_t i = 0; i < order->entry->steps.count; i++) {
    const retc_plan_step *step = &order->entry->steps.items[i];
    for (int k = 0; k < order->plan->kernels.items[step->kernel].buffer_count; k++) {
      place_of(order, step->buffers[k])->reader_count++;
    }
  }
  int *next = order->readers;
  for (size_t i = 0; i < order->slots + order->plan->buffers.count; i++) {
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
  const size_t steps = entry->steps.count + 1, buffers = plan->buffers.count, touches = count_touches(plan, entry) + 1;
  retc_hip_order *order = *out_order = calloc(1, sizeof *order);
  if (order) {
    *order = (retc_hip_order){.plan = plan, .entry = entry, .slots = plan->slots.count};
    order->places = calloc(order->slots + buffers + 1, sizeof *order->places);
    order->readers = calloc(touches, sizeof *order->readers);
    order->touched = calloc(buffers + 1, sizeof *order->touched);
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
  const retc_plan_buffer *of = &order->plan->buffers.items[buffer];
  if (is_constant(of)) return;
  place *at = place_of(order, buffer);
  const bool writes = of->kind == RETC_PLAN_STATE || !order->touched[buffer];
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
