/* Graphs in Graphviz's language: a cluster for each entry, in it one for each region with what was folded in. */
#include <string.h>

#include "compiler/main/dump.h"

/* How many bytes of UTF-8 the character at `at` has; 0: it is no UTF-8, or a control character. */
static size_t character_length(const char *at) {
  unsigned char first = (unsigned char)at[0];
  if (first < 0x80) return first >= 0x20 && first != 0x7f;
  size_t length = first >= 0xc2 && first < 0xe0   ? 2
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xf0 && first < 0xf5 ? 4
                                                  : 0;
  for (size_t i = 1; i < length; i++) {
    if (((unsigned char)at[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

/* Text within a quoted label: there a backslash begins an escape, and '&' an entity of HTML. */
static void print_escaped(const char *text, retc_text *out_text) {
  for (size_t length; *text; text += length ? length : 1) {
    length = character_length(text);
    if (!length) retc_text_printf(out_text, "\\\\x%02x", (unsigned)(unsigned char)*text);
    else if (*text == '"' || *text == '\\') retc_text_printf(out_text, "\\%c", *text);
    else if (*text == '&') retc_text_add(out_text, "&amp;");
    else retc_text_append(out_text, text, length);
  }
}

typedef struct drawer {
  const retc_graph *graph;
  size_t number; /* of the entry; nodes and clusters are told apart by numbers, so names occur in labels only */
  retc_text *text;
} drawer;

static const char *node_style(const retc_node *node) {
  if (node->op == RETC_OP_INPUT) {
    if (!strcmp(node->attributes.word, "weight")) return " shape=folder fillcolor=\"#e3ecf7\"";
    if (!strcmp(node->attributes.word, "state")) return " shape=cylinder fillcolor=\"#f7e9d7\"";
    return " shape=invhouse fillcolor=\"#e0f0e0\"";
  }
  return retc_op_get_info(node->op)->traits & RETC_TRAIT_LEAF ? " shape=plaintext style=\"\"" : "";
}

static void print_node(const drawer *d, uint32_t index) {
  const retc_node *node = &d->graph->nodes.items[index];
  retc_text line;
  retc_text_init(&line);
  retc_text_printf(d->text, "    n%zu_%u [label=\"%%", d->number, (unsigned)index);
  print_escaped(node->name, d->text);
  retc_text_printf(d->text, "\\n%s", retc_op_get_info(node->op)->name);
  if (node->op == RETC_OP_INPUT) {
    retc_text_add(d->text, " ");
    print_escaped(node->attributes.word, d->text);
  }
  retc_text_add(d->text, "\\n");
  retc_type_print(&node->type, d->text);
  retc_text_add(d->text, "\" tooltip=\"");
  retc_node_print(d->graph, (retc_value){index}, &line);
  print_escaped(line.data, d->text);
  retc_text_printf(d->text, "\"%s];\n", node_style(node));
  retc_text_deinit(&line);
}

static void open_region(const drawer *d, uint32_t index) {
  const retc_region *region = &d->graph->regions.items[index];
  retc_text_printf(d->text, "    subgraph cluster_%zu_%u {\n      style=\"rounded,filled\"; color=\"#999999\"; ",
                   d->number, (unsigned)index);
  retc_text_add(d->text, "fillcolor=\"#f4f4f4\";\n      label=\"");
  print_escaped(region->name, d->text);
  retc_text_add(d->text, ": ");
  print_escaped(region->anchor, d->text);
  for (size_t i = 0; i < region->folded.count; i++) {
    retc_text_add(d->text, i ? ", " : "\\nfolded: ");
    print_escaped(region->folded.items[i], d->text);
  }
  for (int i = 0; i < region->schedule_count; i++) {
    retc_text_add(d->text, i ? ", " : "\\nschedule: ");
    print_escaped(region->schedule[i].name, d->text);
    retc_text_printf(d->text, " %lld", (long long)region->schedule[i].value);
  }
  retc_text_add(d->text, "\";\n");
}

static void print_nodes(const drawer *d) {
  uint32_t region = 0;
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    uint32_t own = d->graph->nodes.items[i].region.index;
    if (own != region && region) retc_text_add(d->text, "    }\n");
    if (own != region && own) open_region(d, own);
    region = own;
    print_node(d, i);
  }
  if (region) retc_text_add(d->text, "    }\n");
}

static void print_edges(const drawer *d) {
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    const retc_node *node = &d->graph->nodes.items[i];
    for (int k = 0; k < node->input_count; k++) {
      retc_text_printf(d->text, "    n%zu_%u -> n%zu_%u;\n", d->number, (unsigned)node->inputs[k].index, d->number,
                       (unsigned)i);
    }
  }
}

static void print_outputs(const drawer *d) {
  for (size_t i = 0; i < d->graph->outputs.count; i++) {
    const retc_output *output = &d->graph->outputs.items[i];
    retc_text_printf(d->text, "    o%zu_%zu [label=\"output ", d->number, i);
    print_escaped(output->name, d->text);
    retc_text_add(d->text, "\" shape=house fillcolor=\"#e0f0e0\"];\n");
    retc_text_printf(d->text, "    n%zu_%u -> o%zu_%zu;\n", d->number, (unsigned)output->value.index, d->number, i);
  }
}

void retc_dump_print_dot(const retc_compilation *compilation, retc_text *out_text) {
  retc_text_add(out_text,
                "digraph program {\n"
                "  graph [fontname=\"monospace\" fontsize=10];\n"
                "  node [shape=box style=filled fillcolor=white fontname=\"monospace\" fontsize=10];\n");
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    const drawer d = {compilation->graphs.items[i], i, out_text};
    retc_text_printf(out_text, "  subgraph cluster_%zu {\n    label=\"", i);
    print_escaped(d.graph->name, out_text);
    retc_text_add(out_text, "\";\n");
    print_nodes(&d);
    print_outputs(&d);
    print_edges(&d);
    retc_text_add(out_text, "  }\n");
  }
  retc_text_add(out_text, "}\n");
}
