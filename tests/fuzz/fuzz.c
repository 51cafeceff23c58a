#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATHS = 8 };

static char directory[1024];

void fuzz_fail(const char *what) {
  fprintf(stderr, "fuzz: %s\n", what);
  abort();
}

void fuzz_directory_create(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/retc-fuzz-XXXXXX", parent ? parent : "/tmp");
  if (!mkdtemp(directory)) fuzz_fail("no temporary directory");
}

const char *fuzz_path(const char *name) {
  static char paths[PATHS][2048];
  static int next;
  char *path = paths[next++ % PATHS];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  return path;
}

void fuzz_directory_add(const char *name) {
  if (mkdir(fuzz_path(name), 0700) != 0) fuzz_fail("a directory cannot be made");
}

void fuzz_link(const char *target, const char *name) {
  if (symlink(target, fuzz_path(name)) != 0) fuzz_fail("a link cannot be made");
}

void fuzz_write(const char *name, const void *head, size_t head_size, const uint8_t *data, size_t size, size_t hole) {
  int file = open(fuzz_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || write(file, head, head_size) != (ssize_t)head_size || write(file, data, size) != (ssize_t)size ||
      ftruncate(file, (off_t)(head_size + size + hole)) != 0 || close(file) != 0) {
    fuzz_fail("a file cannot be written");
  }
}
