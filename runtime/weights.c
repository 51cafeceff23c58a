#include "runtime/weights.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/memory.h"
#include "runtime/quantize.h"
#include "runtime/threads.h"

enum { RANGE_BYTES = 8 << 20, PLACE_BYTES = 4096 };

static retc_status missing(const char *name, const retc_checkpoint *checkpoint, retc_diagnostics *diagnostics) {
  size_t count = retc_checkpoint_count(checkpoint);
  const char **names = calloc(count + 1, sizeof *names);
  const char *nearest = NULL, *file = count ? retc_checkpoint_at(checkpoint, 0)->file : "the checkpoint";
  if (names) {
    for (size_t i = 0; i < count; i++) names[i] = retc_checkpoint_at(checkpoint, i)->name;
    nearest = retc_nearest(name, names, count);
    free(names);
  }
  if (!nearest) return retc_fail(diagnostics, RETC_INVALID, "%s: tensor '%s' is missing", file, name);
  return retc_fail(diagnostics, RETC_INVALID, "%s: tensor '%s' is missing; did you mean '%s'?", file, name, nearest);
}

static void print_dims(retc_text *text, const int64_t *dims, int rank) {
  retc_text_add(text, "[");
  for (int i = 0; i < rank; i++) retc_text_printf(text, "%s%" PRId64, i ? "," : "", dims[i]);
  retc_text_add(text, "]");
}

static retc_status check_shape(const retc_plan_buffer *buffer, const retc_stored_tensor *tensor,
                               retc_diagnostics *diagnostics) {
  const retc_shape *shape = &buffer->shape;
  bool equal = shape->rank == tensor->rank;
  for (int i = 0; equal && i < shape->rank; i++) equal = shape->dim[i] == tensor->dim[i];
  if (equal) return RETC_OK;
  retc_text text;
  retc_text_init(&text);
  print_dims(&text, tensor->dim, tensor->rank);
  retc_text_add(&text, ", expected ");
  print_dims(&text, shape->dim, shape->rank);
  retc_status status = retc_fail(diagnostics, RETC_INVALID, "%s: tensor '%s' has shape %s", tensor->file, tensor->name,
                                 text.data ? text.data : "other than expected");
  retc_text_deinit(&text);
  return status;
}

/* Pages of the file that were read only to be packed need not stay resident; if they are wanted again they are read
 * again. */
static void drop_pages(const retc_stored_tensor *tensor, const void *data, size_t size) {
  if (!tensor->data) return;
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)data + page - 1) / page * page, end = ((uintptr_t)data + size) / page * page;
  if (begin < end) madvise((char *)data + (begin - (uintptr_t)data), end - begin, MADV_DONTNEED);
}

/* What the threads of a team make of one tensor, each of its own panels. */
typedef struct packing {
  const retc_stored_tensor *tensor;
  retc_weight_layout layout;
  retc_dtype dtype;
  char *target;
  int bits;        /* of integers; 0: no scales */
  int64_t group;
  char *scales; /* of f16 */
  retc_weight_layout scale_layout;
  atomic_bool failed;
} packing;

static size_t panel_bytes(retc_weight_layout layout, retc_dtype dtype, int64_t columns) {
  const retc_dims none = {0};
  const retc_shape shape = retc_weight_layout_shape(layout, &(retc_shape){2, {RETC_PANEL, columns}});
  return (size_t)retc_shape_count(&shape, &none) * retc_dtype_size(dtype);
}

/* Rows of the tensor, whole panels: `room` for what they are read into and made of. */
static void pack_range(packing *p, int64_t row, int64_t count, char *room) {
  const retc_stored_tensor *tensor = p->tensor;
  const int64_t columns = tensor->dim[1], elements = count * columns;
  const void *source = retc_stored_tensor_read(tensor, row * columns, elements, room);
  char *to = p->target + (size_t)(row / RETC_PANEL) * panel_bytes(p->layout, p->dtype, columns);
  if (!p->bits) {
    retc_pack(p->layout, tensor->dtype, source, count, columns, p->dtype, to);
  } else {
    const int64_t groups = retc_group_count(columns, p->group);
    float *wide = (float *)(void *)(room + (size_t)elements * retc_dtype_size(tensor->dtype));
    uint16_t *scales = (uint16_t *)(void *)(wide + elements);
    int8_t *codes = (int8_t *)(scales + count * groups);
    retc_dtype_convert(tensor->dtype, source, RETC_DTYPE_F32, wide, (size_t)elements);
    retc_quantize(p->bits, p->group, wide, count, columns, codes, scales);
    retc_pack(p->layout, RETC_DTYPE_I8, codes, count, columns, p->dtype, to);
    char *scale = p->scales + (size_t)(row / RETC_PANEL) * panel_bytes(p->scale_layout, RETC_DTYPE_F16, groups);
    retc_pack(p->scale_layout, RETC_DTYPE_F16, scales, count, groups, RETC_DTYPE_F16, scale);
  }
  drop_pages(tensor, source, (size_t)elements * retc_dtype_size(tensor->dtype));
}

