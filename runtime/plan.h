/* The plan: everything the runtime must know to run a compiled program, and nothing of how it was made. Plain data on
 * one arena; written as JSON by `retc compile`.
 *
 * A program has entries ("step": tokens to logits; "state": the states as upstream lays them out). An entry is a list
 * of steps run in order, each one kernel launch with buffers and dimension values as arguments. */
#ifndef RETC_RUNTIME_PLAN_H
#define RETC_RUNTIME_PLAN_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "base/text.h"

enum { RETC_PLAN_VERSION = 1, RETC_PANEL = 64 };

typedef enum retc_weight_layout {
  RETC_LAYOUT_PLAIN, /* as in the file, row-major */
  RETC_LAYOUT_PANEL, /* [rows, columns] as [ceil(rows / 64)][columns][64], the last panel filled up with zeros */
  /* Panels whose columns are filled up to a multiple of 64, too, and packed together: */
  RETC_LAYOUT_PAIRS,   /* [..][columns / 2][64][2] */
  RETC_LAYOUT_QUADS,   /* i8 as u8, 128 added: [..][columns / 4][64][4] */
  RETC_LAYOUT_NIBBLES, /* i4 as u4x2, 8 added: [..][columns / 8][64][4]; columns k and k + 4 of 8 share a byte */
  RETC_LAYOUT_HALVES,  /* i4 as u4x2, 8 added: [..][columns / 2][64]; columns k and k + 1 share a byte */
  RETC_LAYOUT_ROWS,    /* for GPUs: i4 as u4x2, 8 added, no panels: [rows][columns / 2]; k and k + 1 share a byte */
  RETC_LAYOUT_COUNT
} retc_weight_layout;
/* Columns are filled up to a multiple of this where they are packed. */
enum { RETC_PACKED_COLUMNS = 64 };

typedef enum retc_plan_buffer_kind {
  RETC_PLAN_WEIGHT,   /* from the checkpoint */
  RETC_PLAN_CONSTANT, /* numbers in the plan */
  RETC_PLAN_STATE,    /* lives as long as a session, zero at its start */
  RETC_PLAN_SCRATCH,  /* lives between two steps of one call, in a slot shared with others */
  RETC_PLAN_INPUT,    /* the caller's, by name: "tokens", "pads" */
  RETC_PLAN_OUTPUT,   /* the caller reads it, by name: "logits", "state_0" */
} retc_plan_buffer_kind;
enum { RETC_PLAN_KIND_COUNT = RETC_PLAN_OUTPUT + 1 };

typedef struct retc_plan_buffer {
  const char *name;
  retc_plan_buffer_kind kind;
  retc_dtype dtype; /* in memory */
  retc_shape shape; /* logical, in memory order; of a PANEL weight the tensor's [rows, columns] */
  retc_weight_layout layout; /* weights */
  const void *constant;      /* constants: the elements, shape all constant */
  int slot;                  /* scratch and outputs: index into slots */
  int64_t limit;             /* inputs: row numbers of a table, 0 <= each < limit; 0: anything
                                scratch: no step uses more of the first axis, whatever its size; 0: any may */
} retc_plan_buffer;

/* Memory for the buffers that share it, as large as the largest of them in a call. */
typedef struct retc_plan_slot {
  RETC_VEC(int) buffers;
} retc_plan_slot;

/* A number that the dimensions of a call decide, as terms in postfix order; all values are >= 0. No terms: no number.
 */
typedef enum retc_plan_op {
  RETC_PLAN_CONSTANT_TERM, /* value */
  RETC_PLAN_DIM_TERM,      /* value: the retc_dim_name */
  RETC_PLAN_ADD, RETC_PLAN_SUB, RETC_PLAN_MUL, RETC_PLAN_DIV, RETC_PLAN_MOD, RETC_PLAN_MIN, RETC_PLAN_MAX,
} retc_plan_op;
enum { RETC_PLAN_TERMS_MAX = 64 };
typedef struct retc_plan_number {
  const struct retc_plan_term {
    retc_plan_op op;
    int64_t value;
  } *terms;
  int count; /* at most RETC_PLAN_TERMS_MAX */
} retc_plan_number;

/* A kernel runs either on the threads of a CPU or as one launch on a GPU. There it has no parameters but the buffers
 * and the dimensions, its shared memory is static, and a launch with an empty grid is left out. */
