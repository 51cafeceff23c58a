#include "compiler/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry_run {
  const char *name;
  retc_dims dims;
  retc_arrays inputs, results;
} entry_run;

struct retc_check {
  retc_arena arena;
  entry_run *runs;
  size_t count;
  uint64_t random;
  bool graphs; /* the results are those of graphs */
  double rounding; /* of products in few bits; 0: there are none */
};

/* ---- random inputs ---- */

/* xorshift64* */
static double uniform(retc_check *check) {
  uint64_t x = check->random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  check->random = x;
  return (double)((x * 2685821657736338717u) >> 11) / 9007199254740992.0;
}

static double normal(retc_check *check) {
  double radius = sqrt(-2 * log(1 - uniform(check)));
  return radius * cos(6.283185307179586 * uniform(check));
}

/* How an input is used, where the graph tells. */
typedef struct use {
  int64_t rows;  /* of the table that it indexes; 0: none */
  bool is_decay; /* a logarithm of decays, at most 0 */
} use;

static use find_use(const retc_compilation *c, size_t entry, const char *name) {
  use found = {0};
  if (c->plan || !c->graphs.count) return found;
  const retc_graph *graph = c->graphs.items[entry];
  uint32_t input = retc_graph_find_input(graph, name).index;
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    for (int k = 0; k < node->input_count; k++) {
      if (node->inputs[k].index != input) continue;
      if (node->op == RETC_OP_GATHER && k == 1) found.rows = retc_graph_node(graph, node->inputs[0])->type.shape.dim[0];
      bool retention = node->op == RETC_OP_RETENTION || node->op == RETC_OP_SCORE_SUM || node->op == RETC_OP_STATE_PEAK;
      bool decay = node->op == RETC_OP_DECAY_MASK || node->op == RETC_OP_DECAY_POWERS;
      found.is_decay = found.is_decay || (retention && k == 3) || (node->op == RETC_OP_FLUSH && k == 3) || decay;
    }
  }
  return found;
}

static int64_t bound_of(const retc_compilation *c, const retc_entry_input *input, use u) {
  if (u.rows > 0) return u.rows;
  return !strcmp(input->name, "tokens") && c->facts.vocabulary_size ? c->facts.vocabulary_size : 2;
}

/* Weights keep sums of their rows near 1; vectors are like those of norms. */
static double draw(retc_check *check, const retc_compilation *c, const retc_entry_input *input, use u) {
  const retc_shape *shape = &input->type.shape;
  if (!retc_dtype_is_float(input->type.dtype)) return floor(uniform(check) * (double)bound_of(c, input, u));
  if (u.is_decay) return -0.1 * fabs(normal(check));
  if (!strcmp(input->kind, "state")) return 0.1 * normal(check);
  if (strcmp(input->kind, "weight")) return normal(check);
  if (shape->rank < 2) return 1 + 0.1 * normal(check);
  int64_t last = shape->dim[shape->rank - 1];
  return normal(check) / sqrt(last > 0 ? (double)last : 1);
}

static retc_status fill(retc_check *check, const retc_compilation *c, size_t entry, entry_run *run,
                        const retc_entry_input *input, retc_diagnostics *diagnostics) {
  retc_tensor tensor;
  use u = find_use(c, entry, input->name);
  RETC_TRY(retc_tensor_init(&tensor, &input->type.shape, &run->dims, diagnostics));
  int64_t count = retc_tensor_count(&tensor);
  for (int64_t i = 0; i < count; i++) {
    uint64_t element = 0; /* rounded to what the dtype holds */
    retc_dtype_store(input->type.dtype, &element, 0, draw(check, c, input, u));
    tensor.data[i] = retc_dtype_load(input->type.dtype, &element, 0);
  }
  retc_arrays_add(&run->inputs, input->name, input->type.dtype, tensor);
  return RETC_OK;
}

/* Three tokens from the last but one position of the second chunk on, the last two of which are asked for. */
static retc_dims choose_dims(const retc_compilation *c) {
  enum { BATCH = 2, TOKENS = 3, LOGITS = 2 };
  int64_t chunk = c->facts.chunk_length;
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = BATCH;
  dims.value[RETC_DIM_T] = TOKENS;
  dims.value[RETC_DIM_L] = LOGITS;
  dims.value[RETC_DIM_P] = chunk > 1 ? 2 * chunk - 2 : 0;
  dims.value[RETC_DIM_E] = RETC_NO_END;
  dims.value[RETC_DIM_N] = retc_chunk_count(dims.value[RETC_DIM_P], TOKENS, chunk);
  return dims;
}

static retc_status start(retc_check *check, const retc_compilation *c, retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < check->count; i++) {
    entry_run *run = &check->runs[i];
    run->name = retc_arena_strdup(&check->arena, retc_entry_name(c, i));
    run->dims = choose_dims(c);
    retc_entry_inputs inputs = retc_entry_get_inputs(c, i, &check->arena);
    for (size_t k = 0; k < inputs.list.count; k++) {
      RETC_TRY(fill(check, c, i, run, &inputs.list.items[k], diagnostics));
    }
    RETC_TRY(retc_evaluate(c, i, &run->dims, &run->inputs, diagnostics, &run->results));
  }
  return RETC_OK;
}

