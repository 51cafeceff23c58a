#include "compiler/grid.h"

#include <string.h>

/* The operand that holds the position, of operations whose N is counted from it; -1: of no others. */
static int position_operand(retc_op op) {
  switch (op) {
    case RETC_OP_CHUNK:
    case RETC_OP_UNCHUNK: return 1;
    case RETC_OP_CARRY: return 2;
    case RETC_OP_SCAN: return 3;
    case RETC_OP_RETENTION:
    case RETC_OP_SCORE_SUM:
    case RETC_OP_STATE_PEAK: return 5;
    default: return -1;
  }
}

static retc_status find_start(const retc_graph *graph, const retc_node *node, retc_value position,
                              retc_diagnostics *diagnostics, int64_t *out_start) {
  const retc_node *at = retc_graph_node(graph, position);
  *out_start = -1;
  if (at->op == RETC_OP_INPUT && !strcmp(at->name, "P") && !strcmp(at->attributes.word, "input")) return RETC_OK;
  if (at->op == RETC_OP_CONST && at->attributes.dense[0] >= 0) {
    *out_start = (int64_t)at->attributes.dense[0];
    return RETC_OK;
  }
  return retc_fail(diagnostics, RETC_INVALID,
                   "graph %s: %%%s: the position %%%s of the chunk grid is neither the input P "
                   "nor a constant of at least 0",
                   graph->name, node->name, at->name);
}

/* "chunks of 4 from P" */
static void print_grid(int64_t chunk_length, int64_t start, retc_text *out_text) {
  retc_text_printf(out_text, "chunks of %lld from ", (long long)chunk_length);
  if (start < 0) retc_text_add(out_text, "P");
  else retc_text_printf(out_text, "%lld", (long long)start);
}

static retc_status differ(const retc_graph *graph, const retc_node *node, int64_t chunk_length, int64_t start,
                          const retc_node *first, int64_t first_length, int64_t first_start,
                          retc_diagnostics *diagnostics) {
  retc_text own, other;
  retc_text_init(&own);
  retc_text_init(&other);
  print_grid(chunk_length, start, &own);
  print_grid(first_length, first_start, &other);
  retc_status status =
      retc_fail(diagnostics, RETC_INVALID, "graph %s: %%%s has %s, and %%%s has %s: a graph has one grid", graph->name,
                node->name, own.data, first->name, other.data);
  retc_text_deinit(&own);
  retc_text_deinit(&other);
  return status;
}

retc_status retc_grid_find(const retc_graph *graph, retc_diagnostics *diagnostics, int64_t *out_chunk_length,
                           int64_t *out_start) {
  const retc_node *first = NULL;
  *out_chunk_length = 0;
  *out_start = -1;
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    int operand = position_operand(node->op);
    int64_t chunk_length = node->attributes.integer[0], start;
    if (operand < 0) continue;
    RETC_TRY(find_start(graph, node, node->inputs[operand], diagnostics, &start));
    if (first && (chunk_length != *out_chunk_length || start != *out_start)) {
      return differ(graph, node, chunk_length, start, first, *out_chunk_length, *out_start, diagnostics);
    }
    if (!first) first = node;
    *out_chunk_length = chunk_length;
    *out_start = start;
  }
  return RETC_OK;
}
