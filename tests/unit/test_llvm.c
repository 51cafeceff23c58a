#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/llvm/llvm_backend.h"

/* A kernel of so many buffers (and one dimension): then scratch, thread, threads. */
typedef union function {
  void *address;
  void (*call1t)(void *, int64_t, void *, int64_t, int64_t);
  void (*call2)(void *, void *, void *, int64_t, int64_t);
  void (*call3)(void *, void *, void *, void *, int64_t, int64_t);
  void (*call3t)(void *, void *, void *, int64_t, void *, int64_t, int64_t);
} function;

/* One kernel with its code; the writer stands in its body. */
typedef struct rig {
  retc_kernel *kernel;
  retc_writer w;
  retc_diagnostics diagnostics;
  retc_executable *executable;
  function function;
} rig;

static void rig_open(rig *r) {
  *r = (rig){.kernel = retc_kernel_create("probe")};
  retc_writer_init(&r->w, r->kernel);
  retc_diagnostics_init(&r->diagnostics);
}

static void rig_load(rig *r, const char *cpu) {
  const retc_kernel *kernels[] = {r->kernel};
  retc_llvm_module *module = NULL;
  retc_status status = retc_llvm_compile(kernels, 1, &(retc_llvm_options){.cpu = cpu}, &r->diagnostics, &module);
  assert_string_equal(retc_diagnostics_text(&r->diagnostics), "");
  assert_int_equal(status, RETC_OK);
  assert_int_equal(retc_llvm_load(module, &r->diagnostics, &r->executable), RETC_OK);
  retc_llvm_module_destroy(module);
  r->function.address = r->executable->find(r->executable, "probe");
  assert_non_null(r->function.address);
  assert_null(r->executable->find(r->executable, "other"));
}

static void rig_close(rig *r) {
  if (r->executable) r->executable->destroy(r->executable);
  retc_kernel_destroy(r->kernel);
  retc_diagnostics_deinit(&r->diagnostics);
}

static retc_shape shape(int rank, retc_dim a, retc_dim b) { return (retc_shape){rank, {a, b}}; }
static retc_expr integer(rig *r, int64_t value) { return retc_expr_integer(r->kernel, value); }
static retc_expr real(rig *r, double value) { return retc_expr_number(r->kernel, RETC_DTYPE_F32, value); }
static retc_expr op1(rig *r, retc_kernel_op op, retc_expr a) { return retc_expr_unary(r->kernel, op, a); }
static retc_expr op2(rig *r, retc_kernel_op op, retc_expr a, retc_expr b) {
  return retc_expr_binary(r->kernel, op, a, b);
}
static retc_expr op3(rig *r, retc_kernel_op op, retc_expr a, retc_expr b, retc_expr c) {
  return retc_expr_ternary(r->kernel, op, a, b, c);
}
static retc_expr load1(rig *r, retc_buffer_id buffer, retc_expr a) {
  return retc_expr_load(r->kernel, buffer, (retc_expr[]){a});
}
static retc_buffer_id parameter(rig *r, const char *name, retc_dtype dtype, retc_shape s, unsigned access) {
  return retc_write_parameter(&r->w, name, dtype, &s, access);
}
static retc_expr loop(rig *r, const char *name, retc_loop_kind kind, retc_expr high) {
  return retc_write_for(&r->w, name, kind, integer(r, 0), high, 1);
}

/* Numbers of all sizes and both signs, reproducible. */
static void fill(float *values, size_t count, uint32_t seed) {
  for (size_t i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = ((float)(seed >> 8) / 8388608.0f - 1.0f) * (float)(1 << (seed >> 29));
  }
}

static float reference(float x, float y) {
  float t = sqrtf(fabsf(y)) + (x < y ? x : y);
  float u = fmaf(x, y, t) / (y > x ? y : x);
  return x <= 0.0f ? -u : floorf(u);
}

