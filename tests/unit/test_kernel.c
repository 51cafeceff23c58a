#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/kernel.h"

typedef struct rig {
  retc_kernel *kernel;
  retc_writer w;
  retc_buffer_id x, y, acc; /* x: read f32[B,8], y: write f32[8], acc: private f32[4,8] */
} rig;

static void rig_open(rig *r) {
  r->kernel = retc_kernel_create("probe");
  retc_writer_init(&r->w, r->kernel);
  r->x = retc_write_parameter(&r->w, "x", RETC_DTYPE_F32, &(retc_shape){2, {RETC_NAMED(B), 8}}, RETC_ACCESS_READ);
  r->y = retc_write_parameter(&r->w, "y", RETC_DTYPE_F32, &(retc_shape){1, {8}}, RETC_ACCESS_WRITE);
}

static void rig_alloc(rig *r) {
  r->acc = retc_write_alloc(&r->w, "acc", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){4, 8});
}

static retc_expr integer(rig *r, int64_t value) { return retc_expr_integer(r->kernel, value); }
static retc_expr real(rig *r, double value) { return retc_expr_number(r->kernel, RETC_DTYPE_F32, value); }
static retc_expr op2(rig *r, retc_kernel_op op, retc_expr a, retc_expr b) {
  return retc_expr_binary(r->kernel, op, a, b);
}
static retc_expr loop(rig *r, const char *name, retc_loop_kind kind, int64_t high) {
  return retc_write_for(&r->w, name, kind, integer(r, 0), integer(r, high), 1);
}
static retc_expr load_x(rig *r, retc_expr row, retc_expr column) {
  return retc_expr_load(r->kernel, r->x, (retc_expr[]){row, column});
}

static void check_text(const retc_kernel *kernel, const char *expected) {
  retc_text text;
  retc_text_init(&text);
  retc_kernel_print(kernel, &text);
  assert_string_equal(text.data, expected);
  retc_text_deinit(&text);
}

static void check_valid(const retc_kernel *kernel) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_status status = retc_kernel_verify(kernel, &diagnostics);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(status, RETC_OK);
  retc_diagnostics_deinit(&diagnostics);
}

/* The verifier refuses the kernel with these words. Takes the kernel. */
static void check_refused(rig *r, const char *words) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  assert_int_equal(retc_kernel_verify(r->kernel, &diagnostics), RETC_INTERNAL);
  const char *text = retc_diagnostics_text(&diagnostics);
  if (!strstr(text, words) || !strstr(text, "kernel probe: ")) fail_msg("'%s' does not say '%s'", text, words);
  retc_diagnostics_deinit(&diagnostics);
  retc_kernel_destroy(r->kernel);
}

