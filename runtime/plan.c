#include "runtime/plan.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"weight", "constant", "state", "scratch", "input", "output"};
static const char *const layout_names[] = {"plain", "panel", "pairs", "quads", "nibbles", "halves", "rows"};

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

int retc_plan_find_logits(const retc_plan *plan) {
  const int index = retc_plan_find_entry(plan, "step"), tokens = retc_plan_find_buffer(plan, "tokens");
  if (index < 0 || tokens < 0 || plan->buffers.items[tokens].dtype != RETC_DTYPE_I64) return -1;
  const retc_plan_entry *entry = &plan->entries.items[index];
  for (size_t i = 0; i < entry->outputs.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[entry->outputs.items[i].buffer];
    if (strcmp(entry->outputs.items[i].name, "logits") == 0 && buffer->dtype == RETC_DTYPE_F32) {
      return entry->outputs.items[i].buffer;
    }
  }
  return -1;
}

size_t retc_plan_room_count(const retc_plan *plan) { return plan->slots.count + plan->buffers.count; }

int retc_plan_room(const retc_plan *plan, int buffer) {
  const retc_plan_buffer *of = &plan->buffers.items[buffer];
  switch (of->kind) {
    case RETC_PLAN_WEIGHT:
    case RETC_PLAN_CONSTANT:
    case RETC_PLAN_INPUT: return -1;
    default: return of->slot >= 0 ? of->slot : (int)plan->slots.count + buffer;
  }
}

bool retc_plan_writes(const retc_plan *plan, int buffer, const bool *touched) {
  return plan->buffers.items[buffer].kind == RETC_PLAN_STATE || !touched[buffer];
}

void retc_plan_clear_slots(retc_plan *plan) {
  for (size_t i = 0; i < plan->buffers.count; i++) plan->buffers.items[i].slot = -1;
  memset(&plan->slots, 0, sizeof plan->slots);
}

bool retc_weight_layout_holds(retc_weight_layout layout, retc_dtype dtype) {
  switch (layout) {
    case RETC_LAYOUT_PAIRS: return dtype == RETC_DTYPE_BF16;
    case RETC_LAYOUT_QUADS: return dtype == RETC_DTYPE_I8;
    case RETC_LAYOUT_NIBBLES:
    case RETC_LAYOUT_HALVES:
    case RETC_LAYOUT_ROWS: return dtype == RETC_DTYPE_I4;
    default: return dtype != RETC_DTYPE_I4 && dtype != RETC_DTYPE_U4X2;
  }
}

retc_shape retc_weight_layout_shape(retc_weight_layout layout, const retc_shape *matrix) {
  if (layout == RETC_LAYOUT_PLAIN || matrix->rank != 2) return *matrix;
  const int64_t panels = matrix->dim[0] / RETC_PANEL + (matrix->dim[0] % RETC_PANEL != 0), columns = matrix->dim[1];
  const int64_t filled = (columns / RETC_PACKED_COLUMNS + (columns % RETC_PACKED_COLUMNS != 0)) * RETC_PACKED_COLUMNS;
  switch (layout) {
    case RETC_LAYOUT_PAIRS: return (retc_shape){4, {panels, filled / 2, RETC_PANEL, 2}};
    case RETC_LAYOUT_QUADS: return (retc_shape){4, {panels, filled / 4, RETC_PANEL, 4}};
    case RETC_LAYOUT_NIBBLES: return (retc_shape){4, {panels, filled / 8, RETC_PANEL, 4}};
    case RETC_LAYOUT_HALVES: return (retc_shape){3, {panels, filled / 2, RETC_PANEL}};
    case RETC_LAYOUT_ROWS: return (retc_shape){2, {matrix->dim[0], filled / 2}};
    default: return (retc_shape){3, {panels, columns, RETC_PANEL}};
  }
}

retc_dtype retc_weight_layout_dtype(retc_weight_layout layout, retc_dtype dtype) {
  switch (layout) {
    case RETC_LAYOUT_NIBBLES:
    case RETC_LAYOUT_HALVES:
    case RETC_LAYOUT_ROWS: return RETC_DTYPE_U4X2;
    case RETC_LAYOUT_QUADS: return RETC_DTYPE_U8;
    default: return dtype;
  }
}

retc_shape retc_plan_buffer_memory_shape(const retc_plan_buffer *buffer) {
  return retc_weight_layout_shape(buffer->layout, &buffer->shape);
}

int64_t retc_plan_buffer_elements(const retc_plan_buffer *buffer, const retc_dims *dims) {
  retc_shape shape = buffer->shape;
  for (int i = 0; buffer->layout != RETC_LAYOUT_PLAIN && i < shape.rank; i++) {
    shape.dim[i] = retc_dim_value(shape.dim[i], dims);
    if (shape.dim[i] > INT64_MAX - RETC_PANEL) return INT64_MAX;
  }
  shape = retc_weight_layout_shape(buffer->layout, &shape);
  if (buffer->kind == RETC_PLAN_SCRATCH && buffer->limit && retc_dim_value(shape.dim[0], dims) > buffer->limit)
    shape.dim[0] = buffer->limit;
  return retc_shape_count(&shape, dims);
}
