#include <string.h>

#include "compiler/compile.h"
#include "compiler/main/commands.h"

enum { COLUMNS_MAX = 6 };

typedef struct table {
  const char *title, *intro;
  int columns;
  const char *heads[COLUMNS_MAX];
  RETC_VEC(const char *) cells; /* row after row */
} table;

static const char *trait_names(retc_arena *arena, unsigned traits) {
  static const struct {
    unsigned trait;
    const char *name;
  } names[] = {{RETC_TRAIT_POINTWISE, "pointwise"}, {RETC_TRAIT_INDEXING, "indexing"},
               {RETC_TRAIT_COMMUTES, "commutes"},   {RETC_TRAIT_LEAF, "leaf"},
               {RETC_TRAIT_COMPOSITE, "composite"}, {RETC_TRAIT_MULTIPLE, "multiple"}};
  const char *list = "";
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (traits & names[i].trait) list = retc_arena_printf(arena, "%s%s%s", list, *list ? " " : "", names[i].name);
  }
  return list;
}

static table graph_table(retc_arena *arena) {
  table t = {"Graph operations",
             "b batch row, t token, n chunk, i j rows of a chunk, c their number, h head, g key/value head,\n"
             "k key channel, v value channel, p rotation pair; P is the position of the call's first token.",
             6,
             {"name", "inputs", "traits", "shape", "attributes", "meaning"},
             {0}};
  for (int op = 0; op < RETC_OP_COUNT; op++) {
    const retc_op_info *info = retc_op_get_info((retc_op)op);
    RETC_VEC_PUSH(arena, t.cells, info->name);
    const char *inputs = info->min_inputs == info->max_inputs
                             ? retc_arena_printf(arena, "%d", info->min_inputs)
                             : retc_arena_printf(arena, "%d-%d", info->min_inputs, info->max_inputs);
    RETC_VEC_PUSH(arena, t.cells, inputs);
    RETC_VEC_PUSH(arena, t.cells, trait_names(arena, info->traits));
    RETC_VEC_PUSH(arena, t.cells, info->shape_rule);
    RETC_VEC_PUSH(arena, t.cells, info->attributes);
    RETC_VEC_PUSH(arena, t.cells, info->meaning);
  }
  return t;
}

static table kernel_table(retc_arena *arena) {
  static const char *const results[] = {[RETC_RESULT_own] = "own",
                                        [RETC_RESULT_same] = "same",
                                        [RETC_RESULT_real] = "real",
                                        [RETC_RESULT_truth] = "truth",
                                        [RETC_RESULT_select] = "select"};
  static const char *const written[] = {
      [RETC_FORM_leaf] = "leaf", [RETC_FORM_infix] = "infix", [RETC_FORM_call] = "call"};
  table t = {"Kernel operations", "On scalars; IEEE arithmetic, one rounding an operation.", 5,
             {"name", "inputs", "result", "form", "meaning"}, {0}};
  for (int op = 0; op < RETC_KERNEL_OP_COUNT; op++) {
    const retc_kernel_op_info *info = retc_kernel_op_get_info((retc_kernel_op)op);
    RETC_VEC_PUSH(arena, t.cells, info->name);
    RETC_VEC_PUSH(arena, t.cells, retc_arena_printf(arena, "%d", info->inputs));
    RETC_VEC_PUSH(arena, t.cells, results[info->result]);
    RETC_VEC_PUSH(arena, t.cells, written[info->form]);
    RETC_VEC_PUSH(arena, t.cells, info->meaning);
  }
  return t;
}

static table dtype_table(retc_arena *arena) {
  static const char *const cells[] = {
#define RETC_DTYPE(NAME, text, file_name, bytes, meaning) text, file_name, #bytes, meaning,
#include "base/dtypes.def"
#undef RETC_DTYPE
  };
  table t = {"Element types", "Of values and buffers.", 4, {"name", "in safetensors", "bytes", "meaning"}, {0}};
  for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) RETC_VEC_PUSH(arena, t.cells, cells[i]);
  return t;
}

