#include "runtime/hip_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/hip_order.h"
#include "runtime/hip_sample.h"
#include "runtime/memory.h"

/* The extents of one step's launch in a call. */
typedef struct extent {
  dim3 grid, block;
} extent;

struct retc_hip_run {
  void **inputs; /* one a plan buffer, on the device; NULL for those that are not inputs */
  void **copies; /* one a plan buffer, in this process; NULL until they are wanted */
  void **arguments; /* of one launch */
  extent *extents;  /* of the steps of a call */
  extent *last_extents; /* of the call before */
  int last_entry;       /* of the call before; -1: none */
  hipGraph_t graph;     /* of calls of graph_entry with graph_extents; NULL: none */
  hipGraphExec_t executable;
  hipGraphNode_t *nodes; /* one a step */
  extent *graph_extents;
  int graph_entry;
  retc_dims graph_dims; /* that the nodes' arguments have */
  hipGraphNode_t sample_node; /* that chooses tokens; NULL: the graph does not */
  int tokens;           /* the input that holds the tokens of a step, then the chosen ones; -1: none */
  int64_t *chosen;      /* [B], their copy */
  bool has_chosen;      /* the input holds them still */
  bool fetched;         /* the outputs of the last call */
  hipEvent_t *events;   /* around the steps of a call whose spans are wanted; NULL: not yet */
};

static size_t most_steps(const retc_plan *plan) {
  size_t most = 0;
  for (size_t i = 0; i < plan->entries.count; i++) {
    if (plan->entries.items[i].steps.count > most) most = plan->entries.items[i].steps.count;
  }
  return most;
}

static int most_arguments(const retc_plan *plan) {
  int most = 0;
  for (size_t i = 0; i < plan->kernels.count; i++) {
    const retc_plan_kernel *kernel = &plan->kernels.items[i];
    if (kernel->buffer_count + kernel->dim_count > most) most = kernel->buffer_count + kernel->dim_count;
  }
  return most;
}

static size_t bytes_of(const retc_plan_buffer *buffer, const retc_dims *dims) {
  return (size_t)retc_plan_buffer_elements(buffer, dims) * retc_dtype_size(buffer->dtype);
}

static retc_status alloc_inputs(const retc_run *run, retc_hip_run *part, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &plan->buffers.items[i];
    if (buffer->kind != RETC_PLAN_INPUT) continue;
    RETC_TRY(retc_hip_alloc(run->program->gpu, buffer->name, (int64_t)bytes_of(buffer, &run->most), diagnostics,
                            &part->inputs[i]));
  }
  return RETC_OK;
}

retc_status retc_hip_run_create(const retc_run *run, retc_diagnostics *diagnostics, retc_hip_run **out_part) {
  const retc_plan *plan = run->program->plan;
  const size_t steps = most_steps(plan) + 1, buffers = plan->buffers.count + 1;
  retc_hip_run *part = calloc(1, sizeof *part);
  *out_part = part;
  if (!part) return retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  part->last_entry = part->graph_entry = -1;
  part->tokens = retc_plan_find_buffer(plan, "tokens");
  part->chosen = calloc((size_t)retc_run_batch(run) + 1, sizeof *part->chosen);
  part->inputs = calloc(buffers, sizeof *part->inputs);
  part->copies = calloc(buffers, sizeof *part->copies);
  part->arguments = calloc((size_t)most_arguments(plan) + 1, sizeof *part->arguments);
  part->extents = calloc(steps, sizeof *part->extents);
  part->last_extents = calloc(steps, sizeof *part->last_extents);
  part->graph_extents = calloc(steps, sizeof *part->graph_extents);
  part->nodes = calloc(steps, sizeof *part->nodes);
  if (!part->inputs || !part->copies || !part->arguments || !part->extents || !part->last_extents ||
      !part->graph_extents || !part->nodes || !part->chosen) {
    return retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  }
  return alloc_inputs(run, part, diagnostics);
}

static void drop_graph(const retc_run *run, retc_hip_run *part) {
  const retc_hip_library *library = &run->program->gpu->library;
  if (part->executable) library->hipGraphExecDestroy(part->executable);
  if (part->graph) library->hipGraphDestroy(part->graph);
  part->executable = NULL;
  part->graph = NULL;
  part->sample_node = NULL;
  part->graph_entry = -1;
}

