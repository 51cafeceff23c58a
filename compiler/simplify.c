/* Keeps what an output needs. Rebuilding folds constants and identities and merges equal nodes, because the builder
 * does. An output that is an input, a constant, or what replaces a state already, is made a copy: then every output is
 * a value that some kernel computes. A state that stays as it is needs none. */
#include "compiler/pass.h"
#include "compiler/rewrite.h"

static void mark(const retc_graph *graph, bool *needed) {
  for (size_t i = 0; i < graph->outputs.count; i++) needed[graph->outputs.items[i].value.index] = true;
  for (size_t i = graph->nodes.count; i-- > 1;) {
    const retc_node *node = &graph->nodes.items[i];
    for (int k = 0; needed[i] && k < node->input_count; k++) needed[node->inputs[k].index] = true;
  }
}

static bool is_leaf(const retc_graph *graph, retc_value value) {
  return retc_op_get_info(retc_graph_node(graph, value)->op)->traits & RETC_TRAIT_LEAF;
}

static retc_value copy(retc_builder *builder, retc_value value) {
  const retc_node *node = retc_graph_node(builder->graph, value);
  const char *name = node->name;
  builder->origin = node->origin;
  retc_value made = retc_graph_add(builder, RETC_OP_COPY, &value, 1, NULL, NULL);
  if (made.index) retc_graph_set_name(builder->graph, made, name);
  return made;
}

/* The value that an output gets; `out` holds the outputs before it. */
static retc_value settle(retc_builder *builder, const char *name, retc_value value) {
  const retc_graph *out = builder->graph;
  const retc_value state = retc_graph_find_input(out, name);
  const bool replaces = retc_graph_is_state(out, state);
  if (replaces && state.index == value.index) return value;
  if (is_leaf(out, value)) value = copy(builder, value);
  while (replaces && value.index && retc_graph_find_replaced(out, value).index) value = copy(builder, value);
  return value;
}

static void add_outputs(retc_rewrite *rw) {
  retc_builder *builder = &rw->builder;
  builder->region = (retc_region_id){0};
  for (size_t i = 0; i < rw->in->outputs.count && builder->status == RETC_OK; i++) {
    const retc_output *output = &rw->in->outputs.items[i];
    retc_value value = settle(builder, output->name, rw->map[output->value.index]);
    if (value.index) retc_graph_add_output(builder->graph, output->name, value);
  }
}

static retc_status rewrite(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  retc_rewrite rw;
  retc_rewrite_init(&rw, in, cx->diagnostics);
  bool *needed = RETC_NEW_ARRAY(&rw.builder.graph->arena, bool, in->nodes.count);
  mark(in, needed);
  for (uint32_t i = 1; i < in->nodes.count && rw.builder.status == RETC_OK; i++) {
    if (!needed[i]) continue;
    rw.builder.origin = in->nodes.items[i].origin;
    retc_rewrite_copy(&rw, i);
  }
  add_outputs(&rw);
  return retc_rewrite_finish(&rw, out_graph);
}

static bool all_needed(const retc_graph *graph) {
  retc_arena arena;
  retc_arena_init(&arena);
  bool *needed = RETC_NEW_ARRAY(&arena, bool, graph->nodes.count), all = true;
  mark(graph, needed);
  for (size_t i = 1; i < graph->nodes.count; i++) all = all && needed[i];
  retc_arena_deinit(&arena);
  return all;
}

/* What is folded away leaves behind what only it needed: that goes the next time. */
retc_status retc_simplify(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  retc_graph *graph;
  RETC_TRY(rewrite(cx, in, &graph));
  while (!all_needed(graph)) {
    retc_graph *before = graph;
    retc_status status = rewrite(cx, before, &graph);
    retc_graph_destroy(before);
    RETC_TRY(status);
  }
  *out_graph = graph;
  return RETC_OK;
}
