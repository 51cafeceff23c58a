/* Slots for the buffers that live within one call. Two buffers share a slot when, in every entry, the one is written
 * only after the other was last read, and both are measured alike, so that neither wastes the other's memory. Outputs
 * stay readable until the next call and share with nobody. It stands last: lifetimes are those of the final steps. */
#include "compiler/pass.h"

typedef struct lifetime {
  int entry, first, last; /* steps of one entry; first < 0: unused */
} lifetime;

static void touch(lifetime *life, int entry, int step) {
  if (life->first < 0) *life = (lifetime){entry, step, step};
  life->last = step;
}

static lifetime *lifetimes(const retc_plan *plan, retc_arena *arena) {
  lifetime *life = RETC_NEW_ARRAY(arena, lifetime, plan->buffers.count + 1);
  for (size_t i = 0; i < plan->buffers.count; i++) life[i].first = -1;
  for (size_t e = 0; e < plan->entries.count; e++) {
    const retc_plan_entry *entry = &plan->entries.items[e];
    for (size_t s = 0; s < entry->steps.count; s++) {
      const retc_plan_step *step = &entry->steps.items[s];
      int count = plan->kernels.items[step->kernel].buffer_count;
      for (int i = 0; i < count; i++) touch(&life[step->buffers[i]], (int)e, (int)s);
    }
  }
  return life;
}

/* The named dimensions of two buffers are the same, so that their sizes are comparable whatever the call. */
static bool alike(const retc_plan_buffer *a, const retc_plan_buffer *b) {
  int names[RETC_DIM_COUNT] = {0};
  for (int i = 0; i < a->shape.rank; i++) {
    if (retc_dim_is_named(a->shape.dim[i])) names[~a->shape.dim[i]]++;
  }
  for (int i = 0; i < b->shape.rank; i++) {
    if (retc_dim_is_named(b->shape.dim[i])) names[~b->shape.dim[i]]--;
  }
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    if (names[i]) return false;
  }
  return true;
}

/* What is alike and may be shared of one buffer of a slot is so of all. The last one is the likeliest to be alive
 * still. */
static bool fits(const retc_plan *plan, const retc_plan_slot *slot, const lifetime *life, int buffer) {
  const retc_plan_buffer *first = &plan->buffers.items[slot->buffers.items[0]];
  if (first->kind != RETC_PLAN_SCRATCH) return false;
  for (size_t i = slot->buffers.count; i-- > 0;) {
    int other = slot->buffers.items[i];
    bool apart = life[other].entry != life[buffer].entry || life[other].last < life[buffer].first ||
                 life[buffer].last < life[other].first;
    if (!apart) return false;
  }
  return alike(first, &plan->buffers.items[buffer]);
}

static int find_slot(const retc_plan *plan, const lifetime *life, int buffer) {
  for (size_t s = 0; plan->buffers.items[buffer].kind == RETC_PLAN_SCRATCH && s < plan->slots.count; s++) {
    if (fits(plan, &plan->slots.items[s], life, buffer)) return (int)s;
  }
  return -1;
}

retc_status retc_plan_memory(const retc_pass_context *cx) {
  retc_plan *plan = cx->compilation->plan;
  retc_plan_clear_slots(plan); /* that program text came with */
  retc_arena arena;
  retc_arena_init(&arena);
  const lifetime *life = lifetimes(plan, &arena);
  for (int i = 0; i < (int)plan->buffers.count; i++) {
    retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (buffer->kind != RETC_PLAN_SCRATCH && buffer->kind != RETC_PLAN_OUTPUT) continue;
    buffer->slot = find_slot(plan, life, i);
    if (buffer->slot < 0) {
      buffer->slot = (int)plan->slots.count;
      RETC_VEC_PUSH(&plan->arena, plan->slots, ((retc_plan_slot){{0}}));
    }
    retc_plan_slot *slot = &plan->slots.items[buffer->slot];
    RETC_VEC_PUSH(&plan->arena, slot->buffers, i);
  }
  retc_arena_deinit(&arena);
  return RETC_OK;
}
