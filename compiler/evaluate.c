#include "compiler/evaluate.h"

#include <string.h>

#include "compiler/pass.h"
#include "compiler/plan_eval.h"
#include "ir/lexer.h"

/* ---- entries ---- */

static bool has_graphs(const retc_compilation *c) { return !c->plan && c->graphs.count; }

size_t retc_entry_count(const retc_compilation *c) {
  return has_graphs(c) ? c->graphs.count : c->plan ? c->plan->entries.count : c->kernels.count;
}

const char *retc_entry_name(const retc_compilation *c, size_t index) {
  if (has_graphs(c)) return c->graphs.items[index]->name;
  return c->plan ? c->plan->entries.items[index].name : c->kernels.items[index]->name;
}

retc_status retc_entry_find(const retc_compilation *c, const char *name, retc_diagnostics *diagnostics,
                            size_t *out_entry) {
  retc_arena arena;
  retc_arena_init(&arena);
  size_t count = retc_entry_count(c);
  const char **names = RETC_NEW_ARRAY(&arena, const char *, count + 1);
  retc_status status = RETC_INVALID;
  for (size_t i = 0; i < count && status != RETC_OK; i++) {
    names[i] = retc_entry_name(c, i);
    if (name && strcmp(names[i], name)) continue;
    *out_entry = i;
    status = RETC_OK;
  }
  if (status != RETC_OK && !count) retc_fail(diagnostics, status, "the program has no entry");
  if (status != RETC_OK && count) {
    const char *nearest = retc_nearest(name, names, count);
    retc_fail(diagnostics, status, "the program has no entry %s%s%s%s", name, nearest ? ", did you mean " : "",
              nearest ? nearest : "", nearest ? "?" : "");
  }
  retc_arena_deinit(&arena);
  return status;
}

static retc_entry_inputs inputs_of_graph(const retc_graph *graph, retc_arena *arena) {
  retc_entry_inputs inputs = {.list = {0}};
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    retc_dim_name scalar;
    if (node->op != RETC_OP_INPUT) continue;
    if (!node->type.shape.rank && retc_dim_parse(node->name, strlen(node->name), &scalar)) continue;
    retc_entry_input input = {node->name, node->attributes.word, node->type};
    RETC_VEC_PUSH(arena, inputs.list, input);
  }
  return inputs;
}

static retc_entry_inputs inputs_of_plan(const retc_plan *plan, const retc_plan_entry *entry, retc_arena *arena) {
  retc_entry_inputs inputs = {.list = {0}};
  bool *seen = RETC_NEW_ARRAY(arena, bool, plan->buffers.count + 1);
  for (size_t s = 0; s < entry->steps.count; s++) {
    const retc_plan_step *step = &entry->steps.items[s];
    for (int i = 0; i < plan->kernels.items[step->kernel].buffer_count; i++) {
      const retc_plan_buffer *buffer = &plan->buffers.items[step->buffers[i]];
      bool given =
          buffer->kind == RETC_PLAN_WEIGHT || buffer->kind == RETC_PLAN_INPUT || buffer->kind == RETC_PLAN_STATE;
      if (!given || seen[step->buffers[i]]) continue;
      seen[step->buffers[i]] = true;
      retc_entry_input input = {buffer->name, retc_plan_buffer_kind_name(buffer->kind), {buffer->dtype, buffer->shape}};
      RETC_VEC_PUSH(arena, inputs.list, input);
    }
  }
  return inputs;
}

