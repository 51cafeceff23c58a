/* Random graphs of all operations: every pass keeps what they compute, the text of every stage is the program, the
 * interpreted kernels are near the interpreted graph, and compiled kernels give the interpreter's bits, with any number
 * of threads. What may differ is bounded by what the generator knows of each value (graph_random.h). By hand:
 * test_graph_random [COUNT [SEED]]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/llvm/llvm_backend.h"
#include "compiler/driver/callable.h"
#include "compiler/evaluate.h"
#include "tests/unit/graph_random.h"
#include "tests/unit/graph_random_grid.h"
#include "tests/unit/graph_random_ops.h"

static int graph_count = 40;
static uint64_t first_seed = 1;
static retc_target_profile profile;

/* ---- making ---- */

static void choose_dims(generator *g) {
  static const int64_t chunks[] = {1, 2, 3, 4, 8};
  int64_t *d = g->dims.value;
  g->chunk = chunks[pick(g, 5)];
  d[RETC_DIM_B] = 1 + pick(g, 3);
  d[RETC_DIM_T] = 1 + pick(g, pick(g, 2) ? 4 : 9);
  d[RETC_DIM_L] = 1 + pick(g, (int)d[RETC_DIM_T]);
  d[RETC_DIM_P] = pick(g, 20);
  d[RETC_DIM_E] = RETC_NO_END;
  d[RETC_DIM_N] = retc_chunk_count(d[RETC_DIM_P], d[RETC_DIM_T], g->chunk);
}

/* Half of what a graph is made of is pointwise and products, as in any program. */
static void make_step(generator *g) {
  switch (pick(g, 32)) {
    case 0: random_input(g); break;
    case 1:
    case 2:
    case 3: make_unary(g); break;
    case 4:
    case 5:
    case 6:
    case 7: make_binary(g); break;
    case 8: make_truth(g); break;
    case 9: make_select(g); break;
    case 10: make_cast(g); break;
    case 11: make_positive(g); break;
    case 12:
    case 13: make_reshape(g); break;
    case 14:
    case 15: make_view(g); break;
    case 16: make_concat(g); break;
    case 17: make_gather(g); break;
    case 18:
    case 19:
    case 20:
    case 21: make_contract(g); break;
    case 22:
    case 23: make_reduction(g); break;
    case 24: make_norm(g); break;
    case 25: make_grid(g); break;
    case 26: make_unchunk(g); break;
    case 27: make_decay(g); break;
    case 28: make_scan(g); break;
    case 29: make_rotate(g); break;
    case 30: pick(g, 2) ? make_positions(g) : make_flush(g); break;
    default: make_retention(g); break;
  }
}

/* The last values, and some of those before: what nobody needs is no part of the program. */
static void choose_outputs(generator *g) {
  for (int i = g->count; i-- > 0 && g->output_count < OUTPUTS_MAX;) {
    const known *k = &g->values[i];
    const bool leaf = retc_op_get_info(retc_graph_node(g->b.graph, k->value)->op)->traits & RETC_TRAIT_LEAF;
    if (!leaf && (g->output_count < 3 || pick(g, 3) == 0)) add_output(g, "out", k->value, k->error, false);
  }
}

static void generator_init(generator *g, uint64_t seed) {
  *g = (generator){.chance = seed};
  retc_diagnostics_init(&g->diagnostics);
  g->b = (retc_builder){.graph = retc_graph_create("f"), .diagnostics = &g->diagnostics};
  choose_dims(g);
  for (int i = 1 + pick(g, 3); i > 0; i--) random_input(g);
  for (int i = 10 + pick(g, 30); i > 0 && g->count < VALUES_MAX - 16; i--) make_step(g);
  choose_outputs(g);
}

static void generator_deinit(generator *g) {
  retc_graph_destroy(g->b.graph);
  retc_diagnostics_deinit(&g->diagnostics);
}

/* ---- one program ---- */

typedef struct subject {
  const generator *g;
  uint64_t seed;
  retc_text text;
  retc_diagnostics diagnostics;
  retc_compilation *compilation;
  retc_arrays inputs, graph, last; /* `last`: what the program gave before the pass at hand */
} subject;

