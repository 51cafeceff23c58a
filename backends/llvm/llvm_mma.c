#include "backends/llvm/llvm_private.h"

/* Rows ahead at which b is asked for: when it is streamed from memory, what a plain read loop needs to reach full
 * bandwidth; when there are many rows of a, and b comes from the second-level cache, a few. */
enum { PREFETCH_ROWS = 16, PREFETCH_ROWS_NEAR = 4, PREFETCH_BELOW = 4, CACHE_LINE = 64 };
enum { SPARE_REGISTERS = 4, TILE_MAX = 64, VECTORS_MAX = 1 << 14 };

/* A matrix in memory: element (r, c) is number first + r row + c column. */
typedef struct matrix {
  retc_buffer_id buffer;
  LLVMValueRef first, row, column;
} matrix;

/* Part of c whose elements stay in registers while the depth goes by. */
typedef struct tile {
  int64_t row, rows;
  int64_t column;
  int count;                /* of vectors side by side */
  unsigned lanes[TILE_MAX]; /* of each */
  bool strided;             /* in b, see is_strided */
} tile;

static matrix open_view(retc_llvm_emitter *e, const retc_view *view) {
  return (matrix){
    .buffer = view->buffer,
    .first = retc_llvm_element(e, view->buffer, view->base).scalar,
    .row = retc_llvm_stride(e, view->buffer, view->row_axis),
    .column = retc_llvm_stride(e, view->buffer, view->column_axis),
  };
}

static LLVMValueRef element_at(retc_llvm_emitter *e, const matrix *m, LLVMValueRef row, LLVMValueRef column) {
  LLVMValueRef down = LLVMBuildMul(e->builder, row, m->row, "");
  LLVMValueRef right = LLVMBuildMul(e->builder, column, m->column, "");
  return LLVMBuildAdd(e->builder, LLVMBuildAdd(e->builder, m->first, down, ""), right, "");
}

/* Counted within the tile. */
static LLVMValueRef tile_element(retc_llvm_emitter *e, const matrix *c, const tile *t, int64_t row, int64_t column) {
  return element_at(e, c, retc_llvm_integer(e, t->row + row), retc_llvm_integer(e, t->column + column));
}

static void load_tile(retc_llvm_emitter *e, const matrix *c, const tile *t, LLVMValueRef *out_values) {
  for (int64_t row = 0; row < t->rows; row++)
    for (int64_t part = 0, column = 0; part < t->count; column += t->lanes[part++])
      out_values[row * t->count + part] =
        retc_llvm_load_elements(e, c->buffer, tile_element(e, c, t, row, column), c->column, t->lanes[part]);
}

static void store_tile(retc_llvm_emitter *e, const matrix *c, const tile *t, LLVMValueRef *values) {
  for (int64_t row = 0; row < t->rows; row++)
    for (int64_t part = 0, column = 0; part < t->count; column += t->lanes[part++])
      retc_llvm_store_elements(e, c->buffer, tile_element(e, c, t, row, column), c->column,
                               values[row * t->count + part], t->lanes[part]);
}

/* Whether the rows of b lie further apart than the columns that are read: the CPU's own prefetching does not see it. */
static bool is_strided(const matrix *b, int64_t columns) {
  return !LLVMIsAConstantInt(b->row) || LLVMConstIntGetSExtValue(b->row) > columns;
}

/* Reading ahead of the end is harmless: a prefetch does not fault. */
static void prefetch(retc_llvm_emitter *e, const matrix *b, const tile *t, LLVMValueRef x) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, b->buffer);
  if (buffer->scope != RETC_SCOPE_GLOBAL || (t->rows >= PREFETCH_BELOW && !t->strided)) return;
  LLVMTypeRef byte = LLVMInt8TypeInContext(e->context), i32 = LLVMInt32TypeInContext(e->context);
  LLVMValueRef read = LLVMConstInt(i32, 0, false), keep = LLVMConstInt(i32, 3, false);
  LLVMValueRef data = LLVMConstInt(i32, 1, false);
  LLVMValueRef later = LLVMBuildAdd(e->builder, x, retc_llvm_integer(e, t->rows < PREFETCH_BELOW ? PREFETCH_ROWS : PREFETCH_ROWS_NEAR), "");
  int64_t size = (int64_t)retc_dtype_size(buffer->dtype), columns = 0;
  for (int part = 0; part < t->count; part++) columns += t->lanes[part];
  for (int64_t column = 0; column < columns; column += CACHE_LINE / size) {
    LLVMValueRef element = element_at(e, b, later, retc_llvm_integer(e, t->column + column));
    LLVMValueRef offset = LLVMBuildMul(e->builder, element, retc_llvm_integer(e, size), "");
    LLVMValueRef address = LLVMBuildGEP2(e->builder, byte, e->buffers[b->buffer.index], &offset, 1, "");
    retc_llvm_call(e, "llvm.prefetch", (LLVMValueRef[]){address, read, keep, data}, 4);
  }
}

