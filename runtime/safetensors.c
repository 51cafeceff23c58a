#include "runtime/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/random_numbers.h"

/* A tensor with its place in the data area of its file. */
typedef struct entry {
  retc_stored_tensor tensor; /* the name belongs to the header's JSON until it is copied into a checkpoint */
  int64_t begin, end;
} entry;

typedef struct shard {
  char *path;
  retc_file file;
} shard;

struct retc_checkpoint {
  char *path;
  shard *shards;
  size_t shard_count;
  retc_stored_tensor *tensors; /* in name order; the names are owned */
  size_t count;
};

/* One file's header while it is read. */
typedef struct header {
  const char *path;
  retc_diagnostics *diagnostics;
  json_t *root;
  const uint8_t *data;
  int64_t data_size;
  entry *entries;
  size_t count;
} header;

static retc_status out_of_memory(const char *path, retc_diagnostics *diagnostics) {
  return retc_fail(diagnostics, RETC_FAILED, "%s: out of memory while reading", path);
}

static retc_status parse_object(const char *path, const char *what, const void *text, size_t size,
                                retc_diagnostics *diagnostics, json_t **out_root) {
  json_error_t error;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!root) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: %s is not valid JSON: line %d, column %d: %s", path, what,
                     error.line, error.column, error.text);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return retc_fail(diagnostics, RETC_INVALID, "%s: %s is JSON but not an object", path, what);
  }
  *out_root = root;
  return RETC_OK;
}

static retc_status bad_tensor(const header *h, const char *name, const char *found) {
  return retc_fail(h->diagnostics, RETC_INVALID, "%s: tensor '%s': %s", h->path, name, found);
}

static retc_status read_dtype(const header *h, const char *name, const json_t *value, retc_dtype *out_dtype) {
  const char *text = json_string_value(value);
  if (!text) return bad_tensor(h, name, "\"dtype\" is missing or not a string");
  if (retc_dtype_parse_file_name(text, out_dtype)) return RETC_OK;
  char supported[128] = "";
  for (int i = 0; i < RETC_DTYPE_COUNT; i++) {
    size_t used = strlen(supported);
    snprintf(supported + used, sizeof supported - used, "%s%s", i ? ", " : "", retc_dtype_file_name((retc_dtype)i));
  }
  return retc_fail(h->diagnostics, RETC_INVALID, "%s: tensor '%s': dtype '%s' is not supported, expected one of %s",
                   h->path, name, text, supported);
}

static retc_status read_shape(const header *h, const char *name, const json_t *value, retc_stored_tensor *tensor) {
  if (!json_is_array(value)) return bad_tensor(h, name, "\"shape\" is missing or not an array");
  size_t rank = json_array_size(value);
  if (rank > RETC_FILE_RANK_MAX) {
    return retc_fail(h->diagnostics, RETC_INVALID, "%s: tensor '%s': %zu dimensions, expected at most %d", h->path,
                     name, rank, RETC_FILE_RANK_MAX);
  }
  tensor->rank = (int)rank;
  tensor->count = 1;
  bool empty = false;
  for (size_t i = 0; i < rank; i++) {
    const json_t *item = json_array_get(value, i);
    int64_t dim = json_integer_value(item);
    if (!json_is_integer(item) || dim < 0) {
      return retc_fail(h->diagnostics, RETC_INVALID, "%s: tensor '%s': dimension %zu is not an integer >= 0", h->path,
                       name, i);
    }
    tensor->dim[i] = dim;
    /* Also beside a zero no other dimension may be absurd: strides are products of them. */
    if (dim > 0 && tensor->count > INT64_MAX / 8 / dim) {
      return bad_tensor(h, name, "the dimensions multiply to more than 2^60 elements");
    }
    if (dim == 0) empty = true;
    else tensor->count *= dim;
  }
  if (empty) tensor->count = 0;
  return RETC_OK;
}

