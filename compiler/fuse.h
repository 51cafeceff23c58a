/* The state of the pass `fuse` and the two kinds of rows of fusions.def. */
#ifndef RETC_COMPILER_FUSE_H
#define RETC_COMPILER_FUSE_H

#include "ir/graph.h"

typedef struct retc_fuse_region {
  const char *anchor;
  uint32_t node;   /* the anchor */
  bool *acted;     /* by fusion row */
} retc_fuse_region;

typedef struct retc_fuse_state {
  const retc_graph *graph;
  retc_arena *arena;
  retc_uses uses;
  bool *is_output;
  uint32_t *home; /* of each node: the region that computes and stores it, 0: none yet */
  bool *direct;   /* the node is wanted as it lies in memory */
  RETC_VEC(retc_fuse_region) regions; /* items[0] unused */
} retc_fuse_state;

/* The region that node should move into, or 0. */
typedef uint32_t (*retc_growth_match)(const retc_fuse_state *state, uint32_t node);
/* Whether `user` can compute its operand number `operand`, which is `node`, itself. */
typedef bool (*retc_prologue_accept)(const retc_fuse_state *state, uint32_t user, int operand, uint32_t node);

#define RETC_GROWTH(name, meaning) uint32_t retc_growth_##name(const retc_fuse_state *state, uint32_t node);
#define RETC_PROLOGUE(name, meaning) \
  bool retc_prologue_##name(const retc_fuse_state *state, uint32_t user, int operand, uint32_t node);
#include "compiler/fusions.def"
#undef RETC_GROWTH
#undef RETC_PROLOGUE

#endif
