#include "runtime/program_memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/memory.h"

retc_status retc_program_alloc(const retc_program *program, const char *what, int64_t count, size_t item_size,
                               retc_diagnostics *diagnostics, void **out_memory) {
  if (!program->gpu) return retc_memory_alloc(what, count, item_size, diagnostics, out_memory);
  if (count < 0 || (item_size && count > INT64_MAX / (int64_t)item_size)) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: %" PRId64 " elements of %zu bytes are more than can be addressed",
                     what, count, item_size);
  }
  return retc_hip_alloc(program->gpu, what, count * (int64_t)item_size, diagnostics, out_memory);
}

void retc_program_free(const retc_program *program, void *memory) {
  if (program->gpu) retc_hip_free(program->gpu, memory);
  else free(memory);
}

retc_status retc_program_clear(const retc_program *program, void *memory, size_t size, retc_diagnostics *diagnostics) {
  if (program->gpu) return retc_hip_clear(program->gpu, memory, size, diagnostics);
  if (size) memset(memory, 0, size);
  return RETC_OK;
}

retc_status retc_program_write(const retc_program *program, void *to, const void *from, size_t size,
                               retc_diagnostics *diagnostics) {
  if (program->gpu) return retc_hip_write(program->gpu, to, from, size, diagnostics);
  if (size) memcpy(to, from, size);
  return RETC_OK;
}
