#include "compiler/arrays.h"

#include <stdlib.h>
#include <string.h>

void retc_arrays_init(retc_arrays *arrays) {
  *arrays = (retc_arrays){0};
  retc_arena_init(&arrays->arena);
}

void retc_arrays_deinit(retc_arrays *arrays) {
  for (size_t i = 0; i < arrays->list.count; i++) retc_tensor_deinit(&arrays->list.items[i].tensor);
  retc_arena_deinit(&arrays->arena);
}

void retc_arrays_add(retc_arrays *arrays, const char *name, retc_dtype dtype, retc_tensor tensor) {
  retc_array array = {retc_arena_strdup(&arrays->arena, name), dtype, tensor};
  RETC_VEC_PUSH(&arrays->arena, arrays->list, array);
}

const retc_array *retc_arrays_find(const retc_arrays *arrays, const char *name) {
  for (size_t i = 0; i < arrays->list.count; i++) {
    if (!strcmp(arrays->list.items[i].name, name)) return &arrays->list.items[i];
  }
  return NULL;
}

retc_status retc_tensor_init_quantized(retc_tensor *tensor, const retc_quantized *made, int64_t group,
                                       retc_diagnostics *diagnostics) {
  const int64_t rows = made->tensor->dim[0], columns = made->tensor->dim[1], groups = retc_group_count(columns, group);
  const size_t count = (size_t)(rows * columns), scale_count = (size_t)(rows * groups);
  const retc_shape shape = {.rank = 2, .dim = {rows, made->is_scale ? groups : columns}};
  const retc_dims none = {{0}};
  RETC_TRY(retc_tensor_init(tensor, &shape, &none, diagnostics));
  float *wide = malloc(count * sizeof *wide + 1);
  int8_t *codes = malloc(count + 1);
  uint16_t *scales = malloc(scale_count * sizeof *scales + 1);
  retc_status status = RETC_OK;
  if (wide && codes && scales) {
    retc_stored_tensor_convert(made->tensor, RETC_DTYPE_F32, wide);
    retc_quantize(made->bits, group, wide, rows, columns, codes, scales);
    if (made->is_scale) retc_dtype_convert(RETC_DTYPE_F16, scales, RETC_DTYPE_F64, tensor->data, scale_count);
    else retc_dtype_convert(RETC_DTYPE_I8, codes, RETC_DTYPE_F64, tensor->data, count);
  } else {
    retc_tensor_deinit(tensor);
    status = retc_fail(diagnostics, RETC_FAILED, "%s: memory refused for integers", made->tensor->name);
  }
  free(wide);
  free(codes);
  free(scales);
  return status;
}

retc_status retc_arrays_add_stored(retc_arrays *arrays, const char *name, const retc_stored_tensor *stored,
                                   retc_diagnostics *diagnostics) {
  retc_shape shape = {.rank = stored->rank};
  const retc_dims none = {{0}};
  retc_tensor tensor;
  if (stored->rank > RETC_RANK_MAX) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: tensor %s has %d axes, expected at most %d", stored->file,
                     stored->name, stored->rank, RETC_RANK_MAX);
  }
  for (int i = 0; i < stored->rank; i++) shape.dim[i] = stored->dim[i];
  RETC_TRY(retc_tensor_init(&tensor, &shape, &none, diagnostics));
  retc_stored_tensor_convert(stored, RETC_DTYPE_F64, tensor.data);
  retc_arrays_add(arrays, name, stored->dtype, tensor);
  return RETC_OK;
}

retc_status retc_arrays_write(const retc_arrays *arrays, const char *path, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  size_t count = arrays->list.count;
  retc_tensor_to_write *tensors = RETC_NEW_ARRAY(&arena, retc_tensor_to_write, count + 1);
  for (size_t i = 0; i < count; i++) {
    const retc_array *array = &arrays->list.items[i];
    size_t elements = (size_t)retc_tensor_count(&array->tensor);
    void *data = retc_arena_alloc(&arena, elements * retc_dtype_size(array->dtype) + 1);
    retc_dtype_convert(RETC_DTYPE_F64, array->tensor.data, array->dtype, data, elements);
    tensors[i] =
        (retc_tensor_to_write){.name = array->name, .dtype = array->dtype, .rank = array->tensor.rank, .data = data};
    memcpy(tensors[i].dim, array->tensor.dim, sizeof *array->tensor.dim * (size_t)array->tensor.rank);
  }
  retc_status status = retc_safetensors_write(path, tensors, count, diagnostics);
  retc_arena_deinit(&arena);
  return status;
}
