/* The kernel: structured loops over buffers, expression trees for values. A kernel is what one launch runs.
 *
 * Expressions live in one flat array and may be shared; an expression is pure, evaluated where the statement that
 * holds it stands. Statements own nothing: all memory is on the kernel's arena.
 *
 * Loop kinds say what the iterations may assume of each other; the meaning is always that of running them in order:
 *   serial    nothing
 *   vector    independent; any number at once (CPU). The body holds only let and store.
 *   unroll    serial, with constant bounds, written out
 *   parallel  independent and writing disjoint elements; split over the threads of a launch (CPU). At most one in a
 *             kernel, at the outermost level; a private buffer belongs to one iteration.
 *   grid, lane   the blocks of a launch and the threads of a block (GPU)
 *   wave         independent pieces of work of a block, each done by lanes together: the matrix instructions of a GPU.
 *                The body holds only let, if, serial and unrolled loops, mma, and pairs of
 *   element      loops over rows and columns of fragments (below), one directly within the other, from 0 to multiples of
 *                16: independent, each element the work of the lane that holds it. The inner one holds let, if and store.
 *
 * A fragment is a buffer in the registers of waves: f32[waves, ..., rows, columns], waves a multiple of 8, rows and
 * columns of 16. Only loops `wave` over 0..waves know it, each iteration its own part: index 0 is the loop's variable, the
 * others but two are constants or variables of unrolled loops. It is c of an mma, whole, whose depth is a multiple of 16,
 * of f32 of 4, or read and written element by element in loops over all of its rows and columns. It stands outside of
 * lane and wave loops.
 *
 * Index arithmetic is i64. Every load and store gives one index an axis, row-major, 0 <= index < extent. */
#ifndef RETC_IR_KERNEL_H
#define RETC_IR_KERNEL_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "base/status.h"
#include "base/text.h"

typedef enum retc_kernel_op {
#define RETC_KERNEL_OP(NAME, ...) RETC_KERNEL_OP_##NAME,
#include "ir/kernel_ops.def"
#undef RETC_KERNEL_OP
  RETC_KERNEL_OP_COUNT
} retc_kernel_op;

typedef enum retc_kernel_result {
  RETC_RESULT_own,
  RETC_RESULT_same,
  RETC_RESULT_real,
  RETC_RESULT_truth,
  RETC_RESULT_select
} retc_kernel_result;
typedef enum retc_kernel_form { RETC_FORM_leaf, RETC_FORM_infix, RETC_FORM_call } retc_kernel_form;

typedef struct retc_kernel_op_info {
  const char *name;
  int inputs;
  retc_kernel_result result;
  retc_kernel_form form;
  const char *meaning;
} retc_kernel_op_info;
const retc_kernel_op_info *retc_kernel_op_get_info(retc_kernel_op op);

typedef struct retc_expr {
  uint32_t index; /* 0: none */
} retc_expr;
typedef struct retc_variable {
  uint32_t index; /* 0: none */
} retc_variable;
typedef struct retc_buffer_id {
  uint32_t index; /* 0: none */
} retc_buffer_id;

typedef struct retc_expr_node {
  retc_kernel_op op;
  retc_dtype dtype;
  retc_expr inputs[3];
  double number;            /* CONST of a float dtype */
  int64_t integer;          /* CONST i64 or bool; DIM: the retc_dim_name */
  retc_variable variable;   /* VARIABLE */
  retc_buffer_id buffer;    /* LOAD */
  const retc_expr *indices; /* LOAD: one an axis */
} retc_expr_node;

typedef enum retc_scope { RETC_SCOPE_GLOBAL, RETC_SCOPE_SHARED, RETC_SCOPE_PRIVATE, RETC_SCOPE_FRAGMENT } retc_scope;
enum { RETC_FRAGMENT_SIDE = 16, RETC_FRAGMENT_STEP = 4 /* of the depth, in f32 */, RETC_FRAGMENT_WAVES = 8 };
enum retc_access { RETC_ACCESS_READ = 1, RETC_ACCESS_WRITE = 2 };

typedef struct retc_buffer {
  const char *name; /* unique in the kernel */
  retc_dtype dtype;
  retc_shape shape; /* constant, but for global buffers */
  retc_scope scope;
  unsigned access; /* of global buffers: what the kernel does, retc_access */
} retc_buffer;

