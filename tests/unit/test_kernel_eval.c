/* The kernel interpreter: every operation, every statement, every check. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/kernel_bench.h"

/* ---- operations ---- */

typedef struct real_case {
  retc_kernel_op op;
  double a, b, c, expected;
} real_case;

#define OP(NAME) RETC_KERNEL_OP_##NAME
static const real_case real_cases[] = {
  {OP(ADD), 1.5, 2.25, 0, 3.75},
  {OP(SUB), 1.5, 2.25, 0, -0.75},
  {OP(MUL), 1.5, -2.5, 0, -3.75},
  {OP(DIV), 1, -8, 0, -0.125},
  {OP(DIV), 1, 0, 0, INFINITY},
  {OP(FMA), 0x1.000002p0, 0x1.000002p0, -0x1.000004p0, 0x1p-46}, /* one rounding */
  {OP(NEG), 0.0, 0, 0, -0.0},
  {OP(ABS), -0.0, 0, 0, 0.0},
  {OP(MIN), 2, 3, 0, 2},
  {OP(MIN), NAN, 3, 0, 3},
  {OP(MIN), -0.0, 0.0, 0, 0.0}, /* not less: the second */
  {OP(MAX), 2, 3, 0, 3},
  {OP(MAX), NAN, 3, 0, 3},
  {OP(MAX), 0.0, -0.0, 0, -0.0},
  {OP(SQRT), 2.25, 0, 0, 1.5},
  {OP(FLOOR), -1.25, 0, 0, -2},
  {OP(POW2), -126, 0, 0, 0x1p-126},
  {OP(POW2), 127, 0, 0, 0x1p127},
  {OP(EXPONENT), 1, 0, 0, 0},
  {OP(EXPONENT), 0x1.fffffep-126, 0, 0, -126},
  {OP(EXPONENT), 0x1.8p127, 0, 0, 127},
};

/* Equal bits; of a function whose arithmetic is retc's own, within `ulps` of what is expected. */
static void check_near(retc_dtype dtype, const real_case *k, int ulps) {
  bench b;
  bench_open(&b);
  double storage[4];
  for (size_t i = 0; i < 3; i++) retc_dtype_store(dtype, storage, i, (const double[]){k->a, k->b, k->c}[i]);
  retc_buffer_id x = bench_give(&b, "x", dtype, shape1(3), READS, storage);
  double found = 0;
  retc_buffer_id y = bench_give(&b, "y", dtype, shape1(1), WRITES, &found);
  retc_expr inputs[3];
  for (int i = 0; i < 3; i++) inputs[i] = load1(&b, x, integer(&b, i));
  store1(&b, y, integer(&b, 0), retc_expr_op(b.kernel, k->op, inputs));
  bench_run(&b);
  double value = retc_dtype_load(dtype, &found, 0);
  double unit = dtype == RETC_DTYPE_F64 ? 0x1p-52 : 0x1p-23;
  if (memcmp(&value, &k->expected, sizeof value) && !(fabs(value / k->expected - 1) <= ulps * unit))
    fail_msg("%s in %s: %a, expected %a", retc_kernel_op_get_info(k->op)->name, retc_dtype_name(dtype), value,
             k->expected);
}

static void check_real(retc_dtype dtype, const real_case *k) { check_near(dtype, k, -1); }

static void test_reals(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof real_cases / sizeof real_cases[0]; i++) {
    check_real(RETC_DTYPE_F32, &real_cases[i]);
    /* 1 + 2^-22 + 2^-46 is a double: the same case with all rounding moved down. */
    real_case wide = real_cases[i];
    if (wide.op == OP(FMA)) wide = (real_case){OP(FMA), 1 + 0x1p-30, 1 + 0x1p-30, -1 - 0x1p-29, 0x1p-60};
    check_real(RETC_DTYPE_F64, &wide);
  }
}

/* Near what the math library says, in the declared type. */
static void test_functions(void **state) {
  (void)state;
  const double at = 0.7;
  const struct {
    retc_kernel_op op;
    double (*wide)(double);
    float (*narrow)(float);
  } cases[] = {{OP(EXP), exp, expf}, {OP(SIN), sin, sinf}, {OP(COS), cos, cosf}, {OP(ERF), erf, erff}};
  for (size_t i = 0; i < 4; i++) {
    check_near(RETC_DTYPE_F64, &(real_case){cases[i].op, at, 0, 0, cases[i].wide(at)}, 4);
    check_near(RETC_DTYPE_F32, &(real_case){cases[i].op, at, 0, 0, (double)cases[i].narrow((float)at)}, 4);
  }
}

