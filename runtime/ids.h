/* Numbers of rows, such as tokens: checked before anything runs, with one message wherever they come from. */
#ifndef RETC_RUNTIME_IDS_H
#define RETC_RUNTIME_IDS_H

#include "base/dtype.h"
#include "base/shape.h"
#include "base/status.h"

/* RETC_INVALID "tokens[1,3] is 70, expected 0..69" for the first of ids[shape] that is not in 0..limit-1. `shape` is
 * all constant; rows along its first axis are `row_stride` elements apart, 0: without gaps. i64 or i32. */
retc_status retc_ids_check(const char *what, retc_dtype dtype, const void *ids, const retc_shape *shape,
                           int64_t row_stride, int64_t limit, retc_diagnostics *diagnostics);

#endif
