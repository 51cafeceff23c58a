#include "runtime/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Large memory asks for huge pages, which streams of weights and rows of states that lie far apart profit from. The
 * heap may give what it had before, in small pages: these are given back first, as the content is undefined anyway. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

static void *alloc_huge(size_t bytes) {
  void *memory = NULL;
  if (posix_memalign(&memory, HUGE_PAGE, bytes)) return NULL;
  (void)madvise(memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_DONTNEED);
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

retc_status retc_memory_alloc(const char *what, int64_t count, size_t item_size, retc_diagnostics *diagnostics,
                              void **out_memory) {
  *out_memory = NULL;
  if (count < 0 || (item_size && (uint64_t)count > (uint64_t)(INT64_MAX / 2) / item_size)) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: %" PRId64 " elements of %zu bytes are more than can be addressed",
                     what, count, item_size);
  }
  size_t bytes = (size_t)count * item_size;
  size_t rounded = (bytes / RETC_MEMORY_ALIGNMENT + 1) * RETC_MEMORY_ALIGNMENT;
  *out_memory = rounded >= HUGE_FROM ? alloc_huge(rounded) : aligned_alloc(RETC_MEMORY_ALIGNMENT, rounded);
  if (*out_memory) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "%s: the system refused %zu bytes of memory", what, bytes);
}
