#include <string.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"
#include "ir/lexer.h"

void retc_type_print(const retc_type *type, retc_text *out_text) {
  retc_typed_shape_print(type->dtype, &type->shape, out_text);
}

void retc_value_print(const retc_graph *graph, retc_value value, retc_text *out_text) {
  const char *name = retc_graph_node(graph, value)->name;
  retc_text_add(out_text, "%");
  if (retc_name_is_number(name)) {
    retc_text_add(out_text, name);
  } else {
    retc_word_print(name, out_text);
  }
}

static void print_attributes(const retc_node *node, retc_text *out_text) {
  const retc_attributes *attributes = &node->attributes;
  for (retc_attribute_walk walk = retc_attribute_walk_start(node->op); retc_attribute_walk_next(&walk);) {
    retc_text_add(out_text, " ");
    if (walk.name_length) retc_text_printf(out_text, "%.*s=", walk.name_length, walk.name);
    switch (walk.kind) {
      case 'i': retc_text_printf(out_text, "%lld", (long long)attributes->integer[walk.integer]); break;
      case 'f': retc_text_number(out_text, attributes->number); break;
      case 's': retc_word_print(attributes->word, out_text); break;
      default: retc_numbers_print(attributes->dense, attributes->dense_count, out_text); break;
    }
  }
}

void retc_node_print(const retc_graph *graph, retc_value value, retc_text *out_text) {
  const retc_node *node = retc_graph_node(graph, value);
  retc_value_print(graph, value, out_text);
  retc_text_printf(out_text, " = %s", retc_op_get_info(node->op)->name);
  for (int i = 0; i < node->input_count; i++) {
    retc_text_add(out_text, i ? ", " : " ");
    retc_value_print(graph, node->inputs[i], out_text);
  }
  print_attributes(node, out_text);
  retc_text_add(out_text, " : ");
  retc_type_print(&node->type, out_text);
  if (node->origin) {
    retc_text_add(out_text, " @");
    retc_quoted_print(node->origin, out_text);
  }
}

static void print_node(const retc_graph *graph, uint32_t index, int indent, retc_text *out_text) {
  const retc_notes *notes = &graph->nodes.items[index].notes;
  retc_comment_print(notes->comment, indent, out_text);
  retc_text_printf(out_text, "%*s", indent, "");
  retc_node_print(graph, (retc_value){index}, out_text);
  retc_remark_print(notes->remark, out_text);
}

static void open_region(const retc_region *region, retc_text *out_text) {
  retc_comment_print(region->notes.comment, 2, out_text);
  retc_text_add(out_text, "  region ");
  retc_word_print(region->name, out_text);
  retc_text_add(out_text, " ");
  retc_word_print(region->anchor, out_text);
  for (size_t i = 0; i < region->folded.count; i++) {
    retc_text_add(out_text, i ? ", " : " folded=[");
    retc_word_print(region->folded.items[i], out_text);
  }
  if (region->folded.count) retc_text_add(out_text, "]");
  for (int i = 0; i < region->schedule_count; i++) {
    retc_text_add(out_text, i ? ", " : " schedule=[");
    retc_word_print(region->schedule[i].name, out_text);
    retc_text_printf(out_text, "=%lld", (long long)region->schedule[i].value);
  }
  if (region->schedule_count) retc_text_add(out_text, "]");
  retc_text_add(out_text, " {");
  retc_remark_print(region->notes.remark, out_text);
}

static void close_region(const retc_region *region, retc_text *out_text) {
  retc_comment_print(region->end_comment, 4, out_text);
  retc_text_add(out_text, "  }\n");
}

void retc_graph_print(const retc_graph *graph, retc_text *out_text) {
  retc_comment_print(graph->notes.comment, 0, out_text);
  retc_text_add(out_text, "graph ");
  retc_word_print(graph->name, out_text);
  retc_text_add(out_text, " {");
  retc_remark_print(graph->notes.remark, out_text);
  uint32_t region = 0;
  for (uint32_t i = 1; i < graph->nodes.count; i++) {
    uint32_t own = graph->nodes.items[i].region.index;
    if (own != region && region) close_region(&graph->regions.items[region], out_text);
    if (own != region && own) open_region(&graph->regions.items[own], out_text);
    region = own;
    print_node(graph, i, region ? 4 : 2, out_text);
  }
  if (region) close_region(&graph->regions.items[region], out_text);
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    retc_comment_print(output->notes.comment, 2, out_text);
    retc_text_add(out_text, "  output ");
    retc_word_print(output->name, out_text);
    retc_text_add(out_text, " = ");
    retc_value_print(graph, output->value, out_text);
    retc_remark_print(output->notes.remark, out_text);
  }
  retc_comment_print(graph->end_comment, 2, out_text);
  retc_text_add(out_text, "}\n");
}
