#include "backends/llvm/llvm_backend.h"
#include "compiler/check.h"
#include "compiler/main/reproducer.h"
#include "compiler/main/verify.h"

enum {
  SEED = 1,
  SHORT_CHUNK = 8,
  WHOLE_PARAMETERS = 64000000, /* above it one layer stands for all: their passes are the same */
};

static retc_status add_result(retc_verify *verify, const retc_compilation *compilation, retc_form form, size_t pass,
                              const retc_check_result *result, retc_diagnostics *diagnostics) {
  const char *what = retc_arena_printf(&verify->arena, "pass %s, change of %s", retc_pass_get_info(pass)->name,
                                       result->output ? result->output : "nothing");
  const retc_verify_check check = {.what = what, .input = "drawn", .form = form,
                                   .chunk = compilation->facts.chunk_length,
                                   .engine = compilation->plan ? RETC_ENGINE_KERNEL : RETC_ENGINE_GRAPH,
                                   .value = result->difference, .limit = result->limit};
  return retc_verify_add(verify, &check, diagnostics);
}

static retc_status run_passes(retc_verify *verify, retc_compilation *compilation, retc_form form,
                              const retc_compile_options *options, retc_diagnostics *diagnostics) {
  retc_check *check;
  RETC_TRY(retc_check_create(compilation, SEED, diagnostics, &check));
  retc_status status = RETC_OK;
  for (size_t pass = compilation->passes_done; pass < retc_pass_count() && status == RETC_OK; pass++) {
    retc_check_result result;
    status = retc_passes_run(compilation, &pass, 1, options, diagnostics);
    if (status == RETC_OK) status = retc_check_step(check, compilation, pass, diagnostics, &result);
    if (status == RETC_OK) status = add_result(verify, compilation, form, pass, &result, diagnostics);
  }
  retc_check_destroy(check);
  return status;
}

static retc_status verify_form(retc_verify *verify, const retc_network *network, retc_form form, int64_t chunk,
                               retc_diagnostics *diagnostics) {
  const retc_llvm_options llvm = {.cpu = verify->cpu};
  retc_compile_options options = {.form = form, .chunk_length = chunk, .stop_after = "import",
                                  .failed = retc_reproducer_write};
  retc_compilation *compilation;
  RETC_TRY(retc_llvm_profile(&llvm, diagnostics, &options.profile));
  RETC_TRY(retc_compile(network, &options, diagnostics, &compilation));
  retc_status status = run_passes(verify, compilation, form, &options, diagnostics);
  retc_compilation_destroy(compilation);
  return status;
}

retc_status retc_verify_passes(retc_verify *verify, retc_diagnostics *diagnostics) {
  retc_network network = verify->source->network;
  if (network.layers > 1 && retc_verify_parameter_count(verify->source) > WHOLE_PARAMETERS) network.layers = 1;
  RETC_TRY(verify_form(verify, &network, RETC_FORM_SESSION, 0, diagnostics));
  if (network.normaliser == RETC_NORMALISER_PLAIN) return RETC_OK; /* the other forms are the same operations */
  RETC_TRY(verify_form(verify, &network, RETC_FORM_PARALLEL, SHORT_CHUNK, diagnostics));
  return verify_form(verify, &network, RETC_FORM_CHUNKWISE, SHORT_CHUNK, diagnostics);
}
