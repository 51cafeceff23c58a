/* What a user names as MODEL, read and understood but not compiled: a directory with config.json and *.safetensors, a
 * bare config.json (no weights), or a file of program text (docs/ir.md). */
#ifndef RETC_COMPILER_SOURCE_H
#define RETC_COMPILER_SOURCE_H

#include "base/file.h"
#include "compiler/compile.h"
#include "compiler/network.h"
#include "runtime/safetensors.h"

typedef struct retc_source {
  retc_arena arena;
  const char *path;            /* as given */
  retc_checkpoint *checkpoint; /* NULL: a bare config or program text */
  retc_network network;        /* unless it is program text */
  bool is_text;
  retc_file text;
} retc_source;

/* Reads and checks everything: keys, sizes, every tensor the network needs; program text is parsed and verified.
 * RETC_INVALID with one message. */
retc_status retc_source_open(const char *path, retc_diagnostics *diagnostics, retc_source **out_source);
/* The same, then gives a bare config random weights of this seed (network_parameters.h); -1: none. RETC_INVALID when it
 * has weights, or is program text. */
retc_status retc_source_open_random(const char *path, int64_t seed, retc_diagnostics *diagnostics,
                                    retc_source **out_source);
/* The arithmetic of a model's products as a user names it, see retc_network_choose; NULL: the default. */
typedef struct retc_arithmetic_words {
  const char *weights, *math;
} retc_arithmetic_words;
/* RETC_INVALID also for program text, which has its arithmetic in it. */
retc_status retc_source_choose(retc_source *source, const retc_arithmetic_words *words, retc_diagnostics *diagnostics);
void retc_source_destroy(retc_source *source);
/* RETC_INVALID for program text, where a command wants a model. */
retc_status retc_source_want_model(const retc_source *source, retc_diagnostics *diagnostics);

/* Runs the passes on a network, or those that program text has not been through. */
retc_status retc_source_compile(const retc_source *source, const retc_compile_options *options,
                                retc_diagnostics *diagnostics, retc_compilation **out_compilation);

/* Reads a file of program text; "-" is standard input. */
retc_status retc_program_open(const char *path, retc_diagnostics *diagnostics, retc_compilation **out_compilation);

#endif
