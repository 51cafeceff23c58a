/* Network in, kernels and a plan out: runs the rows of passes.def. */
#ifndef RETC_COMPILER_COMPILE_H
#define RETC_COMPILER_COMPILE_H

#include "backends/target.h"
#include "compiler/network.h"
#include "ir/graph.h"
#include "ir/kernel.h"
#include "runtime/plan.h"

/* What a caller may ask for as chunk_length; models of many or wide heads take less, see retc_compile. */
enum { RETC_CHUNK_MAX = 1 << 20 };

/* What a program is beside its graphs or kernels: the line "program ..." of its text. */
typedef struct retc_program_facts {
  int64_t vocabulary_size;      /* tokens are below it; 0: unknown */
  int64_t chunk_length;         /* of the chunk grid; 1: none */
  int64_t bos_token, eos_token; /* -1: none */
} retc_program_facts;

enum { RETC_REPLAY_MAX = 64 };

/* Who makes code of the kernels. */
typedef enum retc_replay_code {
  RETC_REPLAY_NO_CODE,
  RETC_REPLAY_LLVM,
  RETC_REPLAY_HIP,
  RETC_REPLAY_CODE_COUNT
} retc_replay_code;

/* What the line "program" of a reproducer asks for: stages that `retc opt` runs, and the machine they are run for. */
typedef struct retc_replay {
  size_t passes[RETC_REPLAY_MAX], pass_count; /* rows of passes.def */
  retc_replay_code code;                      /* then this makes code of the kernels: "llvm", "hip" */
  const char *cpu;                            /* LLVM's name; NULL: this machine's */
  bool has_machine;
  retc_target_profile machine; /* without its name */
} retc_replay;

/* A program on its way through the passes. Owns what it points to. */
typedef struct retc_compilation {
  retc_arena arena;
  retc_target_profile profile;
  retc_program_facts facts;
  retc_replay replay;              /* of text that asks for it, until passes are run */
  size_t passes_done;              /* the rows of passes.def that have been applied */
  RETC_VEC(retc_graph *) graphs;   /* one an entry: "step", "state"; empty when read from text after `lower` */
  RETC_VEC(retc_kernel *) kernels; /* after `lower` */
  retc_plan *plan;                 /* after `lower` its steps, after `memory` its places; NULL before */
  /* Comments of program text at the lines that are neither graph nor kernel, counted from 0 as they are printed. */
  RETC_VEC(struct retc_line_notes {
    size_t line;
    retc_notes notes;
  }) line_notes;
  const char *end_comment;
} retc_compilation;

typedef struct retc_pass_info {
  const char *name;
  const char *level; /* "graph", "kernel": one of these in, one out; "program": works on all at once */
  bool same_bits;    /* may not change any result, not even by rounding */
  const char *after; /* what holds afterwards */
} retc_pass_info;

/* The pipeline in order; the first row, "import", is the graph as it comes from the model description. */
size_t retc_pass_count(void);
const retc_pass_info *retc_pass_get_info(size_t index);
/* retc_pass_count() when there is none of that name. */
size_t retc_pass_find(const char *name);

/* An internal error: what is wrong is retc, not what it was given. */
typedef struct retc_failure {
  const char *stage;                   /* the pass, "llvm" or "hip" */
  const retc_compilation *compilation; /* the program as the stage was given it; after "import" as that made it */
  const struct retc_compile_options *options;
} retc_failure;

typedef struct retc_compile_options {
  retc_form form;            /* whose normalisers are built; 0: a session's */
  bool padded;               /* rows may begin with padding */
  int64_t chunk_length;      /* 0: the network's default for the form; the parallel form needs one */
  const char *stop_after;    /* a pass name; NULL: all */
  retc_target_profile profile;
  const char *cpu; /* that the profile is of, as the user named it; NULL: this machine. For `failed` to know */
  /* Called after every pass; may be NULL. `changed` is false when a pass left everything as it was. */
  void (*observe)(void *user, size_t pass, const retc_compilation *compilation, bool changed, double seconds);
  /* Called when a pass, or the check after it, ends in RETC_INTERNAL; may be NULL. The message is in the diagnostics
   * already; it may add to them. */
  void (*failed)(void *user, const retc_failure *failure, retc_diagnostics *diagnostics);
  void *user;
} retc_compile_options;

/* RETC_INVALID when the private tiles of a chunk would be too large for a machine. */
retc_status retc_compile(const retc_network *network, const retc_compile_options *options,
                         retc_diagnostics *diagnostics, retc_compilation **out_compilation);
void retc_compilation_destroy(retc_compilation *compilation);

/* Runs passes on a program that is there already: those of `options` that are not about the network count. After a
 * failure the program is what the failing pass was given. */
retc_status retc_passes_run(retc_compilation *compilation, const size_t *passes, size_t count,
                            const retc_compile_options *options, retc_diagnostics *diagnostics);
/* The same with the passes that have not been applied yet, up to options->stop_after. Kernels without a plan have no
 * memory to plan. */
retc_status retc_compile_rest(retc_compilation *compilation, const retc_compile_options *options,
                              retc_diagnostics *diagnostics);
/* For stages beyond the passes: calls options->failed when `status` is RETC_INTERNAL. Returns `status`. */
retc_status retc_compile_report(const retc_compile_options *options, const char *stage,
                                const retc_compilation *compilation, retc_status status, retc_diagnostics *diagnostics);
/* Whether it consists of kernels, and not of graphs. */
bool retc_compilation_is_lowered(const retc_compilation *compilation);
/* Graphs, kernels and plan are what they promise to be. */
retc_status retc_compilation_verify(const retc_compilation *compilation, retc_diagnostics *diagnostics);

/* Program text (docs/ir.md): graphs, or plan and kernels, whatever the program consists of after the last pass run. */
void retc_compilation_print(const retc_compilation *compilation, retc_text *out_text);
/* The same without the line "program", which every pass changes. */
void retc_compilation_print_body(const retc_compilation *compilation, retc_text *out_text);
/* The line "program" and one of the kernels: program text, too. */
void retc_compilation_print_kernel(const retc_compilation *compilation, size_t kernel, retc_text *out_text);
/* Reads program text and verifies it. Without "after=PASS" on its line "program", graphs count as imported and kernels
 * as lowered. RETC_INVALID with file:line:column. The text is copied. */
retc_status retc_compilation_parse(const char *text, size_t length, const char *file_name,
                                   retc_diagnostics *diagnostics, retc_compilation **out_compilation);
/* Whether a file's text is program text: it begins, behind comments, with one of its words. */
bool retc_compilation_is_text(const char *text, size_t length);

#endif