static table dim_table(retc_arena *arena) {
  static const char *const cells[] = {
#define RETC_DIM(NAME, text, meaning) text, meaning,
#include "base/dims.def"
#undef RETC_DIM
  };
  table t = {"Dimensions", "What is known only when a program is called.", 2, {"name", "meaning"}, {0}};
  for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) RETC_VEC_PUSH(arena, t.cells, cells[i]);
  return t;
}

static table pass_table(retc_arena *arena) {
  table t = {"Passes", "In the order in which they run.", 3, {"name", "level", "what holds afterwards"}, {0}};
  for (size_t i = 0; i < retc_pass_count(); i++) {
    const retc_pass_info *info = retc_pass_get_info(i);
    RETC_VEC_PUSH(arena, t.cells, info->name);
    RETC_VEC_PUSH(arena, t.cells, info->level);
    RETC_VEC_PUSH(arena, t.cells, info->after);
  }
  return t;
}

static void print_markdown_row(const char *const *cells, int columns, retc_text *out_text) {
  for (int c = 0; c < columns; c++) {
    retc_text_add(out_text, "| ");
    for (const char *s = cells[c]; *s; s++) {
      if (strchr("|*_<", *s)) retc_text_add(out_text, "\\");
      retc_text_append(out_text, s, 1);
    }
    retc_text_add(out_text, " ");
  }
  retc_text_add(out_text, "|\n");
}

static void print_markdown(const table *t, retc_text *out_text) {
  retc_text_printf(out_text, "## %s\n\n%s\n\n", t->title, t->intro);
  print_markdown_row(t->heads, t->columns, out_text);
  for (int c = 0; c < t->columns; c++) retc_text_add(out_text, "|---");
  retc_text_add(out_text, "|\n");
  for (size_t i = 0; i < t->cells.count; i += (size_t)t->columns) {
    print_markdown_row(t->cells.items + i, t->columns, out_text);
  }
}

static void print_plain(const table *t, retc_text *out_text) {
  int width[COLUMNS_MAX] = {0};
  for (int c = 0; c < t->columns; c++) width[c] = (int)strlen(t->heads[c]);
  for (size_t i = 0; i < t->cells.count; i++) {
    int length = (int)strlen(t->cells.items[i]), *widest = &width[i % (size_t)t->columns];
    if (length > *widest) *widest = length;
  }
  retc_text_printf(out_text, "%s\n%s\n\n", t->title, t->intro);
  for (size_t i = 0; i < t->cells.count + (size_t)t->columns; i++) {
    size_t c = i % (size_t)t->columns;
    const char *cell = i < (size_t)t->columns ? t->heads[i] : t->cells.items[i - (size_t)t->columns];
    bool last = c + 1 == (size_t)t->columns;
    retc_text_printf(out_text, "%-*s%s", last ? 0 : width[c], cell, last ? "\n" : "  ");
  }
}

retc_status retc_ops_command(int count, char **words, retc_diagnostics *diagnostics) {
  bool markdown = false, help;
  const retc_option options[] = {
      {"markdown", 0, NULL, "as Markdown tables", RETC_OPTION_FLAG, &markdown, 0, 0},
  };
  const retc_syntax syntax = {"ops",
                              "Lists the operations of graphs and kernels, element types, dimensions and passes.", NULL,
                              options, sizeof options / sizeof options[0]};
  const char *none;
  RETC_TRY(retc_command_begin(&syntax, count, words, diagnostics, &none, &help));
  if (help) return RETC_OK;
  retc_arena arena;
  retc_arena_init(&arena);
  retc_text text;
  retc_text_init(&text);
  const table tables[] = {graph_table(&arena), kernel_table(&arena), dtype_table(&arena), dim_table(&arena),
                          pass_table(&arena)};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    if (i) retc_text_add(&text, "\n");
    (markdown ? print_markdown : print_plain)(&tables[i], &text);
  }
  retc_status status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  retc_arena_deinit(&arena);
  return status;
}
