#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ids.h"
#include "runtime/memory.h"
#include "runtime/hip_run.h"
#include "runtime/program.h"
#include "runtime/program_memory.h"
#include "runtime/program_types.h"
#include "runtime/sample.h"

static int64_t round_up(int64_t bytes) {
  return (bytes + RETC_MEMORY_ALIGNMENT - 1) / RETC_MEMORY_ALIGNMENT * RETC_MEMORY_ALIGNMENT;
}

/* What no call of a session exceeds. */
static retc_dims largest_dims(const retc_run_options *options) {
  retc_dims dims = {0};
  dims.value[RETC_DIM_B] = options->batch;
  dims.value[RETC_DIM_T] = options->max_tokens;
  dims.value[RETC_DIM_L] = options->max_logits;
  return dims;
}

/* N, of the entry that needs the most. */
static void add_chunks(const retc_plan *plan, retc_dims *most) {
  int64_t tokens = most->value[RETC_DIM_T], *chunks = &most->value[RETC_DIM_N];
  int64_t own = plan->chunk_length < 1 ? 0 : retc_chunk_count_most(tokens, plan->chunk_length);
  if (*chunks < own) *chunks = own;
  for (size_t i = 0; i < plan->entries.count; i++) {
    int64_t length = plan->entries.items[i].chunk_length;
    int64_t count = length ? retc_chunk_count_most(tokens, length) : 0;
    if (*chunks < count) *chunks = count;
  }
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
  retc_dims dims = largest_dims(options);
  add_chunks(plan, &dims);
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
    RETC_TRY(retc_program_alloc(run->program, buffer->name, elements, retc_dtype_size(buffer->dtype), diagnostics,
                                &run->states[i]));
  }
  return RETC_OK;
}

static retc_status alloc_slots(retc_run *run, const retc_dims *dims, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  for (size_t slot = 0; slot < plan->slots.count; slot++) {
    const char *name;
    int64_t bytes = slot_bytes(plan, slot, dims, &name);
    RETC_TRY(retc_program_alloc(run->program, name, bytes, 1, diagnostics, &run->slots[slot]));
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
      case RETC_PLAN_CONSTANT: run->addresses[i] = run->program->fixed[i]; break;
      case RETC_PLAN_STATE: run->addresses[i] = run->states[i]; break;
      case RETC_PLAN_SCRATCH:
      case RETC_PLAN_OUTPUT: run->addresses[i] = run->slots[buffer->slot]; break;
      case RETC_PLAN_INPUT: break; /* the caller's */
    }
  }
}

static retc_status alloc_run(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  const retc_dims dims = run->most;
  const retc_shape token_shape = {.rank = 2, .dim = {dims.value[RETC_DIM_B], dims.value[RETC_DIM_T]}};
  run->addresses = calloc(plan->buffers.count + 1, sizeof *run->addresses);
  run->states = calloc(plan->buffers.count + 1, sizeof *run->states);
  run->slots = calloc(plan->slots.count + 1, sizeof *run->slots);
  if (!run->addresses || !run->states || !run->slots) {
    return retc_fail(diagnostics, RETC_FAILED, "session: out of memory for %zu buffers", plan->buffers.count);
  }
  RETC_TRY(retc_memory_alloc("tokens", retc_shape_count(&token_shape, &dims), sizeof(int64_t), diagnostics,
                             &run->tokens));
  RETC_TRY(retc_memory_alloc("pads", dims.value[RETC_DIM_B], sizeof(int64_t), diagnostics, &run->pads));
  RETC_TRY(alloc_states(run, &dims, diagnostics));
  RETC_TRY(alloc_slots(run, &dims, diagnostics));
  if (run->program->gpu) RETC_TRY(retc_hip_run_create(run, diagnostics, &run->gpu));
  else RETC_TRY(alloc_private(run, diagnostics));
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

static retc_status create(retc_program *program, const retc_dims *most, retc_diagnostics *diagnostics,
                          retc_run **out_run) {
  retc_run *run = calloc(1, sizeof *run);
  if (!run) return retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  run->program = program;
  run->most = *most;
  add_chunks(program->plan, &run->most);
  retc_status status = alloc_run(run, diagnostics);
  if (status != RETC_OK) {
    retc_run_destroy(run);
    return status;
  }
  retc_run_reset(run);
  *out_run = run;
  return RETC_OK;
}

retc_status retc_run_create(retc_program *program, const retc_run_options *options, retc_diagnostics *diagnostics,
                            retc_run **out_run) {
  *out_run = NULL;
  RETC_TRY(check_options(options, program->plan->chunk_length, diagnostics));
  const retc_dims most = largest_dims(options);
  return create(program, &most, diagnostics, out_run);
}

retc_status retc_run_create_for(retc_program *program, const retc_dims *most, retc_diagnostics *diagnostics,
                                retc_run **out_run) {
  *out_run = NULL;
  for (int d = 0; d < RETC_DIM_COUNT; d++) {
    if (most->value[d] >= 0) continue;
    return retc_fail(diagnostics, RETC_INVALID, "%s is %" PRId64 ", expected at least 0",
                     retc_dim_text((retc_dim_name)d), most->value[d]);
  }
  return create(program, most, diagnostics, out_run);
}

void retc_run_destroy(retc_run *run) {
  if (!run) return;
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; run->states && i < plan->buffers.count; i++) retc_program_free(run->program, run->states[i]);
  for (size_t i = 0; run->slots && i < plan->slots.count; i++) retc_program_free(run->program, run->slots[i]);
  retc_hip_run_destroy(run, run->gpu);
  free(run->states);
  free(run->slots);
  free(run->addresses);
  free(run->tokens);
  free(run->pads);
  free(run->private_memory);
  free(run);
}

