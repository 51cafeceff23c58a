/* Safetensors by hand.
 *   arrays make FILE NAME:DTYPE:SHAPE:NUMBERS...   SHAPE is 2x3, or - of a scalar; NUMBERS are =1,2,3, or ~SEED: random
 *                                                  ones in (-1, 1), or ~SEED%N: random integers 0..N-1
 *   ... NAME@FILE                                  the tensor of another file
 *   ... NAME@FILE:AXIS:FIRST:COUNT                 a slice of it
 *   arrays print FILE NAME                         the numbers, one a line */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tool.h"

enum { TENSORS_MAX = 64 };

/* The part of `*rest` before the next colon. */
static char *take_part(char **rest, const char *what) {
  char *part = strsep(rest, ":");
  if (!part || !*part || !*rest) tool_fail("expected NAME:DTYPE:SHAPE:NUMBERS, the %s is missing", what);
  return part;
}

static void read_shape(char *text, retc_tensor_to_write *tensor, int64_t *out_count) {
  *out_count = 1;
  if (!strcmp(text, "-")) return;
  for (char *word; (word = strsep(&text, "x"));) {
    if (tensor->rank == RETC_FILE_RANK_MAX) tool_fail("%s: more than %d axes", tensor->name, RETC_FILE_RANK_MAX);
    tensor->dim[tensor->rank++] = tool_integer(word);
    *out_count *= tool_integer(word);
  }
}

static double random_number(uint64_t *state, int64_t below) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  if (below) return (double)((*state >> 33) % (uint64_t)below);
  return (double)(*state >> 33) / 1073741824.0 - 1.0;
}

static void read_numbers(const char *text, const retc_tensor_to_write *tensor, int64_t count, void *data) {
  char *end;
  if (*text == '~') {
    uint64_t state = strtoull(text + 1, &end, 10);
    int64_t below = *end == '%' ? tool_integer(end + 1) : 0;
    if (*end && *end != '%') tool_fail("%s: %s is not ~SEED or ~SEED%%N", tensor->name, text);
    for (int64_t i = 0; i < count; i++) retc_dtype_store(tensor->dtype, data, (size_t)i, random_number(&state, below));
    return;
  }
  if (*text != '=') tool_fail("%s: the numbers begin with = or ~", tensor->name);
  for (int64_t i = 0; i < count; i++) {
    retc_dtype_store(tensor->dtype, data, (size_t)i, strtod(text + 1, &end));
    if (end == text + 1 || *end != (i + 1 < count ? ',' : '\0'))
      tool_fail("%s: not %lld numbers", tensor->name, (long long)count);
    text = end;
  }
}

static void copy_slice(const retc_stored_tensor *from, int axis, int64_t first, retc_tensor_to_write *to, void *data) {
  size_t inner = retc_dtype_size(from->dtype);
  int64_t outer = 1;
  for (int i = 0; i < axis; i++) outer *= from->dim[i];
  for (int i = axis + 1; i < from->rank; i++) inner *= (size_t)from->dim[i];
  for (int64_t i = 0; i < outer; i++) {
    const char *source = (const char *)from->data + (size_t)(i * from->dim[axis] + first) * inner;
    memcpy((char *)data + (size_t)(i * to->dim[axis]) * inner, source, (size_t)to->dim[axis] * inner);
  }
}

/* FILE[:AXIS:FIRST:COUNT] */
static void copy_tensor(char *spec, retc_tensor_to_write *tensor) {
  const char *path = strsep(&spec, ":");
  retc_checkpoint *file = tool_open(path);
  const retc_stored_tensor *from = retc_checkpoint_find(file, tensor->name);
  if (!from) tool_fail("%s: has no tensor %s", path, tensor->name);
  tensor->dtype = from->dtype;
  tensor->rank = from->rank;
  memcpy(tensor->dim, from->dim, sizeof tensor->dim);
  int64_t axis = spec ? tool_integer(take_part(&spec, "axis")) : 0;
  int64_t first = spec ? tool_integer(take_part(&spec, "first")) : 0;
  if (axis < 0 || axis >= from->rank) tool_fail("%s: %s has no axis %lld", path, tensor->name, (long long)axis);
  if (spec) tensor->dim[axis] = tool_integer(spec);
  if (first < 0 || tensor->dim[axis] < 0 || first + tensor->dim[axis] > from->dim[axis]) {
    tool_fail("%s: %s is not as long", path, tensor->name);
  }
  void *data = malloc((size_t)from->count * retc_dtype_size(from->dtype) + 1);
  if (!data) tool_fail("out of memory");
  copy_slice(from, (int)axis, first, tensor, data);
  tensor->data = data;
  retc_checkpoint_destroy(file);
}

static void make_tensor(char *spec, retc_tensor_to_write *tensor) {
  int64_t count;
  char *at = strchr(spec, '@');
  if (at) {
    *at = '\0';
    *tensor = (retc_tensor_to_write){.name = spec};
    copy_tensor(at + 1, tensor);
    return;
  }
  *tensor = (retc_tensor_to_write){.name = take_part(&spec, "name")};
  const char *dtype = take_part(&spec, "dtype");
  if (!retc_dtype_parse(dtype, strlen(dtype), &tensor->dtype)) tool_fail("%s: an unknown dtype", tensor->name);
  read_shape(take_part(&spec, "shape"), tensor, &count);
  void *data = calloc((size_t)count + 1, retc_dtype_size(tensor->dtype));
  if (!data) tool_fail("out of memory");
  read_numbers(spec, tensor, count, data);
  tensor->data = data;
}

static int make(const char *path, char **specs, int count) {
  retc_tensor_to_write tensors[TENSORS_MAX];
  retc_diagnostics diagnostics;
  if (count > TENSORS_MAX) tool_fail("more than %d tensors", TENSORS_MAX);
  for (int i = 0; i < count; i++) make_tensor(specs[i], &tensors[i]);
  retc_diagnostics_init(&diagnostics);
  if (retc_safetensors_write(path, tensors, (size_t)count, &diagnostics) != RETC_OK) {
    tool_fail("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  for (int i = 0; i < count; i++) free((void *)tensors[i].data);
  return 0;
}

static int print(const char *path, const char *name) {
  retc_checkpoint *file = tool_open(path);
  const retc_stored_tensor *tensor = retc_checkpoint_find(file, name);
  if (!tensor) tool_fail("%s: has no tensor %s", path, name);
  for (int64_t i = 0; i < tensor->count; i++)
    printf("%.17g\n", retc_dtype_load(tensor->dtype, tensor->data, (size_t)i));
  retc_checkpoint_destroy(file);
  return 0;
}

int main(int count, char **words) {
  if (count >= 4 && !strcmp(words[1], "make")) return make(words[2], words + 3, count - 3);
  if (count == 4 && !strcmp(words[1], "print")) return print(words[2], words[3]);
  tool_fail("usage: arrays make FILE NAME:DTYPE:SHAPE:NUMBERS... | arrays print FILE NAME");
}
