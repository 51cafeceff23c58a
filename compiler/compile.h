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

/* Everything a compilation has made so far. Owns what it points to. */
typedef struct retc_compilation {
  retc_arena arena;
  retc_target_profile profile;
  RETC_VEC(retc_graph *) graphs;   /* one an entry: "step", "state" */
  RETC_VEC(retc_kernel *) kernels; /* after `lower` */
  retc_plan *plan;                 /* after `lower` its steps, after `plan` its memory; NULL before */
} retc_compilation;

typedef struct retc_pass_info {
  const char *name;
  const char *level; /* "graph", "lower", "kernel", "plan" */
  const char *after; /* what holds afterwards */
} retc_pass_info;

/* The pipeline in order; the first row, "import", is the graph as it comes from the model description. */
size_t retc_pass_count(void);
const retc_pass_info *retc_pass_get_info(size_t index);

typedef struct retc_compile_options {
  retc_form form;            /* whose normalisers are built; 0: a session's */
  bool padded;               /* rows may begin with padding */
  int64_t chunk_length;      /* 0: the network's default for the form; the parallel form needs one */
  const char *stop_after;    /* a pass name; NULL: all */
  retc_target_profile profile;
  /* Called after every pass; may be NULL. `changed` is false when a pass left everything as it was. */
  void (*observe)(void *user, size_t pass, const retc_compilation *compilation, bool changed, double seconds);
  void *user;
} retc_compile_options;

/* RETC_INVALID when the private tiles of a chunk would be too large for a machine. */
retc_status retc_compile(const retc_network *network, const retc_compile_options *options,
                         retc_diagnostics *diagnostics, retc_compilation **out_compilation);
void retc_compilation_destroy(retc_compilation *compilation);

/* What `retc dump` prints: graphs, or kernels, whatever the program consists of after the last pass run. */
void retc_compilation_print(const retc_compilation *compilation, retc_text *out_text);

#endif
