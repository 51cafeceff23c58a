#include "compiler/main/build.h"

retc_status retc_build_init(retc_build *build, const char *model, int64_t chunk_length, const char *cpu,
                            const char *stop_after, retc_diagnostics *diagnostics) {
  const retc_llvm_options llvm = {.cpu = cpu};
  retc_compile_options options = {.chunk_length = chunk_length, .stop_after = stop_after};
  RETC_TRY(retc_source_open(model, diagnostics, &build->source));
  RETC_TRY(retc_llvm_profile(&llvm, diagnostics, &options.profile));
  return retc_compile(&build->source->network, &options, diagnostics, &build->compilation);
}

retc_status retc_build_emit(retc_build *build, const char *cpu, retc_diagnostics *diagnostics) {
  const retc_llvm_options llvm = {.cpu = cpu};
  const retc_compilation *compilation = build->compilation;
  return retc_llvm_compile((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count, &llvm,
                           diagnostics, &build->module);
}

void retc_build_deinit(retc_build *build) {
  if (build->module) retc_llvm_module_destroy(build->module);
  if (build->compilation) retc_compilation_destroy(build->compilation);
  if (build->source) retc_source_destroy(build->source);
}
