#include "compiler/main/dump.h"
#include "compiler/main/output_files.h"

enum { CODE_COUNT = 4 };

typedef struct files {
  retc_output_file *items;
  size_t count;
} files;

/* The stages' texts are lent; what is made here is owned: items[stage_count ..]. */
static retc_status make_code(retc_dump_stages *stages, files *all, retc_diagnostics *diagnostics) {
  static const struct {
    const char *name;
    retc_build_product product;
    bool hip, cpu;
  } rows[CODE_COUNT] = {{"plan.json", RETC_BUILD_PLAN, true, true},
                        {"code.ll", RETC_BUILD_LLVM, false, true},
                        {"code.s", RETC_BUILD_ASSEMBLY, false, true},
                        {"code.hip", RETC_BUILD_HIP, true, false}};
  for (int i = 0, number = 1; i < CODE_COUNT; i++) {
    if (!(stages->build.is_hip ? rows[i].hip : rows[i].cpu)) continue;
    const size_t place = retc_pass_count() + (size_t)number++;
    if (rows[i].product == RETC_BUILD_PLAN && !stages->build.compilation->plan) continue;
    retc_output_file *file = &all->items[all->count++];
    file->name = retc_arena_printf(&stages->arena, "%02zu-%s", place, rows[i].name);
    RETC_TRY(retc_build_print(&stages->build, rows[i].product, diagnostics, &file->text));
  }
  return RETC_OK;
}

static retc_status write_all(retc_dump_stages *stages, const char *directory, retc_diagnostics *diagnostics) {
  size_t stage_count = stages->list.count;
  files all = {RETC_NEW_ARRAY(&stages->arena, retc_output_file, stage_count + CODE_COUNT), 0};
  for (; all.count < stage_count; all.count++) {
    const retc_dump_stage *stage = &stages->list.items[all.count];
    all.items[all.count] = (retc_output_file){retc_dump_stage_name(stages, stage), stage->text};
  }
  retc_status status = make_code(stages, &all, diagnostics);
  if (status == RETC_OK) status = retc_output_files_write(directory, all.items, all.count, diagnostics);
  for (size_t i = stage_count; i < all.count; i++) retc_text_deinit(&all.items[i].text);
  return status;
}

retc_status retc_dump_all(const char *model, const retc_dump_options *options, retc_diagnostics *diagnostics) {
  retc_dump_stages stages = {0};
  RETC_TRY(retc_output_check_directory(options->all, diagnostics));
  retc_status status = retc_dump_stages_init(&stages, model, options, NULL, diagnostics);
  if (status == RETC_OK) status = write_all(&stages, options->all, diagnostics);
  retc_dump_stages_deinit(&stages);
  return status;
}
