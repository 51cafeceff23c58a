/* Products by the tiles of x86 (AMX): eight registers of up to 16 rows of 64 bytes, whose sizes are configured.
 *
 * Tiles 0 to 3 hold sums, 4 and 5 rows of a, 6 and 7 columns of b: 2 x 2 tiles of sums where there are rows enough,
 * else up to four side by side. All sums of a configuration have one size, so it is a function of rows, columns and
 * depth; as configuring takes as long as ten products, a variable of the function remembers what is configured. Halves
 * of bytes are unpacked before they are loaded. */
#include <stdio.h>

#include "backends/llvm/llvm_private.h"
#include "base/number.h"

enum { TILE_ROWS = 16, TILE_BYTES = 64, WORD = 4, SUM_TILES = 4, LEFT = 4, RIGHT = 6, CONFIGURATION_BYTES = 64 };
/* Of integers, which have an instruction without tiles, too. */
enum { INTEGER_ROWS_LEAST = 8 };

/* Sums of rows x columns, products of `words` 32-bit words of the depth. */
typedef struct shape {
  int64_t rows, columns, words;
} shape;

/* A part of c: row_tiles x column_tiles of this shape. */
typedef struct block {
  shape shape;
  int64_t row, column;
  int row_tiles, column_tiles;
} block;

static bool constant_depth(const retc_llvm_emitter *e, const retc_statement *s, int64_t *out_depth) {
  const retc_expr_node *depth = retc_kernel_expr(e->kernel, s->depth);
  *out_depth = depth->integer;
  return depth->op == RETC_KERNEL_OP_CONST;
}

bool retc_llvm_has_tiles(const retc_llvm_emitter *e, const retc_statement *s) {
  int64_t depth;
  if (s->form == RETC_MMA_TILES) return true;
  if (s->form != RETC_MMA_INTEGERS || !e->profile.has_tiles || s->rows < INTEGER_ROWS_LEAST) return false;
  if (s->c.column_axis != retc_kernel_buffer(e->kernel, s->c.buffer)->shape.rank - 1) return false;
  return constant_depth(e, s, &depth) && depth > 0 && (depth < TILE_BYTES || depth % TILE_BYTES == 0);
}

/* ---- configuration ---- */

static LLVMValueRef configuration(retc_llvm_emitter *e, const shape *s) {
  char name[64];
  snprintf(name, sizeof name, "tiles.%d.%d.%d", (int)s->rows, (int)s->columns, (int)s->words);
  LLVMValueRef known = LLVMGetNamedGlobal(e->module, name);
  if (known) return known;
  unsigned char bytes[CONFIGURATION_BYTES] = {1}; /* palette; 16-bit row sizes from byte 16 on, rows from 48 on */
  for (int tile = 0; tile < RIGHT + 2; tile++) {
    bytes[16 + 2 * tile] = (unsigned char)(WORD * (tile >= LEFT && tile < RIGHT ? s->words : s->columns));
    bytes[48 + tile] = (unsigned char)(tile < RIGHT ? s->rows : s->words);
  }
  LLVMValueRef data = LLVMConstStringInContext2(e->context, (const char *)bytes, sizeof bytes, true);
  LLVMValueRef global = LLVMAddGlobal(e->module, LLVMTypeOf(data), name);
  LLVMSetInitializer(global, data);
  LLVMSetGlobalConstant(global, true);
  LLVMSetLinkage(global, LLVMPrivateLinkage);
  LLVMSetAlignment(global, CONFIGURATION_BYTES);
  return global;
}

static LLVMTypeRef shape_type(retc_llvm_emitter *e) { return LLVMInt32TypeInContext(e->context); }

/* A variable of the function; `first`: what it is at the beginning, or NULL. */
static LLVMValueRef make_variable(retc_llvm_emitter *e, LLVMTypeRef type, LLVMValueRef first, const char *name) {
  LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder), entry = LLVMGetEntryBasicBlock(e->function);
  LLVMPositionBuilderBefore(e->builder, LLVMGetFirstInstruction(entry));
  LLVMValueRef variable = LLVMBuildAlloca(e->builder, type, name);
  LLVMSetAlignment(variable, TILE_BYTES);
  if (first) LLVMBuildStore(e->builder, first, variable);
  LLVMPositionBuilderAtEnd(e->builder, here);
  return variable;
}