/* A plan with one entry that runs this kernel. */
static retc_plan *plan_of_kernel(const retc_kernel *kernel) {
  retc_plan *plan = retc_plan_create();
  if (!plan) return NULL;
  retc_plan_kernel described = retc_plan_describe_kernel(plan, kernel);
  RETC_VEC_PUSH(&plan->arena, plan->kernels, described);
  plan->chunk_length = 1;
  retc_plan_entry entry = {.name = retc_arena_strdup(&plan->arena, kernel->name)};
  int *buffers = RETC_NEW_ARRAY(&plan->arena, int, described.buffer_count + 1), count = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *parameter = &kernel->buffers.items[i];
    if (parameter->scope != RETC_SCOPE_GLOBAL) continue;
    static const retc_plan_buffer_kind kinds[] = {RETC_PLAN_INPUT, RETC_PLAN_INPUT, RETC_PLAN_OUTPUT, RETC_PLAN_STATE};
    retc_plan_buffer buffer = {.name = retc_arena_strdup(&plan->arena, parameter->name),
                               .kind = kinds[parameter->access & 3],
                               .dtype = parameter->dtype,
                               .shape = parameter->shape,
                               .slot = -1};
    buffers[count++] = (int)plan->buffers.count;
    RETC_VEC_PUSH(&plan->arena, plan->buffers, buffer);
    if (buffer.kind != RETC_PLAN_OUTPUT) continue;
    retc_plan_output output = {buffer.name, (int)plan->buffers.count - 1};
    RETC_VEC_PUSH(&plan->arena, entry.outputs, output);
  }
  RETC_VEC_PUSH(&plan->arena, entry.steps, ((retc_plan_step){0, buffers, NULL}));
  RETC_VEC_PUSH(&plan->arena, plan->entries, entry);
  return plan;
}

retc_entry_inputs retc_entry_get_inputs(const retc_compilation *c, size_t entry, retc_arena *arena) {
  if (has_graphs(c)) return inputs_of_graph(c->graphs.items[entry], arena);
  if (c->plan) return inputs_of_plan(c->plan, &c->plan->entries.items[entry], arena);
  retc_plan *plan = plan_of_kernel(c->kernels.items[entry]);
  retc_entry_inputs inputs = {.list = {0}};
  if (!plan) return inputs;
  inputs = inputs_of_plan(plan, &plan->entries.items[0], arena);
  for (size_t i = 0; i < inputs.list.count; i++) {
    inputs.list.items[i].name = retc_arena_strdup(arena, inputs.list.items[i].name);
  }
  retc_plan_destroy(plan);
  return inputs;
}

/* Where messages begin: "in.safetensors: ", or with the array's name at once. */
#define FILE_OF(inputs) ((inputs)->file ? (inputs)->file : ""), ((inputs)->file ? ": " : "")

retc_status retc_entry_check_dtype(const retc_entry_inputs *inputs, const retc_entry_input *input, retc_dtype dtype,
                                   retc_diagnostics *diagnostics) {
  const retc_dtype wanted = input->type.dtype;
  const bool floats = retc_dtype_is_float(dtype) && retc_dtype_is_float(wanted);
  const bool integers = !retc_dtype_is_float(dtype) && !retc_dtype_is_float(wanted);
  if (dtype == wanted || integers || (floats && !strcmp(input->kind, "weight"))) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s%s%s: what is given is %s, expected %s", FILE_OF(inputs), input->name,
                   retc_dtype_name(dtype), retc_dtype_name(wanted));
}

retc_status retc_entry_plan_kernel(retc_compilation *c, size_t entry, retc_diagnostics *diagnostics) {
  c->plan = plan_of_kernel(c->kernels.items[entry]);
  return c->plan ? RETC_OK : retc_fail(diagnostics, RETC_FAILED, "out of memory");
}

/* ---- results ---- */

static void add_result(retc_entry_results *results, const char *name, retc_arena *arena) {
  for (size_t i = 0; i < results->names.count; i++) {
    if (!strcmp(results->names.items[i], name)) return;
  }
  RETC_VEC_PUSH(arena, results->names, name);
}

static const retc_kernel *find_kernel(const retc_compilation *c, const char *name) {
  for (size_t i = 0; i < c->kernels.count; i++) {
    if (!strcmp(c->kernels.items[i]->name, name)) return c->kernels.items[i];
  }
  return NULL;
}

retc_entry_results retc_entry_get_results(const retc_compilation *c, const retc_plan *plan, size_t entry,
                                          retc_arena *arena) {
  const retc_plan_entry *e = &plan->entries.items[entry];
  retc_entry_results results = {{0}};
  for (size_t i = 0; i < e->outputs.count; i++) add_result(&results, e->outputs.items[i].name, arena);
  for (size_t s = 0; s < e->steps.count; s++) {
    const retc_plan_step *step = &e->steps.items[s];
    const retc_kernel *kernel = find_kernel(c, plan->kernels.items[step->kernel].name);
    int argument = 0;
    for (size_t i = 1; kernel && i < kernel->buffers.count; i++) {
      const retc_buffer *parameter = &kernel->buffers.items[i];
      if (parameter->scope != RETC_SCOPE_GLOBAL) continue;
      const retc_plan_buffer *buffer = &plan->buffers.items[step->buffers[argument++]];
      const bool replaced = buffer->kind == RETC_PLAN_STATE && (parameter->access & RETC_ACCESS_WRITE);
      if (replaced) add_result(&results, buffer->name, arena);
    }
  }
  return results;
}

