#include "compiler/main/build.h"

typedef struct options {
  const char *after, *emit, *cpu;
  int64_t chunk;
} options;

enum { EMIT_LLVM, EMIT_ASM, EMIT_COUNT };

static retc_status check_pass(const char *name, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  const char **names = RETC_NEW_ARRAY(&arena, const char *, retc_pass_count());
  for (size_t i = 0; i < retc_pass_count(); i++) names[i] = retc_pass_get_info(i)->name;
  size_t index;
  retc_status status =
      retc_arguments_choose("dump: --after", name, names, retc_pass_count(), diagnostics, &index);
  retc_arena_deinit(&arena);
  return status;
}

static retc_status make_text(retc_build *build, const options *o, size_t emit, retc_diagnostics *diagnostics,
                             retc_text *out_text) {
  if (!o->emit) {
    retc_compilation_print(build->compilation, out_text);
    return RETC_OK;
  }
  RETC_TRY(retc_build_emit(build, o->cpu, diagnostics));
  return emit == EMIT_LLVM ? retc_llvm_emit_ir(build->module, diagnostics, out_text)
                           : retc_llvm_emit_assembly(build->module, diagnostics, out_text);
}

static retc_status dump(const char *model, const options *o, retc_diagnostics *diagnostics) {
  static const char *const emits[EMIT_COUNT] = {[EMIT_LLVM] = "llvm", [EMIT_ASM] = "asm"};
  size_t emit = 0;
  if (o->emit && o->after) {
    return retc_fail(diagnostics, RETC_INVALID, "dump: --emit prints the finished code, it goes without --after");
  }
  if (o->emit) RETC_TRY(retc_arguments_choose("dump: --emit", o->emit, emits, EMIT_COUNT, diagnostics, &emit));
  if (o->after) RETC_TRY(check_pass(o->after, diagnostics));
  retc_build build = {0};
  retc_text text;
  retc_text_init(&text);
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, o->after, diagnostics);
  if (status == RETC_OK) status = make_text(&build, o, emit, diagnostics, &text);
  if (status == RETC_OK) status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  retc_build_deinit(&build);
  return status;
}

retc_status retc_dump_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {0};
  const retc_option table[] = {
      {"after", 0, "PASS", "stop after this pass, see retc ops (the last)", RETC_OPTION_TEXT, &chosen.after, 0, 0},
      {"emit", 0, "llvm|asm", "LLVM IR or assembly instead", RETC_OPTION_TEXT, &chosen.emit, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &chosen.chunk, 1, RETC_CHUNK_MAX},
      {"cpu", 0, "NAME", "LLVM's name, znver4, x86-64-v3, ... (this machine's)", RETC_OPTION_TEXT, &chosen.cpu, 0, 0},
  };
  const retc_syntax syntax = {"dump", "Prints the program after a pass, as kernels or as code. Needs no weights.",
                              "MODEL", table, sizeof table / sizeof table[0]};
  const char *model;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &model, &help));
  return help ? RETC_OK : dump(model, &chosen, diagnostics);
}