/* if (condition) { what `then` builds } */
static LLVMBasicBlockRef open_if(retc_llvm_emitter *e, LLVMValueRef condition) {
  LLVMBasicBlockRef yes = LLVMAppendBasicBlockInContext(e->context, e->function, "");
  LLVMBasicBlockRef after = LLVMAppendBasicBlockInContext(e->context, e->function, "");
  LLVMBuildCondBr(e->builder, condition, yes, after);
  LLVMPositionBuilderAtEnd(e->builder, yes);
  return after;
}

static void close_if(retc_llvm_emitter *e, LLVMBasicBlockRef after) {
  LLVMBuildBr(e->builder, after);
  LLVMPositionBuilderAtEnd(e->builder, after);
}

static void configure(retc_llvm_emitter *e, const shape *s) {
  LLVMValueRef none = LLVMConstInt(shape_type(e), 0, false);
  if (!e->tile_shape) e->tile_shape = make_variable(e, shape_type(e), none, "tile_shape");
  const uint64_t number = (uint64_t)(s->rows | s->columns << 8 | s->words << 16);
  LLVMValueRef wanted = LLVMConstInt(shape_type(e), number, false);
  LLVMValueRef now = LLVMBuildLoad2(e->builder, shape_type(e), e->tile_shape, "");
  LLVMBasicBlockRef after = open_if(e, LLVMBuildICmp(e->builder, LLVMIntNE, now, wanted, ""));
  LLVMValueRef data = configuration(e, s);
  retc_llvm_call_plain(e, "llvm.x86.ldtilecfg", &data, 1);
  LLVMBuildStore(e->builder, wanted, e->tile_shape);
  close_if(e, after);
}

void retc_llvm_release_tiles(retc_llvm_emitter *e) {
  if (!e->tile_shape) return;
  LLVMValueRef now = LLVMBuildLoad2(e->builder, shape_type(e), e->tile_shape, "");
  LLVMValueRef none = LLVMConstInt(shape_type(e), 0, false);
  LLVMBasicBlockRef after = open_if(e, LLVMBuildICmp(e->builder, LLVMIntNE, now, none, ""));
  retc_llvm_call_plain(e, "llvm.x86.tilerelease", NULL, 0);
  close_if(e, after);
}

/* ---- products ---- */

static LLVMValueRef tile_number(retc_llvm_emitter *e, int tile) {
  return LLVMConstInt(LLVMInt8TypeInContext(e->context), (unsigned long long)tile, false);
}

/* Between tile `tile` and the matrix from (row, column) on. */
static void move_tile(retc_llvm_emitter *e, const char *intrinsic, int tile, const retc_llvm_matrix *m,
                      LLVMValueRef row, LLVMValueRef column) {
  const int64_t size = (int64_t)retc_dtype_size(retc_kernel_buffer(e->kernel, m->buffer)->dtype);
  LLVMValueRef element = retc_llvm_matrix_element(e, m, row, column);
  LLVMValueRef bytes = LLVMBuildMul(e->builder, m->row, retc_llvm_integer(e, size), "");
  LLVMValueRef arguments[3] = {tile_number(e, tile), retc_llvm_address(e, m->buffer, element), bytes};
  retc_llvm_call_plain(e, intrinsic, arguments, 3);
}

static void move_sums(retc_llvm_emitter *e, const char *intrinsic, const retc_llvm_matrix *c, const block *b) {
  for (int i = 0; i < b->row_tiles; i++) {
    for (int j = 0; j < b->column_tiles; j++) {
      move_tile(e, intrinsic, i * b->column_tiles + j, c, retc_llvm_integer(e, b->row + i * TILE_ROWS),
                retc_llvm_integer(e, b->column + j * TILE_ROWS));
    }
  }
}

