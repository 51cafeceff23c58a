/* What an internal error leaves behind: one file of program text that `retc opt FILE` fails on in the same way. */
#ifndef RETC_MAIN_REPRODUCER_H
#define RETC_MAIN_REPRODUCER_H

#include "compiler/compile.h"

/* For retc_compile_options.failed; `user` is not looked at. Writes retc-reproducer-STAGE-HASH.graph or .kernel into
 * $RETC_REPRODUCER_DIR, else into the current directory, and adds its name and the command to the diagnostics. The same
 * program has the same hash. */
void retc_reproducer_write(void *user, const retc_failure *failure, retc_diagnostics *diagnostics);

#endif
