/* One call of an entry: what is given is checked, then every thread walks the steps. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/ids.h"
#include "runtime/hip_run.h"
#include "runtime/program_memory.h"
#include "runtime/program_types.h"

static retc_status unknown(const char *what, const char *name, const char *const *names, size_t count,
                           retc_diagnostics *diagnostics) {
  const char *nearest = retc_nearest(name, names, count);
  if (!nearest) return retc_fail(diagnostics, RETC_INVALID, "there is no %s '%s'", what, name);
  return retc_fail(diagnostics, RETC_INVALID, "there is no %s '%s'; did you mean '%s'?", what, name, nearest);
}

static retc_status find_entry(const retc_plan *plan, const char *name, retc_diagnostics *diagnostics, int *out_entry) {
  *out_entry = retc_plan_find_entry(plan, name);
  if (*out_entry >= 0) return RETC_OK;
  const char **names = calloc(plan->entries.count + 1, sizeof *names);
  for (size_t i = 0; names && i < plan->entries.count; i++) names[i] = plan->entries.items[i].name;
  retc_status status = unknown("entry", name, names, names ? plan->entries.count : 0, diagnostics);
  free(names);
  return status;
}

/* ---- dimensions ---- */

static void find_dims(const retc_plan *plan, const retc_plan_entry *entry, bool used[RETC_DIM_COUNT]) {
  memset(used, 0, sizeof(bool) * RETC_DIM_COUNT);
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_kernel *kernel = &plan->kernels.items[entry->steps.items[i].kernel];
    for (int k = 0; k < kernel->dim_count; k++) used[kernel->dims[k]] = true;
  }
}

static int64_t grid_length(const retc_plan *plan, const retc_plan_entry *entry) {
  return entry->chunk_length ? entry->chunk_length : plan->chunk_length;
}

/* N, where the entry counts chunks with it. */
static void count_chunks(const retc_plan *plan, const retc_plan_entry *entry, retc_dims *dims) {
  const int64_t chunk = grid_length(plan, entry);
  if (chunk < 1 || (!entry->chunk_length && dims->value[RETC_DIM_N])) return;
  const int64_t start = entry->chunk_length && entry->grid_start >= 0 ? entry->grid_start : dims->value[RETC_DIM_P];
  dims->value[RETC_DIM_N] = retc_chunk_count(start, dims->value[RETC_DIM_T], chunk);
}

static retc_status check_dims(const retc_run *run, const retc_plan_entry *entry, const retc_dims *dims,
                              retc_diagnostics *diagnostics) {
  bool used[RETC_DIM_COUNT];
  find_dims(run->program->plan, entry, used);
  for (int d = 0; d < RETC_DIM_COUNT; d++) {
    const int64_t value = dims->value[d];
    const bool scalar = d == RETC_DIM_P || d == RETC_DIM_E;
    const int64_t low = scalar ? 0 : d == RETC_DIM_B ? run->most.value[d] : 1;
    const int64_t high = scalar ? RETC_NO_END : run->most.value[d];
    if (!used[d] || (value >= low && value <= high)) continue;
    return retc_fail(diagnostics, RETC_INVALID, "%s is %" PRId64 ", expected %" PRId64 " to %" PRId64,
                     retc_dim_text((retc_dim_name)d), value, low, high);
  }
  if (used[RETC_DIM_T] && used[RETC_DIM_L] && dims->value[RETC_DIM_L] > dims->value[RETC_DIM_T]) {
    return retc_fail(diagnostics, RETC_INVALID, "L is %" PRId64 ", expected 1 to T, which is %" PRId64,
                     dims->value[RETC_DIM_L], dims->value[RETC_DIM_T]);
  }
  return RETC_OK;
}

/* ---- inputs ---- */

static bool uses_buffer(const retc_plan *plan, const retc_plan_entry *entry, int buffer) {
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    for (int k = 0; k < plan->kernels.items[step->kernel].buffer_count; k++) {
      if (step->buffers[k] == buffer) return true;
    }
  }
  return false;
}

static bool is_given(const retc_plan_buffer *buffer) {
  return buffer->kind == RETC_PLAN_INPUT || buffer->kind == RETC_PLAN_STATE;
}

