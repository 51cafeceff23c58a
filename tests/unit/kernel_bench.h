/* Kernels with their memory, for the tests of the kernel interpreter. Include cmocka before. */
#ifndef RETC_TESTS_KERNEL_BENCH_H
#define RETC_TESTS_KERNEL_BENCH_H

#include <string.h>

#include "ir/kernel_eval.h"

typedef struct bench {
  retc_kernel *kernel;
  retc_writer w;
  retc_diagnostics diagnostics;
  retc_dims dims;
  retc_kernel_memory memories[8];
  size_t count;
} bench;

static inline void bench_open(bench *b) {
  *b = (bench){.kernel = retc_kernel_create("probe")};
  retc_writer_init(&b->w, b->kernel);
  retc_diagnostics_init(&b->diagnostics);
}

static inline void bench_close(bench *b) {
  retc_kernel_destroy(b->kernel);
  retc_diagnostics_deinit(&b->diagnostics);
}

/* A parameter of constant shape on `data`. */
static inline retc_buffer_id bench_give(bench *b, const char *name, retc_dtype dtype, retc_shape shape, unsigned access,
                                        void *data) {
  const retc_dims none = {{0}};
  int64_t bytes = retc_shape_count(&shape, &none) * (int64_t)retc_dtype_size(dtype);
  b->memories[b->count++] = (retc_kernel_memory){.data = data, .bytes = bytes};
  return retc_write_parameter(&b->w, name, dtype, &shape, access);
}

enum { READS = RETC_ACCESS_READ, WRITES = RETC_ACCESS_WRITE, UPDATES = RETC_ACCESS_READ | RETC_ACCESS_WRITE };

static inline retc_shape shape1(int64_t a) { return (retc_shape){1, {a}}; }
static inline retc_shape shape2(int64_t a, int64_t b) { return (retc_shape){2, {a, b}}; }
static inline retc_expr integer(bench *b, int64_t value) { return retc_expr_integer(b->kernel, value); }
static inline retc_expr real(bench *b, double value) { return retc_expr_number(b->kernel, RETC_DTYPE_F32, value); }
static inline retc_expr op2(bench *b, retc_kernel_op op, retc_expr x, retc_expr y) {
  return retc_expr_binary(b->kernel, op, x, y);
}
static inline retc_expr plus(bench *b, retc_expr x, int64_t y) {
  return op2(b, RETC_KERNEL_OP_ADD, x, integer(b, y));
}
static inline retc_expr load1(bench *b, retc_buffer_id buffer, retc_expr i) {
  return retc_expr_load(b->kernel, buffer, &i);
}
static inline retc_expr load2(bench *b, retc_buffer_id buffer, retc_expr i, retc_expr j) {
  return retc_expr_load(b->kernel, buffer, (retc_expr[]){i, j});
}
static inline void store1(bench *b, retc_buffer_id buffer, retc_expr i, retc_expr value) {
  retc_write_store(&b->w, buffer, &i, value);
}
static inline void store2(bench *b, retc_buffer_id buffer, retc_expr i, retc_expr j, retc_expr value) {
  retc_write_store(&b->w, buffer, (retc_expr[]){i, j}, value);
}
static inline retc_expr loop(bench *b, const char *name, retc_loop_kind kind, int64_t high) {
  return retc_write_for(&b->w, name, kind, integer(b, 0), integer(b, high), 1);
}
static inline void end(bench *b) { retc_write_end(&b->w); }
static inline retc_buffer_id alloc1(bench *b, const char *name, retc_scope scope, int64_t extent) {
  return retc_write_alloc(&b->w, name, scope, RETC_DTYPE_F32, 1, &extent);
}
static inline retc_buffer_id alloc2(bench *b, const char *name, int64_t rows, int64_t columns) {
  return retc_write_alloc(&b->w, name, RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){rows, columns});
}

static inline retc_status bench_eval(bench *b) {
  return retc_kernel_eval(b->kernel, &b->dims, b->memories, b->count, &b->diagnostics);
}

/* Runs and closes. */
static inline void bench_run(bench *b) {
  retc_status status = bench_eval(b);
  assert_string_equal(retc_diagnostics_text(&b->diagnostics), "");
  assert_int_equal(status, RETC_OK);
  bench_close(b);
}

/* The verifier refuses the kernel with these words; closes. */
static inline void bench_refused(bench *b, const char *words) {
  assert_int_equal(bench_eval(b), RETC_INTERNAL);
  const char *text = retc_diagnostics_text(&b->diagnostics);
  if (!strstr(text, words)) fail_msg("'%s' does not say '%s'", text, words);
  bench_close(b);
}

/* Runs, fails with these words, and closes. */
static inline void bench_fails(bench *b, const char *words) {
  assert_int_equal(bench_eval(b), RETC_FAILED);
  const char *text = retc_diagnostics_text(&b->diagnostics);
  if (!strstr(text, words) || !strstr(text, "kernel probe: ")) fail_msg("'%s' does not say '%s'", text, words);
  bench_close(b);
}

#endif