/* A GPU that cannot clear memory is broken: the next call says so. */
void retc_run_reset(retc_run *run) {
  const retc_plan *plan = run->program->plan;
  retc_diagnostics quiet;
  retc_diagnostics_init(&quiet);
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (!run->states[i]) continue;
    const size_t size = (size_t)retc_plan_buffer_elements(buffer, &run->most) * retc_dtype_size(buffer->dtype);
    (void)retc_program_clear(run->program, run->states[i], size, &quiet);
  }
  retc_diagnostics_deinit(&quiet);
  memset(run->pads, 0, (size_t)retc_run_batch(run) * sizeof(int64_t));
  run->position = 0;
  run->end = RETC_NO_END;
  run->last_entry = -1;
}

void retc_run_set_padding(retc_run *run, const int64_t *counts) {
  memcpy(run->pads, counts, (size_t)retc_run_batch(run) * sizeof *counts);
}

void retc_run_set_spans(retc_run *run, retc_run_span *spans) { run->spans = spans; }

double retc_run_step_seconds(const retc_run_span *spans, size_t steps, size_t step, int threads) {
  double longest = 0;
  for (int thread = 0; thread < threads; thread++) {
    const retc_run_span *span = &spans[(size_t)thread * steps + step];
    if (span->end - span->begin > longest) longest = span->end - span->begin;
  }
  return longest;
}

int retc_run_threads(const retc_run *run) { return run->gpu ? 0 : retc_team_size(run->program->team); }

void retc_run_set_end(retc_run *run, int64_t position) { run->end = position; }

void retc_run_set_position(retc_run *run, int64_t position) { run->position = position; }

int64_t retc_run_position(const retc_run *run) { return run->position; }

int64_t retc_run_batch(const retc_run *run) { return run->most.value[RETC_DIM_B]; }

int64_t retc_run_max_tokens(const retc_run *run) { return run->most.value[RETC_DIM_T]; }

int64_t retc_run_max_logits(const retc_run *run) { return run->most.value[RETC_DIM_L]; }