static void test_integers(void **state) {
  (void)state;
  const struct {
    retc_kernel_op op;
    int64_t a, b, expected;
  } cases[] = {
    {OP(ADD), INT64_MAX, 1, INT64_MIN}, {OP(SUB), INT64_MIN, 1, INT64_MAX}, {OP(MUL), INT64_C(1) << 62, 4, 0},
    {OP(DIV), 17, 5, 3},                {OP(MOD), 17, 5, 2},                {OP(NEG), INT64_MIN, 0, INT64_MIN},
    {OP(ABS), -3, 0, 3},                {OP(MIN), -3, 2, -3},               {OP(MAX), -3, 2, 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    bench b;
    bench_open(&b);
    int64_t input[2] = {cases[i].a, cases[i].b}, found = 0;
    retc_buffer_id x = bench_give(&b, "x", RETC_DTYPE_I64, shape1(2), READS, input);
    retc_buffer_id y = bench_give(&b, "y", RETC_DTYPE_I64, shape1(1), WRITES, &found);
    retc_expr inputs[] = {load1(&b, x, integer(&b, 0)), load1(&b, x, integer(&b, 1))};
    store1(&b, y, integer(&b, 0), retc_expr_op(b.kernel, cases[i].op, inputs));
    bench_run(&b);
    assert_int_equal(found, cases[i].expected);
  }
}

/* Comparisons, and, select; of NaN nothing is true. */
static void test_truth(void **state) {
  (void)state;
  const double values[] = {1, 2, NAN};
  bench b;
  bench_open(&b);
  uint8_t truth[3][3][4] = {{{0}}};
  double chosen[3][3] = {{0}};
  retc_buffer_id x = bench_give(&b, "x", RETC_DTYPE_F64, shape1(3), READS, (void *)values);
  retc_buffer_id y = bench_give(&b, "y", RETC_DTYPE_BOOL, (retc_shape){3, {3, 3, 4}}, WRITES, truth);
  retc_buffer_id z = bench_give(&b, "z", RETC_DTYPE_F64, shape2(3, 3), WRITES, chosen);
  retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 3), j = loop(&b, "j", RETC_LOOP_VECTOR, 3);
  retc_expr left = load1(&b, x, i), right = load1(&b, x, j);
  retc_expr less = op2(&b, OP(LESS), left, right), most = op2(&b, OP(LESS_EQUAL), left, right);
  retc_expr both = op2(&b, OP(AND), most, op2(&b, OP(EQUAL), i, j));
  const retc_expr results[] = {less, most, op2(&b, OP(EQUAL), left, right), both};
  for (int k = 0; k < 4; k++) retc_write_store(&b.w, y, (retc_expr[]){i, j, integer(&b, k)}, results[k]);
  store2(&b, z, i, j, retc_expr_ternary(b.kernel, OP(SELECT), less, left, right));
  bench_run(&b);
  for (int m = 0; m < 3; m++) {
    for (int n = 0; n < 3; n++) {
      assert_int_equal(truth[m][n][0], values[m] < values[n]);
      assert_int_equal(truth[m][n][1], values[m] <= values[n]);
      assert_int_equal(truth[m][n][2], values[m] == values[n]);
      assert_int_equal(truth[m][n][3], m == n && m < 2);
      double expected = values[m] < values[n] ? values[m] : values[n];
      assert_memory_equal(&chosen[m][n], &expected, sizeof expected);
    }
  }
}

static void test_casts(void **state) {
  (void)state;
  const double values[] = {-2.75, 1e30, -1e30, NAN, 16777217.0};
  const int64_t integers[] = {-2, INT64_MAX, INT64_MIN, 0, 16777217};
  bench b;
  bench_open(&b);
  int64_t whole[5];
  float narrow[5], from_integer[5], from_truth[5];
  retc_buffer_id x = bench_give(&b, "x", RETC_DTYPE_F64, shape1(5), READS, (void *)values);
  retc_buffer_id y = bench_give(&b, "y", RETC_DTYPE_I64, shape1(5), UPDATES, whole);
  retc_buffer_id z = bench_give(&b, "z", RETC_DTYPE_F32, shape1(5), WRITES, narrow);
  retc_buffer_id u = bench_give(&b, "u", RETC_DTYPE_F32, shape1(5), WRITES, from_integer);
  retc_buffer_id v = bench_give(&b, "v", RETC_DTYPE_F32, shape1(5), WRITES, from_truth);
  retc_expr i = loop(&b, "i", RETC_LOOP_VECTOR, 5), value = load1(&b, x, i);
  store1(&b, y, i, retc_expr_cast(b.kernel, RETC_DTYPE_I64, value));
  store1(&b, z, i, retc_expr_cast(b.kernel, RETC_DTYPE_F32, value));
  store1(&b, u, i, retc_expr_cast(b.kernel, RETC_DTYPE_F32, load1(&b, y, i)));
  retc_expr same = op2(&b, OP(EQUAL), value, value);
  store1(&b, v, i, retc_expr_cast(b.kernel, RETC_DTYPE_F32, same));
  bench_run(&b);
  for (int n = 0; n < 5; n++) {
    assert_int_equal(whole[n], integers[n]);
    assert_true(narrow[n] == (float)values[n] || isnan(values[n]));
    assert_true(from_integer[n] == (float)integers[n]);
    assert_true(from_truth[n] == (n == 3 ? 0.0f : 1.0f));
  }
}

/* Every dtype of memory: widened by a load, rounded to nearest even by a store. */
static void check_memory(retc_dtype dtype, const double *values, const double *expected, size_t count) {
  bench b;
  bench_open(&b);
  double from[8], to[8];
  bool integral = dtype == RETC_DTYPE_I32;
  retc_dtype wide = integral ? RETC_DTYPE_I64 : RETC_DTYPE_F32;
  for (size_t i = 0; i < count; i++) retc_dtype_store(wide, from, i, values[i]);
  retc_buffer_id x = bench_give(&b, "x", wide, shape1((int64_t)count), READS, from);
  retc_buffer_id y = bench_give(&b, "y", dtype, shape1((int64_t)count), UPDATES, to);
  double again[8];
  retc_buffer_id z = bench_give(&b, "z", wide, shape1((int64_t)count), WRITES, again);
  retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, (int64_t)count);
  store1(&b, y, i, load1(&b, x, i));
  store1(&b, z, i, load1(&b, y, i));
  bench_run(&b);
  for (size_t n = 0; n < count; n++) {
    double found = retc_dtype_load(dtype, to, n);
    assert_memory_equal(&found, &expected[n], sizeof found);
    found = retc_dtype_load(wide, again, n);
    assert_memory_equal(&found, &expected[n], sizeof found);
  }
}

