/* A GPU through libamdhip64: its memory, and one stream that everything runs on in order. All failures are RETC_FAILED
 * with HIP's name and text of the error. */
#ifndef RETC_RUNTIME_HIP_DEVICE_H
#define RETC_RUNTIME_HIP_DEVICE_H

#include <stdint.h>

#include "runtime/hip_blas.h"
#include "runtime/hip_library.h"

typedef struct retc_hip_device {
  retc_hip_library library;
  hipStream_t stream;
  retc_hip_blas blas; /* once it is asked for */
  char name[256]; /* as HIP calls the card */
  char arch[64];  /* "gfx90a": without features behind a colon */
  int number;
} retc_hip_device;

/* Loads the library and takes device `number`. No library, no device of that number: RETC_FAILED. */
retc_status retc_hip_device_open(int number, retc_diagnostics *diagnostics, retc_hip_device *out_device);
void retc_hip_device_close(retc_hip_device *device);
/* As retc_hip_blas_open; nothing when it is open already. */
retc_status retc_hip_device_open_blas(retc_hip_device *device, retc_diagnostics *diagnostics);

/* Device memory of `size` bytes, content undefined; NULL of none. A refusal names `what`, its size and what is free. */
retc_status retc_hip_alloc(retc_hip_device *device, const char *what, int64_t size, retc_diagnostics *diagnostics,
                           void **out_memory);
void retc_hip_free(retc_hip_device *device, void *memory);
/* In the order of the stream. Host memory may be reused when `write` returns, and holds the data when `read` does. */
retc_status retc_hip_write(retc_hip_device *device, void *to, const void *from, size_t size,
                           retc_diagnostics *diagnostics);
retc_status retc_hip_read(retc_hip_device *device, void *to, const void *from, size_t size,
                          retc_diagnostics *diagnostics);
retc_status retc_hip_clear(retc_hip_device *device, void *memory, size_t size, retc_diagnostics *diagnostics);
/* Bytes read and written a second by copies within the device's memory, the best of several, of up to `size` bytes. */
retc_status retc_hip_measure_copy(retc_hip_device *device, int64_t size, retc_diagnostics *diagnostics,
                                  double *out_rate);
/* Waits for all that was launched; its first error, if any. */
retc_status retc_hip_wait(retc_hip_device *device, retc_diagnostics *diagnostics);

#endif
