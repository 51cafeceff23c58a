#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/memory.h"
#include "runtime/program.h"
#include "runtime/program_types.h"

struct retc_run {
  const retc_program *program;
  retc_run_options options;
  int64_t position;
  int64_t end;      /* dimension E */
  retc_dims dims;   /* of the call */
  int last_entry;   /* that ran; -1: none */
  void **addresses; /* one a plan buffer */
  void **states;    /* one a plan buffer; owned; NULL for those that are not states */
  void **slots;     /* owned */
  void *tokens;     /* owned; i64[B,T] of the call, without gaps */
  void *pads;       /* owned; i64[B] */
  void *private_memory; /* owned; per thread the kernels' scratch, then room for the arguments of one call */
  int64_t private_bytes;  /* per thread */
  int64_t argument_offset;
};

static int64_t round_up(int64_t bytes) {
  return (bytes + RETC_MEMORY_ALIGNMENT - 1) / RETC_MEMORY_ALIGNMENT * RETC_MEMORY_ALIGNMENT;
}

/* The dimensions of a call that starts where the run stands. */
static retc_dims dims_of_call(const retc_run *run, int64_t tokens, int64_t logits) {
  int64_t chunk = run->program->plan->chunk_length;
  retc_dims dims = {0};
  dims.value[RETC_DIM_B] = run->options.batch;
  dims.value[RETC_DIM_T] = tokens;
  dims.value[RETC_DIM_L] = logits;
  dims.value[RETC_DIM_P] = run->position;
  dims.value[RETC_DIM_E] = run->end;
  dims.value[RETC_DIM_N] = (run->position % chunk + tokens + chunk - 1) / chunk;
  return dims;
}

/* What no call exceeds: a call touches the most chunks when it starts on the last position of one, so
 * N = ceil((C - 1 + T) / C) = floor((T + C - 2) / C) + 1. */
static retc_dims largest_dims(const retc_plan *plan, const retc_run_options *options) {
  int64_t chunk = plan->chunk_length, tokens = options->max_tokens;
  retc_dims dims = {0};
  dims.value[RETC_DIM_B] = options->batch;
  dims.value[RETC_DIM_T] = tokens;
  dims.value[RETC_DIM_L] = options->max_logits;
  dims.value[RETC_DIM_N] = (tokens + chunk - 2) / chunk + 1;
  return dims;
}

static int64_t add_bytes(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

static int64_t buffer_bytes(const retc_plan_buffer *buffer, const retc_dims *dims) {
  int64_t elements = retc_plan_buffer_elements(buffer, dims), size = (int64_t)retc_dtype_size(buffer->dtype);
  return elements > INT64_MAX / size ? INT64_MAX : elements * size;
}

/* A slot is as large as the largest buffer that the plan puts there, whether or not the slot lists it. */
static int64_t slot_bytes(const retc_plan *plan, size_t slot, const retc_dims *dims, const char **out_name) {
  int64_t most = 0;
  *out_name = "an unused slot";
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    bool here = buffer->kind == RETC_PLAN_SCRATCH || buffer->kind == RETC_PLAN_OUTPUT;
    if (!here || (size_t)buffer->slot != slot) continue;
    int64_t bytes = buffer_bytes(buffer, dims);
    if (bytes < most) continue;
    most = bytes;
    *out_name = buffer->name;
  }
  return most;
}

retc_run_sizes retc_run_measure(const retc_plan *plan, const retc_run_options *options) {
  const retc_dims dims = largest_dims(plan, options);
  retc_run_sizes sizes = {0};
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    bool fixed = buffer->kind == RETC_PLAN_WEIGHT || buffer->kind == RETC_PLAN_CONSTANT;
    if (fixed) sizes.weights = add_bytes(sizes.weights, buffer_bytes(buffer, &dims));
    if (buffer->kind == RETC_PLAN_STATE) sizes.states = add_bytes(sizes.states, buffer_bytes(buffer, &dims));
  }
  for (size_t slot = 0; slot < plan->slots.count; slot++) {
    const char *name;
    sizes.scratch = add_bytes(sizes.scratch, slot_bytes(plan, slot, &dims, &name));
  }
  for (size_t i = 0; i < plan->kernels.count; i++) {
    int64_t bytes = plan->kernels.items[i].scratch_bytes;
    if (bytes > sizes.per_thread) sizes.per_thread = bytes;
  }
  return sizes;
}

static retc_status alloc_states(retc_run *run, const retc_dims *dims, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (buffer->kind != RETC_PLAN_STATE) continue;
    int64_t elements = retc_plan_buffer_elements(buffer, dims);
    RETC_TRY(retc_memory_alloc(buffer->name, elements, retc_dtype_size(buffer->dtype), diagnostics, &run->states[i]));
  }
  return RETC_OK;
}

