#include "compiler/main/explain_schedule.h"

#include <inttypes.h>
#include <string.h>

#include "base/number.h"
#include "compiler/anchors.h"
#include "compiler/lower_contract.h"
#include "runtime/plan.h"

typedef struct kernel_row {
  const retc_region *region; /* the first of those that are alike */
  const retc_node *node;
  int64_t count;
} kernel_row;

typedef struct explainer {
  const retc_graph *graph;
  const retc_target_profile *profile;
  retc_text *text;
} explainer;

static const retc_shape *shape_of(const explainer *e, const retc_node *node, int input) {
  return &retc_graph_node(e->graph, node->inputs[input])->type.shape;
}

static bool same_schedule(const retc_region *a, const retc_region *b) {
  if (strcmp(a->anchor, b->anchor) || a->schedule_count != b->schedule_count) return false;
  for (int i = 0; i < a->schedule_count; i++) {
    if (strcmp(a->schedule[i].name, b->schedule[i].name) || a->schedule[i].value != b->schedule[i].value) return false;
  }
  return true;
}

static bool alike(const explainer *e, const kernel_row *row, const retc_region *region, const retc_node *node) {
  if (!same_schedule(row->region, region) || row->node->op != node->op || row->node->input_count != node->input_count) {
    return false;
  }
  for (int i = 0; i < node->input_count; i++) {
    if (!retc_shape_equal(shape_of(e, row->node, i), shape_of(e, node, i))) return false;
  }
  return retc_shape_equal(&row->node->type.shape, &node->type.shape);
}

/* ---- why ---- */

static int64_t lanes_of(const explainer *e) { return e->profile->vector_bytes / 4; }

/* Rows x columns accumulators, a row of what they are multiplied with, and the number that multiplies all of it. */
static void explain_registers(const explainer *e, int64_t rows, int64_t columns) {
  const int64_t vectors = retc_ceil_div(columns, lanes_of(e));
  retc_text_printf(e->text, "    %" PRId64 " x %" PRId64 " sums are %" PRId64 " vectors of %" PRId64 " lanes, %" PRId64
                   " with their operands; the CPU has %" PRId64 " registers%s\n", rows, columns, rows * vectors,
                   lanes_of(e), rows * vectors + vectors + 1, e->profile->vector_registers,
                   rows * vectors + vectors + 1 > e->profile->vector_registers ? " and takes them in parts" : "");
}

/* By the CPU's tiles; which order sums of bf16 are in is part of the arithmetic. */
static bool explain_tiles(const explainer *e, const retc_node *node, int64_t rows) {
  const bool by_tiles = retc_contract_uses_tiles(node, e->profile);
  if (node->op == RETC_OP_CONTRACT_BF16) {
    retc_text_printf(e->text, "    sums of bf16 products are in the order of %s\n", node->attributes.word);
  }
  if (by_tiles) {
    retc_text_printf(e->text, "    %" PRId64 " x %d sums are %" PRId64 " tiles of 16 x 16, four at a time\n", rows,
                     RETC_PANEL, retc_ceil_div(rows, 16) * RETC_PANEL / 16);
  }
  return by_tiles;
}

static void explain_contract(const explainer *e, const kernel_row *row) {
  const retc_shape *weight = shape_of(e, row->node, 1);
  const int64_t rows = retc_schedule_get(row->region, "rows", 0), block = retc_schedule_get(row->region, "block", 0);
  const int64_t panels = retc_schedule_get(row->region, "panels", 0), all = retc_ceil_div(weight->dim[0], RETC_PANEL);
  if (!explain_tiles(e, row->node, rows) && rows) explain_registers(e, rows, RETC_PANEL);
  if (block) {
    const int64_t together = retc_schedule_get(row->region, "together", 1),
                  part = retc_schedule_get(row->region, "depth", 1);
    const int64_t bytes =
        block * (part * (int64_t)retc_dtype_size(retc_contract_row_dtype(row->node)) + together * RETC_PANEL * 4);
    retc_text_printf(e->text,
                     "    blocks of %" PRId64 " rows, %" PRId64 " of k at a time, read once for %" PRId64
                     " of a task's "
                     "panels: rows and sums are %" PRId64 " KiB,\n    which half of the second-level cache of %" PRId64
                     " KiB is for; such that a product reads the fewest bytes\n",
                     block, part, together, bytes / 1024, e->profile->l2_bytes / 1024);
  }
  if (panels) {
    retc_text_printf(e->text, "    %" PRId64 " of %" PRId64 " panels of %d outputs a task: %" PRId64 " tasks a block\n",
                     panels, all, RETC_PANEL, retc_ceil_div(all, panels));
  }
}

