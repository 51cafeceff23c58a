#include <math.h>

#include "compiler/main/reproducer.h"
#include "compiler/main/verify.h"

/* Kernels compute in float32, whose rounding leaves relative errors of 1e-7 to 1e-6 in the logits of networks
 * of two to two dozen layers; goldens are kept to 1e-5. Twice that leaves room for unlucky random tokens, and a wrong
 * power of a decay is still a thousand times larger. */
static const double ENGINE_LIMIT = 2e-5;
/* With products of rows that are rounded to 8 or to 7 bits: a number whose last bit differs may round to another one,
 * which then differs by that much. */
static const double BF16_LIMIT = 1e-2, INT8_LIMIT = 3e-2;
/* With matrix instructions of a GPU, which the graph does not know of: all operands of products are rounded. How one sums
 * its few products is the hardware's affair, which the interpreter is within this much of. */
static const double MATRIX_LIMIT = 2e-2, MATRIX_SUM_LIMIT = 1e-5;
/* The interpreter rounds to 53 bits; sums in another order, amplified by norms of small heads, stay far below this. */
static const double FORM_LIMIT = 1e-9;
/* Small enough to change no mean square, large enough for 0 / sqrt(eps) to be 0. */
static const double NO_EPS = 1e-100;

typedef struct variant {
  retc_form form;
  int64_t chunk; /* 0: the model's; AS_LONG, LONGER: than the tokens */
} variant;

enum { AS_LONG = -1, LONGER = -2 };
static const variant variants[] = {
    {RETC_FORM_PARALLEL, AS_LONG}, {RETC_FORM_RECURRENT, 1},  {RETC_FORM_CHUNKWISE, 1},      {RETC_FORM_CHUNKWISE, 3},
    {RETC_FORM_CHUNKWISE, 16},     {RETC_FORM_CHUNKWISE, 64}, {RETC_FORM_CHUNKWISE, LONGER}, {RETC_FORM_SESSION, 0},
};
enum { VARIANT_COUNT = sizeof variants / sizeof variants[0] };

/* How far one variant is from the parallel form, both interpreted. */
typedef struct distance {
  double logits, state;           /* with the network's eps */
  double bare_logits, bare_state; /* without eps in the head norm */
} distance;

/* One input's results of the form that the others are compared with, and their distances from it. */
typedef struct comparison {
  retc_verify_result parallel, bare_parallel;
  distance apart[VARIANT_COUNT];
} comparison;

enum { INPUT_MAX = RETC_VERIFY_GROUP_MAX + 1 };

typedef struct forms {
  retc_verify *verify;
  const retc_verify_group *group;
  retc_diagnostics *diagnostics;
  /* Those of the group and, of a large model, a short one; the kernel interpreter sees those from kernel_first on. */
  retc_verify_input inputs[INPUT_MAX];
  size_t input_count, kernel_first;
  bool scaled;      /* forms differ by factors that the head norm removes up to eps */
  retc_source bare; /* the source without that eps, when scaled */
  comparison comparisons[RETC_VERIFY_GROUP_MAX];
} forms;

/* Upstream's chunkwise form has no padding. */
static bool applies(const forms *f, const variant *which) {
  return !f->group->inputs[0].padding || which->form != RETC_FORM_CHUNKWISE;
}

static int64_t chunk_of(const forms *f, const variant *which) {
  if (which->chunk > 0) return which->chunk;
  if (which->chunk == 0) return f->verify->source->network.chunk_length;
  int64_t longest = 0;
  for (size_t i = 0; i < f->group->count; i++) {
    if (f->group->inputs[i].length > longest) longest = f->group->inputs[i].length;
  }
  return which->chunk == AS_LONG ? longest : longest + 5;
}

/* Relative, in the 2-norm. What one of them has once for all rows of the batch, as upstream's forms may have it, is
 * compared with each row. */
