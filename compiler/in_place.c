#include "compiler/in_place.h"

#include <stdlib.h>

typedef struct inquiry {
  const retc_graph *graph;
  const retc_members *members;
  const retc_uses *uses;
  uint32_t region;
  retc_value state;
  bool *reads; /* of each node of the region: it is computed from the state */
  bool *kept;  /* ... element by element */
} inquiry;

static const retc_node *node_at(const inquiry *q, retc_value value) { return retc_graph_node(q->graph, value); }

static bool reads(const inquiry *q, retc_value value) { return value.index == q->state.index || q->reads[value.index]; }

/* Read at the index that the user is computed at. */
static bool kept(const inquiry *q, retc_value value) {
  return value.index == q->state.index || !q->reads[value.index] || q->kept[value.index];
}

static bool keeps_pointwise(const inquiry *q, const retc_node *node) {
  for (int i = 0; i < node->input_count; i++) {
    if (!reads(q, node->inputs[i])) continue;
    bool same_shape = retc_shape_equal(&node_at(q, node->inputs[i])->type.shape, &node->type.shape);
    if (!same_shape || !kept(q, node->inputs[i])) return false;
  }
  return true;
}

/* Row i of the result is made of row i of the pending rows, which the chunk it reads hands on. */
static bool keeps_rows(const inquiry *q, const retc_node *carry) {
  const retc_node *rows = node_at(q, carry->inputs[0]);
  if (reads(q, carry->inputs[2]) || !kept(q, carry->inputs[1])) return false;
  if (!reads(q, carry->inputs[0])) return true;
  return rows->op == RETC_OP_CHUNK && rows->region.index == q->region && rows->input_count == 3 &&
         !reads(q, rows->inputs[0]) && !reads(q, rows->inputs[1]) && kept(q, rows->inputs[2]);
}

static bool keeps(const inquiry *q, const retc_node *node) {
  if (retc_op_get_info(node->op)->traits & RETC_TRAIT_POINTWISE) return keeps_pointwise(q, node);
  if (node->op == RETC_OP_CARRY) return keeps_rows(q, node);
  if (node->op != RETC_OP_FLUSH) return false;
  for (int i = 1; i < node->input_count; i++) {
    if (reads(q, node->inputs[i])) return false;
  }
  return kept(q, node->inputs[0]);
}

/* A scan reads the state that it starts from before it replaces it, and all that its region makes of it comes from what
 * it has read. */
static bool starts_from_state(const inquiry *q, const retc_node *node) {
  return node->op == RETC_OP_SCAN && node->inputs[2].index == q->state.index;
}

static bool is_end_of_scan(const inquiry *q, const retc_node *node) {
  return node->op == RETC_OP_PART && starts_from_state(q, node_at(q, node->inputs[0]));
}

static bool is_used_outside(const inquiry *q, uint32_t value) {
  for (size_t i = 0; i < q->graph->outputs.count; i++) {
    if (q->graph->outputs.items[i].value.index == value) return true;
  }
  for (uint32_t u = q->uses->starts[value]; u < q->uses->starts[value + 1]; u++) {
    if (q->graph->nodes.items[q->uses->users[u]].region.index != q->region) return true;
  }
  return false;
}

static bool inquire(inquiry *q, retc_value result) {
  bool scans = false;
  const uint32_t first = q->members->starts[q->region], end = q->members->starts[q->region + 1];
  for (uint32_t m = first; m < end; m++) {
    const uint32_t i = q->members->nodes[m];
    const retc_node *node = &q->graph->nodes.items[i];
    bool starts = starts_from_state(q, node);
    scans = scans || starts;
    for (int k = 0; k < node->input_count; k++) {
      if (!(starts && k == 2) && reads(q, node->inputs[k])) q->reads[i] = true;
    }
    q->kept[i] = !q->reads[i] || keeps(q, node);
  }
  if (scans && !is_end_of_scan(q, node_at(q, result))) return false;
  for (uint32_t m = first; m < end; m++) {
    if (!q->kept[q->members->nodes[m]] && is_used_outside(q, q->members->nodes[m])) return false;
  }
  return q->kept[result.index];
}

bool retc_in_place_is_safe(const retc_graph *graph, const retc_members *members, const retc_uses *uses,
                           retc_value result, retc_value state) {
  retc_arena arena;
  retc_arena_init(&arena);
  inquiry q = {.graph = graph, .members = members, .uses = uses, .state = state};
  q.region = retc_graph_node(graph, result)->region.index;
  q.reads = RETC_NEW_ARRAY(&arena, bool, graph->nodes.count);
  q.kept = RETC_NEW_ARRAY(&arena, bool, graph->nodes.count);
  bool safe = inquire(&q, result);
  retc_arena_deinit(&arena);
  return safe;
}

static retc_status check_output(const retc_graph *graph, const retc_uses *uses, const retc_output *output,
                                retc_diagnostics *diagnostics) {
  const retc_value state = retc_graph_find_input(graph, output->name), value = output->value;
  if (!retc_graph_is_state(graph, state) || value.index == state.index) return RETC_OK;
  const retc_node *node = retc_graph_node(graph, value);
  if (!node->region.index || retc_graph_find_replaced(graph, value).index != state.index) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "graph %s: output %s: %%%s cannot take the place of a state, since it is "
                     "%s; the pass simplify makes a copy",
                     graph->name, output->name, node->name,
                     node->region.index ? "another state's new value" : "an input or a constant");
  }
  for (uint32_t u = uses->starts[state.index]; u < uses->starts[state.index + 1]; u++) {
    const retc_node *reader = &graph->nodes.items[uses->users[u]];
    if (uses->users[u] < value.index || reader->region.index == node->region.index) continue;
    return retc_fail(diagnostics, RETC_INVALID, "graph %s: %%%s reads the state %%%s after %%%s has replaced it",
                     graph->name, reader->name, output->name, node->name);
  }
  return RETC_OK;
}

retc_status retc_in_place_check_order(const retc_graph *graph, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  const retc_uses uses = retc_graph_uses(graph, &arena);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < graph->outputs.count && status == RETC_OK; i++) {
    status = check_output(graph, &uses, &graph->outputs.items[i], diagnostics);
  }
  retc_arena_deinit(&arena);
  return status;
}
