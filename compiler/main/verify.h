/* `retc verify`: a model run in every form by all engines, and what came of each comparison. */
#ifndef RETC_MAIN_VERIFY_H
#define RETC_MAIN_VERIFY_H

#include "compiler/driver/engine.h"
#include "compiler/main/commands.h"

typedef struct retc_verify_check {
  const char *what;
  const char *input; /* the tokens' name */
  retc_form form;
  int64_t chunk;
  retc_engine_kind engine; /* which is judged */
  double value, limit; /* a limit of INFINITY: told, not judged; any value that is not finite fails */
} retc_verify_check;

typedef struct retc_verify_input {
  const char *name, *origin; /* origin: where they come from */
  const int64_t *tokens; /* [batch, length], rows `stride` apart */
  int64_t batch, length, stride;
  const int64_t *padding; /* [batch], padding tokens that rows begin with; NULL: none */
} retc_verify_input;

/* Inputs that one engine can run: all with padding, or none. */
enum { RETC_VERIFY_GROUP_MAX = 2, RETC_VERIFY_SHORT = 16 };
typedef struct retc_verify_group {
  retc_verify_input inputs[RETC_VERIFY_GROUP_MAX];
  size_t count;
} retc_verify_group;

typedef struct retc_verify {
  const retc_source *source;
  bool gpu;            /* see retc_engine_options */
  retc_math_type math; /* likewise */
  const char *archs;
  const char *cpu;   /* whose code is verified; NULL: this machine's */
  bool json;  /* nothing is printed before the end */
  bool large; /* interpreters see few tokens */
  retc_arena arena;
  RETC_VEC(retc_verify_input) inputs;
  RETC_VEC(retc_verify_check) checks;
} retc_verify;

/* The logits of every position, then the states after the last, as doubles. */
typedef struct retc_verify_array {
  const char *name;
  double *data;
  int64_t rows, count; /* count elements a row of the batch; rows 1: no batch axis */
} retc_verify_array;

typedef struct retc_verify_result {
  retc_verify_array *arrays;
  size_t count;
} retc_verify_result;

/* Feeds `input` to a new runner, in pieces as long as those of `pieces`, over and over; none: all at once. */
retc_status retc_verify_run(retc_engine *engine, const retc_verify_input *input, const int64_t *pieces,
                            size_t piece_count, retc_diagnostics *diagnostics, retc_verify_result *out_result);
void retc_verify_result_deinit(retc_verify_result *result);
/* Numbers whose bits differ from those of `whole`, whose row `row` is the first of `found`. One NaN is another. */
int64_t retc_verify_count_differences(const retc_verify_result *found, const retc_verify_result *whole, int64_t row);

/* Every pass: the program evaluated before and after it on arrays drawn at random, in place of the checkpoint's. */
retc_status retc_verify_passes(retc_verify *verify, retc_diagnostics *diagnostics);
/* Each form and chunk length: compiled kernels against the graph, interpreted kernels against both, of a large model on
 * its first tokens only, and the graph against that of the parallel form. */
retc_status retc_verify_forms(retc_verify *verify, const retc_verify_group *group, retc_diagnostics *diagnostics);
/* A compiled session's bits: in pieces, rows alone, threads, code for another CPU. */
retc_status retc_verify_bits(retc_verify *verify, const retc_verify_group *group, retc_diagnostics *diagnostics);

/* What the kernel interpreter sees of a large model's input. */
retc_verify_input retc_verify_shorten(const retc_verify_input *input);

/* Head of the report, a line of it, and its end with the verdict. */
retc_status retc_verify_begin(const retc_verify *verify, retc_diagnostics *diagnostics);
retc_status retc_verify_add(retc_verify *verify, const retc_verify_check *check, retc_diagnostics *diagnostics);
/* RETC_FAILED without a message when a check failed; the report says which. */
retc_status retc_verify_end(const retc_verify *verify, retc_diagnostics *diagnostics);

/* Numbers in the checkpoint. */
int64_t retc_verify_parameter_count(const retc_source *source);

#endif
