/* The runner of passes.def: verifies after each pass, times it, tells the observer. */
#include "compiler/compile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/pass.h"
#include "compiler/plan_verify.h"

typedef struct pass_row {
  retc_pass_info info;
  retc_status (*graph)(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph);
  retc_status (*kernel)(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel);
  retc_status (*whole)(const retc_pass_context *cx);
} pass_row;

static const pass_row rows[] = {
#define RETC_GRAPH_PASS(name, function, same_bits, after) {{#name, "graph", same_bits, after}, function, NULL, NULL},
#define RETC_KERNEL_PASS(name, function, same_bits, after) {{#name, "kernel", same_bits, after}, NULL, function, NULL},
#define RETC_WHOLE_PASS(name, function, same_bits, after) {{#name, "program", same_bits, after}, NULL, NULL, function},
#include "compiler/passes.def"
#undef RETC_GRAPH_PASS
#undef RETC_KERNEL_PASS
#undef RETC_WHOLE_PASS
};

size_t retc_pass_count(void) { return sizeof rows / sizeof rows[0]; }

const retc_pass_info *retc_pass_get_info(size_t index) { return &rows[index].info; }

size_t retc_pass_find(const char *name) {
  size_t i = 0;
  while (i < retc_pass_count() && strcmp(rows[i].info.name, name)) i++;
  return i;
}

retc_status retc_import_network(const retc_pass_context *cx) {
  retc_compilation *compilation = cx->compilation;
  retc_graph *graphs[2];
  RETC_TRY(retc_network_build(cx->network, &cx->build, cx->diagnostics, &graphs[0], &graphs[1]));
  for (int i = 0; i < 2; i++) RETC_VEC_PUSH(&compilation->arena, compilation->graphs, graphs[i]);
  return RETC_OK;
}

/* ---- a pass that fails leaves the program as it was ---- */

/* What a pass is given; passes put new graphs and kernels in the place of these, and destroy none. */
typedef struct given {
  retc_arena arena;
  retc_graph **graphs;
  retc_kernel **kernels;
  size_t graph_count, kernel_count;
  retc_plan *plan;
} given;

static void given_init(given *g, const retc_compilation *compilation) {
  *g = (given){.graph_count = compilation->graphs.count, .kernel_count = compilation->kernels.count,
               .plan = compilation->plan};
  retc_arena_init(&g->arena);
  g->graphs = RETC_NEW_ARRAY(&g->arena, retc_graph *, g->graph_count + 1);
  g->kernels = RETC_NEW_ARRAY(&g->arena, retc_kernel *, g->kernel_count + 1);
  for (size_t i = 0; i < g->graph_count; i++) g->graphs[i] = compilation->graphs.items[i];
  for (size_t i = 0; i < g->kernel_count; i++) g->kernels[i] = compilation->kernels.items[i];
}

static retc_status verify_new(const given *g, const retc_compilation *compilation, retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < compilation->graphs.count && !compilation->plan; i++) {
    const retc_graph *graph = compilation->graphs.items[i];
    if (i >= g->graph_count || graph != g->graphs[i]) RETC_TRY(retc_graph_verify(graph, diagnostics));
  }
  for (size_t i = 0; i < compilation->kernels.count; i++) {
    const retc_kernel *kernel = compilation->kernels.items[i];
    if (i >= g->kernel_count || kernel != g->kernels[i]) RETC_TRY(retc_kernel_verify(kernel, diagnostics));
  }
  if (!compilation->plan) return RETC_OK;
  retc_plan_place unused;
  return retc_plan_verify(compilation->plan, (const retc_kernel *const *)compilation->kernels.items,
                          compilation->kernels.count, diagnostics, &unused);
}

retc_status retc_compilation_verify(const retc_compilation *compilation, retc_diagnostics *diagnostics) {
  const given nothing = {.graph_count = 0};
  return verify_new(&nothing, compilation, diagnostics);
}

/* What a pass has left alone was verified when it was made. */
static retc_status verify(const given *g, const retc_compilation *compilation, const pass_row *row,
                          retc_diagnostics *diagnostics) {
  if (verify_new(g, compilation, diagnostics) == RETC_OK) return RETC_OK;
  return retc_fail(diagnostics, RETC_INTERNAL, "the program is wrong after pass %s", row->info.name);
}

/* The pass has done its work: what it replaced goes. */
static void given_release(given *g, const retc_compilation *compilation) {
  for (size_t i = 0; i < g->graph_count; i++) {
    if (compilation->graphs.items[i] != g->graphs[i]) retc_graph_destroy(g->graphs[i]);
  }
  for (size_t i = 0; i < g->kernel_count; i++) {
    if (compilation->kernels.items[i] != g->kernels[i]) retc_kernel_destroy(g->kernels[i]);
  }
  retc_arena_deinit(&g->arena);
}

