/* Arrays of numbers by name: what a program is called with, and what it gives. Held as doubles beside the dtype they
 * are stored in, which they fit exactly (of i64 those below 2^53). */
#ifndef RETC_COMPILER_ARRAYS_H
#define RETC_COMPILER_ARRAYS_H

#include "ir/graph_eval.h"
#include "runtime/quantize.h"

typedef struct retc_array {
  const char *name;
  retc_dtype dtype;
  retc_tensor tensor;
} retc_array;

typedef struct retc_arrays {
  retc_arena arena; /* of the names */
  RETC_VEC(retc_array) list;
} retc_arrays;

void retc_arrays_init(retc_arrays *arrays);
void retc_arrays_deinit(retc_arrays *arrays);

/* Takes the tensor over; the name is copied. */
void retc_arrays_add(retc_arrays *arrays, const char *name, retc_dtype dtype, retc_tensor tensor);
/* NULL when there is none. */
const retc_array *retc_arrays_find(const retc_arrays *arrays, const char *name);

/* The codes or the scales that loading makes of a matrix, whose rows are cut into groups of `group` columns. */
retc_status retc_tensor_init_quantized(retc_tensor *tensor, const retc_quantized *made, int64_t group,
                                       retc_diagnostics *diagnostics);

/* Adds the tensor of a file under `name`. RETC_INVALID: more axes than a value may have. */
retc_status retc_arrays_add_stored(retc_arrays *arrays, const char *name, const retc_stored_tensor *stored,
                                   retc_diagnostics *diagnostics);
/* Writes all as safetensors. */
retc_status retc_arrays_write(const retc_arrays *arrays, const char *path, retc_diagnostics *diagnostics);

#endif
