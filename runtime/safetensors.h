/* Checkpoints: one safetensors file, or the shards of an index, mapped read-only; or tensors of random numbers, which
 * exist nowhere and are made as they are read. And a writer.
 * Format: u64 little-endian header length, JSON header, raw little-endian row-major data.
 * All headers are checked whole before anything is handed out: length, JSON, dtypes, shapes against offsets, offsets
 * within the file and not overlapping, duplicate names. RETC_INVALID names file, tensor, what was found and
 * expected. */
#ifndef RETC_RUNTIME_SAFETENSORS_H
#define RETC_RUNTIME_SAFETENSORS_H

#include "base/dtype.h"
#include "base/file.h"
#include "base/shape.h"
#include "base/status.h"

enum { RETC_FILE_RANK_MAX = 8 };

/* Numbers that depend on seed, tensor name and index alone: uniform in mean +- spread. */
typedef struct retc_random_numbers {
  uint64_t key; /* of seed and name */
  float mean, spread;
} retc_random_numbers;

typedef struct retc_stored_tensor {
  const char *name;
  const char *file; /* path of the file that holds it, for messages */
  retc_dtype dtype;
  int rank;
  int64_t dim[RETC_FILE_RANK_MAX];
  const void *data; /* mapped; as aligned as the file has it. NULL: random numbers */
  int64_t count;    /* elements */
  retc_random_numbers random;
} retc_stored_tensor;

typedef struct retc_checkpoint retc_checkpoint;

/* One file by its path. */
retc_status retc_checkpoint_open_file(const char *path, retc_diagnostics *diagnostics,
                                      retc_checkpoint **out_checkpoint);
/* Of a directory: model.safetensors, or the shards that model.safetensors.index.json lists ("weight_map"). */
retc_status retc_checkpoint_open_directory(const char *path, retc_diagnostics *diagnostics,
                                           retc_checkpoint **out_checkpoint);
/* Of tensors without data, which are copied: they hold random numbers, with keys that are set here. `path` stands for
 * a file in messages. */
retc_status retc_checkpoint_create_random(const char *path, const retc_stored_tensor *tensors, size_t count,
                                          uint64_t seed, retc_diagnostics *diagnostics,
                                          retc_checkpoint **out_checkpoint);
void retc_checkpoint_destroy(retc_checkpoint *checkpoint);
/* Adds the tensors of `other` whose names `checkpoint` has not; `other` is taken over, also after a failure. */
retc_status retc_checkpoint_merge(retc_checkpoint *checkpoint, retc_checkpoint *other, retc_diagnostics *diagnostics);

/* What was opened: the one file, or the index; for messages. */
const char *retc_checkpoint_path(const retc_checkpoint *checkpoint);
size_t retc_checkpoint_count(const retc_checkpoint *checkpoint);
/* In name order. */
const retc_stored_tensor *retc_checkpoint_at(const retc_checkpoint *checkpoint, size_t index);
/* NULL when there is none. */
const retc_stored_tensor *retc_checkpoint_find(const retc_checkpoint *checkpoint, const char *name);

/* Elements [first, first + count), 0 < count. Where they are mapped, or made in `buffer`, which has room for them and
 * is aligned to their type; it may be NULL for a mapped tensor. */
const void *retc_stored_tensor_read(const retc_stored_tensor *tensor, int64_t first, int64_t count, void *buffer);
/* All elements, as `dtype`. */
void retc_stored_tensor_convert(const retc_stored_tensor *tensor, retc_dtype dtype, void *target);

typedef struct retc_tensor_to_write {
  const char *name;
  retc_dtype dtype;
  int rank;
  int64_t dim[RETC_FILE_RANK_MAX];
  const void *data;
} retc_tensor_to_write;
/* Tensors are written in name order without gaps; the file appears when it is complete. */
retc_status retc_safetensors_write(const char *path, const retc_tensor_to_write *tensors, size_t count,
                                   retc_diagnostics *diagnostics);

#endif