retc_status retc_check_create(const retc_compilation *c, uint64_t seed, retc_diagnostics *diagnostics,
                              retc_check **out_check) {
  retc_check *check = calloc(1, sizeof *check);
  if (!check) return retc_fail(diagnostics, RETC_FAILED, "check: out of memory");
  retc_arena_init(&check->arena);
  check->random = seed * 2 + 1;
  check->count = retc_entry_count(c);
  check->runs = RETC_NEW_ARRAY(&check->arena, entry_run, check->count + 1);
  check->graphs = !c->plan && c->graphs.count;
  for (size_t i = 0; i < check->count; i++) {
    retc_arrays_init(&check->runs[i].inputs);
    retc_arrays_init(&check->runs[i].results);
  }
  retc_status status = start(check, c, diagnostics);
  if (status != RETC_OK) {
    retc_check_destroy(check);
    return status;
  }
  *out_check = check;
  return RETC_OK;
}

void retc_check_destroy(retc_check *check) {
  if (!check) return;
  for (size_t i = 0; i < check->count; i++) {
    retc_arrays_deinit(&check->runs[i].inputs);
    retc_arrays_deinit(&check->runs[i].results);
  }
  retc_arena_deinit(&check->arena);
  free(check);
}

/* ---- comparing ---- */

static bool same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static retc_check_result compare(const entry_run *run, const retc_array *before, const retc_array *after,
                                 double tolerance) {
  retc_check_result result = {.entry = run->name, .output = before->name, .holds = true};
  int64_t count = retc_tensor_count(&before->tensor);
  if (retc_tensor_count(&after->tensor) != count) {
    result.difference = INFINITY;
    result.holds = false;
    return result;
  }
  for (int64_t i = 0; i < count; i++) {
    double a = before->tensor.data[i], b = after->tensor.data[i];
    if (isfinite(a) && fabs(a) > result.scale) result.scale = fabs(a);
    if (same(a, b)) continue;
    double difference = isfinite(a) && isfinite(b) ? fabs(a - b) : INFINITY;
    if (difference > result.difference) result.difference = difference;
  }
  result.limit = tolerance * (1 + result.scale);
  result.holds = result.difference <= result.limit;
  return result;
}

static bool is_worse(const retc_check_result *a, const retc_check_result *b) {
  if (!b->output || a->holds != b->holds) return !b->output || !a->holds;
  return a->difference / (1 + a->scale) > b->difference / (1 + b->scale);
}

/* What is rounded to few bits rounds to another number when it differs in its last bit, and the difference is one of
 * few bits then. */
static double rounding_of(const retc_compilation *c) {
  double rounding = 0;
  for (size_t g = 0; g < c->graphs.count; g++) {
    const retc_graph *graph = c->graphs.items[g];
    for (uint32_t i = 1; i < graph->nodes.count; i++) {
      const retc_op op = graph->nodes.items[i].op;
      if (op == RETC_OP_CONTRACT_BF16 && rounding < 0.01) rounding = 0.01;
      if (op == RETC_OP_CONTRACT_INT8 && rounding < 0.03) rounding = 0.03;
    }
  }
  return rounding;
}

static double tolerance_of(const retc_check *check, bool graphs, const retc_pass_info *info) {
  if (info->same_bits) return 0;
  if (graphs) return check->rounding > 0 ? check->rounding : 1e-9;
  if (check->rounding > 0 && check->graphs) return check->rounding;
  return check->graphs ? 1e-4 : 1e-5; /* f64 against f32; f32 against f32 */
}

static retc_status step_entry(retc_check *check, const retc_compilation *c, entry_run *run, double tolerance,
                              retc_diagnostics *diagnostics, retc_check_result *worst) {
  retc_arrays results;
  size_t entry;
  RETC_TRY(retc_entry_find(c, run->name, diagnostics, &entry));
  retc_arrays_init(&results);
  retc_status status = retc_evaluate(c, entry, &run->dims, &run->inputs, diagnostics, &results);
  for (size_t i = 0; i < run->results.list.count && status == RETC_OK; i++) {
    const retc_array *before = &run->results.list.items[i], *after = retc_arrays_find(&results, before->name);
    retc_check_result result = {.entry = run->name, .output = before->name, .difference = INFINITY};
    if (after) result = compare(run, before, after, tolerance);
    if (!is_worse(&result, worst)) continue;
    *worst = result;
    worst->output = retc_arena_strdup(&check->arena, result.output);
  }
  retc_arrays_deinit(&run->results);
  run->results = results;
  return status;
}

retc_status retc_check_step(retc_check *check, const retc_compilation *c, size_t pass, retc_diagnostics *diagnostics,
                            retc_check_result *out_result) {
  bool graphs = !c->plan && c->graphs.count;
  if (c->graphs.count) check->rounding = rounding_of(c);
  double tolerance = tolerance_of(check, graphs, retc_pass_get_info(pass));
  *out_result = (retc_check_result){.holds = true};
  for (size_t i = 0; i < check->count; i++) {
    RETC_TRY(step_entry(check, c, &check->runs[i], tolerance, diagnostics, out_result));
  }
  check->graphs = graphs;
  return RETC_OK;
}
