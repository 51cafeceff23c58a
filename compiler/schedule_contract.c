/* Which products lower_contract.c is for, how their weights lie in memory, and the sizes of its blocks for a CPU. */
#include <string.h>

#include "base/number.h"
#include "compiler/anchors.h"
#include "compiler/lower_contract.h"
#include "runtime/plan.h"

/* A row of it has to fit a private tile. */
enum { DEPTH_MAX = 1 << 20 };
/* Of a task's rows. */
enum { TILE_BYTES = 16 << 20, ROWS_MOST = 512 };

static bool is_matrix_weight(const retc_graph *graph, retc_value value) {
  const retc_node *weight = retc_graph_node(graph, value);
  const retc_shape *shape = &weight->type.shape;
  if (weight->op != RETC_OP_INPUT || strcmp(weight->attributes.word, "weight") || shape->rank != 2) return false;
  return !retc_dim_is_named(shape->dim[0]) && !retc_dim_is_named(shape->dim[1]) && shape->dim[1] <= DEPTH_MAX;
}

bool retc_anchor_contract_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  if (node->op == RETC_OP_CONTRACT_BF16) return is_matrix_weight(graph, node->inputs[1]);
  if (node->op == RETC_OP_CONTRACT_INT8 || node->op == RETC_OP_CONTRACT_SCALED) {
    return is_matrix_weight(graph, node->inputs[1]) && is_matrix_weight(graph, node->inputs[2]);
  }
  if (node->op != RETC_OP_CONTRACT || !is_matrix_weight(graph, node->inputs[1])) return false;
  if (node->type.dtype != RETC_DTYPE_F32) return false;
  retc_contraction spec;
  if (!retc_contraction_parse(node->attributes.word, &spec)) return false;
  int last = retc_graph_node(graph, node->inputs[0])->type.shape.rank - 1;
  if (last < 1) return false; /* one vector has no rows to make blocks of */
  for (int i = 0; i < spec.letter_count; i++) {
    const struct retc_letter *letter = &spec.letters[i];
    bool row = letter->a >= 0 && letter->a == letter->out && letter->b < 0;
    bool column = letter->a < 0 && letter->b == 0 && letter->out == node->type.shape.rank - 1;
    bool summed = letter->a == last && letter->b == 1 && letter->out < 0;
    if (!row && !column && !summed) return false;
  }
  return true;
}

retc_weight_layout retc_contract_layout(const retc_graph *graph, const retc_node *node) {
  if (node->op == RETC_OP_CONTRACT_BF16) return RETC_LAYOUT_PAIRS;
  const retc_dtype dtype = retc_graph_node(graph, node->inputs[1])->type.dtype;
  if (node->op != RETC_OP_CONTRACT_INT8) return dtype == RETC_DTYPE_I4 ? RETC_LAYOUT_HALVES : RETC_LAYOUT_PANEL;
  return dtype == RETC_DTYPE_I4 ? RETC_LAYOUT_NIBBLES : RETC_LAYOUT_QUADS;
}

retc_dtype retc_contract_row_dtype(const retc_node *node) {
  return node->op == RETC_OP_CONTRACT_BF16   ? RETC_DTYPE_BF16
         : node->op == RETC_OP_CONTRACT_INT8 ? RETC_DTYPE_I8
                                             : RETC_DTYPE_F32;
}

bool retc_contract_adds_by_tiles(const retc_node *node) {
  return node->op == RETC_OP_CONTRACT_BF16 && !strcmp(node->attributes.word, "tiles");
}

bool retc_contract_is_widened(const retc_node *node, retc_dtype weight) {
  return node->op == RETC_OP_CONTRACT && weight != RETC_DTYPE_F32;
}

bool retc_contract_uses_tiles(const retc_node *node, const retc_target_profile *profile) {
  return retc_contract_adds_by_tiles(node) || (node->op == RETC_OP_CONTRACT_INT8 && profile->has_tiles);
}

/* Rows of a task, and panels for one reading of their part of k, such that half of the second cache holds that part and
 * the sums: of the equal blocks that `tiles` of rows can be cut into, those that read the fewest bytes for a product,
 * `row_bytes` of a row's number for all panels together and `weight_bytes` of a weight for all rows. */