static retc_status alloc_slots(retc_run *run, const retc_dims *dims, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  for (size_t slot = 0; slot < plan->slots.count; slot++) {
    const char *name;
    int64_t bytes = slot_bytes(plan, slot, dims, &name);
    RETC_TRY(retc_memory_alloc(name, bytes, 1, diagnostics, &run->slots[slot]));
  }
  return RETC_OK;
}

static retc_status alloc_private(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_program *program = run->program;
  if (program->scratch_bytes > INT64_MAX / 4) {
    return retc_fail(diagnostics, RETC_FAILED, "kernels want %" PRId64 " bytes of scratch a thread",
                     program->scratch_bytes);
  }
  run->argument_offset = round_up(program->scratch_bytes);
  run->private_bytes = run->argument_offset + round_up((int64_t)sizeof(void *) * program->argument_room);
  return retc_memory_alloc("scratch of the threads", retc_team_size(program->team), (size_t)run->private_bytes,
                           diagnostics, &run->private_memory);
}

static void find_addresses(retc_run *run) {
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    switch (buffer->kind) {
      case RETC_PLAN_WEIGHT:
      case RETC_PLAN_CONSTANT: run->addresses[i] = run->program->weights->data[i]; break;
      case RETC_PLAN_STATE: run->addresses[i] = run->states[i]; break;
      case RETC_PLAN_SCRATCH:
      case RETC_PLAN_OUTPUT: run->addresses[i] = run->slots[buffer->slot]; break;
      case RETC_PLAN_INPUT: run->addresses[i] = strcmp(buffer->name, "pads") ? run->tokens : run->pads; break;
    }
  }
}

static retc_status alloc_run(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  const retc_dims dims = largest_dims(plan, &run->options);
  const retc_shape token_shape = {.rank = 2, .dim = {run->options.batch, run->options.max_tokens}};
  run->addresses = calloc(plan->buffers.count + 1, sizeof *run->addresses);
  run->states = calloc(plan->buffers.count + 1, sizeof *run->states);
  run->slots = calloc(plan->slots.count + 1, sizeof *run->slots);
  if (!run->addresses || !run->states || !run->slots) {
    return retc_fail(diagnostics, RETC_FAILED, "session: out of memory for %zu buffers", plan->buffers.count);
  }
  RETC_TRY(retc_memory_alloc("tokens", retc_shape_count(&token_shape, &dims), sizeof(int64_t), diagnostics,
                             &run->tokens));
  RETC_TRY(retc_memory_alloc("pads", run->options.batch, sizeof(int64_t), diagnostics, &run->pads));
  RETC_TRY(alloc_states(run, &dims, diagnostics));
  RETC_TRY(alloc_slots(run, &dims, diagnostics));
  RETC_TRY(alloc_private(run, diagnostics));
  find_addresses(run);
  return RETC_OK;
}

static retc_status check_options(const retc_run_options *options, int64_t chunk, retc_diagnostics *diagnostics) {
  const struct {
    const char *name;
    int64_t value;
  } sizes[] = {{"batch", options->batch}, {"max_tokens", options->max_tokens}, {"max_logits", options->max_logits}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (sizes[i].value >= 1 && sizes[i].value <= INT64_MAX - chunk) continue;
    return retc_fail(diagnostics, RETC_INVALID, "session: %s is %" PRId64 ", expected 1 to %" PRId64, sizes[i].name,
                     sizes[i].value, INT64_MAX - chunk);
  }
  return RETC_OK;
}

retc_status retc_run_create(retc_program *program, const retc_run_options *options, retc_diagnostics *diagnostics,
                            retc_run **out_run) {
  *out_run = NULL;
  RETC_TRY(check_options(options, program->plan->chunk_length, diagnostics));
  retc_run *run = calloc(1, sizeof *run);
  if (!run) return retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  run->program = program;
  run->options = *options;
  run->end = RETC_NO_END;
  retc_status status = alloc_run(run, diagnostics);
  if (status != RETC_OK) {
    retc_run_destroy(run);
    return status;
  }
  retc_run_reset(run);
  *out_run = run;
  return RETC_OK;
}

void retc_run_destroy(retc_run *run) {
  if (!run) return;
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; run->states && i < plan->buffers.count; i++) free(run->states[i]);
  for (size_t i = 0; run->slots && i < plan->slots.count; i++) free(run->slots[i]);
  free(run->states);
  free(run->slots);
  free(run->addresses);
  free(run->tokens);
  free(run->pads);
  free(run->private_memory);
  free(run);
}

void retc_run_reset(retc_run *run) {
  const retc_plan *plan = run->program->plan;
  const retc_dims dims = largest_dims(plan, &run->options);
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (!run->states[i]) continue;
    memset(run->states[i], 0, (size_t)retc_plan_buffer_elements(buffer, &dims) * retc_dtype_size(buffer->dtype));
  }
  memset(run->pads, 0, (size_t)run->options.batch * sizeof(int64_t));
  run->position = 0;
  run->end = RETC_NO_END;
  run->last_entry = -1;
}

