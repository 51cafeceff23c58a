#include "compiler/rewrite.h"

void retc_rewrite_init(retc_rewrite *rewrite, const retc_graph *in, retc_diagnostics *diagnostics) {
  *rewrite = (retc_rewrite){.in = in, .builder = {.graph = retc_graph_create_next(in), .diagnostics = diagnostics}};
  rewrite->map = RETC_NEW_ARRAY(&rewrite->builder.graph->arena, retc_value, in->nodes.count);
}

retc_value retc_rewrite_copy(retc_rewrite *rewrite, uint32_t node) {
  const retc_node *old = &rewrite->in->nodes.items[node];
  retc_value inputs[RETC_OP_INPUTS_MAX];
  for (int i = 0; i < old->input_count; i++) inputs[i] = rewrite->map[old->inputs[i].index];
  return rewrite->map[node] = retc_graph_clone_node(&rewrite->builder, old, inputs);
}

retc_status retc_rewrite_finish(retc_rewrite *rewrite, retc_graph **out_graph) {
  const bool own = rewrite->builder.graph->outputs.count > 0;
  for (size_t i = 0; i < rewrite->in->outputs.count && rewrite->builder.status == RETC_OK && !own; i++) {
    const retc_output *output = &rewrite->in->outputs.items[i];
    retc_graph_add_output(rewrite->builder.graph, output->name, rewrite->map[output->value.index]);
  }
  if (rewrite->builder.status != RETC_OK) {
    retc_graph_destroy(rewrite->builder.graph);
    return RETC_INTERNAL;
  }
  *out_graph = rewrite->builder.graph;
  return RETC_OK;
}
