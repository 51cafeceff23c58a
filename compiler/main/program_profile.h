/* Where the time of a program's calls goes: `retc run FILE --inputs IN --out OUT --profile N`. */
#ifndef RETC_MAIN_PROGRAM_PROFILE_H
#define RETC_MAIN_PROGRAM_PROFILE_H

#include "runtime/program.h"

/* Calls the entry `rounds` times, each with these inputs, and prints to stderr what every step takes: medians.
 * `threads` is retc_run_threads, of a GPU 1. */
retc_status retc_program_profile(retc_run *run, const retc_plan_entry *entry, const retc_plan *plan,
                                 const retc_dims *dims, const retc_run_input *inputs, size_t count, int threads,
                                 int64_t rounds, retc_diagnostics *diagnostics);

#endif
