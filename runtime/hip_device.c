#include "runtime/hip_device.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static retc_status check(const retc_hip_device *device, hipError_t error, retc_diagnostics *diagnostics,
                         const char *what) {
  return retc_hip_check(&device->library, error, diagnostics, what);
}

/* The place of the architecture's name in hipDeviceProp_t depends on the version; the card's name is first in all. */
static retc_status find_arch(retc_hip_device *device, retc_diagnostics *diagnostics) {
  enum { NAME = 256, ROOM = 64 << 10 /* several times the structure of any version */ };
  static const char hexadecimal[] = "0123456789abcdef";
  char *properties = calloc(1, ROOM);
  if (!properties) return retc_fail(diagnostics, RETC_FAILED, "hip: memory refused");
  const retc_hip_library *library = &device->library;
  hipError_t error = library->hipGetDevicePropertiesR0600
                         ? library->hipGetDevicePropertiesR0600(properties, device->number)
                         : library->hipGetDeviceProperties((hipDeviceProp_t *)properties, device->number);
  for (size_t i = NAME; error == hipSuccess && !*device->arch && i + sizeof device->arch < ROOM; i++) {
    size_t digits = strncmp(properties + i, "gfx", 3) == 0 ? strspn(properties + i + 3, hexadecimal) : 0;
    if (digits < 3 || digits >= sizeof device->arch - 3) continue;
    memcpy(device->arch, properties + i, 3 + digits);
  }
  free(properties);
  RETC_TRY(check(device, error, diagnostics, "asking for the device's properties"));
  if (*device->arch) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "hip: device %d (%s) has no name of an architecture, expected gfx...",
                   device->number, device->name);
}

static retc_status open_device(retc_hip_device *device, retc_diagnostics *diagnostics) {
  const retc_hip_library *library = &device->library;
  int count = 0;
  RETC_TRY(check(device, library->hipGetDeviceCount(&count), diagnostics, "no GPU that HIP can use"));
  if (device->number < 0 || device->number >= count) {
    return retc_fail(diagnostics, RETC_FAILED, "hip: device %d, expected 0 to %d", device->number, count - 1);
  }
  RETC_TRY(check(device, library->hipSetDevice(device->number), diagnostics, "choosing the device"));
  RETC_TRY(check(device, library->hipDeviceGetName(device->name, sizeof device->name - 1, device->number), diagnostics,
                 "asking for the device's name"));
  RETC_TRY(find_arch(device, diagnostics));
  return check(device, library->hipStreamCreateWithFlags(&device->stream, hipStreamNonBlocking), diagnostics,
               "making a stream");
}

retc_status retc_hip_device_open(int number, retc_diagnostics *diagnostics, retc_hip_device *out_device) {
  *out_device = (retc_hip_device){.number = number};
  RETC_TRY(retc_hip_library_load(diagnostics, &out_device->library));
  retc_status status = open_device(out_device, diagnostics);
  if (status != RETC_OK) retc_hip_device_close(out_device);
  return status;
}

retc_status retc_hip_device_open_blas(retc_hip_device *device, retc_diagnostics *diagnostics) {
  const char *chosen = getenv("RETC_HIP_LIBRARY");
  if (device->blas.handle) return RETC_OK;
  return retc_hip_blas_open(chosen && *chosen ? device->library.handle : NULL, device->stream, diagnostics,
                            &device->blas);
}

void retc_hip_device_close(retc_hip_device *device) {
  retc_hip_blas_close(&device->blas);
  if (device->stream) device->library.hipStreamDestroy(device->stream);
  if (device->library.handle) retc_hip_library_unload(&device->library);
  *device = (retc_hip_device){0};
}

