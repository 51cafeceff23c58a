#include <string.h>

#include "compiler/cost.h"
#include "compiler/main/html/html.h"

/* The calls that costs and sizes are given for. */
static const struct {
  const char *name;
  int64_t batch, tokens, position;
} calls[] = {{"decode", 1, 1, 1000}, {"prefill", 1, 512, 0}};
enum { CALL_COUNT = sizeof calls / sizeof calls[0] };

typedef struct writer {
  const retc_compilation *compilation;
  const retc_plan *plan;
  retc_html_strings *strings;
  retc_text *text;
} writer;

static size_t intern(const writer *w, const char *text) {
  return retc_html_strings_add(w->strings, text, strlen(text));
}

static retc_dims dims_of(const retc_plan_entry *entry, int call) {
  return retc_cost_dims(entry, calls[call].batch, calls[call].tokens, calls[call].position, 1);
}

static void print_calls(const writer *w) {
  retc_text_add(w->text, "\"calls\":[");
  for (int i = 0; i < CALL_COUNT; i++) {
    retc_text_printf(w->text, "%s{\"name\":\"%s\",\"batch\":%lld,\"tokens\":%lld,\"position\":%lld}", i ? "," : "",
                     calls[i].name, (long long)calls[i].batch, (long long)calls[i].tokens,
                     (long long)calls[i].position);
  }
  retc_text_add(w->text, "]");
}

static void print_kernels(const writer *w) {
  retc_text_add(w->text, ",\"kernels\":[");
  for (size_t i = 0; i < w->plan->kernels.count; i++) {
    retc_text_printf(w->text, "%s%zu", i ? "," : "", intern(w, w->plan->kernels.items[i].name));
  }
  retc_text_add(w->text, "]");
}

static void print_buffers(const writer *w) {
  const retc_plan_entry none = {.grid_start = -1, .chunk_length = w->plan->chunk_length};
  const retc_plan_entry *entry = w->plan->entries.count ? &w->plan->entries.items[0] : &none;
  retc_text_add(w->text, ",\"buffers\":[");
  for (size_t i = 0; i < w->plan->buffers.count; i++) {
    const retc_plan_buffer *buffer = &w->plan->buffers.items[i];
    retc_text type;
    retc_text_init(&type);
    retc_type_print(&(retc_type){buffer->dtype, buffer->shape}, &type);
    retc_text_printf(w->text, "%s[%zu,%zu,%zu,%d", i ? ",\n" : "\n", intern(w, buffer->name),
                     intern(w, retc_plan_buffer_kind_name(buffer->kind)), intern(w, type.data), buffer->slot);
    for (int call = 0; call < CALL_COUNT; call++) {
      const retc_dims dims = dims_of(entry, call);
      retc_text_printf(w->text, ",%.0f",
                       (double)retc_plan_buffer_elements(buffer, &dims) * (double)retc_dtype_size(buffer->dtype));
    }
    retc_text_add(w->text, "]");
    retc_text_deinit(&type);
  }
  retc_text_add(w->text, "]");
}

/* What the step's region computes, in order: a kernel that several regions share names the values of the first. */
static void print_values(const writer *w, const retc_plan_entry *entry, const retc_plan_step *step) {
  const char *separator = "";
  retc_text_add(w->text, ",[");
  for (size_t g = 0; g < w->compilation->graphs.count && step->region; g++) {
    const retc_graph *graph = w->compilation->graphs.items[g];
    if (strcmp(graph->name, entry->name)) continue;
    for (uint32_t i = 1; i < graph->nodes.count; i++) {
      const retc_node *node = &graph->nodes.items[i];
      if (!node->region.index || strcmp(retc_graph_region(graph, node->region)->name, step->region)) continue;
      retc_text_printf(w->text, "%s%zu", separator, intern(w, node->name));
      separator = ",";
    }
  }
  retc_text_add(w->text, "]");
}

static void print_cost(const writer *w, size_t entry, size_t step) {
  retc_text_add(w->text, ",[");
  for (int call = 0; call < CALL_COUNT; call++) {
    const retc_dims dims = dims_of(&w->plan->entries.items[entry], call);
    retc_cost cost;
    if (!retc_cost_of_step(w->compilation, entry, step, &dims, &cost)) break;
    retc_text_printf(w->text, "%s[%.0f,%.0f,%.0f,%.0f]", call ? "," : "", cost.flop, cost.weight_bytes,
                     cost.state_bytes, cost.row_bytes);
  }
  retc_text_add(w->text, "]");
}

static void print_step(const writer *w, size_t entry, size_t index) {
  const retc_plan_step *step = &w->plan->entries.items[entry].steps.items[index];
  retc_text_printf(w->text, "%s[%d,%zu,[", index ? ",\n" : "\n", step->kernel,
                   intern(w, step->region ? step->region : ""));
  for (int i = 0; i < w->plan->kernels.items[step->kernel].buffer_count; i++) {
    retc_text_printf(w->text, "%s%d", i ? "," : "", step->buffers[i]);
  }
  retc_text_add(w->text, "]");
  print_values(w, &w->plan->entries.items[entry], step);
  print_cost(w, entry, index);
  retc_text_add(w->text, "]");
}

void retc_html_print_plan(const retc_compilation *compilation, retc_html_strings *strings, retc_text *out_text) {
  const writer w = {compilation, compilation->plan, strings, out_text};
  if (!w.plan) {
    retc_text_add(out_text, "null");
    return;
  }
  retc_text_add(out_text, "{");
  print_calls(&w);
  print_kernels(&w);
  print_buffers(&w);
  retc_text_printf(out_text, ",\"slots\":%zu,\"entries\":[", w.plan->slots.count);
  for (size_t e = 0; e < w.plan->entries.count; e++) {
    retc_text_printf(out_text, "%s{\"name\":%zu,\"steps\":[", e ? "," : "", intern(&w, w.plan->entries.items[e].name));
    for (size_t i = 0; i < w.plan->entries.items[e].steps.count; i++) print_step(&w, e, i);
    retc_text_add(out_text, "]}");
  }
  retc_text_add(out_text, "]}");
}
