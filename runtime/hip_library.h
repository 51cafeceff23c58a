/* libamdhip64 as it is found at run time; nothing links to it. */
#ifndef RETC_RUNTIME_HIP_LIBRARY_H
#define RETC_RUNTIME_HIP_LIBRARY_H

#include <stdbool.h>

#include "base/status.h"
#include "runtime/hip_types.h"

typedef struct retc_hip_library {
#define RETC_HIP_SYMBOL(result, name, parameters) result(*name) parameters;
#include "runtime/hip_symbols.def"
#undef RETC_HIP_SYMBOL
  /* ROCm 6 has a larger hipDeviceProp_t, and a function of its own for it; else NULL. */
  hipError_t (*hipGetDevicePropertiesR0600)(void *properties, int device);
  bool has_graphs; /* all functions of graphs are there */
  bool has_hiprtc; /* so are hiprtc's */
  void *handle, *compiler_handle;
} retc_hip_library;

/* Loads the library that the environment variable RETC_HIP_LIBRARY names, else the one that the system finds.
 * RETC_FAILED, with what was tried, when there is none or it lacks a function. */
retc_status retc_hip_library_load(retc_diagnostics *diagnostics, retc_hip_library *out_library);
void retc_hip_library_unload(retc_hip_library *library);

/* For libraries that are found at run time. The first of the names that can be loaded; NULL: none. */
void *retc_library_open_first(const char *const *names, int count);
/* Sets the function pointer at `out_function` to that of the name; false: there is none, or no library, and it is NULL. */
bool retc_library_resolve(void *handle, const char *name, void *out_function);

/* RETC_OK of hipSuccess; else RETC_FAILED: "hip: WHAT: hipErrorName (its text)". */
retc_status retc_hip_check(const retc_hip_library *library, hipError_t error, retc_diagnostics *diagnostics,
                           const char *what);

#endif
