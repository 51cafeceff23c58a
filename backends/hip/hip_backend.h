/* Kernels in, HIP C++ out: one text for all AMD GPUs that HIP compilers know. Sees kernels, never graphs.
 *
 * The text depends on <hip/hip_runtime.h> alone. A kernel becomes
 *   extern "C" __global__ void name(T *buffer... (in the order of its parameters), int64_t dim... (in dims.def's
 * order)) with static shared memory, launched as retc_kernel_launch says. The pragma at its top keeps compilers from
 * contracting a * b + c; so the code computes what kernel IR says, operation by operation. */
#ifndef RETC_BACKENDS_HIP_BACKEND_H
#define RETC_BACKENDS_HIP_BACKEND_H

#include "base/status.h"
#include "base/text.h"
#include "ir/kernel.h"
#include "runtime/plan.h"

/* The prelude, the kernels, and, when there is a plan, a table of its launches as a comment; of a plan that tokens are
 * chosen from also the kernel retc_sample, by which runtime/hip_sample.h does that. The same input gives the same bytes.
 * RETC_INVALID with the kernel's name when one is not made of blocks and lanes, as kernels for CPUs are
 * not. */
retc_status retc_hip_emit(const retc_kernel *const *kernels, size_t count, const retc_plan *plan,
                          retc_diagnostics *diagnostics, retc_text *out_text);
/* One kernel without the prelude. */
retc_status retc_hip_emit_kernel(const retc_kernel *kernel, retc_diagnostics *diagnostics, retc_text *out_text);

#endif