void retc_hip_run_destroy(const retc_run *run, retc_hip_run *part) {
  if (!part) return;
  const size_t buffers = run->program->plan->buffers.count;
  drop_graph(run, part);
  for (size_t i = 0; part->inputs && i < buffers; i++) retc_hip_free(run->program->gpu, part->inputs[i]);
  for (size_t i = 0; part->copies && i < buffers; i++) free(part->copies[i]);
  free(part->chosen);
  free(part->inputs);
  free(part->copies);
  free(part->arguments);
  free(part->extents);
  free(part->last_extents);
  free(part->graph_extents);
  free(part->nodes);
  for (size_t i = 0; part->events && i <= most_steps(run->program->plan); i++) {
    if (part->events[i]) run->program->gpu->library.hipEventDestroy(part->events[i]);
  }
  free(part->events);
  free(part);
}

/* Tokens that were chosen on the device are there. */
retc_status retc_hip_run_input(retc_run *run, size_t buffer, const void *data, retc_diagnostics *diagnostics,
                               void **out_memory) {
  retc_hip_run *part = run->gpu;
  const size_t size = bytes_of(&run->program->plan->buffers.items[buffer], &run->dims);
  *out_memory = part->inputs[buffer];
  if ((int)buffer == part->tokens) {
    const bool same = size == (size_t)retc_run_batch(run) * sizeof *part->chosen;
    if (part->has_chosen && same && memcmp(data, part->chosen, size) == 0) return RETC_OK;
    part->has_chosen = false;
  }
  return retc_hip_write(run->program->gpu, *out_memory, data, size, diagnostics);
}

/* ---- launches ---- */

static retc_status measure_axes(const retc_plan_kernel *kernel, const retc_plan_number *numbers, const int64_t *limits,
                                const retc_dims *dims, const char *what, retc_diagnostics *diagnostics,
                                dim3 *out_axes) {
  int64_t values[3];
  for (int axis = 0; axis < 3; axis++) {
    values[axis] = numbers[axis].count ? retc_plan_number_value(&numbers[axis], dims) : 1;
    if (values[axis] >= 0 && values[axis] <= limits[axis]) continue;
    return retc_fail(diagnostics, RETC_FAILED,
                     "hip: kernel '%s': %" PRId64 " %s along axis %d, expected at most %" PRId64, kernel->name,
                     values[axis], what, axis, limits[axis]);
  }
  *out_axes = (dim3){(uint32_t)values[0], (uint32_t)values[1], (uint32_t)values[2]};
  return RETC_OK;
}

static retc_status measure_steps(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  static const int64_t most_blocks[3] = {INT32_MAX, 65535, 65535}, most_threads[3] = {1024, 1024, 1024};
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_kernel *kernel = &run->program->plan->kernels.items[entry->steps.items[i].kernel];
    extent *e = &run->gpu->extents[i];
    RETC_TRY(measure_axes(kernel, kernel->grid, most_blocks, &run->dims, "blocks", diagnostics, &e->grid));
    RETC_TRY(measure_axes(kernel, kernel->block, most_threads, &run->dims, "threads", diagnostics, &e->block));
  }
  return RETC_OK;
}

static bool is_empty(const extent *e) { return !e->grid.x || !e->grid.y || !e->grid.z; }

/* Pointers to what a launch takes: buffers, then dimensions. */
static void **arguments_of(retc_run *run, const retc_plan_step *step) {
  const retc_plan_kernel *kernel = &run->program->plan->kernels.items[step->kernel];
  int count = 0;
  for (int i = 0; i < kernel->buffer_count; i++) run->gpu->arguments[count++] = &run->addresses[step->buffers[i]];
  for (int i = 0; i < kernel->dim_count; i++) run->gpu->arguments[count++] = &run->dims.value[kernel->dims[i]];
  return run->gpu->arguments;
}

static retc_status check_step(const retc_run *run, const retc_plan_step *step, hipError_t error,
                              retc_diagnostics *diagnostics) {
  if (error == hipSuccess) return RETC_OK;
  const retc_plan *plan = run->program->plan;
  const retc_hip_library *library = &run->program->gpu->library;
  return retc_fail(diagnostics, RETC_FAILED, "hip: kernel '%s' (region %s): %s (%s)",
                   plan->kernels.items[step->kernel].name, step->region ? step->region : "?",
                   library->hipGetErrorName(error), library->hipGetErrorString(error));
}

