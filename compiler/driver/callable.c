#include "compiler/driver/callable.h"

#include "backends/llvm/llvm_backend.h"
#include "compiler/driver/runner.h"

retc_status retc_callable_init(retc_callable *callable, const retc_compilation *compilation,
                               const retc_checkpoint *weights, const retc_callable_options *options,
                               retc_diagnostics *diagnostics) {
  const retc_llvm_options llvm = {.cpu = options->cpu};
  *callable = (retc_callable){0};
  RETC_TRY(retc_weights_load(compilation->plan, weights, diagnostics, &callable->weights));
  if (options->gpu) {
    RETC_TRY(retc_gpu_load(options->gpu, compilation, options->name, diagnostics));
    return retc_gpu_make_program(options->gpu, compilation->plan, &callable->weights, diagnostics, &callable->program);
  }
  RETC_TRY(retc_code_load(compilation, &llvm, diagnostics, &callable->executable));
  RETC_TRY(retc_team_create(options->threads, diagnostics, &callable->team));
  return retc_program_create(compilation->plan, &callable->weights, callable->executable, callable->team, diagnostics,
                             &callable->program);
}

void retc_callable_deinit(retc_callable *callable) {
  retc_program_destroy(callable->program);
  if (callable->team) retc_team_destroy(callable->team);
  retc_weights_deinit(&callable->weights);
  if (callable->executable) callable->executable->destroy(callable->executable);
}
