/* What a session on a GPU has beside others: device memory for inputs, copies of outputs, and the graph of a call that
 * is made again and again. For run*.c. */
#ifndef RETC_RUNTIME_HIP_RUN_H
#define RETC_RUNTIME_HIP_RUN_H

#include "runtime/program_types.h"

retc_status retc_hip_run_create(const retc_run *run, retc_diagnostics *diagnostics, retc_hip_run **out_part);
void retc_hip_run_destroy(const retc_run *run, retc_hip_run *part);

/* Copies an input to its place on the device and returns that. */
retc_status retc_hip_run_input(retc_run *run, size_t buffer, const void *data, retc_diagnostics *diagnostics,
                               void **out_memory);
/* Launches the steps of run->last_entry with run->dims, waits, and copies the entry's outputs. */
retc_status retc_hip_run_entry(retc_run *run, retc_diagnostics *diagnostics);
/* What was chosen behind that step, with run->draw: tokens[B], or -1 - v where the logit of v is no number. Then outputs
 * are fetched when they are asked for. */
const int64_t *retc_hip_run_tokens(const retc_run *run);
/* The copy of an output of the last call, or of a state, which is fetched now; NULL when that fails. */
const void *retc_hip_run_output(const retc_run *run, int buffer);

#endif
