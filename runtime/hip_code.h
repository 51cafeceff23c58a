/* HIP source text to code on a device: from the code cache, else by hiprtc, else by hipcc (hip_compiler.h). */
#ifndef RETC_RUNTIME_HIP_CODE_H
#define RETC_RUNTIME_HIP_CODE_H

#include "runtime/hip_device.h"

/* Builds `source` for the device's architecture and loads it; to be unloaded by retc_hip_code_unload. Code that was
 * built is kept in $XDG_CACHE_HOME/retc/hip (else ~/.cache/retc/hip), under its source, architecture and compiler,
 * where that can be written. RETC_FAILED: no compiler, with what was looked for; RETC_INTERNAL: hiprtc refused the
 * text, with its words. */
retc_status retc_hip_code_load(retc_hip_device *device, const char *name, const char *source,
                               retc_diagnostics *diagnostics, hipModule_t *out_module);
void retc_hip_code_unload(retc_hip_device *device, hipModule_t module);

/* A code object that was built before, for `arch`. Another architecture than the device's is RETC_FAILED. */
retc_status retc_hip_code_load_image(retc_hip_device *device, const char *name, const char *arch, const void *image,
                                     retc_diagnostics *diagnostics, hipModule_t *out_module);
retc_status retc_hip_code_find(retc_hip_device *device, hipModule_t module, const char *kernel,
                               retc_diagnostics *diagnostics, hipFunction_t *out_function);

#endif
