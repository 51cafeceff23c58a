#include <string.h>

#include "compiler/main/dump.h"
#include "compiler/main/target.h"

enum { EMIT_LLVM, EMIT_ASM, EMIT_HIP, EMIT_COUNT };
static const char *const emits[EMIT_COUNT] = {[EMIT_LLVM] = "llvm", [EMIT_ASM] = "asm", [EMIT_HIP] = "hip"};
static const retc_build_product products[EMIT_COUNT] = {
    [EMIT_LLVM] = RETC_BUILD_LLVM, [EMIT_ASM] = RETC_BUILD_ASSEMBLY, [EMIT_HIP] = RETC_BUILD_HIP};

/* The first pass after which there are kernels. */
static size_t lower_pass(void) { return retc_pass_find("lower"); }

static retc_status check_pass(const char *option, const char *name, retc_diagnostics *diagnostics) {
  retc_arena arena;
  retc_arena_init(&arena);
  const char **names = RETC_NEW_ARRAY(&arena, const char *, retc_pass_count());
  for (size_t i = 0; i < retc_pass_count(); i++) names[i] = retc_pass_get_info(i)->name;
  size_t index;
  retc_status status = retc_choose(option, name, names, retc_pass_count(), diagnostics, &index);
  retc_arena_deinit(&arena);
  return status;
}

/* One way to print at a time; of these only the graph's picture is of one pass. */
static retc_status check_ways(const retc_dump_options *o, retc_diagnostics *diagnostics) {
  const struct {
    bool given;
    const char *name, *why_not_after;
  } ways[] = {{o->emit, "emit", "prints the finished code"},
              {o->all, "all", "writes every stage"},
              {o->html, "html", "shows every stage"},
              {o->diff[0], "diff", "names its two passes itself"},
              {o->dot, "dot", NULL}};
  const char *chosen = NULL;
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    if (!ways[i].given) continue;
    if (chosen) {
      return retc_fail(diagnostics, RETC_INVALID, "dump: --%s and --%s are two ways to print, expected one", chosen,
                       ways[i].name);
    }
    chosen = ways[i].name;
    if (o->after && ways[i].why_not_after) {
      return retc_fail(diagnostics, RETC_INVALID, "dump: --%s %s, it goes without --after", chosen,
                       ways[i].why_not_after);
    }
  }
  return RETC_OK;
}

/* Passes are known, and there are graphs or kernels where they are wanted. */
static retc_status check_passes(const retc_dump_options *o, retc_diagnostics *diagnostics) {
  if (o->after) RETC_TRY(check_pass("dump: --after", o->after, diagnostics));
  for (int i = 0; i < 2 && o->diff[0]; i++) RETC_TRY(check_pass("dump: --diff", o->diff[i], diagnostics));
  if (o->diff[0] && retc_pass_find(o->diff[0]) >= retc_pass_find(o->diff[1])) {
    return retc_fail(diagnostics, RETC_INVALID, "dump: --diff: pass %s does not come before %s", o->diff[0],
                     o->diff[1]);
  }
  if (o->dot && o->after && retc_pass_find(o->after) >= lower_pass()) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "dump: --dot draws graphs, and after %s the program consists of kernels", o->after);
  }
  if (!o->only) return RETC_OK;
  if (o->dot) return retc_fail(diagnostics, RETC_INVALID, "dump: --only picks a kernel, and --dot draws graphs");
  if (o->html) return retc_fail(diagnostics, RETC_INVALID, "dump: --only picks a kernel, and --html shows all of them");
  const char *first = o->diff[0] ? o->diff[0] : o->after;
  if (first && retc_pass_find(first) < lower_pass()) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "dump: --only picks a kernel, and after %s the program still consists of graphs", first);
  }
  return RETC_OK;
}

static retc_status make_text(retc_build *build, const retc_dump_options *o, size_t emit, retc_diagnostics *diagnostics,
                             retc_text *out_text) {
  const retc_compilation *compilation = build->compilation;
  size_t kernel;
  if (o->after && compilation->passes_done > retc_pass_find(o->after) + 1) {
    return retc_dump_refuse(build, compilation->passes_done - 1, o->after, diagnostics);
  }
  if (o->only) RETC_TRY(retc_dump_find_kernel(build, o->only, diagnostics, &kernel));
  if (o->emit) return retc_build_print(build, products[emit], diagnostics, out_text);
  if (o->dot && retc_compilation_is_lowered(compilation)) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: consists of kernels, and --dot draws graphs", build->source->path);
  }
  if (o->dot) retc_dump_print_dot(compilation, out_text);
  else if (o->only) retc_compilation_print_kernel(compilation, kernel, out_text);
  else retc_compilation_print(compilation, out_text);
  return RETC_OK;
}

