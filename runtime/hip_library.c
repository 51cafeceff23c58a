#include "runtime/hip_library.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static const char *const library_names[] = {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6",
                                            "libamdhip64.so.5", "/opt/rocm/lib/libamdhip64.so"};
static const char *const compiler_names[] = {"libhiprtc.so", "libhiprtc.so.7", "libhiprtc.so.6",
                                             "/opt/rocm/lib/libhiprtc.so"};
enum { LIBRARY_NAMES = sizeof library_names / sizeof *library_names,
       COMPILER_NAMES = sizeof compiler_names / sizeof *compiler_names };

void *retc_library_open_first(const char *const *names, int count) {
  for (int i = 0; i < count; i++) {
    void *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (handle) return handle;
  }
  return NULL;
}

static retc_status open_library(retc_diagnostics *diagnostics, void **out_handle) {
  const char *chosen = getenv("RETC_HIP_LIBRARY");
  if (chosen && *chosen) {
    *out_handle = dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
    if (*out_handle) return RETC_OK;
    return retc_fail(diagnostics, RETC_FAILED, "hip: RETC_HIP_LIBRARY is no library that can be loaded: %s", dlerror());
  }
  *out_handle = retc_library_open_first(library_names, LIBRARY_NAMES);
  if (*out_handle) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED,
                   "hip: no %s was found; install ROCm, or set RETC_HIP_LIBRARY to where it is", library_names[0]);
}

/* POSIX has function pointers fit into void *; ISO C has no cast for it. */
bool retc_library_resolve(void *handle, const char *name, void *out_function) {
  void *address = handle ? dlsym(handle, name) : NULL;
  memcpy(out_function, &address, sizeof address);
  return address != NULL;
}

static retc_status resolve_all(retc_hip_library *library, retc_diagnostics *diagnostics) {
  const char *missing = NULL;
  library->has_hiprtc = true;
#define RETC_HIP_SYMBOL(result, name, parameters) \
  if (!retc_library_resolve(library->handle, #name, &library->name) && !missing) missing = #name;
#define RETC_HIP_OPTIONAL(result, name, parameters) retc_library_resolve(library->handle, #name, &library->name);
#define RETC_HIPRTC_SYMBOL(result, name, parameters) \
  if (!retc_library_resolve(library->compiler_handle, #name, &library->name) && \
      !retc_library_resolve(library->handle, #name, &library->name)) \
    library->has_hiprtc = false;
#include "runtime/hip_symbols.def"
#undef RETC_HIP_SYMBOL
  retc_library_resolve(library->handle, "hipGetDevicePropertiesR0600", &library->hipGetDevicePropertiesR0600);
  library->has_graphs = library->hipGraphCreate && library->hipGraphDestroy && library->hipGraphAddKernelNode &&
                        library->hipGraphInstantiate && library->hipGraphExecKernelNodeSetParams &&
                        library->hipGraphLaunch && library->hipGraphExecDestroy;
  if (!missing) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "hip: libamdhip64 has no %s; expected ROCm 5 or newer", missing);
}

retc_status retc_hip_library_load(retc_diagnostics *diagnostics, retc_hip_library *out_library) {
  *out_library = (retc_hip_library){0};
  RETC_TRY(open_library(diagnostics, &out_library->handle));
  /* A library that was chosen brings its own compiler, if any. */
  const char *chosen = getenv("RETC_HIP_LIBRARY");
  if (!chosen || !*chosen) out_library->compiler_handle = retc_library_open_first(compiler_names, COMPILER_NAMES);
  retc_status status = resolve_all(out_library, diagnostics);
  if (status != RETC_OK) retc_hip_library_unload(out_library);
  return status;
}

void retc_hip_library_unload(retc_hip_library *library) {
  if (library->compiler_handle) dlclose(library->compiler_handle);
  if (library->handle) dlclose(library->handle);
  *library = (retc_hip_library){0};
}

retc_status retc_hip_check(const retc_hip_library *library, hipError_t error, retc_diagnostics *diagnostics,
                           const char *what) {
  if (error == hipSuccess) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "hip: %s: %s (%s)", what, library->hipGetErrorName(error),
                   library->hipGetErrorString(error));
}
