/* Damages the header of a safetensors file in place, the data behind it stays; or cuts a file into shards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tool.h"

enum { LENGTH_BYTES = 8 };

/* A whole file: u64 header length, header, data. */
typedef struct contents {
  uint8_t *bytes;
  size_t size, data_at;
} contents;

static contents read_file(const char *path) {
  FILE *stream = fopen(path, "rb");
  if (!stream || fseek(stream, 0, SEEK_END)) tool_fail("%s: cannot be read", path);
  contents file = {.size = (size_t)ftell(stream)};
  rewind(stream);
  file.bytes = malloc(file.size + 1);
  if (!file.bytes || fread(file.bytes, 1, file.size, stream) != file.size || file.size < LENGTH_BYTES) {
    tool_fail("%s: cannot be read", path);
  }
  fclose(stream);
  for (int i = 0; i < LENGTH_BYTES; i++) file.data_at |= (size_t)file.bytes[i] << (8 * i);
  file.data_at += LENGTH_BYTES;
  if (file.data_at > file.size) tool_fail("%s: its header is damaged already", path);
  return file;
}

static int write_file(const char *path, uint64_t length, const char *header, const contents *file) {
  uint8_t prefix[LENGTH_BYTES];
  for (int i = 0; i < LENGTH_BYTES; i++) prefix[i] = (uint8_t)(length >> (8 * i));
  FILE *stream = fopen(path, "wb");
  if (!stream) tool_fail("%s: cannot be written", path);
  fwrite(prefix, 1, LENGTH_BYTES, stream);
  fwrite(header, 1, strlen(header), stream);
  fwrite(file->bytes + file->data_at, 1, file->size - file->data_at, stream);
  if (fclose(stream)) tool_fail("%s: cannot be written", path);
  free(file->bytes);
  return 0;
}

static json_t *parse_header(const contents *file, const char *path) {
  json_t *root = json_loadb((const char *)file->bytes + LENGTH_BYTES, file->data_at - LENGTH_BYTES, 0, NULL);
  if (!root) tool_fail("%s: its header is damaged already", path);
  return root;
}

static int write_json(const char *path, json_t *root, const contents *file) {
  char *header = json_dumps(root, JSON_COMPACT);
  int status = write_file(path, strlen(header), header, file);
  free(header);
  json_decref(root);
  return status;
}

static int run_header(char **words) {
  contents file = read_file(words[0]);
  return write_file(words[0], strlen(words[1]), words[1], &file);
}

static int run_length(char **words) {
  contents file = read_file(words[0]);
  file.data_at = LENGTH_BYTES;
  return write_file(words[0], strtoull(words[1], NULL, 10), "", &file);
}

static json_t *entry(json_t *root, const char *path, const char *name) {
  json_t *found = json_object_get(root, name);
  if (!found) tool_fail("%s: no tensor %s", path, name);
  return found;
}

static int run_drop(char **words) {
  contents file = read_file(words[0]);
  json_t *root = parse_header(&file, words[0]);
  entry(root, words[0], words[1]);
  json_object_del(root, words[1]);
  return write_json(words[0], root, &file);
}

static int run_rename(char **words) {
  contents file = read_file(words[0]);
  json_t *root = parse_header(&file, words[0]);
  json_object_set(root, words[2], entry(root, words[0], words[1]));
  json_object_del(root, words[1]);
  return write_json(words[0], root, &file);
}

static int run_set(char **words) {
  contents file = read_file(words[0]);
  json_t *root = parse_header(&file, words[0]);
  json_t *value = json_loads(words[3], JSON_DECODE_ANY, NULL);
  if (!value) tool_fail("%s is not JSON", words[3]);
  json_object_set_new(entry(root, words[0], words[1]), words[2], value);
  return write_json(words[0], root, &file);
}

/* The tensors first .. first+count-1 of a checkpoint as one file. */
static void write_shard(const retc_checkpoint *from, size_t first, size_t count, const char *path) {
  retc_tensor_to_write *tensors = calloc(count + 1, sizeof *tensors);
  if (!tensors) tool_fail("out of memory");
  for (size_t i = 0; i < count; i++) {
    const retc_stored_tensor *tensor = retc_checkpoint_at(from, first + i);
    tensors[i] = (retc_tensor_to_write){tensor->name, tensor->dtype, tensor->rank, {0}, tensor->data};
    memcpy(tensors[i].dim, tensor->dim, sizeof tensor->dim);
  }
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_safetensors_write(path, tensors, count, &diagnostics) != RETC_OK) {
    tool_fail("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  free(tensors);
}

static int run_shard(char **words) {
  retc_checkpoint *from = tool_open(words[0]);
  size_t shards = (size_t)tool_integer(words[1]), count = retc_checkpoint_count(from), total = 0;
  if (shards < 1 || shards > count) tool_fail("%s: %zu tensors, %s shards", words[0], count, words[1]);
  json_t *map = json_object();
  for (size_t s = 0; s < shards; s++) {
    size_t first = s * count / shards, behind = (s + 1) * count / shards;
    char name[64], path[4096];
    snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", s + 1, shards);
    snprintf(path, sizeof path, "%s/%s", words[2], name);
    write_shard(from, first, behind - first, path);
    for (size_t i = first; i < behind; i++) {
      const retc_stored_tensor *tensor = retc_checkpoint_at(from, i);
      total += (size_t)tensor->count * retc_dtype_size(tensor->dtype);
      json_object_set_new(map, tensor->name, json_string(name));
    }
  }
  json_t *root = json_pack("{s{sI}so}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
  char path[4096];
  snprintf(path, sizeof path, "%s/model.safetensors.index.json", words[2]);
  if (!root || json_dump_file(root, path, JSON_INDENT(2))) tool_fail("%s: cannot be written", path);
  json_decref(root);
  retc_checkpoint_destroy(from);
  return 0;
}

int main(int count, char **words) {
  static const tool_command commands[] = {
      {"drop", "FILE NAME: without this tensor", 2, run_drop},
      {"rename", "FILE NAME NEW: under another name", 3, run_rename},
      {"set", "FILE NAME KEY JSON: another dtype, shape or data_offsets", 4, run_set},
      {"header", "FILE TEXT: this header", 2, run_header},
      {"shard", "FILE N DIR: its tensors as N files in DIR, with an index as published models have it", 3, run_shard},
      {"length", "FILE N: N as the length of the header, which stays as it is", 2, run_length},
  };
  return tool_main(count, words, commands, sizeof commands / sizeof commands[0]);
}
