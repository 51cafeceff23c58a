#include "runtime/ids.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"

static int64_t read_id(retc_dtype dtype, const void *ids, int64_t index) {
  const char *at = (const char *)ids + (size_t)index * retc_dtype_size(dtype);
  int64_t wide;
  int32_t narrow;
  if (dtype == RETC_DTYPE_I32) {
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
  }
  memcpy(&wide, at, sizeof wide);
  return wide;
}

/* "tokens[1,3]", the element `index` of those without gaps. */
static void print_place(const char *what, const retc_shape *shape, int64_t index, retc_text *out_text) {
  int64_t at[RETC_RANK_MAX] = {0};
  for (int i = shape->rank - 1; i >= 0; i--) {
    at[i] = index % shape->dim[i];
    index /= shape->dim[i];
  }
  retc_text_add(out_text, what);
  for (int i = 0; i < shape->rank; i++) retc_text_printf(out_text, "%s%" PRId64, i ? "," : "[", at[i]);
  if (shape->rank) retc_text_add(out_text, "]");
}

retc_status retc_ids_check(const char *what, retc_dtype dtype, const void *ids, const retc_shape *shape,
                           int64_t row_stride, int64_t limit, retc_diagnostics *diagnostics) {
  const retc_dims none = {{0}};
  int64_t count = retc_shape_count(shape, &none), rows = shape->rank ? shape->dim[0] : 1,
          width = rows ? count / rows : 0;
  if (!row_stride) row_stride = width;
  for (int64_t i = 0; i < count; i++) {
    int64_t id = read_id(dtype, ids, i / width * row_stride + i % width);
    if (id >= 0 && id < limit) continue;
    retc_text place;
    retc_text_init(&place);
    print_place(what, shape, i, &place);
    retc_status status = retc_fail(diagnostics, RETC_INVALID, "%s is %" PRId64 ", expected 0..%" PRId64,
                                   place.data ? place.data : what, id, limit - 1);
    retc_text_deinit(&place);
    return status;
  }
  return RETC_OK;
}
