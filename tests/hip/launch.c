/* launch FILE.hip: builds the kernels of a test file for the device at hand and does what its comments say:
 *   // buffer NAME TYPE COUNT [zero]   device memory of f32, bf16, f16, i32 or i64, small random numbers or zeros
 *   // launch KERNEL GRID BLOCK ARGUMENT...   GRID and BLOCK x or x,y,z; an argument is a buffer or a number
 *   // equal NAME OTHER TOLERANCE      both buffers hold the same numbers, none a NaN
 *   // only ARCH...                    nothing to do on other architectures: status 77
 * Status 0 when all is as it should be, 1 with what is not, 2 for a mistake in the file. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/file.h"
#include "runtime/hip_code.h"

enum { BUFFERS_MAX = 16, ARGUMENTS_MAX = 16, WORDS_MAX = 24, KERNEL_NAME_MAX = 64 };

typedef struct buffer {
  char name[KERNEL_NAME_MAX];
  retc_dtype dtype;
  size_t count;
  void *memory;
} buffer;

typedef struct test {
  retc_hip_device device;
  hipModule_t module;
  buffer buffers[BUFFERS_MAX];
  size_t count;
  uint32_t random;
} test;

static retc_diagnostics diagnostics;

static _Noreturn void stop(int status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(status);
}

static void want(retc_status status) {
  if (status != RETC_OK) stop(1, "%s", retc_diagnostics_text(&diagnostics));
}

static buffer *find(test *t, const char *name) {
  for (size_t i = 0; i < t->count; i++) {
    if (strcmp(t->buffers[i].name, name) == 0) return &t->buffers[i];
  }
  stop(2, "no buffer %s", name);
}

/* Multiples of 1/8 between -2 and 2: exact in every type, their products exact in sums. */
static double next_number(test *t) {
  t->random = t->random * 1664525u + 1013904223u;
  return ((int)(t->random >> 24) % 33 - 16) / 8.0;
}

static void add_buffer(test *t, char **words, int count) {
  if (count < 4 || t->count == BUFFERS_MAX) stop(2, "buffer NAME TYPE COUNT [zero]");
  buffer *b = &t->buffers[t->count++];
  snprintf(b->name, sizeof b->name, "%s", words[1]);
  b->count = strtoull(words[3], NULL, 10);
  if (!retc_dtype_parse(words[2], strlen(words[2]), &b->dtype)) stop(2, "no type %s", words[2]);
  const size_t size = b->count * retc_dtype_size(b->dtype);
  double *numbers = calloc(b->count, sizeof *numbers);
  void *data = malloc(size);
  if (!numbers || !data) stop(1, "out of memory");
  for (size_t i = 0; i < b->count && count == 4; i++) numbers[i] = next_number(t);
  retc_dtype_convert(RETC_DTYPE_F64, numbers, b->dtype, data, b->count);
  want(retc_hip_alloc(&t->device, b->name, (int64_t)size, &diagnostics, &b->memory));
  want(retc_hip_write(&t->device, b->memory, data, size, &diagnostics));
  free(numbers);
  free(data);
}

static void read_extent(const char *word, unsigned *out_extent) {
  out_extent[0] = out_extent[1] = out_extent[2] = 1;
  if (sscanf(word, "%u,%u,%u", &out_extent[0], &out_extent[1], &out_extent[2]) < 1) stop(2, "no extent: %s", word);
}

