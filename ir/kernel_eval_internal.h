/* What the files of the kernel interpreter share. A run has two parts: the statements are prepared (every statement's
 * expressions become one list in the order of computing, every name a number), then executed. */
#ifndef RETC_IR_KERNEL_EVAL_INTERNAL_H
#define RETC_IR_KERNEL_EVAL_INTERNAL_H

#include "ir/kernel_eval.h"

/* A value in its declared type; a bool is 0 or 1 in i64. */
typedef union retc_scalar {
  float f32;
  double f64;
  int64_t i64;
} retc_scalar;

/* What may run at the same time: the iterations of a parallel loop or the blocks of a grid; the iterations of a vector
 * loop; the lanes of a block between two barriers. Each of these is a turn and has a number of its own, which only
 * grows; those above `base` may run together with the one that is running, `current`. */
typedef enum retc_watch_kind { RETC_WATCH_TASK, RETC_WATCH_VECTOR, RETC_WATCH_LANE, RETC_WATCH_COUNT } retc_watch_kind;
typedef struct retc_watch {
  uint64_t base, current;
} retc_watch;

/* Who touched an element last: the turn that wrote, the first that read of those that may run together, and another
 * one that read. */
typedef struct retc_stamp {
  uint64_t writer, reader, other;
} retc_stamp;

/* A buffer in memory. Of private buffers every lane of a block has a copy; `data` and `defined` are those of the lane
 * that is running. */
typedef struct retc_cell {
  const retc_buffer *buffer;
  int64_t extent[RETC_RANK_MAX], stride[RETC_RANK_MAX];
  int64_t elements;
  int64_t size; /* bytes an element */
  char *data;
  uint8_t *defined;                       /* own buffers: 1 for each element that is written */
  const retc_kernel_memory *parameter;    /* NULL: an own buffer */
  retc_stamp *stamps[RETC_WATCH_COUNT];   /* one an element; NULL: not watched */
  unsigned watched;                       /* bits of retc_watch_kind that some access asks for */
  char *all_data;                         /* of all copies */
  uint8_t *all_defined;
  int64_t copies;
} retc_cell;

/* An element, or the first one of a view. `indices` are slots, one an axis. */
typedef struct retc_place {
  retc_cell *cell;
  const uint32_t *indices;
  unsigned watch; /* bits of retc_watch_kind */
} retc_place;

/* One expression; its inputs and result are slots. */
typedef struct retc_operation {
  uint16_t code; /* RETC_CODE(op, dtype of the first input that is not a condition) */
  retc_dtype dtype; /* of the result */
  uint32_t target, inputs[3];
  retc_place place; /* LOAD */
} retc_operation;
#define RETC_CODE(op, dtype) ((unsigned)(op) * RETC_DTYPE_COUNT + (unsigned)(dtype))

typedef struct retc_prepared retc_prepared;
typedef struct retc_prepared_block {
  retc_prepared *items;
  size_t count;
} retc_prepared_block;

struct retc_prepared {
  const retc_statement *statement;
  RETC_VEC(retc_operation) operations;  /* of all that the statement itself holds */
  uint32_t low, high, value, depth, row_count, variable; /* slots */
  retc_place place;                     /* STORE, ALLOC */
  retc_place c, a, b;                   /* MMA */
  bool has_barrier;
  retc_prepared_block body, other;
};

/* The loops around the running statement, for messages. */
typedef struct retc_loop_frame {
  const retc_statement *loop;
  const struct retc_loop_frame *outer;
} retc_loop_frame;

typedef struct retc_interpreter {
  const retc_kernel *kernel;
  retc_dims dims;
  retc_diagnostics *diagnostics;
  retc_arena arena; /* of what is prepared */
  retc_scalar *slots; /* of each expression, then of each variable */
  retc_cell *cells;   /* of each buffer */
  retc_prepared_block body;
  retc_watch watches[RETC_WATCH_COUNT];
  bool in_parallel, in_lanes;
  int grids;                    /* grid loops around the statement */
  int64_t lane;                 /* number in its block */
  const retc_prepared *running;
  const retc_loop_frame *loops;
  float *numbers;               /* room for an mma */
  int64_t number_room;
} retc_interpreter;

/* ir/kernel_eval.c */
retc_status retc_interpreter_run_block(retc_interpreter *in, const retc_prepared_block *block);
retc_status retc_interpreter_run_statement(retc_interpreter *in, const retc_prepared *p);
/* The next i of a loop, false behind its end. */
bool retc_interpreter_next(const retc_statement *loop, int64_t high, int64_t *i);

/* ir/kernel_eval_prepare.c */
void retc_interpreter_prepare(retc_interpreter *in);
static inline uint32_t retc_interpreter_slot(const retc_interpreter *in, retc_variable variable) {
  return (uint32_t)in->kernel->exprs.count + variable.index;
}

/* ir/kernel_eval_ops.c: what the statement itself holds is computed into the slots. */
retc_status retc_interpreter_compute(retc_interpreter *in, const retc_prepared *p);

/* ir/kernel_eval_memory.c */
retc_status retc_interpreter_bind(retc_interpreter *in, const retc_kernel_memory *memories, size_t count);
void retc_interpreter_unbind(retc_interpreter *in);
retc_status retc_interpreter_alloc(retc_interpreter *in, retc_cell *cell);
retc_status retc_interpreter_load(retc_interpreter *in, const retc_place *place, retc_scalar *out_value);
retc_status retc_interpreter_store(retc_interpreter *in, const retc_place *place, retc_scalar value);
/* Private buffers and conflicts are those of this lane from now on. */
retc_status retc_interpreter_enter_lane(retc_interpreter *in, int64_t lane);
/* What lanes touched before and what they touch afterwards does not conflict. */
void retc_interpreter_separate_lanes(retc_interpreter *in);
/* Checks a view of rows x columns whole, and says where it lies. */
typedef struct retc_span {
  const retc_cell *cell;
  int64_t first, row, column; /* elements: number of the first, steps along the axes */
} retc_span;
retc_status retc_interpreter_open_view(retc_interpreter *in, const retc_place *place, const retc_view *view,
                                       int64_t rows, int64_t columns, retc_span *out_span);
/* The same where rows go on over the axes before the last one. */
retc_status retc_interpreter_open_rows(retc_interpreter *in, const retc_place *place, int64_t rows, int64_t columns,
                                       retc_span *out_span);
/* What is written there is looked at: iterations that must not meet do not. */
retc_status retc_interpreter_write_view(retc_interpreter *in, const retc_place *place, const retc_span *span,
                                        int64_t rows, int64_t columns);
/* The running statement failed: kernel, statement and loop variables are added. */
retc_status retc_interpreter_fail(retc_interpreter *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ir/kernel_eval_mma.c */
retc_status retc_interpreter_mma(retc_interpreter *in, const retc_prepared *p);

/* ir/kernel_eval_lanes.c: a lane loop, all of its lanes up to each barrier before any goes on. */
retc_status retc_interpreter_run_lanes(retc_interpreter *in, const retc_prepared *loop, int64_t low, int64_t high);

#endif
