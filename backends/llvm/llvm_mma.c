#include "backends/llvm/llvm_private.h"

#include "base/number.h"

/* How far ahead b is asked for: when it is streamed from memory, what a plain read loop needs to reach full bandwidth;
 * when there are many rows of a, and b mostly comes from the second-level cache, some rows. */
enum { PREFETCH_BYTES_TOGETHER = 1024, PREFETCH_ROWS_NEAR = 16, PREFETCH_BELOW = 4, CACHE_LINE = 64 };
enum { SPARE_REGISTERS = 4, TILE_MAX = 64, VECTORS_MAX = 1 << 14, TOGETHER_MAX = 4 };
/* Steps of the depth that are written out: fewer instructions for a product, where the CPU has few to spare. */
enum { STEPS = 4 };

/* Part of c whose elements stay in registers while the depth goes by. */
typedef struct tile {
  int64_t row, rows;
  int64_t column;
  int count;                /* of vectors side by side */
  unsigned lanes[TILE_MAX]; /* of each */
  bool strided;             /* in b, see is_strided */
  int streams;              /* more than 1: of as many that go along the depth together */
  bool paired;              /* b is bf16 side by side: of two vectors of c the first has the even columns of both */
} tile;

retc_llvm_matrix retc_llvm_open_view(retc_llvm_emitter *e, const retc_view *view) {
  return (retc_llvm_matrix){
    .buffer = view->buffer,
    .first = retc_llvm_element(e, view->buffer, view->base).scalar,
    .row = retc_llvm_stride(e, view->buffer, view->row_axis),
    .column = retc_llvm_stride(e, view->buffer, view->column_axis),
  };
}

LLVMValueRef retc_llvm_matrix_element(retc_llvm_emitter *e, const retc_llvm_matrix *m, LLVMValueRef row,
                                      LLVMValueRef column) {
  LLVMValueRef down = LLVMBuildMul(e->builder, row, m->row, "");
  LLVMValueRef right = LLVMBuildMul(e->builder, column, m->column, "");
  return LLVMBuildAdd(e->builder, LLVMBuildAdd(e->builder, m->first, down, ""), right, "");
}

/* Counted within the tile. */
static LLVMValueRef tile_element(retc_llvm_emitter *e, const retc_llvm_matrix *c, const tile *t, int64_t row,
                                 int64_t column) {
  return retc_llvm_matrix_element(e, c, retc_llvm_integer(e, t->row + row), retc_llvm_integer(e, t->column + column));
}

/* Two bf16 are a word, whose halves take one instruction each to widen, while lanes that stay where they are have to be
 * moved to twice the width first. */
static bool is_paired(const retc_llvm_emitter *e, const retc_statement *s, const retc_llvm_matrix *b) {
  int64_t column;
  return s->form == RETC_MMA_FMA && retc_kernel_buffer(e->kernel, b->buffer)->dtype == RETC_DTYPE_BF16 &&
         retc_llvm_is_constant(b->column, &column) && column == 1;
}

/* Whether vector `part` and the next one are a pair. */
static bool is_pair(const tile *t, int64_t part) {
  return t->paired && part % 2 == 0 && part + 1 < t->count && t->lanes[part] > 1 && t->lanes[part] == t->lanes[part + 1];
}

/* v[0], v[1]: the columns one after the other become the even and the odd ones, or the other way round. */
static void turn_pair(retc_llvm_emitter *e, LLVMValueRef *v, unsigned lanes, bool to_pair) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
  LLVMValueRef turned[2], order[TILE_MAX];
  for (unsigned i = 0; i < 2; i++) {
    for (unsigned lane = 0; lane < lanes; lane++) {
      const unsigned at = i * lanes + lane;
      order[lane] = LLVMConstInt(i32, to_pair ? 2 * lane + i : at % 2 * lanes + at / 2, false);
    }
    turned[i] = LLVMBuildShuffleVector(e->builder, v[0], v[1], LLVMConstVector(order, lanes), "");
  }
  v[0] = turned[0];
  v[1] = turned[1];
}