static retc_status read_offsets(const header *h, const char *name, const json_t *value, entry *e) {
  const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
  if (json_array_size(value) != 2 || !json_is_integer(first) || !json_is_integer(second)) {
    return bad_tensor(h, name, "\"data_offsets\" is missing or not an array of two integers");
  }
  e->begin = json_integer_value(first);
  e->end = json_integer_value(second);
  const char *problem = NULL;
  if (e->begin < 0) problem = "begin before the data";
  else if (e->end > h->data_size) problem = "end behind the data";
  else if (e->begin > e->end) {
    return retc_fail(h->diagnostics, RETC_INVALID,
                     "%s: tensor '%s': data_offsets [%" PRId64 ", %" PRId64 "] end before they begin", h->path, name,
                     e->begin, e->end);
  }
  if (problem) {
    return retc_fail(h->diagnostics, RETC_INVALID,
                     "%s: tensor '%s': data_offsets [%" PRId64 ", %" PRId64 "] %s, which is %" PRId64 " bytes", h->path,
                     name, e->begin, e->end, problem, h->data_size);
  }
  int64_t expected = e->tensor.count * (int64_t)retc_dtype_size(e->tensor.dtype);
  if (e->end - e->begin != expected) {
    return retc_fail(h->diagnostics, RETC_INVALID,
                     "%s: tensor '%s': data_offsets span %" PRId64 " bytes, expected %" PRId64 " for %" PRId64
                     " elements of %s",
                     h->path, name, e->end - e->begin, expected, e->tensor.count,
                     retc_dtype_file_name(e->tensor.dtype));
  }
  return RETC_OK;
}

static retc_status read_entry(const header *h, const char *name, const json_t *value, entry *e) {
  if (!json_is_object(value)) return bad_tensor(h, name, "the header's value is not an object");
  *e = (entry){.tensor = {.name = name, .file = h->path}};
  RETC_TRY(read_dtype(h, name, json_object_get(value, "dtype"), &e->tensor.dtype));
  RETC_TRY(read_shape(h, name, json_object_get(value, "shape"), &e->tensor));
  RETC_TRY(read_offsets(h, name, json_object_get(value, "data_offsets"), e));
  e->tensor.data = h->data + e->begin;
  return RETC_OK;
}

