#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/graph_bench.h"

static double smaller(double a, double b) { return a < b ? a : b; }
static double larger(double a, double b) { return a > b ? a : b; }
static double plus(double a, double b) { return a + b; }
static double minus(double a, double b) { return a - b; }
static double times(double a, double b) { return a * b; }
static double over(double a, double b) { return a / b; }

static void test_binary(void **state) {
  (void)state;
  static const struct {
    const char *op;
    double (*function)(double, double);
  } rows[] = {{"add", plus}, {"sub", minus}, {"mul", times}, {"div", over}, {"min", smaller}, {"max", larger}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char text[512];
    snprintf(text, sizeof text,
             "graph g { %%a = input kind=input : f32[T,1,3] %%b = input kind=input : f32[4,1] "
             "%%c = input kind=input : f32[] "
             "%%1 = %s %%a, %%b : f32[T,4,3] %%2 = %s %%c, %%1 : f32[T,4,3] output ab = %%1 output cab = %%2 }",
             rows[r].op, rows[r].op);
    bench t;
    start(&t, text, dims_of(1, 5, 1, 1));
    eval(&t);
    const double *a = tensor_of(&t, "a")->data, *b = tensor_of(&t, "b")->data, *c = tensor_of(&t, "c")->data;
    for (int i = 0; i < 60; i++) {
      double ab = rows[r].function(a[i / 12 * 3 + i % 3], b[i / 3 % 4]);
      assert_true(t.outputs[0].data[i] == ab);
      assert_true(t.outputs[1].data[i] == rows[r].function(*c, ab));
    }
    finish(&t);
  }
}

static double negate(double a) { return -a; }
static double rsqrt(double a) { return 1 / sqrt(a); }
static double relu(double a) { return a > 0 ? a : 0; }
static double silu(double a) { return a / (1 + exp(-a)); }
static double gelu(double a) { return a * (1 + erf(a / sqrt(2))) / 2; }

static void test_unary(void **state) {
  (void)state;
  static const struct {
    const char *op;
    double (*function)(double);
    bool positive;
  } rows[] = {{"neg", negate, false}, {"abs", fabs, false}, {"sqrt", sqrt, true},  {"rsqrt", rsqrt, true},
              {"exp", exp, false},    {"sin", sin, false},  {"cos", cos, false},   {"relu", relu, false},
              {"silu", silu, false},  {"gelu", gelu, false}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char text[256];
    snprintf(text, sizeof text, "graph g { %%a = input kind=input : f64[7] %%1 = %s %%a : f64[7] output o = %%1 }",
             rows[r].op);
    bench t;
    start(&t, text, dims_of(1, 1, 1, 1));
    double *a = tensor_of(&t, "a")->data;
    for (int i = 0; i < 7 && rows[r].positive; i++) a[i] = fabs(a[i]) + 0.1;
    eval(&t);
    for (int i = 0; i < 7; i++) expect_near(t.outputs[0].data[i], rows[r].function(a[i]), 1e-15);
    finish(&t);
  }
}

static void test_only_casts_round(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %a = const [0.1, 2.75] : f32[2] %1 = cast %a dtype=f32 : f32[2] %2 = cast %a dtype=bf16 : bf16[2] "
        "%3 = cast %a dtype=i64 : i64[2] %4 = cast %a dtype=f16 : f16[2] "
        "output a = %a output b = %1 output c = %2 output d = %3 output e = %4 }",
        dims_of(1, 1, 1, 1));
  eval(&t);
  assert_true(t.outputs[0].data[0] == 0.1);
  assert_true(t.outputs[1].data[0] == (double)0.1f);
  assert_true(t.outputs[2].data[0] == 0.10009765625);
  assert_true(t.outputs[3].data[0] == 0 && t.outputs[3].data[1] == 2);
  assert_true(t.outputs[4].data[0] == 0.0999755859375);
  finish(&t);
}