static void turn_pairs(retc_llvm_emitter *e, const tile *t, LLVMValueRef *values, bool to_pair) {
  for (int64_t i = 0; i < t->rows * t->count; i++)
    if (is_pair(t, i % t->count)) turn_pair(e, &values[i], t->lanes[i % t->count], to_pair);
}

static void load_tile(retc_llvm_emitter *e, const retc_llvm_matrix *c, const tile *t, LLVMValueRef *out_values) {
  for (int64_t row = 0; row < t->rows; row++)
    for (int64_t part = 0, column = 0; part < t->count; column += t->lanes[part++])
      out_values[row * t->count + part] =
        retc_llvm_load_sums(e, c->buffer, tile_element(e, c, t, row, column), c->column, t->lanes[part]);
  turn_pairs(e, t, out_values, true);
}

static void store_tile(retc_llvm_emitter *e, const retc_llvm_matrix *c, const tile *t, LLVMValueRef *values) {
  turn_pairs(e, t, values, false);
  for (int64_t row = 0; row < t->rows; row++)
    for (int64_t part = 0, column = 0; part < t->count; column += t->lanes[part++])
      retc_llvm_store_sums(e, c->buffer, tile_element(e, c, t, row, column), c->column,
                           values[row * t->count + part], t->lanes[part]);
}

/* `far`: into the second cache. Reading ahead of the end is harmless: a prefetch does not fault. */
void retc_llvm_prefetch(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, bool far) {
  LLVMTypeRef byte = LLVMInt8TypeInContext(e->context), i32 = LLVMInt32TypeInContext(e->context);
  LLVMValueRef read = LLVMConstInt(i32, 0, false), keep = LLVMConstInt(i32, far ? 2 : 3, false);
  LLVMValueRef data = LLVMConstInt(i32, 1, false);
  int64_t size = (int64_t)retc_dtype_size(retc_kernel_buffer(e->kernel, buffer)->dtype);
  LLVMValueRef offset = LLVMBuildMul(e->builder, element, retc_llvm_integer(e, size), "");
  LLVMValueRef address = LLVMBuildGEP2(e->builder, byte, e->buffers[buffer.index], &offset, 1, "");
  retc_llvm_call(e, "llvm.prefetch", (LLVMValueRef[]){address, read, keep, data}, 4);
}

/* Whether the rows of b lie further apart than the columns that are read: the CPU's own prefetching does not see it. */
static bool is_strided(const retc_llvm_matrix *b, int64_t columns) {
  int64_t row, column;
  return !retc_llvm_is_constant(b->row, &row) || !retc_llvm_is_constant(b->column, &column) || row > columns * column;
}

/* `line` counts rows of b. A single stream comes into the second cache, from where the CPU's own prefetching takes it
 * on: asked for in the first one so far ahead, it is read at two thirds of the speed. */
static void prefetch(retc_llvm_emitter *e, const retc_llvm_matrix *b, const tile *t, LLVMValueRef line) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, b->buffer);
  const int64_t size = (int64_t)retc_dtype_size(buffer->dtype);
  const bool is_streamed = t->rows < PREFETCH_BELOW;
  int64_t row = 0, width = 0, columns = 0;
  if (buffer->scope != RETC_SCOPE_GLOBAL || (!is_streamed && !t->strided)) return;
  if (!retc_llvm_is_constant(b->row, &row)) row = CACHE_LINE;
  if (!retc_llvm_is_constant(b->column, &width)) width = 1;
  const int64_t bytes = t->streams > 1 ? PREFETCH_BYTES_TOGETHER : RETC_PREFETCH_BYTES;
  int64_t ahead = is_streamed ? retc_ceil_div(bytes, row * size) : PREFETCH_ROWS_NEAR;
  for (int part = 0; part < t->count; part++) columns += t->lanes[part];
  LLVMValueRef later = LLVMBuildAdd(e->builder, line, retc_llvm_integer(e, ahead), "");
  const int64_t step = size * width < CACHE_LINE ? CACHE_LINE / (size * width) : 1;
  for (int64_t column = 0; column < columns; column += step)
    retc_llvm_prefetch(e, b->buffer, retc_llvm_matrix_element(e, b, later, retc_llvm_integer(e, t->column + column)),
                       is_streamed && t->streams < 2);
}

