/* Tokens chosen on a GPU, by the kernel retc_sample of the text that backends/hip writes: a block a row, behind the step
 * that gives the logits. For hip_run.c and hip_program.c. A launch has the arguments of run->draw; `tokens` is the memory
 * of the device that tokens[B] go to, or -1 - v where the logit of v is no number. */
#ifndef RETC_RUNTIME_HIP_SAMPLE_H
#define RETC_RUNTIME_HIP_SAMPLE_H

#include "runtime/program_types.h"

/* NULL: the code has no such kernel. */
void retc_hip_sample_find(retc_hip_device *device, hipModule_t module, hipFunction_t *out_function);
retc_status retc_hip_sample_launch(const retc_run *run, void *tokens, retc_diagnostics *diagnostics);
/* The same as a node of a graph that waits for others; and with the arguments of another draw. */
retc_status retc_hip_sample_add(const retc_run *run, void *tokens, hipGraph_t graph, const hipGraphNode_t *before,
                                size_t count, retc_diagnostics *diagnostics, hipGraphNode_t *out_node);
retc_status retc_hip_sample_set(const retc_run *run, void *tokens, hipGraphExec_t executable, hipGraphNode_t node,
                                retc_diagnostics *diagnostics);

#endif