/* z[i] of x[i] and y[i], with a let and every kind of operation. */
static void write_reference(rig *r, retc_dim extent) {
  retc_buffer_id x = parameter(r, "x", RETC_DTYPE_F32, shape(1, extent, 0), RETC_ACCESS_READ);
  retc_buffer_id y = parameter(r, "y", RETC_DTYPE_F32, shape(1, extent, 0), RETC_ACCESS_READ);
  retc_buffer_id z = parameter(r, "z", RETC_DTYPE_F32, shape(1, extent, 0), RETC_ACCESS_WRITE);
  retc_expr i = loop(r, "i", RETC_LOOP_VECTOR, retc_expr_dim(r->kernel, extent));
  retc_expr a = load1(r, x, i), b = load1(r, y, i);
  retc_expr root = op1(r, RETC_KERNEL_OP_SQRT, op1(r, RETC_KERNEL_OP_ABS, b));
  retc_expr t = retc_write_let(&r->w, "t", op2(r, RETC_KERNEL_OP_ADD, root, op2(r, RETC_KERNEL_OP_MIN, a, b)));
  retc_expr u = op2(r, RETC_KERNEL_OP_DIV, op3(r, RETC_KERNEL_OP_FMA, a, b, t), op2(r, RETC_KERNEL_OP_MAX, b, a));
  u = retc_write_let(&r->w, "u", u);
  retc_expr low = op2(r, RETC_KERNEL_OP_LESS_EQUAL, a, real(r, 0));
  retc_expr value = op3(r, RETC_KERNEL_OP_SELECT, low, op1(r, RETC_KERNEL_OP_NEG, u), op1(r, RETC_KERNEL_OP_FLOOR, u));
  retc_write_store(&r->w, z, &i, value);
  retc_write_end(&r->w);
}

static void check_reference(const float *x, const float *y, const float *z, int extent) {
  for (int i = 0; i < extent; i++) {
    float expected = reference(x[i], y[i]);
    assert_memory_equal(&z[i], &expected, sizeof expected);
  }
  assert_true(z[extent] == 7.0f);
}

static void test_constant_extents(void **state) {
  (void)state;
  float x[71], y[71], z[71];
  fill(x, 71, 1);
  fill(y, 71, 2);
  for (int extent = 1; extent <= 70; extent++) {
    rig r;
    rig_open(&r);
    write_reference(&r, extent);
    rig_load(&r, NULL);
    for (int i = 0; i < 71; i++) z[i] = 7.0f;
    r.function.call3(x, y, z, NULL, 0, 1);
    check_reference(x, y, z, extent);
    rig_close(&r);
  }
}

static void test_named_extents_and_cpus(void **state) {
  (void)state;
  float x[71], y[71], z[71];
  fill(x, 71, 3);
  fill(y, 71, 4);
  const char *const cpus[] = {NULL, "x86-64-v2", "x86-64-v3"};
  for (int cpu = 0; cpu < 3; cpu++) {
#ifndef __x86_64__
    if (cpus[cpu]) continue;
#endif
    rig r;
    rig_open(&r);
    write_reference(&r, RETC_NAMED(T));
    rig_load(&r, cpus[cpu]);
    for (int extent = 0; extent <= 70; extent++) {
      for (int i = 0; i < 71; i++) z[i] = 7.0f;
      r.function.call3t(x, y, z, extent, NULL, 0, 1);
      check_reference(x, y, z, extent);
      z[0] = 5.0f;
      r.function.call3t(x, y, z, extent, NULL, 1, 2);
      assert_true(z[0] == 5.0f); /* without a parallel loop, thread 0 does it all */
    }
    rig_close(&r);
  }
}