static void load_left(retc_llvm_emitter *e, const retc_llvm_matrix *a, const block *b, int i, LLVMValueRef x) {
  move_tile(e, "llvm.x86.tileloadd64", LEFT + i, a, retc_llvm_integer(e, b->row + i * TILE_ROWS), x);
}

/* Rows of b in one tile: of halves of bytes one makes two. */
static int64_t lines_of(const retc_llvm_emitter *e, const retc_llvm_matrix *b, const block *part) {
  return retc_kernel_buffer(e->kernel, b->buffer)->dtype == RETC_DTYPE_U4X2 ? part->shape.words / 2 : part->shape.words;
}

/* What is streamed is asked for twice: from memory into the second cache, and from there, one tile ahead, into the
 * first, as loads of tiles wait for each other. `line` counts rows of b. */
static void prefetch(retc_llvm_emitter *e, const retc_llvm_matrix *m, const block *b, LLVMValueRef line) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, m->buffer);
  const int64_t size = (int64_t)retc_dtype_size(buffer->dtype);
  int64_t row;
  if (buffer->scope != RETC_SCOPE_GLOBAL || b->row_tiles > 1 || !retc_llvm_is_constant(m->row, &row)) return;
  const int64_t near = lines_of(e, m, b), far = near + (RETC_PREFETCH_BYTES + row * size - 1) / (row * size);
  for (int64_t l = 0; l < near; l++) {
    LLVMValueRef soon = LLVMBuildAdd(e->builder, line, retc_llvm_integer(e, near + l), "");
    LLVMValueRef later = LLVMBuildAdd(e->builder, line, retc_llvm_integer(e, far + l), "");
    for (int64_t column = 0; column < b->column_tiles * TILE_ROWS; column += TILE_BYTES / WORD) {
      LLVMValueRef at = retc_llvm_integer(e, b->column + column);
      retc_llvm_prefetch(e, m->buffer, retc_llvm_matrix_element(e, m, later, at), true);
      retc_llvm_prefetch(e, m->buffer, retc_llvm_matrix_element(e, m, soon, at), false);
    }
  }
}

static LLVMValueRef unpacked_at(retc_llvm_emitter *e, int64_t row, int j) {
  LLVMValueRef offset = retc_llvm_integer(e, (row * SUM_TILES + j) * TILE_BYTES);
  return LLVMBuildGEP2(e->builder, LLVMInt8TypeInContext(e->context), e->unpacked, &offset, 1, "");
}

/* Columns of all tiles of the block as bytes. */
static void unpack(retc_llvm_emitter *e, const retc_llvm_matrix *b, const block *part, LLVMValueRef line) {
  LLVMTypeRef room = LLVMArrayType2(LLVMInt8TypeInContext(e->context), TILE_ROWS * SUM_TILES * TILE_BYTES);
  const unsigned lanes = (unsigned)part->shape.columns;
  if (!e->unpacked) e->unpacked = make_variable(e, room, NULL, "unpacked");
  for (int64_t l = 0; l < lines_of(e, b, part); l++) {
    for (int j = 0; j < part->column_tiles; j++) {
      LLVMValueRef at = LLVMBuildAdd(e->builder, line, retc_llvm_integer(e, l), "");
      LLVMValueRef element = retc_llvm_matrix_element(e, b, at, retc_llvm_integer(e, part->column + j * TILE_ROWS));
      LLVMValueRef words = retc_llvm_load_words(e, b->buffer, element, lanes);
      for (int upper = 0; upper < 2; upper++) {
        LLVMValueRef bytes = retc_llvm_halves(e, words, upper, lanes);
        LLVMSetAlignment(LLVMBuildStore(e->builder, bytes, unpacked_at(e, 2 * l + upper, j)), WORD);
      }
    }
  }
}

static void load_right(retc_llvm_emitter *e, const retc_llvm_matrix *b, const block *part, int j, LLVMValueRef line) {
  const int tile = RIGHT + j % 2;
  if (lines_of(e, b, part) == part->shape.words) {
    move_tile(e, "llvm.x86.tileloadd64", tile, b, line, retc_llvm_integer(e, part->column + j * TILE_ROWS));
    return;
  }
  LLVMValueRef stride = retc_llvm_integer(e, SUM_TILES * TILE_BYTES);
  retc_llvm_call_plain(e, "llvm.x86.tileloadd64", (LLVMValueRef[]){tile_number(e, tile), unpacked_at(e, 0, j), stride},
                       3);
}