static void write_example(rig *r) {
  rig_open(r);
  r->kernel->comment = "an example\nof two lines";
  retc_expr rows = retc_expr_dim(r->kernel, RETC_NAMED(B));
  retc_expr tasks = retc_write_let(&r->w, "tasks", op2(r, RETC_KERNEL_OP_DIV, rows, integer(r, 4)));
  retc_expr task = retc_write_for(&r->w, "task", RETC_LOOP_PARALLEL, integer(r, 0), tasks, 1);
  rig_alloc(r);
  retc_expr zeros[] = {integer(r, 0), integer(r, 0)};
  retc_write_comment(&r->w, "the first tile");
  retc_expr first = op2(r, RETC_KERNEL_OP_MUL, op2(r, RETC_KERNEL_OP_ADD, task, integer(r, 1)), integer(r, 4));
  retc_expr m0 = retc_write_let(&r->w, "m0", first);
  retc_expr i = loop(r, "i", RETC_LOOP_UNROLL, 4), n = loop(r, "n", RETC_LOOP_VECTOR, 8);
  retc_write_store(&r->w, r->acc, (retc_expr[]){i, n}, real(r, 0));
  retc_write_end(&r->w);
  retc_write_end(&r->w);
  retc_write_mma(&r->w, retc_write_view(&r->w, r->acc, zeros, 0, 1),
                 retc_write_view(&r->w, r->x, (retc_expr[]){m0, integer(r, 0)}, 0, 1),
                 retc_write_view(&r->w, r->x, zeros, 0, 1), 4, 8, op2(r, RETC_KERNEL_OP_ADD, rows, integer(r, 2)));
  retc_write_if(&r->w, op2(r, RETC_KERNEL_OP_LESS, task, integer(r, 3)));
  i = retc_write_for(&r->w, "i", RETC_LOOP_SERIAL, integer(r, 0), integer(r, 8), 2);
  retc_expr a = retc_expr_load(r->kernel, r->acc, (retc_expr[]){integer(r, 3), i});
  retc_expr b = retc_expr_unary(r->kernel, RETC_KERNEL_OP_NEG, a);
  retc_expr value = retc_expr_ternary(r->kernel, RETC_KERNEL_OP_FMA, a, b, a);
  value = op2(r, RETC_KERNEL_OP_MUL, value, real(r, 0.125));
  retc_write_store(&r->w, r->y, &i, op2(r, RETC_KERNEL_OP_MAX, value, real(r, -2)));
  retc_write_end(&r->w);
  retc_write_else(&r->w);
  value = retc_expr_cast(r->kernel, RETC_DTYPE_F64, m0);
  value = op2(r, RETC_KERNEL_OP_SUB, retc_expr_number(r->kernel, RETC_DTYPE_F64, 0.5), value);
  retc_write_store(&r->w, r->y, (retc_expr[]){integer(r, 7)}, retc_expr_cast(r->kernel, RETC_DTYPE_F32, value));
  retc_write_end(&r->w);
  retc_write_end(&r->w);
}

static const char example[] =
  "# an example\n"
  "# of two lines\n"
  "kernel probe(x: read f32[B,8], y: write f32[8]) {\n"
  "  let tasks = B / 4\n"
  "  for task in 0..tasks parallel {\n"
  "    alloc acc: f32[4,8] private\n"
  "    # the first tile\n"
  "    let m0 = (task + 1) * 4\n"
  "    for i in 0..4 unroll {\n"
  "      for n in 0..8 vector {\n"
  "        acc[i,n] = 0.0\n"
  "      }\n"
  "    }\n"
  "    mma acc[0,0](row 0, column 1) += x[m0,0](row 0, column 1) * x[0,0](row 0, column 1) "
  "rows 4 columns 8 depth (B + 2)\n"
  "    if task < 3 {\n"
  "      for i_1 in 0..8 step 2 {\n"
  "        y[i_1] = max(fma(acc[3,i_1], neg(acc[3,i_1]), acc[3,i_1]) * 0.125, -2.0)\n"
  "      }\n"
  "    } else {\n"
  "      y[7] = f32(0.5_f64 - f64(m0))\n"
  "    }\n"
  "  }\n"
  "}\n";

static void test_text(void **state) {
  (void)state;
  rig r;
  write_example(&r);
  check_text(r.kernel, example);
  check_valid(r.kernel);
  retc_signature signature = retc_kernel_signature(r.kernel);
  assert_int_equal(signature.buffer_count, 2);
  assert_int_equal(signature.dim_count, 1);
  assert_int_equal(signature.dims[0], RETC_DIM_B);
  assert_int_equal(signature.scratch_bytes, 128);
  retc_kernel_destroy(r.kernel);
}

static retc_expr keep(void *user, retc_writer *w, const retc_expr_node *node, const retc_expr *inputs) {
  (void)user, (void)w, (void)node, (void)inputs;
  return (retc_expr){0};
}

/* neg(a) becomes 0 - a by way of a let. */
static retc_expr replace_neg(void *user, retc_writer *w, const retc_expr_node *node, const retc_expr *inputs) {
  if (node->op != RETC_KERNEL_OP_NEG) return (retc_expr){0};
  ++*(int *)user;
  retc_expr a = retc_write_let(w, "m0", inputs[0]);
  return retc_expr_binary(w->kernel, RETC_KERNEL_OP_SUB, retc_expr_number(w->kernel, node->dtype, 0), a);
}

