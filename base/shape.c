#include "base/shape.h"

#include <string.h>

static const struct {
  const char *text, *meaning;
} names[] = {
#define RETC_DIM(NAME, text, meaning) {text, meaning},
#include "base/dims.def"
#undef RETC_DIM
};

bool retc_dim_is_named(retc_dim dim) { return dim < 0; }

const char *retc_dim_text(retc_dim_name name) { return names[name].text; }

const char *retc_dim_meaning(retc_dim_name name) { return names[name].meaning; }

bool retc_dim_is_axis(retc_dim_name name) { return name != RETC_DIM_P && name != RETC_DIM_E; }

bool retc_dim_parse(const char *text, size_t length, retc_dim_name *out_name) {
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    if (strlen(names[i].text) != length || memcmp(names[i].text, text, length) != 0) continue;
    *out_name = (retc_dim_name)i;
    return true;
  }
  return false;
}

int64_t retc_dim_value(retc_dim dim, const retc_dims *dims) { return dim < 0 ? dims->value[~dim] : dim; }

int64_t retc_chunk_count(int64_t position, int64_t tokens, int64_t chunk) {
  int64_t rows = position % chunk;
  if (tokens > INT64_MAX - rows) rows = 0; /* sizes are refused long before */
  rows += tokens;
  return rows / chunk + (rows % chunk != 0);
}

int64_t retc_chunk_count_most(int64_t tokens, int64_t chunk) { return retc_chunk_count(chunk - 1, tokens, chunk); }

bool retc_shape_equal(const retc_shape *a, const retc_shape *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->dim[i] != b->dim[i]) return false;
  }
  return true;
}

int64_t retc_shape_count(const retc_shape *shape, const retc_dims *dims) {
  int64_t count = 1;
  bool empty = false, saturated = false;
  for (int i = 0; i < shape->rank; i++) {
    int64_t extent = retc_dim_value(shape->dim[i], dims);
    if (extent <= 0) empty = true;
    else if (count > INT64_MAX / extent) saturated = true;
    else count *= extent;
  }
  return empty ? 0 : saturated ? INT64_MAX : count;
}