/* Without an event per step where nobody wants to know. */
static retc_status mark_time(const retc_run *run, size_t step, retc_diagnostics *diagnostics) {
  const retc_hip_device *device = run->program->gpu;
  if (!run->spans) return RETC_OK;
  return retc_hip_check(&device->library, device->library.hipEventRecord(run->gpu->events[step], device->stream),
                        diagnostics, "timing kernels");
}

static retc_status create_events(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_hip_library *library = &run->program->gpu->library;
  const size_t count = most_steps(run->program->plan) + 1;
  if (run->gpu->events) return RETC_OK;
  run->gpu->events = calloc(count, sizeof *run->gpu->events);
  if (!run->gpu->events) return retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  for (size_t i = 0; i < count; i++) {
    retc_status status =
        retc_hip_check(library, library->hipEventCreate(&run->gpu->events[i]), diagnostics, "timing kernels");
    if (status == RETC_OK) continue;
    while (i > 0) library->hipEventDestroy(run->gpu->events[--i]);
    free(run->gpu->events);
    run->gpu->events = NULL;
    return status;
  }
  return RETC_OK;
}

/* When the call is done. */
static retc_status read_spans(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  const retc_hip_library *library = &run->program->gpu->library;
  for (size_t i = 0; i < entry->steps.count; i++) {
    float times[2] = {0, 0};
    for (size_t k = 0; k < 2; k++) {
      if (i + k == 0) continue;
      RETC_TRY(retc_hip_check(library,
                              library->hipEventElapsedTime(&times[k], run->gpu->events[0], run->gpu->events[i + k]),
                              diagnostics, "timing kernels"));
    }
    run->spans[i] = (retc_run_span){1e-3 * times[0], 1e-3 * times[1]};
  }
  return RETC_OK;
}

/* Whether the vendor's library computes the step in this call; then its sizes. */
static bool goes_to_blas(const retc_run *run, const retc_plan_step *step, const extent *e, int64_t *out_rows,
                         const retc_shape **out_weight) {
  const retc_plan *plan = run->program->plan;
  if (!plan->kernels.items[step->kernel].product || is_empty(e)) return false;
  const retc_shape *sums = &plan->buffers.items[step->buffers[2]].shape;
  *out_weight = &plan->buffers.items[step->buffers[0]].shape;
  *out_rows = 1;
  for (int i = 0; i + 1 < sums->rank; i++) *out_rows *= retc_dim_value(sums->dim[i], &run->dims);
  return retc_hip_blas_takes(&run->program->gpu->blas, *out_rows, (*out_weight)->dim[0], (*out_weight)->dim[1]);
}

/* Its launches are no kernels that a graph could have. */
static bool any_goes_to_blas(const retc_run *run, const retc_plan_entry *entry) {
  const retc_shape *weight;
  int64_t rows;
  for (size_t i = 0; i < entry->steps.count; i++) {
    if (goes_to_blas(run, &entry->steps.items[i], &run->gpu->extents[i], &rows, &weight)) return true;
  }
  return false;
}

static retc_status launch_step(retc_run *run, const retc_plan_step *step, const extent *e,
                               retc_diagnostics *diagnostics) {
  const retc_program *program = run->program;
  const retc_shape *weight;
  int64_t rows;
  if (is_empty(e)) return RETC_OK;
  if (goes_to_blas(run, step, e, &rows, &weight)) {
    void *const *at = run->addresses;
    return retc_hip_blas_multiply(&program->gpu->blas, program->plan->buffers.items[step->buffers[0]].dtype, rows,
                                  weight->dim[0], weight->dim[1], at[step->buffers[0]], at[step->buffers[1]],
                                  at[step->buffers[2]], diagnostics);
  }
  hipError_t error = program->gpu->library.hipModuleLaunchKernel(
      program->functions[step->kernel], e->grid.x, e->grid.y, e->grid.z, e->block.x, e->block.y, e->block.z, 0,
      program->gpu->stream, arguments_of(run, step), NULL);
  return check_step(run, step, error, diagnostics);
}

static retc_status launch_steps(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  RETC_TRY(mark_time(run, 0, diagnostics));
  for (size_t i = 0; i < entry->steps.count; i++) {
    RETC_TRY(launch_step(run, &entry->steps.items[i], &run->gpu->extents[i], diagnostics));
    RETC_TRY(mark_time(run, i + 1, diagnostics));
  }
  if (!run->draw) return RETC_OK;
  return retc_hip_sample_launch(run, run->gpu->inputs[run->gpu->tokens], diagnostics);
}

