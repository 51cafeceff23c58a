#include "compiler/driver/gpu_engine.h"

#include <stdlib.h>
#include <string.h>

#include "backends/hip/hip_backend.h"
#include "backends/hip/hip_profile.h"
#include "runtime/hip_program.h"

struct retc_gpu {
  retc_hip_device device;
  hipModule_t module;
};

retc_status retc_gpu_open(retc_diagnostics *diagnostics, retc_gpu **out_gpu) {
  *out_gpu = NULL;
  retc_gpu *gpu = calloc(1, sizeof *gpu);
  if (!gpu) return retc_fail(diagnostics, RETC_FAILED, "hip: memory refused");
  retc_status status = retc_hip_device_open(0, diagnostics, &gpu->device);
  if (status != RETC_OK) {
    free(gpu);
    return status;
  }
  *out_gpu = gpu;
  return RETC_OK;
}

void retc_gpu_close(retc_gpu *gpu) {
  if (!gpu) return;
  retc_hip_code_unload(&gpu->device, gpu->module);
  retc_hip_device_close(&gpu->device);
  free(gpu);
}

static bool is_known(const char *arch) {
  for (size_t i = 0; i < RETC_HIP_PROFILE_COUNT; i++) {
    if (strcmp(retc_hip_profile_at(i)->arch, arch) == 0) return true;
  }
  return false;
}

static bool holds(const retc_hip_targets *targets, const char *arch) {
  for (size_t i = 0; i < targets->count; i++) {
    if (strcmp(targets->items[i]->arch, arch) == 0) return true;
  }
  return false;
}

retc_status retc_gpu_profile(const retc_gpu *gpu, const char *archs, retc_diagnostics *diagnostics,
                             retc_target_profile *out_profile) {
  retc_hip_targets targets;
  if (gpu && !is_known(gpu->device.arch)) {
    return retc_fail(diagnostics, RETC_FAILED,
                     "hip: the device is a %s (%s), expected one of gfx90a, gfx942, gfx1100, gfx1201", gpu->device.arch,
                     gpu->device.name);
  }
  RETC_TRY(retc_hip_targets_parse(gpu && !archs ? gpu->device.arch : archs, diagnostics, &targets));
  if (gpu && !holds(&targets, gpu->device.arch)) {
    return retc_fail(diagnostics, RETC_FAILED, "hip: the device is a %s (%s), which is not among --arch %s",
                     gpu->device.arch, gpu->device.name, archs);
  }
  *out_profile = retc_hip_targets_profile(&targets);
  return RETC_OK;
}

retc_status retc_gpu_load(retc_gpu *gpu, const retc_compilation *compilation, const char *name,
                          retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  retc_status status = retc_hip_emit((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count,
                                     compilation->plan, diagnostics, &text);
  if (status == RETC_OK && !text.data) status = retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", name);
  if (status == RETC_OK) status = retc_hip_code_load(&gpu->device, name, text.data, diagnostics, &gpu->module);
  retc_text_deinit(&text);
  return status;
}

retc_status retc_gpu_make_program(retc_gpu *gpu, const retc_plan *plan, const retc_weights *weights,
                                  retc_diagnostics *diagnostics, retc_program **out_program) {
  return retc_hip_program_create(plan, weights, &gpu->device, gpu->module, diagnostics, out_program);
}

bool retc_gpu_has_blas(const retc_gpu *gpu) { return gpu->device.blas.handle != NULL; }

void retc_gpu_describe(const retc_gpu *gpu, retc_text *out_text) {
  retc_text_printf(out_text, "%s, %s", gpu->device.name, gpu->device.arch);
}

retc_status retc_gpu_measure_copy(retc_gpu *gpu, int64_t size, retc_diagnostics *diagnostics, double *out_rate) {
  return retc_hip_measure_copy(&gpu->device, size, diagnostics, out_rate);
}
