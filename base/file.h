/* Files: mapped whole for reading, written beside and renamed. */
#ifndef RETC_BASE_FILE_H
#define RETC_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct retc_file {
  const uint8_t *data; /* read-only; NULL when size is 0 */
  size_t size;
} retc_file;

/* RETC_INVALID when it cannot be opened or is not a regular file (a directory is named as such). */
retc_status retc_file_map(const char *path, retc_diagnostics *diagnostics, retc_file *out_file);
void retc_file_unmap(retc_file *file);

bool retc_path_is_directory(const char *path);
bool retc_path_exists(const char *path);

/* A file that appears under its name only when it is complete. Of a symbolic link the target is replaced. What is there
 * and is no regular file, a pipe or a device, is written to as the data comes. */
typedef struct retc_file_writer {
  char *path;   /* links resolved */
  char *beside; /* NULL: written straight to path */
  void *stream; /* FILE; NULL once finished */
} retc_file_writer;

retc_status retc_file_writer_init(retc_file_writer *writer, const char *path, retc_diagnostics *diagnostics);
retc_status retc_file_writer_write(retc_file_writer *writer, const void *data, size_t size,
                                   retc_diagnostics *diagnostics);
/* Flushes and closes: the last error that the data can meet. For several files: finish all, then commit all. */
retc_status retc_file_writer_finish(retc_file_writer *writer, retc_diagnostics *diagnostics);
/* Finishes what is not finished, and renames. After an error, or without it, the target is untouched. */
retc_status retc_file_writer_commit(retc_file_writer *writer, retc_diagnostics *diagnostics);
/* Removes what was not committed. Call always. */
void retc_file_writer_deinit(retc_file_writer *writer);

retc_status retc_file_write(const char *path, const void *data, size_t size, retc_diagnostics *diagnostics);

#endif