typedef enum retc_loop_kind {
  RETC_LOOP_SERIAL,
  RETC_LOOP_VECTOR,
  RETC_LOOP_UNROLL,
  RETC_LOOP_PARALLEL,
  RETC_LOOP_ELEMENT,
  RETC_LOOP_GRID,
  RETC_LOOP_LANE,
  RETC_LOOP_WAVE
} retc_loop_kind;
enum { RETC_LOOP_KIND_COUNT = RETC_LOOP_WAVE + 1 };
const char *retc_loop_kind_name(retc_loop_kind kind);

/* A matrix inside a buffer: element (r, c) is at `base` plus r along row_axis plus c along column_axis. */
typedef struct retc_view {
  retc_buffer_id buffer;
  const retc_expr *base; /* one index an axis */
  int row_axis, column_axis;
} retc_view;

/* How an mma multiplies. All but the first have b packed along the depth: b[x,l] is element x % pack of its last axis
 * at x / pack along row_axis, l along column_axis, the last but one. */
typedef enum retc_mma_form {
  RETC_MMA_FMA,      /* c = fma(a[i,x], b[x,l], c) for x in order, in f32 */
  RETC_MMA_PAIRS,    /* bf16, pack 2: c = fma(a[i,x], b[x,l], fma(a[i,x+1], b[x+1,l], c)) for even x in order; subnormal
                      * operands and results are 0. A CPU without such an instruction may keep subnormals */
  RETC_MMA_TILES,    /* bf16, pack 2, as the tiles of x86 add: for each 32 of the depth in order, even = fma(a[i,x], b[x,l],
                      * even) from 0 for even x in order, odd the same for odd x, c = c + (even + odd); subnormal operands
                      * and results are 0. The depth is a multiple of 32, the columns of c are its last axis */
  RETC_MMA_INTEGERS, /* c i32, a i8: c += a[i,x] b[x,l], exactly; b u8, pack 4, or u4x2: b[x,l] is half x / 4 % 2 of
                      * element x % 4 of the last axis at x / 8 along row_axis */
  RETC_MMA_FORM_COUNT
} retc_mma_form;
/* "", "pairs", "tiles", "integers": the last word of the statement. */
const char *retc_mma_form_name(retc_mma_form form);
/* Numbers along the depth at one index of b's row_axis: 1, 2, 4 or 8. */
int64_t retc_mma_pack(retc_mma_form form, retc_dtype b);
/* What the depth is a multiple of: the pack, or the depth of a tile. */
enum { RETC_TILE_DEPTH = 32 };
int64_t retc_mma_step(retc_mma_form form, retc_dtype b);

typedef struct retc_block {
  RETC_VEC(struct retc_statement *) statements;
  const char *end_comment; /* lines before its end; may be NULL */
} retc_block;

typedef enum retc_statement_kind {
  RETC_STATEMENT_FOR,     /* for variable in low..high step */
  RETC_STATEMENT_IF,      /* if value { body } else { other } */
  RETC_STATEMENT_LET,     /* variable = value, visible to the end of the block */
  RETC_STATEMENT_STORE,   /* buffer[indices] = value, rounded to the buffer's dtype */
  RETC_STATEMENT_ALLOC,   /* buffer exists from here to the end of the block, content undefined */
  RETC_STATEMENT_BARRIER, /* all lanes of a block arrive */
  /* c[i,l] += a[i,x] b[x,l] for x in 0..depth in order, i < rows, l < columns, in the way of `form`. c is private, f32 or
   * i32. a's row_axis is i and column_axis x; b's row_axis is x and column_axis l, its last.
   * Where a has but `row_count` rows from its base on, its axes are the last two, the rows of all axes before the last one
   * are counted on, and row i is row min(i, row_count - 1): a product of halves into a fragment may reach behind the last.
   * In a wave loop c is shared or a fragment, and b's axes are free. There 16 products of bf16 or f16 are added exactly
   * and rounded once; matrix instructions may round such sums otherwise, but a sum is the same whatever the other rows
   * and columns are. Products of f32 are added as elsewhere, by matrix instructions too. */
  RETC_STATEMENT_MMA
} retc_statement_kind;

