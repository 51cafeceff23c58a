#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static retc_status map_descriptor(int descriptor, const char *path, retc_diagnostics *diagnostics,
                                  retc_file *out_file) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: cannot be examined: %s", path, strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: is a directory, expected a file", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: is not a regular file, expected one", path);
  }
  *out_file = (retc_file){0};
  if (info.st_size == 0) return RETC_OK;
  void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: cannot map %lld bytes: %s", path, (long long)info.st_size,
                     strerror(errno));
  }
  *out_file = (retc_file){.data = data, .size = (size_t)info.st_size};
  return RETC_OK;
}

retc_status retc_file_map(const char *path, retc_diagnostics *diagnostics, retc_file *out_file) {
  *out_file = (retc_file){0};
  /* Without O_NONBLOCK opening a pipe that nobody writes would wait for ever. */
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return retc_fail(diagnostics, RETC_INVALID, "%s: cannot be opened: %s", path, strerror(errno));
  retc_status status = map_descriptor(descriptor, path, diagnostics, out_file);
  close(descriptor);
  return status;
}

void retc_file_unmap(retc_file *file) {
  if (file->data) munmap((void *)file->data, file->size);
  *file = (retc_file){0};
}

bool retc_path_is_directory(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool retc_path_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

retc_status retc_file_writer_init(retc_file_writer *writer, const char *path, retc_diagnostics *diagnostics) {
  *writer = (retc_file_writer){0};
  struct stat info;
  bool exists = stat(path, &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: is a directory, expected a file to write", path);
  }
  bool straight = exists && !S_ISREG(info.st_mode);
  /* Of a pipe behind /dev/fd there is no real path to open. */
  writer->path = exists && !straight ? realpath(path, NULL) : strdup(path);
  if (!writer->path ||
      (!straight && asprintf(&writer->beside, "%s.partial-%ld", writer->path, (long)getpid()) < 0)) {
    int reason = errno;
    writer->beside = NULL;
    retc_file_writer_deinit(writer);
    return retc_fail(diagnostics, RETC_FAILED, "%s: cannot be prepared for writing: %s", path, strerror(reason));
  }
  writer->stream = fopen(straight ? writer->path : writer->beside, "wbe");
  if (!writer->stream) {
    int reason = errno;
    retc_file_writer_deinit(writer);
    return retc_fail(diagnostics, RETC_INVALID, "%s: cannot be written: %s", path, strerror(reason));
  }
  return RETC_OK;
}

static retc_status write_failed(const retc_file_writer *writer, retc_diagnostics *diagnostics) {
  return retc_fail(diagnostics, RETC_FAILED, "%s: writing failed: %s", writer->path, strerror(errno));
}

retc_status retc_file_writer_write(retc_file_writer *writer, const void *data, size_t size,
                                   retc_diagnostics *diagnostics) {
  if (size && fwrite(data, 1, size, writer->stream) != size) return write_failed(writer, diagnostics);
  return RETC_OK;
}

retc_status retc_file_writer_finish(retc_file_writer *writer, retc_diagnostics *diagnostics) {
  bool earlier_error = ferror((FILE *)writer->stream) != 0;
  int closed = fclose(writer->stream);
  writer->stream = NULL;
  if (earlier_error) return retc_fail(diagnostics, RETC_FAILED, "%s: an earlier write had failed", writer->path);
  if (closed != 0) return write_failed(writer, diagnostics);
  return RETC_OK;
}

retc_status retc_file_writer_commit(retc_file_writer *writer, retc_diagnostics *diagnostics) {
  if (writer->stream) RETC_TRY(retc_file_writer_finish(writer, diagnostics));
  if (!writer->beside) return RETC_OK;
  if (rename(writer->beside, writer->path) != 0) return write_failed(writer, diagnostics);
  free(writer->beside);
  writer->beside = NULL;
  return RETC_OK;
}

void retc_file_writer_deinit(retc_file_writer *writer) {
  if (writer->stream) fclose(writer->stream);
  if (writer->beside) unlink(writer->beside);
  free(writer->beside);
  free(writer->path);
  *writer = (retc_file_writer){0};
}

retc_status retc_file_write(const char *path, const void *data, size_t size, retc_diagnostics *diagnostics) {
  retc_file_writer writer;
  retc_status status = retc_file_writer_init(&writer, path, diagnostics);
  if (status == RETC_OK) status = retc_file_writer_write(&writer, data, size, diagnostics);
  if (status == RETC_OK) status = retc_file_writer_commit(&writer, diagnostics);
  retc_file_writer_deinit(&writer);
  return status;
}