static void launch(test *t, char **words, int count) {
  unsigned grid[3], block[3];
  hipFunction_t function;
  int64_t numbers[ARGUMENTS_MAX];
  void *arguments[ARGUMENTS_MAX];
  if (count < 4 || count - 4 > ARGUMENTS_MAX) stop(2, "launch KERNEL GRID BLOCK ARGUMENT...");
  read_extent(words[2], grid);
  read_extent(words[3], block);
  for (int i = 4; i < count; i++) {
    char *rest;
    numbers[i - 4] = strtoll(words[i], &rest, 10);
    arguments[i - 4] = *rest ? (void *)&find(t, words[i])->memory : (void *)&numbers[i - 4];
  }
  want(retc_hip_code_find(&t->device, t->module, words[1], &diagnostics, &function));
  const retc_hip_library *library = &t->device.library;
  want(retc_hip_check(library,
                      library->hipModuleLaunchKernel(function, grid[0], grid[1], grid[2], block[0], block[1], block[2],
                                                     0, t->device.stream, arguments, NULL),
                      &diagnostics, words[1]));
  want(retc_hip_wait(&t->device, &diagnostics));
}

static double *read_numbers(test *t, const buffer *b) {
  const size_t size = b->count * retc_dtype_size(b->dtype);
  double *numbers = calloc(b->count, sizeof *numbers);
  void *data = malloc(size);
  if (!numbers || !data) stop(1, "out of memory");
  want(retc_hip_read(&t->device, data, b->memory, size, &diagnostics));
  retc_dtype_convert(b->dtype, data, RETC_DTYPE_F64, numbers, b->count);
  free(data);
  return numbers;
}

static void compare(test *t, char **words, int count) {
  if (count != 4) stop(2, "equal NAME OTHER TOLERANCE");
  const buffer *a = find(t, words[1]), *b = find(t, words[2]);
  const double tolerance = strtod(words[3], NULL);
  if (a->count != b->count || !a->count) stop(2, "%s and %s do not have as many elements", a->name, b->name);
  double *x = read_numbers(t, a), *y = read_numbers(t, b);
  for (size_t i = 0; i < a->count; i++) {
    if (fabs(x[i] - y[i]) <= tolerance) continue;
    stop(1, "%s[%zu] is %g, but %s[%zu] is %g", a->name, i, x[i], b->name, i, y[i]);
  }
  free(x);
  free(y);
}

static bool is_for(const test *t, char **words, int count) {
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], t->device.arch) == 0) return true;
  }
  return false;
}

static void do_line(test *t, char *line) {
  char *words[WORDS_MAX];
  int count = 0;
  for (char *word = strtok(line, " \t"); word && count < WORDS_MAX; word = strtok(NULL, " \t")) words[count++] = word;
  if (!count) return;
  if (strcmp(words[0], "buffer") == 0) add_buffer(t, words, count);
  if (strcmp(words[0], "launch") == 0) launch(t, words, count);
  if (strcmp(words[0], "equal") == 0) compare(t, words, count);
  if (strcmp(words[0], "only") == 0 && !is_for(t, words, count)) {
    retc_hip_device_close(&t->device);
    exit(77);
  }
}

/* The lines that begin with "// ", in order; `pass` tells those before the code is built. */
static void do_lines(test *t, const char *text, bool before) {
  char line[512];
  for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
    if (strncmp(at, "// ", 3) != 0) continue;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at + 3, "\n"), at + 3);
    if (before == (strncmp(line, "only ", 5) == 0)) do_line(t, line);
  }
}

int main(int count, char **words) {
  test t = {.random = 1};
  retc_file file;
  if (count != 2) stop(2, "usage: launch FILE.hip");
  retc_diagnostics_init(&diagnostics);
  want(retc_file_map(words[1], &diagnostics, &file));
  char *text = strndup((const char *)file.data, file.size);
  if (!text) stop(1, "out of memory");
  retc_file_unmap(&file);
  want(retc_hip_device_open(0, &diagnostics, &t.device));
  do_lines(&t, text, true);
  want(retc_hip_code_load(&t.device, strrchr(words[1], '/') ? strrchr(words[1], '/') + 1 : words[1], text, &diagnostics,
                          &t.module));
  do_lines(&t, text, false);
  for (size_t i = 0; i < t.count; i++) retc_hip_free(&t.device, t.buffers[i].memory);
  retc_hip_code_unload(&t.device, t.module);
  retc_hip_device_close(&t.device);
  free(text);
  return 0;
}
