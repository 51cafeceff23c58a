#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/safetensors.h"

/* Bytes of the data; -1 when the shape is not one that a checkpoint may hold. */
static int64_t tensor_bytes(const retc_tensor_to_write *tensor) {
  if (tensor->rank < 0 || tensor->rank > RETC_FILE_RANK_MAX) return -1;
  int64_t bytes = (int64_t)retc_dtype_size(tensor->dtype);
  bool empty = false;
  for (int i = 0; i < tensor->rank; i++) {
    int64_t dim = tensor->dim[i];
    if (dim < 0 || (dim > 0 && bytes > INT64_MAX / dim)) return -1;
    if (dim == 0) empty = true;
    else bytes *= dim;
  }
  return empty ? 0 : bytes;
}

static int compare_names(const void *a, const void *b) {
  const retc_tensor_to_write *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

static json_t *describe(const retc_tensor_to_write *tensor, int64_t begin, int64_t end) {
  json_t *shape = json_array();
  for (int i = 0; i < tensor->rank; i++) json_array_append_new(shape, json_integer(tensor->dim[i]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", retc_dtype_file_name(tensor->dtype), "shape", shape,
                   "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static retc_status describe_all(const char *path, const retc_tensor_to_write *const *sorted, size_t count, json_t *root,
                                retc_diagnostics *diagnostics) {
  int64_t begin = 0;
  for (size_t i = 0; i < count; i++) {
    const char *name = sorted[i]->name;
    int64_t bytes = tensor_bytes(sorted[i]);
    if (bytes < 0 || begin > INT64_MAX - bytes) {
      return retc_fail(diagnostics, RETC_INVALID,
                       "%s: tensor '%s': expected 0 to %d dimensions >= 0 that fit into a file", path, name,
                       RETC_FILE_RANK_MAX);
    }
    if (strcmp(name, "__metadata__") == 0 || (i && strcmp(name, sorted[i - 1]->name) == 0)) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: tensor name '%s' is %s", path, name,
                       i && strcmp(name, sorted[i - 1]->name) == 0 ? "used twice" : "reserved");
    }
    if (json_object_set_new(root, name, describe(sorted[i], begin, begin + bytes)) != 0) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: tensor name '%s' is not UTF-8, or out of memory", path, name);
    }
    begin += bytes;
  }
  return RETC_OK;
}

static retc_status write_header(retc_file_writer *writer, const char *text, retc_diagnostics *diagnostics) {
  size_t length = strlen(text), padding = (8 - length % 8) % 8; /* the data starts aligned */
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)(length + padding) >> 8 * i);
  RETC_TRY(retc_file_writer_write(writer, bytes, sizeof bytes, diagnostics));
  RETC_TRY(retc_file_writer_write(writer, text, length, diagnostics));
  return retc_file_writer_write(writer, "        ", padding, diagnostics);
}

static retc_status write_file(retc_file_writer *writer, const char *header, const retc_tensor_to_write *const *sorted,
                              size_t count, retc_diagnostics *diagnostics) {
  RETC_TRY(write_header(writer, header, diagnostics));
  for (size_t i = 0; i < count; i++) {
    RETC_TRY(retc_file_writer_write(writer, sorted[i]->data, (size_t)tensor_bytes(sorted[i]), diagnostics));
  }
  return retc_file_writer_commit(writer, diagnostics);
}

static retc_status write_sorted(const char *path, const retc_tensor_to_write *const *sorted, size_t count, json_t *root,
                                retc_diagnostics *diagnostics) {
  RETC_TRY(describe_all(path, sorted, count, root, diagnostics));
  char *header = json_dumps(root, JSON_COMPACT);
  if (!header) return retc_fail(diagnostics, RETC_FAILED, "%s: out of memory while writing", path);
  retc_file_writer writer;
  retc_status status = retc_file_writer_init(&writer, path, diagnostics);
  if (status == RETC_OK) status = write_file(&writer, header, sorted, count, diagnostics);
  retc_file_writer_deinit(&writer);
  free(header);
  return status;
}

retc_status retc_safetensors_write(const char *path, const retc_tensor_to_write *tensors, size_t count,
                                   retc_diagnostics *diagnostics) {
  const retc_tensor_to_write **sorted = calloc(count + 1, sizeof *sorted);
  json_t *root = json_object();
  retc_status status;
  if (sorted && root) {
    for (size_t i = 0; i < count; i++) sorted[i] = &tensors[i];
    qsort(sorted, count, sizeof *sorted, compare_names);
    status = write_sorted(path, sorted, count, root, diagnostics);
  } else {
    status = retc_fail(diagnostics, RETC_FAILED, "%s: out of memory while writing", path);
  }
  json_decref(root);
  free(sorted);
  return status;
}
