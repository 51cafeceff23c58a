/* Where the buffers of a program lie: in this process, or on the GPU that its kernels run on. For program.c and run*.c.
 */
#ifndef RETC_RUNTIME_PROGRAM_MEMORY_H
#define RETC_RUNTIME_PROGRAM_MEMORY_H

#include "runtime/program_types.h"

/* As retc_memory_alloc; retc_program_free it. */
retc_status retc_program_alloc(const retc_program *program, const char *what, int64_t count, size_t item_size,
                               retc_diagnostics *diagnostics, void **out_memory);
void retc_program_free(const retc_program *program, void *memory);
retc_status retc_program_clear(const retc_program *program, void *memory, size_t size, retc_diagnostics *diagnostics);
/* From memory of the process. */
retc_status retc_program_write(const retc_program *program, void *to, const void *from, size_t size,
                               retc_diagnostics *diagnostics);

#endif