static void test_memory(void **state) {
  (void)state;
  check_memory(RETC_DTYPE_BF16, (double[]){1 + 0x1p-8, 1 + 0x1.8p-7, -0.0, 0x1.ffp127},
               (double[]){1, 1 + 0x1p-6, -0.0, INFINITY}, 4);
  check_memory(RETC_DTYPE_F16, (double[]){1 + 0x1p-11, 1 + 0x1.8p-10, 65520, 0x1p-25},
               (double[]){1, 1 + 0x1p-9, INFINITY, 0}, 4);
  check_memory(RETC_DTYPE_I32, (double[]){-5, 0x1p31, 0x1p32 + 3}, (double[]){-5, -0x1p31, 3}, 3);
}

/* ---- statements ---- */

/* A sum that is carried, steps, an empty loop, branches, a let of the loop. */
static void test_loops(void **state) {
  (void)state;
  bench b;
  bench_open(&b);
  int64_t found[4] = {0, 0, 0, 0};
  retc_buffer_id y = bench_give(&b, "y", RETC_DTYPE_I64, shape1(4), UPDATES, found);
  b.dims.value[RETC_DIM_T] = 11;
  retc_expr high = retc_expr_dim(b.kernel, RETC_NAMED(T));
  retc_expr i = retc_write_for(&b.w, "i", RETC_LOOP_SERIAL, integer(&b, 1), high, 4); /* 1 5 9 */
  retc_expr square = retc_write_let(&b.w, "square", op2(&b, OP(MUL), i, i));
  store1(&b, y, integer(&b, 0), op2(&b, OP(ADD), load1(&b, y, integer(&b, 0)), square));
  retc_write_if(&b.w, op2(&b, OP(LESS), i, integer(&b, 5)));
  store1(&b, y, integer(&b, 1), i);
  retc_write_else(&b.w);
  store1(&b, y, integer(&b, 2), i);
  end(&b);
  end(&b);
  retc_write_for(&b.w, "none", RETC_LOOP_SERIAL, high, integer(&b, 3), 1);
  store1(&b, y, integer(&b, 3), integer(&b, 1));
  end(&b);
  bench_run(&b);
  assert_int_equal(found[0], 1 + 25 + 81);
  assert_int_equal(found[1], 1);
  assert_int_equal(found[2], 9);
  assert_int_equal(found[3], 0);
}

/* The end of the range of i64 is an end, too. */
static void test_last_integer(void **state) {
  (void)state;
  bench b;
  bench_open(&b);
  int64_t found = 0;
  retc_buffer_id y = bench_give(&b, "y", RETC_DTYPE_I64, shape1(1), UPDATES, &found);
  retc_expr low = integer(&b, INT64_MAX - 2), high = integer(&b, INT64_MAX);
  retc_write_for(&b.w, "i", RETC_LOOP_SERIAL, low, high, 5);
  store1(&b, y, integer(&b, 0), plus(&b, load1(&b, y, integer(&b, 0)), 1));
  bench_run(&b);
  assert_int_equal(found, 1);
}

/* c[1..rows, 1..columns] += a' b with a transposed, all within larger buffers. */
static void check_mma(retc_dtype dtype, int64_t rows, int64_t columns, int64_t depth) {
  enum { MOST = 20 };
  float a[MOST][MOST], wide[MOST][MOST], c[MOST][MOST], expected[MOST][MOST];
  uint16_t narrow[MOST][MOST];
  for (int i = 0; i < MOST * MOST; i++) {
    (&a[0][0])[i] = (float)(i * 7 % 31) * 0.37f - 3.0f;
    (&wide[0][0])[i] = (float)(i * 11 % 29) * 0.53f - 5.0f;
    (&expected[0][0])[i] = 0.1f * (float)(i % 13);
  }
  if (dtype != RETC_DTYPE_F32) {
    retc_dtype_convert(RETC_DTYPE_F32, wide, dtype, narrow, MOST * MOST);
    retc_dtype_convert(dtype, narrow, RETC_DTYPE_F32, wide, MOST * MOST);
  }
  bench b;
  bench_open(&b);
  retc_buffer_id left = bench_give(&b, "a", RETC_DTYPE_F32, shape2(MOST, MOST), READS, a);
  void *data = dtype == RETC_DTYPE_F32 ? (void *)wide : (void *)narrow;
  retc_buffer_id right = bench_give(&b, "b", dtype, shape2(MOST, MOST), READS, data);
  retc_buffer_id out = bench_give(&b, "out", RETC_DTYPE_F32, shape2(MOST, MOST), UPDATES, c);
  memcpy(c, expected, sizeof c);
  b.dims.value[RETC_DIM_T] = depth;
  retc_buffer_id sum = alloc2(&b, "sum", MOST, MOST);
  retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, MOST), j = loop(&b, "j", RETC_LOOP_VECTOR, MOST);
  store2(&b, sum, i, j, load2(&b, out, i, j));
  end(&b);
  end(&b);
  retc_expr from[] = {integer(&b, 1), integer(&b, 1)}, second[] = {integer(&b, 2), integer(&b, 1)};
  retc_write_mma(&b.w, retc_write_view(&b.w, sum, from, 0, 1), retc_write_view(&b.w, left, from, 1, 0),
                 retc_write_view(&b.w, right, second, 0, 1), rows, columns, retc_expr_dim(b.kernel, RETC_NAMED(T)));
  i = loop(&b, "i", RETC_LOOP_SERIAL, MOST);
  j = loop(&b, "j", RETC_LOOP_VECTOR, MOST);
  store2(&b, out, i, j, load2(&b, sum, i, j));
  bench_run(&b);
  for (int64_t m = 0; m < rows; m++) {
    for (int64_t n = 0; n < columns; n++) {
      for (int64_t x = 0; x < depth; x++)
        expected[m + 1][n + 1] = fmaf(a[x + 1][m + 1], wide[x + 2][n + 1], expected[m + 1][n + 1]);
    }
  }
  assert_memory_equal(c, expected, sizeof c);
}

