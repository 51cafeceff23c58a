/* hiprtc by nvcc: a cubin of the card's architecture. */
#include <cuda.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/hip_types.h"

#define RETC_HIP_SYMBOL(result, name, parameters) __attribute__((visibility("default"))) result name parameters;
#include "runtime/hip_symbols.def"

extern char **environ;

struct _hiprtcProgram {
  char *source, *log, *code;
  size_t code_size;
};

hiprtcResult hiprtcVersion(int *major, int *minor) {
  *major = CUDA_VERSION / 1000;
  *minor = CUDA_VERSION % 1000 / 10;
  return HIPRTC_SUCCESS;
}

const char *hiprtcGetErrorString(hiprtcResult result) {
  return result == HIPRTC_SUCCESS ? "HIPRTC_SUCCESS" : "HIPRTC_ERROR_COMPILATION";
}

hiprtcResult hiprtcCreateProgram(hiprtcProgram *program, const char *source, const char *name, int header_count,
                                 const char **headers, const char **include_names) {
  (void)name, (void)headers, (void)include_names;
  *program = calloc(1, sizeof **program);
  if (!*program || header_count) return HIPRTC_ERROR_OUT_OF_MEMORY;
  (*program)->source = strdup(source);
  return (*program)->source ? HIPRTC_SUCCESS : HIPRTC_ERROR_OUT_OF_MEMORY;
}

static char *read_file(const char *path, size_t *out_size) {
  FILE *file = fopen(path, "rb");
  char *data = NULL;
  *out_size = 0;
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  if (size >= 0) data = calloc((size_t)size + 1, 1);
  if (data) *out_size = fread(data, 1, (size_t)size, file);
  fclose(file);
  return data;
}

/* ---- shared memory ---- */

static size_t size_of(const char *type) {
  static const struct {
    const char *type;
    size_t size;
  } sizes[] = {{"float", 4}, {"double", 8}, {"int64_t", 8}, {"int32_t", 4}, {"retc_bf16", 2}, {"retc_f16", 2},
               {"uint8_t", 1}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    if (strcmp(sizes[i].type, type) == 0) return sizes[i].size;
  }
  return 0;
}

/* CUDA has at most 48 KiB of static shared memory, AMD's cards 64: "__shared__ T name[a][b];" becomes a place in
 * dynamic shared memory. `used` grows. false: the line declares none. */
static bool write_shared(FILE *file, const char *line, size_t *used) {
  char type[32], name[128], axes[128];
  const char *at = strstr(line, "__shared__ ");
  if (!at || sscanf(at, "__shared__ %31s %127[^[]%127[^;]", type, name, axes) != 3 || !size_of(type)) return false;
  size_t size = size_of(type);
  for (const char *axis = axes; *axis == '['; axis = strchr(axis, ']') + 1) size *= strtoull(axis + 1, NULL, 10);
  *used = (*used + 15) / 16 * 16;
  fprintf(file, "  auto &%s = *reinterpret_cast<%s (*)%s>(retc_shared + %zu);\n", name, type, axes, *used);
  *used += size;
  return true;
}

/* The name that a line with __global__ ends with, before its parameters. */
static void find_name(const char *line, char *name, size_t size) {
  const char *end = strrchr(line, '('), *begin = end;
  while (begin > line && begin[-1] != ' ') begin--;
  snprintf(name, size, "%.*s", (int)(end ? end - begin : 0), begin ? begin : "");
}

/* The text, and how much shared memory each kernel has, where library.c finds it. */
static void write_source(FILE *file, char *source) {
  char kernel[128] = "";
  size_t used = 0;
  for (char *line = source, *next; *line; line = next) {
    next = line + strcspn(line, "\n");
    const char kept = *next;
    *next = 0;
    if (strstr(line, "__global__")) {
      if (*kernel) fprintf(file, "extern \"C\" __device__ unsigned retc_shared_%s = %zu;\n", kernel, used);
      find_name(line, kernel, sizeof kernel);
      used = 0;
    }
    if (!write_shared(file, line, &used)) fprintf(file, "%s\n", line);
    *next = kept;
    next += kept != 0;
  }
  if (*kernel) fprintf(file, "extern \"C\" __device__ unsigned retc_shared_%s = %zu;\n", kernel, used);
}

static int run_nvcc(const char *source, const char *object, const char *log) {
  CUdevice device;
  int major = 0, minor = 0, status = -1;
  char arch[32];
  const char *chosen = getenv("NVCC");
  cuCtxGetDevice(&device);
  cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  snprintf(arch, sizeof arch, "-arch=sm_%d%d", major, minor);
  const char *arguments[] = {chosen && *chosen ? chosen : CUDA_NVCC, "-x", "cu", "-cubin", arch, "-std=c++17", "-O3",
                             "-fmad=false", "-diag-suppress=20012,177", "-I" CUDA_STAND_IN_FOLDER, source, "-o", object,
                             NULL};
  posix_spawn_file_actions_t actions;
  pid_t child;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  int failed = posix_spawnp(&child, arguments[0], &actions, NULL, (char *const *)arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed || waitpid(child, &status, 0) < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

hiprtcResult hiprtcCompileProgram(hiprtcProgram program, int option_count, const char **options) {
  char folder[] = "/tmp/retc-nvcc.XXXXXX", source[64], object[64], log[64];
  size_t log_size;
  (void)option_count, (void)options;
  if (!mkdtemp(folder)) return HIPRTC_ERROR_COMPILATION;
  snprintf(source, sizeof source, "%s/source.cu", folder);
  snprintf(object, sizeof object, "%s/object", folder);
  snprintf(log, sizeof log, "%s/log", folder);
  FILE *file = fopen(source, "w");
  int status = -1;
  if (file) {
    write_source(file, program->source);
    fclose(file);
    status = run_nvcc(source, object, log);
  }
  program->log = read_file(log, &log_size);
  if (status == 0) program->code = read_file(object, &program->code_size);
  unlink(source);
  unlink(object);
  unlink(log);
  rmdir(folder);
  return program->code ? HIPRTC_SUCCESS : HIPRTC_ERROR_COMPILATION;
}

hiprtcResult hiprtcGetProgramLogSize(hiprtcProgram program, size_t *size) {
  *size = (program->log ? strlen(program->log) : 0) + 1;
  return HIPRTC_SUCCESS;
}

hiprtcResult hiprtcGetProgramLog(hiprtcProgram program, char *log) {
  strcpy(log, program->log ? program->log : "");
  return HIPRTC_SUCCESS;
}

hiprtcResult hiprtcGetCodeSize(hiprtcProgram program, size_t *size) {
  *size = program->code_size;
  return program->code ? HIPRTC_SUCCESS : HIPRTC_ERROR_INVALID_INPUT;
}

hiprtcResult hiprtcGetCode(hiprtcProgram program, char *code) {
  if (!program->code) return HIPRTC_ERROR_INVALID_INPUT;
  memcpy(code, program->code, program->code_size);
  return HIPRTC_SUCCESS;
}

hiprtcResult hiprtcDestroyProgram(hiprtcProgram *program) {
  free((*program)->source);
  free((*program)->log);
  free((*program)->code);
  free(*program);
  *program = NULL;
  return HIPRTC_SUCCESS;
}
