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

static retc_status prepare(const retc_plan_kernel *kernel, retc_executable *executable, retc_diagnostics *diagnostics,
                           retc_launch *launch) {
  if (kernel->buffer_count < 0 || kernel->dim_count < 0 || kernel->dim_count > RETC_DIM_COUNT ||
      kernel->scratch_bytes < 0) {
    return defect(diagnostics, "kernel", kernel->name, "has a negative count or too many dimensions");
  }
  void *address = executable->find(executable, kernel->name);
  if (!address) return defect(diagnostics, "kernel", kernel->name, "is not in the compiled code");
  /* POSIX has function pointers fit into void *; ISO C has no cast for it. */
  memcpy(&launch->function, &address, sizeof address);
  int pointers = kernel->buffer_count, count = pointers + kernel->dim_count + TRAILING_ARGUMENTS;
  launch->argument_count = count;
  launch->types = calloc((size_t)count, sizeof(ffi_type *));
  if (!launch->types) return retc_fail(diagnostics, RETC_FAILED, "kernel '%s': out of memory", kernel->name);
  for (int i = 0; i < count; i++) {
    bool pointer = i < pointers || i == count - TRAILING_ARGUMENTS;
    launch->types[i] = pointer ? &ffi_type_pointer : &ffi_type_sint64;
  }
  if (ffi_prep_cif(&launch->cif, FFI_DEFAULT_ABI, (unsigned)count, &ffi_type_void, launch->types) != FFI_OK) {
    return defect(diagnostics, "kernel", kernel->name, "has a signature that cannot be called");
  }
  return RETC_OK;
}

static retc_status prepare_all(retc_program *program, retc_executable *executable, retc_diagnostics *diagnostics) {
  const retc_plan *plan = program->plan;
  program->launches = calloc(plan->kernels.count + 1, sizeof *program->launches);
  program->groups = calloc(plan->entries.count + 1, sizeof *program->groups);
  if (!program->launches || !program->groups) return retc_fail(diagnostics, RETC_FAILED, "program: out of memory");
  for (size_t i = 0; i < plan->kernels.count; i++) {
    const retc_plan_kernel *kernel = &plan->kernels.items[i];
    retc_launch *launch = &program->launches[i];
    RETC_TRY(prepare(kernel, executable, diagnostics, launch));
    if (launch->argument_count > program->argument_room) program->argument_room = launch->argument_count;
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
  for (size_t i = 0; program->launches && i < program->plan->kernels.count; i++) free(program->launches[i].types);
  for (size_t i = 0; program->groups && i < program->plan->entries.count; i++) {
    retc_step_groups_deinit(&program->groups[i]);
  }
  for (size_t i = 0; program->gpu_weights && i < program->plan->buffers.count; i++) {
    retc_hip_free(program->gpu, program->gpu_weights[i]);
  }
  free(program->gpu_weights);
  free(program->functions);
  free(program->groups);
  free(program->launches);
  free(program);
}
