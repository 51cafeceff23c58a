/* From a region to the loops of a kernel: what the lowerings of all anchors share.
 *
 * A kernel's buffers are the region's operands in order of first use, then its results, then constants that lowering
 * makes. A result that replaces a state which the region reads is the same buffer as that state.
 *
 * Indices. An element index is base + lane: `lane` is the variable of the innermost vector loop, or none. A division
 * (an axis split by a reshape) concerns only the base where that is a multiple of the number of lanes and the split
 * divides evenly by it: then lanes stay consecutive. Otherwise it divides base + lane, lane by lane. */
#ifndef RETC_COMPILER_LOWER_H
#define RETC_COMPILER_LOWER_H

#include "compiler/pass.h"
#include "ir/kernel.h"
#include "runtime/plan.h"

typedef struct retc_index {
  retc_expr base;
  retc_expr lane; /* index 0: none */
  int64_t width;  /* 0 <= lane < width, and base is a multiple of width; 0: nothing is known of it */
} retc_index;

typedef struct retc_operand {
  retc_value value;       /* of the graph; none: a constant */
  retc_value replaced_by; /* the result that replaces this state in place, or none */
  retc_buffer_id buffer;
  const char *between; /* no value, no constant: what one launch of the region leaves to another one; its name */
  retc_dtype dtype; /* of both: */
  retc_shape shape;
  int64_t limit; /* what lies between: no launch uses more of its first axis, whatever its size; 0: any may */
  const double *numbers;
} retc_operand;

/* A value of the region at some indices, as an expression that is there already. */
typedef struct retc_known {
  retc_value value;
  const retc_index *indices;
  retc_expr expr;
} retc_known;

typedef struct retc_lowering {
  const retc_pass_context *cx;
  const retc_graph *graph;
  retc_region_id region;
  retc_value anchor;
  int launch; /* which of the region's launches is made (gpu.h) */
  retc_kernel *kernel;
  retc_writer writer;
  retc_arena *arena;
  RETC_VEC(retc_operand) operands;
  RETC_VEC(retc_value) results; /* nodes of the region that others use, in order; at least one */
  retc_value computed;          /* a value that lower_value finds in `computed_as` instead of in memory */
  retc_expr computed_as;
  const retc_value *also;       /* further ones; of several products */
  const retc_expr *also_as;
  int also_count;
  RETC_VEC(retc_known) known;   /* in the expression being made */
  retc_value stored;            /* the result that is being made, to be rounded by its store */
  const uint32_t *uses;         /* of each value, by nodes of the region */
  const retc_weight_layout *layouts; /* of each value: how a weight lies in memory */
  const retc_dtype *stored_as;       /* of each value: the type that it has in memory */
  retc_status status;           /* the first thing that cannot be lowered; loops are written on */
} retc_lowering;

const retc_node *retc_lower_node(const retc_lowering *l, retc_value value);
/* Whether the region computes the value (else it reads it). */
bool retc_lower_is_inside(const retc_lowering *l, retc_value value);
bool retc_lower_are_inside(const retc_lowering *l, const retc_value *values, int count);
/* The buffer of an operand or a result. */
retc_buffer_id retc_lower_buffer(const retc_lowering *l, retc_value value);
/* The scalar that an input of rank 0 stands for (P, E): its name is a row of dims.def. */
bool retc_lower_is_scalar(const retc_node *node, retc_dim_name *out_name);
/* Adds a buffer of numbers; equal ones are shared. */
retc_buffer_id retc_lower_constant(retc_lowering *l, const char *name, retc_dtype dtype, const retc_shape *shape,
                                   const double *numbers);
/* Adds a buffer that lives from one launch of the region to another one, which names it alike, with its `limit`. */
retc_buffer_id retc_lower_between(retc_lowering *l, const char *name, retc_dtype dtype, const retc_shape *shape,
                                  int64_t limit, unsigned access);
/* How a weight lies in memory: in panels when any product of any entry reads it so. */
retc_weight_layout retc_lower_layout(const retc_lowering *l, retc_value weight);
/* The value cannot be computed in this region: RETC_INVALID, kept in l->status. */
retc_status retc_lower_refuse(retc_lowering *l, retc_value value, const char *reason);

/* The element of `value` at `indices` (one an axis) as an expression: loads, constants and trees of pointwise and
 * indexing operations of the region. */
retc_expr retc_lower_value(retc_lowering *l, retc_value value, const retc_index *indices);
/* The next statement written computes this value; its remark says so. */
void retc_lower_note(retc_lowering *l, retc_value value);
/* Stores into the buffer of a result. */
void retc_lower_store(retc_lowering *l, retc_value result, const retc_index *indices, retc_expr value);
/* Computes and stores all results at these indices. All are expected to have the shape of `like`: checked. */
void retc_lower_store_results(retc_lowering *l, retc_value like, const retc_index *indices);
/* One loop nest over the elements of each result: what any tree of pointwise and indexing operations can be. */
retc_status retc_lower_elements(retc_lowering *l);
/* Indices of `value`'s memory: from its own axes through reshapes to the operand behind them, which is returned. */
retc_value retc_lower_view(retc_lowering *l, retc_value value, const retc_index *indices, retc_index *out_indices);

