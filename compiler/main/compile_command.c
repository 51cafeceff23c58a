#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/main/build.h"
#include "compiler/main/output_files.h"
#include "compiler/main/target.h"
#include "runtime/hip_compiler.h"

typedef struct options {
  const char *out, *cpu, *emit;
  retc_arithmetic_words arithmetic;
  retc_build_target target;
  int64_t chunk;
} options;

/* What can be written. Code objects want a compiler and are written when asked for: `code`, one of each architecture.
 */
typedef struct product {
  const char *name, *file;
  retc_build_product product;
} product;
enum { PRODUCTS = 4, FILES_MAX = 2 + RETC_HIP_PROFILE_COUNT };
static const product cpu_products[PRODUCTS] = {{"llvm", "model.ll", RETC_BUILD_LLVM},
                                               {"asm", "model.s", RETC_BUILD_ASSEMBLY},
                                               {"object", "model.o", RETC_BUILD_OBJECT},
                                               {"plan", "plan.json", RETC_BUILD_PLAN}};
static const product hip_products[] = {{"hip", "model.hip", RETC_BUILD_HIP}, {"plan", "plan.json", RETC_BUILD_PLAN}};
enum { HIP_PRODUCTS = sizeof hip_products / sizeof *hip_products };

typedef struct files {
  retc_output_file items[FILES_MAX];
  char names[FILES_MAX][32];
  size_t count;
} files;

/* Which products of `words`, whose count there is, the list `emit` names. */
static retc_status choose(const char *emit, const char *const *words, size_t count, retc_diagnostics *diagnostics,
                          bool *out_wanted) {
  char *list = strdup(emit), *rest = NULL;
  retc_status status = list ? RETC_OK : retc_fail(diagnostics, RETC_FAILED, "compile: memory refused");
  const char *word = list ? strtok_r(list, ",", &rest) : NULL;
  for (; word && status == RETC_OK; word = strtok_r(NULL, ",", &rest)) {
    size_t found = 0;
    status = retc_choose("compile: --emit", word, words, count, diagnostics, &found);
    if (status == RETC_OK) out_wanted[found] = true;
  }
  free(list);
  bool any = false;
  for (size_t i = 0; i < count; i++) any |= out_wanted[i];
  if (status != RETC_OK || any) return status;
  return retc_fail(diagnostics, RETC_INVALID, "compile: --emit: found \"%s\", expected a list of what to write", emit);
}

static retc_text *add_file(files *all, const char *name) {
  snprintf(all->names[all->count], sizeof all->names[0], "%s", name);
  all->items[all->count].name = all->names[all->count];
  retc_text_init(&all->items[all->count].text);
  return &all->items[all->count++].text;
}

static retc_status make_code(const retc_build *build, const char *source, retc_diagnostics *diagnostics, files *all) {
  for (size_t i = 0; i < build->hip.count; i++) {
    const char *arch = build->hip.items[i]->arch;
    retc_hip_code code;
    RETC_TRY(retc_hip_compile(arch, build->source->path, source, diagnostics, &code));
    char name[sizeof all->names[0]];
    snprintf(name, sizeof name, "model.%s.co", arch);
    retc_text_append(add_file(all, name), code.data, code.size);
    free(code.data);
  }
  return RETC_OK;
}

static retc_status make_files(retc_build *build, const char *emit, retc_diagnostics *diagnostics, files *all) {
  const product *products = build->is_hip ? hip_products : cpu_products;
  const size_t count = build->is_hip ? HIP_PRODUCTS : PRODUCTS;
  const char *words[PRODUCTS + 1];
  bool wanted[PRODUCTS + 1] = {false};
  for (size_t i = 0; i < count; i++) words[i] = products[i].name, wanted[i] = !emit;
  words[count] = "code";
  if (emit) RETC_TRY(choose(emit, words, count + build->is_hip, diagnostics, wanted));
  for (size_t i = 0; i < count; i++) {
    if (wanted[i]) RETC_TRY(retc_build_print(build, products[i].product, diagnostics, add_file(all, products[i].file)));
  }
  if (!wanted[count]) return RETC_OK;
  if (wanted[0]) return make_code(build, all->items[0].text.data, diagnostics, all); /* the text is there */
  retc_text source;
  retc_text_init(&source);
  retc_status status = retc_build_print(build, RETC_BUILD_HIP, diagnostics, &source);
  if (status == RETC_OK) status = make_code(build, source.data, diagnostics, all);
  retc_text_deinit(&source);
  return status;
}

/* What the kernels have become. */
static void report(const retc_build *build, const char *out, const files *all) {
  fprintf(stderr, "%s: %zu kernels in", out, build->compilation->kernels.count);
  for (size_t i = 0; i < all->count; i++) {
    fprintf(stderr, "%s %s (%zu bytes)", i ? "," : "", all->items[i].name, all->items[i].text.length);
  }
  fprintf(stderr, "\n");
}

static retc_status compile_model(const char *model, const options *o, retc_diagnostics *diagnostics) {
  RETC_TRY(retc_output_check_directory(o->out, diagnostics));
  retc_build build = {.target = o->target, .arithmetic = o->arithmetic};
  files all = {.count = 0};
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, NULL, diagnostics);
  if (status == RETC_OK) status = make_files(&build, o->emit, diagnostics, &all);
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
      {"emit", 0, "LIST", "what to write, by commas: llvm, asm, object, plan; on GPUs hip, plan, code (all but code)",
       RETC_OPTION_TEXT, &chosen.emit, 0, 0},
      RETC_WEIGHTS_OPTION(chosen.arithmetic),
      {"target", 0, "cpu|hip", "what code is made for (cpu)", RETC_OPTION_TEXT, &chosen.target.target, 0, 0},
      {"arch", 0, "LIST", "of --target hip: gfx90a, gfx942, gfx1100, gfx1201, by commas (all)", RETC_OPTION_TEXT,
       &chosen.target.arch, 0, 0},
      {"math", 0, "TYPE",
       "of products with weights: f32, bf16, int8 (what goes with the weights); on GPUs f32, bf16, f16",
       RETC_OPTION_TEXT, &chosen.target.math, 0, 0},
      RETC_BLAS_OPTION(&chosen),
      RETC_CPU_OPTION(chosen.cpu),
  };
  const retc_syntax syntax = {"compile", "Writes model.ll, model.s, model.o and plan.json, or for GPUs model.hip and\n"
                              "plan.json, with --emit code also model.ARCH.co, which hipcc (or the program that\n"
                              "RETC_HIPCC names) makes. Needs no weights: a config.json alone will do.",
                              "MODEL", table, sizeof table / sizeof table[0]};
  const char *model;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &model, &help));
  if (help) return RETC_OK;
  if (!chosen.out) return retc_fail(diagnostics, RETC_INVALID, "compile: no directory given, expected -o DIR");
  return compile_model(model, &chosen, diagnostics);
}
