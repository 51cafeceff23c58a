/* The page: page.html with the style, the script and the data put in their places. */
#include <string.h>

#include "base/file.h"
#include "compiler/main/html/assets.h"
#include "compiler/main/html/html.h"

/* The program as it was after the passes that change graphs, and all texts. */
typedef struct page {
  retc_dump_stages stages;
  retc_html_strings strings;
  retc_text data;
} page;

static size_t intern(page *p, const char *text) { return retc_html_strings_add(&p->strings, text, strlen(text)); }

/* Which pass was the last is known, and no change. */
static bool same_text(const retc_text *a, const retc_text *b) {
  static const char said[] = "program after=";
  const char *x = strstr(a->data, said), *y = strstr(b->data, said);
  if (!x || !y || x - a->data != y - b->data) return false;
  x += sizeof said - 1, y += sizeof said - 1;
  return !strcmp(x + strcspn(x, " \n"), y + strcspn(y, " \n"));
}

static void print_text(page *p, size_t index) {
  const retc_dump_stage *stage = &p->stages.list.items[index];
  if (index && same_text(&stage->text, &stage[-1].text)) {
    retc_text_printf(&p->data, "%zu", index - 1); /* that of another stage */
    return;
  }
  retc_html_print_lines(&p->strings, stage->text.data, stage->text.length, &p->data);
}

static void print_stage(page *p, size_t index) {
  const retc_dump_stage *stage = &p->stages.list.items[index];
  const retc_pass_info *pass = retc_pass_get_info(stage->pass);
  retc_text_printf(&p->data, "%s{\"name\":%zu,\"holds\":%zu,\"lowered\":%s,\"changed\":%s,\"run\":%s,\"seconds\":%.6f",
                   index ? ",\n" : "\n", intern(p, pass->name), intern(p, pass->after),
                   stage->lowered ? "true" : "false", stage->changed ? "true" : "false", stage->run ? "true" : "false",
                   stage->seconds);
  retc_text_printf(&p->data, ",\"graphs\":[%s],\"text\":", stage->pictures.data ? stage->pictures.data : "");
  print_text(p, index);
  retc_text_add(&p->data, "}");
}

static retc_status print_hip(page *p, retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  retc_status status = retc_build_print(&p->stages.build, RETC_BUILD_HIP, diagnostics, &text);
  if (status == RETC_OK) {
    retc_text_add(&p->data, ",\"hip\":{\"text\":");
    retc_html_print_lines(&p->strings, text.data, text.length, &p->data);
    retc_text_add(&p->data, "}");
  }
  retc_text_deinit(&text);
  return status;
}

static retc_status print_code(page *p, retc_diagnostics *diagnostics) {
  retc_text text;
  if (p->stages.build.is_hip) return print_hip(p, diagnostics);
  retc_text_init(&text);
  p->stages.build.locations = true;
  retc_status status = retc_build_print(&p->stages.build, RETC_BUILD_LLVM, diagnostics, &text);
  if (status == RETC_OK) {
    retc_text_add(&p->data, ",\"llvm\":");
    retc_html_print_llvm(&p->strings, text.data, &p->data);
    retc_text_clear(&text);
    status = retc_build_print(&p->stages.build, RETC_BUILD_ASSEMBLY, diagnostics, &text);
  }
  if (status == RETC_OK) {
    retc_text_add(&p->data, ",\"assembly\":");
    retc_html_print_assembly(&p->strings, text.data, &p->data);
  }
  retc_text_deinit(&text);
  return status;
}

static retc_status print_data(page *p, const char *model, retc_diagnostics *diagnostics) {
  retc_text_printf(&p->data, "{\"model\":%zu,\"machine\":%zu,\"graphviz\":%s,\"stages\":[", intern(p, model),
                   intern(p, p->stages.build.options.profile.name), retc_html_layout_is_there() ? "true" : "false");
  for (size_t i = 0; i < p->stages.list.count; i++) print_stage(p, i);
  retc_text_add(&p->data, "],\"plan\":");
  retc_html_print_plan(p->stages.build.compilation, &p->strings, &p->data);
  RETC_TRY(print_code(p, diagnostics));
  retc_text_add(&p->data, ",\n\"lines\":");
  retc_html_strings_print(&p->strings, &p->data);
  retc_text_add(&p->data, "}");
  return RETC_OK;
}

/* A mark of page.html and what takes its place. */
static void assemble(page *p, const char *model, retc_text *out_text) {
  const char *rest = retc_html_asset_page;
  const char *base = strrchr(model, '/') ? strrchr(model, '/') + 1 : model;
  for (const char *mark; (mark = strstr(rest, "@{")); rest = strchr(mark, '}') + 1) {
    retc_text_append(out_text, rest, (size_t)(mark - rest));
    if (!strncmp(mark, "@{title}", 8)) retc_html_print_escaped(*base ? base : model, out_text);
    if (!strncmp(mark, "@{style}", 8)) retc_text_add(out_text, retc_html_asset_style);
    if (!strncmp(mark, "@{script}", 9)) retc_text_add(out_text, retc_html_asset_script);
    if (!strncmp(mark, "@{data}", 7)) retc_text_append(out_text, p->data.data, p->data.length);
  }
  retc_text_add(out_text, rest);
}

/* While the program is on its way: the graphs as they are now. */
static retc_status draw(void *user, const retc_compilation *compilation, retc_diagnostics *diagnostics,
                        retc_text *out_text) {
  page *p = user;
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    if (i) retc_text_add(out_text, ",");
    RETC_TRY(retc_html_print_graph(compilation->graphs.items[i], &p->strings, diagnostics, out_text));
  }
  return RETC_OK;
}

retc_status retc_dump_html(const char *model, const retc_dump_options *options, retc_diagnostics *diagnostics) {
  page p = {.stages.list = {0}};
  retc_arena arena;
  retc_text text;
  retc_arena_init(&arena);
  retc_text_init(&text);
  retc_html_strings_init(&p.strings, &arena);
  p.stages.draw = draw;
  p.stages.user = &p;
  retc_status status = retc_dump_stages_init(&p.stages, model, options, NULL, diagnostics);
  if (status == RETC_OK) status = print_data(&p, model, diagnostics);
  if (status == RETC_OK) {
    assemble(&p, model, &text);
    status = retc_file_write(options->html, text.data, text.length, diagnostics);
  }
  retc_dump_stages_deinit(&p.stages);
  retc_text_deinit(&p.data);
  retc_text_deinit(&text);
  retc_arena_deinit(&arena);
  return status;
}
