#include "runtime/program.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/program_types.h"

enum { TRAILING_ARGUMENTS = 3 /* scratch, thread, threads */ };

static retc_status defect(retc_diagnostics *diagnostics, const char *what, const char *name, const char *problem) {
  return retc_fail(diagnostics, RETC_INTERNAL, "plan: %s '%s' %s", what, name, problem);
}

static retc_status check_buffer(const retc_plan *plan, const retc_weights *weights, size_t index,
                                retc_diagnostics *diagnostics) {
  const retc_plan_buffer *buffer = &plan->buffers.items[index];
  switch (buffer->kind) {
    case RETC_PLAN_WEIGHT:
    case RETC_PLAN_CONSTANT:
      if (index >= weights->count || !weights->data[index]) {
        return defect(diagnostics, "buffer", buffer->name, "has no weight or constant loaded");
      }
      break;
    case RETC_PLAN_SCRATCH:
    case RETC_PLAN_OUTPUT:
      if (buffer->slot < 0 || (size_t)buffer->slot >= plan->slots.count) {
        return defect(diagnostics, "buffer", buffer->name, "has a slot that the plan has not");
      }
      break;
    case RETC_PLAN_INPUT:
    case RETC_PLAN_STATE: break;
  }
  return RETC_OK;
}

static retc_status check_step(const retc_plan *plan, const char *entry, const retc_plan_step *step,
                              retc_diagnostics *diagnostics) {
  if (step->kernel < 0 || (size_t)step->kernel >= plan->kernels.count) {
    return defect(diagnostics, "entry", entry, "has a step whose kernel the plan has not");
  }
  for (int i = 0; i < plan->kernels.items[step->kernel].buffer_count; i++) {
    if (step->buffers[i] < 0 || (size_t)step->buffers[i] >= plan->buffers.count) {
      return defect(diagnostics, "entry", entry, "has a step with a buffer that the plan has not");
    }
  }
  return RETC_OK;
}

retc_status retc_program_check(const retc_plan *plan, const retc_weights *weights, retc_diagnostics *diagnostics) {
  if (plan->chunk_length < 1) return retc_fail(diagnostics, RETC_INTERNAL, "plan: no chunk length");
  for (size_t i = 0; i < plan->buffers.count; i++) RETC_TRY(check_buffer(plan, weights, i, diagnostics));
  for (size_t i = 0; i < plan->entries.count; i++) {
    const retc_plan_entry *entry = &plan->entries.items[i];
    for (size_t k = 0; k < entry->steps.count; k++) {
      RETC_TRY(check_step(plan, entry->name, &entry->steps.items[k], diagnostics));
    }
  }
  return RETC_OK;
}

static retc_status find_kernel(const retc_plan_kernel *kernel, retc_executable *executable,
                               retc_diagnostics *diagnostics, retc_packed_kernel **out_kernel) {
  if (kernel->buffer_count < 0 || kernel->dim_count < 0 || kernel->dim_count > RETC_DIM_COUNT ||
      kernel->scratch_bytes < 0) {
    return defect(diagnostics, "kernel", kernel->name, "has a negative count or too many dimensions");
  }
  retc_text name;
  retc_text_init(&name);
  retc_text_printf(&name, RETC_PACKED_NAME, kernel->name);
  void *address = name.data ? executable->find(executable, name.data) : NULL;
  retc_text_deinit(&name);
  if (!address) return defect(diagnostics, "kernel", kernel->name, "is not in the compiled code");
  /* POSIX has function pointers fit into void *; ISO C has no cast for it. */
  memcpy(out_kernel, &address, sizeof address);
  return RETC_OK;
}

static retc_status prepare_all(retc_program *program, retc_executable *executable, retc_diagnostics *diagnostics) {
  const retc_plan *plan = program->plan;
  program->kernels = calloc(plan->kernels.count + 1, sizeof *program->kernels);
  program->groups = calloc(plan->entries.count + 1, sizeof *program->groups);
  if (!program->kernels || !program->groups) return retc_fail(diagnostics, RETC_FAILED, "program: out of memory");
  for (size_t i = 0; i < plan->kernels.count; i++) {
    const retc_plan_kernel *kernel = &plan->kernels.items[i];
    RETC_TRY(find_kernel(kernel, executable, diagnostics, &program->kernels[i]));
    const int arguments = kernel->buffer_count + kernel->dim_count + TRAILING_ARGUMENTS;
    if (arguments > program->argument_room) program->argument_room = arguments;
    if (kernel->scratch_bytes > program->scratch_bytes) program->scratch_bytes = kernel->scratch_bytes;
  }
  for (size_t i = 0; i < plan->entries.count; i++) {
    RETC_TRY(retc_step_groups_init(&program->groups[i], plan, &plan->entries.items[i], diagnostics));
  }
  return RETC_OK;
}

retc_status retc_program_create(const retc_plan *plan, const retc_weights *weights, retc_executable *executable,
                                retc_team *team, retc_diagnostics *diagnostics, retc_program **out_program) {
  *out_program = NULL;
  RETC_TRY(retc_program_check(plan, weights, diagnostics));
  retc_program *program = calloc(1, sizeof *program);
  if (!program) return retc_fail(diagnostics, RETC_FAILED, "program: out of memory");
  program->plan = plan;
  program->fixed = weights->data;
  program->team = team;
  retc_status status = prepare_all(program, executable, diagnostics);
  if (status != RETC_OK) {
    retc_program_destroy(program);
    return status;
  }
  *out_program = program;
  return RETC_OK;
}

void retc_program_destroy(retc_program *program) {
  if (!program) return;
  for (size_t i = 0; program->groups && i < program->plan->entries.count; i++) {
    retc_step_groups_deinit(&program->groups[i]);
  }
  for (size_t i = 0; program->gpu_weights && i < program->plan->buffers.count; i++) {
    retc_hip_free(program->gpu, program->gpu_weights[i]);
  }
  free(program->gpu_weights);
  free(program->functions);
  free(program->groups);
  free(program->kernels);
  free(program);
}
