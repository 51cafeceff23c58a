#include <stdio.h>

#include "compiler/main/build.h"
#include "compiler/main/output_files.h"

typedef struct options {
  const char *out, *cpu;
  retc_arithmetic_words arithmetic;
  retc_build_target target;
  int64_t chunk;
} options;

enum { FILES_MAX = 4 };

typedef struct product {
  const char *name;
  retc_build_product product;
} product;
static const product cpu_files[] = {{"model.ll", RETC_BUILD_LLVM}, {"model.s", RETC_BUILD_ASSEMBLY},
                                    {"model.o", RETC_BUILD_OBJECT}, {"plan.json", RETC_BUILD_PLAN}};
static const product hip_files[] = {{"model.hip", RETC_BUILD_HIP}, {"plan.json", RETC_BUILD_PLAN}};

typedef struct files {
  retc_output_file items[FILES_MAX];
  size_t count;
} files;

static retc_status make_files(retc_build *build, retc_diagnostics *diagnostics, files *out_files) {
  const product *products = build->is_hip ? hip_files : cpu_files;
  out_files->count = build->is_hip ? sizeof hip_files / sizeof *hip_files : sizeof cpu_files / sizeof *cpu_files;
  for (size_t i = 0; i < out_files->count; i++) {
    out_files->items[i].name = products[i].name;
    RETC_TRY(retc_build_print(build, products[i].product, diagnostics, &out_files->items[i].text));
  }
  return RETC_OK;
}

/* What the kernels have become. */
static void report(const retc_build *build, const char *out, const files *all) {
  const bool hip = build->is_hip;
  fprintf(stderr, "%s: %zu kernels in %zu bytes of %s\n", out, build->compilation->kernels.count,
          all->items[hip ? 0 : 2].text.length, hip ? "HIP source" : "object file");
}

static retc_status compile_model(const char *model, const options *o, retc_diagnostics *diagnostics) {
  RETC_TRY(retc_output_check_directory(o->out, diagnostics));
  retc_build build = {.target = o->target, .arithmetic = o->arithmetic};
  files all = {.count = 0};
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, NULL, diagnostics);
  if (status == RETC_OK) status = make_files(&build, diagnostics, &all);
  if (status == RETC_OK) status = retc_output_files_write(o->out, all.items, all.count, diagnostics);
  if (status == RETC_OK) report(&build, o->out, &all);
  for (size_t i = 0; i < all.count; i++) retc_text_deinit(&all.items[i].text);
  retc_build_deinit(&build);
  return status;
}

retc_status retc_compile_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {0};
  const retc_option table[] = {
      {"out", 'o', "DIR", "where to write; made when it is not there", RETC_OPTION_TEXT, &chosen.out, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &chosen.chunk, 1, RETC_CHUNK_MAX},
      RETC_WEIGHTS_OPTION(chosen.arithmetic),
      {"target", 0, "cpu|hip", "what code is made for (cpu)", RETC_OPTION_TEXT, &chosen.target.target, 0, 0},
      {"arch", 0, "LIST", "of --target hip: gfx90a, gfx942, gfx1100, gfx1201, by commas (all)", RETC_OPTION_TEXT,
       &chosen.target.arch, 0, 0},
      {"math", 0, "TYPE", "of products with weights: f32, bf16, int8 (what goes with the weights); on GPUs f32, bf16, f16", RETC_OPTION_TEXT,
       &chosen.target.math, 0, 0},
      {"cpu", 0, "NAME", "LLVM's name, znver4, x86-64-v3, ... (this machine's)", RETC_OPTION_TEXT, &chosen.cpu, 0, 0},
  };
  const retc_syntax syntax = {"compile", "Writes model.ll, model.s, model.o and plan.json, or for GPUs model.hip and\n"
                              "plan.json. Needs no weights: a config.json alone will do.",
                              "MODEL", table, sizeof table / sizeof table[0]};
  const char *model;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &model, &help));
  if (help) return RETC_OK;
  if (!chosen.out) return retc_fail(diagnostics, RETC_INVALID, "compile: no directory given, expected -o DIR");
  return compile_model(model, &chosen, diagnostics);
}