typedef struct retc_statement {
  retc_statement_kind kind;
  retc_variable variable;   /* FOR, LET */
  retc_loop_kind loop;      /* FOR */
  retc_expr low, high;      /* FOR */
  int64_t step;             /* FOR: a constant >= 1 */
  retc_expr value;          /* IF: bool; LET; STORE */
  retc_buffer_id buffer;    /* STORE, ALLOC */
  const retc_expr *indices; /* STORE */
  retc_block body, other;   /* FOR; IF */
  retc_view c, a, b;        /* MMA */
  retc_mma_form form;       /* MMA */
  int64_t rows, columns;    /* MMA: constants >= 1 */
  retc_expr row_count;      /* MMA: i64 >= 1, or none */
  retc_expr depth;          /* MMA: i64 >= 0 */
  const char *comment;      /* lines printed before the statement; may be NULL */
  const char *remark;       /* printed behind it: the graph values it computes, "%97 %98"; may be NULL */
  size_t offset;            /* in the text it was read from */
} retc_statement;

/* The text that a kernel was read from, for messages; outlives the kernel. file_name NULL: none. */
typedef struct retc_kernel_source {
  const char *file_name, *text;
  size_t length;
} retc_kernel_source;

typedef struct retc_kernel {
  retc_arena arena;
  const char *name;    /* a C identifier */
  const char *comment; /* what it computes, for people */
  const char *remark;
  /* It is one plain product, of w [N,K], a [..,K] and o [..,N], its buffers in this order: o[..,n] = sum_k a[..,k]
   * w[n,k]. Who has a better one may run that instead; the order of its sums may be another. */
  bool product;
  retc_kernel_source source;
  RETC_VEC(retc_buffer) buffers;     /* items[0] unused. Global ones, in this order, are the first parameters */
  RETC_VEC(const char *) variables;  /* names; items[0] unused; unique in the kernel */
  RETC_VEC(retc_expr_node) exprs;    /* items[0] unused */
  retc_block body;
} retc_kernel;

retc_kernel *retc_kernel_create(const char *name);
void retc_kernel_destroy(retc_kernel *kernel);

/* The parameters of the function that a kernel becomes:
 *   void name(T *buffer... (global, in order), int64_t dim... (those used, in retc_dim_name order),
 *             void *scratch, int64_t thread, int64_t threads)
 * The parallel loop of E iterations runs those of E*thread/threads .. E*(thread+1)/threads on this call. `scratch` is
 * this thread's memory for private buffers, 64-byte aligned. */
typedef struct retc_signature {
  int buffer_count;
  int dim_count;
  retc_dim_name dims[RETC_DIM_COUNT];
  int64_t scratch_bytes; /* all private buffers, each rounded up to 64 */
} retc_signature;
retc_signature retc_kernel_signature(const retc_kernel *kernel);

/* How a GPU runs a kernel whose body is lets and a nest of one to three grid loops: `void name(T *buffer..., int64_t
 * dim...)`, one block for each of their iterations. A lane loop's iteration k is the work of thread k mod block. */
typedef struct retc_launch {
  int grid_count;              /* 0: it is no such kernel */
  const retc_statement *grid[3]; /* the loops, the innermost (x) first */
  int64_t block;               /* threads: those of a lane loop with a barrier in it; else what the widest wants, 64 to 256 */
  int64_t shared_bytes;        /* all shared buffers, each rounded up to 64 */
} retc_launch;
retc_launch retc_kernel_launch(const retc_kernel *kernel);
/* The value of a let at the top of the kernel; none of other variables. */
retc_expr retc_kernel_find_let(const retc_kernel *kernel, retc_variable variable);

/* Building. The writer appends statements to the innermost open block. Constants fold: i64 arithmetic on constants,
 * x + 0, x * 1, x * 0 (i64 only). Types are asserted by the verifier, not here. */
typedef struct retc_writer {
  retc_kernel *kernel;
  retc_block *block[32];
  int depth;
  const char *comment; /* waits for the next statement */
  const char *remark;  /* so does this */
  const char *standing_remark; /* of statements that get no other */
} retc_writer;

void retc_writer_init(retc_writer *writer, retc_kernel *kernel);

retc_buffer_id retc_write_parameter(retc_writer *w, const char *name, retc_dtype dtype, const retc_shape *shape,
                                    unsigned access);
/* ALLOC in this block. Constant shape. */
retc_buffer_id retc_write_alloc(retc_writer *w, const char *name, retc_scope scope, retc_dtype dtype, int rank,
                                const int64_t *extents);