static void explain(const subject *s, const char *words) {
  print_error("%s", s->text.data);
  fail_msg("seed %llu (B=%lld T=%lld L=%lld P=%lld): %s: %s", (unsigned long long)s->seed,
           (long long)s->g->dims.value[RETC_DIM_B], (long long)s->g->dims.value[RETC_DIM_T],
           (long long)s->g->dims.value[RETC_DIM_L], (long long)s->g->dims.value[RETC_DIM_P], words,
           retc_diagnostics_text(&s->diagnostics));
}

static void expect_ok(subject *s, retc_status status, const char *words) {
  if (status != RETC_OK) explain(s, words);
}

static void fill(subject *s, const retc_entry_input *input, uint64_t *chance) {
  retc_tensor tensor;
  int64_t rows = 0;
  expect_ok(s, retc_tensor_init(&tensor, &input->type.shape, &s->g->dims, &s->diagnostics), "inputs");
  sscanf(input->name, "ids_%lld", (long long *)&rows);
  for (int64_t i = 0; i < retc_tensor_count(&tensor); i++) {
    const int64_t r = (int64_t)(next_random(chance) >> 16);
    double value = (double)(r % 33 - 16) / 8;
    if (!retc_dtype_is_float(input->type.dtype)) value = (double)(r % 8);
    if (input->type.dtype == RETC_DTYPE_BOOL) value = (double)(r % 2);
    if (rows) value = (double)(r % rows);
    if (!strncmp(input->name, "decay", 5)) value = -(double)(1 + r % 4) / 8;
    tensor.data[i] = value;
  }
  retc_arrays_add(&s->inputs, input->name, input->type.dtype, tensor);
}

static void subject_init(subject *s, const generator *g, uint64_t seed) {
  uint64_t chance = seed;
  *s = (subject){.g = g, .seed = seed};
  retc_text_init(&s->text);
  retc_diagnostics_init(&s->diagnostics);
  retc_arrays_init(&s->inputs);
  retc_arrays_init(&s->graph);
  retc_arrays_init(&s->last);
  retc_text_printf(&s->text, "program chunk=%lld\n", (long long)g->chunk);
  retc_graph_print(g->b.graph, &s->text);
  expect_ok(s, retc_compilation_parse(s->text.data, s->text.length, "random", &s->diagnostics, &s->compilation),
            "parse");
  retc_entry_inputs inputs = retc_entry_get_inputs(s->compilation, 0, &s->inputs.arena);
  for (size_t i = 0; i < inputs.list.count; i++) fill(s, &inputs.list.items[i], &chance);
  expect_ok(s, retc_evaluate(s->compilation, 0, &g->dims, &s->inputs, &s->diagnostics, &s->graph), "graph");
}

static void subject_deinit(subject *s) {
  retc_text_deinit(&s->text);
  retc_diagnostics_deinit(&s->diagnostics);
  retc_arrays_deinit(&s->inputs);
  retc_arrays_deinit(&s->graph);
  retc_arrays_deinit(&s->last);
  retc_compilation_destroy(s->compilation);
}

/* ---- comparing ---- */

/* Rows of the unfinished chunk that are there; axis 1 is the chunk's. */
static bool is_absent(const subject *s, const retc_tensor *tensor, int64_t element) {
  const int64_t *d = s->g->dims.value;
  const int64_t there = (d[RETC_DIM_P] + d[RETC_DIM_T]) % s->g->chunk;
  return element / (tensor->dim[2] * tensor->dim[3]) % tensor->dim[1] >= there;
}

static void compare(const subject *s, const retc_arrays *expected, const retc_arrays *found, bool bits,
                    const char *what) {
  for (int i = 0; i < s->g->output_count; i++) {
    const expected_output *output = &s->g->outputs[i];
    const retc_array *a = retc_arrays_find(expected, output->name), *b = retc_arrays_find(found, output->name);
    if (!a || !b || retc_tensor_count(&a->tensor) != retc_tensor_count(&b->tensor))
      explain(s, "an output is not there");
    for (int64_t n = 0; a && b && n < retc_tensor_count(&a->tensor); n++) {
      const double x = a->tensor.data[n], y = b->tensor.data[n];
      if (output->ragged && is_absent(s, &a->tensor, n)) continue;
      if (x == y || (isnan(x) && isnan(y)) || (!bits && fabs(x - y) <= 1.5 * output->error + 1e-9)) continue;
      char words[256];
      snprintf(words, sizeof words, "%s: element %lld of %s is %.9g, expected %.9g, limit %.3g", what, (long long)n,
               output->name, y, x, bits ? 0 : output->error);
      explain(s, words);
    }
  }
}

