#include "runtime/step_groups.h"

#include <stdlib.h>

typedef struct finder {
  const retc_plan *plan;
  size_t group;           /* at hand, from 1 */
  size_t *read, *written; /* of each room: the last group that did, 0: none */
  bool *touched;          /* of each buffer: by an earlier step */
} finder;

static bool meets(const finder *f, int buffer) {
  const int room = retc_plan_room(f->plan, buffer);
  if (room < 0) return false;
  const bool writes = retc_plan_writes(f->plan, buffer, f->touched);
  return f->written[room] == f->group || (writes && f->read[room] == f->group);
}

static void touch(finder *f, int buffer) {
  const int room = retc_plan_room(f->plan, buffer);
  if (room < 0) return;
  *(retc_plan_writes(f->plan, buffer, f->touched) ? &f->written[room] : &f->read[room]) = f->group;
  f->touched[buffer] = true;
}

static void find_groups(finder *f, const retc_plan_entry *entry, retc_step_groups *groups) {
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    const int count = f->plan->kernels.items[step->kernel].buffer_count;
    bool begins = i == 0;
    for (int k = 0; k < count; k++) begins |= meets(f, step->buffers[k]);
    if (begins) {
      groups->first[groups->count++] = i;
      f->group++;
    }
    for (int k = 0; k < count; k++) touch(f, step->buffers[k]);
  }
  groups->first[groups->count] = entry->steps.count;
}

retc_status retc_step_groups_init(retc_step_groups *groups, const retc_plan *plan, const retc_plan_entry *entry,
                                  retc_diagnostics *diagnostics) {
  const size_t rooms = retc_plan_room_count(plan) + 1, buffers = plan->buffers.count + 1;
  finder f = {plan, 0, calloc(rooms, sizeof *f.read), calloc(rooms, sizeof *f.written),
              calloc(buffers, sizeof *f.touched)};
  *groups = (retc_step_groups){.first = calloc(entry->steps.count + 1, sizeof *groups->first)};
  const bool complete = f.read && f.written && f.touched && groups->first;
  if (complete) find_groups(&f, entry, groups);
  free(f.read);
  free(f.written);
  free(f.touched);
  return complete ? RETC_OK : retc_fail(diagnostics, RETC_FAILED, "entry %s: out of memory", entry->name);
}

void retc_step_groups_deinit(retc_step_groups *groups) { free(groups->first); }
