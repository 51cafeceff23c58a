#include "runtime/hip_program.h"

#include <stdlib.h>

#include "runtime/hip_sample.h"
#include "runtime/program_types.h"

static retc_status copy_weights(retc_program *program, const retc_weights *weights, retc_diagnostics *diagnostics) {
  const retc_plan *plan = program->plan;
  const retc_dims none = {0};
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (buffer->kind != RETC_PLAN_WEIGHT && buffer->kind != RETC_PLAN_CONSTANT) continue;
    int64_t size = retc_plan_buffer_elements(buffer, &none) * (int64_t)retc_dtype_size(buffer->dtype);
    RETC_TRY(retc_hip_alloc(program->gpu, buffer->name, size, diagnostics, &program->gpu_weights[i]));
    RETC_TRY(retc_hip_write(program->gpu, program->gpu_weights[i], weights->data[i], (size_t)size, diagnostics));
  }
  return retc_hip_wait(program->gpu, diagnostics);
}

static retc_status find_functions(retc_program *program, hipModule_t module, retc_diagnostics *diagnostics) {
  const retc_plan *plan = program->plan;
  for (size_t i = 0; i < plan->kernels.count; i++) {
    const retc_plan_kernel *kernel = &plan->kernels.items[i];
    if (!retc_plan_kernel_is_launch(kernel)) {
      return retc_fail(diagnostics, RETC_INTERNAL, "plan: kernel '%s' is not one of a GPU", kernel->name);
    }
    RETC_TRY(retc_hip_code_find(program->gpu, module, kernel->name, diagnostics, &program->functions[i]));
  }
  if (retc_plan_find_logits(plan) >= 0) retc_hip_sample_find(program->gpu, module, &program->sampler);
  return RETC_OK;
}

static retc_status prepare(retc_program *program, const retc_weights *weights, hipModule_t module,
                           retc_diagnostics *diagnostics) {
  program->gpu_weights = calloc(program->plan->buffers.count + 1, sizeof *program->gpu_weights);
  program->functions = calloc(program->plan->kernels.count + 1, sizeof *program->functions);
  if (!program->gpu_weights || !program->functions) {
    return retc_fail(diagnostics, RETC_FAILED, "program: out of memory");
  }
  RETC_TRY(find_functions(program, module, diagnostics));
  for (size_t i = 0; i < program->plan->kernels.count; i++) {
    if (program->plan->kernels.items[i].product) RETC_TRY(retc_hip_device_open_blas(program->gpu, diagnostics));
  }
  return copy_weights(program, weights, diagnostics);
}

retc_status retc_hip_program_create(const retc_plan *plan, const retc_weights *weights, retc_hip_device *device,
                                    hipModule_t module, retc_diagnostics *diagnostics, retc_program **out_program) {
  *out_program = NULL;
  RETC_TRY(retc_program_check(plan, weights, diagnostics));
  retc_program *program = calloc(1, sizeof *program);
  if (!program) return retc_fail(diagnostics, RETC_FAILED, "program: out of memory");
  program->plan = plan;
  program->gpu = device;
  retc_status status = prepare(program, weights, module, diagnostics);
  program->fixed = program->gpu_weights;
  if (status != RETC_OK) {
    retc_program_destroy(program);
    return status;
  }
  *out_program = program;
  return RETC_OK;
}
