#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compiler/main/commands.h"

retc_status retc_output_write(const void *data, size_t size, retc_diagnostics *diagnostics) {
  errno = 0;
  if (fwrite(data, 1, size, stdout) == size && fflush(stdout) == 0) return RETC_OK;
  if (errno == EPIPE) return RETC_FAILED;
  return retc_fail(diagnostics, RETC_FAILED, "stdout: %s", strerror(errno));
}

void retc_progress_show(const char *what, int64_t done, int64_t total) {
  if (isatty(STDERR_FILENO)) fprintf(stderr, "\r%s: %lld of %lld tokens", what, (long long)done, (long long)total);
}

void retc_progress_clear(void) {
  if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
}
