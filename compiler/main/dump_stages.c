#include <string.h>

#include "compiler/main/dump.h"

static void add_stage(retc_dump_stages *stages, retc_dump_stage stage, const retc_compilation *compilation) {
  stage.lowered = retc_compilation_is_lowered(compilation);
  if (!stage.lowered || !stages->only) {
    retc_compilation_print(compilation, &stage.text);
  } else {
    for (size_t i = 0; i < compilation->kernels.count; i++) {
      if (strcmp(compilation->kernels.items[i]->name, stages->only)) continue;
      retc_compilation_print_kernel(compilation, i, &stage.text);
    }
  }
  const bool drawn = stages->draw && !stage.lowered && stage.changed && stages->drawn == RETC_OK;
  if (drawn) stages->drawn = stages->draw(stages->user, compilation, stages->diagnostics, &stage.pictures);
  RETC_VEC_PUSH(&stages->arena, stages->list, stage);
}

static void observe(void *user, size_t pass, const retc_compilation *compilation, bool changed, double seconds) {
  add_stage(user, (retc_dump_stage){.pass = pass, .run = true, .changed = changed, .seconds = seconds}, compilation);
}

/* Program text is a stage before any pass is run. */
static retc_status add_text(retc_dump_stages *stages, retc_diagnostics *diagnostics) {
  const retc_source *source = stages->build.source;
  retc_compilation *compilation;
  if (!source->is_text) return RETC_OK;
  RETC_TRY(retc_compilation_parse((const char *)source->text.data, source->text.size, source->path, diagnostics,
                                  &compilation));
  add_stage(stages, (retc_dump_stage){.pass = compilation->passes_done - 1, .changed = true}, compilation);
  retc_compilation_destroy(compilation);
  return RETC_OK;
}

retc_status retc_dump_stages_init(retc_dump_stages *stages, const char *model, const retc_dump_options *options,
                                  const char *last, retc_diagnostics *diagnostics) {
  stages->only = options->only;
  stages->diagnostics = diagnostics;
  retc_arena_init(&stages->arena);
  retc_build *build = &stages->build;
  build->target = options->target;
  build->arithmetic = options->arithmetic;
  RETC_TRY(retc_build_open(build, model, options->chunk, options->cpu, diagnostics));
  build->options.stop_after = last;
  build->options.observe = observe;
  build->options.user = stages;
  RETC_TRY(add_text(stages, diagnostics));
  RETC_TRY(retc_source_compile(build->source, &build->options, diagnostics, &build->compilation));
  RETC_TRY(stages->drawn);
  size_t kernel;
  return options->only ? retc_dump_find_kernel(build, options->only, diagnostics, &kernel) : RETC_OK;
}

void retc_dump_stages_deinit(retc_dump_stages *stages) {
  for (size_t i = 0; i < stages->list.count; i++) {
    retc_text_deinit(&stages->list.items[i].text);
    retc_text_deinit(&stages->list.items[i].pictures);
  }
  retc_build_deinit(&stages->build);
  retc_arena_deinit(&stages->arena);
}

const char *retc_dump_stage_name(retc_dump_stages *stages, const retc_dump_stage *stage) {
  return retc_arena_printf(&stages->arena, "%02zu-%s.%s", stage->pass + 1, retc_pass_get_info(stage->pass)->name,
                           stage->lowered ? "kernel" : "graph");
}

retc_status retc_dump_find_kernel(retc_build *build, const char *name, retc_diagnostics *diagnostics,
                                  size_t *out_kernel) {
  const retc_compilation *compilation = build->compilation;
  retc_arena arena;
  retc_arena_init(&arena);
  const char **names = RETC_NEW_ARRAY(&arena, const char *, compilation->kernels.count + 1);
  for (size_t i = 0; i < compilation->kernels.count; i++) names[i] = compilation->kernels.items[i]->name;
  retc_status status =
      retc_choose("dump: --only", name, names, compilation->kernels.count, diagnostics, out_kernel);
  if (status == RETC_OK) build->only = compilation->kernels.items[*out_kernel];
  retc_arena_deinit(&arena);
  return status;
}

retc_status retc_dump_refuse(const retc_build *build, size_t done, const char *pass, retc_diagnostics *diagnostics) {
  return retc_fail(diagnostics, RETC_INVALID, "%s: is a program after %s, it cannot be shown as it was after %s",
                   build->source->path, retc_pass_get_info(done)->name, pass);
}