static void explain_retention(const explainer *e, const kernel_row *row) {
  const retc_shape *state = shape_of(e, row->node, 2);
  explain_registers(e, retc_schedule_get(row->region, "rows", 0), retc_schedule_get(row->region, "columns", 0));
  retc_text_printf(e->text,
                   "    the least modelled time of all rows and columns for chunks of %" PRId64 ", keys of %" PRId64
                   " and values of %" PRId64 "\n    single rows read %" PRId64
                   " columns of the state at a time; %" PRId64 " scores at a time\n",
                   row->node->attributes.integer[0], state->dim[2], state->dim[3],
                   retc_schedule_get(row->region, "wide", 0), retc_schedule_get(row->region, "scores", 0));
  if (!retc_schedule_get(row->region, "panel", 0)) return;
  retc_text_printf(e->text,
                   "    columns of the state are copied close together for the rows of a chunk: %" PRId64 " KiB\n",
                   state->dim[2] * retc_schedule_get(row->region, "columns", 0) * 4 / 1024);
}

static void explain_row(const explainer *e, const kernel_row *row) {
  retc_text_printf(e->text, "%s", row->region->name);
  if (row->count > 1) retc_text_printf(e->text, " and %" PRId64 " like it", row->count - 1);
  retc_text_printf(e->text, ": %s", row->region->anchor);
  for (int i = 0; i < row->region->schedule_count; i++) {
    retc_text_printf(e->text, "%s%s=%" PRId64, i ? ", " : " ", row->region->schedule[i].name,
                     row->region->schedule[i].value);
  }
  retc_text_add(e->text, "\n");
  if (!strcmp(row->region->anchor, "contract")) explain_contract(e, row);
  else if (!strcmp(row->region->anchor, "retention")) explain_retention(e, row);
  else if (!row->region->schedule_count)
    retc_text_add(e->text, "    one loop over its rows: there is nothing to choose\n");
}

/* ---- the chunk length ---- */

enum { CHUNK_LEAST = 8, CHUNK_MOST = 512 };

/* Bytes of state and rows that a token reads and writes in one head, the state's update shared out. */
static double decode_bytes(const retc_network *network, double chunk) {
  const double keys = (double)network->key_width, values = (double)network->value_width;
  return 4 * (keys * values * (1 + 2 / chunk) + (chunk + 1) / 2 * (keys + values));
}

/* Multiply-adds of a token in one head of a long prompt. */
static double prompt_work(const retc_network *network, double chunk) {
  const double keys = (double)network->key_width, values = (double)network->value_width;
  return 2 * keys * values + (chunk + 1) / 2 * (keys + values);
}

static void explain_chunk(const retc_network *network, int64_t chosen, retc_text *text) {
  int64_t best = CHUNK_LEAST;
  retc_text_add(
      text,
      "chunk length: KiB a token reads of its state and rows, and 1000 multiply-adds a token of a prompt, a head\n");
  for (int64_t chunk = CHUNK_LEAST; chunk <= CHUNK_MOST; chunk *= 2) {
    if (decode_bytes(network, (double)chunk) < decode_bytes(network, (double)best)) best = chunk;
    retc_text_printf(text, "  %4" PRId64 "  %8.1f KiB  %8.1f%s\n", chunk, decode_bytes(network, (double)chunk) / 1024,
                     prompt_work(network, (double)chunk) / 1000, chunk == chosen ? "  (this program's)" : "");
  }
  retc_text_printf(text,
                   "recommended: %" PRId64 ", with which a token reads least; this program has %" PRId64
                   ". It is part of the "
                   "arithmetic: --chunk chooses it\n",
                   best, chosen);
}

void retc_explain_schedule(const retc_compilation *compilation, const retc_network *network, retc_text *out_text) {
  retc_arena arena;
  retc_arena_init(&arena);
  const retc_target_profile *profile = &compilation->profile;
  explainer e = {.graph = compilation->graphs.items[0], .profile = profile, .text = out_text};
  const retc_members members = retc_graph_members(e.graph, &arena);
  const retc_uses uses = retc_graph_uses(e.graph, &arena);
  RETC_VEC(kernel_row) rows = {0};
  for (uint32_t r = 1; r < e.graph->regions.count; r++) {
    const retc_value node = retc_anchor_member(e.graph, &members, &uses, (retc_region_id){r});
    if (!node.index) continue;
    const retc_region *region = &e.graph->regions.items[r];
    size_t i = 0;
    while (i < rows.count && !alike(&e, &rows.items[i], region, retc_graph_node(e.graph, node))) i++;
    if (i < rows.count) rows.items[i].count++;
    else RETC_VEC_PUSH(&arena, rows, ((kernel_row){region, retc_graph_node(e.graph, node), 1}));
  }
  retc_text_printf(out_text,
                   "CPU profile %s: vectors of %" PRId64 " bytes, %" PRId64 " registers, first-level cache %" PRId64
                   " KiB, second-level cache %" PRId64 " KiB, dot instructions: %s\n",
                   profile->name, profile->vector_bytes, profile->vector_registers, profile->l1_bytes / 1024,
                   profile->l2_bytes / 1024, profile->dots ? profile->dots : "unknown");
  for (size_t i = 0; i < rows.count; i++) explain_row(&e, &rows.items[i]);
  explain_chunk(network, compilation->facts.chunk_length, out_text);
  retc_arena_deinit(&arena);
}
