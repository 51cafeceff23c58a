#include <string.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"

typedef struct verification {
  const retc_graph *graph;
  retc_diagnostics *diagnostics;
  retc_arena arena;
  bool *closed;     /* regions whose last node has been passed */
  retc_table names; /* of values */
} verification;

/* The node in words: its name, or its number. */
static const char *name_of(verification *v, uint32_t index) {
  const char *name = v->graph->nodes.items[index].name;
  return name ? name : retc_arena_printf(&v->arena, "%u", index);
}

static retc_status wrong(verification *v, uint32_t index, const char *reason) {
  const char *origin = v->graph->nodes.items[index].origin;
  const char *place = origin ? retc_arena_printf(&v->arena, " (%s)", origin) : "";
  return retc_fail(v->diagnostics, RETC_INTERNAL, "graph %s: %%%s%s: %s", v->graph->name, name_of(v, index), place,
                   reason);
}

static retc_status verify_inputs(verification *v, uint32_t index) {
  const retc_node *node = &v->graph->nodes.items[index];
  if ((int)node->op < 0 || node->op >= RETC_OP_COUNT) return wrong(v, index, "is no operation");
  if (node->input_count < 0 || node->input_count > RETC_OP_INPUTS_MAX) return wrong(v, index, "has too many inputs");
  for (int i = 0; i < node->input_count; i++) {
    if (node->inputs[i].index == 0 || node->inputs[i].index >= index) {
      return wrong(v, index, "has an input that is not defined before it");
    }
  }
  return RETC_OK;
}

static retc_status verify_type(verification *v, uint32_t index) {
  const retc_node *node = &v->graph->nodes.items[index];
  retc_diagnostics reason;
  retc_diagnostics_init(&reason);
  retc_type type;
  retc_status status = retc_graph_infer(v->graph, node->op, node->inputs, node->input_count, &node->type,
                                        &node->attributes, &reason, &type);
  if (status != RETC_OK) {
    const char *text = retc_diagnostics_text(&reason);
    status = wrong(v, index, retc_arena_strndup(&v->arena, text, strcspn(text, "\n")));
  } else if (type.dtype != node->type.dtype || !retc_shape_equal(&type.shape, &node->type.shape)) {
    status = wrong(v, index, "has another type than its inputs make");
  }
  retc_diagnostics_deinit(&reason);
  return status;
}

static retc_status verify_name(verification *v, uint32_t index) {
  const retc_node *node = &v->graph->nodes.items[index];
  if (!node->name) return wrong(v, index, "has no name");
  if (node->op == RETC_OP_INPUT && retc_name_is_number(node->name))
    return wrong(v, index, "is an input without a name");
  size_t length = strlen(node->name);
  if (retc_table_find(&v->names, node->name, length)) return wrong(v, index, "has the name of another value");
  retc_table_lend(&v->arena, &v->names, node->name, length, index);
  return RETC_OK;
}

static retc_status verify_region(verification *v, uint32_t index) {
  const retc_graph *graph = v->graph;
  uint32_t region = graph->nodes.items[index].region.index, before = graph->nodes.items[index - 1].region.index;
  if (region >= graph->regions.count) return wrong(v, index, "is in an unknown region");
  if (region == before) return RETC_OK;
  v->closed[before] = before != 0;
  return v->closed[region] ? wrong(v, index, "continues a region that another node has ended") : RETC_OK;
}

/* Every region has nodes and a name of its own. */
static retc_status verify_regions(verification *v) {
  const retc_graph *graph = v->graph;
  retc_table names = {0};
  v->closed[graph->nodes.items[graph->nodes.count - 1].region.index] = true;
  for (uint32_t i = 1; i < graph->regions.count; i++) {
    const char *name = graph->regions.items[i].name;
    const char *problem = !v->closed[i] ? "is empty"
                          : retc_table_find(&names, name, strlen(name)) ? "has the name of another region" : NULL;
    if (problem) return retc_fail(v->diagnostics, RETC_INTERNAL, "graph %s: region %s %s", graph->name, name, problem);
    retc_table_lend(&v->arena, &names, name, strlen(name), i);
  }
  return RETC_OK;
}

static retc_status verify_outputs(verification *v) {
  const retc_graph *graph = v->graph;
  retc_table names = {0};
  for (uint32_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    const char *problem = NULL;
    if (output->value.index == 0 || output->value.index >= graph->nodes.count) {
      problem = "is no value";
    } else if (retc_table_find(&names, output->name, strlen(output->name))) {
      problem = "has the name of another output";
    } else {
      const retc_node *replaced = retc_graph_node(graph, (retc_value){retc_table_find(&v->names, output->name,
                                                                                        strlen(output->name))});
      const retc_type *type = &retc_graph_node(graph, output->value)->type;
      const bool is_state = replaced->op == RETC_OP_INPUT && replaced->attributes.word &&
                            strcmp(replaced->attributes.word, "state") == 0;
      const bool same = type->dtype == replaced->type.dtype && retc_shape_equal(&type->shape, &replaced->type.shape);
      if (is_state && !same) problem = "has another type than the state it replaces";
    }
    if (problem) {
      return retc_fail(v->diagnostics, RETC_INTERNAL, "graph %s: output %s %s", graph->name, output->name, problem);
    }
    retc_table_lend(&v->arena, &names, output->name, strlen(output->name), i + 1);
  }
  return RETC_OK;
}

static retc_status verify(verification *v) {
  for (uint32_t i = 1; i < v->graph->nodes.count; i++) {
    RETC_TRY(verify_inputs(v, i));
    RETC_TRY(verify_type(v, i));
    RETC_TRY(verify_name(v, i));
    RETC_TRY(verify_region(v, i));
  }
  RETC_TRY(verify_regions(v));
  return verify_outputs(v);
}

retc_status retc_graph_verify(const retc_graph *graph, retc_diagnostics *diagnostics) {
  verification v = {.graph = graph, .diagnostics = diagnostics};
  retc_arena_init(&v.arena);
  v.closed = RETC_NEW_ARRAY(&v.arena, bool, graph->regions.count);
  retc_table_reserve(&v.arena, &v.names, graph->nodes.count);
  retc_status status = verify(&v);
  retc_arena_deinit(&v.arena);
  return status;
}