static LLVMTypeRef lanes_of(retc_llvm_emitter *e, unsigned bits, unsigned lanes) {
  LLVMTypeRef element = LLVMIntTypeInContext(e->context, bits);
  return lanes > 1 ? LLVMVectorType(element, lanes) : element;
}

static LLVMValueRef number(retc_llvm_emitter *e, unsigned bits, unsigned lanes, uint64_t value) {
  return retc_llvm_splat(e, LLVMConstInt(LLVMIntTypeInContext(e->context, bits), value, false), lanes);
}

LLVMValueRef retc_llvm_load_words(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, unsigned lanes) {
  LLVMValueRef load = LLVMBuildLoad2(e->builder, lanes_of(e, 32, lanes), retc_llvm_address(e, buffer, element), "");
  LLVMSetAlignment(load, (unsigned)retc_dtype_size(retc_kernel_buffer(e->kernel, buffer)->dtype));
  return load;
}

/* ---- one step of the depth: c += column x of a times row x of b ---- */

static LLVMValueRef step_fma(retc_llvm_emitter *e, LLVMValueRef left, LLVMValueRef right, LLVMValueRef sum) {
  return retc_llvm_call(e, "llvm.fma", (LLVMValueRef[]){left, right, sum}, 3);
}

/* Half of each word as f32. */
static LLVMValueRef widen_half(retc_llvm_emitter *e, LLVMValueRef words, bool upper, unsigned lanes) {
  LLVMValueRef bits = upper ? LLVMBuildAnd(e->builder, words, number(e, 32, lanes, 0xffff0000u), "")
                            : LLVMBuildShl(e->builder, words, number(e, 32, lanes, 16), "");
  return LLVMBuildBitCast(e->builder, bits, retc_llvm_type(e, RETC_DTYPE_F32, lanes), "");
}

static LLVMValueRef as_bf16(retc_llvm_emitter *e, LLVMValueRef words, unsigned lanes) {
  return LLVMBuildBitCast(e->builder, words, LLVMVectorType(LLVMBFloatTypeInContext(e->context), 2 * lanes), "");
}

/* The first lanes of `v`, which has `from`; further ones are 0. */
static LLVMValueRef resize(retc_llvm_emitter *e, LLVMValueRef v, unsigned from, unsigned lanes) {
  LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
  if (from == lanes) return v;
  if (lanes == 1) return LLVMBuildExtractElement(e->builder, v, LLVMConstInt(i32, 0, false), "");
  if (from == 1) {
    LLVMValueRef none = LLVMConstNull(LLVMVectorType(LLVMTypeOf(v), lanes));
    return LLVMBuildInsertElement(e->builder, none, v, LLVMConstInt(i32, 0, false), "");
  }
  LLVMValueRef order[32];
  for (unsigned lane = 0; lane < lanes; lane++) order[lane] = LLVMConstInt(i32, lane < from ? lane : from, false);
  return LLVMBuildShuffleVector(e->builder, v, LLVMConstNull(LLVMTypeOf(v)), LLVMConstVector(order, lanes), "");
}

