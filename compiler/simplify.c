/* Keeps what an output needs. Rebuilding folds constants and identities and merges equal nodes, because the builder
 * does. */
#include "compiler/pass.h"
#include "compiler/rewrite.h"

static void mark(const retc_graph *graph, bool *needed) {
  for (size_t i = 0; i < graph->outputs.count; i++) needed[graph->outputs.items[i].value.index] = true;
  for (size_t i = graph->nodes.count; i-- > 1;) {
    const retc_node *node = &graph->nodes.items[i];
    for (int k = 0; needed[i] && k < node->input_count; k++) needed[node->inputs[k].index] = true;
  }
}

retc_status retc_simplify(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  retc_rewrite rw;
  retc_rewrite_init(&rw, in, cx->diagnostics);
  bool *needed = RETC_NEW_ARRAY(&rw.builder.graph->arena, bool, in->nodes.count);
  mark(in, needed);
  for (uint32_t i = 1; i < in->nodes.count && rw.builder.status == RETC_OK; i++) {
    if (!needed[i]) continue;
    rw.builder.origin = in->nodes.items[i].origin;
    retc_rewrite_copy(&rw, i);
  }
  return retc_rewrite_finish(&rw, out_graph);
}