static int compare_begin(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

static retc_status check_overlaps(header *h) {
  qsort(h->entries, h->count, sizeof *h->entries, compare_begin);
  const entry *last = NULL; /* that is not empty */
  for (size_t i = 0; i < h->count; i++) {
    const entry *e = &h->entries[i];
    if (e->begin == e->end) continue;
    if (last && e->begin < last->end) {
      return retc_fail(h->diagnostics, RETC_INVALID,
                       "%s: tensors '%s' and '%s' overlap: bytes [%" PRId64 ", %" PRId64 "] and [%" PRId64 ", %" PRId64
                       "]",
                       h->path, last->tensor.name, e->tensor.name, last->begin, last->end, e->begin, e->end);
    }
    last = e;
  }
  return RETC_OK;
}

/* Splits the file into header text and data, and parses the text. */
static retc_status open_header(header *h, const retc_file *file) {
  if (file->size < 8) {
    return retc_fail(h->diagnostics, RETC_INVALID, "%s: %zu bytes, too short for a safetensors file (8 at least)",
                     h->path, file->size);
  }
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | file->data[i];
  if (length > file->size - 8) {
    return retc_fail(h->diagnostics, RETC_INVALID,
                     "%s: the header is said to be %" PRIu64 " bytes, the file has %zu after the length: truncated, or "
                     "not a safetensors file",
                     h->path, length, file->size - 8);
  }
  h->data = file->data + 8 + length;
  h->data_size = (int64_t)(file->size - 8 - length);
  return parse_object(h->path, "the safetensors header", file->data + 8, (size_t)length, h->diagnostics, &h->root);
}

static retc_status read_header(header *h, const retc_file *file) {
  RETC_TRY(open_header(h, file));
  h->entries = calloc(json_object_size(h->root) + 1, sizeof *h->entries);
  if (!h->entries) return out_of_memory(h->path, h->diagnostics);
  const char *name;
  json_t *value;
  json_object_foreach(h->root, name, value) {
    if (strcmp(name, "__metadata__") == 0) continue;
    RETC_TRY(read_entry(h, name, value, &h->entries[h->count]));
    h->count++;
  }
  return check_overlaps(h);
}

static void close_header(header *h) {
  json_decref(h->root);
  free(h->entries);
}

/* Copies the header's tensors into the checkpoint; with a weight map only those that the map sends to `shard_name`. */
static retc_status take_tensors(retc_checkpoint *checkpoint, const header *h, const json_t *weight_map,
                                const char *shard_name) {
  size_t room = checkpoint->count + h->count;
  retc_stored_tensor *tensors = realloc(checkpoint->tensors, (room + 1) * sizeof *tensors);
  if (!tensors) return out_of_memory(h->path, h->diagnostics);
  checkpoint->tensors = tensors;
  for (size_t i = 0; i < h->count; i++) {
    const retc_stored_tensor *tensor = &h->entries[i].tensor;
    if (weight_map) {
      const char *place = json_string_value(json_object_get(weight_map, tensor->name));
      if (!place || strcmp(place, shard_name) != 0) continue;
    }
    char *name = strdup(tensor->name);
    if (!name) return out_of_memory(h->path, h->diagnostics);
    tensors[checkpoint->count] = *tensor;
    tensors[checkpoint->count++].name = name;
  }
  return RETC_OK;
}

/* Maps and reads one file into the checkpoint, which has room for one more shard and takes over `path`. */
static retc_status add_file(retc_checkpoint *checkpoint, char *path, const json_t *weight_map, const char *shard_name,
                            retc_diagnostics *diagnostics) {
  shard *s = &checkpoint->shards[checkpoint->shard_count++];
  *s = (shard){.path = path};
  RETC_TRY(retc_file_map(path, diagnostics, &s->file));
  header h = {.path = path, .diagnostics = diagnostics};
  retc_status status = read_header(&h, &s->file);
  if (status == RETC_OK) status = take_tensors(checkpoint, &h, weight_map, shard_name);
  close_header(&h);
  return status;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(((const retc_stored_tensor *)a)->name, ((const retc_stored_tensor *)b)->name);
}

static retc_checkpoint *checkpoint_create(const char *path, size_t shard_room) {
  retc_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
  if (!checkpoint) return NULL;
  checkpoint->path = strdup(path);
  checkpoint->shards = calloc(shard_room + 1, sizeof *checkpoint->shards);
  if (checkpoint->path && checkpoint->shards) return checkpoint;
  retc_checkpoint_destroy(checkpoint);
  return NULL;
}

static retc_status finish(retc_status status, retc_checkpoint *checkpoint, retc_checkpoint **out_checkpoint) {
  if (status != RETC_OK) {
    retc_checkpoint_destroy(checkpoint);
    return status;
  }
  if (checkpoint->count) qsort(checkpoint->tensors, checkpoint->count, sizeof *checkpoint->tensors, compare_names);
  *out_checkpoint = checkpoint;
  return RETC_OK;
}

retc_status retc_checkpoint_open_file(const char *path, retc_diagnostics *diagnostics,
                                      retc_checkpoint **out_checkpoint) {
  *out_checkpoint = NULL;
  retc_checkpoint *checkpoint = checkpoint_create(path, 1);
  char *copy = strdup(path);
  if (!checkpoint || !copy) {
    retc_checkpoint_destroy(checkpoint);
    free(copy);
    return out_of_memory(path, diagnostics);
  }
  return finish(add_file(checkpoint, copy, NULL, NULL, diagnostics), checkpoint, out_checkpoint);
}

/* The sharded case: an index file and the directory it lies in. */
typedef struct shard_index {
  const char *directory, *path;
  retc_diagnostics *diagnostics;
  const json_t *weight_map;
} shard_index;

static retc_status check_shard_name(const shard_index *index, const char *tensor, const json_t *value) {
  const char *name = json_string_value(value);
  if (!name) {
    return retc_fail(index->diagnostics, RETC_INVALID, "%s: weight_map of tensor '%s' is not a string", index->path,
                     tensor);
  }
  if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return retc_fail(index->diagnostics, RETC_INVALID,
                     "%s: weight_map of tensor '%s' is '%s', expected the name of a file beside the index",
                     index->path, tensor, name);
  }
  return RETC_OK;
}

