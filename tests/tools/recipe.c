/* Writes the weights of a case that has a recipe in their place, and checks them against the case's CRC-32s.
 * A line of recipe.txt is "INDEX NAME OFFSET SCALE DIM..." or "buffer NAME COUNT BITS...", BITS an F32 in hex; element
 * i of the first kind is OFFSET + SCALE * (2n + 1 - 65536) / 65536, n the upper 16 bits of mix(INDEX << 32 | i). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tool.h"

enum { TENSORS_MAX = 1024 };

typedef struct recipe {
  const char *path;
  retc_tensor_to_write tensors[TENSORS_MAX];
  size_t count;
} recipe;

/* The output function of splitmix64. */
static uint64_t mix(uint64_t x) {
  uint64_t z = x + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* zlib's. */
static uint32_t crc32_of(const void *data, size_t size) {
  uint32_t table[256], crc = ~0u;
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int bit = 0; bit < 8; bit++) table[i] = table[i] & 1 ? 0xEDB88320u ^ (table[i] >> 1) : table[i] >> 1;
  }
  for (const uint8_t *byte = data; size > 0; byte++, size--) crc = table[(crc ^ *byte) & 255] ^ (crc >> 8);
  return ~crc;
}

static const char *next_word(const recipe *r, char **rest) {
  const char *word = strsep(rest, " ");
  if (!word || !*word) tool_fail("%s: line %zu of tensors: a word is missing", r->path, r->count + 1);
  return word;
}

static float *allocate(const recipe *r, int64_t count) {
  if (count < 1 || count > INT32_MAX) {
    tool_fail("%s: line %zu of tensors: %lld elements", r->path, r->count + 1, (long long)count);
  }
  float *data = malloc((size_t)count * sizeof *data);
  if (!data) tool_fail("out of memory");
  return data;
}

static void add_buffer(recipe *r, retc_tensor_to_write *tensor, char **rest) {
  tensor->name = strdup(next_word(r, rest));
  tensor->rank = 1;
  tensor->dim[0] = tool_integer(next_word(r, rest));
  float *data = allocate(r, tensor->dim[0]);
  for (int64_t i = 0; i < tensor->dim[0]; i++) {
    uint32_t bits = (uint32_t)strtoul(next_word(r, rest), NULL, 16);
    memcpy(&data[i], &bits, sizeof bits);
  }
  tensor->data = data;
}

static void add_parameter(recipe *r, retc_tensor_to_write *tensor, uint64_t index, char **rest) {
  int64_t count = 1;
  tensor->name = strdup(next_word(r, rest));
  double offset = tool_number(next_word(r, rest)), scale = tool_number(next_word(r, rest));
  while (*rest) {
    int64_t dim = tool_integer(next_word(r, rest));
    if (tensor->rank == RETC_FILE_RANK_MAX || dim < 1 || dim > INT32_MAX / count) {
      tool_fail("%s: %s: too large", r->path, tensor->name);
    }
    tensor->dim[tensor->rank++] = dim;
    count *= dim;
  }
  float *data = allocate(r, count);
  for (int64_t i = 0; i < count; i++) {
    double n = (double)(mix(index << 32 | (uint64_t)i) >> 48);
    data[i] = (float)(offset + scale * ((2 * n + 1 - 65536) / 65536));
  }
  tensor->data = data;
}

static void read_recipe(recipe *r) {
  FILE *stream = fopen(r->path, "r");
  if (!stream) tool_fail("%s: cannot be opened", r->path);
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stream) > 0) {
    line[strcspn(line, "\n")] = 0;
    if (!*line || *line == '#') continue;
    if (r->count == TENSORS_MAX) tool_fail("%s: more than %d tensors", r->path, TENSORS_MAX);
    retc_tensor_to_write *tensor = &r->tensors[r->count];
    *tensor = (retc_tensor_to_write){.dtype = RETC_DTYPE_F32};
    char *rest = line;
    const char *first = next_word(r, &rest);
    if (strcmp(first, "buffer") == 0) add_buffer(r, tensor, &rest);
    else add_parameter(r, tensor, (uint64_t)tool_integer(first), &rest);
    r->count++;
  }
  free(line);
  fclose(stream);
}

static size_t bytes_of(const retc_tensor_to_write *tensor) {
  size_t bytes = sizeof(float);
  for (int i = 0; i < tensor->rank; i++) bytes *= (size_t)tensor->dim[i];
  return bytes;
}

/* Every tensor that case.json lists was made, with its bits. */
static void check(const recipe *r, const char *case_path) {
  json_t *root = tool_json(case_path), *item;
  const json_t *list = json_object_get(json_object_get(root, "recipe"), "tensors");
  if (json_array_size(list) == 0) tool_fail("%s: no recipe.tensors", case_path);
  size_t i;
  json_array_foreach(list, i, item) {
    const char *name, *expected;
    if (json_unpack(item, "{ssss}", "name", &name, "crc32", &expected)) {
      tool_fail("%s: recipe.tensors[%zu]: no name and crc32", case_path, i);
    }
    const retc_tensor_to_write *tensor = r->tensors, *end = r->tensors + r->count;
    while (tensor < end && strcmp(tensor->name, name) != 0) tensor++;
    if (tensor == end) tool_fail("%s: no tensor %s", r->path, name);
    uint32_t found = crc32_of(tensor->data, bytes_of(tensor));
    if (found != (uint32_t)strtoul(expected, NULL, 16)) {
      tool_fail("%s: %s has CRC-32 %08" PRIx32 ", expected %s", r->path, name, found, expected);
    }
  }
  json_decref(root);
}

static int run_make(char **words) {
  char path[4096], case_path[4096];
  snprintf(path, sizeof path, "%s/recipe.txt", words[0]);
  snprintf(case_path, sizeof case_path, "%s/case.json", words[0]);
  recipe r = {.path = path};
  read_recipe(&r);
  check(&r, case_path);
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_safetensors_write(words[1], r.tensors, r.count, &diagnostics) != RETC_OK) {
    tool_fail("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  for (size_t i = 0; i < r.count; i++) {
    free((char *)r.tensors[i].name);
    free((void *)r.tensors[i].data);
  }
  return 0;
}

int main(int count, char **words) {
  static const tool_command commands[] = {
      {"make", "DIR OUT: the safetensors file of DIR/recipe.txt, checked against DIR/case.json", 2, run_make},
  };
  return tool_main(count, words, commands, sizeof commands / sizeof commands[0]);
}
