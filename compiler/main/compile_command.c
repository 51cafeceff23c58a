#include <stdio.h>

#include "compiler/main/build.h"
#include "compiler/main/output_files.h"

typedef struct options {
  const char *out, *cpu;
  int64_t chunk;
} options;

enum { MODEL_LL, MODEL_S, MODEL_O, PLAN_JSON, FILE_COUNT };
static const char *const file_names[FILE_COUNT] = {
    [MODEL_LL] = "model.ll", [MODEL_S] = "model.s", [MODEL_O] = "model.o", [PLAN_JSON] = "plan.json"};

static retc_status make_texts(retc_build *build, retc_diagnostics *diagnostics, retc_output_file files[FILE_COUNT]) {
  for (int i = 0; i < FILE_COUNT; i++) files[i].name = file_names[i];
  RETC_TRY(retc_build_print(build, RETC_BUILD_LLVM, diagnostics, &files[MODEL_LL].text));
  RETC_TRY(retc_build_print(build, RETC_BUILD_ASSEMBLY, diagnostics, &files[MODEL_S].text));
  RETC_TRY(retc_build_print(build, RETC_BUILD_OBJECT, diagnostics, &files[MODEL_O].text));
  return retc_build_print(build, RETC_BUILD_PLAN, diagnostics, &files[PLAN_JSON].text);
}

static retc_status compile_model(const char *model, const options *o, retc_diagnostics *diagnostics) {
  RETC_TRY(retc_output_check_directory(o->out, diagnostics));
  retc_build build = {0};
  retc_output_file files[FILE_COUNT] = {{0}};
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, NULL, diagnostics);
  if (status == RETC_OK) status = make_texts(&build, diagnostics, files);
  if (status == RETC_OK) status = retc_output_files_write(o->out, files, FILE_COUNT, diagnostics);
  if (status == RETC_OK) {
    fprintf(stderr, "%s: %zu kernels in %zu bytes of object file\n", o->out, build.compilation->kernels.count,
            files[MODEL_O].text.length);
  }
  for (int i = 0; i < FILE_COUNT; i++) retc_text_deinit(&files[i].text);
  retc_build_deinit(&build);
  return status;
}

retc_status retc_compile_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {0};
  const retc_option table[] = {
      {"out", 'o', "DIR", "where to write; made when it is not there", RETC_OPTION_TEXT, &chosen.out, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &chosen.chunk, 1, RETC_CHUNK_MAX},
      {"cpu", 0, "NAME", "LLVM's name, znver4, x86-64-v3, ... (this machine's)", RETC_OPTION_TEXT, &chosen.cpu, 0, 0},
  };
  const retc_syntax syntax = {"compile", "Writes model.ll, model.s, model.o and plan.json. Needs no weights.", "MODEL",
                              table, sizeof table / sizeof table[0]};
  const char *model;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &model, &help));
  if (help) return RETC_OK;
  if (!chosen.out) return retc_fail(diagnostics, RETC_INVALID, "compile: no directory given, expected -o DIR");
  return compile_model(model, &chosen, diagnostics);
}
