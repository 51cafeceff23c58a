/* The kernel interpreter with a planted mistake: linked with --wrap=retc_kernel_eval. */
#include <stddef.h>
#include <string.h>

#include "ir/kernel_eval.h"

retc_status __real_retc_kernel_eval(const retc_kernel *kernel, const retc_dims *dims,
                                    const retc_kernel_memory *memories, size_t count, retc_diagnostics *diagnostics);
retc_status __wrap_retc_kernel_eval(const retc_kernel *kernel, const retc_dims *dims,
                                    const retc_kernel_memory *memories, size_t count, retc_diagnostics *diagnostics);

/* The last bit of the first number that a product writes. */
retc_status __wrap_retc_kernel_eval(const retc_kernel *kernel, const retc_dims *dims,
                                    const retc_kernel_memory *memories, size_t count, retc_diagnostics *diagnostics) {
  retc_status status = __real_retc_kernel_eval(kernel, dims, memories, count, diagnostics);
  if (status != RETC_OK || strncmp(kernel->name, "contract", 8)) return status;
  size_t parameter = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *buffer = &kernel->buffers.items[i];
    if (buffer->scope != RETC_SCOPE_GLOBAL) continue;
    bool written = buffer->access == RETC_ACCESS_WRITE && buffer->dtype == RETC_DTYPE_F32;
    if (written) *(uint32_t *)memories[parameter].data ^= 1;
    parameter++;
  }
  return status;
}
