/* The frame of a graph pass: copy node by node into a new graph through a map from old to new values. */
#ifndef RETC_COMPILER_REWRITE_H
#define RETC_COMPILER_REWRITE_H

#include "ir/graph.h"

typedef struct retc_rewrite {
  const retc_graph *in;
  retc_builder builder; /* on the new graph */
  retc_value *map;      /* new value of each old one; on the new graph's arena */
} retc_rewrite;

void retc_rewrite_init(retc_rewrite *rewrite, const retc_graph *in, retc_diagnostics *diagnostics);
/* Copies one node with its inputs mapped, and maps it. Origin comes along. */
retc_value retc_rewrite_copy(retc_rewrite *rewrite, uint32_t node);
/* Copies the outputs, unless the pass has added its own, and hands the new graph over; on failure destroys it. */
retc_status retc_rewrite_finish(retc_rewrite *rewrite, retc_graph **out_graph);

#endif
