#include "runtime/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/memory.h"

enum { RANGE_BYTES = 8 << 20 };

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

/* Row ranges at a time, so that of the file and of the packed weight together only a little more than one copy is
 * resident. */
static retc_status pack(const retc_stored_tensor *tensor, retc_dtype to, retc_diagnostics *diagnostics, void *target) {
  int64_t rows = tensor->dim[0], columns = tensor->dim[1];
  size_t from_row = (size_t)columns * retc_dtype_size(tensor->dtype), to_row = (size_t)columns * retc_dtype_size(to);
  int64_t step = ((int64_t)(RANGE_BYTES / (from_row + 1)) / RETC_PANEL + 1) * RETC_PANEL;
  void *buffer = NULL;
  if (step > rows) step = rows;
  if (!tensor->data) RETC_TRY(retc_memory_alloc(tensor->name, step, from_row, diagnostics, &buffer));
  for (int64_t row = 0; row < rows; row += step) {
    int64_t count = rows - row < step ? rows - row : step;
    const void *source = retc_stored_tensor_read(tensor, row * columns, count * columns, buffer);
    retc_pack_panels(tensor->dtype, source, count, columns, to, (char *)target + (size_t)row * to_row);
    drop_pages(tensor, source, (size_t)count * from_row);
  }
  free(buffer);
  return RETC_OK;
}

static retc_status load_weight(const retc_plan_buffer *buffer, const retc_checkpoint *checkpoint,
                               retc_diagnostics *diagnostics, void **out_data, void **out_owned) {
  const retc_dims none = {0};
  const retc_stored_tensor *tensor = retc_checkpoint_find(checkpoint, buffer->name);
  if (!tensor) return missing(buffer->name, checkpoint, diagnostics);
  RETC_TRY(check_shape(buffer, tensor, diagnostics));
  size_t size = retc_dtype_size(buffer->dtype);
  bool plain = buffer->layout == RETC_LAYOUT_PLAIN;
  if (plain && tensor->data && tensor->dtype == buffer->dtype && (uintptr_t)tensor->data % size == 0) {
    *out_data = (void *)tensor->data;
    return RETC_OK;
  }
  int64_t elements = retc_plan_buffer_elements(buffer, &none);
  RETC_TRY(retc_memory_alloc(buffer->name, elements, size, diagnostics, out_owned));
  *out_data = *out_owned;
  if (!plain) return pack(tensor, buffer->dtype, diagnostics, *out_data);
  retc_stored_tensor_convert(tensor, buffer->dtype, *out_data);
  drop_pages(tensor, tensor->data, (size_t)tensor->count * retc_dtype_size(tensor->dtype));
  return RETC_OK;
}

static retc_status load_constant(const retc_plan_buffer *buffer, retc_diagnostics *diagnostics, void **out_data) {
  const retc_dims none = {0};
  int64_t elements = retc_plan_buffer_elements(buffer, &none);
  size_t size = retc_dtype_size(buffer->dtype);
  if (!buffer->constant) return retc_fail(diagnostics, RETC_INTERNAL, "%s: a constant without numbers", buffer->name);
  RETC_TRY(retc_memory_alloc(buffer->name, elements, size, diagnostics, out_data));
  memcpy(*out_data, buffer->constant, (size_t)elements * size);
  return RETC_OK;
}

static retc_status check_fixed(const retc_plan_buffer *buffer, retc_diagnostics *diagnostics) {
  for (int i = 0; i < buffer->shape.rank; i++) {
    if (!retc_dim_is_named(buffer->shape.dim[i])) continue;
    return retc_fail(diagnostics, RETC_INTERNAL, "%s: a weight or constant with a dimension that calls choose",
                     buffer->name);
  }
  if (buffer->layout == RETC_LAYOUT_PANEL && buffer->shape.rank != 2) {
    return retc_fail(diagnostics, RETC_INTERNAL, "%s: panels of %d dimensions, expected 2", buffer->name,
                     buffer->shape.rank);
  }
  return RETC_OK;
}

static retc_status load_buffer(const retc_plan_buffer *buffer, const retc_checkpoint *checkpoint,
                               retc_diagnostics *diagnostics, void **out_data, void **out_owned) {
  if (buffer->kind != RETC_PLAN_WEIGHT && buffer->kind != RETC_PLAN_CONSTANT) return RETC_OK;
  RETC_TRY(check_fixed(buffer, diagnostics));
  if (buffer->kind == RETC_PLAN_WEIGHT) return load_weight(buffer, checkpoint, diagnostics, out_data, out_owned);
  RETC_TRY(load_constant(buffer, diagnostics, out_owned));
  *out_data = *out_owned;
  return RETC_OK;
}

retc_status retc_weights_load(const retc_plan *plan, const retc_checkpoint *checkpoint, retc_diagnostics *diagnostics,
                              retc_weights *out_weights) {
  size_t count = plan->buffers.count;
  *out_weights = (retc_weights){.count = count};
  out_weights->data = calloc(count + 1, sizeof *out_weights->data);
  out_weights->owned = calloc(count + 1, sizeof *out_weights->owned);
  retc_status status = RETC_OK;
  if (!out_weights->data || !out_weights->owned) {
    status = retc_fail(diagnostics, RETC_FAILED, "out of memory while loading %zu buffers", count);
  }
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    status = load_buffer(&plan->buffers.items[i], checkpoint, diagnostics, &out_weights->data[i],
                         &out_weights->owned[i]);
  }
  if (status != RETC_OK) retc_weights_deinit(out_weights);
  return status;
}

void retc_weights_deinit(retc_weights *weights) {
  for (size_t i = 0; weights->owned && i < weights->count; i++) free(weights->owned[i]);
  free(weights->data);
  free(weights->owned);
  *weights = (retc_weights){0};
}
