/* The state of the pass `fuse` and the two kinds of rows of fusions.def. */
#ifndef RETC_COMPILER_FUSE_H
#define RETC_COMPILER_FUSE_H

#include "backends/target.h"
#include "compiler/retention_pattern.h"
#include "ir/graph.h"

typedef struct retc_fuse_region {
  const char *anchor;
  uint32_t node;             /* the anchor */
  int size;                  /* nodes that have their home here */
  RETC_VEC(uint32_t) nodes;  /* these */
  int products;              /* of the same rows, in a region around products */
  bool *acted;               /* by fusion row */
  const retc_retention *retention; /* of a region around a retention; else NULL */
} retc_fuse_region;

typedef struct retc_fuse_state {
  const retc_graph *graph;
  retc_arena *arena;
  retc_uses uses;
  bool gpu;   /* the regions are to be kernels of one */
  const retc_target_profile *profile;
  bool *is_output;
  uint32_t *home;  /* of each node: the region that computes and stores it, 0: none yet */
  uint32_t *claim; /* of each node: the retention region that it belongs to, 0: none */
  bool *is_source; /* the node is one that a retention reads through, with a copy of its own */
  bool *direct;    /* the node is wanted as it lies in memory */
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

/* Whether the node is rounded to a type that only memory holds: then nobody computes it for himself. */
bool retc_fuse_is_rounding(const retc_node *node);

/* The rows as tables, for fuse.c and fuse_write.c: growths first, then prologues. */
size_t retc_fusion_count(void);
const char *retc_fusion_name(size_t index);
/* The row by which `user` computes its operand `node` itself; -1: it does not. */
int retc_fuse_find_prologue(const retc_fuse_state *state, uint32_t user, uint32_t node);

/* The second half of the pass (fuse_write.c): the graph in regions, in an order in which a state is replaced only after
 * everybody has read it. */
retc_status retc_fuse_write(retc_fuse_state *state, retc_diagnostics *diagnostics, retc_graph **out_graph);

#endif