static void test_indexing(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %x = input kind=input : f32[B,T,6] %table = input kind=weight : bf16[5,6] "
        "%ids = input kind=input : i64[B,T] "
        "%P = input kind=input : i64[] %r = reshape %x : f32[B,T,2,3] %rep = repeat %r axis=2 times=2 : f32[B,T,4,3] "
        "%tail = tail %x : f32[B,L,6] %g = gather %table, %ids : f32[B,T,6] %p = positions %P : f64[T] "
        "output r = %r output rep = %rep output tail = %tail output g = %g output p = %p }",
        dims_of(2, 4, 1, 3));
  const double *x = tensor_of(&t, "x")->data, *table = tensor_of(&t, "table")->data;
  for (int i = 0; i < 8; i++) tensor_of(&t, "ids")->data[i] = (3 * i) % 5;
  tensor_of(&t, "P")->data[0] = 11;
  eval(&t);
  for (int i = 0; i < 48; i++) {
    int b = i / 24, s = i / 6 % 4, c = i % 6;
    assert_true(t.outputs[0].data[i] == x[i]);
    assert_true(t.outputs[3].data[i] == table[3 * (i / 6) % 5 * 6 + c]);
    for (int copy = 0; copy < 2; copy++) {
      assert_true(t.outputs[1].data[(i / 6 * 4 + c / 3 * 2 + copy) * 3 + c % 3] == x[i]);
    }
    if (s >= 1) assert_true(t.outputs[2].data[(b * 3 + s - 1) * 6 + c] == x[i]);
  }
  for (int s = 0; s < 4; s++) assert_true(t.outputs[4].data[s] == 11 + s);
  finish(&t);
}

static void test_rotate(void **state) {
  (void)state;
  static const char *const pairs[2] = {"half", "adjacent"};
  for (int adjacent = 0; adjacent < 2; adjacent++) {
    char text[400];
    snprintf(text, sizeof text,
             "graph g { %%x = input kind=input : f32[B,T,3,4] %%c = input kind=input : f32[T,2] "
             "%%s = input kind=input : f32[T,2] %%o = rotate %%x, %%c, %%s pairs=%s : f32[B,T,3,4] output o = %%o }",
             pairs[adjacent]);
    bench t;
    start(&t, text, dims_of(2, 3, 1, 1));
    eval(&t);
    const double *x = tensor_of(&t, "x")->data, *c = tensor_of(&t, "c")->data, *s = tensor_of(&t, "s")->data;
    for (int row = 0; row < 18; row++) {
      for (int p = 0; p < 2; p++) {
        int y = row * 4 + (adjacent ? 2 * p : p), z = row * 4 + (adjacent ? 2 * p + 1 : p + 2);
        int angle = row / 3 % 3 * 2 + p;
        expect_near(t.outputs[0].data[y], x[y] * c[angle] - x[z] * s[angle], 1e-15);
        expect_near(t.outputs[0].data[z], x[z] * c[angle] + x[y] * s[angle], 1e-15);
      }
    }
    finish(&t);
  }
}

static void test_contract(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %x = input kind=input : f32[B,T,5] %w = input kind=weight : f16[7,5] "
        "%v = input kind=input : f32[B,T,6] "
        "%d = input kind=input : f32[B,5] %y = contract %x, %w spec=\"btk,nk->btn\" : f32[B,T,7] "
        "%kv = contract %x, %v spec=\"btk,btv->bkv\" : f32[B,5,6] %e = contract %x, "
        "%d spec=\"btk,bk->tbk\" : f32[T,B,5] "
        "%s = contract %x, %x spec=\"btk,btk->\" : f32[] %u = contract %x, %v spec=\"bti,btj->b\" : f32[B] "
        "output y = %y output kv = %kv output e = %e output s = %s output u = %u }",
        dims_of(2, 3, 1, 1));
  eval(&t);
  const double *x = tensor_of(&t, "x")->data, *w = tensor_of(&t, "w")->data, *v = tensor_of(&t, "v")->data;
  const double *d = tensor_of(&t, "d")->data;
  double y[42] = {0}, kv[60] = {0}, squares = 0, u[2] = {0};
  for (int b = 0; b < 2; b++) {
    for (int s = 0; s < 3; s++) {
      const double *row = x + (b * 3 + s) * 5, *values = v + (b * 3 + s) * 6;
      for (int k = 0; k < 5; k++) {
        squares += row[k] * row[k];
        for (int n = 0; n < 7; n++) y[(b * 3 + s) * 7 + n] += row[k] * w[n * 5 + k];
        for (int n = 0; n < 6; n++) kv[(b * 5 + k) * 6 + n] += row[k] * values[n];
        for (int n = 0; n < 6; n++) u[b] += row[k] * values[n];
        expect_near(t.outputs[2].data[(s * 2 + b) * 5 + k], row[k] * d[b * 5 + k], 1e-15);
      }
    }
  }
  for (int i = 0; i < 42; i++) expect_near(t.outputs[0].data[i], y[i], 1e-14);
  for (int i = 0; i < 60; i++) expect_near(t.outputs[1].data[i], kv[i], 1e-14);
  expect_near(t.outputs[3].data[0], squares, 1e-14);
  for (int b = 0; b < 2; b++) expect_near(t.outputs[4].data[b], u[b], 1e-14);
  finish(&t);
}

