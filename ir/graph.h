/* The tensor graph: what a program computes, with no opinion about how.
 *
 * Values are SSA: a node has one result (further results of MULTIPLE operations are `part` nodes). Nodes live in one
 * flat array in definition order, every input before its user; a retc_value is an index into it. The builder checks
 * types, folds constants and identities, and returns an existing equal node instead of a second one, so a node that
 * exists is well typed and unique in its region.
 *
 * After `fuse` every node belongs to a region: an anchor operation with the pointwise and indexing nodes folded into
 * it. A region becomes one kernel. A node folded into several regions exists once in each. Region 0 is "no region".
 *
 * Memory: everything is on the graph's own arena. Passes read a const graph and build a new one. */
#ifndef RETC_IR_GRAPH_H
#define RETC_IR_GRAPH_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "base/status.h"
#include "base/text.h"

typedef enum retc_op {
#define RETC_OP(NAME, ...) RETC_OP_##NAME,
#include "ir/graph_ops.def"
#undef RETC_OP
  RETC_OP_COUNT
} retc_op;

enum retc_op_trait {
  RETC_TRAIT_POINTWISE = 1,
  RETC_TRAIT_INDEXING = 2,
  RETC_TRAIT_COMMUTES = 4,
  RETC_TRAIT_LEAF = 8,
  RETC_TRAIT_COMPOSITE = 16,
  RETC_TRAIT_MULTIPLE = 32,
};

enum { RETC_OP_INPUTS_MAX = 9, RETC_OP_INTS_MAX = 4 };

typedef struct retc_op_info {
  const char *name;
  int min_inputs, max_inputs;
  unsigned traits;
  const char *shape_rule;
  const char *attributes; /* as in graph_ops.def */
  const char *meaning;
} retc_op_info;

const retc_op_info *retc_op_get_info(retc_op op);
bool retc_op_parse(const char *text, size_t length, retc_op *out_op);

/* 0 is "none"; the first node is 1. */
typedef struct retc_value {
  uint32_t index;
} retc_value;
typedef struct retc_region_id {
  uint32_t index;
} retc_region_id;

typedef struct retc_type {
  retc_dtype dtype;
  retc_shape shape;
} retc_type;

typedef struct retc_attributes {
  int64_t integer[RETC_OP_INTS_MAX]; /* the "i:" attributes in the order of the row */
  double number;                     /* "f:" */
  const char *word;                  /* "s:", compared by content; copied by the builder */
  const double *dense;               /* "d", dense_count numbers (1 or the shape's); copied by the builder */
  size_t dense_count;
} retc_attributes;

/* Comments of program text: lines before a thing, and what stands behind it on its line. NULL: none. */
typedef struct retc_notes {
  const char *comment, *remark;
} retc_notes;

typedef struct retc_node {
  retc_op op;
  retc_type type;
  int input_count;
  retc_value inputs[RETC_OP_INPUTS_MAX];
  retc_attributes attributes;
  retc_region_id region;
  const char *name; /* of the value in text, without '%'; unique in the graph. A value that nobody named is called by a
                       number. Passes keep names: a copy of %97 is %97~1, so what stands before '~' is one value in
                       every stage */
  const char *origin; /* the place in the model description it came from ("layers.3.attn"); may be NULL */
  retc_notes notes;
} retc_node;

/* What a region is built around decides which lowering makes its loops; rows of compiler/anchors.def. */
enum { RETC_SCHEDULE_MAX = 12 };
typedef struct retc_region {
  const char *name;   /* unique in the graph */
  const char *anchor; /* "contract", "reduce", "retention", "pointwise", ... */
  RETC_VEC(const char *) folded; /* names of the fusion rows that acted, in order */
  /* Set by `schedule`: name = value pairs ("rows" 6, "columns" 64, ...). */
  struct retc_region_schedule {
    const char *name;
    int64_t value;
  } schedule[RETC_SCHEDULE_MAX];
  int schedule_count;
  retc_notes notes;
  const char *end_comment; /* lines before its end */
} retc_region;