/* z[2i+1, 3] = x[i, 2], z[20-i, 1] = x[i/2, i%3], z[p[i], 0] = x[0, 0] + f32(i) */
static void test_strides_and_gathers(void **state) {
  (void)state;
  enum { COUNT = 19 };
  rig r;
  rig_open(&r);
  retc_buffer_id x = parameter(&r, "x", RETC_DTYPE_F32, shape(2, COUNT, 3), RETC_ACCESS_READ);
  retc_buffer_id p = parameter(&r, "p", RETC_DTYPE_I32, shape(1, COUNT, 0), RETC_ACCESS_READ);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_F32, shape(2, 40, 4), RETC_ACCESS_WRITE);
  retc_expr i = loop(&r, "i", RETC_LOOP_VECTOR, integer(&r, COUNT));
  retc_expr odd = op2(&r, RETC_KERNEL_OP_ADD, op2(&r, RETC_KERNEL_OP_MUL, i, integer(&r, 2)), integer(&r, 1));
  odd = retc_write_let(&r.w, "odd", odd);
  retc_expr value = retc_expr_load(r.kernel, x, (retc_expr[]){i, integer(&r, 2)});
  retc_write_store(&r.w, z, (retc_expr[]){odd, integer(&r, 3)}, value);
  retc_expr half = op2(&r, RETC_KERNEL_OP_DIV, i, integer(&r, 2));
  retc_expr rest = op2(&r, RETC_KERNEL_OP_MOD, i, integer(&r, 3));
  value = retc_expr_load(r.kernel, x, (retc_expr[]){half, rest});
  retc_write_store(&r.w, z, (retc_expr[]){op2(&r, RETC_KERNEL_OP_SUB, integer(&r, 20), i), integer(&r, 1)}, value);
  value = retc_expr_load(r.kernel, x, (retc_expr[]){integer(&r, 0), integer(&r, 0)});
  value = op2(&r, RETC_KERNEL_OP_ADD, value, retc_expr_cast(r.kernel, RETC_DTYPE_F32, i));
  retc_write_store(&r.w, z, (retc_expr[]){load1(&r, p, i), integer(&r, 0)}, value);
  retc_write_end(&r.w);
  rig_load(&r, NULL);

  float input[COUNT][3], found[40][4] = {{0}}, expected[40][4] = {{0}};
  int32_t places[COUNT];
  fill(&input[0][0], COUNT * 3, 5);
  for (int n = 0; n < COUNT; n++) {
    places[n] = (n * 7) % 40;
    expected[2 * n + 1][3] = input[n][2];
    expected[20 - n][1] = input[n / 2][n % 3];
    expected[places[n]][0] = input[0][0] + (float)n;
  }
  r.function.call3(input, places, found, NULL, 0, 1);
  assert_memory_equal(found, expected, sizeof found);
  rig_close(&r);
}

/* for i in 3..n step 5 vector: z[i] = i64 arithmetic */
static void test_integers_and_steps(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_I64, shape(1, RETC_NAMED(T), 0), RETC_ACCESS_WRITE);
  retc_expr i = retc_write_for(&r.w, "i", RETC_LOOP_VECTOR, integer(&r, 3), retc_expr_dim(r.kernel, RETC_NAMED(T)), 5);
  retc_expr square = op2(&r, RETC_KERNEL_OP_MUL, i, i);
  retc_expr part = op2(&r, RETC_KERNEL_OP_MIN, op2(&r, RETC_KERNEL_OP_SUB, integer(&r, 50), i), square);
  retc_expr is_three = op2(&r, RETC_KERNEL_OP_EQUAL, i, integer(&r, 3));
  retc_expr three = op1(&r, RETC_KERNEL_OP_ABS, op1(&r, RETC_KERNEL_OP_NEG, i));
  retc_write_store(&r.w, z, &i, op3(&r, RETC_KERNEL_OP_SELECT, is_three, three, part));
  retc_write_end(&r.w);
  rig_load(&r, NULL);
  for (int64_t extent = 0; extent < 200; extent += 13) {
    int64_t found[200] = {0}, expected[200] = {0};
    for (int64_t n = 3; n < extent; n += 5) expected[n] = n == 3 ? 3 : 50 - n < n * n ? 50 - n : n * n;
    r.function.call1t(found, extent, NULL, 0, 1);
    assert_memory_equal(found, expected, sizeof found);
  }
  rig_close(&r);
}

static bool same_or_nan(float a, float b) { return (isnan(a) && isnan(b)) || !memcmp(&a, &b, sizeof a); }