/* left and right: two bf16 a word; the second ones first. */
static LLVMValueRef step_pairs(retc_llvm_emitter *e, LLVMValueRef left, LLVMValueRef right, LLVMValueRef sum,
                               unsigned lanes) {
  const unsigned width = lanes <= 4 ? 4 : lanes <= 8 ? 8 : 16;
  const char *dot = width == 16 ? "llvm.x86.avx512bf16.dpbf16ps.512" : width == 8 ? "llvm.x86.avx512bf16.dpbf16ps.256"
                                                                                  : "llvm.x86.avx512bf16.dpbf16ps.128";
  if (e->profile.has_dot_bf16 && lanes <= width) {
    LLVMValueRef v[3] = {resize(e, sum, lanes, width), as_bf16(e, resize(e, left, lanes, width), width),
                         as_bf16(e, resize(e, right, lanes, width), width)};
    return resize(e, retc_llvm_call_plain(e, dot, v, 3), width, lanes);
  }
  sum = step_fma(e, widen_half(e, left, true, lanes), widen_half(e, right, true, lanes), sum);
  return step_fma(e, widen_half(e, left, false, lanes), widen_half(e, right, false, lanes), sum);
}

/* Every second byte of the words as 16-bit numbers: the lower one of each half, or the upper one. */
static LLVMValueRef widen_bytes(retc_llvm_emitter *e, LLVMValueRef words, bool upper, bool is_signed, unsigned lanes) {
  LLVMBuilderRef b = e->builder;
  LLVMValueRef halves = LLVMBuildBitCast(b, words, lanes_of(e, 16, 2 * lanes), ""), eight = number(e, 16, 2 * lanes, 8);
  if (!is_signed) {
    return upper ? LLVMBuildLShr(b, halves, eight, "") : LLVMBuildAnd(b, halves, number(e, 16, 2 * lanes, 255), "");
  }
  if (!upper) halves = LLVMBuildShl(b, halves, eight, "");
  return LLVMBuildAShr(b, halves, eight, "");
}

/* Byte `at` of each word as a 32-bit number. */
static LLVMValueRef widen_byte(retc_llvm_emitter *e, LLVMValueRef words, unsigned at, bool is_signed, unsigned lanes) {
  LLVMValueRef top = LLVMBuildShl(e->builder, words, number(e, 32, lanes, 24 - 8 * at), "");
  LLVMValueRef down = number(e, 32, lanes, 24);
  return is_signed ? LLVMBuildAShr(e->builder, top, down, "") : LLVMBuildLShr(e->builder, top, down, "");
}

/* left: four i8 a word; right: four u8. Products of bytes and sums of two of them fit 16 and 32 bits without
 * saturation. */
static LLVMValueRef step_integers(retc_llvm_emitter *e, LLVMValueRef left, LLVMValueRef right, LLVMValueRef sum,
                                  unsigned lanes) {
  if (e->profile.has_dot_int8 && (lanes == 16 || lanes == 8 || lanes == 4)) {
    const char *dot = lanes == 16 ? "llvm.x86.avx512.vpdpbusd.512" : lanes == 8 ? "llvm.x86.avx512.vpdpbusd.256"
                                                                                : "llvm.x86.avx512.vpdpbusd.128";
    return retc_llvm_call_plain(e, dot, (LLVMValueRef[]){sum, right, left}, 3);
  }
  if (e->profile.has_multiply_add && (lanes == 16 || lanes == 8 || lanes == 4)) {
    const char *add = lanes == 16 ? "llvm.x86.avx512.pmaddw.d.512" : lanes == 8 ? "llvm.x86.avx2.pmadd.wd"
                                                                                : "llvm.x86.sse2.pmadd.wd";
    for (int upper = 0; upper < 2; upper++) {
      LLVMValueRef factors[] = {widen_bytes(e, right, upper, false, lanes), widen_bytes(e, left, upper, true, lanes)};
      sum = LLVMBuildAdd(e->builder, sum, retc_llvm_call_plain(e, add, factors, 2), "");
    }
    return sum;
  }
  for (unsigned at = 0; at < 4; at++) {
    LLVMValueRef product = LLVMBuildMul(e->builder, widen_byte(e, left, at, true, lanes),
                                        widen_byte(e, right, at, false, lanes), "");
    sum = LLVMBuildAdd(e->builder, sum, product, "");
  }
  return sum;
}

