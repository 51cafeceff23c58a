#include <stdio.h>
#include <string.h>

#include "compiler/check.h"
#include "compiler/main/build.h"
#include "compiler/main/opt_replay.h"
#include "compiler/main/program_arrays.h"
#include "compiler/main/reproducer.h"

typedef struct options {
  const char *pass, *from, *to, *cpu;
  const char *run, *out, *weights, *entry;
  retc_build_target target;
  bool check;
} options;

enum { PASSES_MAX = 256 };

static retc_status find_pass(const char *option, const char *name, retc_diagnostics *diagnostics, size_t *out_pass) {
  const char *names[PASSES_MAX];
  char what[64] = "opt: --";
  strncat(what, option, sizeof what - strlen(what) - 1);
  for (size_t i = 0; i < retc_pass_count(); i++) names[i] = retc_pass_get_info(i)->name;
  return retc_choose(what, name, names, retc_pass_count(), diagnostics, out_pass);
}

/* "a,b,c" */
static retc_status read_list(const char *list, retc_diagnostics *diagnostics, size_t *passes, size_t *out_count) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_status status = RETC_OK;
  *out_count = 0;
  for (const char *at = list; status == RETC_OK;) {
    size_t length = strcspn(at, ",");
    if (*out_count == PASSES_MAX) {
      status = retc_fail(diagnostics, RETC_INVALID, "opt: --pass: expected at most %d passes", PASSES_MAX);
      break;
    }
    status = find_pass("pass", retc_arena_strndup(&arena, at, length), diagnostics, &passes[*out_count]);
    if (status == RETC_OK) ++*out_count;
    if (!at[length]) break;
    at += length + 1;
  }
  retc_arena_deinit(&arena);
  return status;
}

/* The passes asked for: a list, or those of the pipeline from one to another. */
static retc_status choose_passes(const options *o, const retc_compilation *compilation, retc_diagnostics *diagnostics,
                                 size_t *passes, size_t *out_count) {
  *out_count = 0;
  if (o->pass && (o->from || o->to)) {
    return retc_fail(diagnostics, RETC_INVALID, "opt: --pass goes without --from and --to");
  }
  if (o->pass) return read_list(o->pass, diagnostics, passes, out_count);
  if (!o->from && !o->to) return RETC_OK;
  size_t first = compilation->passes_done, last = retc_pass_count() - 1;
  if (o->from) RETC_TRY(find_pass("from", o->from, diagnostics, &first));
  if (o->to) RETC_TRY(find_pass("to", o->to, diagnostics, &last));
  if (o->from && first > last) {
    return retc_fail(diagnostics, RETC_INVALID, "opt: pass %s comes after %s", o->from, o->to);
  }
  if (first > last + 1) {
    return retc_fail(diagnostics, RETC_INVALID, "opt: --to %s: the program has been through %s already", o->to,
                     retc_pass_get_info(first - 1)->name);
  }
  while (first <= last) passes[(*out_count)++] = first++;
  return RETC_OK;
}

/* One pass after the other, each compared with what was before it. A line a pass on stderr. */
static retc_status run_checked(retc_compilation *compilation, const size_t *passes, size_t count,
                               const retc_compile_options *compile, retc_diagnostics *diagnostics) {
  enum { SEED = 1 };
  retc_check *check;
  bool hold = true;
  RETC_TRY(retc_check_create(compilation, SEED, diagnostics, &check));
  retc_status status = RETC_OK;
  if (!count) fputs("opt: --check: no pass to compare, see --pass, --from and --to\n", stderr);
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    retc_check_result result;
    status = retc_passes_run(compilation, &passes[i], 1, compile, diagnostics);
    if (status == RETC_OK) status = retc_check_step(check, compilation, passes[i], diagnostics, &result);
    if (status != RETC_OK) break;
    fprintf(stderr, "%-10s %s", retc_pass_get_info(passes[i])->name, result.holds ? "holds" : "DIFFERS");
    if (result.output) {
      fprintf(stderr, ": %s of %s: %.3g of %.3g, limit %.3g", result.output, result.entry, result.difference,
              result.scale, result.limit);
    }
    fputc('\n', stderr);
    hold = hold && result.holds;
  }
  retc_check_destroy(check);
  if (status == RETC_OK && !hold)
    return retc_fail(diagnostics, RETC_FAILED, "opt: a pass changes what the program computes");
  return status;
}

/* ---- --run ---- */

