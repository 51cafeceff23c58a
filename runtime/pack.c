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

/* The value of a code as it is stored. */
static int code_at(retc_dtype from, const void *source, int64_t index, int low, int high, int offset) {
  double value = retc_dtype_load(from, source, (size_t)index);
  return (int)(value < low ? low : value > high ? high : value) + offset;
}

/* Which byte, of those of its row and behind, holds column k, and whether in its upper half. */
static int64_t place_of(retc_weight_layout layout, int64_t k, bool *out_upper) {
  const bool is_pair = layout == RETC_LAYOUT_HALVES || layout == RETC_LAYOUT_ROWS;
  *out_upper = is_pair ? k % 2 : layout == RETC_LAYOUT_NIBBLES && k % 8 >= 4;
  if (layout == RETC_LAYOUT_ROWS) return k / 2;
  if (layout == RETC_LAYOUT_HALVES) return k / 2 * RETC_PANEL;
  return k / (layout == RETC_LAYOUT_NIBBLES ? 8 : 4) * (RETC_PANEL * 4) + k % 4;
}

static void pack_codes(retc_weight_layout layout, retc_dtype from, const void *source, int64_t row, int64_t columns,
                       int64_t filled, uint8_t *out) {
  const bool is_half = layout != RETC_LAYOUT_QUADS;
  for (int64_t k = 0; k < filled; k++) {
    bool upper;
    uint8_t *to = &out[place_of(layout, k, &upper)];
    int code = is_half ? 8 : 128;
    if (k < columns) code = code_at(from, source, row * columns + k, is_half ? -8 : -128, is_half ? 7 : 127, code);
    if (upper) *to |= (uint8_t)(code << 4);
    else *to = (uint8_t)code;
  }
}

static void pack_pairs(retc_dtype from, const void *source, int64_t row, int64_t columns, uint16_t *out) {
  for (int64_t k = 0; k < columns; k++) {
    uint16_t *to = &out[k / 2 * (RETC_PANEL * 2) + k % 2];
    if (from == RETC_DTYPE_BF16) memcpy(to, (const char *)source + (row * columns + k) * 2, 2);
    else retc_dtype_store(RETC_DTYPE_BF16, to, 0, retc_dtype_load(from, source, (size_t)(row * columns + k)));
  }
}

void retc_pack(retc_weight_layout layout, retc_dtype from, const void *source, int64_t rows, int64_t columns,
               retc_dtype to, void *target) {
  if (layout == RETC_LAYOUT_PLAIN) {
    retc_dtype_convert(from, source, to, target, (size_t)(rows * columns));
    return;
  }
  if (layout == RETC_LAYOUT_PANEL) {
    retc_pack_panels(from, source, rows, columns, to, target);
    return;
  }
  const retc_shape shape = retc_weight_layout_shape(layout, &(retc_shape){2, {rows, columns}});
  if (layout == RETC_LAYOUT_ROWS) {
    const int64_t width = shape.dim[1];
    for (int64_t row = 0; row < rows; row++) {
      pack_codes(layout, from, source, row, columns, 2 * width, (uint8_t *)target + row * width);
    }
    return;
  }
  const int64_t together = shape.rank > 3 ? shape.dim[3] : 1,
                filled = (columns + RETC_PACKED_COLUMNS - 1) / RETC_PACKED_COLUMNS * RETC_PACKED_COLUMNS;
  const size_t size = layout == RETC_LAYOUT_PAIRS ? 2 : 1,
               panel = (size_t)(shape.dim[1] * RETC_PANEL * together) * size;
  const int nothing = layout == RETC_LAYOUT_PAIRS ? 0 : layout == RETC_LAYOUT_QUADS ? 128 : 0x88; /* a code of 0 */
  for (int64_t p = 0; p < shape.dim[0]; p++) {
    char *out = (char *)target + (size_t)p * panel;
    memset(out, nothing, panel);
    for (int64_t row = p * RETC_PANEL; row < rows && row < (p + 1) * RETC_PANEL; row++) {
      char *place = out + (size_t)(row % RETC_PANEL * together) * size;
      if (layout == RETC_LAYOUT_PAIRS) pack_pairs(from, source, row, columns, (uint16_t *)(void *)place);
      else pack_codes(layout, from, source, row, columns, filled, (uint8_t *)place);
    }
  }
}
