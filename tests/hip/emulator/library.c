/* libamdhip64 as far as the runtime calls it, with hiprtc in it as in ROCm 5. Everything runs when it is asked for;
 * what goes wrong in a kernel is told by the next call that waits, and by all after it, as on a GPU. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "library.h"

/* ---- settings ---- */

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

const emulator_settings *emulator_get_settings(void) {
  static emulator_settings settings;
  if (settings.arch) return &settings;
  settings.memory_limit = strtoull(setting("RETC_EMULATOR_MEMORY", "4294967296"), NULL, 10);
  settings.seed = strtoull(setting("RETC_EMULATOR_SEED", "1"), NULL, 10);
  settings.checks = strcmp(setting("RETC_EMULATOR_CHECKS", "1"), "0") != 0;
  settings.arch = setting("RETC_EMULATOR_ARCH", "gfx90a");
  settings.wave_size = strncmp(settings.arch, "gfx9", 4) == 0 ? 64 : 32;
  return &settings;
}

static bool has_device(void) { return strcmp(emulator_get_settings()->arch, "none") != 0; }

/* ---- errors ---- */

hipError_t emulator_sticky;

static const struct {
  hipError_t error;
  const char *name, *text;
} errors[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration", "invalid configuration argument"},
    {hipErrorNoDevice, "hipErrorNoDevice", "no ROCm-capable device is detected"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidImage, "hipErrorInvalidImage", "device kernel image is invalid"},
    {hipErrorNoBinaryForGpu, "hipErrorNoBinaryForGpu", "no kernel image is available for execution on the device"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorNotFound, "hipErrorNotFound", "named symbol not found"},
    {hipErrorIllegalAddress, "hipErrorIllegalAddress", "an illegal memory access was encountered"},
    {hipErrorLaunchFailure, "hipErrorLaunchFailure", "unspecified launch failure"},
    {hipErrorNotSupported, "hipErrorNotSupported", "operation not supported"},
};
enum { ERRORS = sizeof errors / sizeof *errors };

const char *hipGetErrorName(hipError_t error) {
  for (int i = 0; i < ERRORS; i++) {
    if (errors[i].error == error) return errors[i].name;
  }
  return "hipErrorUnknown";
}

const char *hipGetErrorString(hipError_t error) {
  for (int i = 0; i < ERRORS; i++) {
    if (errors[i].error == error) return errors[i].text;
  }
  return "unknown error";
}

/* ---- the device ---- */

/* Memory that a process leaves behind when all went well is a fault of the program under test. */
static void check_leaks(int status, void *unused) {
  (void)unused;
  if (status || !emulator_memory_count()) return;
  fprintf(stderr, "emulator: %zu device allocations of %zu bytes were never freed\n", emulator_memory_count(),
          emulator_memory_used());
  _exit(99);
}

hipError_t hipRuntimeGetVersion(int *version) {
  *version = 50221153;
  return hipSuccess;
}

hipError_t hipGetDeviceCount(int *count) {
  static bool started;
  if (!started) on_exit(check_leaks, NULL);
  started = true;
  *count = has_device();
  return has_device() ? hipSuccess : hipErrorNoDevice;
}

hipError_t hipSetDevice(int device) { return has_device() && device == 0 ? hipSuccess : hipErrorInvalidDevice; }

hipError_t hipDeviceGetName(char *name, int length, hipDevice_t device) {
  if (!has_device() || device != 0) return hipErrorInvalidDevice;
  snprintf(name, (size_t)length, "emulated %s", emulator_get_settings()->arch);
  return hipSuccess;
}

/* The size of the structure, and the place of the architecture's name in it, are those of ROCm 5. */
hipError_t hipGetDeviceProperties(hipDeviceProp_t *properties, int device) {
  enum { SIZE = 792, NAME = 256, ARCH = 396, ARCH_SIZE = 256 };
  char *bytes = (char *)properties;
  if (!has_device() || device != 0) return hipErrorInvalidDevice;
  memset(bytes, 0, SIZE);
  snprintf(bytes, NAME, "emulated %s", emulator_get_settings()->arch);
  snprintf(bytes + ARCH, ARCH_SIZE, "%s%s", emulator_get_settings()->arch,
           strncmp(emulator_get_settings()->arch, "gfx9", 4) == 0 ? ":sramecc+:xnack-" : "");
  return hipSuccess;
}

hipError_t hipMemGetInfo(size_t *available, size_t *total) {
  *total = emulator_get_settings()->memory_limit;
  *available = *total - emulator_memory_used();
  return hipSuccess;
}

/* ---- memory ---- */

hipError_t hipMalloc(void **memory, size_t size) {
  if (emulator_sticky) return emulator_sticky;
  *memory = size ? emulator_memory_alloc(size) : NULL;
  return *memory || !size ? hipSuccess : hipErrorOutOfMemory;
}