/* It has failed: what it made goes. */
static void given_restore(given *g, const pass_row *row, retc_compilation *compilation) {
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    retc_graph *before = i < g->graph_count ? g->graphs[i] : NULL, **now = &compilation->graphs.items[i];
    if (*now != before) retc_graph_destroy(*now);
    *now = before;
  }
  compilation->graphs.count = g->graph_count;
  for (size_t i = 0; i < compilation->kernels.count; i++) {
    retc_kernel *before = i < g->kernel_count ? g->kernels[i] : NULL, **now = &compilation->kernels.items[i];
    if (*now != before) retc_kernel_destroy(*now);
    *now = before;
  }
  compilation->kernels.count = g->kernel_count;
  if (compilation->plan != g->plan) retc_plan_destroy(compilation->plan);
  compilation->plan = g->plan;
  if (g->plan && row->whole == retc_plan_memory) retc_plan_clear_slots(g->plan);
  retc_arena_deinit(&g->arena);
}

static retc_status run_graphs(const retc_pass_context *cx, const pass_row *row) {
  for (size_t i = 0; i < cx->compilation->graphs.count; i++) {
    retc_graph *out;
    RETC_TRY(row->graph(cx, cx->compilation->graphs.items[i], &out));
    cx->compilation->graphs.items[i] = out;
  }
  return RETC_OK;
}

static retc_status run_kernels(const retc_pass_context *cx, const pass_row *row) {
  for (size_t i = 0; i < cx->compilation->kernels.count; i++) {
    retc_kernel *out;
    RETC_TRY(row->kernel(cx, cx->compilation->kernels.items[i], &out));
    cx->compilation->kernels.items[i] = out;
  }
  return RETC_OK;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

retc_status retc_compile_report(const retc_compile_options *options, const char *stage,
                                const retc_compilation *compilation, retc_status status,
                                retc_diagnostics *diagnostics) {
  const retc_failure failure = {stage, compilation, options};
  if (status == RETC_INTERNAL && options->failed) options->failed(options->user, &failure, diagnostics);
  return status;
}

bool retc_compilation_is_lowered(const retc_compilation *compilation) {
  return compilation->plan || compilation->kernels.count;
}

/* The program as text, for comparing; only made when somebody observes. */
static void print_if(const retc_compile_options *options, const retc_compilation *compilation, retc_text *text) {
  retc_text_clear(text);
  if (options->observe) retc_compilation_print_body(compilation, text);
}

/* Whether the row can be applied to what the program consists of. */
static retc_status check_level(const retc_pass_context *cx, const pass_row *row) {
  const retc_compilation *compilation = cx->compilation;
  const char *name = row->info.name;
  bool lowered = retc_compilation_is_lowered(compilation);
  bool wants_graphs = row->graph || row->whole == retc_lower,
       wants_kernels = !wants_graphs && row->whole != retc_import_network;
  if (row->whole == retc_import_network && !cx->network) {
    return retc_fail(cx->diagnostics, RETC_INVALID, "pass %s: works on a model description, not on program text", name);
  }
  if (wants_graphs && lowered) {
    return retc_fail(cx->diagnostics, RETC_INVALID, "pass %s: works on graphs, the program consists of kernels", name);
  }
  if (wants_kernels && !lowered) {
    return retc_fail(cx->diagnostics, RETC_INVALID, "pass %s: works on kernels, the program consists of graphs", name);
  }
  if (row->whole == retc_plan_memory && !compilation->plan) {
    return retc_fail(cx->diagnostics, RETC_INVALID, "pass %s: the kernels come without buffers and entries", name);
  }
  return RETC_OK;
}

static retc_status run_row(const retc_pass_context *cx, const pass_row *row) {
  if (row->graph) return run_graphs(cx, row);
  if (row->kernel) return run_kernels(cx, row);
  return row->whole(cx);
}

/* Runs the row and checks what it made. There is no program before import, so that one's own is reported. */
static retc_status run_checked(const retc_pass_context *cx, const pass_row *row, const retc_compile_options *options,
                               double *out_seconds) {
  given before;
  RETC_TRY(check_level(cx, row));
  given_init(&before, cx->compilation);
  double start = now();
  retc_status status = run_row(cx, row);
  *out_seconds = now() - start;
  if (status == RETC_OK) status = verify(&before, cx->compilation, row, cx->diagnostics);
  if (status == RETC_OK) {
    given_release(&before, cx->compilation);
    return RETC_OK;
  }
  bool has_before = row->whole != retc_import_network;
  if (has_before) given_restore(&before, row, cx->compilation);
  else given_release(&before, cx->compilation);
  return retc_compile_report(options, row->info.name, cx->compilation, status, cx->diagnostics);
}

static retc_status run(const retc_pass_context *cx, const size_t *passes, size_t count,
                       const retc_compile_options *options) {
  retc_text before, after;
  retc_text_init(&before);
  retc_text_init(&after);
  retc_status status = RETC_OK;
  print_if(options, cx->compilation, &before);
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    double seconds;
    status = run_checked(cx, &rows[passes[i]], options, &seconds);
    if (status != RETC_OK) break;
    cx->compilation->passes_done = passes[i] + 1;
    cx->compilation->replay = (retc_replay){.pass_count = 0};
    if (!options->observe) continue;
    print_if(options, cx->compilation, &after);
    bool changed = before.length != after.length || (after.length && memcmp(before.data, after.data, after.length));
    options->observe(options->user, passes[i], cx->compilation, changed, seconds);
    retc_text swap = before;
    before = after;
    after = swap;
  }
  retc_text_deinit(&before);
  retc_text_deinit(&after);
  return status;
}

