#include <stdlib.h>
#include <string.h>

#include "compiler/arrays.h"
#include "compiler/driver/runner.h"
#include "runtime/ids.h"

typedef uint64_t element_bits; /* one element of any dtype */

typedef struct named_tensor {
  const char *name;
  retc_tensor tensor;
} named_tensor;

typedef struct named_output {
  const char *name;
  float *data;
  double *exact;
} named_output;

typedef struct graph_runner {
  retc_runner head;
  retc_engine *engine;
  const retc_graph *step, *state;
  retc_run_options options;
  int64_t position;
  retc_arena arena;
  retc_tensor pads; /* [B] */
  int64_t end;      /* dimension E */
  RETC_VEC(named_tensor) states;
  RETC_VEC(named_output) outputs; /* of the last call */
} graph_runner;

/* What one evaluation reads its inputs from. */
typedef struct call {
  graph_runner *runner;
  const retc_tensor *tokens;
  retc_tensor position, end; /* rank 0 */
  retc_diagnostics *diagnostics;
} call;

static retc_tensor *find_state(const graph_runner *runner, const char *name) {
  for (size_t i = 0; i < runner->states.count; i++) {
    if (strcmp(runner->states.items[i].name, name) == 0) return &runner->states.items[i].tensor;
  }
  return NULL;
}

static const retc_tensor *find_weight(retc_engine *engine, const char *name) {
  for (size_t i = 0; i < engine->graph_weights.count; i++) {
    if (strcmp(engine->graph_weights.items[i].name, name) == 0) return &engine->graph_weights.items[i].tensor;
  }
  return NULL;
}

static const retc_tensor *keep_weight(retc_engine *engine, retc_graph_weight weight) {
  RETC_VEC_PUSH(&engine->arena, engine->graph_weights, weight);
  return &engine->graph_weights.items[engine->graph_weights.count - 1].tensor;
}

/* Codes or scales of a matrix of integers, as they are made for compiled code. */
static const retc_tensor *load_integers(retc_engine *engine, const char *name, const retc_type *type,
                                        const retc_dims *dims, retc_diagnostics *diagnostics) {
  retc_quantized made;
  if (!retc_quantized_find(engine->source->checkpoint, name, &made)) return NULL;
  retc_graph_weight weight = {.name = retc_arena_strdup(&engine->arena, name)};
  const int64_t group = made.bits == 4 ? RETC_GROUP_INT4 : RETC_GROUP_INT8;
  if (retc_tensor_init_quantized(&weight.tensor, &made, group, diagnostics) != RETC_OK) return NULL;
  const bool fits = retc_tensor_count(&weight.tensor) == retc_shape_count(&type->shape, dims);
  if (!fits) retc_tensor_deinit(&weight.tensor);
  return fits ? keep_weight(engine, weight) : NULL;
}

/* As the plan's weights are kept: rounded where that is narrower than the file. */
static const retc_tensor *load_weight(retc_engine *engine, const char *name, const retc_type *type,
                                      const retc_dims *dims, retc_diagnostics *diagnostics) {
  const retc_stored_tensor *stored = retc_checkpoint_find(engine->source->checkpoint, name);
  if (!stored) return load_integers(engine, name, type, dims, diagnostics);
  retc_graph_weight weight = {.name = stored->name};
  if (retc_tensor_init(&weight.tensor, &type->shape, dims, diagnostics) != RETC_OK) return NULL;
  if (retc_tensor_count(&weight.tensor) != stored->count) {
    retc_tensor_deinit(&weight.tensor);
    return NULL;
  }
  retc_stored_tensor_convert(stored, RETC_DTYPE_F64, weight.tensor.data);
  for (int64_t i = 0; type->dtype != stored->dtype && i < stored->count; i++) {
    element_bits rounded;
    retc_dtype_store(type->dtype, &rounded, 0, weight.tensor.data[i]);
    weight.tensor.data[i] = retc_dtype_load(type->dtype, &rounded, 0);
  }
  return keep_weight(engine, weight);
}

static bool lend_input(void *user, const char *name, const retc_type *type, const retc_dims *dims,
                       const retc_tensor **out_tensor) {
  const call *c = user;
  const retc_tensor *found = find_state(c->runner, name);
  if (!found && strcmp(name, "tokens") == 0) found = c->tokens;
  if (!found && strcmp(name, "P") == 0) found = &c->position;
  if (!found && strcmp(name, "E") == 0) found = &c->end;
  if (!found && strcmp(name, "pads") == 0) found = &c->runner->pads;
  if (!found) found = find_weight(c->runner->engine, name);
  if (!found) found = load_weight(c->runner->engine, name, type, dims, c->diagnostics);
  *out_tensor = found;
  return found != NULL;
}

