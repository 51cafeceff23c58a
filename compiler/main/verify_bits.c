#include <string.h>

#include "backends/llvm/llvm_backend.h"
#include "compiler/main/reproducer.h"
#include "compiler/main/verify.h"

/* A session of one chunk length, and what it computed alone: one thread, all rows, all tokens at once. */
typedef struct bits {
  retc_verify *verify;
  const retc_verify_input *input;
  int64_t chunk;
  retc_verify_result whole;
} bits;

/* Beside the model's own chunk length, one that is no power of two. */
enum { THREADS_MAX = 3, ODD_CHUNK = 7 };

static retc_status compare(const bits *b, retc_engine *engine, const char *what, const retc_verify_input *input,
                           int64_t row, const int64_t *pieces, size_t piece_count, retc_diagnostics *diagnostics) {
  retc_verify_result found;
  RETC_TRY(retc_verify_run(engine, input, pieces, piece_count, diagnostics, &found));
  double differences = (double)retc_verify_count_differences(&found, &b->whole, row);
  retc_verify_result_deinit(&found);
  const retc_verify_check check = {what, b->input->name, RETC_FORM_SESSION, b->chunk, RETC_ENGINE_JIT,
                                   differences, 0};
  return retc_verify_add(b->verify, &check, diagnostics);
}

static retc_status compare_splits(const bits *b, retc_engine *engine, retc_diagnostics *diagnostics) {
  int64_t c = b->chunk, before_edge = c > 1 ? c - 1 : 1;
  const struct {
    const char *what;
    int64_t pieces[3];
    size_t count;
  } splits[] = {
      {"different bits, token by token", {1}, 1},
      {"different bits, in halves", {(b->input->length + 1) / 2}, 1},
      {"different bits, chunk by chunk", {c}, 1},
      {"different bits, in pieces across chunk edges", {before_edge, 2, c + 1}, 3},
      {"different bits, in pieces of 5, 1 and 13", {5, 1, 13}, 3},
  };
  for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
    RETC_TRY(compare(b, engine, splits[i].what, b->input, 0, splits[i].pieces, splits[i].count, diagnostics));
  }
  return RETC_OK;
}

static retc_status compare_rows(const bits *b, retc_engine *engine, retc_diagnostics *diagnostics) {
  if (b->input->batch == 1) return RETC_OK;
  for (int64_t row = 0; row < b->input->batch; row++) {
    retc_verify_input alone = *b->input;
    alone.tokens += row * alone.stride;
    alone.batch = 1;
    if (alone.padding) alone.padding += row;
    const char *what = retc_arena_printf(&b->verify->arena, "different bits, row %lld alone", (long long)row);
    RETC_TRY(compare(b, engine, what, &alone, row, NULL, 0, diagnostics));
  }
  return RETC_OK;
}

/* How a session is run: the first of all is what the others are compared with. */
typedef struct way {
  int threads;
  const char *cpu;
} way;

static retc_status check_input(bits *b, retc_engine *engine, const way *how, retc_diagnostics *diagnostics) {
  if (b->whole.count) {
    retc_arena *arena = &b->verify->arena;
    const char *what = how->threads > 1 ? retc_arena_printf(arena, "different bits, with %d threads", how->threads)
                                        : retc_arena_printf(arena, "different bits, code for %s", how->cpu);
    return compare(b, engine, what, b->input, 0, NULL, 0, diagnostics);
  }
  RETC_TRY(retc_verify_run(engine, b->input, NULL, 0, diagnostics, &b->whole));
  RETC_TRY(compare_splits(b, engine, diagnostics));
  return compare_rows(b, engine, diagnostics);
}

/* Of the inputs of a group, all on one engine. */
static retc_status check_group(bits *each, size_t count, const way *how, retc_diagnostics *diagnostics) {
  const retc_engine_options options = {.form = RETC_FORM_SESSION,
                                       .padded = each[0].input->padding != NULL,
                                       .chunk_length = each[0].chunk,
                                       .threads = how->threads,
                                       .cpu = how->cpu,
                                       .gpu = each[0].verify->gpu,
                                       .math = each[0].verify->math,
                                       .archs = each[0].verify->archs,
                                       .failed = retc_reproducer_write};
  retc_engine *engine;
  RETC_TRY(retc_engine_create(each[0].verify->source, &options, diagnostics, &engine));
  retc_status status = RETC_OK;
  for (size_t i = 0; i < count && status == RETC_OK; i++) {
    status = check_input(&each[i], engine, how, diagnostics);
  }
  retc_engine_destroy(engine);
  return status;
}

static retc_status check_chunk(retc_verify *verify, const retc_verify_group *group, int64_t chunk, const way *ways,
                               size_t way_count, retc_diagnostics *diagnostics) {
  bits each[RETC_VERIFY_GROUP_MAX] = {{0}};
  for (size_t i = 0; i < group->count; i++) {
    each[i] = (bits){.verify = verify, .input = &group->inputs[i], .chunk = chunk};
  }
  retc_status status = RETC_OK;
  for (size_t i = 0; i < way_count && status == RETC_OK; i++) {
    status = check_group(each, group->count, &ways[i], diagnostics);
  }
  for (size_t i = 0; i < group->count; i++) retc_verify_result_deinit(&each[i].whole);
  return status;
}

/* NULL when there is none, or its bits may be others: bf16 math is the dot instruction's, where the CPU has one. */
static const char *other_cpu(const retc_verify *verify) {
  if (verify->gpu || verify->source->network.arithmetic.math == RETC_PRODUCT_BF16) return NULL;
  const char *lesser = retc_llvm_lesser_cpu();
  return verify->cpu && lesser && !strcmp(lesser, verify->cpu) ? "host" : lesser;
}

retc_status retc_verify_bits(retc_verify *verify, const retc_verify_group *group, retc_diagnostics *diagnostics) {
  way ways[THREADS_MAX + 1];
  size_t count = 0;
  const int threads_max = verify->gpu ? 1 : THREADS_MAX; /* they run kernels on a CPU only */
  for (int threads = 1; threads <= threads_max; threads++) ways[count++] = (way){threads, verify->cpu};
  const char *other = other_cpu(verify);
  if (other) ways[count++] = (way){1, other};
  RETC_TRY(check_chunk(verify, group, verify->source->network.chunk_length, ways, count, diagnostics));
  return check_chunk(verify, group, ODD_CHUNK, ways, 1, diagnostics);
}