retc_status retc_passes_run(retc_compilation *compilation, const size_t *passes, size_t count,
                            const retc_compile_options *options, retc_diagnostics *diagnostics) {
  compilation->profile = options->profile;
  const retc_pass_context cx = {.diagnostics = diagnostics, .compilation = compilation};
  return run(&cx, passes, count, options);
}

enum { PASSES_MAX = sizeof rows / sizeof rows[0] };

/* The rows from `first` to the one to stop after; what nobody asked for is left out where there is no plan. */
static size_t list_passes(size_t first, const retc_compile_options *options, bool has_plan,
                          size_t passes[PASSES_MAX]) {
  size_t count = 0;
  for (size_t i = first; i < PASSES_MAX; i++) {
    bool last = options->stop_after && !strcmp(options->stop_after, rows[i].info.name);
    if (has_plan || last || rows[i].whole != retc_plan_memory) passes[count++] = i;
    if (last) break;
  }
  return count;
}

retc_status retc_compile_rest(retc_compilation *compilation, const retc_compile_options *options,
                              retc_diagnostics *diagnostics) {
  size_t passes[PASSES_MAX], stop = options->stop_after ? retc_pass_find(options->stop_after) : PASSES_MAX;
  bool has_plan = compilation->plan || !compilation->kernels.count;
  size_t count = stop < compilation->passes_done ? 0 : list_passes(compilation->passes_done, options, has_plan, passes);
  return retc_passes_run(compilation, passes, count, options, diagnostics);
}

/* A chunk's masked scores and keys are private to a thread, its decay constants one row a head: a message is better
 * than an exhausted machine. */
static retc_status check_chunk(const retc_network *network, int64_t chunk, retc_diagnostics *diagnostics) {
  const int64_t most_constants = 1 << 26, most_elements = 1 << 30;
  if (chunk < 1) return RETC_OK;
  if (chunk >= most_constants / network->heads) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "%lld heads and a chunk length of %lld: heads * (chunk length + 1) is expected to be at most %lld",
                     (long long)network->heads, (long long)chunk, (long long)most_constants);
  }
  int64_t width = chunk > network->key_width ? chunk : network->key_width;
  if (chunk <= most_elements / width) return RETC_OK;
  return retc_fail(
      diagnostics, RETC_INVALID,
      "a chunk length of %lld and keys of width %lld: a tile of %lld x %lld elements, expected at most %lld",
      (long long)chunk, (long long)network->key_width, (long long)chunk, (long long)width, (long long)most_elements);
}

retc_status retc_compile(const retc_network *network, const retc_compile_options *options,
                         retc_diagnostics *diagnostics, retc_compilation **out_compilation) {
  int64_t chunk = options->form == RETC_FORM_CHUNKWISE ? network->form_chunk_length : network->chunk_length;
  if (options->chunk_length) chunk = options->chunk_length;
  RETC_TRY(check_chunk(network, chunk, diagnostics));
  retc_compilation *compilation = calloc(1, sizeof *compilation);
  if (!compilation) return retc_fail(diagnostics, RETC_FAILED, "compile: out of memory");
  retc_arena_init(&compilation->arena);
  compilation->profile = options->profile;
  compilation->facts = (retc_program_facts){network->vocabulary_size, chunk, network->bos_token, network->eos_token};
  retc_pass_context cx = {
      diagnostics, network, {options->form, chunk, options->padded, options->profile.has_tiles}, compilation};
  size_t passes[PASSES_MAX];
  retc_status status = run(&cx, passes, list_passes(0, options, true, passes), options);
  if (status != RETC_OK) {
    retc_compilation_destroy(compilation);
    return status;
  }
  *out_compilation = compilation;
  return RETC_OK;
}

void retc_compilation_destroy(retc_compilation *compilation) {
  if (!compilation) return;
  for (size_t i = 0; i < compilation->graphs.count; i++) retc_graph_destroy(compilation->graphs.items[i]);
  for (size_t i = 0; i < compilation->kernels.count; i++) retc_kernel_destroy(compilation->kernels.items[i]);
  retc_plan_destroy(compilation->plan);
  retc_arena_deinit(&compilation->arena);
  free(compilation);
}