static LLVMValueRef step(retc_llvm_emitter *e, retc_mma_form form, LLVMValueRef left, LLVMValueRef right,
                         LLVMValueRef sum, unsigned lanes) {
  switch (form) {
    case RETC_MMA_PAIRS: return step_pairs(e, left, right, sum, lanes);
    case RETC_MMA_INTEGERS: return step_integers(e, left, right, sum, lanes);
    default: return step_fma(e, left, right, sum);
  }
}

LLVMValueRef retc_llvm_halves(retc_llvm_emitter *e, LLVMValueRef words, bool upper, unsigned lanes) {
  if (upper) words = LLVMBuildLShr(e->builder, words, number(e, 32, lanes, 4), "");
  return LLVMBuildAnd(e->builder, words, number(e, 32, lanes, 0x0f0f0f0fu), "");
}

/* All rows with `right`, one vector a part; `x` is the first number of the depth. */
static void multiply_rows(retc_llvm_emitter *e, retc_mma_form form, const retc_llvm_matrix *a, const tile *t,
                          LLVMValueRef x, LLVMValueRef *right, LLVMValueRef *values) {
  for (int64_t row = 0; row < t->rows; row++) {
    LLVMValueRef element = retc_llvm_matrix_element(e, a, retc_llvm_integer(e, t->row + row), x);
    LLVMValueRef left = form == RETC_MMA_FMA ? retc_llvm_load_elements(e, a->buffer, element, NULL, 1)
                                             : retc_llvm_load_words(e, a->buffer, element, 1);
    for (int part = 0; part < t->count; part++) {
      LLVMValueRef *sum = &values[row * t->count + part];
      *sum = step(e, form, retc_llvm_splat(e, left, t->lanes[part]), right[part], *sum, t->lanes[part]);
    }
  }
}

/* `line` counts rows of b, each of `pack` numbers of the depth. */
static void outer_product(retc_llvm_emitter *e, const retc_statement *s, const retc_llvm_matrix *a,
                          const retc_llvm_matrix *b, const tile *t, LLVMValueRef line, LLVMValueRef *values) {
  const retc_dtype dtype = retc_kernel_buffer(e->kernel, b->buffer)->dtype;
  const int64_t pack = retc_mma_pack(s->form, dtype);
  LLVMValueRef words[TILE_MAX], right[TILE_MAX];
  for (int64_t part = 0, column = 0; part < t->count; column += t->lanes[part++]) {
    LLVMValueRef element = retc_llvm_matrix_element(e, b, line, retc_llvm_integer(e, t->column + column));
    if (is_pair(t, part)) {
      LLVMValueRef pair = retc_llvm_load_words(e, b->buffer, element, t->lanes[part]);
      for (int upper = 0; upper < 2; upper++) words[part + upper] = widen_half(e, pair, upper, t->lanes[part]);
      column += t->lanes[part++];
      continue;
    }
    words[part] = pack == 1 ? retc_llvm_load_elements(e, b->buffer, element, NULL, t->lanes[part])
                            : retc_llvm_load_words(e, b->buffer, element, t->lanes[part]);
  }
  prefetch(e, b, t, line);
  LLVMValueRef x = LLVMBuildMul(e->builder, line, retc_llvm_integer(e, pack), "");
  if (dtype != RETC_DTYPE_U4X2) {
    multiply_rows(e, s->form, a, t, x, words, values);
    return;
  }
  for (int upper = 0; upper < 2; upper++) {
    for (int part = 0; part < t->count; part++) right[part] = retc_llvm_halves(e, words[part], upper, t->lanes[part]);
    multiply_rows(e, s->form, a, t, LLVMBuildAdd(e->builder, x, retc_llvm_integer(e, 4 * upper), ""), right, values);
  }
}

/* A tile of one product. */
typedef struct job {
  retc_llvm_matrix c, a, b;
  tile tile;
} job;

static int64_t register_budget(const retc_llvm_emitter *e) {
  return retc_smaller(e->profile.vector_registers - SPARE_REGISTERS, TILE_MAX);
}