typedef struct retc_plan_kernel {
  const char *name;
  int buffer_count;               /* pointer parameters */
  int dim_count;                  /* then these, int64_t each */
  retc_dim_name dims[RETC_DIM_COUNT];
  int64_t scratch_bytes;          /* CPU: per thread; then void *scratch, int64_t thread, int64_t threads */
  retc_plan_number grid[3];       /* GPU: blocks along x, y, z; CPU: no numbers */
  retc_plan_number block[3];      /* GPU: threads of a block */
  int64_t shared_bytes;           /* GPU: of a block */
  bool product;                   /* it is o[..,n] = sum_k a[..,k] w[n,k] of its buffers w, a and o, and nothing else: a
                                     vendor's library may compute that instead */
} retc_plan_kernel;

typedef struct retc_plan_step {
  int kernel;
  const int *buffers; /* kernels[kernel].buffer_count indices into buffers */
  const char *region; /* the graph region it runs, for people */
} retc_plan_step;

/* What a caller reads after the entry, by name. Two names may stand for one buffer. */
typedef struct retc_plan_output {
  const char *name;
  int buffer;
} retc_plan_output;

typedef struct retc_plan_entry {
  const char *name;
  int64_t chunk_length; /* of the grid whose chunks N counts; 0: N is an axis like others, or nothing */
  int64_t grid_start;   /* the position where the grid stands in every call; -1: P */
  RETC_VEC(retc_plan_step) steps;
  RETC_VEC(retc_plan_output) outputs;
} retc_plan_entry;

typedef struct retc_plan {
  retc_arena arena;
  int64_t vocabulary_size;
  int64_t chunk_length;
  int64_t bos_token, eos_token; /* -1: none */
  bool uses_tiles;              /* code made of the kernels has tiles (AMX): a program asks its system for them first,
                                   runtime/tiles.h */
  RETC_VEC(retc_plan_buffer) buffers;
  RETC_VEC(retc_plan_slot) slots;
  RETC_VEC(retc_plan_kernel) kernels;
  RETC_VEC(retc_plan_entry) entries;
} retc_plan;

const char *retc_plan_buffer_kind_name(retc_plan_buffer_kind kind);
const char *retc_weight_layout_name(retc_weight_layout layout);
/* Whether a weight of this dtype can lie so. */
bool retc_weight_layout_holds(retc_weight_layout layout, retc_dtype dtype);
/* A matrix as it lies in memory. */
retc_shape retc_weight_layout_shape(retc_weight_layout layout, const retc_shape *matrix);
retc_dtype retc_weight_layout_dtype(retc_weight_layout layout, retc_dtype dtype);

retc_plan *retc_plan_create(void);
void retc_plan_destroy(retc_plan *plan);
/* Index of the entry or buffer called `name`, -1 when there is none. */
int retc_plan_find_entry(const retc_plan *plan, const char *name);
int retc_plan_find_buffer(const retc_plan *plan, const char *name);
/* The output logits[B,L,V] of entry "step" that tokens[B,T] are chosen from; -1: there is none, as in programs that are
 * no model. */
int retc_plan_find_logits(const retc_plan *plan);
/* Rooms are where steps of an entry meet in memory: slots, and buffers that have none. */
size_t retc_plan_room_count(const retc_plan *plan);
/* -1: nothing writes it during a call. */
int retc_plan_room(const retc_plan *plan, int buffer);
/* Whether a step that is given this buffer writes it: what it is the first of the entry to touch, and states. The rest
 * it reads. `touched`: one a buffer, by the entry's steps before. */
bool retc_plan_writes(const retc_plan *plan, int buffer, const bool *touched);
/* No buffer has a slot. */
void retc_plan_clear_slots(retc_plan *plan);
/* The axes of a buffer as it lies in memory: those of its layout when it is a matrix, else its own. */
retc_shape retc_plan_buffer_memory_shape(const retc_plan_buffer *buffer);
/* Elements that a buffer takes in memory, the filling of panels included. */
int64_t retc_plan_buffer_elements(const retc_plan_buffer *buffer, const retc_dims *dims);

bool retc_plan_kernel_is_launch(const retc_plan_kernel *kernel);
/* Whether its kernels are launches on a GPU. */
bool retc_plan_is_gpu(const retc_plan *plan);
/* The number in a call; 0 of no terms or where a division by 0 occurs. */
int64_t retc_plan_number_value(const retc_plan_number *number, const retc_dims *dims);
/* As people write it: "(B * 8)". */
void retc_plan_number_print(const retc_plan_number *number, retc_text *out_text);

void retc_plan_print_json(const retc_plan *plan, retc_text *out_text);

#endif