/* One step of the depth: c += column x of a times row x of b. */
static void outer_product(retc_llvm_emitter *e, const matrix *a, const matrix *b, const tile *t, LLVMValueRef x,
                          LLVMValueRef *values) {
  LLVMValueRef right[TILE_MAX];
  for (int64_t part = 0, column = 0; part < t->count; column += t->lanes[part++]) {
    LLVMValueRef element = element_at(e, b, x, retc_llvm_integer(e, t->column + column));
    right[part] = retc_llvm_load_elements(e, b->buffer, element, NULL, t->lanes[part]);
  }
  prefetch(e, b, t, x);
  for (int64_t row = 0; row < t->rows; row++) {
    LLVMValueRef element = element_at(e, a, retc_llvm_integer(e, t->row + row), x);
    LLVMValueRef left = retc_llvm_load_elements(e, a->buffer, element, NULL, 1);
    for (int part = 0; part < t->count; part++) {
      LLVMValueRef *sum = &values[row * t->count + part];
      *sum = retc_llvm_call(e, "llvm.fma",
                            (LLVMValueRef[]){retc_llvm_splat(e, left, t->lanes[part]), right[part], *sum}, 3);
    }
  }
}

static void emit_tile(retc_llvm_emitter *e, const matrix *c, const matrix *a, const matrix *b, const tile *t,
                      LLVMValueRef depth) {
  LLVMValueRef first[TILE_MAX], sums[TILE_MAX], next[TILE_MAX];
  int64_t count = t->rows * t->count;
  load_tile(e, c, t, first);
  retc_llvm_loop loop = retc_llvm_loop_begin(e, retc_llvm_integer(e, 0), depth, "x");
  for (int64_t i = 0; i < count; i++) {
    sums[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(first[i]), "");
    LLVMAddIncoming(sums[i], &first[i], &loop.before, 1);
    next[i] = sums[i];
  }
  outer_product(e, a, b, t, loop.index, next);
  retc_llvm_loop_end(e, &loop, retc_llvm_integer(e, 1));
  for (int64_t i = 0; i < count; i++) {
    LLVMAddIncoming(sums[i], &next[i], &loop.latch, 1);
    sums[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(first[i]), "");
    LLVMAddIncoming(sums[i], (LLVMValueRef[]){first[i], next[i]}, (LLVMBasicBlockRef[]){loop.before, loop.latch}, 2);
  }
  store_tile(e, c, t, sums);
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t quotient_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* c is cut into tiles that fit into the registers, as equal as can be. An element's order is the depth's, whatever
 * the tiles are. */
void retc_llvm_emit_mma(retc_llvm_emitter *e, const retc_statement *s) {
  LLVMValueRef depth = retc_llvm_emit_scalar(e, s->depth);
  matrix c = open_view(e, &s->c), a = open_view(e, &s->a), b = open_view(e, &s->b);
  int64_t lanes = e->profile.vector_bytes / 4;
  int64_t budget = smaller(e->profile.vector_registers - SPARE_REGISTERS, TILE_MAX);
  int64_t rows = quotient_up(s->rows, quotient_up(s->rows, budget));
  int64_t vectors = quotient_up(s->columns, lanes);
  if (s->rows > VECTORS_MAX / vectors) {
    e->refused = "an mma of this size";
    return;
  }
  int64_t count = quotient_up(vectors, quotient_up(vectors, budget / rows));
  for (int64_t column = 0; column < s->columns; column += count * lanes) {
    for (int64_t row = 0; row < s->rows; row += rows) {
      tile t = {.row = row, .rows = smaller(rows, s->rows - row), .column = column,
                .strided = is_strided(&b, s->columns)};
      for (int64_t at = column; at < smaller(s->columns, column + count * lanes); at += lanes)
        t.lanes[t.count++] = (unsigned)smaller(lanes, s->columns - at);
      emit_tile(e, &c, &a, &b, &t, depth);
    }
  }
}
