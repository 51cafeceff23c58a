/* What the fuzz targets share: files that hold an input, in a directory of the process that `run.sh` removes. */
#ifndef RETC_TESTS_FUZZ_H
#define RETC_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A new directory under $TMPDIR, or /tmp; its path is kept for fuzz_path. */
void fuzz_directory_create(void);
/* "<directory>/<name>". Lent until the next call but seven. */
const char *fuzz_path(const char *name);
void fuzz_directory_add(const char *name);
void fuzz_link(const char *target, const char *name);
/* Replaces the file by head, data and `hole` bytes of zero. */
void fuzz_write(const char *name, const void *head, size_t head_size, const uint8_t *data, size_t size, size_t hole);

/* Ends the process, which is a finding, with words. */
void fuzz_fail(const char *what) __attribute__((noreturn));

#endif