static void test_mma(void **state) {
  (void)state;
  const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_BF16, RETC_DTYPE_F16};
  for (int d = 0; d < 3; d++) {
    check_mma(dtypes[d], 1, 19, 3);
    check_mma(dtypes[d], 4, 17, 18);
    check_mma(dtypes[d], 19, 1, 5);
    check_mma(dtypes[d], 3, 3, 0);
  }
}

/* ---- bounds ---- */

static void test_bounds(void **state) {
  (void)state;
  float x[6] = {0}, y[6];
  for (int kind = 0; kind < 4; kind++) {
    bench b;
    bench_open(&b);
    retc_buffer_id from = bench_give(&b, "x", RETC_DTYPE_F32, shape2(2, 3), READS, x);
    retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape2(2, 3), WRITES, y);
    retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 2), j = loop(&b, "j", RETC_LOOP_SERIAL, 4);
    retc_expr in = op2(&b, OP(MIN), j, integer(&b, 2)), zero = integer(&b, 0);
    switch (kind) {
      case 0:
        store2(&b, to, i, in, load2(&b, from, i, j)); /* within the memory, beyond the axis */
        bench_fails(&b, "index 3 on axis 1 of x is out of bounds: the extent is 3, in: y[i,min(j, 2)] = x[i,j], "
                        "with i = 0, j = 3\n");
        break;
      case 1:
        store2(&b, to, op2(&b, OP(SUB), i, integer(&b, 1)), in, real(&b, 1));
        bench_fails(&b, "index -1 on axis 0 of y is out of bounds: the extent is 2, in: ");
        break;
      case 2: {
        retc_buffer_id own = alloc1(&b, "own", RETC_SCOPE_PRIVATE, 3);
        store1(&b, own, j, real(&b, 1));
        bench_fails(&b, "index 3 on axis 0 of own is out of bounds: the extent is 3, in: own[j] = 1.0, "
                        "with i = 0, j = 3\n");
        break;
      }
      default: /* elsewhere is fine */
        store2(&b, to, i, in, load2(&b, from, i, op2(&b, OP(MOD), j, integer(&b, 3))));
        (void)zero;
        bench_run(&b);
    }
  }
}

static void test_named_bounds(void **state) {
  (void)state;
  float y[8];
  for (int64_t rows = 2; rows <= 4; rows++) {
    bench b;
    bench_open(&b);
    retc_shape shape = {2, {RETC_NAMED(B), 2}};
    retc_buffer_id to = retc_write_parameter(&b.w, "y", RETC_DTYPE_F32, &shape, WRITES);
    b.memories[b.count++] = (retc_kernel_memory){.data = y, .bytes = sizeof y};
    b.dims.value[RETC_DIM_B] = rows;
    retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 3);
    store2(&b, to, i, integer(&b, 1), real(&b, 1));
    if (rows < 3) bench_fails(&b, "index 2 on axis 0 of y is out of bounds: the extent is 2");
    else bench_run(&b);
  }
}

/* Views: rows, columns and depth reach as far as they say. */
static void check_view(int64_t row, int64_t depth, int64_t column, const char *words) {
  bench b;
  bench_open(&b);
  float a[3 * 4] = {0}, r[4 * 5] = {0};
  retc_buffer_id left = bench_give(&b, "a", RETC_DTYPE_F32, shape2(3, 4), READS, a);
  retc_buffer_id right = bench_give(&b, "b", RETC_DTYPE_F32, shape2(4, 5), READS, r);
  b.dims.value[RETC_DIM_T] = row;
  b.dims.value[RETC_DIM_L] = depth;
  b.dims.value[RETC_DIM_N] = column;
  retc_buffer_id c = alloc2(&b, "c", 2, 3);
  retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 2), j = loop(&b, "j", RETC_LOOP_VECTOR, 3);
  store2(&b, c, i, j, real(&b, 0));
  end(&b);
  end(&b);
  retc_expr zero = integer(&b, 0), from_row = retc_expr_dim(b.kernel, RETC_NAMED(T));
  retc_expr from_column = retc_expr_dim(b.kernel, RETC_NAMED(N));
  retc_write_mma(&b.w, retc_write_view(&b.w, c, (retc_expr[]){zero, zero}, 0, 1),
                 retc_write_view(&b.w, left, (retc_expr[]){from_row, zero}, 0, 1),
                 retc_write_view(&b.w, right, (retc_expr[]){zero, from_column}, 0, 1), 2, 3,
                 retc_expr_dim(b.kernel, RETC_NAMED(L)));
  if (words) bench_fails(&b, words);
  else bench_run(&b);
}

