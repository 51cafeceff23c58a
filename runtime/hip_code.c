#include "runtime/hip_code.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "runtime/code_cache.h"
#include "runtime/hip_compiler.h"

/* ---- hiprtc ---- */

static retc_status take_log(const retc_hip_library *library, hiprtcProgram program, const char *name,
                            hiprtcResult result, retc_diagnostics *diagnostics) {
  size_t size = 0;
  char *log = NULL;
  if (library->hiprtcGetProgramLogSize(program, &size) == HIPRTC_SUCCESS) log = calloc(1, size + 1);
  if (log && library->hiprtcGetProgramLog(program, log) != HIPRTC_SUCCESS) *log = 0;
  retc_fail(diagnostics, RETC_INTERNAL, "%s: hiprtc refused the HIP source:\n%s", name,
            log && *log ? log : library->hiprtcGetErrorString(result));
  free(log);
  return RETC_INTERNAL;
}

static retc_status take_code(const retc_hip_library *library, hiprtcProgram program, retc_diagnostics *diagnostics,
                             retc_hip_code *out_code) {
  hiprtcResult result = library->hiprtcGetCodeSize(program, &out_code->size);
  if (result == HIPRTC_SUCCESS) out_code->data = malloc(out_code->size + 1);
  if (result == HIPRTC_SUCCESS && !out_code->data) return retc_fail(diagnostics, RETC_FAILED, "hip: memory refused");
  if (result == HIPRTC_SUCCESS) result = library->hiprtcGetCode(program, out_code->data);
  if (result == HIPRTC_SUCCESS) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "hip: hiprtc gives no code: %s", library->hiprtcGetErrorString(result));
}

static retc_status build_by_hiprtc(const retc_hip_device *device, const char *name, const char *source,
                                   retc_diagnostics *diagnostics, retc_hip_code *out_code) {
  const retc_hip_library *library = &device->library;
  hiprtcProgram program = NULL;
  char arch[sizeof device->arch + sizeof "--offload-arch="] = "--offload-arch=";
  const char *arguments[RETC_HIP_COMPILER_OPTIONS + 1] = {arch};
  strcat(arch, device->arch);
  for (int i = 0; i < RETC_HIP_COMPILER_OPTIONS; i++) arguments[i + 1] = retc_hip_compiler_options[i];
  hiprtcResult result = library->hiprtcCreateProgram(&program, source, name, 0, NULL, NULL);
  if (result != HIPRTC_SUCCESS) {
    return retc_fail(diagnostics, RETC_FAILED, "hip: hiprtc does not start: %s", library->hiprtcGetErrorString(result));
  }
  result = library->hiprtcCompileProgram(program, RETC_HIP_COMPILER_OPTIONS + 1, arguments);
  retc_status status = result == HIPRTC_SUCCESS ? take_code(library, program, diagnostics, out_code)
                                                : take_log(library, program, name, result, diagnostics);
  library->hiprtcDestroyProgram(&program);
  return status;
}

/* ---- loading ---- */

/* Everything that the code depends on. */
static void print_key(const retc_hip_device *device, const char *source, retc_text *key) {
  int version = 0, major = 0, minor = 0;
  const retc_hip_library *library = &device->library;
  library->hipRuntimeGetVersion(&version);
  retc_text_printf(key, "%s hip %d ", device->arch, version);
  if (library->has_hiprtc) {
    library->hiprtcVersion(&major, &minor);
    retc_text_printf(key, "hiprtc %d.%d", major, minor);
  } else {
    retc_hip_compiler_describe(key);
  }
  for (int i = 0; i < RETC_HIP_COMPILER_OPTIONS; i++) retc_text_printf(key, " %s", retc_hip_compiler_options[i]);
  retc_text_printf(key, "\n%s", source);
}

static retc_status load(retc_hip_device *device, const char *name, const void *image, retc_diagnostics *diagnostics,
                        hipModule_t *out_module) {
  hipError_t error = device->library.hipModuleLoadData(out_module, image);
  if (error == hipSuccess) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "%s: hip: loading code for %s: %s (%s)", name, device->arch,
                   device->library.hipGetErrorName(error), device->library.hipGetErrorString(error));
}

static retc_status build(retc_hip_device *device, const char *name, const char *source, retc_diagnostics *diagnostics,
                         retc_hip_code *out_code) {
  if (device->library.has_hiprtc) return build_by_hiprtc(device, name, source, diagnostics, out_code);
  return retc_hip_compile(device->arch, name, source, diagnostics, out_code);
}

retc_status retc_hip_code_load(retc_hip_device *device, const char *name, const char *source,
                               retc_diagnostics *diagnostics, hipModule_t *out_module) {
  retc_text key;
  retc_hip_code built = {0};
  *out_module = NULL;
  retc_text_init(&key);
  print_key(device, source, &key);
  retc_status status = RETC_OK;
  if (!retc_code_cache_find("hip", key.data, key.length, &built.data, &built.size)) {
    status = build(device, name, source, diagnostics, &built);
    if (status == RETC_OK) retc_code_cache_keep("hip", key.data, key.length, built.data, built.size);
  }
  if (status == RETC_OK) status = load(device, name, built.data, diagnostics, out_module);
  free(built.data);
  retc_text_deinit(&key);
  return status;
}

void retc_hip_code_unload(retc_hip_device *device, hipModule_t module) {
  if (module) device->library.hipModuleUnload(module);
}

retc_status retc_hip_code_load_image(retc_hip_device *device, const char *name, const char *arch, const void *image,
                                     retc_diagnostics *diagnostics, hipModule_t *out_module) {
  *out_module = NULL;
  if (strcmp(arch, device->arch) == 0) return load(device, name, image, diagnostics, out_module);
  return retc_fail(diagnostics, RETC_FAILED, "%s: code for %s, but the device is a %s (%s)", name, arch, device->arch,
                   device->name);
}

retc_status retc_hip_code_find(retc_hip_device *device, hipModule_t module, const char *kernel,
                               retc_diagnostics *diagnostics, hipFunction_t *out_function) {
  hipError_t error = device->library.hipModuleGetFunction(out_function, module, kernel);
  if (error == hipSuccess) return RETC_OK;
  return retc_fail(diagnostics, RETC_INTERNAL, "hip: kernel '%s' is not in the compiled code: %s (%s)", kernel,
                   device->library.hipGetErrorName(error), device->library.hipGetErrorString(error));
}
