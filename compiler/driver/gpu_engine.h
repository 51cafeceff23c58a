/* The device of an engine whose compiled kernels run on a GPU, and the code on it. */
#ifndef RETC_DRIVER_GPU_ENGINE_H
#define RETC_DRIVER_GPU_ENGINE_H

#include "backends/target.h"
#include "compiler/compile.h"
#include "runtime/program.h"

typedef struct retc_gpu retc_gpu;

/* The first GPU that HIP finds; RETC_FAILED when there is none. */
retc_status retc_gpu_open(retc_diagnostics *diagnostics, retc_gpu **out_gpu);
/* After the programs on it. */
void retc_gpu_close(retc_gpu *gpu);
/* What schedules are made for: the architectures of a list; NULL: the device's, or all when there is no device either
 * (gpu NULL). A device that is not among them, or that retc does not know, is RETC_FAILED. */
retc_status retc_gpu_profile(const retc_gpu *gpu, const char *archs, retc_diagnostics *diagnostics,
                             retc_target_profile *out_profile);
/* Builds the kernels' HIP text for the device and loads it; `name` is for messages. */
retc_status retc_gpu_load(retc_gpu *gpu, const retc_compilation *compilation, const char *name,
                          retc_diagnostics *diagnostics);
/* As retc_hip_program_create. */
retc_status retc_gpu_make_program(retc_gpu *gpu, const retc_plan *plan, const retc_weights *weights,
                                  retc_diagnostics *diagnostics, retc_program **out_program);
/* Whether products that plans leave to a vendor's BLAS go there. */
bool retc_gpu_has_blas(const retc_gpu *gpu);
/* "NAME, ARCH" of the device, into text. */
void retc_gpu_describe(const retc_gpu *gpu, retc_text *out_text);
/* As retc_hip_measure_copy. */
retc_status retc_gpu_measure_copy(retc_gpu *gpu, int64_t size, retc_diagnostics *diagnostics, double *out_rate);

#endif
