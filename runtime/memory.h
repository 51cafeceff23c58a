/* Memory of run time: aligned for any vector, refusals reported with the size. */
#ifndef RETC_RUNTIME_MEMORY_H
#define RETC_RUNTIME_MEMORY_H

#include <stdint.h>

#include "base/status.h"

enum { RETC_MEMORY_ALIGNMENT = 64 };

/* `count` items of `item_size` bytes, 64-byte aligned, content undefined; free() it. Never NULL when RETC_OK.
 * RETC_FAILED names `what` and the byte count. */
retc_status retc_memory_alloc(const char *what, int64_t count, size_t item_size, retc_diagnostics *diagnostics,
                              void **out_memory);

#endif