/* Opens a loop; returns its variable as an expression. `end` closes the innermost open block. */
retc_expr retc_write_for(retc_writer *w, const char *name, retc_loop_kind kind, retc_expr low, retc_expr high,
                         int64_t step);
void retc_write_if(retc_writer *w, retc_expr condition);
void retc_write_else(retc_writer *w);
void retc_write_end(retc_writer *w);
retc_expr retc_write_let(retc_writer *w, const char *name, retc_expr value);
void retc_write_store(retc_writer *w, retc_buffer_id buffer, const retc_expr *indices, retc_expr value);
void retc_write_barrier(retc_writer *w);
retc_view retc_write_view(retc_writer *w, retc_buffer_id buffer, const retc_expr *base, int row_axis, int column_axis);
/* In the form FMA. */
void retc_write_mma(retc_writer *w, retc_view c, retc_view a, retc_view b, int64_t rows, int64_t columns,
                    retc_expr depth);
void retc_write_mma_of(retc_writer *w, retc_view c, retc_view a, retc_view b, int64_t rows, retc_expr row_count,
                       int64_t columns, retc_expr depth);
void retc_write_mma_form(retc_writer *w, retc_mma_form form, retc_view c, retc_view a, retc_view b, int64_t rows,
                         int64_t columns, retc_expr depth);
/* The next statement written carries this comment, copied. */
void retc_write_comment(retc_writer *w, const char *comment);
/* Adds a graph value, as it is printed ("%97"), to the remark of the next statement written; once each. */
void retc_write_computed(retc_writer *w, const char *value);

retc_expr retc_expr_integer(retc_kernel *kernel, int64_t value);
retc_expr retc_expr_number(retc_kernel *kernel, retc_dtype dtype, double value);
retc_expr retc_expr_dim(retc_kernel *kernel, retc_dim dim); /* a constant or a named dimension */
retc_expr retc_expr_load(retc_kernel *kernel, retc_buffer_id buffer, const retc_expr *indices);
retc_expr retc_expr_cast(retc_kernel *kernel, retc_dtype dtype, retc_expr a);
retc_expr retc_expr_op(retc_kernel *kernel, retc_kernel_op op, const retc_expr *inputs);
retc_expr retc_expr_unary(retc_kernel *kernel, retc_kernel_op op, retc_expr a);
retc_expr retc_expr_binary(retc_kernel *kernel, retc_kernel_op op, retc_expr a, retc_expr b);
retc_expr retc_expr_ternary(retc_kernel *kernel, retc_kernel_op op, retc_expr a, retc_expr b, retc_expr c);

const retc_expr_node *retc_kernel_expr(const retc_kernel *kernel, retc_expr expr);
const retc_buffer *retc_kernel_buffer(const retc_kernel *kernel, retc_buffer_id buffer);

/* The rewrite that every kernel pass is made of: copies `in` statement by statement into `w`, which writes a new
 * kernel with the same buffers and variables; `expr` may replace an expression whose inputs have been copied already
 * (return retc_expr{0} to keep it) and may write statements before the one that holds it. Shared expressions are
 * visited once a statement. */
typedef retc_expr (*retc_rewrite_expr)(void *user, retc_writer *w, const retc_expr_node *node, const retc_expr *inputs);
retc_kernel *retc_kernel_rewrite(const retc_kernel *in, retc_rewrite_expr expr, void *user);

/* Text (kernel_print.c, kernel_parse.c); the grammar is in docs/ir.md. Printing what was parsed gives the same bytes when
 * retc had printed it. An expression that several statements share is printed, and read back, once in each. */
void retc_kernel_print(const retc_kernel *kernel, retc_text *out_text);
void retc_kernel_print_expr(const retc_kernel *kernel, retc_expr expr, retc_text *out_text);
/* One kernel; the lexer stands on the word "kernel". The lexer's text and file name must outlive the kernel. Reads what is
 * well formed; whether it makes sense is the verifier's business. */
struct retc_lexer;
retc_status retc_kernel_read(struct retc_lexer *lexer, retc_kernel **out_kernel);

/* Checks (kernel_verify.c): types, scopes, definition before use, loop-kind rules, constant indices in bounds, mma views,
 * iterations of parallel loops independent as far as indices show it, barriers where all lanes come by. RETC_INTERNAL with
 * the statement printed; of a kernel that was read from text RETC_INVALID with its place. */
retc_status retc_kernel_verify(const retc_kernel *kernel, retc_diagnostics *diagnostics);

#endif