static void test_reductions(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %x = input kind=input : f32[T,9] %w = input kind=weight : f32[9] %1 = reduce_sum %x : f32[T,1] "
        "%2 = reduce_mean %x : f32[T,1] %3 = reduce_max %x : f32[T,1] %4 = rms_norm %x, %w eps=0.01 : f32[T,9] "
        "%5 = rms_norm %x eps=0.0 : f32[T,9] "
        "output a = %1 output b = %2 output c = %3 output d = %4 output e = %5 }",
        dims_of(1, 4, 1, 1));
  eval(&t);
  const double *w = tensor_of(&t, "w")->data;
  for (int row = 0; row < 4; row++) {
    const double *x = tensor_of(&t, "x")->data + row * 9;
    double sum = 0, squares = 0, most = x[0];
    for (int i = 0; i < 9; i++) sum += x[i], squares += x[i] * x[i], most = larger(x[i], most);
    expect_near(t.outputs[0].data[row], sum, 1e-14);
    expect_near(t.outputs[1].data[row], sum / 9, 1e-14);
    assert_true(t.outputs[2].data[row] == most);
    for (int i = 0; i < 9; i++) {
      expect_near(t.outputs[3].data[row * 9 + i], x[i] / sqrt(squares / 9 + 0.01) * w[i], 1e-14);
      expect_near(t.outputs[4].data[row * 9 + i], x[i] / sqrt(squares / 9), 1e-14);
    }
  }
  finish(&t);
}

static void test_decays(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %d = const [-0.5, 0.0, -inf] : f64[3] %m = decay_mask %d chunk=3 : f32[3,3,3] "
        "%p = decay_powers %d count=3 first=2 step=-1 : f32[3,3] output m = %m output p = %p }",
        dims_of(1, 1, 1, 1));
  eval(&t);
  const double decays[3] = {exp(-0.5), 1, 0};
  for (int h = 0; h < 3; h++) {
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) {
        expect_near(t.outputs[0].data[(h * 3 + i) * 3 + j], j > i ? 0 : pow(decays[h], i - j), 1e-15);
      }
      expect_near(t.outputs[1].data[h * 3 + i], pow(decays[h], 2 - i), 1e-15);
    }
  }
  finish(&t);
}

/* The grid of P = 5, C = 3, T = 6: offset 2, chunks 0..2 with rows of t = -2..6; the last row of the last is absent. */
static void test_grid(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %x = input kind=input : f32[B,T,2,4] %P = input kind=input : i64[] "
        "%pend = input kind=state : f32[B,3,2,4] "
        "%c = chunk %x, %P, %pend chunk=3 : f32[B,N,3,2,4] %q = chunk %x, %P chunk=3 : f32[B,N,3,2,4] "
        "%u = unchunk %c, %P chunk=3 : f32[B,T,2,4] %n = carry %c, %pend, %P chunk=3 : f32[B,3,2,4] "
        "output c = %c output q = %q output u = %u output pend = %n }",
        dims_of(2, 6, 3, 1));
  tensor_of(&t, "P")->data[0] = 5;
  eval(&t);
  const double *x = tensor_of(&t, "x")->data, *pending = tensor_of(&t, "pend")->data;
  for (int i = 0; i < 2 * 9 * 8; i++) {
    int b = i / 72, row = i / 8 % 9, s = row - 2, c = i % 8;
    double expected = s < 0 ? pending[(b * 3 + row) * 8 + c] : s < 6 ? x[(b * 6 + s) * 8 + c] : 0;
    assert_true(t.outputs[0].data[i] == expected);
    assert_true(t.outputs[1].data[i] == (s < 0 ? 0 : expected));
    if (row >= 6) assert_true(t.outputs[3].data[(b * 3 + row - 6) * 8 + c] == expected);
  }
  assert_memory_equal(t.outputs[2].data, x, 96 * sizeof *x);
  finish(&t);
}

/* Pending rows that this call does not write stay. */
static void test_carry_in_one_chunk(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %x = input kind=input : f32[B,T,1,2] %P = input kind=input : i64[] "
        "%pend = input kind=state : f32[B,4,1,2] "
        "%c = chunk %x, %P, %pend chunk=4 : f32[B,N,4,1,2] %n = carry %c, %pend, %P chunk=4 : f32[B,4,1,2] "
        "output n = %n }",
        dims_of(1, 2, 1, 1));
  tensor_of(&t, "P")->data[0] = 9;
  eval(&t);
  const double *x = tensor_of(&t, "x")->data, *pending = tensor_of(&t, "pend")->data;
  for (int i = 0; i < 8; i++) assert_true(t.outputs[0].data[i] == (i / 2 == 0 || i / 2 == 3 ? pending[i] : x[i - 2]));
  finish(&t);
}

