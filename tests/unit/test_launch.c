/* Launches of GPU kernels: from loops of a grid to numbers in the plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/pass.h"

/* grid: rows = (B * 8 + 15) / 16 in x, T in y; 96 lanes. */
static const char text[] =
    "kernel probe(x: write f32[B,T,8]) {\n"
    "  let count = (B * 8 + 15) / 16\n"
    "  for t in 0..T grid {\n"
    "    for r in 0..count grid {\n"
    "      alloc tile: f32[100] shared\n"
    "      for l in 0..96 lane {\n"
    "        tile[l] = 1.0\n"
    "      }\n"
    "      barrier\n"
    "    }\n"
    "  }\n"
    "}\n";

static retc_kernel *read(const char *kernel_text) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_compilation *compilation;
  retc_status status = retc_compilation_parse(kernel_text, strlen(kernel_text), "probe", &diagnostics, &compilation);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(status, RETC_OK);
  retc_kernel *kernel = compilation->kernels.items[0];
  compilation->kernels.count = 0;
  retc_compilation_destroy(compilation);
  retc_diagnostics_deinit(&diagnostics);
  return kernel;
}

static void check_number(const retc_plan_number *number, const char *expected, int64_t value, const retc_dims *dims) {
  retc_text out;
  retc_text_init(&out);
  retc_plan_number_print(number, &out);
  assert_string_equal(out.data, expected);
  assert_int_equal(retc_plan_number_value(number, dims), value);
  retc_text_deinit(&out);
}

static void test_grid(void **state) {
  (void)state;
  char copy[sizeof text];
  memcpy(copy, text, sizeof text);
  retc_kernel *kernel = read(copy);
  retc_launch launch = retc_kernel_launch(kernel);
  assert_int_equal(launch.grid_count, 2);
  assert_int_equal(launch.block, 128);
  assert_int_equal(launch.shared_bytes, 448);
  retc_plan *plan = retc_plan_create();
  retc_plan_kernel described = retc_plan_describe_kernel(plan, kernel);
  assert_true(retc_plan_kernel_is_launch(&described));
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = 3;
  dims.value[RETC_DIM_T] = 7;
  check_number(&described.grid[0], "(((B * 8) + 15) / 16)", 2, &dims);
  check_number(&described.grid[1], "T", 7, &dims);
  check_number(&described.grid[2], "1", 1, &dims);
  check_number(&described.block[0], "128", 128, &dims);
  assert_int_equal(described.shared_bytes, 448);
  retc_plan_destroy(plan);
  retc_kernel_destroy(kernel);
}

static void test_numbers(void **state) {
  (void)state;
  const struct retc_plan_term terms[] = {{RETC_PLAN_DIM_TERM, RETC_DIM_T}, {RETC_PLAN_CONSTANT_TERM, 5},
                                         {RETC_PLAN_MIN, 0},               {RETC_PLAN_CONSTANT_TERM, 9},
                                         {RETC_PLAN_CONSTANT_TERM, 4},     {RETC_PLAN_MOD, 0},
                                         {RETC_PLAN_MAX, 0}};
  const retc_plan_number number = {terms, 7}, none = {NULL, 0};
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_T] = 8;
  check_number(&number, "max(min(T, 5), (9 % 4))", 5, &dims);
  check_number(&none, "0", 0, &dims);
}

static void test_cpu_kernel(void **state) {
  (void)state;
  retc_kernel *kernel = read("kernel plain(x: write f32[4]) {\n  for i in 0..4 parallel {\n    x[i] = 1.0\n  }\n}\n");
  assert_int_equal(retc_kernel_launch(kernel).grid_count, 0);
  retc_plan *plan = retc_plan_create();
  retc_plan_kernel described = retc_plan_describe_kernel(plan, kernel);
  assert_false(retc_plan_kernel_is_launch(&described));
  retc_plan_destroy(plan);
  retc_kernel_destroy(kernel);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_grid), cmocka_unit_test(test_numbers),
                                     cmocka_unit_test(test_cpu_kernel)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
