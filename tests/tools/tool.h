/* What the test tools share. They are called by scripts: trouble ends them with a message and status 2. */
#ifndef RETC_TESTS_TOOL_H
#define RETC_TESTS_TOOL_H

#include <jansson.h>

#include "runtime/safetensors.h"

void tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* One of a tool's forms: its name, the words that follow it, and what runs when there are as many. */
typedef struct tool_command {
  const char *name, *words;
  int word_count;
  int (*run)(char **words); /* returns the exit status */
} tool_command;
/* Runs the command that the program's first word names, or shows all of them. */
int tool_main(int count, char **words, const tool_command *commands, size_t command_count);

int64_t tool_integer(const char *text);
double tool_number(const char *text);

retc_checkpoint *tool_open(const char *path);
const retc_stored_tensor *tool_tensor(const retc_checkpoint *checkpoint, const char *path, const char *name,
                                      retc_dtype dtype, int rank);
json_t *tool_json(const char *path);

#endif
