/* Shapes with constant and named dimensions. The names are a closed table: what a call of a program is measured by. */
#ifndef RETC_BASE_SHAPE_H
#define RETC_BASE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum retc_dim_name {
#define RETC_DIM(NAME, text, meaning) RETC_DIM_##NAME,
#include "base/dims.def"
#undef RETC_DIM
  RETC_DIM_COUNT
} retc_dim_name;

/* The value of E when there is no end: no position reaches it, and a double holds it. */
#define RETC_NO_END ((int64_t)1 << 53)

/* A dimension: >= 0 a constant, < 0 the named one ~dim. */
typedef int64_t retc_dim;
#define RETC_NAMED(NAME) ((retc_dim)(~(int64_t)RETC_DIM_##NAME))

enum { RETC_RANK_MAX = 6 };

typedef struct retc_shape {
  int rank;
  retc_dim dim[RETC_RANK_MAX];
} retc_shape;

/* The value of every name in one call. */
typedef struct retc_dims {
  int64_t value[RETC_DIM_COUNT];
} retc_dims;

bool retc_dim_is_named(retc_dim dim);
const char *retc_dim_text(retc_dim_name name);
const char *retc_dim_meaning(retc_dim_name name);
/* Whether it measures axes; P and E do not. */
bool retc_dim_is_axis(retc_dim_name name);
bool retc_dim_parse(const char *text, size_t length, retc_dim_name *out_name);
int64_t retc_dim_value(retc_dim dim, const retc_dims *dims);

/* The dimension N: how many chunks of the absolute grid `tokens` positions from `position` on touch. chunk >= 1. */
int64_t retc_chunk_count(int64_t position, int64_t tokens, int64_t chunk);
/* The most that `tokens` positions can touch, wherever they begin. */
int64_t retc_chunk_count_most(int64_t tokens, int64_t chunk);

bool retc_shape_equal(const retc_shape *a, const retc_shape *b);
/* Number of elements with the names bound; 1 for rank 0; INT64_MAX when it does not fit. */
int64_t retc_shape_count(const retc_shape *shape, const retc_dims *dims);

#endif