static void test_rewrite(void **state) {
  (void)state;
  rig r;
  write_example(&r);
  retc_kernel *same = retc_kernel_rewrite(r.kernel, keep, NULL);
  check_text(same, example);
  check_valid(same);
  int count = 0;
  retc_kernel *other = retc_kernel_rewrite(same, replace_neg, &count);
  retc_kernel_destroy(same);
  assert_int_equal(count, 1);
  check_valid(other);
  retc_text text;
  retc_text_init(&text);
  retc_kernel_print(other, &text);
  assert_non_null(strstr(text.data, "        let m0_1 = acc[3,i_1]\n"
                                    "        y[i_1] = max(fma(acc[3,i_1], 0.0 - m0_1, acc[3,i_1]) * 0.125, -2.0)\n"));
  retc_text_deinit(&text);
  retc_kernel_destroy(other);
  retc_kernel_destroy(r.kernel);
}

static void check_expr(rig *r, retc_expr expr, const char *expected) {
  retc_text text;
  retc_text_init(&text);
  retc_kernel_print_expr(r->kernel, expr, &text);
  assert_string_equal(text.data, expected);
  retc_text_deinit(&text);
}

static void test_folding(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_expr t = retc_expr_dim(r.kernel, RETC_NAMED(T)), zero = integer(&r, 0), one = integer(&r, 1);
  check_expr(&r, op2(&r, RETC_KERNEL_OP_MUL, integer(&r, 6), integer(&r, 7)), "42");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_DIV, integer(&r, 7), integer(&r, 2)), "3");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_DIV, integer(&r, 7), zero), "7 / 0");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_ADD, integer(&r, INT64_MAX), one), "-9223372036854775808");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_ADD, zero, t), "T");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_ADD, t, zero), "T");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_MUL, t, one), "T");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_MUL, zero, t), "0");
  check_expr(&r, op2(&r, RETC_KERNEL_OP_MUL, real(&r, 0), real(&r, 1)), "0.0 * 1.0");
  check_expr(&r, retc_expr_dim(r.kernel, 5), "5");
  check_expr(&r, retc_expr_cast(r.kernel, RETC_DTYPE_I64, t), "T");
  check_expr(&r, retc_expr_number(r.kernel, RETC_DTYPE_F64, -INFINITY), "-inf_f64");
  check_expr(&r, real(&r, 0.1), "0.10000000149011612");
  retc_kernel_destroy(r.kernel);
}

/* Names that mean something in the text are not given to variables. */
static void test_names(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  const char *const names[] = {"B", "x", "for", "f32", "max", "vector"};
  const char *const expected[] = {"B_1", "x_1", "for_1", "f32_1", "max_1", "vector_1"};
  for (int i = 0; i < 6; i++) check_expr(&r, retc_write_let(&r.w, names[i], integer(&r, i)), expected[i]);
  check_valid(r.kernel);
  retc_kernel_destroy(r.kernel);
}

static void test_refuses_types(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_write_let(&r.w, "v", op2(&r, RETC_KERNEL_OP_ADD, real(&r, 1), integer(&r, 1)));
  check_refused(&r, "+ of f32 and i64, in: let v = 1.0 + 1");
  rig_open(&r);
  retc_write_let(&r.w, "v", retc_expr_unary(r.kernel, RETC_KERNEL_OP_SQRT, retc_expr_dim(r.kernel, RETC_NAMED(T))));
  check_refused(&r, "sqrt of i64");
  rig_open(&r);
  retc_write_let(&r.w, "v", op2(&r, RETC_KERNEL_OP_AND, real(&r, 1), real(&r, 1)));
  check_refused(&r, "and of f32");
  rig_open(&r);
  retc_write_let(&r.w, "v", retc_expr_ternary(r.kernel, RETC_KERNEL_OP_SELECT, real(&r, 1), real(&r, 1), real(&r, 1)));
  check_refused(&r, "the condition of select is f32, expected bool");
  rig_open(&r);
  retc_write_if(&r.w, integer(&r, 1));
  check_refused(&r, "the condition is i64, expected bool");
  rig_open(&r);
  retc_write_store(&r.w, r.y, (retc_expr[]){integer(&r, 0)}, integer(&r, 1));
  check_refused(&r, "the value is i64, expected f32");
  rig_open(&r);
  retc_write_store(&r.w, r.y, (retc_expr[]){real(&r, 0)}, real(&r, 1));
  check_refused(&r, "index 0 of y is f32, expected i64");
}