/* Every half, widened and narrowed again; every 65537th float, narrowed. */
static void check_half(retc_dtype dtype, float (*widen)(uint16_t), uint16_t (*narrow)(float)) {
  enum { COUNT = 65536 };
  rig r;
  rig_open(&r);
  retc_buffer_id x = parameter(&r, "x", dtype, shape(1, COUNT, 0), RETC_ACCESS_READ | RETC_ACCESS_WRITE);
  retc_buffer_id y = parameter(&r, "y", RETC_DTYPE_F32, shape(1, COUNT, 0), RETC_ACCESS_WRITE);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_F32, shape(1, COUNT, 0), RETC_ACCESS_READ);
  retc_expr i = loop(&r, "i", RETC_LOOP_VECTOR, integer(&r, COUNT));
  retc_expr wide = retc_write_let(&r.w, "wide", load1(&r, x, i));
  retc_write_store(&r.w, y, &i, wide);
  retc_write_store(&r.w, x, &i, load1(&r, z, i));
  retc_write_end(&r.w);
  rig_load(&r, NULL);
  uint16_t *halves = malloc(COUNT * sizeof *halves);
  float *widened = malloc(COUNT * sizeof *widened), *floats = malloc(COUNT * sizeof *floats);
  for (uint32_t n = 0; n < COUNT; n++) {
    uint32_t bits = n * 65537u;
    halves[n] = (uint16_t)n;
    memcpy(&floats[n], &bits, sizeof bits);
  }
  r.function.call3(halves, widened, floats, NULL, 0, 1);
  for (uint32_t n = 0; n < COUNT; n++) {
    assert_true(same_or_nan(widened[n], widen((uint16_t)n)));
    assert_true(same_or_nan(widen(halves[n]), widen(narrow(floats[n]))));
  }
  free(halves);
  free(widened);
  free(floats);
  rig_close(&r);
}

static void test_halves(void **state) {
  (void)state;
  check_half(RETC_DTYPE_BF16, retc_bf16_to_f32, retc_f32_to_bf16);
  check_half(RETC_DTYPE_F16, retc_f16_to_f32, retc_f32_to_f16);
}

static void test_bool_and_casts(void **state) {
  (void)state;
  enum { COUNT = 37 };
  rig r;
  rig_open(&r);
  retc_buffer_id x = parameter(&r, "x", RETC_DTYPE_F32, shape(1, COUNT, 0), RETC_ACCESS_READ);
  retc_buffer_id b = parameter(&r, "b", RETC_DTYPE_BOOL, shape(1, COUNT, 0), RETC_ACCESS_READ | RETC_ACCESS_WRITE);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_F64, shape(1, COUNT, 0), RETC_ACCESS_WRITE);
  retc_expr i = loop(&r, "i", RETC_LOOP_VECTOR, integer(&r, COUNT));
  retc_expr v = load1(&r, x, i);
  retc_expr whole = retc_expr_cast(r.kernel, RETC_DTYPE_I64, v);
  retc_expr power = op1(&r, RETC_KERNEL_OP_POW2, retc_expr_cast(r.kernel, RETC_DTYPE_F64, whole));
  retc_expr zero = retc_expr_number(r.kernel, RETC_DTYPE_F64, 0);
  retc_write_store(&r.w, z, &i, op3(&r, RETC_KERNEL_OP_SELECT, load1(&r, b, i), power, zero));
  retc_expr below = op2(&r, RETC_KERNEL_OP_LESS, v, real(&r, 0)), above = op2(&r, RETC_KERNEL_OP_LESS, real(&r, -2), v);
  retc_write_store(&r.w, b, &i, op2(&r, RETC_KERNEL_OP_AND, below, above));
  retc_write_end(&r.w);
  rig_load(&r, NULL);
  float input[COUNT];
  uint8_t truth[COUNT];
  double found[COUNT];
  for (int n = 0; n < COUNT; n++) {
    input[n] = ((float)n - 18.0f) * 0.75f;
    truth[n] = n % 3 == 0;
  }
  r.function.call3(input, truth, found, NULL, 0, 1);
  for (int n = 0; n < COUNT; n++) {
    assert_true(found[n] == (n % 3 == 0 ? exp2(trunc((double)input[n])) : 0.0));
    assert_int_equal(truth[n], input[n] < 0.0f && input[n] > -2.0f);
  }
  rig_close(&r);
}