static retc_status dump_one(const char *model, const retc_dump_options *o, retc_diagnostics *diagnostics) {
  size_t emit = 0;
  if (o->emit) RETC_TRY(retc_choose("dump: --emit", o->emit, emits, EMIT_COUNT, diagnostics, &emit));
  const char *last = o->after;
  if (o->dot && !last) last = retc_pass_get_info(lower_pass() - 1)->name;
  retc_build build = {.target = o->target, .arithmetic = o->arithmetic};
  if (o->emit && emit == EMIT_HIP && !o->target.target) build.target.target = "hip";
  retc_text text;
  retc_text_init(&text);
  retc_status status = retc_build_init(&build, model, o->chunk, o->cpu, last, diagnostics);
  if (status == RETC_OK && o->emit && (emit == EMIT_HIP) != build.is_hip) {
    status = retc_fail(diagnostics, RETC_INVALID, "dump: --emit %s does not go with --target %s", o->emit,
                       build.is_hip ? "hip" : "cpu");
  }
  if (status == RETC_OK) status = make_text(&build, o, emit, diagnostics, &text);
  if (status == RETC_OK) status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  retc_build_deinit(&build);
  return status;
}

static retc_status dump(const char *model, const retc_dump_options *o, retc_diagnostics *diagnostics) {
  RETC_TRY(check_ways(o, diagnostics));
  RETC_TRY(check_passes(o, diagnostics));
  if (o->all) return retc_dump_all(model, o, diagnostics);
  if (o->diff[0]) return retc_dump_diff(model, o, diagnostics);
  if (o->html) return retc_dump_html(model, o, diagnostics);
  return dump_one(model, o, diagnostics);
}

retc_status retc_dump_command(int count, char **words, retc_diagnostics *diagnostics) {
  retc_dump_options chosen = {0};
  const retc_option table[] = {
      {"after", 0, "PASS", "stop after this pass, see retc ops (the last)", RETC_OPTION_TEXT, &chosen.after, 0, 0},
      {"only", 0, "KERNEL", "of kernels, LLVM IR and assembly only this kernel's", RETC_OPTION_TEXT, &chosen.only, 0,
       0},
      {"emit", 0, "llvm|asm|hip", "LLVM IR, assembly or HIP source instead", RETC_OPTION_TEXT, &chosen.emit, 0, 0},
      {"all", 0, "DIR", "write every stage, the plan and the code as files 01-..., 02-...", RETC_OPTION_TEXT,
       &chosen.all, 0, 0},
      {"html", 0, "FILE", "write one page that shows every stage: graphs, kernels, code, costs, memory",
       RETC_OPTION_TEXT, &chosen.html, 0, 0},
      {"diff", 0, "PASS PASS", "what changed from after the first pass to after the second, by diff -u",
       RETC_OPTION_PAIR, chosen.diff, 0, 0},
      {"dot", 0, NULL, "the graphs (--after a pass; before kernels are made) in Graphviz's language", RETC_OPTION_FLAG,
       &chosen.dot, 0, 0},
      {"chunk", 0, "C", "tokens a chunk (the model's)", RETC_OPTION_INTEGER, &chosen.chunk, 1, RETC_CHUNK_MAX},
      RETC_WEIGHTS_OPTION(chosen.arithmetic),
      {"target", 0, "cpu|hip", "what the program is made for (cpu)", RETC_OPTION_TEXT, &chosen.target.target, 0, 0},
      {"arch", 0, "LIST", "of --target hip: gfx90a, gfx942, gfx1100, gfx1201, by commas (all)", RETC_OPTION_TEXT,
       &chosen.target.arch, 0, 0},
      {"math", 0, "TYPE",
       "of products with weights: f32, bf16, int8 (what goes with the weights); on GPUs f32, bf16, f16",
       RETC_OPTION_TEXT, &chosen.target.math, 0, 0},
      RETC_BLAS_OPTION(&chosen),
      RETC_CPU_OPTION(chosen.cpu),
  };
  const retc_syntax syntax = {
      "dump",
      "Prints the program after a pass, as kernels or as code. Needs no weights: MODEL may be\n"
      "a config.json alone. It may also be program text: what that has not been through is run.",
      "MODEL", table, sizeof table / sizeof table[0]};
  const char *model;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &model, &help));
  return help ? RETC_OK : dump(model, &chosen, diagnostics);
}