/* base + lane. */
retc_expr retc_lower_element(retc_lowering *l, retc_index index);
/* From the axes of a reshape's result to those of its operand. */
void retc_lower_map_reshape(retc_lowering *l, const retc_shape *out, const retc_shape *in, const retc_index *indices,
                            retc_index *mapped);
/* From the axes of a result to those of an operand that is broadcast to it. */
void retc_lower_map_broadcast(retc_lowering *l, const retc_shape *out, const retc_shape *in, const retc_index *indices,
                              retc_index *mapped);
/* e^(n log_decay[h]) in f32, computed in f64, for n >= 0 and a constant that is not too large from a table of n <
 * count. */
retc_expr retc_lower_decay(retc_lowering *l, retc_value log_decay, retc_expr head, retc_expr n, int64_t count);

/* The largest step <= 64 with which lanes along the last axis of `value` stay consecutive; 1: better one element at a
 * time. */
int64_t retc_lower_step(const retc_lowering *l, retc_value value);
/* Loops over 0..extent in steps; the index of the element. Closed by lanes_end. */
typedef struct retc_lanes {
  retc_index index;
  int loops;
} retc_lanes;
retc_lanes retc_lower_lanes(retc_lowering *l, const char *name, retc_dim extent, int64_t step);
void retc_lower_lanes_end(retc_lowering *l, const retc_lanes *lanes);

/* Rows: the leading `rank` axes of a shape counted as one, and a row's index along each of them. */
retc_expr retc_lower_row_count(retc_lowering *l, const retc_shape *shape, int rank);
void retc_lower_row(retc_lowering *l, const retc_shape *shape, int rank, retc_expr row, retc_index *out_indices);

/* Short forms. */
static inline retc_index retc_at(retc_expr base) { return (retc_index){base, {0}, 0}; }
/* The indices alone, of `count` axes that lanes do not move along. */
static inline void retc_bases(const retc_index *at, int count, retc_expr *out_indices) {
  for (int i = 0; i < count; i++) out_indices[i] = at[i].base;
}
static inline retc_expr retc_int(retc_lowering *l, int64_t value) { return retc_expr_integer(l->kernel, value); }
static inline retc_expr retc_f32(retc_lowering *l, double value) {
  return retc_expr_number(l->kernel, RETC_DTYPE_F32, value);
}
static inline retc_expr retc_real(retc_lowering *l, retc_dtype dtype, double value) {
  return retc_expr_number(l->kernel, dtype, value);
}
static inline retc_expr retc_dim_expr(retc_lowering *l, retc_dim dim) { return retc_expr_dim(l->kernel, dim); }
#define RETC_BINARY(name, OP) \
  static inline retc_expr retc_##name(retc_lowering *l, retc_expr a, retc_expr b) { \
    return retc_expr_binary(l->kernel, RETC_KERNEL_OP_##OP, a, b); \
  }
RETC_BINARY(add, ADD)
RETC_BINARY(sub, SUB)
RETC_BINARY(mul, MUL)
RETC_BINARY(div, DIV)
RETC_BINARY(mod, MOD)
RETC_BINARY(min, MIN)
RETC_BINARY(max, MAX)
RETC_BINARY(less, LESS)
RETC_BINARY(less_equal, LESS_EQUAL)
RETC_BINARY(equal, EQUAL)
RETC_BINARY(and, AND)
#undef RETC_BINARY
static inline retc_expr retc_fma(retc_lowering *l, retc_expr a, retc_expr b, retc_expr c) {
  return retc_expr_ternary(l->kernel, RETC_KERNEL_OP_FMA, a, b, c);
}
static inline retc_expr retc_select(retc_lowering *l, retc_expr a, retc_expr b, retc_expr c) {
  return retc_expr_ternary(l->kernel, RETC_KERNEL_OP_SELECT, a, b, c);
}
static inline retc_expr retc_load(retc_lowering *l, retc_buffer_id buffer, const retc_expr *indices) {
  return retc_expr_load(l->kernel, buffer, indices);
}
static inline retc_expr retc_let(retc_lowering *l, const char *name, retc_expr value) {
  return retc_write_let(&l->writer, name, value);
}
/* A loop over 0..count. */
static inline retc_expr retc_count_to(retc_lowering *l, const char *name, retc_loop_kind kind, int64_t count) {
  return retc_write_for(&l->writer, name, kind, retc_int(l, 0), retc_int(l, count), 1);
}
static inline void retc_if(retc_lowering *l, retc_expr condition) { retc_write_if(&l->writer, condition); }
static inline void retc_else(retc_lowering *l) { retc_write_else(&l->writer); }
static inline void retc_barrier(retc_lowering *l) { retc_write_barrier(&l->writer); }
/* Ends so many blocks. */
static inline void retc_end(retc_lowering *l, int count) {
  while (count--) retc_write_end(&l->writer);
}
/* Row reductions: RETC_PARTIALS strided partial results, element x in partial x mod RETC_PARTIALS, and a fixed tree
 * over them. `partials` allocates and fills the buffer, `tree` combines it into one value. */
enum { RETC_PARTIALS = 16 };
retc_buffer_id retc_lower_partials(retc_lowering *l, retc_dtype dtype, double start);
retc_expr retc_lower_tree(retc_lowering *l, retc_buffer_id partial, retc_kernel_op combine);
/* Zeroes rows x columns of a private buffer of rank 2. */
void retc_lower_zero(retc_lowering *l, retc_buffer_id buffer, retc_expr rows, retc_expr columns);

#endif