static double distance_of(const retc_verify_array *found, const retc_verify_array *expected) {
  double difference = 0, size = 0;
  int64_t rows = found->rows > expected->rows ? found->rows : expected->rows, count = expected->count;
  if (found->count != count || rows % found->rows || rows % expected->rows) return NAN;
  for (int64_t row = 0; row < rows; row++) {
    const double *f = found->data + row % found->rows * count, *e = expected->data + row % expected->rows * count;
    for (int64_t i = 0; i < count; i++) {
      difference += (f[i] - e[i]) * (f[i] - e[i]);
      size += e[i] * e[i];
    }
  }
  return difference == 0 ? 0 : sqrt(difference / size);
}

/* The largest distance of a state. */
static double state_distance(const retc_verify_result *found, const retc_verify_result *expected) {
  double worst = 0;
  if (found->count != expected->count) return NAN;
  for (size_t i = 1; i < expected->count; i++) {
    double d = distance_of(&found->arrays[i], &expected->arrays[i]);
    if (!(d <= worst)) worst = d;
    if (isnan(worst)) break;
  }
  return worst;
}

static void release(retc_verify_result results[INPUT_MAX]) {
  for (size_t i = 0; i < INPUT_MAX; i++) retc_verify_result_deinit(&results[i]);
}

/* Runs the inputs from `first` on, before `end`, on one engine. */
static retc_status evaluate(const forms *f, const retc_source *source, const variant *which, retc_engine_kind kind,
                            size_t first, size_t end, retc_verify_result out_results[INPUT_MAX]) {
  const retc_engine_options options = {.kind = kind,
                                       .form = which->form,
                                       .padded = f->inputs[0].padding != NULL,
                                       .chunk_length = chunk_of(f, which),
                                       .threads = 2,
                                       .cpu = f->verify->cpu,
                                       .gpu = f->verify->gpu,
                                       .math = f->verify->math,
                                       .archs = f->verify->archs,
                                       .failed = retc_reproducer_write};
  retc_engine *engine;
  RETC_TRY(retc_engine_create(source, &options, f->diagnostics, &engine));
  retc_status status = RETC_OK;
  for (size_t i = first; i < end && status == RETC_OK; i++) {
    status = retc_verify_run(engine, &f->inputs[i], NULL, 0, f->diagnostics, &out_results[i]);
  }
  retc_engine_destroy(engine);
  if (status != RETC_OK) release(out_results);
  return status;
}

static double limit_of(const forms *f, double exact) {
  switch (f->verify->source->network.arithmetic.math) {
    case RETC_PRODUCT_BF16: return BF16_LIMIT;
    case RETC_PRODUCT_INT8: return INT8_LIMIT;
    default: return exact;
  }
}

static bool is_matrix(const forms *f) { return f->verify->math != RETC_MATH_F32; }
static double engine_limit(const forms *f) { return is_matrix(f) ? MATRIX_LIMIT : limit_of(f, ENGINE_LIMIT); }

static retc_status add(const forms *f, size_t input, const variant *which, retc_engine_kind engine, const char *what,
                       double value, double limit) {
  const char *name = f->inputs[input].name;
  const retc_verify_check check = {what, name, which->form, chunk_of(f, which), engine, value, limit};
  return retc_verify_add(f->verify, &check, f->diagnostics);
}

static retc_status compare_with_graph(const forms *f, const variant *which, size_t input, retc_engine_kind engine,
                                      const retc_verify_result *found, const retc_verify_result *exact) {
  double logits = distance_of(&found->arrays[0], &exact->arrays[0]), state = state_distance(found, exact);
  RETC_TRY(add(f, input, which, engine, "logits, from the graph engine", logits, engine_limit(f)));
  return add(f, input, which, engine, "states, from the graph engine", state, engine_limit(f));
}