static void clear_outputs(graph_runner *runner) {
  for (size_t i = 0; i < runner->outputs.count; i++) {
    free(runner->outputs.items[i].data);
    free(runner->outputs.items[i].exact);
  }
  runner->outputs.count = 0;
}

static retc_status keep_output(graph_runner *runner, const char *name, const retc_tensor *tensor,
                               retc_diagnostics *diagnostics) {
  size_t count = (size_t)retc_tensor_count(tensor);
  named_output output = {name, malloc(count ? count * sizeof(float) : 1), malloc(count ? count * sizeof(double) : 1)};
  RETC_VEC_PUSH(&runner->arena, runner->outputs, output);
  if (!output.data || !output.exact) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", name);
  retc_dtype_convert(RETC_DTYPE_F64, tensor->data, RETC_DTYPE_F32, output.data, count);
  memcpy(output.exact, tensor->data, count * sizeof(double));
  return RETC_OK;
}

/* Runs `graph`; outputs named like a state take its place, the others can be read until the next call. */
static retc_status evaluate(graph_runner *runner, const retc_graph *graph, const retc_dims *dims,
                            const retc_tensor *tokens, retc_diagnostics *diagnostics) {
  double position = (double)runner->position, end = (double)runner->end;
  call c = {runner, tokens, {.rank = 0, .data = &position}, {.rank = 0, .data = &end}, diagnostics};
  size_t count = graph->outputs.count;
  retc_tensor *results = calloc(count ? count : 1, sizeof *results);
  if (!results) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", graph->name);
  clear_outputs(runner);
  retc_status status = retc_graph_eval(graph, dims, lend_input, &c, diagnostics, results);
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    const char *name = graph->outputs.items[i].name;
    retc_tensor *state = find_state(runner, name);
    if (state) {
      retc_tensor old = *state;
      *state = results[i];
      results[i] = old;
    } else {
      status = keep_output(runner, name, &results[i], diagnostics);
    }
  }
  for (size_t i = 0; i < count; i++) retc_tensor_deinit(&results[i]);
  free(results);
  return status;
}

static retc_status check_step(const graph_runner *runner, const int64_t *tokens, int64_t token_count,
                              int64_t row_stride, int64_t logit_count, retc_diagnostics *diagnostics) {
  const retc_run_options *options = &runner->options;
  if (token_count < 1 || token_count > options->max_tokens) {
    return retc_fail(diagnostics, RETC_INVALID, "tokens: found %lld a row, expected 1..%lld", (long long)token_count,
                     (long long)options->max_tokens);
  }
  if (logit_count < 1 || logit_count > token_count || logit_count > options->max_logits) {
    int64_t most = token_count < options->max_logits ? token_count : options->max_logits;
    return retc_fail(diagnostics, RETC_INVALID, "logits: %lld rows wanted, expected 1..%lld", (long long)logit_count,
                     (long long)most);
  }
  const retc_shape shape = {.rank = 2, .dim = {options->batch, token_count}};
  return retc_ids_check("tokens", RETC_DTYPE_I64, tokens, &shape, row_stride,
                        runner->engine->source->network.vocabulary_size, diagnostics);
}

static retc_status graph_step(retc_runner *head, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                              int64_t logit_count, retc_diagnostics *diagnostics) {
  graph_runner *runner = (graph_runner *)head;
  RETC_TRY(check_step(runner, tokens, token_count, row_stride, logit_count, diagnostics));
  int64_t chunk = runner->engine->chunk_length;
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = runner->options.batch;
  dims.value[RETC_DIM_T] = token_count;
  dims.value[RETC_DIM_N] = retc_chunk_count(runner->position, token_count, chunk);
  dims.value[RETC_DIM_L] = logit_count;
  dims.value[RETC_DIM_P] = runner->position;
  const retc_shape shape = {2, {RETC_NAMED(B), RETC_NAMED(T)}};
  retc_tensor taken = {0};
  RETC_TRY(retc_tensor_init(&taken, &shape, &dims, diagnostics));
  for (int64_t b = 0; b < runner->options.batch; b++) {
    for (int64_t t = 0; t < token_count; t++) taken.data[b * token_count + t] = (double)tokens[b * row_stride + t];
  }
  retc_status status = evaluate(runner, runner->step, &dims, &taken, diagnostics);
  if (status == RETC_OK) runner->position += token_count;
  retc_tensor_deinit(&taken);
  return status;
}