/* ---- dimensions ---- */

typedef struct binding {
  int64_t value;  /* -1: not yet */
  const char *by; /* the input that told */
} binding;

static retc_status bind_scalars(const retc_entry_inputs *inputs, const retc_arrays *arrays, binding *bound,
                                retc_diagnostics *diagnostics) {
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    const retc_array *array = retc_arrays_find(arrays, retc_dim_text((retc_dim_name)i));
    if (!array) continue;
    double value = retc_tensor_count(&array->tensor) == 1 ? array->tensor.data[0] : -1;
    if (value < 0 || value > (double)RETC_NO_END || value != (double)(int64_t)value) {
      return retc_fail(diagnostics, RETC_INVALID, "%s%s%s: expected one whole number that is not negative",
                       FILE_OF(inputs), array->name);
    }
    bound[i] = (binding){(int64_t)value, array->name};
  }
  return RETC_OK;
}

static retc_status bind_input(const retc_entry_inputs *inputs, const retc_entry_input *input, const retc_array *array,
                              binding *bound, retc_diagnostics *diagnostics) {
  const retc_shape *shape = &input->type.shape;
  if (array->tensor.rank != shape->rank) {
    return retc_fail(diagnostics, RETC_INVALID, "%s%s%s: what is given has %d axes, expected %d", FILE_OF(inputs),
                     input->name, array->tensor.rank, shape->rank);
  }
  for (int i = 0; i < shape->rank; i++) {
    int64_t given = array->tensor.dim[i];
    if (!retc_dim_is_named(shape->dim[i])) {
      if (given == shape->dim[i]) continue;
      return retc_fail(diagnostics, RETC_INVALID, "%s%s%s: axis %d is %lld, expected %lld", FILE_OF(inputs),
                       input->name, i, (long long)given, (long long)shape->dim[i]);
    }
    binding *b = &bound[~shape->dim[i]];
    if (b->value >= 0 && b->value != given) {
      return retc_fail(diagnostics, RETC_INVALID, "%s%s%s: axis %d, %s, is %lld, but %lld in %s", FILE_OF(inputs),
                       input->name, i, retc_dim_text((retc_dim_name)~shape->dim[i]), (long long)given,
                       (long long)b->value, b->by);
    }
    *b = (binding){given, input->name};
  }
  return RETC_OK;
}

static retc_status check_bound(const retc_entry_inputs *inputs, const binding *bound, retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_entry_input *input = &inputs->list.items[i];
    for (int axis = 0; axis < input->type.shape.rank; axis++) {
      retc_dim dim = input->type.shape.dim[axis];
      if (!retc_dim_is_named(dim) || bound[~dim].value >= 0) continue;
      return retc_fail(diagnostics, RETC_INVALID,
                       "%s%s%s: axis %d is %s, which no array tells; a scalar of that name may", FILE_OF(inputs),
                       input->name, axis, retc_dim_text((retc_dim_name)~dim));
    }
  }
  return RETC_OK;
}