/* ---- passes and interpreters ---- */

static void move_arrays(retc_arrays *to, retc_arrays *from) {
  retc_arrays_deinit(to);
  *to = *from;
  retc_arrays_init(from);
}

/* Its text is read back as the same program. */
static void check_text(subject *s, const char *pass) {
  retc_text first, second;
  retc_compilation *again = NULL;
  retc_text_init(&first);
  retc_text_init(&second);
  retc_compilation_print(s->compilation, &first);
  expect_ok(s, retc_compilation_parse(first.data, first.length, pass, &s->diagnostics, &again), "its text is not read");
  retc_compilation_print(again, &second);
  if (first.length != second.length || memcmp(first.data, second.data, first.length))
    explain(s, "its text is read as another");
  retc_compilation_destroy(again);
  retc_text_deinit(&first);
  retc_text_deinit(&second);
}

static void check_passes(subject *s) {
  const retc_compile_options options = {.profile = profile};
  bool lowered = false;
  for (size_t pass = 1; pass < retc_pass_count(); pass++) {
    const retc_pass_info *info = retc_pass_get_info(pass);
    retc_arrays results;
    retc_arrays_init(&results);
    expect_ok(s, retc_passes_run(s->compilation, &pass, 1, &options, &s->diagnostics), info->name);
    expect_ok(s, retc_evaluate(s->compilation, 0, &s->g->dims, &s->inputs, &s->diagnostics, &results), info->name);
    const bool first = pass == 1 || (retc_compilation_is_lowered(s->compilation) && !lowered);
    if (!first && info->same_bits) compare(s, &s->last, &results, true, info->name);
    compare(s, &s->graph, &results, false, info->name);
    check_text(s, info->name);
    lowered = retc_compilation_is_lowered(s->compilation);
    move_arrays(&s->last, &results);
  }
}

/* ---- compiled ---- */

static retc_checkpoint *write_weights(subject *s, char *path) {
  retc_checkpoint *file;
  int descriptor = mkstemp(path);
  assert_true(descriptor >= 0);
  close(descriptor);
  expect_ok(s, retc_arrays_write(&s->inputs, path, &s->diagnostics), "weights");
  expect_ok(s, retc_checkpoint_open_file(path, &s->diagnostics, &file), "weights");
  unlink(path);
  return file;
}

/* One call on memory of its own. */
static void call(subject *s, retc_program *program, const retc_entry_inputs *inputs, retc_arrays *out_results) {
  retc_arena arena;
  retc_run *run;
  retc_arena_init(&arena);
  retc_run_input *given = RETC_NEW_ARRAY(&arena, retc_run_input, inputs->list.count + 1);
  size_t count = 0;
  for (size_t i = 0; i < inputs->list.count; i++) {
    const retc_entry_input *input = &inputs->list.items[i];
    const retc_tensor *tensor = &retc_arrays_find(&s->inputs, input->name)->tensor;
    if (!strcmp(input->kind, "weight")) continue;
    size_t elements_given = (size_t)retc_tensor_count(tensor);
    void *data = retc_arena_alloc(&arena, elements_given * retc_dtype_size(input->type.dtype) + 1);
    retc_dtype_convert(RETC_DTYPE_F64, tensor->data, input->type.dtype, data, elements_given);
    given[count] = (retc_run_input){
        .name = input->name, .dtype = input->type.dtype, .shape = {.rank = tensor->rank}, .data = data};
    memcpy(given[count++].shape.dim, tensor->dim, sizeof tensor->dim);
  }
  expect_ok(s, retc_run_create_for(program, &s->g->dims, &s->diagnostics, &run), "run");
  expect_ok(s, retc_run_call(run, "f", &s->g->dims, given, count, &s->diagnostics), "call");
  for (int i = 0; i < s->g->output_count; i++) {
    const char *name = s->g->outputs[i].name;
    retc_dtype dtype;
    retc_shape shape;
    retc_tensor tensor;
    const void *data = retc_run_find_output(run, name, &dtype, &shape);
    if (!data) explain(s, "an output is not there after the call");
    expect_ok(s, retc_tensor_init(&tensor, &shape, &s->g->dims, &s->diagnostics), "results");
    retc_dtype_convert(dtype, data, RETC_DTYPE_F64, tensor.data, (size_t)retc_tensor_count(&tensor));
    retc_arrays_add(out_results, name, dtype, tensor);
  }
  retc_run_destroy(run);
  retc_arena_deinit(&arena);
}