static retc_status check_call(const retc_run *run, int64_t tokens, int64_t logits, retc_diagnostics *diagnostics) {
  int64_t most = retc_run_max_tokens(run);
  if (tokens < 1 || tokens > most) {
    return retc_fail(diagnostics, RETC_INVALID, "%" PRId64 " tokens in a call, expected 1 to %" PRId64, tokens, most);
  }
  most = tokens < retc_run_max_logits(run) ? tokens : retc_run_max_logits(run);
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

/* The dimensions of a call that starts where the run stands. */
static retc_dims dims_of_call(const retc_run *run, int64_t tokens, int64_t logits) {
  retc_dims dims = {0};
  dims.value[RETC_DIM_B] = retc_run_batch(run);
  dims.value[RETC_DIM_T] = tokens;
  dims.value[RETC_DIM_L] = logits;
  dims.value[RETC_DIM_P] = run->position;
  dims.value[RETC_DIM_E] = run->end;
  return dims;
}

/* With the inputs of sessions that the program has. */
static retc_status call(retc_run *run, const char *entry, const retc_dims *dims, retc_diagnostics *diagnostics) {
  const int64_t batch = dims->value[RETC_DIM_B], tokens = dims->value[RETC_DIM_T];
  const retc_run_input all[] = {
      {"tokens", RETC_DTYPE_I64, {.rank = 2, .dim = {batch, tokens}}, run->tokens},
      {"pads", RETC_DTYPE_I64, {.rank = 1, .dim = {batch}}, run->pads},
  };
  retc_run_input inputs[sizeof all / sizeof *all];
  size_t count = 0;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (all[i].data == run->tokens && tokens == 0) continue;
    if (retc_plan_find_buffer(run->program->plan, all[i].name) >= 0) inputs[count++] = all[i];
  }
  return retc_run_call(run, entry, dims, inputs, count, diagnostics);
}

retc_status retc_run_step(retc_run *run, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                          int64_t logit_count, retc_diagnostics *diagnostics) {
  RETC_TRY(check_call(run, token_count, logit_count, diagnostics));
  const retc_shape shape = {.rank = 2, .dim = {retc_run_batch(run), token_count}};
  RETC_TRY(retc_ids_check("tokens", RETC_DTYPE_I64, tokens, &shape, row_stride, run->program->plan->vocabulary_size,
                          diagnostics));
  int64_t *copy = run->tokens;
  for (int64_t row = 0; row < retc_run_batch(run); row++) {
    memcpy(copy + row * token_count, tokens + row * row_stride, (size_t)token_count * sizeof *copy);
  }
  const retc_dims dims = dims_of_call(run, token_count, logit_count);
  RETC_TRY(call(run, "step", &dims, diagnostics));
  run->position += token_count;
  return RETC_OK;
}

/* From what the last step gives, here or, as `chosen` says, already there. */
static retc_status take_tokens(const retc_run *run, const retc_sampling *sampling, uint64_t index,
                               const int64_t *chosen, retc_diagnostics *diagnostics, int64_t *out_tokens) {
  const int64_t width = run->program->plan->vocabulary_size;
  const float *logits = chosen ? NULL : retc_run_output(run, "logits");
  retc_sampling of_row = *sampling;
  for (int64_t row = 0; row < retc_run_batch(run); row++, of_row.seed++) {
    if (chosen && chosen[row] < 0) return retc_sample_fail(-1 - chosen[row], diagnostics);
    if (chosen) out_tokens[row] = chosen[row];
    else RETC_TRY(retc_sample_row(logits + row * width, width, &of_row, index, diagnostics, &out_tokens[row]));
  }
  return RETC_OK;
}

retc_status retc_run_step_sample(retc_run *run, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                                 const retc_sampling *sampling, uint64_t index, retc_diagnostics *diagnostics,
                                 int64_t *out_tokens) {
  const retc_plan *plan = run->program->plan;
  retc_sampling options;
  if (retc_plan_find_logits(plan) < 0) {
    return retc_fail(diagnostics, RETC_INVALID, "the program has no step with logits that tokens are chosen from");
  }
  RETC_TRY(retc_sampling_read(sampling, plan->vocabulary_size, diagnostics, &options));
  const retc_run_draw draw = {&options, index};
  if (run->program->sampler) run->draw = &draw;
  retc_status status = retc_run_step(run, tokens, token_count, row_stride, 1, diagnostics);
  run->draw = NULL;
  RETC_TRY(status);
  const int64_t *chosen = run->program->sampler ? retc_hip_run_tokens(run) : NULL;
  return take_tokens(run, &options, index, chosen, diagnostics, out_tokens);
}

retc_status retc_run_state(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_dims dims = dims_of_call(run, 0, 0);
  return call(run, "state", &dims, diagnostics);
}

const float *retc_run_output(const retc_run *run, const char *name) {
  retc_dtype dtype;
  const void *data = retc_run_find_output(run, name, &dtype, NULL);
  return data && dtype == RETC_DTYPE_F32 ? data : NULL;
}
