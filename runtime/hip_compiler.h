/* HIP source text to a code object, by hipcc: needs no device and no HIP library. */
#ifndef RETC_RUNTIME_HIP_COMPILER_H
#define RETC_RUNTIME_HIP_COMPILER_H

#include <stddef.h>

#include "base/status.h"
#include "base/text.h"

/* What the text is compiled with, beside the architecture: it relies on no contraction. */
enum { RETC_HIP_COMPILER_OPTIONS = 3 };
extern const char *const retc_hip_compiler_options[RETC_HIP_COMPILER_OPTIONS];

typedef struct retc_hip_code {
  void *data; /* malloc'ed */
  size_t size;
} retc_hip_code;

/* The code object of `source` for `arch`, by the program that the environment names in RETC_HIPCC, else hipcc. `name`
 * is the program's in messages. RETC_FAILED: no such program, or it does not know the architecture or refuses the text,
 * with its words. */
retc_status retc_hip_compile(const char *arch, const char *name, const char *source, retc_diagnostics *diagnostics,
                             retc_hip_code *out_code);
/* Adds what tells this compiler from another one or another version of it: where its file is, its size and its time. */
void retc_hip_compiler_describe(retc_text *text);

#endif