static void test_view_bounds(void **state) {
  (void)state;
  check_view(0, 4, 0, NULL);
  check_view(1, 4, 2, NULL);
  check_view(2, 4, 2, "indices 2 to 3 on axis 0 of a are out of bounds: the extent is 3, in: mma c[0,0]");
  check_view(0, 5, 0, "indices 0 to 4 on axis 1 of a are out of bounds: the extent is 4");
  check_view(0, 4, 3, "indices 3 to 5 on axis 1 of b are out of bounds: the extent is 5");
  check_view(9, 0, 9, NULL); /* nothing is touched */
  check_view(0, -1, 0, "the depth is -1, expected at least 0");
}

/* ---- definedness ---- */

static void test_undefined(void **state) {
  (void)state;
  float y[4] = {0};
  for (int kind = 0; kind < 3; kind++) {
    bench b;
    bench_open(&b);
    retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape1(4), WRITES, y);
    retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 4);
    retc_buffer_id own = alloc1(&b, "own", RETC_SCOPE_PRIVATE, 4);
    if (kind == 0) { /* the second iteration's buffer is a new one */
      retc_write_if(&b.w, op2(&b, OP(EQUAL), i, integer(&b, 0)));
      store1(&b, own, integer(&b, 2), real(&b, 5));
      end(&b);
      store1(&b, to, i, load1(&b, own, integer(&b, 2)));
      bench_fails(&b, "element [2] of own is read before it is written, in: y[i] = own[2], with i = 1\n");
    } else if (kind == 1) {
      store1(&b, own, i, real(&b, 5));
      store1(&b, to, i, load1(&b, own, integer(&b, 0)));
      bench_fails(&b, "element [0] of own is read before it is written, in: y[i] = own[0], with i = 1\n");
    } else {
      store1(&b, own, i, real(&b, 5));
      store1(&b, to, i, load1(&b, own, i));
      bench_run(&b);
      assert_true(y[0] == 5 && y[3] == 5);
    }
  }
}

/* One hole in a view's matrix. */
static void check_hole(int hole, const char *words) {
  bench b;
  bench_open(&b);
  float r[4 * 3] = {0};
  retc_buffer_id right = bench_give(&b, "b", RETC_DTYPE_F32, shape2(4, 3), READS, r);
  retc_buffer_id c = alloc2(&b, "c", 2, 3), a = alloc2(&b, "a", 4, 2); /* a is transposed */
  retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 2), j = loop(&b, "j", RETC_LOOP_SERIAL, 4);
  retc_expr place = op2(&b, OP(ADD), op2(&b, OP(MUL), i, integer(&b, 4)), j);
  retc_write_if(&b.w, op2(&b, OP(EQUAL), place, integer(&b, hole)));
  retc_write_else(&b.w);
  store2(&b, a, j, i, real(&b, 1));
  end(&b);
  retc_write_if(&b.w, op2(&b, OP(LESS), j, integer(&b, 3)));
  retc_write_if(&b.w, op2(&b, OP(EQUAL), place, integer(&b, hole - 100)));
  retc_write_else(&b.w);
  store2(&b, c, i, j, real(&b, 1));
  end(&b);
  end(&b);
  end(&b);
  end(&b);
  retc_expr zeros[] = {integer(&b, 0), integer(&b, 0)};
  retc_write_mma(&b.w, retc_write_view(&b.w, c, zeros, 0, 1), retc_write_view(&b.w, a, zeros, 1, 0),
                 retc_write_view(&b.w, right, zeros, 0, 1), 2, 3, integer(&b, 3));
  if (words) bench_fails(&b, words);
  else bench_run(&b);
}

static void test_undefined_views(void **state) {
  (void)state;
  check_hole(-1, NULL);
  check_hole(3, NULL); /* beyond the depth */
  check_hole(6, "element [2,1] of a is read before it is written, in: mma");
  check_hole(102, "element [0,2] of c is read before it is written");
}

/* Memory that knows who wrote it. */
static void test_writers(void **state) {
  (void)state;
  static const char *const names[] = {NULL, "mine", "theirs"};
  for (int kind = 0; kind < 3; kind++) {
    float x[4] = {0};
    uint32_t writer[16];
    for (int i = 0; i < 16; i++) writer[i] = 1;
    bench b;
    bench_open(&b);
    retc_buffer_id from = bench_give(&b, "x", RETC_DTYPE_F32, shape1(4), UPDATES, x);
    b.memories[0].writer = writer;
    b.memories[0].id = 1;
    b.memories[0].names = names;
    if (kind == 1) writer[11] = 0; /* of element 2 */
    if (kind == 2) writer[9] = 2;
    retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 3);
    store1(&b, from, plus(&b, i, 1), load1(&b, from, plus(&b, i, kind ? 1 : 0)));
    if (kind == 0) bench_run(&b);
    else bench_fails(&b, kind == 1 ? "element [2] of x is read before it is written"
                                   : "element [2] of x is read as mine, but was written last as theirs");
  }
  /* Stores leave the id, and make what they wrote defined. */
  uint16_t x[4] = {0};
  uint32_t writer[8] = {0};
  bench b;
  bench_open(&b);
  retc_buffer_id to = bench_give(&b, "x", RETC_DTYPE_BF16, shape1(4), UPDATES, x);
  b.memories[0].writer = writer;
  b.memories[0].id = 7;
  store1(&b, to, integer(&b, 1), real(&b, 3));
  store1(&b, to, integer(&b, 2), load1(&b, to, integer(&b, 1)));
  bench_run(&b);
  const uint32_t expected[8] = {0, 0, 7, 7, 7, 7, 0, 0};
  assert_memory_equal(writer, expected, sizeof writer);
}

/* ---- independence ---- */