static void check_compiled(subject *s) {
  char path[] = "/tmp/retc_graph_XXXXXX";
  retc_checkpoint *file = write_weights(s, path);
  retc_arena arena;
  retc_arena_init(&arena);
  const retc_entry_inputs inputs = retc_entry_get_inputs(s->compilation, 0, &arena);
  const retc_callable_options options = {.threads = 1};
  retc_callable callable;
  expect_ok(s, retc_callable_init(&callable, s->compilation, file, &options, &s->diagnostics), "code");
  for (int threads = 1; threads <= 3; threads += 2) {
    retc_team *team;
    retc_program *program;
    retc_arrays results;
    retc_arrays_init(&results);
    expect_ok(s, retc_team_create(threads, &s->diagnostics, &team), "threads");
    expect_ok(s,
              retc_program_create(s->compilation->plan, &callable.weights, callable.executable, team, &s->diagnostics,
                                  &program),
              "program");
    call(s, program, &inputs, &results);
    compare(s, &s->last, &results, true, threads == 1 ? "compiled" : "compiled, three threads");
    retc_arrays_deinit(&results);
    retc_program_destroy(program);
    retc_team_destroy(team);
  }
  retc_callable_deinit(&callable);
  retc_arena_deinit(&arena);
  retc_checkpoint_destroy(file);
}

static int seen[RETC_OP_COUNT];

static void check_graph(uint64_t seed) {
  generator g;
  generator_init(&g, seed);
  if (g.b.status != RETC_OK) fail_msg("seed %llu: %s", (unsigned long long)seed, retc_diagnostics_text(&g.diagnostics));
  for (size_t i = 1; i < g.b.graph->nodes.count; i++) seen[g.b.graph->nodes.items[i].op]++;
  if (g.output_count) {
    subject s;
    subject_init(&s, &g, seed);
    check_passes(&s);
    check_compiled(&s);
    subject_deinit(&s);
  }
  generator_deinit(&g);
}

static void test_random(void **state) {
  (void)state;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  const retc_llvm_options llvm = {.cpu = NULL};
  assert_int_equal(retc_llvm_profile(&llvm, &diagnostics, &profile), RETC_OK);
  for (int i = 0; i < graph_count; i++) check_graph(first_seed + (uint64_t)i);
  retc_diagnostics_deinit(&diagnostics);
}

/* What is never made is never compared. */
static void test_all_operations(void **state) {
  (void)state;
  for (uint64_t seed = first_seed; seed < first_seed + 600; seed++) {
    generator g;
    generator_init(&g, seed);
    for (size_t i = 1; i < g.b.graph->nodes.count; i++) seen[g.b.graph->nodes.items[i].op]++;
    generator_deinit(&g);
  }
  for (int op = 0; op < RETC_OP_COUNT; op++) {
    /* Their weights are integers, or they round to few bits, so that engines are only near each other:
     * tests/arithmetic.sh. */
    if (op == RETC_OP_CONTRACT_BF16 || op == RETC_OP_CONTRACT_INT8 || op == RETC_OP_CONTRACT_SCALED) continue;
    if (!seen[op]) fail_msg("no graph has an operation %s", retc_op_get_info((retc_op)op)->name);
  }
}

int main(int count, char **words) {
  if (count > 1) graph_count = atoi(words[1]);
  if (count > 2) first_seed = strtoull(words[2], NULL, 10);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_all_operations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