/* c = a b from c = 1, with a [rows, depth] and c [rows, columns] as they are or transposed, b padded by two columns. */
static void check_mma(int64_t rows, int64_t columns, int64_t depth, retc_dtype dtype, bool transposed,
                      const char *cpu) {
  rig r;
  rig_open(&r);
  retc_shape left = transposed ? shape(2, depth + 1, rows) : shape(2, rows, depth + 1);
  retc_buffer_id a = parameter(&r, "a", RETC_DTYPE_F32, left, RETC_ACCESS_READ);
  retc_buffer_id b = parameter(&r, "b", dtype, shape(2, depth + 1, columns + 2), RETC_ACCESS_READ);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_F32, shape(2, rows, columns), RETC_ACCESS_WRITE);
  loop(&r, "task", RETC_LOOP_PARALLEL, integer(&r, 1));
  const int64_t extents[] = {transposed ? columns : rows, transposed ? rows : columns};
  retc_buffer_id c = retc_write_alloc(&r.w, "c", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, extents);
  retc_expr zeros[] = {integer(&r, 0), integer(&r, 0)};
  retc_expr i = loop(&r, "i", RETC_LOOP_UNROLL, integer(&r, rows));
  retc_expr j = loop(&r, "j", RETC_LOOP_VECTOR, integer(&r, columns));
  retc_write_store(&r.w, c, transposed ? (retc_expr[]){j, i} : (retc_expr[]){i, j}, real(&r, 1));
  retc_write_end(&r.w);
  retc_write_end(&r.w);
  retc_expr shifted[] = {integer(&r, 0), integer(&r, 1)};
  retc_write_mma(&r.w, retc_write_view(&r.w, c, zeros, transposed, !transposed),
                 retc_write_view(&r.w, a, zeros, transposed, !transposed), retc_write_view(&r.w, b, shifted, 0, 1),
                 rows, columns, integer(&r, depth));
  i = loop(&r, "i", RETC_LOOP_SERIAL, integer(&r, rows));
  j = loop(&r, "j", RETC_LOOP_VECTOR, integer(&r, columns));
  retc_expr found_at = retc_expr_load(r.kernel, c, transposed ? (retc_expr[]){j, i} : (retc_expr[]){i, j});
  retc_write_store(&r.w, z, (retc_expr[]){i, j}, found_at);
  retc_write_end(&r.w);
  retc_write_end(&r.w);
  retc_write_end(&r.w);
  rig_load(&r, cpu);

  float x[64 * 8], wide[8 * 128], found[64 * 128];
  uint16_t narrow[8 * 128];
  fill(x, 64 * 8, 6);
  fill(wide, 8 * 128, 7);
  retc_dtype_convert(RETC_DTYPE_F32, wide, RETC_DTYPE_BF16, narrow, 8 * 128);
  if (dtype == RETC_DTYPE_BF16) retc_dtype_convert(RETC_DTYPE_BF16, narrow, RETC_DTYPE_F32, wide, 8 * 128);
  void *scratch = aligned_alloc(64, (size_t)retc_kernel_signature(r.kernel).scratch_bytes);
  r.function.call3(x, dtype == RETC_DTYPE_BF16 ? (void *)narrow : (void *)wide, found, scratch, 0, 1);
  free(scratch);
  for (int64_t n = 0; n < rows; n++) {
    for (int64_t l = 0; l < columns; l++) {
      float sum = 1.0f;
      for (int64_t k = 0; k < depth; k++)
        sum = fmaf(transposed ? x[k * rows + n] : x[n * (depth + 1) + k], wide[k * (columns + 2) + l + 1], sum);
      assert_memory_equal(&found[n * columns + l], &sum, sizeof sum);
    }
  }
  rig_close(&r);
}

static void test_mma(void **state) {
  (void)state;
  const int64_t columns[] = {1, 3, 16, 48, 64}, depths[] = {0, 1, 7};
  for (int64_t rows = 1; rows <= 6; rows++)
    for (int n = 0; n < 5; n++)
      for (int d = 0; d < 3; d++) check_mma(rows, columns[n], depths[d], RETC_DTYPE_F32, (rows + d) % 2, NULL);
  check_mma(6, 64, 7, RETC_DTYPE_BF16, false, NULL);
  check_mma(1, 64, 7, RETC_DTYPE_BF16, false, NULL);
  check_mma(40, 100, 5, RETC_DTYPE_F32, false, NULL);
#ifdef __x86_64__
  check_mma(6, 64, 7, RETC_DTYPE_BF16, true, "x86-64-v3");
#endif
}

