/* HIP source to a code object: clang++ for the host, with the emulator's hip/hip_runtime.h. */
#include <ctype.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"

extern char **environ;

static const char *macro_of(const char *arch) {
  if (strcmp(arch, "gfx90a") == 0) return "-D__gfx90a__=1";
  if (strcmp(arch, "gfx942") == 0) return "-D__gfx942__=1";
  if (strncmp(arch, "gfx11", 5) == 0) return "-D__GFX11__=1";
  if (strncmp(arch, "gfx12", 5) == 0) return "-D__GFX12__=1";
  return NULL;
}

/* ---- the names of the kernels ---- */

static const char *skip_blank(const char *at) {
  for (;;) {
    const char *end = NULL;
    while (isspace((unsigned char)*at)) at++;
    if (at[0] == '/' && at[1] == '/') end = strchr(at, '\n');
    else if (at[0] == '/' && at[1] == '*') end = strstr(at + 2, "*/");
    else return at;
    at = end ? end + 1 + (end[0] == '*') : at + strlen(at);
  }
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static const char *skip_parentheses(const char *at) {
  int depth = 0;
  for (; *at; at++) {
    depth += (*at == '(') - (*at == ')');
    if (depth == 0) return at + 1;
  }
  return at;
}

/* Behind __global__: the word before the parameters. */
static const char *find_name(const char *at, size_t *out_length) {
  for (;;) {
    at = skip_blank(at);
    size_t length = 0;
    while (is_word(at[length])) length++;
    if (!length) return NULL;
    const char *next = skip_blank(at + length);
    bool attribute = strncmp(at, "__launch_bounds__", length) == 0 || strncmp(at, "__attribute__", length) == 0;
    if (*next == '(' && !attribute) {
      *out_length = length;
      return at;
    }
    at = *next == '(' ? skip_parentheses(next) : next;
  }
}

static void write_registrations(FILE *file, const char *source) {
  static const char word[] = "__global__";
  for (const char *at = skip_blank(source); *at; at = skip_blank(at)) {
    size_t length = 0;
    while (is_word(at[length])) length++;
    if (length == sizeof word - 1 && strncmp(at, word, length) == 0) {
      size_t name_length;
      const char *name = find_name(at + length, &name_length);
      if (name) fprintf(file, "RETC_EMULATED_KERNEL(%.*s)\n", (int)name_length, name);
    }
    at += length ? length : 1;
  }
}

/* ---- the compiler ---- */

static int run(char **arguments, const char *log) {
  posix_spawn_file_actions_t actions;
  pid_t child;
  int status;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  int failed = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed || waitpid(child, &status, 0) < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *read_file(const char *path, size_t *out_size) {
  FILE *file = fopen(path, "rb");
  struct stat information;
  char *data = NULL;
  if (file && fstat(fileno(file), &information) == 0) {
    *out_size = (size_t)information.st_size;
    data = calloc(*out_size + 1, 1);
    if (data && fread(data, 1, *out_size, file) != *out_size) *out_size = 0;
  }
  if (file) fclose(file);
  return data;
}

typedef struct work {
  char folder[64], source[96], object[96], log[96];
} work;

static bool begin(work *w) {
  snprintf(w->folder, sizeof w->folder, "/tmp/retc-emulator.XXXXXX");
  if (!mkdtemp(w->folder)) return false;
  snprintf(w->source, sizeof w->source, "%s/source.hip", w->folder);
  snprintf(w->object, sizeof w->object, "%s/object.so", w->folder);
  snprintf(w->log, sizeof w->log, "%s/log", w->folder);
  return true;
}

static void end(work *w) {
  unlink(w->source);
  unlink(w->object);
  unlink(w->log);
  rmdir(w->folder);
}

static int compile(const work *w, const char *macro, const char *const *defines, size_t define_count) {
  static const char *const always[] = {
      EMULATOR_COMPILER, "-x", "c++", "-std=c++17", "-fdeclspec", "-D__HIP__=1", "-D__HIPCC__=1",
      "-D__HIP_DEVICE_COMPILE__=1", "-D__HIP_PLATFORM_AMD__=1", "-I" EMULATOR_FOLDER, "-O1", "-fPIC", "-shared",
      "-march=x86-64-v3", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-stack-protector",
      "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-function"};
  static const char *const checks[] = {
      "-gline-tables-only", "-fsanitize=address,array-bounds", "-fno-sanitize-recover=all",
      "-fno-sanitize-link-runtime", "-mllvm", "-asan-instrumentation-with-call-threshold=0", "-mllvm", "-asan-stack=0",
      "-mllvm", "-asan-opt-same-temp=0", "-mllvm", "-asan-opt-globals=0", "-mllvm", "-asan-instrument-atomics=0"};
  enum { ALWAYS = sizeof always / sizeof *always, CHECKS = sizeof checks / sizeof *checks, REST = 16 };
  char **arguments = calloc(ALWAYS + CHECKS + define_count + REST, sizeof *arguments);
  size_t count = 0;
  if (!arguments) return -1;
  for (size_t i = 0; i < ALWAYS; i++) arguments[count++] = (char *)always[i];
  for (size_t i = 0; i < CHECKS && emulator_get_settings()->checks; i++) arguments[count++] = (char *)checks[i];
  const char *compiler = getenv("RETC_EMULATOR_COMPILER");
  if (compiler && *compiler) arguments[0] = (char *)compiler;
  arguments[count++] = (char *)macro;
  for (size_t i = 0; i < define_count; i++) arguments[count++] = (char *)defines[i];
  arguments[count++] = (char *)w->source;
  arguments[count++] = "-x";
  arguments[count++] = "none";
  arguments[count++] = EMULATOR_SUPPORT;
  arguments[count++] = EMULATOR_FRAGMENTS;
  arguments[count++] = "-lm";
  arguments[count++] = "-o";
  arguments[count++] = (char *)w->object;
  int status = run(arguments, w->log);
  free(arguments);
  return status;
}

static bool write_source(const work *w, const char *source, const char *name) {
  FILE *file = fopen(w->source, "w");
  if (!file) return false;
  fprintf(file, "#include <hip/hip_runtime.h>\n#line 1 \"%s\"\n%s\n#line 1 \"kernels of %s\"\n", name, source, name);
  write_registrations(file, source);
  return fclose(file) == 0;
}

void *emulator_compile(const char *source, const char *name, const char *arch, const char *const *defines,
                       size_t define_count, size_t *out_size, char **out_log) {
  const char *macro = macro_of(arch);
  work w;
  *out_log = NULL;
  if (!macro) {
    if (asprintf(out_log, "%s: not an architecture of the emulator\n", arch) < 0) *out_log = NULL;
    return NULL;
  }
  if (!begin(&w)) return NULL;
  void *object = NULL;
  size_t log_size;
  int status = write_source(&w, source, name) ? compile(&w, macro, defines, define_count) : -1;
  *out_log = read_file(w.log, &log_size);
  if (status == 0) object = read_file(w.object, out_size);
  end(&w);
  return object;
}
