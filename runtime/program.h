/* A plan made ready to run: kernels found in an executable, libffi call descriptions prepared, weights bound; and the
 * sessions that run it. */
#ifndef RETC_RUNTIME_PROGRAM_H
#define RETC_RUNTIME_PROGRAM_H

#include "runtime/executable.h"
#include "runtime/plan.h"
#include "runtime/threads.h"
#include "runtime/weights.h"

typedef struct retc_program retc_program;

/* Borrows everything given, which must outlive the program. A kernel that the executable lacks is RETC_INTERNAL. */
retc_status retc_program_create(const retc_plan *plan, const retc_weights *weights, retc_executable *executable,
                                retc_team *team, retc_diagnostics *diagnostics, retc_program **out_program);
void retc_program_destroy(retc_program *program);

typedef struct retc_run retc_run; /* one session's memory: states, scratch slots */

/* Sizes of sessions that step through tokens. */
typedef struct retc_run_options {
  int64_t batch;      /* B */
  int64_t max_tokens; /* largest T of one call */
  int64_t max_logits; /* largest L of one call */
} retc_run_options;

retc_status retc_run_create(retc_program *program, const retc_run_options *options, retc_diagnostics *diagnostics,
                            retc_run **out_run);
/* The same for calls of any entry: memory for dimensions up to `most`, whose B is that of every call. N, where an entry
 * counts chunks with it, follows from T. */
retc_status retc_run_create_for(retc_program *program, const retc_dims *most, retc_diagnostics *diagnostics,
                                retc_run **out_run);
void retc_run_destroy(retc_run *run);
/* States to zero, position 0, no padding, no end. */
void retc_run_reset(retc_run *run);

/* Bytes that a session takes beside its arguments, and all sessions share; INT64_MAX when they do not fit. */
typedef struct retc_run_sizes {
  int64_t weights;    /* shared: weights as packed, and constants */
  int64_t states;     /* all B rows */
  int64_t scratch;    /* slots, outputs included */
  int64_t per_thread; /* the kernels' private memory */
} retc_run_sizes;
retc_run_sizes retc_run_measure(const retc_plan *plan, const retc_run_options *options);

/* An input or state of an entry, by the name it is declared with. */
typedef struct retc_run_input {
  const char *name;
  retc_dtype dtype;
  retc_shape shape; /* all constant */
  const void *data; /* row-major, aligned to its element; borrowed for the call */
} retc_run_input;

/* Runs an entry. Every input of kind input is to be given; a state that is given takes this value before. dims: all
 * that the entry uses, scalars included; its N is set here where the entry has a chunk grid. Everything is checked
 * before anything runs, RETC_INVALID: an unknown entry or input, a missing one, another dtype or shape than is
 * declared, a dimension that is too large, a number that is no row of the table it is looked up in. */
retc_status retc_run_call(retc_run *run, const char *entry, const retc_dims *dims, const retc_run_input *inputs,
                          size_t count, retc_diagnostics *diagnostics);
/* When a thread began a step of an entry and when it was done, in seconds of CLOCK_MONOTONIC. */
typedef struct retc_run_span {
  double begin, end;
} retc_run_span;
/* From now on every call writes spans[thread * steps of the entry + step], borrowed; NULL: none any more. A GPU is one
 * thread, whose calls begin at 0. */
void retc_run_set_spans(retc_run *run, retc_run_span *spans);
/* What a step took, of an entry of so many: its longest part, since threads need not begin it together. */
double retc_run_step_seconds(const retc_run_span *spans, size_t steps, size_t step, int threads);
int retc_run_threads(const retc_run *run);
/* An output of the last entry run, or a state; NULL when there is none of that name. out_dtype and out_shape (all
 * constant) may be NULL. Lent until the next call. */
const void *retc_run_find_output(const retc_run *run, const char *name, retc_dtype *out_dtype, retc_shape *out_shape);

/* Sessions: entries "step" and "state" of a program that reads tokens i64[B,T] (and pads i64[B]) at position P. */

int64_t retc_run_position(const retc_run *run);
/* Goes on from another position with the states as they are: as after other tokens, which only a benchmark wants. A
 * multiple of the chunk length. */
void retc_run_set_position(retc_run *run, int64_t position);
int64_t retc_run_batch(const retc_run *run);
int64_t retc_run_max_tokens(const retc_run *run);
int64_t retc_run_max_logits(const retc_run *run);
/* The input "pads" i64[B]: how many tokens each row begins with that are padding. Zero at first and after a reset;
 * to be set before the first step. Read only by plans that were made for padded rows. */
void retc_run_set_padding(retc_run *run, const int64_t *counts);
/* The position from which on tokens stand for zero vectors (dimension E); none at first and after a reset. */
void retc_run_set_end(retc_run *run, int64_t position);
/* Entry "step" on tokens[B,T] (row stride `row_stride` tokens), 1 <= T <= max_tokens, wanting the last L logits;
 * advances the position by T. RETC_INVALID for a token outside the vocabulary, before anything runs. */
retc_status retc_run_step(retc_run *run, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                          int64_t logit_count, retc_diagnostics *diagnostics);
/* The same of the last logits alone, and chooses out_tokens[B] from them, on the GPU where the program runs on one, as
 * retc_sample does: row b with draw number `index` of the seed + b. Choosing fails behind the step. out_tokens may be
 * `tokens`. */
retc_status retc_run_step_sample(retc_run *run, const int64_t *tokens, int64_t token_count, int64_t row_stride,
                                 const retc_sampling *sampling, uint64_t index, retc_diagnostics *diagnostics,
                                 int64_t *out_tokens);
/* Entry "state". */
retc_status retc_run_state(retc_run *run, retc_diagnostics *diagnostics);
/* retc_run_find_output of one in f32; NULL for others. */
const float *retc_run_output(const retc_run *run, const char *name);

#endif