/* for i in 0..4 KIND: y[store] = y[load] + 1 with store = i + a, or fixed when a < 0; the same for load. The indices
 * are read from memory, where the verifier cannot see what they are. */
static void check_iterations(retc_loop_kind kind, bool private, int store, int load, int fixed, const char *words) {
  float y[8] = {0};
  int64_t places[2][4];
  for (int64_t i = 0; i < 4; i++) {
    places[0][i] = store < 0 ? fixed : i + store;
    places[1][i] = load < 0 ? fixed : i + load;
  }
  bench b;
  bench_open(&b);
  retc_buffer_id buffer = bench_give(&b, "y", RETC_DTYPE_F32, shape1(8), UPDATES, y);
  retc_buffer_id place = bench_give(&b, "place", RETC_DTYPE_I64, shape2(2, 4), READS, places);
  if (private) {
    retc_buffer_id own = alloc1(&b, "own", RETC_SCOPE_PRIVATE, 8);
    retc_expr k = loop(&b, "k", RETC_LOOP_SERIAL, 8);
    store1(&b, own, k, load1(&b, buffer, k));
    end(&b);
    buffer = own;
  }
  retc_expr i = loop(&b, "i", kind, 4);
  retc_expr to = load2(&b, place, integer(&b, 0), i), from = load2(&b, place, integer(&b, 1), i);
  store1(&b, buffer, to, op2(&b, OP(ADD), load1(&b, buffer, from), real(&b, 1)));
  if (words) bench_fails(&b, words);
  else bench_run(&b);
}

static void check_independence(retc_loop_kind kind, bool private, const char *turns) {
  char words[4][160];
  const char *name = private ? "own" : "y";
  snprintf(words[0], sizeof words[0], "iterations 0 and 1 of the %s loop are not independent: element [1] of %s is "
           "written by the one and read by the other", turns, name);
  snprintf(words[1], sizeof words[1], "iterations 0 and 1 of the %s loop are not independent: element [1] of %s is "
           "read by the one and written by the other", turns, name);
  snprintf(words[2], sizeof words[2], "iterations 0 and 3 of the %s loop are not independent: element [3] of %s is "
           "read by the one and written by the other", turns, name);
  snprintf(words[3], sizeof words[3], "iterations 0 and 1 of the %s loop are not independent: element [6] of %s is "
           "written by both", turns, name);
  check_iterations(kind, private, 1, 0, 0, words[0]); /* y[i + 1] = y[i] */
  check_iterations(kind, private, 0, 1, 0, words[1]); /* y[i] = y[i + 1] */
  check_iterations(kind, private, 0, -1, 3, words[2]); /* y[i] = y[3] */
  check_iterations(kind, private, -1, 0, 6, words[3]); /* y[6] = y[i] */
  check_iterations(kind, private, 0, 0, 0, NULL);
  check_iterations(kind, private, 4, 0, 0, NULL);
  check_iterations(kind, private, 0, -1, 7, NULL);
}

static void test_parallel(void **state) {
  (void)state;
  check_independence(RETC_LOOP_PARALLEL, false, "parallel");
  check_iterations(RETC_LOOP_SERIAL, false, 1, 0, 0, NULL);
}

static void test_vector(void **state) {
  (void)state;
  check_independence(RETC_LOOP_VECTOR, false, "vector");
  check_independence(RETC_LOOP_VECTOR, true, "vector");
  check_iterations(RETC_LOOP_UNROLL, false, 1, 0, 0, NULL);
}

/* What one vector loop wrote the next may read anywhere. */
static void test_vectors_in_turn(void **state) {
  (void)state;
  float y[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  bench b;
  bench_open(&b);
  retc_buffer_id buffer = bench_give(&b, "y", RETC_DTYPE_F32, shape1(8), UPDATES, y);
  for (int64_t width = 4; width > 0; width /= 2) {
    retc_expr i = loop(&b, "i", RETC_LOOP_VECTOR, width);
    store1(&b, buffer, i, op2(&b, OP(ADD), load1(&b, buffer, i), load1(&b, buffer, plus(&b, i, width))));
    end(&b);
  }
  bench_run(&b);
  assert_true(y[0] == 36);
}

/* A product that reads what another iteration of the parallel loop writes. */
static void test_parallel_views(void **state) {
  (void)state;
  for (int reach = 0; reach < 2; reach++) {
    float y[4 * 2] = {0};
    bench b;
    bench_open(&b);
    retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape2(4, 2), UPDATES, y);
    retc_expr task = loop(&b, "task", RETC_LOOP_PARALLEL, 3), zero = integer(&b, 0);
    retc_buffer_id one = alloc2(&b, "one", 1, 2), c = alloc2(&b, "c", 1, 2);
    retc_expr j = loop(&b, "j", RETC_LOOP_VECTOR, 2);
    store2(&b, one, zero, j, real(&b, 1));
    store2(&b, c, zero, j, real(&b, 0));
    end(&b);
    retc_write_mma(&b.w, retc_write_view(&b.w, c, (retc_expr[]){zero, zero}, 0, 1),
                   retc_write_view(&b.w, one, (retc_expr[]){zero, zero}, 0, 1),
                   retc_write_view(&b.w, to, (retc_expr[]){task, zero}, 0, 1), 1, 2, integer(&b, 1 + reach));
    store2(&b, to, task, zero, load2(&b, c, zero, zero));
    if (reach) bench_fails(&b, "iterations 0 and 1 of the parallel loop are not independent: element [1,0] of y is "
                               "read by the one and written by the other");
    else bench_run(&b);
  }
}