static void choose_block(int64_t cache, int64_t tiles, int64_t rows, int64_t part, int64_t panels, int64_t row_bytes,
                         int64_t weight_bytes, int64_t *out_block, int64_t *out_together) {
  double least = 0;
  for (int64_t blocks = 1; blocks <= tiles; blocks++) {
    const int64_t block = retc_ceil_div(tiles, blocks) * rows;
    int64_t together = (cache / 2 / block - part * row_bytes) / (RETC_PANEL * 4);
    if (together < 1 && blocks < tiles) continue; /* smaller ones fit */
    together = retc_ceil_div(panels, retc_ceil_div(panels, together < 1 ? 1 : together));
    const double cost = (double)row_bytes / (double)(together * RETC_PANEL) + (double)weight_bytes / (double)block;
    if (least > 0 && cost >= least) continue;
    least = cost;
    *out_block = block;
    *out_together = together;
  }
}

void retc_anchor_contract_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                   retc_region *region) {
  const retc_type *weight = &retc_graph_node(graph, node->inputs[1])->type;
  int64_t panels = retc_ceil_div(weight->shape.dim[0], RETC_PANEL), depth = weight->shape.dim[1];
  int64_t cores = profile->cores > 1 ? profile->cores : 1, group = retc_ceil_div(panels, cores);
  /* Accumulators, one panel row and a broadcast in registers; narrower vectors take a tile in several passes. */
  const bool by_tiles = retc_contract_uses_tiles(node, profile);
  const int64_t rows = by_tiles ? RETC_CONTRACT_TILE_ROWS : 6;
  const int64_t size = (int64_t)retc_dtype_size(retc_contract_row_dtype(node));
  /* Columns that a tile takes at a time, with four registers beside the sums. */
  const int64_t pass = (profile->vector_registers - 4) / rows * (profile->vector_bytes / 4);
  const int64_t columns = by_tiles ? RETC_PANEL : retc_smaller(RETC_PANEL, retc_larger(1, pass));
  /* Two thirds of a core's first cache for the part of those that all rows are multiplied with. Tiles come from the
   * second one as fast as they are multiplied, but it takes time to load and store their sums. Few rows go through the
   * whole panel, as it is stored, once for each of its passes. */
  const int64_t part_bytes = by_tiles ? profile->l2_bytes / 16 : profile->l1_bytes * 2 / 3;
  const int64_t part_most = by_tiles ? 2 * RETC_CONTRACT_DEPTH_PART : RETC_CONTRACT_DEPTH_PART;
  const int64_t stored = RETC_PANEL * (int64_t)retc_dtype_size(weight->dtype);
  int64_t part = part_bytes / retc_larger(columns * size, stored) / RETC_CONTRACT_DEPTH_STEP * RETC_CONTRACT_DEPTH_STEP;
  part = part < RETC_CONTRACT_DEPTH_STEP ? RETC_CONTRACT_DEPTH_STEP : part > part_most ? part_most : part;
  /* A weight is read, and where it is narrower than what it is multiplied with, written widened. */
  const int64_t written = retc_contract_is_widened(node, weight->dtype) ? size : 0;
  const int64_t weight_bytes = (int64_t)retc_dtype_size(weight->dtype) + written;
  /* More rows than the most do not make what is done once a block cheaper. */
  int64_t fit = TILE_BYTES / (depth * size) / rows, most = retc_ceil_div(ROWS_MOST, rows), block = rows, together = 1;
  fit = fit < 1 ? 1 : fit > most ? most : fit;
  choose_block(profile->l2_bytes, fit, rows, part, group, size, weight_bytes, &block, &together);
  retc_schedule_set(region, "rows", rows);
  retc_schedule_set(region, "block", block);
  retc_schedule_set(region, "panels", group);
  /* Where there are fewer panels than cores, rows are split, too. */
  int64_t groups = retc_ceil_div(panels, group);
  retc_schedule_set(region, "blocks", cores / groups > 1 ? cores / groups : 1);
  retc_schedule_set(region, "depth", part);
  retc_schedule_set(region, "together", together);
}
