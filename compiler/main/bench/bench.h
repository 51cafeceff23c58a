/* What the files of `retc bench` share. */
#ifndef RETC_BENCH_BENCH_H
#define RETC_BENCH_BENCH_H

#include "compiler/cost.h"
#include "compiler/driver/engine.h"
#include "compiler/main/bench/bench_machine.h"
#include "compiler/main/commands.h"
#include "compiler/main/target.h"

typedef struct retc_bench_options {
  const char *cpu, *trace;
  retc_build_target target;
  bool gpu;
  retc_arithmetic_words arithmetic;
  int64_t batch, prompt, tokens, threads, chunk, rounds, seed;
  int64_t *positions, position_count; /* owned */
  bool json, profile;
} retc_bench_options;

/* Rates are medians over the rounds; shares are of the best that the probes reached. NAN: not measured, or the CPU has
 * no such instruction. */
typedef struct retc_bench_phase {
  double tokens_per_s, flop_per_s, bytes_per_s;
  double share; /* prefill: of the peak of the arithmetic in use; decode: of what reads reach */
  double slowest; /* seconds of the slowest single call */
} retc_bench_phase;

/* Decoding from a position on. */
typedef struct retc_bench_place {
  int64_t position;
  double seconds, slowest; /* of a token: median over the rounds of means over one chunk; the slowest of all */
  /* Of the chunk's tokens, each by the median of the rounds: the one in the middle, and the slowest, which is a chunk's
   * boundary and not what else the machine did for a while. */
  double middle, slowest_middle;
} retc_bench_place;

typedef struct retc_bench {
  const retc_bench_options *options;
  const retc_source *source;
  retc_engine *engine;
  retc_runner *runner;
  retc_machine machine; /* of a GPU only what reading reaches */
  int64_t *tokens; /* [batch, room] */
  int64_t room;
  double compile_cold, compile_cached, load;
  retc_probe_kind arithmetic; /* of products */
  retc_bench_phase prefill, decode;
  retc_bench_place *places; /* [options->position_count] */
  int64_t decode_bytes;     /* that a step reads at the least */
  int64_t peak_bytes, weight_bytes, state_bytes;
} retc_bench;

/* Compiles, in processes of their own: cold, and from a cache that has it. */
retc_status retc_bench_compile(retc_bench *bench, retc_diagnostics *diagnostics);
/* Loads and runs. */
retc_status retc_bench_measure(retc_bench *bench, retc_diagnostics *diagnostics);

/* One call of so many tokens a row from where the session stands; out_cost may be NULL. */
retc_status retc_bench_step(retc_bench *bench, int64_t tokens, retc_diagnostics *diagnostics, double *out_seconds,
                            retc_cost *out_cost);

/* Sorts the values; NAN of none. */
double retc_bench_median(double *values, int64_t count);

/* Where time goes, kernel by kernel; one prompt and at most one chunk of tokens. */
typedef struct retc_bench_kernel {
  const char *name;
  int64_t calls;
  double seconds; /* of them all; median over the rounds */
  retc_cost cost;
  bool known; /* cost */
  bool blas;  /* where it had blocks, the vendor's library did its work */
} retc_bench_kernel;

typedef struct retc_bench_profile {
  const char *phase;
  retc_bench_kernel *kernels; /* owned; in order of time, those that ran */
  size_t count;
  double seconds;
} retc_bench_profile;
enum { RETC_BENCH_PHASES = 2 };

/* Writes options->trace, too, of the first round, where it is asked for. */
retc_status retc_bench_take_profile(retc_bench *bench, retc_bench_profile out_profiles[RETC_BENCH_PHASES],
                                    retc_diagnostics *diagnostics);

/* `profiles` may be NULL. Prints to stdout; RETC_FAILED, behind the print, for a share above 1. */
retc_status retc_bench_report(const retc_bench *bench, const retc_bench_profile *profiles,
                              retc_diagnostics *diagnostics);

/* Measures the machine's limits now, and keeps what is better than before. */
retc_status retc_bench_measure_limits(retc_bench *bench, retc_diagnostics *diagnostics);

/* What decoding is measured by, in bytes a second. */
double retc_bench_read_ceiling(const retc_bench *bench);

#endif