/* Each thread writes its own part, all parts together are everything. */
static void test_parallel_partition(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_I64, shape(1, 40, 0), RETC_ACCESS_WRITE);
  retc_expr high_bound = retc_expr_dim(r.kernel, RETC_NAMED(P));
  retc_expr i = retc_write_for(&r.w, "i", RETC_LOOP_PARALLEL, integer(&r, 1), high_bound, 3);
  retc_write_store(&r.w, z, &i, i);
  retc_write_end(&r.w);
  rig_load(&r, NULL);
  for (int64_t high = 0; high <= 32; high++) {
    int64_t count = high > 1 ? (high - 1 + 2) / 3 : 0;
    for (int64_t threads = 1; threads <= 3; threads++) {
      for (int64_t thread = 0; thread < threads; thread++) {
        int64_t found[40] = {0}, expected[40] = {0};
        for (int64_t n = count * thread / threads; n < count * (thread + 1) / threads; n++)
          expected[1 + 3 * n] = 1 + 3 * n;
        r.function.call1t(found, high, NULL, thread, threads);
        assert_memory_equal(found, expected, sizeof found);
      }
    }
  }
  rig_close(&r);
}

/* Two private buffers too large for the stack, one small; if and else; a serial loop that carries a sum. */
static void test_scratch_and_branches(void **state) {
  (void)state;
  enum { COUNT = 1500 };
  rig r;
  rig_open(&r);
  retc_buffer_id x = parameter(&r, "x", RETC_DTYPE_F32, shape(1, COUNT, 0), RETC_ACCESS_READ);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_F32, shape(1, 2, 0), RETC_ACCESS_WRITE);
  retc_buffer_id even = retc_write_alloc(&r.w, "even", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){COUNT});
  retc_buffer_id sum = retc_write_alloc(&r.w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){2});
  retc_buffer_id odd = retc_write_alloc(&r.w, "odd", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){COUNT});
  retc_expr zero = integer(&r, 0), one = integer(&r, 1);
  retc_expr i = loop(&r, "i", RETC_LOOP_SERIAL, integer(&r, COUNT));
  retc_expr is_even = op2(&r, RETC_KERNEL_OP_EQUAL, op2(&r, RETC_KERNEL_OP_MOD, i, integer(&r, 2)), zero);
  retc_write_store(&r.w, even, &i, real(&r, 0));
  retc_write_store(&r.w, odd, &i, real(&r, 0));
  retc_write_if(&r.w, is_even);
  retc_write_store(&r.w, even, &i, load1(&r, x, i));
  retc_write_else(&r.w);
  retc_write_store(&r.w, odd, &i, load1(&r, x, i));
  retc_write_end(&r.w);
  retc_write_end(&r.w);
  retc_write_store(&r.w, sum, &zero, real(&r, 0));
  retc_write_store(&r.w, sum, &one, real(&r, 0));
  i = loop(&r, "i", RETC_LOOP_SERIAL, integer(&r, COUNT));
  retc_write_store(&r.w, sum, &zero, op2(&r, RETC_KERNEL_OP_ADD, load1(&r, sum, zero), load1(&r, even, i)));
  retc_write_store(&r.w, sum, &one, op2(&r, RETC_KERNEL_OP_ADD, load1(&r, sum, one), load1(&r, odd, i)));
  retc_write_end(&r.w);
  i = loop(&r, "i", RETC_LOOP_UNROLL, integer(&r, 2));
  retc_write_store(&r.w, z, &i, load1(&r, sum, i));
  retc_write_end(&r.w);
  rig_load(&r, NULL);

  int64_t bytes = retc_kernel_signature(r.kernel).scratch_bytes;
  assert_int_equal(bytes, 2 * 6016 + 64);
  float input[COUNT], found[2], expected[2] = {0};
  fill(input, COUNT, 8);
  for (int n = 0; n < COUNT; n++) {
    expected[0] += n % 2 ? 0.0f : input[n];
    expected[1] += n % 2 ? input[n] : 0.0f;
  }
  char *scratch = aligned_alloc(64, (size_t)bytes + 64);
  memset(scratch, 42, (size_t)bytes + 64);
  r.function.call2(input, found, scratch, 0, 1);
  assert_memory_equal(found, expected, sizeof found);
  for (int n = 0; n < 64; n++) assert_int_equal(scratch[bytes + n], 42);
  free(scratch);
  rig_close(&r);
}