static retc_status add_shard(const shard_index *index, retc_checkpoint *checkpoint, const char *tensor,
                             const char *name) {
  char *path;
  if (asprintf(&path, "%s/%s", index->directory, name) < 0) return out_of_memory(index->path, index->diagnostics);
  if (!retc_path_exists(path)) {
    retc_status status = retc_fail(index->diagnostics, RETC_INVALID,
                                   "%s: the shard is missing that %s lists for tensor '%s'", path, index->path, tensor);
    free(path);
    return status;
  }
  return add_file(checkpoint, path, index->weight_map, name, index->diagnostics);
}

/* Every tensor of the map was taken from its shard, and nothing else was; so the first that lacks is found by name. */
static retc_status check_complete(const shard_index *index, retc_checkpoint *checkpoint) {
  if (checkpoint->count == json_object_size(index->weight_map)) return RETC_OK;
  if (checkpoint->count) qsort(checkpoint->tensors, checkpoint->count, sizeof *checkpoint->tensors, compare_names);
  const char *tensor;
  json_t *value;
  json_object_foreach((json_t *)index->weight_map, tensor, value) {
    if (retc_checkpoint_find(checkpoint, tensor)) continue;
    return retc_fail(index->diagnostics, RETC_INVALID, "%s/%s: has no tensor '%s', which %s says it holds",
                     index->directory, json_string_value(value), tensor, index->path);
  }
  return RETC_OK;
}

static retc_status read_shards(const shard_index *index, retc_checkpoint *checkpoint) {
  json_t *seen = json_object();
  if (!seen) return out_of_memory(index->path, index->diagnostics);
  retc_status status = RETC_OK;
  const char *tensor;
  json_t *value;
  json_object_foreach((json_t *)index->weight_map, tensor, value) {
    status = check_shard_name(index, tensor, value);
    if (status != RETC_OK) break;
    const char *name = json_string_value(value);
    if (json_object_get(seen, name)) continue;
    status = json_object_set_new(seen, name, json_true()) == 0 ? add_shard(index, checkpoint, tensor, name)
                                                               : out_of_memory(index->path, index->diagnostics);
    if (status != RETC_OK) break;
  }
  json_decref(seen);
  return status == RETC_OK ? check_complete(index, checkpoint) : status;
}

static retc_status open_index(const char *directory, const char *path, const json_t *root,
                              retc_diagnostics *diagnostics, retc_checkpoint **out_checkpoint) {
  shard_index index = {directory, path, diagnostics, json_object_get(root, "weight_map")};
  if (!json_is_object(index.weight_map)) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: \"weight_map\" is missing or not an object", path);
  }
  retc_checkpoint *checkpoint = checkpoint_create(path, json_object_size(index.weight_map));
  if (!checkpoint) return out_of_memory(path, diagnostics);
  return finish(read_shards(&index, checkpoint), checkpoint, out_checkpoint);
}

static retc_status open_index_file(const char *directory, const char *path, retc_diagnostics *diagnostics,
                                   retc_checkpoint **out_checkpoint) {
  retc_file file;
  json_t *root = NULL;
  RETC_TRY(retc_file_map(path, diagnostics, &file));
  retc_status status = parse_object(path, "the index", file.data ? (const char *)file.data : "", file.size,
                                    diagnostics, &root);
  retc_file_unmap(&file);
  RETC_TRY(status);
  status = open_index(directory, path, root, diagnostics, out_checkpoint);
  json_decref(root);
  return status;
}

retc_status retc_checkpoint_open_directory(const char *path, retc_diagnostics *diagnostics,
                                           retc_checkpoint **out_checkpoint) {
  *out_checkpoint = NULL;
  char *single = NULL, *index = NULL;
  retc_status status;
  if (asprintf(&single, "%s/model.safetensors", path) < 0) return out_of_memory(path, diagnostics);
  if (asprintf(&index, "%s.index.json", single) < 0) {
    free(single);
    return out_of_memory(path, diagnostics);
  }
  if (retc_path_exists(single)) status = retc_checkpoint_open_file(single, diagnostics, out_checkpoint);
  else if (retc_path_exists(index)) status = open_index_file(path, index, diagnostics, out_checkpoint);
  else {
    status = retc_fail(diagnostics, RETC_INVALID,
                       "%s: neither model.safetensors nor model.safetensors.index.json in this directory", path);
  }
  free(single);
  free(index);
  return status;
}