/* The bits, where the arithmetic is said to the last one. */
static retc_status compare_with_jit(const forms *f, const variant *which, size_t input, const retc_verify_result *found,
                                    const retc_verify_result *compiled) {
  if (!is_matrix(f)) {
    double differences = (double)retc_verify_count_differences(found, compiled, 0);
    return add(f, input, which, RETC_ENGINE_KERNEL, "different bits, from the jit engine", differences, 0);
  }
  double logits = distance_of(&found->arrays[0], &compiled->arrays[0]), state = state_distance(found, compiled);
  RETC_TRY(add(f, input, which, RETC_ENGINE_KERNEL, "logits, from the jit engine", logits, MATRIX_SUM_LIMIT));
  return add(f, input, which, RETC_ENGINE_KERNEL, "states, from the jit engine", state, MATRIX_SUM_LIMIT);
}

static retc_status compare_kernels(const forms *f, const variant *which, const retc_verify_result *compiled,
                                   const retc_verify_result *exact) {
  retc_verify_result interpreted[INPUT_MAX] = {{0}};
  RETC_TRY(evaluate(f, f->verify->source, which, RETC_ENGINE_KERNEL, f->kernel_first, f->input_count, interpreted));
  retc_status status = RETC_OK;
  for (size_t i = f->kernel_first; i < f->input_count && status == RETC_OK; i++) {
    status = compare_with_jit(f, which, i, &interpreted[i], &compiled[i]);
    if (status == RETC_OK) status = compare_with_graph(f, which, i, RETC_ENGINE_KERNEL, &interpreted[i], &exact[i]);
  }
  release(interpreted);
  return status;
}

static retc_status compare_engines(const forms *f, const variant *which, const retc_verify_result *exact) {
  retc_verify_result compiled[INPUT_MAX] = {{0}};
  RETC_TRY(evaluate(f, f->verify->source, which, RETC_ENGINE_JIT, 0, f->input_count, compiled));
  retc_status status = RETC_OK;
  for (size_t i = 0; i < f->group->count && status == RETC_OK; i++) {
    status = compare_with_graph(f, which, i, RETC_ENGINE_JIT, &compiled[i], &exact[i]);
  }
  if (status == RETC_OK) status = compare_kernels(f, which, compiled, exact);
  release(compiled);
  return status;
}

/* Keeps `result` when it is the parallel form's, else measures its distance from that. */
static void measure(size_t index, retc_verify_result *result, retc_verify_result *parallel, double *out_logits,
                    double *out_state) {
  if (index == 0) {
    *parallel = *result;
    *result = (retc_verify_result){0};
    return;
  }
  *out_logits = distance_of(&result->arrays[0], &parallel->arrays[0]);
  *out_state = state_distance(result, parallel);
}

static retc_status evaluate_variant(forms *f, size_t index) {
  const variant *which = &variants[index];
  retc_verify_result exact[INPUT_MAX] = {{0}};
  RETC_TRY(evaluate(f, f->verify->source, which, RETC_ENGINE_GRAPH, 0, f->input_count, exact));
  retc_status status = compare_engines(f, which, exact);
  for (size_t i = 0; i < f->group->count; i++) {
    comparison *c = &f->comparisons[i];
    measure(index, &exact[i], &c->parallel, &c->apart[index].logits, &c->apart[index].state);
  }
  release(exact);
  if (status != RETC_OK || !f->scaled) return status;
  RETC_TRY(evaluate(f, &f->bare, which, RETC_ENGINE_GRAPH, 0, f->group->count, exact));
  for (size_t i = 0; i < f->group->count; i++) {
    comparison *c = &f->comparisons[i];
    measure(index, &exact[i], &c->bare_parallel, &c->apart[index].bare_logits, &c->apart[index].bare_state);
  }
  release(exact);
  return RETC_OK;
}