static void check_refused(rig *r, retc_status status, const char *cpu, const char *words) {
  const retc_kernel *kernels[] = {r->kernel};
  retc_llvm_module *module = NULL;
  assert_int_equal(retc_llvm_compile(kernels, 1, &(retc_llvm_options){.cpu = cpu}, &r->diagnostics, &module), status);
  assert_null(module);
  if (!strstr(retc_diagnostics_text(&r->diagnostics), words)) fail_msg("%s", retc_diagnostics_text(&r->diagnostics));
  rig_close(r);
}

static void test_refusals(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_buffer_id z = parameter(&r, "z", RETC_DTYPE_F32, shape(1, 4, 0), RETC_ACCESS_READ | RETC_ACCESS_WRITE);
  retc_expr i = loop(&r, "i", RETC_LOOP_VECTOR, integer(&r, 4));
  retc_write_store(&r.w, z, &i, op1(&r, RETC_KERNEL_OP_EXP, load1(&r, z, i)));
  check_refused(&r, RETC_INTERNAL, NULL, "kernel probe: 'exp' cannot be expressed on a CPU");

  rig_open(&r);
  loop(&r, "block", RETC_LOOP_GRID, integer(&r, 4));
  check_refused(&r, RETC_INTERNAL, NULL, "'grid'");
#ifdef __x86_64__
  rig_open(&r);
  check_refused(&r, RETC_INVALID, "znver44", "CPU 'znver44' is not known; did you mean 'znver4'?");
#endif
}

static void test_texts_and_profile(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  write_reference(&r, 64);
  const retc_kernel *kernels[] = {r.kernel};
  retc_llvm_module *module = NULL;
  assert_int_equal(retc_llvm_compile(kernels, 1, NULL, &r.diagnostics, &module), RETC_OK);
  retc_text text;
  retc_text_init(&text);
  assert_int_equal(retc_llvm_emit_ir(module, &r.diagnostics, &text), RETC_OK);
  assert_non_null(strstr(text.data, "define void @probe("));
  retc_text_clear(&text);
  assert_int_equal(retc_llvm_emit_assembly(module, &r.diagnostics, &text), RETC_OK);
  assert_non_null(strstr(text.data, "probe:"));
  assert_null(strstr(text.data, "call"));
  retc_text_clear(&text);
  assert_int_equal(retc_llvm_emit_object(module, &r.diagnostics, &text), RETC_OK);
  assert_true(text.length > 64);
  retc_text_deinit(&text);
  retc_llvm_module_destroy(module);

  retc_target_profile profile;
  assert_int_equal(retc_llvm_profile(NULL, &r.diagnostics, &profile), RETC_OK);
  assert_true(profile.vector_bytes >= 16 && profile.vector_registers >= 16 && profile.l1_bytes > 0);
#ifdef __x86_64__
  assert_int_equal(retc_llvm_profile(&(retc_llvm_options){.cpu = "znver3"}, &r.diagnostics, &profile), RETC_OK);
  assert_int_equal(profile.vector_bytes, 32);
  assert_int_equal(profile.vector_registers, 16);
  assert_string_equal(profile.name, "znver3");
#endif
  rig_close(&r);
}

