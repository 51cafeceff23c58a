/* Makes files of input_ids for `retc eval --tokens`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tool.h"

static int write_tokens(const char *path, int64_t batch, int64_t count, const int64_t *ids) {
  retc_tensor_to_write tensor = {"input_ids", RETC_DTYPE_I64, 2, {batch, count}, ids};
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_safetensors_write(path, &tensor, 1, &diagnostics) != RETC_OK) {
    tool_fail("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  return 0;
}

static int64_t *allocate(int64_t count) {
  int64_t *ids = calloc((size_t)count + 1, sizeof *ids);
  if (!ids) tool_fail("out of memory");
  return ids;
}

static int run_ids(char **words) {
  int64_t *ids = allocate((int64_t)strlen(words[1])), count = 0;
  char *rest = words[1];
  for (char *word; *words[1] && (word = strsep(&rest, ","));) ids[count++] = tool_integer(word);
  int status = write_tokens(words[0], 1, count, ids);
  free(ids);
  return status;
}

static int run_random(char **words) {
  uint64_t state = (uint64_t)tool_integer(words[1]);
  int64_t batch = tool_integer(words[2]), count = tool_integer(words[3]), vocabulary = tool_integer(words[4]);
  if (batch < 0 || count < 0 || vocabulary < 1) tool_fail("B and T are at least 0, V is at least 1");
  int64_t *ids = allocate(batch * count);
  for (int64_t i = 0; i < batch * count; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    ids[i] = (int64_t)((state >> 33) % (uint64_t)vocabulary);
  }
  int status = write_tokens(words[0], batch, count, ids);
  free(ids);
  return status;
}

/* Rows first .. first+batch-1 of a file, cut to `count` tokens (< 0: all). */
static int copy_part(const char *path, const char *from, int64_t first, int64_t batch, int64_t count) {
  retc_checkpoint *checkpoint = tool_open(from);
  const retc_stored_tensor *tensor = tool_tensor(checkpoint, from, "input_ids", RETC_DTYPE_I64, 2);
  if (batch < 0) batch = tensor->dim[0];
  if (count < 0) count = tensor->dim[1];
  if (first < 0 || first + batch > tensor->dim[0] || count > tensor->dim[1]) tool_fail("%s: not as many tokens", from);
  int64_t *ids = allocate(batch * count);
  for (int64_t b = 0; b < batch; b++) {
    const uint8_t *row = (const uint8_t *)tensor->data + (size_t)((first + b) * tensor->dim[1]) * sizeof *ids;
    memcpy(ids + b * count, row, (size_t)count * sizeof *ids);
  }
  int status = write_tokens(path, batch, count, ids);
  free(ids);
  retc_checkpoint_destroy(checkpoint);
  return status;
}

static int run_row(char **words) { return copy_part(words[0], words[1], tool_integer(words[2]), 1, -1); }
static int run_prefix(char **words) { return copy_part(words[0], words[1], 0, -1, tool_integer(words[2])); }

/* input_ids of a file, and a tensor beside them. */
static int run_beside(char **words) {
  retc_checkpoint *checkpoint = tool_open(words[1]);
  const retc_stored_tensor *ids = tool_tensor(checkpoint, words[1], "input_ids", RETC_DTYPE_I64, 2);
  int64_t *items = allocate((int64_t)strlen(words[3])), count = 0;
  char *rest = words[3];
  for (char *word; (word = strsep(&rest, ","));) items[count++] = tool_integer(word);
  if (count % ids->dim[0]) tool_fail("%lld numbers are no rows of equal length", (long long)count);
  const retc_tensor_to_write tensors[] = {
      {"input_ids", RETC_DTYPE_I64, 2, {ids->dim[0], ids->dim[1]}, ids->data},
      {words[2], RETC_DTYPE_I64, 2, {ids->dim[0], count / ids->dim[0]}, items},
  };
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_safetensors_write(words[0], tensors, 2, &diagnostics) != RETC_OK) {
    tool_fail("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  free(items);
  retc_checkpoint_destroy(checkpoint);
  return 0;
}

int main(int count, char **words) {
  static const tool_command commands[] = {
      {"ids", "OUT 1,2,3: one row", 2, run_ids},
      {"random", "OUT SEED B T V: B rows of T tokens below V", 5, run_random},
      {"row", "OUT IN I: row I of IN alone", 3, run_row},
      {"beside", "OUT IN NAME 1,2,3: input_ids of IN, and NAME of as many rows", 4, run_beside},
      {"prefix", "OUT IN T: the first T tokens of each row of IN", 3, run_prefix},
  };
  return tool_main(count, words, commands, sizeof commands / sizeof commands[0]);
}
