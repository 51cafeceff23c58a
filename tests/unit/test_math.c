#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/llvm/llvm_backend.h"
#include "ir/kernel_math.h"

enum { COUNT = 60013 }; /* not a multiple of any vector */

typedef union function {
  void *address;
  void (*run)(void *x, void *y, void *scratch, int64_t thread, int64_t threads);
} function;

/* y[i] = op(x[i]) with this kind of loop, expanded. */
static retc_kernel *write_kernel(const char *name, retc_kernel_op op, retc_dtype dtype, retc_loop_kind kind) {
  retc_kernel *kernel = retc_kernel_create(name);
  retc_writer w;
  retc_writer_init(&w, kernel);
  const retc_shape shape = {1, {COUNT}};
  retc_buffer_id x = retc_write_parameter(&w, "x", dtype, &shape, RETC_ACCESS_READ);
  retc_buffer_id y = retc_write_parameter(&w, "y", dtype, &shape, RETC_ACCESS_WRITE);
  retc_expr i =
    retc_write_for(&w, "i", kind, retc_expr_integer(kernel, 0), retc_expr_integer(kernel, COUNT), 1);
  retc_write_store(&w, y, &i, retc_expr_unary(kernel, op, retc_expr_load(kernel, x, &i)));
  retc_write_end(&w);
  retc_kernel *expanded = retc_kernel_expand_math(kernel);
  retc_kernel_destroy(kernel);
  return expanded;
}

/* inputs and outputs as doubles; the vector loop and the scalar one must give the same bits. */
static void evaluate(retc_kernel_op op, retc_dtype dtype, const double *inputs, double *outputs) {
  retc_kernel *kernels[] = {write_kernel("vector_loop", op, dtype, RETC_LOOP_VECTOR),
                            write_kernel("serial_loop", op, dtype, RETC_LOOP_SERIAL)};
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_llvm_module *module = NULL;
  retc_executable *executable = NULL;
  (void)retc_llvm_compile((const retc_kernel *const *)kernels, 2, NULL, &diagnostics, &module);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(retc_llvm_load(module, &diagnostics, &executable), RETC_OK);
  size_t size = COUNT * retc_dtype_size(dtype);
  void *x = malloc(size), *y[] = {malloc(size), malloc(size)};
  for (size_t i = 0; i < COUNT; i++) retc_dtype_store(dtype, x, i, inputs[i]);
  for (int n = 0; n < 2; n++) {
    function f = {executable->find(executable, kernels[n]->name)};
    f.run(x, y[n], NULL, 0, 1);
  }
  for (size_t i = 0; i < COUNT; i++) {
    outputs[i] = retc_dtype_load(dtype, y[0], i);
    if (!isnan(outputs[i])) continue;
    assert_true(isnan(retc_dtype_load(dtype, y[1], i)));
    retc_dtype_store(dtype, y[0], i, 0);
    retc_dtype_store(dtype, y[1], i, 0);
  }
  assert_memory_equal(y[0], y[1], size);
  free(x);
  free(y[0]);
  free(y[1]);
  executable->destroy(executable);
  retc_llvm_module_destroy(module);
  retc_diagnostics_deinit(&diagnostics);
  for (int n = 0; n < 2; n++) retc_kernel_destroy(kernels[n]);
}

/* Distance of two neighbours of the type at `value`. */
static long double ulp(retc_dtype dtype, long double value) {
  bool wide = dtype == RETC_DTYPE_F64;
  int exponent;
  frexpl(value, &exponent);
  exponent -= wide ? 53 : 24;
  int smallest = wide ? -1074 : -149;
  return ldexpl(1.0L, exponent > smallest ? exponent : smallest);
}

typedef long double (*exact_function)(long double);

/* The largest error in ulps and absolutely; infinities must be where they are rounded to. */
static void measure(retc_kernel_op op, retc_dtype dtype, exact_function exact, const double *inputs,
                    long double *out_ulps, long double *out_absolute) {
  double *outputs = malloc(COUNT * sizeof *outputs);
  evaluate(op, dtype, inputs, outputs);
  *out_ulps = *out_absolute = 0;
  for (size_t i = 0; i < COUNT; i++) {
    long double expected = exact((long double)inputs[i]);
    double rounded = dtype == RETC_DTYPE_F64 ? (double)expected : (double)(float)expected;
    if (isnan(expected) || isinf(rounded)) {
      assert_true(isnan(expected) ? isnan(outputs[i]) : outputs[i] == rounded);
      continue;
    }
    if (!isfinite(outputs[i])) fail_msg("%a gives %a", inputs[i], outputs[i]);
    long double error = fabsl((long double)outputs[i] - expected);
    if (error > *out_absolute) *out_absolute = error;
    if (error / ulp(dtype, expected) > *out_ulps) *out_ulps = error / ulp(dtype, expected);
  }
  free(outputs);
}

/* Evenly from low to high, rounded to the type. The first ones are special. */
static double *spread(retc_dtype dtype, double low, double high) {
  double *inputs = malloc(COUNT * sizeof *inputs);
  const double special[] = {0.0, -0.0, 1e-30, -1e-30, NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < COUNT; i++) {
    inputs[i] = i < 7 ? special[i] : low + (high - low) * (double)i / (COUNT - 1);
    if (dtype == RETC_DTYPE_F32) inputs[i] = (double)(float)inputs[i];
  }
  return inputs;
}

