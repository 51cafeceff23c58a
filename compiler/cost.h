/* What running a step of a plan costs by its mathematics: the work that no implementation of the same operations can do
 * without. Rates and shares that are reported anywhere are made of these numbers.
 *
 * flop   2 M N K of every product; of retention, for every head and token at row i of its chunk, 2 K (i + 1) for the
 *        scores, 2 V (i + 1) for their product with the values and 2 K V for the state it reads, and 2 K V for every
 *        row of a chunk that this call completes. Of the final state (`flush`) 2 K V for each row of the unfinished
 *        chunk. A product over the chunk grid that is no part of a retention counts whole chunks, since that is what
 *        it computes.
 *        Nothing else counts: no rows that fill up a tile or a chunk, no masked half, no pointwise work, no reductions.
 * bytes  of weights as they lie in memory, filling of panels, scales and constants included, once a step; of a gathered
 *        table the rows taken; of states what is read or replaced: all of S once, and again when the call completes a
 *        chunk, and of pending rows those that are there (read) or that this call adds (written); and of the rows of
 *        tokens what the step reads and what it writes, once each.
 * Numbers are exact; a double holds them. */
#ifndef RETC_COMPILER_COST_H
#define RETC_COMPILER_COST_H

#include "compiler/compile.h"

typedef struct retc_cost {
  double flop;
  double weight_bytes, state_bytes, row_bytes;
} retc_cost;

/* The dims of a call: `batch` rows of `tokens` tokens from `position` on, `last` positions of which logits are wanted.
 * `chunk_length` and `grid_start` are the entry's (runtime/plan.h). */
retc_dims retc_cost_dims(const retc_plan_entry *entry, int64_t batch, int64_t tokens, int64_t position, int64_t last);

/* Of one step of an entry. False when it is not known, because the program was read as kernels and has no graphs. */
bool retc_cost_of_step(const retc_compilation *compilation, size_t entry, size_t step, const retc_dims *dims,
                       retc_cost *out_cost);
/* Of all of its steps. */
bool retc_cost_of_entry(const retc_compilation *compilation, size_t entry, const retc_dims *dims, retc_cost *out_cost);

double retc_cost_bytes(const retc_cost *cost);

#endif