static retc_status graph_state(retc_runner *head, retc_diagnostics *diagnostics) {
  graph_runner *runner = (graph_runner *)head;
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = runner->options.batch;
  dims.value[RETC_DIM_P] = runner->position;
  return evaluate(runner, runner->state, &dims, NULL, diagnostics);
}

static const named_output *find_output(const retc_runner *head, const char *name) {
  const graph_runner *runner = (const graph_runner *)head;
  for (size_t i = 0; i < runner->outputs.count; i++) {
    if (strcmp(runner->outputs.items[i].name, name) == 0) return &runner->outputs.items[i];
  }
  return NULL;
}

static const float *graph_output(const retc_runner *head, const char *name) {
  const named_output *output = find_output(head, name);
  return output ? output->data : NULL;
}

const double *retc_runner_exact(const retc_runner *head, const char *name) {
  const named_output *output = head->verbs == &retc_graph_runner_verbs ? find_output(head, name) : NULL;
  return output ? output->exact : NULL;
}

static void graph_reset(retc_runner *head) {
  graph_runner *runner = (graph_runner *)head;
  runner->position = 0;
  for (size_t i = 0; i < runner->states.count; i++) {
    retc_tensor *tensor = &runner->states.items[i].tensor;
    memset(tensor->data, 0, (size_t)retc_tensor_count(tensor) * sizeof(double));
  }
  memset(runner->pads.data, 0, (size_t)runner->options.batch * sizeof(double));
  runner->end = RETC_NO_END;
}

static void graph_set_padding(retc_runner *head, const int64_t *counts) {
  graph_runner *runner = (graph_runner *)head;
  for (int64_t b = 0; b < runner->options.batch; b++) runner->pads.data[b] = (double)counts[b];
}

static void graph_set_end(retc_runner *head, int64_t position) {
  ((graph_runner *)head)->end = position;
}

static int64_t graph_position(const retc_runner *head) {
  return ((const graph_runner *)head)->position;
}

static void graph_destroy(retc_runner *head) {
  graph_runner *runner = (graph_runner *)head;
  clear_outputs(runner);
  for (size_t i = 0; i < runner->states.count; i++) retc_tensor_deinit(&runner->states.items[i].tensor);
  retc_tensor_deinit(&runner->pads);
  retc_arena_deinit(&runner->arena);
  free(runner);
}

static retc_status add_states(graph_runner *runner, const retc_graph *graph, retc_diagnostics *diagnostics) {
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = runner->options.batch;
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    if (node->op != RETC_OP_INPUT || strcmp(node->attributes.word, "state") != 0) continue;
    if (find_state(runner, node->name)) continue;
    named_tensor state = {.name = node->name};
    RETC_TRY(retc_tensor_init(&state.tensor, &node->type.shape, &dims, diagnostics));
    RETC_VEC_PUSH(&runner->arena, runner->states, state);
  }
  return RETC_OK;
}

static retc_status add_pads(graph_runner *runner, retc_diagnostics *diagnostics) {
  const retc_shape shape = {1, {runner->options.batch}};
  const retc_dims none = {{0}};
  return retc_tensor_init(&runner->pads, &shape, &none, diagnostics);
}

static retc_status graph_create(retc_engine *engine, const retc_run_options *options, retc_diagnostics *diagnostics,
                                retc_runner **out_runner) {
  graph_runner *runner = calloc(1, sizeof *runner);
  if (!runner) return retc_fail(diagnostics, RETC_FAILED, "session: memory refused");
  runner->engine = engine;
  runner->options = *options;
  runner->end = RETC_NO_END;
  runner->step = retc_engine_graph(engine, "step");
  runner->state = retc_engine_graph(engine, "state");
  retc_arena_init(&runner->arena);
  retc_status status = RETC_OK;
  if (!runner->step || !runner->state) {
    status = retc_fail(diagnostics, RETC_INTERNAL, "the program lacks an entry, expected \"step\" and \"state\"");
  }
  if (status == RETC_OK) status = add_pads(runner, diagnostics);
  if (status == RETC_OK) status = add_states(runner, runner->step, diagnostics);
  if (status == RETC_OK) status = add_states(runner, runner->state, diagnostics);
  if (status != RETC_OK) {
    graph_destroy(&runner->head);
    return status;
  }
  *out_runner = &runner->head;
  return RETC_OK;
}

const retc_runner_verbs retc_graph_runner_verbs = {
    .create = graph_create, .destroy = graph_destroy, .reset = graph_reset, .position = graph_position,
    .step = graph_step, .state = graph_state, .set_padding = graph_set_padding,
    .set_end = graph_set_end, .output = graph_output};