void retc_run_set_padding(retc_run *run, const int64_t *counts) {
  memcpy(run->pads, counts, (size_t)run->options.batch * sizeof *counts);
}

void retc_run_set_end(retc_run *run, int64_t position) { run->end = position; }

int64_t retc_run_position(const retc_run *run) { return run->position; }

int64_t retc_run_batch(const retc_run *run) { return run->options.batch; }

int64_t retc_run_max_tokens(const retc_run *run) { return run->options.max_tokens; }

int64_t retc_run_max_logits(const retc_run *run) { return run->options.max_logits; }

static void call_kernel(retc_run *run, const retc_plan_step *step, int64_t thread) {
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
  arguments[count++] = &thread;
  arguments[count++] = &threads;
  ffi_call(&launch->cif, launch->function, NULL, arguments);
}

static void walk_steps(void *user, retc_team *team, int thread) {
  retc_run *run = user;
  const retc_plan_entry *entry = &run->program->plan->entries.items[run->last_entry];
  for (size_t i = 0; i < entry->steps.count; i++) {
    if (i) retc_team_barrier(team);
    call_kernel(run, &entry->steps.items[i], thread);
  }
}

static retc_status run_entry(retc_run *run, const char *name, const retc_dims *dims, retc_diagnostics *diagnostics) {
  int entry = retc_plan_find_entry(run->program->plan, name);
  if (entry < 0) return retc_fail(diagnostics, RETC_INTERNAL, "plan: there is no entry '%s'", name);
  run->last_entry = entry;
  run->dims = *dims;
  retc_team_run(run->program->team, walk_steps, run);
  return RETC_OK;
}

static retc_status check_call(const retc_run *run, int64_t tokens, int64_t logits, retc_diagnostics *diagnostics) {
  int64_t most = run->options.max_tokens;
  if (tokens < 1 || tokens > most) {
    return retc_fail(diagnostics, RETC_INVALID, "%" PRId64 " tokens in a call, expected 1 to %" PRId64, tokens, most);
  }
  most = tokens < run->options.max_logits ? tokens : run->options.max_logits;
  if (logits < 1 || logits > most) {
    return retc_fail(diagnostics, RETC_INVALID, "the last %" PRId64 " logits of a call, expected 1 to %" PRId64, logits,
                     most);
  }
  if (tokens > INT64_MAX - run->position) {
    return retc_fail(diagnostics, RETC_INVALID, "position %" PRId64 " cannot be advanced by %" PRId64, run->position,
                     tokens);
  }
  return RETC_OK;
}

static retc_status check_tokens(const retc_run *run, const int64_t *tokens, int64_t count, int64_t row_stride,
                                retc_diagnostics *diagnostics) {
  int64_t vocabulary = run->program->plan->vocabulary_size;
  for (int64_t row = 0; row < run->options.batch; row++) {
    for (int64_t i = 0; i < count; i++) {
      int64_t token = tokens[row * row_stride + i];
      if (token >= 0 && token < vocabulary) continue;
      return retc_fail(diagnostics, RETC_INVALID,
                       "token %" PRId64 " at position %" PRId64 " of row %" PRId64 ", expected 0 to %" PRId64, token,
                       run->position + i, row, vocabulary - 1);
    }
  }
  return RETC_OK;
}

retc_status retc_run_step(retc_run *run, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                          int64_t logit_count, retc_diagnostics *diagnostics) {
  RETC_TRY(check_call(run, token_count, logit_count, diagnostics));
  RETC_TRY(check_tokens(run, tokens, token_count, row_stride, diagnostics));
  int64_t *copy = run->tokens;
  for (int64_t row = 0; row < run->options.batch; row++) {
    memcpy(copy + row * token_count, tokens + row * row_stride, (size_t)token_count * sizeof *copy);
  }
  const retc_dims dims = dims_of_call(run, token_count, logit_count);
  RETC_TRY(run_entry(run, "step", &dims, diagnostics));
  run->position += token_count;
  return RETC_OK;
}

retc_status retc_run_state(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_dims dims = dims_of_call(run, 0, 0);
  return run_entry(run, "state", &dims, diagnostics);
}

const float *retc_run_output(const retc_run *run, const char *name) {
  if (run->last_entry < 0) return NULL;
  const retc_plan_entry *entry = &run->program->plan->entries.items[run->last_entry];
  for (size_t i = 0; i < entry->outputs.count; i++) {
    if (!strcmp(entry->outputs.items[i].name, name)) return run->addresses[entry->outputs.items[i].buffer];
  }
  return NULL;
}