static void test_refuses_scopes(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_expr i = loop(&r, "i", RETC_LOOP_SERIAL, 8);
  retc_write_end(&r.w);
  retc_write_store(&r.w, r.y, &i, real(&r, 1));
  check_refused(&r, "variable i is used out of its scope");

  rig_open(&r);
  retc_expr v = retc_write_let(&r.w, "v", real(&r, 1));
  retc_write_store(&r.w, r.y, (retc_expr[]){integer(&r, 0)}, v);
  struct retc_statement **items = r.kernel->body.statements.items;
  struct retc_statement *let = items[0];
  items[0] = items[1];
  items[1] = let;
  check_refused(&r, "variable v is used before its definition");

  rig_open(&r);
  retc_write_let(&r.w, "v", real(&r, 1));
  RETC_VEC_PUSH(&r.kernel->arena, r.kernel->body.statements, r.kernel->body.statements.items[0]);
  check_refused(&r, "variable v is defined twice");

  rig_open(&r);
  loop(&r, "i", RETC_LOOP_SERIAL, 8);
  rig_alloc(&r);
  retc_write_end(&r.w);
  retc_write_store(&r.w, r.acc, (retc_expr[]){integer(&r, 0), integer(&r, 0)}, real(&r, 1));
  check_refused(&r, "buffer acc is used out of its scope");

  rig_open(&r);
  retc_write_let(&r.w, "v", real(&r, 1));
  r.kernel->variables.items[1] = "x";
  check_refused(&r, "the name x stands for two things");
}

static void test_refuses_access(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  retc_write_store(&r.w, r.x, (retc_expr[]){integer(&r, 0), integer(&r, 0)}, real(&r, 1));
  check_refused(&r, "parameter x is not declared write");
  rig_open(&r);
  retc_write_let(&r.w, "v", retc_expr_load(r.kernel, r.y, (retc_expr[]){integer(&r, 0)}));
  check_refused(&r, "parameter y is not declared read");
  rig_open(&r);
  retc_write_let(&r.w, "v", load_x(&r, integer(&r, 100), integer(&r, 8)));
  check_refused(&r, "index 8 on axis 1 of x is out of bounds");
  rig_open(&r);
  retc_write_let(&r.w, "v", load_x(&r, integer(&r, -1), integer(&r, 0)));
  check_refused(&r, "index -1 on axis 0 of x is out of bounds");
  rig_open(&r);
  retc_write_alloc(&r.w, "huge", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){INT64_MAX / 2, 8});
  check_refused(&r, "the shape must be constant and of a sensible size");
}

static void test_refuses_loops(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  loop(&r, "i", RETC_LOOP_VECTOR, 8);
  loop(&r, "j", RETC_LOOP_SERIAL, 8);
  check_refused(&r, "a vector loop may only hold let and store, in: for i in 0..8 vector");
  rig_open(&r);
  retc_write_for(&r.w, "i", RETC_LOOP_UNROLL, integer(&r, 0), retc_expr_dim(r.kernel, RETC_NAMED(T)), 1);
  check_refused(&r, "the bounds of an unrolled loop must be constant");
  rig_open(&r);
  retc_write_for(&r.w, "i", RETC_LOOP_SERIAL, integer(&r, 0), integer(&r, 8), 0);
  check_refused(&r, "the step is 0");
  rig_open(&r);
  loop(&r, "i", RETC_LOOP_SERIAL, 8);
  loop(&r, "j", RETC_LOOP_PARALLEL, 8);
  check_refused(&r, "a parallel loop must be outermost");
  rig_open(&r);
  loop(&r, "i", RETC_LOOP_PARALLEL, 8);
  retc_write_end(&r.w);
  retc_write_store(&r.w, r.y, (retc_expr[]){integer(&r, 0)}, real(&r, 1));
  check_refused(&r, "beside the parallel loop there may only be lets");
  rig_open(&r);
  loop(&r, "i", RETC_LOOP_PARALLEL, 8);
  retc_write_end(&r.w);
  loop(&r, "j", RETC_LOOP_PARALLEL, 8);
  check_refused(&r, "beside the parallel loop there may only be lets");
}

