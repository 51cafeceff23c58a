/* The runner of passes.def: verifies after each pass, times it, tells the observer. */
#include "compiler/compile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compiler/pass.h"

typedef struct pass_row {
  retc_pass_info info;
  retc_status (*graph)(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph);
  retc_status (*kernel)(const retc_pass_context *cx, const retc_kernel *in, retc_kernel **out_kernel);
  retc_status (*whole)(const retc_pass_context *cx);
} pass_row;

static const pass_row rows[] = {
#define RETC_GRAPH_PASS(name, function, same_bits, after) {{#name, "graph", after}, function, NULL, NULL},
#define RETC_KERNEL_PASS(name, function, same_bits, after) {{#name, "kernel", after}, NULL, function, NULL},
#define RETC_WHOLE_PASS(name, function, after) {{#name, "program", after}, NULL, NULL, function},
#include "compiler/passes.def"
#undef RETC_GRAPH_PASS
#undef RETC_KERNEL_PASS
#undef RETC_WHOLE_PASS
};

size_t retc_pass_count(void) { return sizeof rows / sizeof rows[0]; }

const retc_pass_info *retc_pass_get_info(size_t index) { return &rows[index].info; }

retc_status retc_import_network(const retc_pass_context *cx) {
  retc_compilation *compilation = cx->compilation;
  retc_graph *graphs[2];
  RETC_TRY(retc_network_build(cx->network, &cx->build, cx->diagnostics, &graphs[0], &graphs[1]));
  for (int i = 0; i < 2; i++) RETC_VEC_PUSH(&compilation->arena, compilation->graphs, graphs[i]);
  return RETC_OK;
}

static retc_status verify(const retc_compilation *compilation, const pass_row *row, retc_diagnostics *diagnostics) {
  retc_status status = RETC_OK;
  for (size_t i = 0; i < compilation->graphs.count && !compilation->plan && status == RETC_OK; i++) {
    status = retc_graph_verify(compilation->graphs.items[i], diagnostics);
  }
  for (size_t i = 0; i < compilation->kernels.count && status == RETC_OK; i++) {
    status = retc_kernel_verify(compilation->kernels.items[i], diagnostics);
  }
  if (status == RETC_OK) return RETC_OK;
  return retc_fail(diagnostics, RETC_INTERNAL, "the program is wrong after pass %s", row->info.name);
}

static retc_status run_graphs(const retc_pass_context *cx, const pass_row *row) {
  for (size_t i = 0; i < cx->compilation->graphs.count; i++) {
    retc_graph *out;
    RETC_TRY(row->graph(cx, cx->compilation->graphs.items[i], &out));
    retc_graph_destroy(cx->compilation->graphs.items[i]);
    cx->compilation->graphs.items[i] = out;
  }
  return RETC_OK;
}

static retc_status run_kernels(const retc_pass_context *cx, const pass_row *row) {
  for (size_t i = 0; i < cx->compilation->kernels.count; i++) {
    retc_kernel *out;
    RETC_TRY(row->kernel(cx, cx->compilation->kernels.items[i], &out));
    retc_kernel_destroy(cx->compilation->kernels.items[i]);
    cx->compilation->kernels.items[i] = out;
  }
  return RETC_OK;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The program as text, for comparing; only made when somebody observes. */
static void print_if(const retc_compile_options *options, const retc_compilation *compilation, retc_text *text) {
  retc_text_clear(text);
  if (options->observe) retc_compilation_print(compilation, text);
}

static retc_status run(const retc_pass_context *cx, const retc_compile_options *options) {
  retc_text before, after;
  retc_text_init(&before);
  retc_text_init(&after);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < retc_pass_count() && status == RETC_OK; i++) {
    double start = now();
    if (rows[i].graph) status = run_graphs(cx, &rows[i]);
    else if (rows[i].kernel) status = run_kernels(cx, &rows[i]);
    else status = rows[i].whole(cx);
    double seconds = now() - start;
    if (status == RETC_OK) status = verify(cx->compilation, &rows[i], cx->diagnostics);
    if (status == RETC_OK && options->observe) {
      print_if(options, cx->compilation, &after);
      bool changed = before.length != after.length || (after.length && memcmp(before.data, after.data, after.length));
      options->observe(options->user, i, cx->compilation, changed, seconds);
      retc_text swap = before;
      before = after;
      after = swap;
    }
    if (options->stop_after && !strcmp(options->stop_after, rows[i].info.name)) break;
  }
  retc_text_deinit(&before);
  retc_text_deinit(&after);
  return status;
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
  return retc_fail(diagnostics, RETC_INVALID,
                   "a chunk length of %lld and keys of width %lld: a tile of %lld x %lld elements, expected at most %lld",
                   (long long)chunk, (long long)network->key_width, (long long)chunk, (long long)width,
                   (long long)most_elements);
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
  retc_pass_context cx = {diagnostics, network, {options->form, chunk, options->padded}, compilation};
  retc_status status = run(&cx, options);
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

/* Which kernel runs where, as comments, then the kernels. */
static void print_kernels(const retc_compilation *compilation, retc_text *out_text) {
  const retc_plan *plan = compilation->plan;
  for (size_t e = 0; e < plan->entries.count; e++) {
    const retc_plan_entry *entry = &plan->entries.items[e];
    retc_text_printf(out_text, "# entry %s\n", entry->name);
    for (size_t s = 0; s < entry->steps.count; s++) {
      const retc_plan_step *step = &entry->steps.items[s];
      const retc_plan_kernel *kernel = &plan->kernels.items[step->kernel];
      retc_text_printf(out_text, "#   %s(", kernel->name);
      for (int b = 0; b < kernel->buffer_count; b++) {
        const retc_plan_buffer *buffer = &plan->buffers.items[step->buffers[b]];
        retc_text_printf(out_text, "%s%s", b ? ", " : "", buffer->name);
        if (buffer->slot >= 0) retc_text_printf(out_text, " in slot %d", buffer->slot);
      }
      retc_text_add(out_text, ")\n");
    }
  }
  for (size_t i = 0; i < compilation->kernels.count; i++) {
    retc_text_add(out_text, "\n");
    retc_kernel_print(compilation->kernels.items[i], out_text);
  }
}

void retc_compilation_print(const retc_compilation *compilation, retc_text *out_text) {
  if (compilation->plan) {
    print_kernels(compilation, out_text);
    return;
  }
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    if (i) retc_text_add(out_text, "\n");
    retc_graph_print(compilation->graphs.items[i], out_text);
  }
}