/* ---- blocks and lanes ---- */

/* y[block, lane] = x[block, 7 - lane] by way of shared memory. */
static void check_reversal(bool barrier, const char *words) {
  float x[3][8], y[3][8] = {{0}};
  for (int i = 0; i < 24; i++) (&x[0][0])[i] = (float)i;
  bench b;
  bench_open(&b);
  retc_buffer_id from = bench_give(&b, "x", RETC_DTYPE_F32, shape2(3, 8), READS, x);
  retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape2(3, 8), WRITES, y);
  retc_expr block = loop(&b, "block", RETC_LOOP_GRID, 3);
  retc_buffer_id tile = alloc1(&b, "tile", RETC_SCOPE_SHARED, 8);
  retc_expr lane = loop(&b, "thread", RETC_LOOP_LANE, 8);
  retc_buffer_id own = alloc1(&b, "own", RETC_SCOPE_PRIVATE, 1);
  store1(&b, tile, lane, load2(&b, from, block, lane));
  store1(&b, own, integer(&b, 0), retc_expr_cast(b.kernel, RETC_DTYPE_F32, lane));
  if (barrier) retc_write_barrier(&b.w);
  retc_expr mirrored = op2(&b, OP(SUB), integer(&b, 7), lane);
  retc_expr mine = op2(&b, OP(MUL), load1(&b, own, integer(&b, 0)), real(&b, 100));
  store2(&b, to, block, lane, op2(&b, OP(ADD), load1(&b, tile, mirrored), mine));
  if (words) {
    bench_fails(&b, words);
    return;
  }
  bench_run(&b);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 8; j++) assert_true(y[i][j] == x[i][7 - j] + 100.0f * (float)j);
}

static void test_lanes(void **state) {
  (void)state;
  check_reversal(true, NULL);
  check_reversal(false, "element [7] of tile is read before it is written");
}

/* A sum over lanes by halves: barriers in a loop, lanes that rest, lanes in two dimensions. */
static void check_tree(bool barrier_in_branch, bool own_bounds, const char *words) {
  float x[16], y[1] = {0};
  for (int i = 0; i < 16; i++) x[i] = (float)(i * i);
  bench b;
  bench_open(&b);
  retc_buffer_id from = bench_give(&b, "x", RETC_DTYPE_F32, shape1(16), READS, x);
  retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape1(1), WRITES, y);
  loop(&b, "block", RETC_LOOP_GRID, 1);
  retc_buffer_id tile = alloc1(&b, "tile", RETC_SCOPE_SHARED, 16);
  retc_expr high = loop(&b, "high", RETC_LOOP_LANE, 4), low = loop(&b, "low", RETC_LOOP_LANE, 4);
  retc_expr lane = retc_write_let(&b.w, "me", op2(&b, OP(ADD), op2(&b, OP(MUL), high, integer(&b, 4)), low));
  store1(&b, tile, lane, load1(&b, from, lane));
  retc_write_barrier(&b.w);
  retc_expr rounds = own_bounds ? op2(&b, OP(MIN), plus(&b, lane, 4), integer(&b, 5)) : integer(&b, 4);
  retc_expr k = retc_write_for(&b.w, "k", RETC_LOOP_SERIAL, integer(&b, 0), rounds, 1);
  retc_expr is_first = op2(&b, OP(EQUAL), k, integer(&b, 0)), is_second = op2(&b, OP(EQUAL), k, integer(&b, 1));
  retc_expr is_third = op2(&b, OP(EQUAL), k, integer(&b, 2));
  retc_expr half = retc_expr_ternary(b.kernel, OP(SELECT), is_third, integer(&b, 2), integer(&b, 1));
  half = retc_expr_ternary(b.kernel, OP(SELECT), is_second, integer(&b, 4), half);
  half = retc_write_let(&b.w, "half", retc_expr_ternary(b.kernel, OP(SELECT), is_first, integer(&b, 8), half));
  retc_write_if(&b.w, op2(&b, OP(LESS), lane, half));
  retc_expr other = load1(&b, tile, op2(&b, OP(ADD), lane, half));
  store1(&b, tile, lane, op2(&b, OP(ADD), load1(&b, tile, lane), other));
  if (barrier_in_branch) retc_write_barrier(&b.w);
  end(&b);
  if (!barrier_in_branch) retc_write_barrier(&b.w);
  end(&b);
  retc_write_if(&b.w, op2(&b, OP(EQUAL), lane, integer(&b, 0)));
  store1(&b, to, integer(&b, 0), load1(&b, tile, integer(&b, 0)));
  end(&b);
  if (words) {
    bench_refused(&b, words);
    return;
  }
  bench_run(&b);
  assert_true(y[0] == 1240);
}

static void test_barriers(void **state) {
  (void)state;
  check_tree(false, false, NULL);
  check_tree(true, false, "a barrier where some lanes of a block may not come by");
  check_tree(false, true, "a barrier where some lanes of a block may not come by");
}

/* Two lane loops in a block: a lane of the one is that of the other, with the same private memory; a barrier between
 * them is for both. */
