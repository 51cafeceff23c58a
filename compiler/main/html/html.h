/* `retc dump --html`: one page that shows a program in all its stages. What the program is goes into the page as JSON;
 * the page's own script draws it.
 *
 * Strings are stored once: `lines` is a table of strings, and everything else refers to them by number. */
#ifndef RETC_MAIN_HTML_H
#define RETC_MAIN_HTML_H

#include "compiler/main/dump.h"

/* The table of strings. */
typedef struct retc_html_strings {
  retc_arena *arena;
  RETC_VEC(const char *) items;
  size_t *slots; /* open addressing: number + 1 of an item, 0: free */
  size_t slot_count;
} retc_html_strings;

void retc_html_strings_init(retc_html_strings *strings, retc_arena *arena);
size_t retc_html_strings_add(retc_html_strings *strings, const char *text, size_t length);
void retc_html_strings_print(const retc_html_strings *strings, retc_text *out_text);

/* A JSON string that may stand within <script>: neither '<' nor what is no UTF-8 gets through. */
void retc_html_print_string(const char *text, size_t length, retc_text *out_text);
/* Text of an element of HTML. */
void retc_html_print_escaped(const char *text, retc_text *out_text);

/* The lines of a text: an array of 64 * string + spaces in front. */
void retc_html_print_lines(retc_html_strings *strings, const char *text, size_t length, retc_text *out_text);
/* LLVM IR or assembly made with locations: lines without those, and of each line the statement of its kernel, or 0. */
void retc_html_print_llvm(retc_html_strings *strings, const char *text, retc_text *out_text);
void retc_html_print_assembly(retc_html_strings *strings, const char *text, retc_text *out_text);

/* Layers that are repeated: of each node its layer (-1: none), and of each node of a later layer the one it repeats. */
typedef struct retc_html_layers {
  int count;            /* of equal layers; below 2 nothing is folded */
  int64_t first;        /* the number that the model gives to the first of them */
  const char *prefix;   /* "layers" */
  int *layer;           /* of each node, counted from the first of the equal ones */
  uint32_t *repeats;    /* of each node: itself, or the one in the first of the equal layers */
  RETC_VEC(uint32_t) * nodes; /* of each layer, in order */
} retc_html_layers;
void retc_html_layers_find(const retc_graph *graph, retc_arena *arena, retc_html_layers *out_layers);

/* A picture of a graph, in pixels. Boxes are set by the caller, places by the layout. */
typedef struct retc_html_box {
  double x, y, width, height; /* centre, size */
  int cluster;                /* -1: none */
} retc_html_box;
typedef struct retc_html_edge {
  size_t from, to;
  bool back; /* to the next layer, drawn as leading back into the same one */
  RETC_VEC(double) points; /* x, y of a start and of three points for each cubic curve */
} retc_html_edge;
typedef struct retc_html_cluster {
  int parent;                  /* -1: none */
  double title_width, title_height;
  double x, y, width, height;  /* upper left corner, size */
} retc_html_cluster;
typedef struct retc_html_picture {
  retc_arena *arena;
  RETC_VEC(retc_html_box) boxes;
  RETC_VEC(retc_html_edge) edges;
  RETC_VEC(retc_html_cluster) clusters; /* parents first */
  double width, height;
} retc_html_picture;

/* layout_graphviz.c or, in a build without Graphviz, layout_absent.c. */
bool retc_html_layout_is_there(void);
/* RETC_FAILED when Graphviz gives up. */
retc_status retc_html_layout(retc_html_picture *picture, retc_diagnostics *diagnostics);

/* The picture of a graph as JSON, or null. */
retc_status retc_html_print_graph(const retc_graph *graph, retc_html_strings *strings, retc_diagnostics *diagnostics,
                                  retc_text *out_text);
/* Kernels with their launches and what these cost, buffers and slots. */
void retc_html_print_plan(const retc_compilation *compilation, retc_html_strings *strings, retc_text *out_text);

#endif