static void test_refuses_blocks(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  loop(&r, "block", RETC_LOOP_GRID, 8);
  loop(&r, "lane", RETC_LOOP_LANE, 8);
  retc_write_alloc(&r.w, "tile", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 1, (int64_t[]){8});
  retc_write_barrier(&r.w);
  check_valid(r.kernel);
  retc_kernel_destroy(r.kernel);
  rig_open(&r);
  loop(&r, "block", RETC_LOOP_GRID, 8);
  retc_write_end(&r.w);
  retc_write_barrier(&r.w);
  check_refused(&r, "a barrier outside a grid loop, in: barrier");
  rig_open(&r);
  loop(&r, "lane", RETC_LOOP_LANE, 8);
  check_refused(&r, "a lane loop outside a grid loop");
  rig_open(&r);
  retc_write_alloc(&r.w, "tile", RETC_SCOPE_SHARED, RETC_DTYPE_F32, 1, (int64_t[]){8});
  check_refused(&r, "shared memory outside a grid loop, in: alloc tile: f32[8] shared");
}

/* One mma with what is wrong passed in. */
static void write_mma(rig *r, int row_axis, int column_axis, int64_t rows, int64_t columns, retc_expr depth) {
  retc_expr zeros[] = {integer(r, 0), integer(r, 0)};
  retc_write_mma(&r->w, retc_write_view(&r->w, r->acc, zeros, 0, 1), retc_write_view(&r->w, r->x, zeros, 0, 1),
                 retc_write_view(&r->w, r->x, zeros, row_axis, column_axis), rows, columns, depth);
}

static void test_refuses_mma(void **state) {
  (void)state;
  rig r;
  rig_open(&r);
  rig_alloc(&r);
  write_mma(&r, 1, 0, 4, 8, integer(&r, 2));
  check_refused(&r, "the columns of b must be its last axis");
  rig_open(&r);
  rig_alloc(&r);
  write_mma(&r, 1, 1, 4, 8, integer(&r, 2));
  check_refused(&r, "view b has axes 1 and 1 of 2");
  rig_open(&r);
  rig_alloc(&r);
  write_mma(&r, 0, 1, 5, 8, integer(&r, 2));
  check_refused(&r, "5 elements on axis 0 of acc, which has 4");
  rig_open(&r);
  rig_alloc(&r);
  write_mma(&r, 0, 1, 4, 8, integer(&r, 9));
  check_refused(&r, "9 elements on axis 1 of x, which has 8");
  rig_open(&r);
  rig_alloc(&r);
  write_mma(&r, 0, 1, 4, 8, real(&r, 1));
  check_refused(&r, "the depth is f32, expected i64");
  rig_open(&r);
  r.acc = r.x;
  write_mma(&r, 0, 1, 4, 8, integer(&r, 1));
  check_refused(&r, "parameter x is not declared write");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_text),          cmocka_unit_test(test_rewrite),       cmocka_unit_test(test_folding),
    cmocka_unit_test(test_names),         cmocka_unit_test(test_refuses_types), cmocka_unit_test(test_refuses_scopes),
    cmocka_unit_test(test_refuses_access), cmocka_unit_test(test_refuses_loops), cmocka_unit_test(test_refuses_blocks),
    cmocka_unit_test(test_refuses_mma),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
