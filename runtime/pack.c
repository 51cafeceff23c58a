#include <string.h>

#include "runtime/weights.h"

/* Columns taken at once: few enough that a tile of a panel stays in the first cache while the rows, whose distance is
 * often a power of two and so falls into one cache set, are read a whole line at a time. */
enum { TILE_COLUMNS = 32 };

/* rows x columns of one tile, element [r][c] to target[c][r]. */
#define TRANSPOSE(type) \
  for (int64_t r = 0; r < rows; r++) { \
    const char *row = (const char *)source + (size_t)(r * stride) * sizeof(type); \
    for (int64_t c = 0; c < columns; c++) { \
      memcpy((char *)target + (size_t)(c * RETC_PANEL + r) * sizeof(type), row + (size_t)c * sizeof(type), \
             sizeof(type)); \
    } \
  }

static void transpose(size_t size, const void *source, int64_t stride, int64_t rows, int64_t columns, void *target) {
  switch (size) {
    case 1: TRANSPOSE(uint8_t) break;
    case 2: TRANSPOSE(uint16_t) break;
    case 4: TRANSPOSE(uint32_t) break;
    case 8: TRANSPOSE(uint64_t) break;
  }
}

static void convert_tile(retc_dtype from, const void *source, int64_t stride, int64_t rows, int64_t columns,
                         retc_dtype to, void *target) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) {
      double value = retc_dtype_load(from, source, (size_t)(r * stride + c));
      retc_dtype_store(to, target, (size_t)(c * RETC_PANEL + r), value);
    }
  }
}

void retc_pack_panels(retc_dtype from, const void *source, int64_t rows, int64_t columns, retc_dtype to, void *target) {
  size_t from_size = retc_dtype_size(from), to_size = retc_dtype_size(to);
  for (int64_t panel = 0; panel < rows; panel += RETC_PANEL) {
    int64_t height = rows - panel < RETC_PANEL ? rows - panel : RETC_PANEL;
    char *out = (char *)target + (size_t)(panel * columns) * to_size;
    /* All-zero bits are zero in every dtype. */
    if (height < RETC_PANEL) memset(out, 0, (size_t)(RETC_PANEL * columns) * to_size);
    for (int64_t c = 0; c < columns; c += TILE_COLUMNS) {
      int64_t width = columns - c < TILE_COLUMNS ? columns - c : TILE_COLUMNS;
      const char *in = (const char *)source + (size_t)(panel * columns + c) * from_size;
      char *tile = out + (size_t)(c * RETC_PANEL) * to_size;
      if (from == to) transpose(to_size, in, columns, height, width, tile);
      else convert_tile(from, in, columns, height, width, to, tile);
    }
  }
}
