#include "compiler/main/opt_replay.h"

#include "backends/hip/hip_backend.h"
#include "backends/llvm/llvm_backend.h"

static retc_status make_hip(const retc_compilation *compilation, retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  retc_status status = retc_hip_emit((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count,
                                     compilation->plan, diagnostics, &text);
  retc_text_deinit(&text);
  return status;
}

static retc_status make_object(const retc_compilation *compilation, const char *cpu, retc_diagnostics *diagnostics) {
  const retc_llvm_options llvm = {.cpu = cpu};
  retc_llvm_module *module;
  retc_text object;
  RETC_TRY(retc_llvm_compile((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count, &llvm,
                             diagnostics, &module));
  retc_text_init(&object);
  retc_status status = retc_llvm_emit_object(module, diagnostics, &object);
  retc_text_deinit(&object);
  retc_llvm_module_destroy(module);
  return status;
}

bool retc_opt_wants_replay(const retc_compilation *compilation) {
  return compilation->replay.pass_count || compilation->replay.code;
}

retc_status retc_opt_replay(retc_compilation *compilation, const char *cpu, retc_diagnostics *diagnostics) {
  const retc_replay replay = compilation->replay; /* which goes when a pass has run */
  const retc_llvm_options llvm = {.cpu = cpu ? cpu : replay.cpu};
  retc_compile_options options = {.cpu = llvm.cpu};
  RETC_TRY(retc_llvm_profile(&llvm, diagnostics, &options.profile));
  if (!cpu && replay.has_machine) {
    const char *name = options.profile.name;
    options.profile = replay.machine;
    options.profile.name = name;
  }
  RETC_TRY(retc_passes_run(compilation, replay.passes, replay.pass_count, &options, diagnostics));
  if (replay.code == RETC_REPLAY_LLVM) RETC_TRY(make_object(compilation, llvm.cpu, diagnostics));
  if (replay.code == RETC_REPLAY_HIP) RETC_TRY(make_hip(compilation, diagnostics));
  compilation->replay = (retc_replay){.pass_count = 0};
  return RETC_OK;
}
