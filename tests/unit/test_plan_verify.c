/* The plan verifier: a sound plan passes, each defect has its message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/plan_verify.h"
#include "tests/unit/plan_bench.h"

static retc_status verify(plan_bench *b) {
  return retc_plan_verify(b->plan, (const retc_kernel *const *)b->kernels, KERNEL_COUNT, &b->diagnostics,
                          &(retc_plan_place){0, 0});
}

static void passes(plan_bench *b) {
  retc_status status = verify(b);
  assert_string_equal(retc_diagnostics_text(&b->diagnostics), "");
  assert_int_equal(status, RETC_OK);
  plan_bench_close(b);
}

static void fails(plan_bench *b, const char *words) {
  assert_int_equal(verify(b), RETC_INTERNAL);
  const char *text = retc_diagnostics_text(&b->diagnostics);
  if (!strstr(text, words) || !strstr(text, "plan: entry step")) fail_msg("'%s' does not say '%s'", text, words);
  plan_bench_close(b);
}

static retc_plan_buffer *buffer(plan_bench *b, int index) { return &b->plan->buffers.items[index]; }
static retc_plan_entry *entry(plan_bench *b) { return &b->plan->entries.items[0]; }

static void test_sound(void **state) {
  (void)state;
  plan_bench b;
  plan_bench_open(&b);
  passes(&b);
  plan_bench_open(&b); /* before memory is planned */
  for (int i = 0; i < BUFFER_COUNT; i++) buffer(&b, i)->slot = -1;
  passes(&b);
}

static void test_steps(void **state) {
  (void)state;
  plan_bench b;
  plan_bench_open(&b);
  entry(&b)->steps.items[DOUBLE_A].kernel = 3;
  fails(&b, "step 1, region double.a: kernel 3, there are 3");
  plan_bench_open(&b);
  b.plan->kernels.items[ADD].name = "added";
  fails(&b, "step 2, region add.sum: kernel added does not exist");
  plan_bench_open(&b);
  b.plan->kernels.items[PROJECT].scratch_bytes = 64;
  fails(&b, "step 3, region project.c: kernel project has another signature than the plan says");
  plan_bench_open(&b);
  b.arguments[ADD_SUM][2] = BUFFER_COUNT;
  fails(&b, "step 2, region add.sum: argument 2 of kernel add is buffer 8, there are 8");
}

static void test_types(void **state) {
  (void)state;
  plan_bench b;
  plan_bench_open(&b);
  buffer(&b, A)->dtype = RETC_DTYPE_BF16;
  fails(&b, "step 0, region double.in: buffer 'a' is bf16[B,4], parameter y of kernel scale is f32[B,4]");
  plan_bench_open(&b);
  buffer(&b, A)->shape.dim[0] = RETC_NAMED(T);
  fails(&b, "buffer 'a' is f32[T,4], parameter y of kernel scale is f32[B,4]");
  plan_bench_open(&b);
  buffer(&b, WEIGHT)->layout = RETC_LAYOUT_PLAIN;
  fails(&b, "step 3, region project.c: buffer 'weight' is f32[100,4], parameter w of kernel project is f32[2,4,64]");
  plan_bench_open(&b);
  buffer(&b, WEIGHT)->shape.dim[0] = 129;
  fails(&b, "buffer 'weight' is f32[3,4,64], parameter w of kernel project is f32[2,4,64]");
}

static void test_order(void **state) {
  (void)state;
  plan_bench b;
  plan_bench_open(&b);
  b.arguments[DOUBLE_IN][0] = B;
  fails(&b, "step 0, region double.in: buffer 'b' is read before it is written");
  plan_bench_open(&b);
  b.arguments[DOUBLE_A][1] = A;
  b.arguments[DOUBLE_A][0] = IN;
  fails(&b, "step 1, region double.a: two writers of one buffer: 'a' is written by step 0 too");
  plan_bench_open(&b);
  b.arguments[DOUBLE_A][1] = A;
  fails(&b, "step 1, region double.a: kernel scale writes buffer 'a' and gets it twice");
  plan_bench_open(&b);
  b.arguments[DOUBLE_A][1] = IN;
  fails(&b, "buffer 'in' is written, it is a weight, constant or input");
  plan_bench_open(&b);
  b.arguments[PROJECT_C][0] = SUM;
  fails(&b, "step 3, region project.c: state 'sum' is read after step 2 replaced it");
  plan_bench_open(&b); /* two steps write a state that neither reads */
  b.arguments[DOUBLE_IN][1] = SUM;
  b.arguments[DOUBLE_A][0] = IN;
  b.arguments[DOUBLE_A][1] = SUM;
  fails(&b, "step 1, region double.a: two writers of one buffer: 'sum' is written by step 0 too");
}

static void test_outputs(void **state) {
  (void)state;
  plan_bench b;
  plan_bench_open(&b);
  entry(&b)->steps.count = PROJECT_C;
  fails(&b, "entry step: output 'out', buffer 'out', is not written");
  plan_bench_open(&b);
  entry(&b)->outputs.items[1].buffer = 99;
  fails(&b, "entry step: output 'same' is buffer 99, there are 8");
  plan_bench_open(&b); /* an input may be handed out */
  entry(&b)->outputs.items[1].buffer = IN;
  passes(&b);
}

static void test_slots(void **state) {
  (void)state;
  plan_bench b;
  plan_bench_open(&b);
  buffer(&b, B)->slot = 0;
  fails(&b, "step 1, region double.a: buffers 'a' and 'b' are in use at the same time in slot 0");
  plan_bench_open(&b);
  buffer(&b, OUT)->slot = 1;
  passes(&b);
  plan_bench_open(&b); /* an output stays */
  buffer(&b, A)->kind = RETC_PLAN_OUTPUT;
  RETC_VEC_PUSH(&b.plan->arena, entry(&b)->outputs, ((retc_plan_output){"a", A}));
  fails(&b, "step 2, region add.sum: buffers 'a' and 'c' are in use at the same time in slot 0");
  plan_bench_open(&b);
  buffer(&b, C)->slot = 3;
  fails(&b, "buffer 'c' is in slot 3, there are 3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sound), cmocka_unit_test(test_steps),   cmocka_unit_test(test_types),
    cmocka_unit_test(test_order), cmocka_unit_test(test_outputs), cmocka_unit_test(test_slots),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