retc_status retc_bind_dims(const retc_compilation *c, const retc_entry_inputs *inputs, const retc_arrays *arrays,
                           retc_diagnostics *diagnostics, retc_dims *out_dims) {
  binding bound[RETC_DIM_COUNT];
  for (int i = 0; i < RETC_DIM_COUNT; i++) bound[i] = (binding){-1, NULL};
  RETC_TRY(bind_scalars(inputs, arrays, bound, diagnostics));
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_array *array = retc_arrays_find(arrays, inputs->list.items[i].name);
    if (array) RETC_TRY(bind_input(inputs, &inputs->list.items[i], array, bound, diagnostics));
  }
  if (bound[RETC_DIM_P].value < 0) bound[RETC_DIM_P].value = 0;
  if (bound[RETC_DIM_E].value < 0) bound[RETC_DIM_E].value = RETC_NO_END;
  if (bound[RETC_DIM_L].value < 0) bound[RETC_DIM_L].value = bound[RETC_DIM_T].value;
  int64_t chunk = c->facts.chunk_length, tokens = bound[RETC_DIM_T].value < 0 ? 0 : bound[RETC_DIM_T].value;
  if (bound[RETC_DIM_N].value < 0) bound[RETC_DIM_N].value = retc_chunk_count(bound[RETC_DIM_P].value, tokens, chunk);
  RETC_TRY(check_bound(inputs, bound, diagnostics));
  if (bound[RETC_DIM_L].value > tokens) {
    return retc_fail(diagnostics, RETC_INVALID, "%s%sL is %lld, expected at most T, %lld", FILE_OF(inputs),
                     (long long)bound[RETC_DIM_L].value, (long long)tokens);
  }
  for (int i = 0; i < RETC_DIM_COUNT; i++) out_dims->value[i] = bound[i].value < 0 ? 0 : bound[i].value;
  return RETC_OK;
}

/* ---- graphs ---- */

typedef struct source {
  const retc_arrays *given;
  retc_arrays made; /* scalars of the call, states that are zero */
  retc_diagnostics *diagnostics;
} source;

static bool lend(void *user, const char *name, const retc_type *type, const retc_dims *dims,
                 const retc_tensor **out_tensor) {
  source *s = user;
  const retc_array *array = retc_arrays_find(s->given, name);
  retc_dim_name scalar;
  bool is_scalar = !type->shape.rank && retc_dim_parse(name, strlen(name), &scalar);
  if (!array || is_scalar) array = retc_arrays_find(&s->made, name);
  if (!array) {
    retc_tensor tensor;
    if (retc_tensor_init(&tensor, &type->shape, dims, s->diagnostics) != RETC_OK) return false;
    if (is_scalar) tensor.data[0] = (double)dims->value[scalar];
    retc_arrays_add(&s->made, name, type->dtype, tensor);
    array = retc_arrays_find(&s->made, name);
  }
  *out_tensor = &array->tensor;
  return true;
}

static retc_status evaluate_graph(const retc_graph *graph, const retc_dims *dims, const retc_arrays *arrays,
                                  retc_diagnostics *diagnostics, retc_arrays *out_arrays) {
  source s = {.given = arrays, .diagnostics = diagnostics};
  retc_arrays_init(&s.made);
  size_t count = graph->outputs.count;
  retc_tensor *outputs = RETC_NEW_ARRAY(&s.made.arena, retc_tensor, count + 1);
  retc_status status = retc_graph_eval(graph, dims, lend, &s, diagnostics, outputs);
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    const retc_output *output = &graph->outputs.items[i];
    retc_arrays_add(out_arrays, output->name, retc_graph_node(graph, output->value)->type.dtype, outputs[i]);
  }
  retc_arrays_deinit(&s.made);
  return status;
}

/* ---- kernels ---- */

static retc_status set_input(retc_plan_evaluation *evaluation, const retc_entry_input *input, const retc_dims *dims,
                             const retc_array *array, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_plan_array given = {.dtype = input->type.dtype, .rank = input->type.shape.rank};
  for (int i = 0; i < given.rank; i++) given.dim[i] = retc_dim_value(input->type.shape.dim[i], dims);
  size_t count = (size_t)retc_shape_count(&input->type.shape, dims);
  void *data = retc_arena_alloc(&arena, count * retc_dtype_size(given.dtype) + 1);
  retc_status status = RETC_OK;
  if (data && array) {
    retc_dtype_convert(RETC_DTYPE_F64, array->tensor.data, given.dtype, data, count);
  } else if (data) {
    memset(data, 0, count * retc_dtype_size(given.dtype));
  } else {
    status = retc_fail(diagnostics, RETC_FAILED, "%s: out of memory", input->name);
  }
  given.data = data;
  if (status == RETC_OK) status = retc_plan_evaluation_set(evaluation, input->name, &given, diagnostics);
  retc_arena_deinit(&arena);
  return status;
}

