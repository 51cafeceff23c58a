#include "compiler/main/output_files.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"

retc_status retc_output_check_directory(const char *path, retc_diagnostics *diagnostics) {
  if (!retc_path_exists(path) || retc_path_is_directory(path)) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: is a file, expected a directory or nothing", path);
}

static retc_status write_files(const char *directory, const retc_output_file *files, size_t count,
                               retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_file_writer *writers = RETC_NEW_ARRAY(&arena, retc_file_writer, count + 1);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    const char *path = retc_arena_printf(&arena, "%s/%s", directory, files[i].name);
    status = retc_file_writer_init(&writers[i], path, diagnostics);
    if (status == RETC_OK) {
      status = retc_file_writer_write(&writers[i], files[i].text.data, files[i].text.length, diagnostics);
    }
    if (status == RETC_OK) status = retc_file_writer_finish(&writers[i], diagnostics);
  }
  for (size_t i = 0; i < count && status == RETC_OK; i++) status = retc_file_writer_commit(&writers[i], diagnostics);
  for (size_t i = 0; i < count; i++) retc_file_writer_deinit(&writers[i]);
  retc_arena_deinit(&arena);
  return status;
}

retc_status retc_output_files_write(const char *directory, const retc_output_file *files, size_t count,
                                    retc_diagnostics *diagnostics) {
  bool made = mkdir(directory, 0777) == 0;
  if (!made && errno != EEXIST) {
    return retc_fail(diagnostics, errno == ENOENT || errno == ENOTDIR ? RETC_INVALID : RETC_FAILED,
                     "%s: the directory cannot be made: %s", directory, strerror(errno));
  }
  retc_status status = write_files(directory, files, count, diagnostics);
  if (status != RETC_OK && made) rmdir(directory);
  return status;
}