static retc_status unknown_input(const retc_plan *plan, const char *name, retc_diagnostics *diagnostics) {
  const char **names = calloc(plan->buffers.count + 1, sizeof *names);
  size_t count = 0;
  for (size_t i = 0; names && i < plan->buffers.count; i++) {
    if (is_given(&plan->buffers.items[i])) names[count++] = plan->buffers.items[i].name;
  }
  retc_status status = unknown("input", name, names, count, diagnostics);
  free(names);
  return status;
}

static void print_type(retc_dtype dtype, const retc_shape *shape, retc_text *out_text) {
  retc_text_printf(out_text, "%s[", retc_dtype_name(dtype));
  for (int i = 0; i < shape->rank; i++) retc_text_printf(out_text, "%s%" PRId64, i ? "," : "", shape->dim[i]);
  retc_text_add(out_text, "]");
}

static retc_shape bind_shape(const retc_shape *shape, const retc_dims *dims) {
  retc_shape bound = {.rank = shape->rank};
  for (int i = 0; i < shape->rank; i++) bound.dim[i] = retc_dim_value(shape->dim[i], dims);
  return bound;
}

static retc_status check_input(const retc_plan_buffer *buffer, const retc_run_input *input, const retc_dims *dims,
                               retc_diagnostics *diagnostics) {
  const retc_shape wanted = bind_shape(&buffer->shape, dims);
  if (input->dtype != buffer->dtype || !retc_shape_equal(&input->shape, &wanted)) {
    retc_text found, expected;
    retc_text_init(&found);
    retc_text_init(&expected);
    print_type(input->dtype, &input->shape, &found);
    print_type(buffer->dtype, &wanted, &expected);
    retc_status status = retc_fail(diagnostics, RETC_INVALID, "input %s is %s, expected %s", input->name,
                                   found.data ? found.data : "", expected.data ? expected.data : "");
    retc_text_deinit(&found);
    retc_text_deinit(&expected);
    return status;
  }
  if ((uintptr_t)input->data % retc_dtype_size(buffer->dtype)) {
    return retc_fail(diagnostics, RETC_INVALID, "input %s: its memory is not aligned to its elements", input->name);
  }
  if (!buffer->limit) return RETC_OK;
  return retc_ids_check(input->name, input->dtype, input->data, &input->shape, 0, buffer->limit, diagnostics);
}

/* *out_given: one a plan buffer, the input or NULL. */
static retc_status match_inputs(const retc_run *run, const retc_plan_entry *entry, const retc_dims *dims,
                                const retc_run_input *inputs, size_t count, retc_diagnostics *diagnostics,
                                const retc_run_input **given) {
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; i < count; i++) {
    int buffer = retc_plan_find_buffer(plan, inputs[i].name);
    if (buffer < 0 || !is_given(&plan->buffers.items[buffer])) return unknown_input(plan, inputs[i].name, diagnostics);
    if (given[buffer]) return retc_fail(diagnostics, RETC_INVALID, "input %s is given twice", inputs[i].name);
    RETC_TRY(check_input(&plan->buffers.items[buffer], &inputs[i], dims, diagnostics));
    given[buffer] = &inputs[i];
  }
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (given[i] || buffer->kind != RETC_PLAN_INPUT || !uses_buffer(plan, entry, (int)i)) continue;
    return retc_fail(diagnostics, RETC_INVALID, "input %s is not given", buffer->name);
  }
  return RETC_OK;
}

/* With run->dims. */
static retc_status bind_inputs(retc_run *run, const retc_run_input **given, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (buffer->kind == RETC_PLAN_INPUT) run->addresses[i] = given[i] ? (void *)given[i]->data : NULL;
    if (buffer->kind == RETC_PLAN_INPUT && given[i] && run->gpu) {
      RETC_TRY(retc_hip_run_input(run, i, given[i]->data, diagnostics, &run->addresses[i]));
    }
    if (buffer->kind == RETC_PLAN_STATE && given[i]) {
      const size_t size = (size_t)retc_plan_buffer_elements(buffer, &run->dims) * retc_dtype_size(buffer->dtype);
      RETC_TRY(retc_program_write(run->program, run->states[i], given[i]->data, size, diagnostics));
    }
  }
  return RETC_OK;
}

