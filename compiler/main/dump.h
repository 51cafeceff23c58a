/* `retc dump`: its options, and the ways to print besides the program after one pass. */
#ifndef RETC_MAIN_DUMP_H
#define RETC_MAIN_DUMP_H

#include "compiler/main/build.h"

typedef struct retc_dump_options {
  const char *after, *emit, *all, *html, *only, *diff[2], *cpu; /* NULL: not given */
  retc_arithmetic_words arithmetic;
  retc_build_target target;
  bool dot;
  int64_t chunk;
} retc_dump_options;

/* The program after a pass. */
typedef struct retc_dump_stage {
  size_t pass;
  bool lowered;   /* it consists of kernels */
  bool run, changed; /* the pass was run, not read of; it changed something */
  double seconds;
  retc_text text; /* of the one kernel when there is --only */
  retc_text pictures; /* what `draw` says */
} retc_dump_stage;

typedef struct retc_dump_stages {
  retc_build build;
  const char *only;
  /* May be set before init; called for every stage that changed something, while it is the program. */
  retc_status (*draw)(void *user, const retc_compilation *compilation, retc_diagnostics *diagnostics,
                      retc_text *out_text);
  void *user;
  retc_diagnostics *diagnostics;
  retc_status drawn; /* the first failure of `draw` */
  retc_arena arena;
  RETC_VEC(retc_dump_stage) list;
} retc_dump_stages;

/* Every stage of the model up to the pass `last` (NULL: all), the text of a program file being the first one. `stages`
 * is zero but for `draw` and `user`. After a failure, too, deinit is to be called. */
retc_status retc_dump_stages_init(retc_dump_stages *stages, const char *model, const retc_dump_options *options,
                                  const char *last, retc_diagnostics *diagnostics);
void retc_dump_stages_deinit(retc_dump_stages *stages);
/* "04-fuse.graph", on the arena. */
const char *retc_dump_stage_name(retc_dump_stages *stages, const retc_dump_stage *stage);

/* Makes `name` the kernel that code is made of; its index. RETC_INVALID with the nearest name. */
retc_status retc_dump_find_kernel(retc_build *build, const char *name, retc_diagnostics *diagnostics,
                                  size_t *out_kernel);
/* RETC_INVALID: program text has been through the pass `done`, and cannot be shown as it was after an earlier one. */
retc_status retc_dump_refuse(const retc_build *build, size_t done, const char *pass, retc_diagnostics *diagnostics);

/* --all: numbered files in a directory. */
retc_status retc_dump_all(const char *model, const retc_dump_options *options, retc_diagnostics *diagnostics);
/* --diff: what the system's diff says of two stages. */
retc_status retc_dump_diff(const char *model, const retc_dump_options *options, retc_diagnostics *diagnostics);
/* --html: a page in one file. */
retc_status retc_dump_html(const char *model, const retc_dump_options *options, retc_diagnostics *diagnostics);
/* --dot: the graphs in Graphviz's language. */
void retc_dump_print_dot(const retc_compilation *compilation, retc_text *out_text);

#endif