retc_status retc_hip_alloc(retc_hip_device *device, const char *what, int64_t size, retc_diagnostics *diagnostics,
                           void **out_memory) {
  *out_memory = NULL;
  if (size < 0 || size > INT64_MAX / 2) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: more bytes than can be addressed", what);
  }
  if (size == 0) return RETC_OK;
  const retc_hip_library *library = &device->library;
  hipError_t error = library->hipMalloc(out_memory, (size_t)size);
  if (error == hipSuccess) return RETC_OK;
  size_t available = 0, total = 0;
  library->hipMemGetInfo(&available, &total);
  return retc_fail(diagnostics, RETC_FAILED,
                   "hip: %s: %" PRId64 " bytes of device memory wanted, %zu of %zu free on %s: %s (%s)", what, size,
                   available, total, device->name, library->hipGetErrorName(error), library->hipGetErrorString(error));
}

void retc_hip_free(retc_hip_device *device, void *memory) {
  if (memory) device->library.hipFree(memory);
}

/* From pageable memory the copy has been made when the call returns. */
retc_status retc_hip_write(retc_hip_device *device, void *to, const void *from, size_t size,
                           retc_diagnostics *diagnostics) {
  if (size == 0) return RETC_OK;
  return check(device, device->library.hipMemcpyAsync(to, from, size, hipMemcpyHostToDevice, device->stream),
               diagnostics, "copying to the device");
}

retc_status retc_hip_read(retc_hip_device *device, void *to, const void *from, size_t size,
                          retc_diagnostics *diagnostics) {
  if (size == 0) return RETC_OK;
  RETC_TRY(check(device, device->library.hipMemcpyAsync(to, from, size, hipMemcpyDeviceToHost, device->stream),
                 diagnostics, "copying from the device"));
  return retc_hip_wait(device, diagnostics);
}

retc_status retc_hip_clear(retc_hip_device *device, void *memory, size_t size, retc_diagnostics *diagnostics) {
  if (size == 0) return RETC_OK;
  return check(device, device->library.hipMemsetAsync(memory, 0, size, device->stream), diagnostics,
               "clearing device memory");
}

retc_status retc_hip_wait(retc_hip_device *device, retc_diagnostics *diagnostics) {
  return check(device, device->library.hipStreamSynchronize(device->stream), diagnostics, "running kernels");
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static retc_status time_copies(retc_hip_device *device, void *to, const void *from, size_t size,
                               retc_diagnostics *diagnostics, double *out_rate) {
  enum { ROUNDS = 4, COPIES = 8 };
  *out_rate = 0;
  for (int round = 0; round < ROUNDS; round++) {
    const double start = now();
    for (int i = 0; i < COPIES; i++) {
      hipError_t error = device->library.hipMemcpyAsync(to, from, size, hipMemcpyDeviceToDevice, device->stream);
      RETC_TRY(check(device, error, diagnostics, "copying on the device"));
    }
    RETC_TRY(retc_hip_wait(device, diagnostics));
    const double rate = 2.0 * COPIES * (double)size / (now() - start);
    if (rate > *out_rate) *out_rate = rate;
  }
  return RETC_OK;
}

retc_status retc_hip_measure_copy(retc_hip_device *device, int64_t size, retc_diagnostics *diagnostics,
                                  double *out_rate) {
  size_t available = 0, total = 0;
  void *from = NULL, *to = NULL;
  RETC_TRY(check(device, device->library.hipMemGetInfo(&available, &total), diagnostics, "asking for free memory"));
  if (size > (int64_t)(available / 8)) size = (int64_t)(available / 8);
  retc_status status = retc_hip_alloc(device, "a copy to be timed", size, diagnostics, &from);
  if (status == RETC_OK) status = retc_hip_alloc(device, "a copy to be timed", size, diagnostics, &to);
  if (status == RETC_OK) status = retc_hip_clear(device, from, (size_t)size, diagnostics);
  if (status == RETC_OK) status = time_copies(device, to, from, (size_t)size, diagnostics, out_rate);
  retc_hip_free(device, from);
  retc_hip_free(device, to);
  return status;
}