retc_status retc_checkpoint_create_random(const char *path, const retc_stored_tensor *tensors, size_t count,
                                          uint64_t seed, retc_diagnostics *diagnostics,
                                          retc_checkpoint **out_checkpoint) {
  *out_checkpoint = NULL;
  retc_checkpoint *checkpoint = checkpoint_create(path, 0);
  if (!checkpoint) return out_of_memory(path, diagnostics);
  checkpoint->tensors = calloc(count + 1, sizeof *checkpoint->tensors);
  retc_status status = checkpoint->tensors ? RETC_OK : out_of_memory(path, diagnostics);
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    retc_stored_tensor *tensor = &checkpoint->tensors[i];
    *tensor = tensors[i];
    tensor->name = strdup(tensors[i].name);
    if (!tensor->name) {
      status = out_of_memory(path, diagnostics);
      break;
    }
    checkpoint->count++;
    tensor->file = checkpoint->path;
    tensor->data = NULL;
    tensor->random.key = retc_random_key(seed, tensor->name);
    tensor->count = 1;
    for (int d = 0; d < tensor->rank; d++) tensor->count *= tensor->dim[d];
  }
  return finish(status, checkpoint, out_checkpoint);
}

void retc_checkpoint_destroy(retc_checkpoint *checkpoint) {
  if (!checkpoint) return;
  for (size_t i = 0; i < checkpoint->count; i++) free((char *)checkpoint->tensors[i].name);
  for (size_t i = 0; i < checkpoint->shard_count; i++) {
    retc_file_unmap(&checkpoint->shards[i].file);
    free(checkpoint->shards[i].path);
  }
  free(checkpoint->tensors);
  free(checkpoint->shards);
  free(checkpoint->path);
  free(checkpoint);
}

/* The files of both stay mapped as those of one. */
static retc_status take_over(retc_checkpoint *checkpoint, retc_checkpoint *other, retc_diagnostics *diagnostics) {
  size_t shards = checkpoint->shard_count + other->shard_count, tensors = checkpoint->count + other->count;
  shard *all_shards = realloc(checkpoint->shards, (shards + 1) * sizeof *all_shards);
  if (!all_shards) return out_of_memory(other->path, diagnostics);
  checkpoint->shards = all_shards;
  retc_stored_tensor *all_tensors = realloc(checkpoint->tensors, (tensors + 1) * sizeof *all_tensors);
  if (!all_tensors) return out_of_memory(other->path, diagnostics);
  checkpoint->tensors = all_tensors;
  for (size_t i = 0; i < other->shard_count; i++) all_shards[checkpoint->shard_count++] = other->shards[i];
  other->shard_count = 0;
  size_t own = checkpoint->count, left = 0;
  for (size_t i = 0; i < other->count; i++) {
    const bool known = own && bsearch(&other->tensors[i], all_tensors, own, sizeof *all_tensors, compare_names);
    if (known) other->tensors[left++] = other->tensors[i];
    else all_tensors[checkpoint->count++] = other->tensors[i];
  }
  other->count = left;
  if (checkpoint->count) qsort(all_tensors, checkpoint->count, sizeof *all_tensors, compare_names);
  return RETC_OK;
}

retc_status retc_checkpoint_merge(retc_checkpoint *checkpoint, retc_checkpoint *other, retc_diagnostics *diagnostics) {
  retc_status status = take_over(checkpoint, other, diagnostics);
  retc_checkpoint_destroy(other);
  return status;
}

const char *retc_checkpoint_path(const retc_checkpoint *checkpoint) { return checkpoint->path; }

size_t retc_checkpoint_count(const retc_checkpoint *checkpoint) { return checkpoint->count; }

const retc_stored_tensor *retc_checkpoint_at(const retc_checkpoint *checkpoint, size_t index) {
  return &checkpoint->tensors[index];
}

const retc_stored_tensor *retc_checkpoint_find(const retc_checkpoint *checkpoint, const char *name) {
  if (checkpoint->count == 0) return NULL;
  retc_stored_tensor key = {.name = name};
  return bsearch(&key, checkpoint->tensors, checkpoint->count, sizeof key, compare_names);
}