typedef struct retc_output {
  const char *name; /* the name of a state input: the value replaces that state */
  retc_value value;
  retc_notes notes;
} retc_output;

typedef struct retc_graph {
  retc_arena arena;
  const char *name; /* of the entry: "step", "state" */
  RETC_VEC(retc_node) nodes;     /* items[0] is unused */
  RETC_VEC(retc_region) regions; /* items[0] is unused */
  RETC_VEC(retc_output) outputs;
  retc_notes notes;
  const char *end_comment;
  uint32_t
      next_number; /* the name of the next value that gets none; a pass hands it on, so that no number is used twice */
  struct retc_graph_index *index; /* the builder's: nodes by content, names */
} retc_graph;

/* Create. `name` is copied. Never NULL. */
retc_graph *retc_graph_create(const char *name);
/* An empty graph that a pass writes the next version of `in` into: its name, comments and numbering. */
retc_graph *retc_graph_create_next(const retc_graph *in);
/* The same graph on an arena of its own, but without the schedules of its regions. A node that is added to it does not
 * become one of those it was made with. */
retc_graph *retc_graph_copy(const retc_graph *in);
void retc_graph_destroy(retc_graph *graph);

const retc_node *retc_graph_node(const retc_graph *graph, retc_value value);
const retc_region *retc_graph_region(const retc_graph *graph, retc_region_id region);
/* The input node called `name`, or none. */
retc_value retc_graph_find_input(const retc_graph *graph, const char *name);
/* The region of this name, or none. */
retc_region_id retc_graph_find_region(const retc_graph *graph, const char *name);

/* Add a node and get its value. `type` matters for operations whose shape rule is `declared` or `reshape` (for reshape
 * only the shape); otherwise it may be NULL. `attributes` may be NULL when the row has none. `region`, `name` and
 * `origin` of the node are what the builder's fields below hold. An ill-typed node is RETC_INVALID with the reason
 * ("mul: [B,T,8] and [B,T,6] do not broadcast") and the graph is unchanged. */
typedef struct retc_builder {
  retc_graph *graph;
  retc_diagnostics *diagnostics;
  retc_region_id region; /* that new nodes join */
  const char *origin;    /* that new nodes get; copied */
  const char *name;      /* that the next new node gets; copied, then NULL again */
  bool keep;             /* do not fold or de-duplicate: the parser's setting */
  retc_status status;    /* the first failure; later calls return none at once, so that a long expression is written
                            without checks and status is looked at once at its end */
} retc_builder;

retc_value retc_graph_add(retc_builder *builder, retc_op op, const retc_value *inputs, int input_count,
                          const retc_type *type, const retc_attributes *attributes);
/* Gives a numbered value a name (made unique by ~1, ~2, ... when taken). A value that has one keeps it. */
void retc_graph_set_name(retc_graph *graph, retc_value value, const char *name);
/* The value takes the place of the one that was called `name` in the graph before: a value made after `first_new`
 * numbers were given out, and named by nobody, takes the name over. */
void retc_graph_inherit_name(retc_graph *graph, retc_value value, const char *name, uint32_t first_new);
void retc_graph_add_output(retc_graph *graph, const char *name, retc_value value);
retc_region_id retc_graph_add_region(retc_graph *graph, const char *name, const char *anchor);
retc_region *retc_graph_region_mutable(retc_graph *graph, retc_region_id region);

/* Short forms of retc_graph_add. */
retc_value retc_build_input(retc_builder *builder, const char *kind, const char *name, retc_dtype dtype,
                            const retc_shape *shape);
retc_value retc_build_number(retc_builder *builder, retc_dtype dtype, double value); /* rank 0 */
retc_value retc_build_dense(retc_builder *builder, retc_dtype dtype, const retc_shape *shape, const double *values,
                            size_t count);