static retc_status interpret(const retc_compilation *compilation, const options *o, retc_diagnostics *diagnostics) {
  size_t entry;
  retc_arrays arrays, results;
  retc_dims dims;
  retc_checkpoint *file;
  retc_text remark;
  RETC_TRY(retc_entry_find(compilation, o->entry, diagnostics, &entry));
  RETC_TRY(retc_program_arrays_open(o->run, diagnostics, &file));
  retc_arrays_init(&arrays);
  retc_arrays_init(&results);
  retc_entry_inputs inputs = retc_entry_get_inputs(compilation, entry, &arrays.arena);
  inputs.file = o->run;
  retc_text_init(&remark);
  retc_status status = retc_program_arrays_check(file, compilation, diagnostics, &remark);
  if (status == RETC_OK) status = retc_program_arrays_add(file, o->weights, diagnostics);
  if (status == RETC_OK) status = retc_program_arrays_require(file, &inputs, o->weights, diagnostics);
  if (status == RETC_OK) status = retc_program_arrays_take(file, &inputs, true, diagnostics, &arrays);
  retc_checkpoint_destroy(file);
  if (status == RETC_OK) status = retc_bind_dims(compilation, &inputs, &arrays, diagnostics, &dims);
  if (status == RETC_OK) status = retc_program_arrays_check_sizes(&inputs, &dims, diagnostics);
  if (status == RETC_OK) status = retc_evaluate(compilation, entry, &dims, &arrays, diagnostics, &results);
  if (status == RETC_OK) status = retc_arrays_write(&results, o->out, diagnostics);
  if (status == RETC_OK && remark.length) fputs(remark.data, stderr);
  retc_text_deinit(&remark);
  retc_arrays_deinit(&arrays);
  retc_arrays_deinit(&results);
  return status;
}

static retc_status print(const retc_compilation *compilation, retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  retc_compilation_print(compilation, &text);
  retc_status status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  return status;
}

static retc_status opt(const char *path, const options *o, retc_diagnostics *diagnostics) {
  retc_hip_targets hip;
  retc_compile_options compile = {.cpu = o->cpu, .failed = retc_reproducer_write};
  size_t passes[PASSES_MAX], count = 0;
  retc_compilation *compilation = NULL;
  if (!o->run != !o->out) return retc_fail(diagnostics, RETC_INVALID, "opt: --run and --out go together");
  if (!o->run && (o->weights || o->entry)) {
    return retc_fail(diagnostics, RETC_INVALID, "opt: --%s goes with --run", o->weights ? "weights" : "entry");
  }
  RETC_TRY(retc_build_choose_target(&o->target, o->cpu, diagnostics, &hip, &compile.profile));
  RETC_TRY(retc_program_open(path, diagnostics, &compilation));
  retc_status status = choose_passes(o, compilation, diagnostics, passes, &count);
  bool asked = o->pass || o->from || o->to || o->check || o->run;
  if (status == RETC_OK && !asked && retc_opt_wants_replay(compilation)) {
    status = retc_opt_replay(compilation, o->cpu, diagnostics);
  } else if (status == RETC_OK && o->check) {
    status = run_checked(compilation, passes, count, &compile, diagnostics);
  } else if (status == RETC_OK) {
    status = retc_passes_run(compilation, passes, count, &compile, diagnostics);
  }
  if (status == RETC_OK) status = o->run ? interpret(compilation, o, diagnostics) : print(compilation, diagnostics);
  retc_compilation_destroy(compilation);
  return status;
}

retc_status retc_opt_command(int count, char **words, retc_diagnostics *diagnostics) {
  options chosen = {0};
  const retc_option table[] = {
      {"pass", 0, "A,B,...", "the passes to run, in this order (what a reproducer asks for, else none)",
       RETC_OPTION_TEXT, &chosen.pass, 0, 0},
      {"from", 0, "PASS", "run the pipeline from this pass (what the program has not been through)", RETC_OPTION_TEXT,
       &chosen.from, 0, 0},
      {"to", 0, "PASS", "... to this one (the last)", RETC_OPTION_TEXT, &chosen.to, 0, 0},
      {"check", 0, NULL, "evaluate before and after each pass on random inputs, and compare", RETC_OPTION_FLAG,
       &chosen.check, 0, 0},
      {"run", 0, "FILE", "interpret the program on the arrays of this safetensors file instead of printing it",
       RETC_OPTION_TEXT, &chosen.run, 0, 0},
      {"out", 0, "FILE", "... and write what comes out, new states included", RETC_OPTION_TEXT, &chosen.out, 0, 0},
      {"weights", 0, "PATH", "... with weights from this file or model directory", RETC_OPTION_TEXT, &chosen.weights, 0,
       0},
      {"entry", 0, "NAME", "... of this entry (the first)", RETC_OPTION_TEXT, &chosen.entry, 0, 0},
      {"target", 0, "cpu|hip", "what lower makes kernels for (cpu)", RETC_OPTION_TEXT, &chosen.target.target, 0, 0},
      {"arch", 0, "LIST", "of --target hip: gfx90a, gfx942, gfx1100, gfx1201, by commas (all)", RETC_OPTION_TEXT,
       &chosen.target.arch, 0, 0},
      {"math", 0, "f32|bf16|f16", "of --target hip: what products with weights are computed in (f32)", RETC_OPTION_TEXT,
       &chosen.target.math, 0, 0},
      RETC_CPU_OPTION(chosen.cpu),
  };
  const retc_syntax syntax = {
      "opt", "Runs passes on program text (of graphs or kernels) and prints it; \"-\" is standard input.", "FILE",
      table, sizeof table / sizeof table[0]};
  const char *path;
  bool help;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &path, &help));
  return help ? RETC_OK : opt(path, &chosen, diagnostics);
}