/* Of a tile that goes along a known depth and is one row, or fills two thirds of the registers while numbers lie ready.
 */
static int64_t steps_of(const retc_llvm_emitter *e, const retc_statement *s, const job *jobs, LLVMValueRef lines) {
  const tile *t = &jobs->tile;
  int64_t count;
  if (!retc_llvm_is_constant(lines, &count) || count % STEPS) return 1;
  if (t->rows == 1 && s->form == RETC_MMA_FMA) return STEPS;
  if (t->rows < PREFETCH_BELOW) return 1;
  if (retc_kernel_buffer(e->kernel, jobs->b.buffer)->dtype != RETC_DTYPE_F32) return 1;
  return t->rows * t->count * 3 < register_budget(e) * 2 ? 1 : STEPS;
}

/* The tiles go along the depth together, and their sums, at most TILE_MAX in all, are in registers. */
static void emit_jobs(retc_llvm_emitter *e, const retc_statement *s, const job *jobs, int count, LLVMValueRef lines) {
  LLVMValueRef first[TILE_MAX], sums[TILE_MAX], next[TILE_MAX];
  const int64_t steps = steps_of(e, s, jobs, lines);
  int64_t all = 0, at = 0;
  for (int j = 0; j < count; j++) {
    load_tile(e, &jobs[j].c, &jobs[j].tile, &first[all]);
    all += jobs[j].tile.rows * jobs[j].tile.count;
  }
  retc_llvm_loop loop = retc_llvm_loop_begin(e, retc_llvm_integer(e, 0), lines, "x");
  for (int64_t i = 0; i < all; i++) {
    sums[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(first[i]), "");
    LLVMAddIncoming(sums[i], &first[i], &loop.before, 1);
    next[i] = sums[i];
  }
  for (int64_t step = 0; step < steps; step++, at = 0) {
    LLVMValueRef line = LLVMBuildAdd(e->builder, loop.index, retc_llvm_integer(e, step), "");
    for (int j = 0; j < count; at += jobs[j].tile.rows * jobs[j].tile.count, j++)
      outer_product(e, s, &jobs[j].a, &jobs[j].b, &jobs[j].tile, line, &next[at]);
  }
  retc_llvm_loop_end(e, &loop, retc_llvm_integer(e, steps));
  for (int64_t i = 0; i < all; i++) {
    LLVMAddIncoming(sums[i], &next[i], &loop.latch, 1);
    sums[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(first[i]), "");
    LLVMAddIncoming(sums[i], (LLVMValueRef[]){first[i], next[i]}, (LLVMBasicBlockRef[]){loop.before, loop.latch}, 2);
  }
  for (int j = 0; j < count; at += jobs[j].tile.rows * jobs[j].tile.count, j++)
    store_tile(e, &jobs[j].c, &jobs[j].tile, &sums[at]);
}

static LLVMValueRef count_lines(retc_llvm_emitter *e, const retc_statement *s) {
  const int64_t pack = retc_mma_pack(s->form, retc_kernel_buffer(e->kernel, s->b.buffer)->dtype);
  return LLVMBuildUDiv(e->builder, retc_llvm_emit_scalar(e, s->depth), retc_llvm_integer(e, pack), "");
}

/* The rest of the tile: vectors for its columns up to `end`. */
static void add_vectors(tile *t, int64_t end, int64_t lanes) {
  for (int64_t at = t->column; at < end; at += lanes) t->lanes[t->count++] = (unsigned)retc_smaller(lanes, end - at);
}

/* c is cut into tiles that fit into the registers, as equal as can be. An element's order is the depth's, whatever
 * the tiles are. */
