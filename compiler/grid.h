/* The chunk grid of a graph: what the named dimension N counts. */
#ifndef RETC_COMPILER_GRID_H
#define RETC_COMPILER_GRID_H

#include "ir/graph.h"

/* Chunk length and the constant position where the grid stands, -1 for the scalar P; a chunk length of 0: no operation
 * of the graph is on a grid. RETC_INVALID when operations disagree, or a position is neither P nor a constant: N is one
 * number, which the caller knows before anything runs. */
retc_status retc_grid_find(const retc_graph *graph, retc_diagnostics *diagnostics, int64_t *out_chunk_length,
                           int64_t *out_start);

#endif