/* Row ranges at a time, so that of the file and of the packed weight together only a little more than one copy is
 * resident. */
static void pack_share(void *user, retc_team *team, int thread) {
  packing *p = user;
  const int64_t rows = p->tensor->dim[0], columns = p->tensor->dim[1], threads = retc_team_size(team);
  const int64_t panels = (rows + RETC_PANEL - 1) / RETC_PANEL;
  const int64_t first = panels * thread / threads * RETC_PANEL, end = panels * (thread + 1) / threads * RETC_PANEL;
  const int64_t step = (RANGE_BYTES / (columns * 4 + 1) / RETC_PANEL + 1) * RETC_PANEL;
  /* The numbers as read, and of integers f32, a scale a number at most, and codes. */
  char *room = malloc((size_t)(step * columns) * (retc_dtype_size(p->tensor->dtype) + (p->bits ? 4 + 2 + 1 : 0)) + 64);
  if (!room) atomic_store(&p->failed, true);
  for (int64_t row = first; room && row < end && row < rows; row += step) {
    int64_t last = row + step < end ? row + step : end;
    pack_range(p, row, (last < rows ? last : rows) - row, room);
  }
  free(room);
}

static retc_status pack_tensor(packing *p, retc_team *team, retc_diagnostics *diagnostics) {
  retc_team_run(team, pack_share, p);
  if (!atomic_load(&p->failed)) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "%s: tensor '%s': out of memory while packing it", p->tensor->file,
                   p->tensor->name);
}

static bool is_fixed(const retc_plan_buffer *buffer) {
  return buffer->kind == RETC_PLAN_WEIGHT || buffer->kind == RETC_PLAN_CONSTANT;
}

/* Bytes of the buffer's place in the room, 0 for what is not loaded, -1 for more than can be addressed. */
static int64_t place_bytes(const retc_plan_buffer *buffer) {
  const retc_dims none = {0};
  const int64_t size = (int64_t)retc_dtype_size(buffer->dtype);
  const int64_t elements = is_fixed(buffer) ? retc_plan_buffer_elements(buffer, &none) : 0;
  if (elements < 0 || elements > INT64_MAX / 4 / size) return -1;
  return (elements * size + PLACE_BYTES - 1) / PLACE_BYTES * PLACE_BYTES;
}

/* One room for all, in the order of the plan, so that huge pages cover the ends of matrices and small ones, too. The
 * places of what stays mapped are never touched. */
static retc_status make_room(const retc_plan *plan, retc_diagnostics *diagnostics, retc_weights *weights) {
  int64_t all = 0;
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    const int64_t bytes = place_bytes(buffer);
    if (bytes < 0 || bytes > INT64_MAX / 4 - all) {
      return retc_fail(diagnostics, RETC_FAILED, "%s: more bytes than can be addressed", buffer->name);
    }
    weights->place[i] = all;
    all += bytes;
  }
  return retc_memory_alloc("weights", all, 1, diagnostics, &weights->room);
}

static void *place_of(const retc_weights *weights, size_t index) {
  return (char *)weights->room + weights->place[index];
}

/* A matrix of integers and its scales at once, when buffer number `index` is one. */
static retc_status load_integers(const retc_plan *plan, const retc_checkpoint *checkpoint, size_t index,
                                 retc_team *team, retc_diagnostics *diagnostics, retc_weights *weights) {
  const retc_plan_buffer *buffer = &plan->buffers.items[index];
  retc_quantized made;
  const bool is_integer = buffer->dtype == RETC_DTYPE_I8 || buffer->dtype == RETC_DTYPE_I4;
  const bool is_code = buffer->kind == RETC_PLAN_WEIGHT && is_integer && buffer->shape.rank == 2;
  if (!is_code || retc_checkpoint_find(checkpoint, buffer->name)) return RETC_OK;
  if (!retc_quantized_find(checkpoint, buffer->name, &made) || made.is_scale) return RETC_OK;
  RETC_TRY(check_shape(buffer, made.tensor, diagnostics));
  char *name = NULL;
  if (asprintf(&name, "%s.scale", buffer->name) < 0) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  int scale = retc_plan_find_buffer(plan, name);
  free(name);
  const retc_plan_buffer *scales = scale < 0 ? NULL : &plan->buffers.items[scale];
  const int64_t group = scales ? retc_quantized_group(buffer->shape.dim[1], scales->shape.dim[1]) : 0;
  if (!group || (scales->layout && scales->layout != RETC_LAYOUT_PANEL) || scales->dtype != RETC_DTYPE_F16) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: expected scales %s.scale, f16, of groups of 16, 32 or 64",
                     buffer->name, buffer->name);
  }
  weights->data[index] = place_of(weights, index);
  weights->data[scale] = place_of(weights, (size_t)scale);
  packing p = {.tensor = made.tensor,
               .layout = buffer->layout,
               .dtype = buffer->dtype,
               .target = weights->data[index],
               .bits = made.bits,
               .group = group,
               .scales = weights->data[scale],
               .scale_layout = scales->layout};
  return pack_tensor(&p, team, diagnostics);
}

