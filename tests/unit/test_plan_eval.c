/* Plans run by the kernel interpreter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/plan_eval.h"
#include "tests/unit/plan_bench.h"

enum { ROWS = 3 };

typedef struct rig {
  plan_bench b;
  retc_plan_evaluation *evaluation;
  float in[ROWS][WIDTH], weight[OUTPUTS][WIDTH];
} rig;

static void check(rig *r, retc_status status) {
  assert_string_equal(retc_diagnostics_text(&r->b.diagnostics), "");
  assert_int_equal(status, RETC_OK);
}

static retc_status set(rig *r, const char *name, retc_dtype dtype, int64_t rows, int64_t columns, const void *data) {
  const retc_plan_array array = {dtype, 2, {rows, columns}, data};
  return retc_plan_evaluation_set(r->evaluation, name, &array, &r->b.diagnostics);
}

static retc_status call(rig *r, int64_t rows) {
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = rows;
  return retc_plan_evaluation_call(r->evaluation, "step", &dims, &r->b.diagnostics);
}

static void create(rig *r) {
  check(r, retc_plan_evaluation_create(r->b.plan, (const retc_kernel *const *)r->b.kernels, KERNEL_COUNT,
                                       &r->b.diagnostics, &r->evaluation));
}

static void give(rig *r) {
  for (int i = 0; i < ROWS * WIDTH; i++) (&r->in[0][0])[i] = (float)(i % 7) - 2.0f;
  for (int i = 0; i < OUTPUTS * WIDTH; i++) (&r->weight[0][0])[i] = (float)(i % 11) - 5.0f;
  check(r, set(r, "in", RETC_DTYPE_F32, ROWS, WIDTH, r->in));
  check(r, set(r, "weight", RETC_DTYPE_F32, OUTPUTS, WIDTH, r->weight));
}

static void rig_open(rig *r) {
  plan_bench_open(&r->b);
  create(r);
  give(r);
}

static void rig_close(rig *r) {
  retc_plan_evaluation_destroy(r->evaluation);
  plan_bench_close(&r->b);
}

static void refused(rig *r, retc_status expected, retc_status found, const char *words) {
  const char *text = retc_diagnostics_text(&r->b.diagnostics);
  if (!strstr(text, words)) fail_msg("'%s' does not say '%s'", text, words);
  assert_int_equal(found, expected);
  retc_diagnostics_clear(&r->b.diagnostics);
}

/* After so many calls with the same input. */
static void check_output(rig *r, const char *name, int calls) {
  retc_plan_array out;
  assert_true(retc_plan_evaluation_find(r->evaluation, name, &out));
  assert_int_equal(out.dtype, RETC_DTYPE_F32);
  assert_int_equal(out.rank, 2);
  assert_int_equal(out.dim[0], ROWS);
  assert_int_equal(out.dim[1], OUTPUTS);
  const float *found = out.data;
  for (int row = 0; row < ROWS; row++) {
    for (int n = 0; n < OUTPUTS; n++) {
      float sum = 0;
      for (int i = 0; i < WIDTH; i++) sum += 4.0f * (float)calls * r->in[row][i] * r->weight[n][i];
      assert_true(found[row * OUTPUTS + n] == sum);
    }
  }
}

/* Outputs by all of their names, states that go on, and begin anew. */
static void test_calls(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_plan_array array;
  assert_false(retc_plan_evaluation_find(r.evaluation, "out", &array));
  for (int calls = 1; calls <= 3; calls++) {
    check(&r, call(&r, ROWS));
    check_output(&r, "out", calls);
    check_output(&r, "same", calls);
    assert_true(retc_plan_evaluation_find(r.evaluation, "sum", &array));
    assert_int_equal(array.dim[0], ROWS);
    assert_true(((const float *)array.data)[1] == 4.0f * (float)calls * r.in[0][1]);
    assert_false(retc_plan_evaluation_find(r.evaluation, "a", &array));
  }
  retc_plan_evaluation_reset(r.evaluation);
  check(&r, call(&r, ROWS));
  check_output(&r, "out", 1);
  float sum[ROWS][WIDTH];
  for (int i = 0; i < ROWS * WIDTH; i++) (&sum[0][0])[i] = 8.0f * (&r.in[0][0])[i]; /* as after two calls */
  check(&r, set(&r, "sum", RETC_DTYPE_F32, ROWS, WIDTH, sum));
  check(&r, call(&r, ROWS));
  check_output(&r, "out", 3);
  rig_close(&r);
}

/* Every buffer alone, as before the pass memory. */
static void test_without_slots(void **state) {
  (void)state;
  rig r;
  plan_bench_open(&r.b);
  for (int i = 0; i < BUFFER_COUNT; i++) r.b.plan->buffers.items[i].slot = -1;
  create(&r);
  give(&r);
  check(&r, call(&r, ROWS));
  check_output(&r, "out", 1);
  rig_close(&r);
}