/* ---- one graph for calls that differ in their position only ---- */

static hipKernelNodeParams describe_node(retc_run *run, const retc_plan_step *step, const extent *e) {
  return (hipKernelNodeParams){.blockDim = e->block, .gridDim = e->grid, .func = run->program->functions[step->kernel],
                               .kernelParams = arguments_of(run, step)};
}

static bool has_buffer(const retc_plan *plan, const retc_plan_step *step, int buffer) {
  for (int i = 0; i < plan->kernels.items[step->kernel].buffer_count; i++) {
    if (step->buffers[i] == buffer) return true;
  }
  return false;
}

/* Behind the launches that have to do with the logits that it reads, or the tokens that it writes. `before` has room for
 * all of them. */
static retc_status add_sample(retc_run *run, const retc_plan_entry *entry, hipGraphNode_t *before,
                              retc_diagnostics *diagnostics) {
  retc_hip_run *part = run->gpu;
  const retc_plan *plan = run->program->plan;
  const int logits = retc_plan_find_logits(plan);
  size_t count = 0;
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    if (!part->nodes[i] || !(has_buffer(plan, step, logits) || has_buffer(plan, step, part->tokens))) continue;
    before[count++] = part->nodes[i];
  }
  return retc_hip_sample_add(run, part->inputs[part->tokens], part->graph, before, count, diagnostics,
                             &part->sample_node);
}

static retc_status build_graph(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  retc_hip_run *part = run->gpu;
  retc_hip_device *device = run->program->gpu;
  const retc_hip_library *library = &device->library;
  retc_hip_order *order = NULL;
  hipGraphNode_t *before = calloc(entry->steps.count + 1, sizeof(hipGraphNode_t));
  retc_status status = before ? retc_hip_order_create(run->program->plan, entry, diagnostics, &order)
                              : retc_fail(diagnostics, RETC_FAILED, "session: out of memory");
  if (status == RETC_OK) {
    status = retc_hip_check(library, library->hipGraphCreate(&part->graph, 0), diagnostics, "making a graph");
  }
  for (size_t i = 0; i < entry->steps.count && status == RETC_OK; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    part->nodes[i] = NULL;
    if (is_empty(&part->extents[i])) continue;
    size_t count = 0;
    const int *steps = retc_hip_order_add(order, i, &count);
    for (size_t k = 0; k < count; k++) before[k] = part->nodes[steps[k]];
    const hipKernelNodeParams node = describe_node(run, step, &part->extents[i]);
    hipError_t error = library->hipGraphAddKernelNode(&part->nodes[i], part->graph, before, count, &node);
    status = check_step(run, step, error, diagnostics);
  }
  if (status == RETC_OK && run->draw) status = add_sample(run, entry, before, diagnostics);
  retc_hip_order_destroy(order);
  free(before);
  RETC_TRY(status);
  RETC_TRY(retc_hip_check(library, library->hipGraphInstantiate(&part->executable, part->graph, NULL, NULL, 0),
                          diagnostics, "preparing a graph"));
  memcpy(part->graph_extents, part->extents, entry->steps.count * sizeof *part->extents);
  part->graph_entry = run->last_entry;
  part->graph_dims = run->dims;
  return RETC_OK;
}

static bool has_changed(const retc_plan_kernel *kernel, const retc_dims *a, const retc_dims *b) {
  for (int i = 0; i < kernel->dim_count; i++) {
    if (a->value[kernel->dims[i]] != b->value[kernel->dims[i]]) return true;
  }
  return false;
}

static retc_status update_graph(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  retc_hip_run *part = run->gpu;
  const retc_plan *plan = run->program->plan;
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    if (!part->nodes[i] || !has_changed(&plan->kernels.items[step->kernel], &part->graph_dims, &run->dims)) continue;
    const hipKernelNodeParams node = describe_node(run, step, &part->extents[i]);
    RETC_TRY(check_step(run, step,
                        run->program->gpu->library.hipGraphExecKernelNodeSetParams(part->executable, part->nodes[i],
                                                                                   &node),
                        diagnostics));
  }
  part->graph_dims = run->dims;
  if (!run->draw) return RETC_OK;
  return retc_hip_sample_set(run, part->inputs[part->tokens], part->executable, part->sample_node, diagnostics);
}

