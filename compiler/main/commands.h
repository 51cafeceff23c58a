/* The commands of the `retc` program, and what they share. */
#ifndef RETC_MAIN_COMMANDS_H
#define RETC_MAIN_COMMANDS_H

#include "base/status.h"
#include "base/text.h"
#include "compiler/main/arguments.h"
#include "compiler/source.h"

/* `words` are those behind the command's name. RETC_FAILED without a message: nobody reads stdout any more. */
retc_status retc_run_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_eval_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_dump_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_compile_command(int count, char **words, retc_diagnostics *diagnostics);
retc_status retc_ops_command(int count, char **words, retc_diagnostics *diagnostics);

/* Bounds of --chunk and --threads. */
enum { RETC_CHUNK_MAX = 1 << 20, RETC_THREADS_MAX = 1024 };

/* As retc_arguments_parse, and prints the help when it is asked for. */
retc_status retc_command_begin(const retc_syntax *syntax, int count, char **words, retc_diagnostics *diagnostics,
                               const char **out_positional, bool *out_help);

/* Data to stdout, at once. RETC_FAILED without a message when the reader is gone. */
retc_status retc_output_write(const void *data, size_t size, retc_diagnostics *diagnostics);

/* Bytes to stdout that never end inside a UTF-8 character while more may come: at most 3 bytes wait. Bytes that are not
 * UTF-8 pass as they are. */
typedef struct retc_utf8_stream {
  unsigned char waiting[4];
  size_t count;
} retc_utf8_stream;
/* Takes a byte; *out_ready gets the bytes that can go now, at most 4. Returns their number. */
size_t retc_utf8_stream_add(retc_utf8_stream *stream, unsigned char byte, unsigned char out_ready[4]);

/* A line on stderr that is rewritten and cleared; nothing when stderr is not a terminal. */
void retc_progress_show(const char *what, int64_t done, int64_t total);
void retc_progress_clear(void);

/* Whether the model's tokens are bytes: 256 of them and no tokenizer. Otherwise RETC_INVALID, and `hint` says in the
 * message what to do. */
retc_status retc_source_check_bytes(const retc_source *source, const char *hint, retc_diagnostics *diagnostics);

#endif