static void test_scan(void **state) {
  (void)state;
  /* T = 6 from an offset of 2 completes 2 of 3 chunks of 3, or from an offset of 0 both of 2. */
  for (int offset = 0; offset < 3; offset += 2) {
    int chunks = offset ? 3 : 2;
    bench t;
    start(&t,
          "graph g { %u = input kind=input : f32[B,N,2,3,2] %d = input kind=input : f32[2,1] "
          "%s = input kind=state : f32[B,2,3,2] "
          "%P = input kind=input : i64[] %o = scan %u, %d, %s, %P chunk=3 : f32[B,N,2,3,2] "
          "%e = part %o index=1 : f32[B,2,3,2] output o = %o output s = %e }",
          dims_of(2, 6, chunks, 1));
    tensor_of(&t, "P")->data[0] = 300 + offset;
    eval(&t);
    const double *u = tensor_of(&t, "u")->data, *d = tensor_of(&t, "d")->data, *s = tensor_of(&t, "s")->data;
    for (int i = 0; i < 24; i++) {
      int b = i / 12, x = i % 12;
      double running = s[i];
      for (int n = 0; n < 2; n++) {
        assert_true(t.outputs[0].data[(b * chunks + n) * 12 + x] == running);
        running = d[x / 6] * running + u[(b * chunks + n) * 12 + x];
      }
      if (chunks == 3) assert_true(t.outputs[0].data[(b * 3 + 2) * 12 + x] == running);
      assert_true(t.outputs[1].data[i] == running);
    }
    finish(&t);
  }
}

static bool refuse(void *user, const char *name, const retc_type *type, const retc_dims *dims,
                   const retc_tensor **out_tensor) {
  (void)type;
  (void)dims;
  *out_tensor = user;
  return strcmp(name, "ids") == 0 && user;
}

static void expect_message(bench *t, const char *message) {
  assert_string_equal(retc_diagnostics_text(&t->diagnostics), message);
  retc_diagnostics_clear(&t->diagnostics);
}

static void test_refusals(void **state) {
  (void)state;
  bench t;
  start(&t,
        "graph g { %ids = input kind=input : i64[B,T] %w = const [1.0] : f32[5,2] %x = gather %w, %ids : f32[B,T,2] "
        "%l = tail %x : f32[B,L,2] %unused = input kind=weight : f32[9] output o = %l }",
        dims_of(1, 2, 1, 2));
  assert_int_equal(retc_graph_eval(t.graph, &t.dims, refuse, NULL, &t.diagnostics, t.outputs), RETC_INVALID);
  expect_message(&t, "input ids is not given\n");
  double number = 0;
  retc_tensor scalar = {.rank = 0, .data = &number};
  assert_int_equal(retc_graph_eval(t.graph, &t.dims, refuse, &scalar, &t.diagnostics, t.outputs), RETC_INVALID);
  expect_message(&t, "input ids: what is given has another shape than i64[B,T]\n");

  double *ids = tensor_of(&t, "ids")->data;
  const double bad[] = {5, -1, 0.5, NAN};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    ids[1] = bad[i];
    assert_int_equal(try_eval(&t), RETC_INVALID);
    assert_non_null(strstr(retc_diagnostics_text(&t.diagnostics), "gather: an id is"));
    retc_diagnostics_clear(&t.diagnostics);
  }
  ids[1] = 4;
  t.dims.value[RETC_DIM_L] = 3;
  assert_int_equal(try_eval(&t), RETC_INVALID);
  expect_message(&t, "tail: L is 3, expected 1 to 2\n");
  t.dims.value[RETC_DIM_L] = 2;
  eval(&t);
  finish(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_binary),
      cmocka_unit_test(test_unary),
      cmocka_unit_test(test_only_casts_round),
      cmocka_unit_test(test_indexing),
      cmocka_unit_test(test_rotate),
      cmocka_unit_test(test_contract),
      cmocka_unit_test(test_reductions),
      cmocka_unit_test(test_decays),
      cmocka_unit_test(test_grid),
      cmocka_unit_test(test_carry_in_one_chunk),
      cmocka_unit_test(test_scan),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