/* One tile's depth: all sums of the block. */
static void multiply(retc_llvm_emitter *e, const retc_statement *s, const retc_llvm_matrix *a,
                     const retc_llvm_matrix *b, const block *part, LLVMValueRef line) {
  const int64_t pack = retc_mma_pack(s->form, retc_kernel_buffer(e->kernel, s->b.buffer)->dtype);
  const char *product = s->form == RETC_MMA_TILES ? "llvm.x86.tdpbf16ps" : "llvm.x86.tdpbsud";
  LLVMValueRef x = LLVMBuildMul(e->builder, line, retc_llvm_integer(e, pack), "");
  prefetch(e, b, part, line);
  if (lines_of(e, b, part) < part->shape.words) unpack(e, b, part, line);
  load_left(e, a, part, 0, x);
  for (int j = 0; j < part->column_tiles; j++) {
    load_right(e, b, part, j, line);
    for (int i = 0; i < part->row_tiles; i++) {
      if (i && !j) load_left(e, a, part, i, x);
      LLVMValueRef arguments[3] = {tile_number(e, i * part->column_tiles + j), tile_number(e, LEFT + i),
                                   tile_number(e, RIGHT + j % 2)};
      retc_llvm_call_plain(e, product, arguments, 3);
    }
  }
}

static void emit_block(retc_llvm_emitter *e, const retc_statement *s, const retc_llvm_matrix *c,
                       const retc_llvm_matrix *a, const retc_llvm_matrix *b, const block *part, LLVMValueRef lines) {
  configure(e, &part->shape);
  move_sums(e, "llvm.x86.tileloadd64", c, part);
  retc_llvm_loop loop = retc_llvm_loop_begin(e, retc_llvm_integer(e, 0), lines, "x");
  multiply(e, s, a, b, part, loop.index);
  retc_llvm_loop_end(e, &loop, retc_llvm_integer(e, lines_of(e, b, part)));
  move_sums(e, "llvm.x86.tilestored64", c, part);
}

/* Tiles side by side from `at` on: `most` full ones, or fewer, or a last one that is smaller. */
static int count_tiles(int64_t at, int64_t end, int most, int64_t *out_size) {
  const int64_t full = (end - at) / TILE_ROWS;
  *out_size = full ? TILE_ROWS : end - at;
  return full ? (int)retc_smaller(full, most) : 1;
}

void retc_llvm_emit_tiles(retc_llvm_emitter *e, const retc_statement *s) {
  const int64_t pack = retc_mma_pack(s->form, retc_kernel_buffer(e->kernel, s->b.buffer)->dtype);
  int64_t depth = 0;
  LLVMValueRef lines = LLVMBuildUDiv(e->builder, retc_llvm_emit_scalar(e, s->depth), retc_llvm_integer(e, pack), "");
  retc_llvm_matrix c = retc_llvm_open_view(e, &s->c), a = retc_llvm_open_view(e, &s->a),
                   b = retc_llvm_open_view(e, &s->b);
  block part = {.shape = {.words = TILE_BYTES / WORD}};
  if (constant_depth(e, s, &depth))
    part.shape.words = retc_smaller(part.shape.words, s->form == RETC_MMA_TILES ? depth / 2 : depth / WORD);
  if (!part.shape.words) return;
  for (part.row = 0; part.row < s->rows; part.row += part.row_tiles * TILE_ROWS) {
    part.row_tiles = count_tiles(part.row, s->rows, 2, &part.shape.rows);
    for (part.column = 0; part.column < s->columns; part.column += part.column_tiles * TILE_ROWS) {
      part.column_tiles = count_tiles(part.column, s->columns, SUM_TILES / part.row_tiles, &part.shape.columns);
      emit_block(e, s, &c, &a, &b, &part, lines);
    }
  }
}
