/* Matrices of 8 or 4 bit integers made of matrices of floats: rows are cut into groups of columns, each with a scale.
 */
#ifndef RETC_RUNTIME_QUANTIZE_H
#define RETC_RUNTIME_QUANTIZE_H

#include "runtime/safetensors.h"

/* Columns that share a scale, of weights that a network asks for. */
enum { RETC_GROUP_INT8 = 64, RETC_GROUP_INT4 = 32 };

/* A weight that no file holds: what NAME.int8, NAME.int8.scale, NAME.int4 and NAME.int4.scale are made of. */
typedef struct retc_quantized {
  const retc_stored_tensor *tensor; /* NAME, of rank 2 */
  int bits;                         /* 8 or 4 */
  bool is_scale;
} retc_quantized;
/* False when `name` is none of these, or NAME no matrix of the checkpoint. */
bool retc_quantized_find(const retc_checkpoint *checkpoint, const char *name, retc_quantized *out_quantized);
/* Columns of a group, when a row of `columns` has `groups` of them: 64, 32 or 16; 0: none of these. */
int64_t retc_quantized_group(int64_t columns, int64_t groups);

/* The number of scales a row. */
static inline int64_t retc_group_count(int64_t columns, int64_t group) { return (columns + group - 1) / group; }

/* rows x columns of floats, row-major: codes[row, column] in -127..127 or -8..7 and scales[row, group], f16, so that
 * scale * code is near the number; of the scales that are tried the one with the least squared error. */
void retc_quantize(int bits, int64_t group, const float *source, int64_t rows, int64_t columns, int8_t *codes,
                   uint16_t *scales);

#endif