retc_value retc_build_unary(retc_builder *builder, retc_op op, retc_value a);
retc_value retc_build_binary(retc_builder *builder, retc_op op, retc_value a, retc_value b);
retc_value retc_build_reshape(retc_builder *builder, retc_value a, const retc_shape *shape);
retc_value retc_build_contract(retc_builder *builder, const char *spec, retc_value a, retc_value b);
retc_value retc_build_part(retc_builder *builder, retc_value a, int64_t index);
retc_value retc_build_cast(retc_builder *builder, retc_value a, retc_dtype dtype);

/* Copies `node` (of any graph) with new inputs into builder->graph: the step that every pass is made of. Its name,
 * origin and comments come along; its region is builder->region. */
retc_value retc_graph_clone_node(retc_builder *builder, const retc_node *node, const retc_value *inputs);

/* The type a node would have: the shape rules of graph_ops.def (graph_infer.c). */
retc_status retc_graph_infer(const retc_graph *graph, retc_op op, const retc_value *inputs, int input_count,
                             const retc_type *declared, const retc_attributes *attributes,
                             retc_diagnostics *diagnostics, retc_type *out_type);

/* The state input that `value` replaces: the first when there are several; or none. */
retc_value retc_graph_find_replaced(const retc_graph *graph, retc_value value);
bool retc_graph_is_state(const retc_graph *graph, retc_value value);
/* A number of a constant as the program sees it: rounded when the dtype is narrower than f32. */
double retc_constant_at(const retc_node *node, size_t index);
/* The input that `value` shows all elements of, itself or through changes of shape and order; else none. What such a
 * value may hold can be checked before anything runs. */
retc_value retc_graph_find_given(const retc_graph *graph, retc_value value);

/* Users of every value, computed when asked for. users[starts[v] .. starts[v+1]) are node indices in order. An output
 * of the graph is not a user. On `arena`. */
typedef struct retc_uses {
  const uint32_t *starts;
  const uint32_t *users;
} retc_uses;
retc_uses retc_graph_uses(const retc_graph *graph, retc_arena *arena);

/* The nodes of every region in order, computed when asked for: nodes[starts[r] .. starts[r+1]). On `arena`. */
typedef struct retc_members {
  const uint32_t *starts;
  const uint32_t *nodes;
} retc_members;
retc_members retc_graph_members(const retc_graph *graph, retc_arena *arena);

/* A contraction spec in parts: for each letter of "btk,nk->btn", where it stands in a, b and the output (-1: not). */
typedef struct retc_contraction {
  int letter_count;
  struct retc_letter {
    char letter;
    int a, b, out;
  } letters[2 * RETC_RANK_MAX]; /* first the output's in order, then the summed ones in order of appearance */
} retc_contraction;
bool retc_contraction_parse(const char *spec, retc_contraction *out_contraction);

/* Checks everything the builder promises, definition before use, region and output sanity (graph_verify.c).
 * RETC_INTERNAL with the node named. */
retc_status retc_graph_verify(const retc_graph *graph, retc_diagnostics *diagnostics);

/* Text (graph_print.c, graph_parse.c); the grammar is in docs/ir.md. Printing what was parsed gives the same bytes when
 * the text was printed by retc, and the same program, names and comments in retc's spacing otherwise. */
void retc_type_print(const retc_type *type, retc_text *out_text); /* f32[B,T,256] */
void retc_value_print(const retc_graph *graph, retc_value value, retc_text *out_text); /* %97, %theta */
void retc_node_print(const retc_graph *graph, retc_value value,
                     retc_text *out_text); /* its line, without its comment */
void retc_graph_print(const retc_graph *graph, retc_text *out_text);
/* One graph; the lexer stands on the word "graph". */
struct retc_lexer;
retc_status retc_graph_read(struct retc_lexer *lexer, retc_graph **out_graph);
/* A text that is one graph. `file_name` is for messages: file:line:column, the line and a caret. */
retc_status retc_graph_parse(const char *text, size_t length, const char *file_name, retc_diagnostics *diagnostics,
                             retc_graph **out_graph);
/* "%97~2" and "%97": is it the same value in other stages? */
size_t retc_name_base_length(const char *name);

#endif