/* A file's dtype becomes the plan's; weights that the runtime loaded are taken as they are. */
static void test_weights(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  uint16_t narrow[OUTPUTS][WIDTH];
  retc_dtype_convert(RETC_DTYPE_F32, r.weight, RETC_DTYPE_BF16, narrow, OUTPUTS * WIDTH);
  check(&r, set(&r, "weight", RETC_DTYPE_BF16, OUTPUTS, WIDTH, narrow));
  check(&r, call(&r, ROWS));
  check_output(&r, "out", 1);

  float panels[PANELS * WIDTH * RETC_PANEL];
  retc_pack_panels(RETC_DTYPE_F32, r.weight, OUTPUTS, WIDTH, RETC_DTYPE_F32, panels);
  void *data[BUFFER_COUNT] = {[WEIGHT] = panels, [BIAS] = panels};
  const retc_weights weights = {.data = data, .count = BUFFER_COUNT};
  retc_plan_evaluation_destroy(r.evaluation);
  create(&r);
  retc_plan_evaluation_lend_weights(r.evaluation, &weights);
  refused(&r, RETC_INVALID, call(&r, ROWS), "input 'in' was not set");
  check(&r, set(&r, "in", RETC_DTYPE_F32, ROWS, WIDTH, r.in));
  check(&r, call(&r, ROWS));
  check_output(&r, "out", 1);
  rig_close(&r);
}

static void test_refusals(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  refused(&r, RETC_INVALID, set(&r, "weigth", RETC_DTYPE_F32, OUTPUTS, WIDTH, r.weight),
          "the program has no weight, input or state called 'weigth'; did you mean 'weight'?");
  refused(&r, RETC_INVALID, set(&r, "a", RETC_DTYPE_F32, ROWS, WIDTH, r.in), "no weight, input or state called 'a'");
  refused(&r, RETC_INVALID, set(&r, "weight", RETC_DTYPE_F32, OUTPUTS, WIDTH + 1, r.weight),
          "weight 'weight' is f32[100,5], expected f32[100,4]");
  refused(&r, RETC_INVALID, set(&r, "in", RETC_DTYPE_F64, ROWS, WIDTH, r.in),
          "input 'in' is f64[3,4], expected f32[B,4]");
  retc_dims dims = {{0}};
  refused(&r, RETC_INVALID, retc_plan_evaluation_call(r.evaluation, "stop", &dims, &r.b.diagnostics),
          "the program has no entry called 'stop'; did you mean 'step'?");
  refused(&r, RETC_INVALID, call(&r, ROWS - 1), "axis 0 of input 'in' is 3, but the call has B = 2");
  check(&r, call(&r, ROWS));
  check(&r, set(&r, "in", RETC_DTYPE_F32, ROWS - 1, WIDTH, r.in));
  refused(&r, RETC_INVALID, call(&r, ROWS - 1), "axis 0 of state 'sum' is 3, but the call has B = 2");
  retc_plan_array array;
  assert_false(retc_plan_evaluation_find(r.evaluation, "out", &array));
  rig_close(&r);

  plan_bench_open(&r.b);
  r.b.plan->kernels.items[SCALE].name = "other";
  refused(&r, RETC_INTERNAL,
          retc_plan_evaluation_create(r.b.plan, (const retc_kernel *const *)r.b.kernels, KERNEL_COUNT, &r.b.diagnostics,
                                      &r.evaluation),
          "plan: kernel other is not there");
  plan_bench_close(&r.b);
}

/* b lies where a does; c is made of a after b was written. */
static void test_wrong_memory(void **state) {
  (void)state;
  rig r;
  plan_bench_open(&r.b);
  r.b.plan->buffers.items[B].slot = 0;
  r.b.plan->buffers.items[C].slot = 1;
  r.b.arguments[DOUBLE_A][0] = IN;
  r.b.arguments[ADD_SUM][0] = A;
  create(&r);
  give(&r);
  retc_status status = call(&r, ROWS);
  const char *text = retc_diagnostics_text(&r.b.diagnostics);
  if (!strstr(text, "element [0,0] of x is read as a, but was written last as b, in: let sum = x[row_1,i]") ||
      !strstr(text, "entry step, step 2, region add.sum: x is 'a' in slot 0, s is 'sum', y is 'c' in slot 1"))
    fail_msg("%s", text);
  refused(&r, RETC_FAILED, status, "kernel add: ");
  rig_close(&r);
}

/* One step's operand and result in one place; an output that another buffer overwrote, or that nobody wrote whole. */
static void test_wrong_places(void **state) {
  (void)state;
  rig r;
  plan_bench_open(&r.b);
  r.b.plan->buffers.items[B].slot = 0;
  create(&r);
  give(&r);
  refused(&r, RETC_FAILED, call(&r, ROWS), "parameters y and x share memory, and y is written");
  rig_close(&r);

  plan_bench_open(&r.b);
  r.b.plan->buffers.items[A].kind = RETC_PLAN_OUTPUT;
  r.b.plan->entries.items[0].outputs.items[1].buffer = A;
  create(&r);
  give(&r);
  refused(&r, RETC_FAILED, call(&r, ROWS), "entry step: element 0 of output 'a' was overwritten as 'c'");
  rig_close(&r);

  plan_bench_open(&r.b);
  retc_statement *rows = r.b.kernels[PROJECT]->body.statements.items[0];
  rows->low = retc_expr_integer(r.b.kernels[PROJECT], 1);
  create(&r);
  give(&r);
  refused(&r, RETC_FAILED, call(&r, ROWS), "entry step: element 0 of output 'out' is not written");
  rig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_calls),    cmocka_unit_test(test_without_slots), cmocka_unit_test(test_weights),
    cmocka_unit_test(test_refusals), cmocka_unit_test(test_wrong_memory),  cmocka_unit_test(test_wrong_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