static void check(retc_kernel_op op, retc_dtype dtype, exact_function exact, double low, double high,
                  long double most_ulps, long double most_absolute) {
  double *inputs = spread(dtype, low, high);
  long double ulps, absolute;
  measure(op, dtype, exact, inputs, &ulps, &absolute);
  free(inputs);
  if (ulps > most_ulps || absolute > most_absolute)
    fail_msg("%s of %s, %g to %g: %Lg ulp, %Lg absolute", retc_kernel_op_get_info(op)->name, retc_dtype_name(dtype),
             low, high, ulps, absolute);
}

static void test_exp(void **state) {
  (void)state;
  const double ranges[][2] = {{-0.4, 0.4}, {-10, 10}, {-110, 95}, {-104, -86}, {88, 89}};
  for (int i = 0; i < 5; i++)
    check(RETC_KERNEL_OP_EXP, RETC_DTYPE_F32, expl, ranges[i][0], ranges[i][1], 1.5L, INFINITY);
  const double wide_ranges[][2] = {{-0.4, 0.4}, {-10, 10}, {-800, 720}, {-746, -700}, {709, 710}};
  for (int i = 0; i < 5; i++)
    check(RETC_KERNEL_OP_EXP, RETC_DTYPE_F64, expl, wide_ranges[i][0], wide_ranges[i][1], 2, INFINITY);
}

static void test_log(void **state) {
  (void)state;
  const double ranges[][2] = {{-1, 2}, {0.99, 1.01}, {0.7, 1.42}, {0, 1e-300}, {0, 1e-310}, {1e300, 1.7e308}};
  for (int i = 0; i < 6; i++)
    check(RETC_KERNEL_OP_LOG, RETC_DTYPE_F64, logl, ranges[i][0], ranges[i][1], 1.5L, INFINITY);
  const double narrow_ranges[][2] = {{-1, 2}, {0.99, 1.01}, {0, 1e-38}, {0, 1e-40}, {1, 3e38}};
  for (int i = 0; i < 5; i++)
    check(RETC_KERNEL_OP_LOG, RETC_DTYPE_F32, logl, narrow_ranges[i][0], narrow_ranges[i][1], 0.51L, INFINITY);
}

static void test_tanh(void **state) {
  (void)state;
  const double ends[] = {1e-6, 0.17, 0.2, 1, 30};
  for (int i = 0; i < 5; i++) {
    check(RETC_KERNEL_OP_TANH, RETC_DTYPE_F64, tanhl, -ends[i], ends[i], 8, INFINITY);
    check(RETC_KERNEL_OP_TANH, RETC_DTYPE_F32, tanhl, -ends[i], ends[i], 0.51L, INFINITY);
  }
}

static void test_sine(void **state) {
  (void)state;
  const double ends[] = {1, 10, 1000, 1e7};
  for (int i = 0; i < 4; i++) {
    check(RETC_KERNEL_OP_SIN, RETC_DTYPE_F64, sinl, -ends[i], ends[i], INFINITY, 1e-13L);
    check(RETC_KERNEL_OP_COS, RETC_DTYPE_F64, cosl, -ends[i], ends[i], INFINITY, 1e-13L);
    check(RETC_KERNEL_OP_SIN, RETC_DTYPE_F32, sinl, -ends[i], ends[i], INFINITY, 6e-8L);
    check(RETC_KERNEL_OP_COS, RETC_DTYPE_F32, cosl, -ends[i], ends[i], INFINITY, 6e-8L);
  }
}

static void test_erf(void **state) {
  (void)state;
  const double ends[] = {1e-3, 1.1, 7, 100};
  for (int i = 0; i < 4; i++) {
    check(RETC_KERNEL_OP_ERF, RETC_DTYPE_F32, erfl, -ends[i], ends[i], 2, INFINITY);
    check(RETC_KERNEL_OP_ERF, RETC_DTYPE_F64, erfl, -ends[i], ends[i], 90, 1e-14L);
  }
}

/* Everything else is copied: a kernel without these functions prints the same, and twice is as once. */
static void test_expansion_is_complete(void **state) {
  (void)state;
  retc_kernel *once = write_kernel("k", RETC_KERNEL_OP_ERF, RETC_DTYPE_F32, RETC_LOOP_VECTOR);
  retc_kernel *twice = retc_kernel_expand_math(once);
  retc_text a, b;
  retc_text_init(&a);
  retc_text_init(&b);
  retc_kernel_print(once, &a);
  retc_kernel_print(twice, &b);
  assert_string_equal(a.data, b.data);
  const char *const gone[] = {"exp(", "sin(", "cos(", "erf(", "log(", "tanh("};
  for (int i = 0; i < 6; i++) assert_null(strstr(a.data, gone[i]));
  retc_text_deinit(&a);
  retc_text_deinit(&b);
  retc_kernel_destroy(once);
  retc_kernel_destroy(twice);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_exp),
    cmocka_unit_test(test_log),
    cmocka_unit_test(test_tanh),
    cmocka_unit_test(test_sine),
    cmocka_unit_test(test_erf),
    cmocka_unit_test(test_expansion_is_complete),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