/* When all differ from the parallel form, it is that one which is wrong. */
static retc_status judge_parallel(const forms *f, size_t input, bool *out_wrong) {
  double nearest = INFINITY;
  for (size_t i = 1; i < VARIANT_COUNT; i++) {
    if (!applies(f, &variants[i])) continue;
    const distance *apart = &f->comparisons[input].apart[i];
    double value = f->scaled ? apart->bare_logits : apart->logits;
    if (value < nearest) nearest = value;
  }
  *out_wrong = nearest > limit_of(f, FORM_LIMIT);
  if (!*out_wrong) return RETC_OK;
  return add(f, input, &variants[0], RETC_ENGINE_GRAPH, "logits, from the nearest other form", nearest,
             limit_of(f, FORM_LIMIT));
}

static retc_status compare_variant(const forms *f, size_t input, size_t index, double limit) {
  const variant *which = &variants[index];
  const distance *apart = &f->comparisons[input].apart[index];
  if (!f->scaled) {
    RETC_TRY(add(f, input, which, RETC_ENGINE_GRAPH, "logits, from the parallel form", apart->logits, limit));
    return add(f, input, which, RETC_ENGINE_GRAPH, "states, from the parallel form", apart->state, limit);
  }
  double eps = f->verify->source->network.layer[0].head_norm.eps;
  const char *with_eps = retc_arena_printf(&f->verify->arena, "logits, from the parallel form, with eps %g", eps);
  RETC_TRY(add(f, input, which, RETC_ENGINE_GRAPH, with_eps, apart->logits, INFINITY));
  RETC_TRY(add(f, input, which, RETC_ENGINE_GRAPH, "logits, from the parallel form, with eps 0", apart->bare_logits,
               limit));
  /* The chunkwise form's state is scaled in another way. */
  if (which->form == RETC_FORM_CHUNKWISE) return RETC_OK;
  return add(f, input, which, RETC_ENGINE_GRAPH, "states, from the parallel form, with eps 0", apart->bare_state,
             limit);
}

static retc_status compare_forms(const forms *f, size_t input) {
  bool parallel_wrong;
  RETC_TRY(judge_parallel(f, input, &parallel_wrong));
  for (size_t i = 1; i < VARIANT_COUNT; i++) {
    if (!applies(f, &variants[i])) continue;
    RETC_TRY(compare_variant(f, input, i, parallel_wrong ? INFINITY : limit_of(f, FORM_LIMIT)));
  }
  return RETC_OK;
}

/* A copy of the source whose head norms have no eps. */
static void make_bare(forms *f) {
  const retc_network *network = &f->verify->source->network;
  retc_network_layer *layers = RETC_NEW_ARRAY(&f->verify->arena, retc_network_layer, network->layers);
  for (int64_t i = 0; i < network->layers; i++) {
    layers[i] = network->layer[i];
    layers[i].head_norm.eps = NO_EPS;
  }
  f->bare = *f->verify->source;
  f->bare.network.layer = layers;
}

retc_status retc_verify_forms(retc_verify *verify, const retc_verify_group *group, retc_diagnostics *diagnostics) {
  forms f = {.verify = verify, .group = group, .diagnostics = diagnostics, .input_count = group->count};
  for (size_t i = 0; i < group->count; i++) f.inputs[i] = group->inputs[i];
  if (verify->large) {
    f.kernel_first = f.input_count;
    f.inputs[f.input_count++] = retc_verify_shorten(&group->inputs[0]);
  }
  f.scaled = verify->source->network.normaliser != RETC_NORMALISER_PLAIN;
  if (f.scaled) make_bare(&f);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < VARIANT_COUNT && status == RETC_OK; i++) {
    if (applies(&f, &variants[i])) status = evaluate_variant(&f, i);
  }
  for (size_t i = 0; i < group->count && status == RETC_OK; i++) status = compare_forms(&f, i);
  for (size_t i = 0; i < group->count; i++) {
    retc_verify_result_deinit(&f.comparisons[i].parallel);
    retc_verify_result_deinit(&f.comparisons[i].bare_parallel);
  }
  return status;
}