/* The assembly without what tells locations and unwinding. */
static char *print_code(const retc_kernel *kernel, bool locations) {
  static const char *const left_out[] = {"\t.loc", "\t.file", "\t.cfi_", ".Ltmp", ".Lfunc_begin"};
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_llvm_module *module = NULL;
  retc_llvm_options options = {.locations = locations};
  retc_text text;
  retc_text_init(&text);
  assert_int_equal(retc_llvm_compile(&kernel, 1, &options, &diagnostics, &module), RETC_OK);
  assert_int_equal(retc_llvm_emit_assembly(module, &diagnostics, &text), RETC_OK);
  retc_llvm_module_destroy(module);
  retc_diagnostics_deinit(&diagnostics);
  assert_int_equal(locations, strstr(text.data, "\t.loc\t") != NULL);
  char *code = calloc(text.length + 1, 1), *rest = NULL;
  assert_non_null(code);
  for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    bool skip = false;
    if (!strncmp(line, "\t.section\t.debug_", 17) || strstr(line, ".note.")) break;
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++) {
      skip = skip || !strncmp(line, left_out[i], strlen(left_out[i]));
    }
    if (!skip) strcat(strcat(code, line), "\n");
  }
  retc_text_deinit(&text);
  return code;
}

/* Instructions say which statement they are made for, and are the same. */
static void test_locations(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  const retc_shape plane = shape(2, RETC_NAMED(B), 40);
  retc_buffer_id x = retc_write_parameter(&r.w, "x", RETC_DTYPE_F32, &plane, RETC_ACCESS_READ);
  retc_buffer_id y = retc_write_parameter(&r.w, "y", RETC_DTYPE_F32, &plane, RETC_ACCESS_WRITE);
  retc_expr row =
      retc_write_for(&r.w, "row", RETC_LOOP_PARALLEL, integer(&r, 0), retc_expr_dim(r.kernel, RETC_NAMED(B)), 1);
  retc_expr part = retc_write_for(&r.w, "part", RETC_LOOP_UNROLL, integer(&r, 0), integer(&r, 2), 1);
  retc_write_if(&r.w, op2(&r, RETC_KERNEL_OP_LESS, row, integer(&r, 3)));
  for (int side = 0; side < 2; side++) {
    if (side) retc_write_else(&r.w);
    retc_expr lane = retc_write_for(&r.w, "lane", RETC_LOOP_VECTOR, integer(&r, 0), integer(&r, 20), 1);
    retc_expr column = op2(&r, RETC_KERNEL_OP_ADD, op2(&r, RETC_KERNEL_OP_MUL, part, integer(&r, 20)), lane);
    const retc_expr at[] = {row, column};
    retc_expr value = op2(&r, RETC_KERNEL_OP_MUL, retc_expr_load(r.kernel, x, at), real(&r, side ? 3 : 5));
    retc_write_store(&r.w, y, at, value);
    retc_write_end(&r.w);
  }
  for (int i = 0; i < 3; i++) retc_write_end(&r.w);
  char *plain = print_code(r.kernel, false), *located = print_code(r.kernel, true);
  assert_string_equal(plain, located);
  free(plain);
  free(located);
  const retc_kernel *kernels[] = {r.kernel};
  retc_llvm_module *module = NULL;
  retc_text text;
  retc_text_init(&text);
  retc_llvm_options options = {.locations = true};
  assert_int_equal(retc_llvm_compile(kernels, 1, &options, &r.diagnostics, &module), RETC_OK);
  assert_int_equal(retc_llvm_emit_ir(module, &r.diagnostics, &text), RETC_OK);
  retc_llvm_module_destroy(module);
  /* 1 for row, 2 for part, 3 if, 4 for lane, 5 the store, and of the other side 6 and 7 */
  assert_non_null(strstr(text.data, "!DILocation(line: 5, scope"));
  assert_non_null(strstr(text.data, "!DILocation(line: 7, scope"));
  assert_null(strstr(text.data, "!DILocation(line: 8, scope"));
  retc_text_deinit(&text);
  rig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_locations),
    cmocka_unit_test(test_constant_extents),     cmocka_unit_test(test_named_extents_and_cpus),
    cmocka_unit_test(test_strides_and_gathers),  cmocka_unit_test(test_integers_and_steps),
    cmocka_unit_test(test_halves),               cmocka_unit_test(test_bool_and_casts),
    cmocka_unit_test(test_mma),                  cmocka_unit_test(test_parallel_partition),
    cmocka_unit_test(test_scratch_and_branches), cmocka_unit_test(test_refusals),
    cmocka_unit_test(test_texts_and_profile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