static void check_two_loops(bool barrier, int64_t shift, const char *words) {
  float y[2][4] = {{0}};
  bench b;
  bench_open(&b);
  retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape2(2, 4), WRITES, y);
  retc_expr block = loop(&b, "block", RETC_LOOP_GRID, 2);
  retc_buffer_id tile = alloc1(&b, "tile", RETC_SCOPE_SHARED, 8);
  retc_buffer_id own = alloc1(&b, "own", RETC_SCOPE_PRIVATE, 1);
  retc_expr lane = loop(&b, "first", RETC_LOOP_LANE, 4), zero = integer(&b, 0);
  store1(&b, tile, lane, retc_expr_cast(b.kernel, RETC_DTYPE_F32, lane));
  store1(&b, own, zero, op2(&b, OP(MUL), retc_expr_cast(b.kernel, RETC_DTYPE_F32, lane), real(&b, 10)));
  end(&b);
  if (barrier) retc_write_barrier(&b.w);
  lane = loop(&b, "second", RETC_LOOP_LANE, 4);
  retc_expr at = op2(&b, OP(MOD), plus(&b, lane, shift), integer(&b, 4));
  store2(&b, to, block, lane, op2(&b, OP(ADD), load1(&b, tile, at), load1(&b, own, zero)));
  if (words) {
    bench_fails(&b, words);
    return;
  }
  bench_run(&b);
  for (int i = 0; i < 8; i++) assert_true((&y[0][0])[i] == (float)((i % 4 + shift) % 4 + 10 * (i % 4)));
}

static void test_lane_loops_in_turn(void **state) {
  (void)state;
  check_two_loops(true, 1, NULL);
  check_two_loops(false, 0, NULL);
  check_two_loops(false, 1, "lanes 1 and 0 are not independent: element [1] of tile is written by the one and read by "
                            "the other, without a barrier between");
}

static void test_blocks(void **state) {
  (void)state;
  for (int kind = 0; kind < 3; kind++) {
    float y[8] = {0};
    bench b;
    bench_open(&b);
    retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape1(8), UPDATES, y);
    retc_expr row = loop(&b, "row", RETC_LOOP_GRID, 2), column = loop(&b, "column", RETC_LOOP_GRID, 2);
    retc_expr lane = loop(&b, "thread", RETC_LOOP_LANE, 2);
    retc_expr block = op2(&b, OP(ADD), op2(&b, OP(MUL), row, integer(&b, 2)), column);
    retc_expr at = op2(&b, OP(ADD), op2(&b, OP(MUL), block, integer(&b, 2)), lane);
    if (kind == 1) at = block;
    if (kind == 2) at = lane;
    store1(&b, to, at, real(&b, 1));
    if (kind == 0) bench_run(&b);
    if (kind == 1) bench_fails(&b, "lanes 0 and 1 are not independent: element [0] of y is written by both");
    if (kind == 2) bench_fails(&b, "two blocks of the grid are not independent: element [0] of y is written by both");
  }
}

/* ---- what is given ---- */

static void test_arguments(void **state) {
  (void)state;
  for (int kind = 0; kind < 6; kind++) {
    float x[8] = {0};
    int64_t divisors[2] = {0, -3};
    bench b;
    bench_open(&b);
    retc_buffer_id from = bench_give(&b, "x", RETC_DTYPE_F32, shape1(4), READS, x);
    retc_buffer_id to = bench_give(&b, "y", RETC_DTYPE_F32, shape1(4), WRITES, x + 4);
    retc_buffer_id by = bench_give(&b, "z", RETC_DTYPE_I64, shape1(2), READS, divisors);
    retc_expr i = loop(&b, "i", RETC_LOOP_SERIAL, 4);
    retc_expr zero = load1(&b, by, integer(&b, 0)), negative = load1(&b, by, integer(&b, 1));
    retc_expr index = i;
    if (kind == 3) index = op2(&b, OP(DIV), i, zero);
    if (kind == 4) index = op2(&b, OP(MOD), negative, integer(&b, 4));
    if (kind == 5) index = retc_expr_cast(b.kernel, RETC_DTYPE_F32, i); /* no index */
    store1(&b, to, index, load1(&b, from, i));
    switch (kind) {
      case 0:
        b.memories[0].bytes = 15;
        bench_fails(&b, "parameter x has 15 bytes for 4 elements of 4");
        break;
      case 1:
        b.memories[1].data = x + 3;
        bench_fails(&b, "parameters y and x share memory, and y is written");
        break;
      case 2:
        b.count = 2;
        bench_fails(&b, "2 memories for 3 parameters");
        break;
      case 3:
        bench_fails(&b, "0 / 0, expected a number of at least 0 and one of at least 1, in: y[i / z[0]] = x[i]");
        break;
      case 4: bench_fails(&b, "-3 % 4, expected a number of at least 0 and one of at least 1"); break;
      default:
        assert_int_equal(bench_eval(&b), RETC_INTERNAL);
        bench_close(&b);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reals),           cmocka_unit_test(test_functions),
    cmocka_unit_test(test_integers),        cmocka_unit_test(test_truth),
    cmocka_unit_test(test_casts),           cmocka_unit_test(test_memory),
    cmocka_unit_test(test_loops),           cmocka_unit_test(test_last_integer),
    cmocka_unit_test(test_mma),             cmocka_unit_test(test_bounds),
    cmocka_unit_test(test_named_bounds),    cmocka_unit_test(test_view_bounds),
    cmocka_unit_test(test_undefined),       cmocka_unit_test(test_undefined_views),
    cmocka_unit_test(test_writers),         cmocka_unit_test(test_parallel),
    cmocka_unit_test(test_vector),          cmocka_unit_test(test_vectors_in_turn),
    cmocka_unit_test(test_parallel_views),  cmocka_unit_test(test_lanes),
    cmocka_unit_test(test_barriers),        cmocka_unit_test(test_lane_loops_in_turn),
    cmocka_unit_test(test_blocks),          cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
