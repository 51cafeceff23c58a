/* When a state may be replaced where it lies, while others still read it: of a graph in regions. */
#ifndef RETC_COMPILER_IN_PLACE_H
#define RETC_COMPILER_IN_PLACE_H

#include "ir/graph.h"

/* Whether the region of `result` reads each element of `state` only to compute the same element of `result`, or before
 * it replaces any. True when the region does not read it at all. */
bool retc_in_place_is_safe(const retc_graph *graph, const retc_members *members, const retc_uses *uses,
                           retc_value result, retc_value state);

/* RETC_INVALID when a region reads a state that a region before it has replaced, or an output cannot take the state's
 * place because it is an input, a constant, or what replaces another state. */
retc_status retc_in_place_check_order(const retc_graph *graph, retc_diagnostics *diagnostics);

#endif