static retc_status take(const retc_plan_evaluation *evaluation, const char *name, retc_diagnostics *diagnostics,
                        retc_arrays *out_arrays) {
  retc_plan_array found;
  retc_shape shape = {0};
  const retc_dims none = {{0}};
  retc_tensor tensor;
  if (!retc_plan_evaluation_find(evaluation, name, &found)) {
    return retc_fail(diagnostics, RETC_INTERNAL, "output %s is not there after the call", name);
  }
  shape.rank = found.rank;
  for (int i = 0; i < found.rank; i++) shape.dim[i] = found.dim[i];
  RETC_TRY(retc_tensor_init(&tensor, &shape, &none, diagnostics));
  retc_dtype_convert(found.dtype, found.data, RETC_DTYPE_F64, tensor.data, (size_t)retc_tensor_count(&tensor));
  retc_arrays_add(out_arrays, name, found.dtype, tensor);
  return RETC_OK;
}

static retc_status call_entry(const retc_compilation *c, const retc_plan *plan, size_t entry, const retc_dims *dims,
                              const retc_arrays *arrays, retc_plan_evaluation *evaluation, retc_arena *arena,
                              retc_diagnostics *diagnostics, retc_arrays *out_arrays) {
  const retc_plan_entry *e = &plan->entries.items[entry];
  retc_entry_inputs inputs = inputs_of_plan(plan, e, arena);
  for (size_t i = 0; i < inputs.list.count; i++) {
    const retc_entry_input *input = &inputs.list.items[i];
    RETC_TRY(set_input(evaluation, input, dims, retc_arrays_find(arrays, input->name), diagnostics));
  }
  RETC_TRY(retc_plan_evaluation_call(evaluation, e->name, dims, diagnostics));
  retc_entry_results results = retc_entry_get_results(c, plan, entry, arena);
  for (size_t i = 0; i < results.names.count; i++) {
    RETC_TRY(take(evaluation, results.names.items[i], diagnostics, out_arrays));
  }
  return RETC_OK;
}

static retc_status evaluate_plan(const retc_compilation *c, const retc_plan *plan, size_t entry, const retc_dims *dims,
                                 const retc_arrays *arrays, retc_diagnostics *diagnostics, retc_arrays *out_arrays) {
  retc_plan_evaluation *evaluation;
  RETC_TRY(retc_plan_evaluation_create(plan, (const retc_kernel *const *)c->kernels.items, c->kernels.count,
                                       diagnostics, &evaluation));
  retc_arena arena;
  retc_arena_init(&arena);
  retc_status status = call_entry(c, plan, entry, dims, arrays, evaluation, &arena, diagnostics, out_arrays);
  retc_arena_deinit(&arena);
  retc_plan_evaluation_destroy(evaluation);
  return status;
}

/* ---- both ---- */

static retc_status check_given(const retc_entry_inputs *inputs, const retc_entry_input *input, const retc_array *array,
                               retc_diagnostics *diagnostics) {
  if (!array && strcmp(input->kind, "state")) {
    return retc_fail(diagnostics, RETC_INVALID, "%s %s is not given", input->kind, input->name);
  }
  return array ? retc_entry_check_dtype(inputs, input, array->dtype, diagnostics) : RETC_OK;
}

retc_status retc_evaluate(const retc_compilation *c, size_t entry, const retc_dims *dims, const retc_arrays *arrays,
                          retc_diagnostics *diagnostics, retc_arrays *out_arrays) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_entry_inputs inputs = retc_entry_get_inputs(c, entry, &arena);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < inputs.list.count && status == RETC_OK; i++) {
    const retc_entry_input *input = &inputs.list.items[i];
    status = check_given(&inputs, input, retc_arrays_find(arrays, input->name), diagnostics);
  }
  retc_arena_deinit(&arena);
  RETC_TRY(status);
  if (has_graphs(c)) return evaluate_graph(c->graphs.items[entry], dims, arrays, diagnostics, out_arrays);
  if (c->plan) return evaluate_plan(c, c->plan, entry, dims, arrays, diagnostics, out_arrays);
  retc_plan *plan = plan_of_kernel(c->kernels.items[entry]);
  if (!plan) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  status = evaluate_plan(c, plan, 0, dims, arrays, diagnostics, out_arrays);
  retc_plan_destroy(plan);
  return status;
}
