/* Sizes of the retention kernel's blocks (lower_retention.c) for a CPU, by a model of what they cost. */
#include "base/number.h"
#include "compiler/anchors.h"
#include "compiler/pass.h"

enum { SCORE_LANES = 32 };

/* Half cycles that one step of depth takes for rows x vectors accumulators: two fma or two loads a cycle, and an
 * accumulator is ready again after four. */
static int64_t step_cost(int64_t rows, int64_t vectors) {
  enum { LATENCY = 8 };
  return retc_larger(retc_larger(rows * vectors, rows + vectors), LATENCY);
}

/* Of all rows of a chunk with all value columns: steps of depth, and what a tile takes to begin and to end. */
static int64_t tile_cost(int64_t chunk, int64_t depth, int64_t all, int64_t rows, int64_t vectors) {
  enum { TILE_OVERHEAD = 80 };
  int64_t whole = all / vectors, rest = all % vectors;
  int64_t cost = whole * (depth * step_cost(rows, vectors) + TILE_OVERHEAD);
  if (rest) cost += depth * step_cost(rows, rest) + TILE_OVERHEAD;
  return cost * retc_ceil_div(chunk, rows);
}

/* Parts of the value columns that a head is cut into, so that all cores have about as much to do for one row of a
 * batch. Every part makes the scores itself, about an eighth of a head's work. */
static int64_t choose_parts(const retc_target_profile *profile, int64_t heads, int64_t values, int64_t lanes) {
  enum { SCORES = 8, PARTS_MAX = 8 };
  int64_t best = 1, least = 0;
  for (int64_t parts = 1; parts <= PARTS_MAX && values % (parts * lanes) == 0; parts *= 2) {
    int64_t cost =
        retc_ceil_div(heads * parts, retc_larger(profile->cores, 1)) * (PARTS_MAX * SCORES / parts + PARTS_MAX);
    if (least && cost * 20 >= least * 19) continue;
    least = cost;
    best = parts;
  }
  return best;
}

void retc_anchor_retention_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                    retc_region *region) {
  const retc_shape *state = &retc_graph_node(graph, node->inputs[2])->type.shape;
  int64_t chunk = node->attributes.integer[0], depth = state->dim[2];
  int64_t lanes = retc_larger(profile->vector_bytes / 4, 4), all = retc_ceil_div(state->dim[3], lanes);
  int64_t registers = retc_larger(profile->vector_registers, 16), best = 0, rows = 4, vectors = 1;
  for (int64_t r = 8; r >= 4; r -= 2) {
    /* Accumulators, a row of values, and the one that all of it is multiplied by. */
    for (int64_t v = 1; v <= retc_smaller((registers - 1) / (r + 1), all); v++) {
      int64_t cost = tile_cost(retc_larger(chunk, r), depth, all, r, v);
      if (best && cost >= best) continue;
      best = cost;
      rows = r;
      vectors = v;
    }
  }
  retc_schedule_set(region, "rows", rows);
  retc_schedule_set(region, "columns", vectors * lanes);
  if (depth * vectors * lanes * 4 <= profile->l1_bytes * 2 / 3) retc_schedule_set(region, "panel", 1);
  const int64_t parts = choose_parts(profile, state->dim[1], state->dim[3], lanes);
  if (parts > 1) retc_schedule_set(region, "parts", parts);
  retc_schedule_set(region, "wide", registers / 2 * lanes);
  retc_schedule_set(region, "scores",
                    chunk % SCORE_LANES > SCORE_LANES / 2 || !(chunk % SCORE_LANES) ? SCORE_LANES : 16);
}
