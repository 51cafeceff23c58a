/* Makes a safetensors file that takes no room on disk: a header, and data that is a hole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/tools/tool.h"

/* "NAME ROWS COLUMNS" (0 columns: a vector), as the header's entry, with its bytes. */
static json_t *parse_line(char *line, retc_dtype dtype, int64_t begin, int64_t *out_end) {
  char *rest = line;
  const char *name = strsep(&rest, " "), *rows_text = strsep(&rest, " ");
  if (!rest) tool_fail("\"%s\" is not NAME ROWS COLUMNS", name);
  int64_t rows = tool_integer(rows_text), columns = tool_integer(rest);
  *out_end = begin + rows * (columns ? columns : 1) * (int64_t)retc_dtype_size(dtype);
  json_t *shape = json_pack("[I]", (json_int_t)rows);
  if (columns) json_array_append_new(shape, json_integer(columns));
  return json_pack("{ss so s[II]}", "dtype", retc_dtype_file_name(dtype), "shape", shape, "data_offsets",
                   (json_int_t)begin, (json_int_t)*out_end);
}

static int run_make(char **words) {
  retc_dtype dtype;
  if (!retc_dtype_parse_file_name(words[1], &dtype)) tool_fail("no dtype %s", words[1]);
  json_t *root = json_object();
  char line[256];
  int64_t end = 0;
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    json_t *entry = parse_line(line, dtype, end, &end);
    json_object_set_new(root, line, entry);
  }
  char *header = json_dumps(root, JSON_COMPACT);
  size_t length = strlen(header);
  FILE *stream = fopen(words[0], "wb");
  if (!stream) tool_fail("%s: cannot be written", words[0]);
  for (int i = 0; i < 8; i++) fputc((int)(length >> (8 * i) & 255), stream);
  fwrite(header, 1, length, stream);
  if (fclose(stream) || truncate(words[0], 8 + (off_t)length + end)) tool_fail("%s: cannot be written", words[0]);
  free(header);
  json_decref(root);
  return 0;
}

int main(int count, char **words) {
  static const tool_command commands[] = {
      {"make", "OUT DTYPE: of the tensors on stdin, one a line: NAME ROWS COLUMNS (0: a vector)", 2, run_make},
  };
  return tool_main(count, words, commands, sizeof commands / sizeof commands[0]);
}
