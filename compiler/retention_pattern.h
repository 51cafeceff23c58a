/* The retention that `expand` makes, found again around its scan: before fuse, which makes one region of it, and after,
 * where lowering writes that region's loops. What differs from it anywhere is no retention and is lowered piece by
 * piece. */
#ifndef RETC_COMPILER_RETENTION_PATTERN_H
#define RETC_COMPILER_RETENTION_PATTERN_H

#include "ir/graph.h"

enum { RETC_RETENTION_NODES_MAX = 24 };

typedef struct retc_retention {
  retc_value scan;
  retc_value q_rows, k_rows, v_rows;             /* on the grid: `chunk`, or a `repeat` of it */
  retc_value log_decay, position, start;
  retc_value output, end;                        /* results: rows off the grid; the last state, or none */
  retc_value score_sum, state_peak;              /* further results [b,t,h,1], or none */
  /* Within: decayed keys, their products with the values; scores, their mask, both; the in-chunk part, the cross part,
   * that one decayed, the sum of both. */
  retc_value decayed, update, scores, mask, masked, inner, cross, crossed, sum;
  retc_value members[RETC_RETENTION_NODES_MAX];  /* what the region computes, results included */
  int member_count;
  retc_value sources[RETC_RETENTION_NODES_MAX];  /* what it reads through: chunks, repeats, decay constants */
  int source_count;
} retc_retention;

/* False when `scan` is no retention, or one that its kernel does not cover. `uses` are the graph's. */
bool retc_retention_find(const retc_graph *graph, const retc_uses *uses, retc_value scan,
                         retc_retention *out_retention);

#endif
