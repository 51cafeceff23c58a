#include "runtime/memory.h"

#include <inttypes.h>
#include <stdlib.h>

retc_status retc_memory_alloc(const char *what, int64_t count, size_t item_size, retc_diagnostics *diagnostics,
                              void **out_memory) {
  *out_memory = NULL;
  if (count < 0 || (item_size && (uint64_t)count > (uint64_t)(INT64_MAX / 2) / item_size)) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: %" PRId64 " elements of %zu bytes are more than can be addressed",
                     what, count, item_size);
  }
  size_t bytes = (size_t)count * item_size;
  size_t rounded = (bytes / RETC_MEMORY_ALIGNMENT + 1) * RETC_MEMORY_ALIGNMENT;
  *out_memory = aligned_alloc(RETC_MEMORY_ALIGNMENT, rounded);
  if (*out_memory) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "%s: the system refused %zu bytes of memory", what, bytes);
}
