/* Runs a program at any stage by the interpreters: graphs in float64, kernels in their declared types. */
#ifndef RETC_COMPILER_EVALUATE_H
#define RETC_COMPILER_EVALUATE_H

#include "compiler/arrays.h"
#include "compiler/compile.h"

/* What an entry wants from its caller. */
typedef struct retc_entry_input {
  const char *name;
  const char *kind; /* "input", "weight", "state" */
  retc_type type;
} retc_entry_input;

typedef struct retc_entry_inputs {
  RETC_VEC(retc_entry_input) list;
  const char *file; /* that the arrays come from, for messages; NULL: none */
} retc_entry_inputs;

/* The entries: graphs, the plan's entries, or, of kernels without a plan, the kernels themselves, whose parameters are
 * inputs when read, outputs when written and states when both. */
size_t retc_entry_count(const retc_compilation *compilation);
const char *retc_entry_name(const retc_compilation *compilation, size_t index);
/* NULL: the first. Otherwise RETC_INVALID with the nearest name. */
retc_status retc_entry_find(const retc_compilation *compilation, const char *name, retc_diagnostics *diagnostics,
                            size_t *out_entry);
/* On `arena`; the names are lent by the compilation. Scalars of the call (P, E) are not among them. */
retc_entry_inputs retc_entry_get_inputs(const retc_compilation *compilation, size_t entry, retc_arena *arena);

/* RETC_INVALID when an array of `dtype` cannot be taken for the input: integers (bools too) go for integers, whatever
 * is floating point for a weight that is, all else has the dtype that is declared. */
retc_status retc_entry_check_dtype(const retc_entry_inputs *inputs, const retc_entry_input *input, retc_dtype dtype,
                                   retc_diagnostics *diagnostics);
/* Of a program of kernels alone: gives it a plan with one entry that runs this kernel. */
retc_status retc_entry_plan_kernel(retc_compilation *compilation, size_t entry, retc_diagnostics *diagnostics);

/* The names of what an entry of a plan gives: outputs, and states that it replaces. On `arena`, lent by the plan. */
typedef struct retc_entry_results {
  RETC_VEC(const char *) names;
} retc_entry_results;
retc_entry_results retc_entry_get_results(const retc_compilation *compilation, const retc_plan *plan, size_t entry,
                                          retc_arena *arena);

/* The value of every dimension, from the shapes of the arrays that are given for the inputs and from scalars among the
 * arrays that have a dimension's name. P is 0 when nobody says, E none, L is T, N follows from P, T and the chunk
 * length. RETC_INVALID: a contradiction, named with both inputs; a dimension that the inputs have and nothing tells. */
retc_status retc_bind_dims(const retc_compilation *compilation, const retc_entry_inputs *inputs,
                           const retc_arrays *arrays, retc_diagnostics *diagnostics, retc_dims *out_dims);

/* Outputs of the entry by name, and the new states under theirs. A state that is not given is zero. RETC_INVALID: an
 * input or weight that is not given, or of another dtype or shape (a weight may have any dtype of floating point).
 * RETC_FAILED: what the kernel interpreter found. */
retc_status retc_evaluate(const retc_compilation *compilation, size_t entry, const retc_dims *dims,
                          const retc_arrays *arrays, retc_diagnostics *diagnostics, retc_arrays *out_arrays);

#endif
