#include "tests/tools/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tool_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(2);
}

int tool_main(int count, char **words, const tool_command *commands, size_t command_count) {
  for (size_t i = 0; count > 1 && i < command_count; i++) {
    bool named = strcmp(commands[i].name, words[1]) == 0;
    if (named && commands[i].word_count == count - 2) return commands[i].run(words + 2);
  }
  fprintf(stderr, "usage:\n");
  for (size_t i = 0; i < command_count; i++) fprintf(stderr, "  %s %s\n", commands[i].name, commands[i].words);
  return 2;
}

int64_t tool_integer(const char *text) {
  char *end;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end) tool_fail("\"%s\" is not an integer", text);
  return value;
}

double tool_number(const char *text) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end) tool_fail("\"%s\" is not a number", text);
  return value;
}

retc_checkpoint *tool_open(const char *path) {
  retc_checkpoint *checkpoint;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_checkpoint_open_file(path, &diagnostics, &checkpoint) != RETC_OK) {
    tool_fail("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  return checkpoint;
}

const retc_stored_tensor *tool_tensor(const retc_checkpoint *checkpoint, const char *path, const char *name,
                                      retc_dtype dtype, int rank) {
  const retc_stored_tensor *tensor = retc_checkpoint_find(checkpoint, name);
  if (!tensor) tool_fail("%s: no tensor %s", path, name);
  if (tensor->dtype != dtype || tensor->rank != rank) {
    tool_fail("%s: %s is %s of rank %d, expected %s of rank %d", path, name, retc_dtype_name(tensor->dtype),
              tensor->rank, retc_dtype_name(dtype), rank);
  }
  return tensor;
}

json_t *tool_json(const char *path) {
  json_error_t error;
  json_t *root = json_load_file(path, 0, &error);
  if (!root) tool_fail("%s:%d: %s", path, error.line, error.text);
  return root;
}
