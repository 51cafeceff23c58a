/* Element types and their conversions to and from double. */
#ifndef RETC_BASE_DTYPE_H
#define RETC_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum retc_dtype {
#define RETC_DTYPE(NAME, text, file_name, bytes, meaning) RETC_DTYPE_##NAME,
#include "base/dtypes.def"
#undef RETC_DTYPE
  RETC_DTYPE_COUNT
} retc_dtype;

const char *retc_dtype_name(retc_dtype dtype);
const char *retc_dtype_file_name(retc_dtype dtype);
size_t retc_dtype_size(retc_dtype dtype);
bool retc_dtype_is_float(retc_dtype dtype);
/* By "text" or by safetensors name; false when there is none. */
bool retc_dtype_parse(const char *text, size_t length, retc_dtype *out_dtype);
bool retc_dtype_parse_file_name(const char *text, retc_dtype *out_dtype);

/* Element `index` of an array. Widening is exact; storing to a float type rounds to nearest even. */
double retc_dtype_load(retc_dtype dtype, const void *array, size_t index);
void retc_dtype_store(retc_dtype dtype, void *array, size_t index, double value);

float retc_bf16_to_f32(uint16_t bits);
float retc_f16_to_f32(uint16_t bits);
uint16_t retc_f32_to_bf16(float value);
uint16_t retc_f32_to_f16(float value);

/* Array to array, count elements. */
void retc_dtype_convert(retc_dtype from, const void *source, retc_dtype to, void *target, size_t count);

#endif
