/* The commands of the `retc` program, and what they share. */
#ifndef RETC_MAIN_COMMANDS_H
#define RETC_MAIN_COMMANDS_H

#include "base/status.h"
#include "base/text.h"
#include "compiler/compile.h"
#include "compiler/main/arguments.h"
#include "compiler/source.h"

/* `words` are those behind the command's name. RETC_FAILED without a message: nobody reads stdout any more. */
retc_status retc_run_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_eval_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_verify_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_bench_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_explain_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_dump_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_opt_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_compile_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_ops_command(int count, char **words, retc_diagnostics *diagnostics);

/* Bound of --threads; that of --chunk is RETC_CHUNK_MAX. */
enum { RETC_THREADS_MAX = 1024 };

/* A row of a syntax table, for retc_arithmetic_words; --math is among the options of targets. */
#define RETC_WEIGHTS_OPTION(words) \
  {"weights", 0, "TYPE", "of matrices in memory: f32, f16, bf16, int8 or int4 (as stored)", RETC_OPTION_TEXT, \
   &(words).weights, 0, 0}

#define RETC_CPU_OPTION(cpu) \
  {"cpu", 0, "NAME", "whose code is made: x86-64-v3, znver4, host, ...; NAME,no-tiles: without AMX (this machine's)", \
   RETC_OPTION_TEXT, &(cpu), 0, 0}

/* As retc_arguments_parse, and prints the help when it is asked for. */
retc_status retc_command_begin(const retc_syntax *syntax, int count, char **words, retc_diagnostics *diagnostics,
                               const char **out_positional, bool *out_help);

/* Data to stdout, at once. RETC_FAILED without a message when the reader is gone. */
retc_status retc_output_write(const void *data, size_t size, retc_diagnostics *diagnostics);

/* A line on stderr that is rewritten and cleared; nothing when stderr is not a terminal. */
void retc_progress_show(const char *what, int64_t done, int64_t total);
void retc_progress_clear(void);

#endif