/* ---- running ---- */

/* `part` of as many as the team has threads, on one of these. */
static void call_kernel(retc_run *run, const retc_plan_step *step, int64_t part, int thread) {
  const retc_program *program = run->program;
  const retc_plan_kernel *kernel = &program->plan->kernels.items[step->kernel];
  retc_launch *launch = &program->launches[step->kernel];
  char *memory = (char *)run->private_memory + thread * run->private_bytes;
  void **arguments = (void **)(memory + run->argument_offset);
  void *scratch = memory;
  int64_t threads = retc_team_size(program->team);
  int count = 0;
  for (int i = 0; i < kernel->buffer_count; i++) arguments[count++] = &run->addresses[step->buffers[i]];
  for (int i = 0; i < kernel->dim_count; i++) arguments[count++] = &run->dims.value[kernel->dims[i]];
  arguments[count++] = &scratch;
  arguments[count++] = &part;
  arguments[count++] = &threads;
  ffi_call(&launch->cif, launch->function, NULL, arguments);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void call_timed(retc_run *run, const retc_plan_step *step, int64_t part, int thread, retc_run_span *span) {
  span->begin = now();
  call_kernel(run, step, part, thread);
  span->end = now();
}

static void run_group(void *user, int64_t number, int part, int thread) {
  retc_run *run = user;
  const retc_plan_entry *entry = &run->program->plan->entries.items[run->last_entry];
  const size_t *first = &run->program->groups[run->last_entry].first[number];
  for (size_t i = first[0]; i < first[1]; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    if (run->spans) call_timed(run, step, part, thread, &run->spans[(size_t)part * entry->steps.count + i]);
    else call_kernel(run, step, part, thread);
  }
}

retc_status retc_run_call(retc_run *run, const char *entry_name, const retc_dims *dims, const retc_run_input *inputs,
                          size_t count, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  int index = -1;
  RETC_TRY(find_entry(plan, entry_name, diagnostics, &index));
  const retc_plan_entry *entry = &plan->entries.items[index];
  retc_dims bound = *dims;
  count_chunks(plan, entry, &bound);
  RETC_TRY(check_dims(run, entry, &bound, diagnostics));
  const retc_run_input **given = calloc(plan->buffers.count + 1, sizeof *given);
  if (!given) return retc_fail(diagnostics, RETC_FAILED, "entry %s: out of memory", entry_name);
  retc_status status = match_inputs(run, entry, &bound, inputs, count, diagnostics, given);
  if (status == RETC_OK) {
    run->last_entry = index;
    run->dims = bound;
    status = bind_inputs(run, given, diagnostics);
  }
  if (status == RETC_OK) {
    if (run->gpu) status = retc_hip_run_entry(run, diagnostics);
    else retc_team_run_steps(run->program->team, (int64_t)run->program->groups[index].count, run_group, run);
  }
  free(given);
  return status;
}

static int find_buffer(const retc_run *run, const char *name) {
  const retc_plan *plan = run->program->plan;
  if (run->last_entry >= 0) {
    const retc_plan_entry *entry = &plan->entries.items[run->last_entry];
    for (size_t i = 0; i < entry->outputs.count; i++) {
      if (!strcmp(entry->outputs.items[i].name, name)) return entry->outputs.items[i].buffer;
    }
  }
  int buffer = retc_plan_find_buffer(plan, name);
  return buffer >= 0 && plan->buffers.items[buffer].kind == RETC_PLAN_STATE ? buffer : -1;
}

const void *retc_run_find_output(const retc_run *run, const char *name, retc_dtype *out_dtype, retc_shape *out_shape) {
  int buffer = find_buffer(run, name);
  if (buffer < 0) return NULL;
  const retc_plan_buffer *found = &run->program->plan->buffers.items[buffer];
  if (out_dtype) *out_dtype = found->dtype;
  if (out_shape) *out_shape = bind_shape(&found->shape, run->last_entry < 0 ? &run->most : &run->dims);
  return run->gpu ? retc_hip_run_output(run, buffer) : run->addresses[buffer];
}
