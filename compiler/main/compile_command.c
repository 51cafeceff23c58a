#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compiler/main/build.h"

typedef struct options {
  const char *out, *cpu;
  int64_t chunk;
} options;

enum { MODEL_LL, MODEL_S, MODEL_O, PLAN_JSON, FILE_COUNT };
static const char *const file_names[FILE_COUNT] = {
    [MODEL_LL] = "model.ll", [MODEL_S] = "model.s", [MODEL_O] = "model.o", [PLAN_JSON] = "plan.json"};

static retc_status make_texts(retc_build *build, retc_diagnostics *diagnostics, retc_text texts[FILE_COUNT]) {
  RETC_TRY(retc_llvm_emit_ir(build->module, diagnostics, &texts[MODEL_LL]));
  RETC_TRY(retc_llvm_emit_assembly(build->module, diagnostics, &texts[MODEL_S]));
  RETC_TRY(retc_llvm_emit_object(build->module, diagnostics, &texts[MODEL_O]));
  retc_plan_print_json(build->compilation->plan, &texts[PLAN_JSON]);
  return RETC_OK;
}

/* All files are complete beside their places before the first takes its name. */
static retc_status write_files(const char *directory, const retc_text texts[FILE_COUNT],
                               retc_diagnostics *diagnostics) {
  retc_file_writer writers[FILE_COUNT] = {{0}};
  retc_status status = RETC_OK;
  retc_arena arena;
  retc_arena_init(&arena);
  for (int i = 0; i < FILE_COUNT && status == RETC_OK; i++) {
    const char *path = retc_arena_printf(&arena, "%s/%s", directory, file_names[i]);
    status = retc_file_writer_init(&writers[i], path, diagnostics);
    if (status == RETC_OK) {
      status = retc_file_writer_write(&writers[i], texts[i].data, texts[i].length, diagnostics);
    }
    if (status == RETC_OK) status = retc_file_writer_finish(&writers[i], diagnostics);
  }
  for (int i = 0; i < FILE_COUNT && status == RETC_OK; i++) {
    status = retc_file_writer_commit(&writers[i], diagnostics);
  }
  for (int i = 0; i < FILE_COUNT; i++) retc_file_writer_deinit(&writers[i]);
  retc_arena_deinit(&arena);
  return status;
}

static retc_status check_directory(const char *path, retc_diagnostics *diagnostics) {
  if (!retc_path_exists(path) || retc_path_is_directory(path)) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: is a file, expected a directory or nothing", path);
}

static retc_status write_directory(const char *path, const retc_text texts[FILE_COUNT],
                                   retc_diagnostics *diagnostics) {
  bool made = mkdir(path, 0777) == 0;
  if (!made && errno != EEXIST) {
    return retc_fail(diagnostics, errno == ENOENT || errno == ENOTDIR ? RETC_INVALID : RETC_FAILED,
                     "%s: the directory cannot be made: %s", path, strerror(errno));
  }
  retc_status status = write_files(path, texts, diagnostics);
  if (status != RETC_OK && made) rmdir(path);
  return status;
}

static retc_status compile_model(const char *model, const options *o, retc_diagnostics *diagnostics) {
  RETC_TRY(check_directory(o->out, diagnostics));
  retc_build build = {0};
  retc_text texts[FILE_COUNT];
  for (int i = 0; i < FILE_COUNT; i++) retc_text_init(&texts[i]);
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, NULL, diagnostics);
  if (status == RETC_OK) status = retc_build_emit(&build, o->cpu, diagnostics);
  if (status == RETC_OK) status = make_texts(&build, diagnostics, texts);
  if (status == RETC_OK) status = write_directory(o->out, texts, diagnostics);
  if (status == RETC_OK) {
    fprintf(stderr, "%s: %zu kernels in %zu bytes of object file\n", o->out, build.compilation->kernels.count,
            texts[MODEL_O].length);
  }
  for (int i = 0; i < FILE_COUNT; i++) retc_text_deinit(&texts[i]);
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
