#include "runtime/plan.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"weight", "constant", "state", "scratch", "input", "output"};
static const char *const layout_names[] = {"plain", "panel"};

const char *retc_plan_buffer_kind_name(retc_plan_buffer_kind kind) { return kind_names[kind]; }

const char *retc_weight_layout_name(retc_weight_layout layout) { return layout_names[layout]; }

retc_plan *retc_plan_create(void) {
  retc_plan *plan = calloc(1, sizeof *plan);
  if (!plan) return NULL;
  retc_arena_init(&plan->arena);
  plan->bos_token = plan->eos_token = -1;
  return plan;
}

void retc_plan_destroy(retc_plan *plan) {
  if (!plan) return;
  retc_arena_deinit(&plan->arena);
  free(plan);
}

int retc_plan_find_entry(const retc_plan *plan, const char *name) {
  for (size_t i = 0; i < plan->entries.count; i++) {
    if (strcmp(plan->entries.items[i].name, name) == 0) return (int)i;
  }
  return -1;
}

int retc_plan_find_buffer(const retc_plan *plan, const char *name) {
  for (size_t i = 0; i < plan->buffers.count; i++) {
    if (strcmp(plan->buffers.items[i].name, name) == 0) return (int)i;
  }
  return -1;
}

void retc_plan_clear_slots(retc_plan *plan) {
  for (size_t i = 0; i < plan->buffers.count; i++) plan->buffers.items[i].slot = -1;
  memset(&plan->slots, 0, sizeof plan->slots);
}

retc_shape retc_plan_buffer_memory_shape(const retc_plan_buffer *buffer) {
  retc_shape shape = buffer->shape;
  if (buffer->layout == RETC_LAYOUT_PLAIN || shape.rank != 2) return shape;
  return (retc_shape){.rank = 3, .dim = {(shape.dim[0] + RETC_PANEL - 1) / RETC_PANEL, shape.dim[1], RETC_PANEL}};
}

int64_t retc_plan_buffer_elements(const retc_plan_buffer *buffer, const retc_dims *dims) {
  retc_shape shape = buffer->shape;
  if (buffer->layout == RETC_LAYOUT_PANEL && shape.rank == 2) {
    int64_t rows = retc_dim_value(shape.dim[0], dims);
    if (rows > INT64_MAX - RETC_PANEL) return INT64_MAX;
    shape.dim[0] = (rows + RETC_PANEL - 1) / RETC_PANEL * RETC_PANEL;
  }
  return retc_shape_count(&shape, dims);
}