static retc_status load_weight(const retc_plan_buffer *buffer, const retc_checkpoint *checkpoint, retc_team *team,
                               retc_diagnostics *diagnostics, void *place, void **out_data) {
  const retc_stored_tensor *tensor = retc_checkpoint_find(checkpoint, buffer->name);
  if (!tensor) return missing(buffer->name, checkpoint, diagnostics);
  RETC_TRY(check_shape(buffer, tensor, diagnostics));
  size_t size = retc_dtype_size(buffer->dtype);
  bool plain = buffer->layout == RETC_LAYOUT_PLAIN;
  if (plain && tensor->data && tensor->dtype == buffer->dtype && (uintptr_t)tensor->data % size == 0) {
    *out_data = (void *)tensor->data;
    return RETC_OK;
  }
  *out_data = place;
  if (!plain) {
    packing p = {.tensor = tensor, .layout = buffer->layout, .dtype = buffer->dtype, .target = *out_data};
    return pack_tensor(&p, team, diagnostics);
  }
  retc_stored_tensor_convert(tensor, buffer->dtype, *out_data);
  drop_pages(tensor, tensor->data, (size_t)tensor->count * retc_dtype_size(tensor->dtype));
  return RETC_OK;
}

static retc_status load_constant(const retc_plan_buffer *buffer, retc_diagnostics *diagnostics, void *place,
                                 void **out_data) {
  const retc_dims none = {0};
  int64_t elements = retc_plan_buffer_elements(buffer, &none);
  size_t size = retc_dtype_size(buffer->dtype);
  if (!buffer->constant) return retc_fail(diagnostics, RETC_INTERNAL, "%s: a constant without numbers", buffer->name);
  memcpy(place, buffer->constant, (size_t)elements * size);
  *out_data = place;
  return RETC_OK;
}

static retc_status check_fixed(const retc_plan_buffer *buffer, retc_diagnostics *diagnostics) {
  for (int i = 0; i < buffer->shape.rank; i++) {
    if (!retc_dim_is_named(buffer->shape.dim[i])) continue;
    return retc_fail(diagnostics, RETC_INTERNAL, "%s: a weight or constant with a dimension that calls choose",
                     buffer->name);
  }
  if (buffer->layout != RETC_LAYOUT_PLAIN && buffer->shape.rank != 2) {
    return retc_fail(diagnostics, RETC_INTERNAL, "%s: panels of %d dimensions, expected 2", buffer->name,
                     buffer->shape.rank);
  }
  return RETC_OK;
}

static retc_status load_buffer(const retc_plan_buffer *buffer, const retc_checkpoint *checkpoint, retc_team *team,
                               retc_diagnostics *diagnostics, void *place, void **out_data) {
  if (*out_data || !is_fixed(buffer)) return RETC_OK;
  if (buffer->kind == RETC_PLAN_WEIGHT) return load_weight(buffer, checkpoint, team, diagnostics, place, out_data);
  return load_constant(buffer, diagnostics, place, out_data);
}

retc_status retc_weights_load(const retc_plan *plan, const retc_checkpoint *checkpoint, retc_diagnostics *diagnostics,
                              retc_weights *out_weights) {
  size_t count = plan->buffers.count;
  *out_weights = (retc_weights){.count = count};
  out_weights->data = calloc(count + 1, sizeof *out_weights->data);
  out_weights->place = calloc(count + 1, sizeof *out_weights->place);
  retc_status status = RETC_OK;
  if (!out_weights->data || !out_weights->place) {
    status = retc_fail(diagnostics, RETC_FAILED, "out of memory while loading %zu buffers", count);
  }
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    if (is_fixed(&plan->buffers.items[i])) status = check_fixed(&plan->buffers.items[i], diagnostics);
  }
  if (status == RETC_OK) status = make_room(plan, diagnostics, out_weights);
  retc_team *team = NULL;
  if (status == RETC_OK) status = retc_team_create(0, diagnostics, &team);
  for (size_t i = 0; i < count && status == RETC_OK && checkpoint; i++) {
    status = load_integers(plan, checkpoint, i, team, diagnostics, out_weights);
  }
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    status = load_buffer(&plan->buffers.items[i], checkpoint, team, diagnostics, place_of(out_weights, i),
                         &out_weights->data[i]);
  }
  if (team) retc_team_destroy(team);
  if (status != RETC_OK) retc_weights_deinit(out_weights);
  return status;
}

void retc_weights_deinit(retc_weights *weights) {
  free(weights->room);
  free(weights->place);
  free(weights->data);
  *weights = (retc_weights){0};
}
