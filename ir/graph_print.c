#include <string.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"

static bool is_plain(const char *word) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789.";
  const size_t first = sizeof letters - 1 - strlen("0123456789.");
  return *word && memchr(letters, *word, first) && word[strspn(word, letters)] == 0;
}

static void print_quoted(const char *word, retc_text *out_text) {
  retc_text_add(out_text, "\"");
  for (; *word; word++) {
    unsigned char c = (unsigned char)*word;
    if (c == '"' || c == '\\') {
      retc_text_printf(out_text, "\\%c", c);
    } else if (c < 0x20 || c == 0x7f) {
      retc_text_printf(out_text, "\\x%02x", c);
    } else {
      retc_text_append(out_text, word, 1);
    }
  }
  retc_text_add(out_text, "\"");
}

void retc_word_print(const char *word, retc_text *out_text) {
  if (is_plain(word)) {
    retc_text_add(out_text, word);
  } else {
    print_quoted(word, out_text);
  }
}

void retc_type_print(const retc_type *type, retc_text *out_text) {
  retc_text_printf(out_text, "%s[", retc_dtype_name(type->dtype));
  for (int i = 0; i < type->shape.rank; i++) {
    retc_dim dim = type->shape.dim[i];
    if (i) retc_text_add(out_text, ",");
    if (retc_dim_is_named(dim)) {
      retc_text_add(out_text, retc_dim_text((retc_dim_name)~dim));
    } else {
      retc_text_printf(out_text, "%lld", (long long)dim);
    }
  }
  retc_text_add(out_text, "]");
}

static void print_value(const retc_graph *graph, retc_value value, retc_text *out_text) {
  const char *name = retc_graph_node(graph, value)->name;
  retc_text_add(out_text, "%");
  if (name) {
    retc_word_print(name, out_text);
  } else {
    retc_text_printf(out_text, "%u", value.index);
  }
}

static void print_dense(const retc_attributes *attributes, retc_text *out_text) {
  retc_text_add(out_text, "[");
  for (size_t i = 0; i < attributes->dense_count; i++) {
    if (i) retc_text_add(out_text, ", ");
    retc_text_number(out_text, attributes->dense[i]);
  }
  retc_text_add(out_text, "]");
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
      default: print_dense(attributes, out_text); break;
    }
  }
}

static void print_node(const retc_graph *graph, uint32_t index, const char *indent, retc_text *out_text) {
  const retc_node *node = &graph->nodes.items[index];
  retc_text_add(out_text, indent);
  print_value(graph, (retc_value){index}, out_text);
  retc_text_printf(out_text, " = %s", retc_op_get_info(node->op)->name);
  for (int i = 0; i < node->input_count; i++) {
    retc_text_add(out_text, i ? ", " : " ");
    print_value(graph, node->inputs[i], out_text);
  }
  print_attributes(node, out_text);
  retc_text_add(out_text, " : ");
  retc_type_print(&node->type, out_text);
  if (node->origin) {
    retc_text_add(out_text, " @");
    print_quoted(node->origin, out_text);
  }
  retc_text_add(out_text, "\n");
}

static void open_region(const retc_region *region, retc_text *out_text) {
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
  retc_text_add(out_text, " {\n");
}

void retc_graph_print(const retc_graph *graph, retc_text *out_text) {
  retc_text_add(out_text, "graph ");
  retc_word_print(graph->name, out_text);
  retc_text_add(out_text, " {\n");
  uint32_t region = 0;
  for (uint32_t i = 1; i < graph->nodes.count; i++) {
    uint32_t own = graph->nodes.items[i].region.index;
    if (own != region && region) retc_text_add(out_text, "  }\n");
    if (own != region && own) open_region(&graph->regions.items[own], out_text);
    region = own;
    print_node(graph, i, region ? "    " : "  ", out_text);
  }
  if (region) retc_text_add(out_text, "  }\n");
  for (size_t i = 0; i < graph->outputs.count; i++) {
    retc_text_add(out_text, "  output ");
    retc_word_print(graph->outputs.items[i].name, out_text);
    retc_text_add(out_text, " = ");
    print_value(graph, graph->outputs.items[i].value, out_text);
    retc_text_add(out_text, "\n");
  }
  retc_text_add(out_text, "}\n");
}