hipError_t hipFree(void *memory) { return !memory || emulator_memory_free(memory) ? hipSuccess : hipErrorInvalidValue; }

hipError_t hipMemcpyAsync(void *to, const void *from, size_t size, hipMemcpyKind kind, hipStream_t stream) {
  (void)stream;
  if (emulator_sticky) return emulator_sticky;
  bool to_device = kind == hipMemcpyHostToDevice || kind == hipMemcpyDeviceToDevice;
  bool from_device = kind == hipMemcpyDeviceToHost || kind == hipMemcpyDeviceToDevice;
  if (size && (emulator_memory_holds(to, size) != to_device || emulator_memory_holds(from, size) != from_device)) {
    return hipErrorInvalidValue;
  }
  if (size) memcpy(to, from, size);
  return hipSuccess;
}

hipError_t hipMemcpy(void *to, const void *from, size_t size, hipMemcpyKind kind) {
  return hipMemcpyAsync(to, from, size, kind, NULL);
}

hipError_t hipMemsetAsync(void *memory, int value, size_t size, hipStream_t stream) {
  (void)stream;
  if (emulator_sticky) return emulator_sticky;
  if (size && !emulator_memory_holds(memory, size)) return hipErrorInvalidValue;
  if (size) memset(memory, value, size);
  return hipSuccess;
}

/* ---- streams ---- */

hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned int flags) {
  (void)flags;
  *stream = calloc(1, 16);
  return *stream ? hipSuccess : hipErrorOutOfMemory;
}

hipError_t hipStreamDestroy(hipStream_t stream) {
  free(stream);
  return hipSuccess;
}

hipError_t hipStreamSynchronize(hipStream_t stream) {
  (void)stream;
  return emulator_sticky;
}

/* ---- events: kernels are done when they have been launched ---- */

hipError_t hipEventCreate(hipEvent_t *event) {
  *event = calloc(1, sizeof(struct timespec));
  return *event ? hipSuccess : hipErrorOutOfMemory;
}

hipError_t hipEventDestroy(hipEvent_t event) {
  free(event);
  return hipSuccess;
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  (void)stream;
  clock_gettime(CLOCK_MONOTONIC, (struct timespec *)event);
  return emulator_sticky;
}

hipError_t hipEventElapsedTime(float *milliseconds, hipEvent_t start, hipEvent_t stop) {
  const struct timespec *from = (const struct timespec *)start, *to = (const struct timespec *)stop;
  *milliseconds = 1e3f * (float)(to->tv_sec - from->tv_sec) + 1e-6f * (float)(to->tv_nsec - from->tv_nsec);
  return hipSuccess;
}

/* ---- code ---- */

hipError_t hipModuleLoadData(hipModule_t *module, const void *image) {
  const char *error;
  if (emulator_sticky) return emulator_sticky;
  *module = (hipModule_t)emulator_module_load(image, &error);
  if (*module) return hipSuccess;
  fprintf(stderr, "emulator: a code object was refused: %s\n", error);
  return hipErrorInvalidImage;
}

hipError_t hipModuleUnload(hipModule_t module) {
  emulator_module_unload((emulator_module *)module);
  return hipSuccess;
}

/* Functions live as long as the process: a module has few. */
hipError_t hipModuleGetFunction(hipFunction_t *function, hipModule_t module, const char *name) {
  static emulator_function functions[4096];
  static size_t count;
  const emulator_kernel *kernel = emulator_module_find((emulator_module *)module, name);
  if (!kernel) return hipErrorNotFound;
  if (count == sizeof functions / sizeof *functions) count = 0;
  functions[count] = (emulator_function){(emulator_module *)module, kernel};
  *function = (hipFunction_t)&functions[count++];
  return hipSuccess;
}

hipError_t hipModuleLaunchKernel(hipFunction_t function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                                 unsigned int block_x, unsigned int block_y, unsigned int block_z,
                                 unsigned int shared_bytes, hipStream_t stream, void **arguments, void **extra) {
  (void)stream;
  if (emulator_sticky) return emulator_sticky;
  const uint64_t threads = (uint64_t)block_x * block_y * block_z;
  if (!function || extra) return hipErrorInvalidValue;
  if (!grid_x || !grid_y || !grid_z || !threads || threads > EMULATOR_BLOCK_MAX || shared_bytes) {
    return hipErrorInvalidConfiguration;
  }
  const emulator_launch launch = {.function = (const emulator_function *)function, .grid = {grid_x, grid_y, grid_z},
                                  .block = {block_x, block_y, block_z}, .arguments = arguments};
  if (!emulator_run(&launch)) emulator_sticky = hipErrorIllegalAddress;
  return hipSuccess;
}