void retc_llvm_emit_mma(retc_llvm_emitter *e, const retc_statement *s) {
  if (s->form == RETC_MMA_TILES && !e->profile.has_tiles) {
    e->lacks_tiles = true;
    return;
  }
  if (retc_llvm_has_tiles(e, s)) {
    retc_llvm_emit_tiles(e, s);
    return;
  }
  LLVMValueRef lines = count_lines(e, s);
  job own = {
      retc_llvm_open_view(e, &s->c), retc_llvm_open_view(e, &s->a), retc_llvm_open_view(e, &s->b), {.strided = false}};
  int64_t lanes = e->profile.vector_bytes / 4, budget = register_budget(e);
  int64_t rows = retc_ceil_div(s->rows, retc_ceil_div(s->rows, budget));
  int64_t vectors = retc_ceil_div(s->columns, lanes);
  if (s->rows > VECTORS_MAX / vectors) {
    e->refused = "an mma of this size";
    return;
  }
  int64_t count = retc_ceil_div(vectors, retc_ceil_div(vectors, budget / rows));
  for (int64_t column = 0; column < s->columns; column += count * lanes) {
    for (int64_t row = 0; row < s->rows; row += rows) {
      own.tile = (tile){.row = row, .rows = retc_smaller(rows, s->rows - row), .column = column,
                        .strided = is_strided(&own.b, s->columns), .paired = is_paired(e, s, &own.b)};
      add_vectors(&own.tile, retc_smaller(s->columns, column + count * lanes), lanes);
      emit_jobs(e, s, &own, 1, lines);
    }
  }
}

/* Whether each iteration goes along the same depth, has its own part of c, since its variable is an index of an axis
 * that the product does not move along, and reads nothing that another one writes. */
static bool is_independent(const retc_kernel *kernel, const retc_statement *loop, const retc_statement *mma) {
  const retc_view *c = &mma->c;
  const retc_expr_node *depth = retc_kernel_expr(kernel, mma->depth);
  const bool is_other = depth->op == RETC_KERNEL_OP_VARIABLE && depth->variable.index != loop->variable.index;
  if (depth->op != RETC_KERNEL_OP_CONST && !is_other) return false;
  if (c->buffer.index == mma->a.buffer.index || c->buffer.index == mma->b.buffer.index) return false;
  for (int axis = 0; axis < retc_kernel_buffer(kernel, c->buffer)->shape.rank; axis++) {
    const retc_expr_node *index = retc_kernel_expr(kernel, c->base[axis]);
    if (axis == c->row_axis || axis == c->column_axis) continue;
    if (index->op == RETC_KERNEL_OP_VARIABLE && index->variable.index == loop->variable.index) return true;
  }
  return false;
}

/* Two streams from memory are read faster than one: each is followed by the CPU's own prefetching for itself. */
bool retc_llvm_emit_mma_together(retc_llvm_emitter *e, const retc_statement *loop, int64_t from, int64_t count) {
  if (loop->body.statements.count != 1 || count < 1 || count > TOGETHER_MAX) return false;
  const retc_statement *s = loop->body.statements.items[0];
  if (s->kind != RETC_STATEMENT_MMA || retc_llvm_has_tiles(e, s) || !is_independent(e->kernel, loop, s)) return false;
  const int64_t lanes = e->profile.vector_bytes / 4, vectors = retc_ceil_div(s->columns, lanes);
  if (s->rows > register_budget(e) / vectors / count) return false;
  job jobs[TOGETHER_MAX];
  LLVMValueRef lines = NULL;
  for (int64_t i = 0; i < count; i++) {
    e->number++;
    e->variables[loop->variable.index] = (retc_llvm_value){.scalar = retc_llvm_integer(e, from + i * loop->step)};
    jobs[i] = (job){
        retc_llvm_open_view(e, &s->c), retc_llvm_open_view(e, &s->a), retc_llvm_open_view(e, &s->b), {.rows = s->rows}};
    add_vectors(&jobs[i].tile, s->columns, lanes);
    jobs[i].tile.strided = is_strided(&jobs[i].b, s->columns);
    jobs[i].tile.paired = is_paired(e, s, &jobs[i].b);
    jobs[i].tile.streams = (int)count;
    if (i == 0) lines = count_lines(e, s);
  }
  emit_jobs(e, s, jobs, (int)count, lines);
  return true;
}
