/* Programs whose kernels run on a GPU. */
#ifndef RETC_RUNTIME_HIP_PROGRAM_H
#define RETC_RUNTIME_HIP_PROGRAM_H

#include "runtime/hip_code.h"
#include "runtime/program.h"

/* As retc_program_create: kernels are those of `module`, and weights are copied to the device, so that `weights` need
 * not outlive the call. Sessions have their memory on the device, and copies of outputs in this process. What a device
 * lacks memory for is RETC_FAILED. */
retc_status retc_hip_program_create(const retc_plan *plan, const retc_weights *weights, retc_hip_device *device,
                                    hipModule_t module, retc_diagnostics *diagnostics, retc_program **out_program);

#endif
