#include "compiler/main/build.h"

#include <string.h>

#include "compiler/main/reproducer.h"
#include "compiler/main/target.h"

retc_status retc_build_choose_target(const retc_build_target *target, const char *cpu, retc_diagnostics *diagnostics,
                                     retc_hip_targets *out_hip, retc_target_profile *out_profile) {
  const retc_llvm_options llvm = {.cpu = cpu};
  bool is_hip;
  *out_hip = (retc_hip_targets){.count = 0};
  RETC_TRY(retc_target_check(target, cpu, diagnostics, &is_hip));
  if (!is_hip && target->math && strcmp(target->math, "f32")) {
    return retc_fail(diagnostics, RETC_INVALID, "--math %s goes with --target hip", target->math);
  }
  if (!is_hip) return retc_llvm_profile(&llvm, diagnostics, out_profile);
  RETC_TRY(retc_hip_targets_parse(target->arch, diagnostics, out_hip));
  *out_profile = retc_hip_targets_profile(out_hip);
  out_profile->math = retc_target_math(target->target, target->math);
  out_profile->blas = target->blas;
  return RETC_OK;
}

retc_status retc_build_open(retc_build *build, const char *model, int64_t chunk_length, const char *cpu,
                            retc_diagnostics *diagnostics) {
  build->options =
      (retc_compile_options){.chunk_length = chunk_length, .cpu = cpu, .failed = retc_reproducer_write};
  RETC_TRY(retc_source_open(model, diagnostics, &build->source));
  /* On a CPU the math is part of the program, on a GPU of its schedule. */
  retc_build_target target = build->target;
  build->arithmetic.math = retc_target_program_math(target.target, target.math, build->arithmetic.weights);
  if (!retc_target_is_hip(target.target)) target.math = NULL;
  RETC_TRY(retc_source_choose(build->source, &build->arithmetic, diagnostics));
  RETC_TRY(retc_build_choose_target(&target, cpu, diagnostics, &build->hip, &build->options.profile));
  build->is_hip = build->hip.count > 0;
  return RETC_OK;
}

retc_status retc_build_init(retc_build *build, const char *model, int64_t chunk_length, const char *cpu,
                            const char *stop_after, retc_diagnostics *diagnostics) {
  RETC_TRY(retc_build_open(build, model, chunk_length, cpu, diagnostics));
  build->options.stop_after = stop_after;
  return retc_source_compile(build->source, &build->options, diagnostics, &build->compilation);
}

static retc_status make_module(retc_build *build, retc_diagnostics *diagnostics) {
  const retc_llvm_options llvm = {.cpu = build->options.cpu, .locations = build->locations};
  const retc_compilation *compilation = build->compilation;
  if (build->module) return RETC_OK;
  if (build->only) return retc_llvm_compile(&build->only, 1, &llvm, diagnostics, &build->module);
  return retc_llvm_compile((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count, &llvm,
                           diagnostics, &build->module);
}

static retc_status print(retc_build *build, retc_build_product product, retc_diagnostics *diagnostics,
                         retc_text *out_text) {
  const retc_compilation *compilation = build->compilation;
  if (product == RETC_BUILD_HIP) {
    if (build->only) return retc_hip_emit(&build->only, 1, NULL, diagnostics, out_text);
    return retc_hip_emit((const retc_kernel *const *)compilation->kernels.items, compilation->kernels.count,
                         compilation->plan, diagnostics, out_text);
  }
  RETC_TRY(make_module(build, diagnostics));
  if (product == RETC_BUILD_LLVM) return retc_llvm_emit_ir(build->module, diagnostics, out_text);
  if (product == RETC_BUILD_ASSEMBLY) return retc_llvm_emit_assembly(build->module, diagnostics, out_text);
  return retc_llvm_emit_object(build->module, diagnostics, out_text);
}

retc_status retc_build_print(retc_build *build, retc_build_product product, retc_diagnostics *diagnostics,
                             retc_text *out_text) {
  if (product == RETC_BUILD_PLAN) {
    retc_plan_print_json(build->compilation->plan, out_text);
    return RETC_OK;
  }
  retc_status status = print(build, product, diagnostics, out_text);
  return retc_compile_report(&build->options, product == RETC_BUILD_HIP ? "hip" : "llvm", build->compilation, status,
                             diagnostics);
}

void retc_build_deinit(retc_build *build) {
  if (build->module) retc_llvm_module_destroy(build->module);
  if (build->compilation) retc_compilation_destroy(build->compilation);
  if (build->source) retc_source_destroy(build->source);
}