/* The second call of a kind makes its graph: a prompt in pieces of many lengths would make one for nothing each. */
static retc_status launch(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  retc_hip_run *part = run->gpu;
  retc_hip_device *device = run->program->gpu;
  const size_t size = entry->steps.count * sizeof *part->extents;
  RETC_TRY(measure_steps(run, entry, diagnostics));
  const bool again = part->last_entry == run->last_entry && memcmp(part->extents, part->last_extents, size) == 0;
  const bool fits = part->graph_entry == run->last_entry && !part->sample_node == !run->draw &&
                    memcmp(part->extents, part->graph_extents, size) == 0;
  part->last_entry = run->last_entry;
  memcpy(part->last_extents, part->extents, size);
  if (run->spans) RETC_TRY(create_events(run, diagnostics));
  if (run->spans || !device->library.has_graphs || (!fits && !again) || any_goes_to_blas(run, entry)) {
    return launch_steps(run, entry, diagnostics);
  }
  if (fits) {
    RETC_TRY(update_graph(run, entry, diagnostics));
  } else {
    drop_graph(run, part);
    RETC_TRY(build_graph(run, entry, diagnostics));
  }
  return retc_hip_check(&device->library, device->library.hipGraphLaunch(part->executable, device->stream), diagnostics,
                        "launching a graph");
}

/* ---- outputs ---- */

static retc_status fetch(const retc_run *run, int buffer, const retc_dims *dims, retc_diagnostics *diagnostics) {
  const retc_plan_buffer *found = &run->program->plan->buffers.items[buffer];
  void **copy = &run->gpu->copies[buffer];
  if (!*copy) {
    RETC_TRY(retc_memory_alloc(found->name, retc_plan_buffer_elements(found, &run->most), retc_dtype_size(found->dtype),
                               diagnostics, copy));
  }
  return retc_hip_read(run->program->gpu, *copy, run->addresses[buffer], bytes_of(found, dims), diagnostics);
}

static retc_status run_and_sample(retc_run *run, const retc_plan_entry *entry, retc_diagnostics *diagnostics) {
  retc_hip_run *part = run->gpu;
  const size_t size = (size_t)retc_run_batch(run) * sizeof *part->chosen;
  part->has_chosen = false;
  RETC_TRY(launch(run, entry, diagnostics));
  RETC_TRY(retc_hip_read(run->program->gpu, part->chosen, part->inputs[part->tokens], size, diagnostics));
  part->has_chosen = true;
  return run->spans ? read_spans(run, entry, diagnostics) : RETC_OK;
}

retc_status retc_hip_run_entry(retc_run *run, retc_diagnostics *diagnostics) {
  const retc_plan *plan = run->program->plan;
  const retc_plan_entry *entry = &plan->entries.items[run->last_entry];
  run->gpu->fetched = false;
  if (run->draw) return run_and_sample(run, entry, diagnostics);
  RETC_TRY(launch(run, entry, diagnostics));
  RETC_TRY(retc_hip_wait(run->program->gpu, diagnostics));
  if (run->spans) RETC_TRY(read_spans(run, entry, diagnostics));
  for (size_t i = 0; i < entry->outputs.count; i++) {
    const int buffer = entry->outputs.items[i].buffer;
    if (plan->buffers.items[buffer].kind == RETC_PLAN_STATE) continue; /* fetched when asked for */
    RETC_TRY(fetch(run, buffer, &run->dims, diagnostics));
  }
  run->gpu->fetched = true;
  return RETC_OK;
}

const int64_t *retc_hip_run_tokens(const retc_run *run) { return run->gpu->chosen; }

const void *retc_hip_run_output(const retc_run *run, int buffer) {
  const bool is_state = run->program->plan->buffers.items[buffer].kind == RETC_PLAN_STATE;
  if (!is_state && run->gpu->fetched) return run->gpu->copies[buffer];
  retc_diagnostics quiet;
  retc_diagnostics_init(&quiet);
  const retc_status status = fetch(run, buffer, run->last_entry < 0 ? &run->most : &run->dims, &quiet);
  retc_diagnostics_deinit(&quiet);
  return status == RETC_OK ? run->gpu->copies[buffer] : NULL;
}
