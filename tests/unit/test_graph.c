#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ir/graph.h"

static const retc_dim B = RETC_NAMED(B), T = RETC_NAMED(T);
static retc_diagnostics diagnostics;

#define SHAPE(...) shape_of((int)(sizeof((retc_dim[]){__VA_ARGS__}) / sizeof(retc_dim)), (retc_dim[]){__VA_ARGS__})
static retc_shape shape_of(int rank, const retc_dim *dims) {
  retc_shape shape = {.rank = rank};
  memcpy(shape.dim, dims, sizeof *dims * (size_t)rank);
  return shape;
}

static retc_builder start(void) {
  retc_diagnostics_init(&diagnostics);
  return (retc_builder){.graph = retc_graph_create("g"), .diagnostics = &diagnostics};
}

static void finish(retc_builder *b) {
  retc_graph_destroy(b->graph);
  retc_diagnostics_deinit(&diagnostics);
}

static retc_value input(retc_builder *b, const char *name, retc_dtype dtype, retc_shape shape) {
  return retc_build_input(b, "input", name, dtype, &shape);
}

/* The builder refused, with this message; it can go on. */
static void expect_refusal(retc_builder *b, retc_value value, const char *message) {
  assert_int_equal(value.index, 0);
  assert_int_equal(b->status, RETC_INVALID);
  assert_string_equal(retc_diagnostics_text(&diagnostics), message);
  retc_diagnostics_clear(&diagnostics);
  b->status = RETC_OK;
}

static void test_ops_have_names(void **state) {
  (void)state;
  for (int i = 0; i < RETC_OP_COUNT; i++) {
    const retc_op_info *info = retc_op_get_info((retc_op)i);
    retc_op op;
    assert_true(retc_op_parse(info->name, strlen(info->name), &op));
    assert_int_equal(op, i);
  }
  retc_op op;
  assert_false(retc_op_parse("ad", 2, &op));
  assert_int_equal(retc_op_get_info(RETC_OP_ADD)->traits, RETC_TRAIT_POINTWISE | RETC_TRAIT_COMMUTES);
}

static void test_contraction(void **state) {
  (void)state;
  retc_contraction c;
  assert_true(retc_contraction_parse("btk,nk->btn", &c));
  assert_int_equal(c.letter_count, 4);
  const char letters[] = "btnk";
  const int places[4][3] = {{0, -1, 0}, {1, -1, 1}, {-1, 0, 2}, {2, 1, -1}};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(c.letters[i].letter, letters[i]);
    assert_int_equal(c.letters[i].a, places[i][0]);
    assert_int_equal(c.letters[i].b, places[i][1]);
    assert_int_equal(c.letters[i].out, places[i][2]);
  }
  static const char *const bad[] = {"",        "a",       "a,b",      "a,b-",         "a,b->c",
                                    "aa,b->b", "a,b->aa", "a,b->a x", "abcdefg,b->b", "1,b->b"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(retc_contraction_parse(bad[i], &c));
  assert_true(retc_contraction_parse("abcdef,ghijkl->a", &c));
  assert_int_equal(c.letter_count, 12);
}

static void test_equal_nodes_are_one(void **state) {
  (void)state;
  retc_builder b = start();
  retc_value x = input(&b, "x", RETC_DTYPE_F32, SHAPE(B, T, 8)), y = input(&b, "y", RETC_DTYPE_F32, SHAPE(8));
  assert_int_equal(input(&b, "x", RETC_DTYPE_F32, SHAPE(B, T, 8)).index, x.index);
  retc_value xy = retc_build_binary(&b, RETC_OP_ADD, x, y);
  assert_int_equal(retc_build_binary(&b, RETC_OP_ADD, y, x).index, xy.index);
  assert_int_equal(retc_graph_node(b.graph, xy)->inputs[0].index, x.index);
  retc_value minus = retc_build_binary(&b, RETC_OP_SUB, x, y);
  assert_int_not_equal(retc_build_binary(&b, RETC_OP_SUB, y, x).index, minus.index);
  assert_int_equal(retc_build_number(&b, RETC_DTYPE_F32, 2).index, retc_build_number(&b, RETC_DTYPE_F32, 2).index);
  assert_int_not_equal(retc_build_number(&b, RETC_DTYPE_F32, 2).index, retc_build_number(&b, RETC_DTYPE_F64, 2).index);

  b.region = retc_graph_add_region(b.graph, "r", "pointwise");
  assert_int_not_equal(retc_build_binary(&b, RETC_OP_ADD, x, y).index, xy.index);
  b.region.index = 0;
  b.keep = true;
  retc_value kept = retc_build_binary(&b, RETC_OP_ADD, y, x);
  assert_int_not_equal(kept.index, xy.index);
  assert_int_equal(retc_graph_node(b.graph, kept)->inputs[0].index, y.index);
  finish(&b);
}

static void test_identities(void **state) {
  (void)state;
  retc_builder b = start();
  retc_value x = input(&b, "x", RETC_DTYPE_F32, SHAPE(B, T, 8));
  retc_value zero = retc_build_number(&b, RETC_DTYPE_F32, 0), one = retc_build_number(&b, RETC_DTYPE_F32, 1);
  assert_int_equal(retc_build_binary(&b, RETC_OP_ADD, x, zero).index, x.index);
  assert_int_equal(retc_build_binary(&b, RETC_OP_ADD, zero, x).index, x.index);
  assert_int_equal(retc_build_binary(&b, RETC_OP_SUB, x, zero).index, x.index);
  assert_int_not_equal(retc_build_binary(&b, RETC_OP_SUB, zero, x).index, x.index);
  assert_int_equal(retc_build_binary(&b, RETC_OP_MUL, one, x).index, x.index);
  assert_int_equal(retc_build_binary(&b, RETC_OP_DIV, x, one).index, x.index);
  assert_int_not_equal(retc_build_binary(&b, RETC_OP_DIV, one, x).index, x.index);
  retc_value minus = retc_build_unary(&b, RETC_OP_NEG, x);
  assert_int_equal(retc_build_unary(&b, RETC_OP_NEG, minus).index, x.index);
  assert_int_equal(retc_build_cast(&b, x, RETC_DTYPE_F32).index, x.index);
  assert_int_equal(retc_build_part(&b, x, 0).index, x.index);
  retc_shape split = SHAPE(B, T, 2, 4), flat = SHAPE(B, T, 8), other = SHAPE(B, T, 4, 2);
  retc_value y = retc_build_reshape(&b, x, &split);
  assert_int_equal(retc_build_reshape(&b, y, &flat).index, x.index);
  assert_int_equal(retc_graph_node(b.graph, retc_build_reshape(&b, y, &other))->inputs[0].index, x.index);

  /* A neutral constant that makes the shape larger stays. */
  retc_shape wide = SHAPE(4, 8), row = SHAPE(8);
  retc_value ones = retc_build_dense(&b, RETC_DTYPE_F32, &wide, (double[]){1}, 1);
  retc_value small = retc_build_input(&b, "weight", "w", RETC_DTYPE_F32, &row);
  assert_int_not_equal(retc_build_binary(&b, RETC_OP_MUL, small, ones).index, small.index);
  assert_int_equal(b.status, RETC_OK);
  finish(&b);
}

static void test_constants_fold(void **state) {
  (void)state;
  retc_builder b = start();
  retc_shape column = SHAPE(2, 1), row = SHAPE(3);
  retc_value c = retc_build_dense(&b, RETC_DTYPE_F64, &column, (double[]){10, 20}, 2);
  retc_value r = retc_build_dense(&b, RETC_DTYPE_F64, &row, (double[]){1, 2, 3}, 3);
  const retc_node *sum = retc_graph_node(b.graph, retc_build_binary(&b, RETC_OP_ADD, r, c));
  assert_int_equal(sum->op, RETC_OP_CONST);
  const double expected[6] = {11, 12, 13, 21, 22, 23};
  assert_int_equal(sum->attributes.dense_count, 6);
  assert_memory_equal(sum->attributes.dense, expected, sizeof expected);

  retc_value third = retc_build_binary(&b, RETC_OP_DIV, retc_build_number(&b, RETC_DTYPE_F32, 1),
                                       retc_build_number(&b, RETC_DTYPE_F32, 3));
  assert_true(retc_graph_node(b.graph, third)->attributes.dense[0] == (double)(1.0f / 3.0f));
  retc_value cast = retc_build_cast(&b, retc_build_number(&b, RETC_DTYPE_F64, 1.0 + 1.0 / 512), RETC_DTYPE_BF16);
  assert_true(retc_graph_node(b.graph, cast)->attributes.dense[0] == 1.0);
  retc_value root = retc_build_unary(&b, RETC_OP_SQRT, retc_build_number(&b, RETC_DTYPE_F64, 2));
  assert_true(retc_graph_node(b.graph, root)->attributes.dense[0] == sqrt(2));

  /* One number for a shape with names stays one number. */
  retc_shape named = SHAPE(B, T);
  retc_value filled = retc_build_dense(&b, RETC_DTYPE_F64, &named, (double[]){3}, 1);
  const retc_node *minus = retc_graph_node(b.graph, retc_build_unary(&b, RETC_OP_NEG, filled));
  assert_int_equal(minus->attributes.dense_count, 1);
  assert_true(minus->attributes.dense[0] == -3);
  assert_int_equal(minus->type.shape.rank, 2);
  finish(&b);
}

static void test_errors(void **state) {
  (void)state;
  retc_builder b = start();
  retc_value x = input(&b, "x", RETC_DTYPE_F32, SHAPE(B, T, 8)), y = input(&b, "y", RETC_DTYPE_F32, SHAPE(B, T, 6));
  retc_value d = input(&b, "d", RETC_DTYPE_F64, SHAPE(8)), i = input(&b, "i", RETC_DTYPE_I64, SHAPE(B, T));
  expect_refusal(&b, retc_build_binary(&b, RETC_OP_MUL, x, y), "mul: [B,T,8] and [B,T,6] do not broadcast\n");
  expect_refusal(&b, retc_build_binary(&b, RETC_OP_MUL, x, d), "mul: f32[B,T,8] and f64[8] are of different dtypes\n");
  expect_refusal(&b, retc_build_unary(&b, RETC_OP_NEG, i), "neg: input 1 is i64[B,T], expected f32 or f64\n");
  expect_refusal(&b, retc_build_binary(&b, RETC_OP_MUL, x, (retc_value){0}), "mul: input 2 is missing\n");
  expect_refusal(&b, retc_graph_add(&b, RETC_OP_MUL, &x, 1, NULL, NULL), "mul: 1 input, expected 2\n");
  retc_shape bad = SHAPE(B, T, 2, 5), swapped = SHAPE(T, B, 8), merged = SHAPE(B, 8, T);
  expect_refusal(&b, retc_build_reshape(&b, x, &bad),
                 "reshape: [B,T,8] cannot become [B,T,2,5]: names stay in order, and so does the size between them\n");
  expect_refusal(&b, retc_build_reshape(&b, x, &swapped),
                 "reshape: [B,T,8] cannot become [T,B,8]: names stay in order, and so does the size between them\n");
  expect_refusal(&b, retc_build_reshape(&b, x, &merged),
                 "reshape: [B,T,8] cannot become [B,8,T]: names stay in order, and so does the size between them\n");
  expect_refusal(&b, retc_build_contract(&b, "btk,btj->bkj", x, i),
                 "contract: f32[B,T,8] and i64[B,T], expected f32, f16 or bf16, or f64 and f64\n");
  expect_refusal(&b, retc_build_contract(&b, "btk,btk->bt", x, y),
                 "contract: spec \"btk,btk->bt\": f32[B,T,8] and f32[B,T,6] differ along k\n");
  expect_refusal(&b, retc_build_contract(&b, "btk,nk->btn", x, y),
                 "contract: spec \"btk,nk->btn\" does not fit f32[B,T,8] and f32[B,T,6]\n");
  expect_refusal(&b, retc_build_part(&b, x, 1), "part: input has no result 1\n");
  expect_refusal(&b, input(&b, "x", RETC_DTYPE_F32, SHAPE(B)), "input: x is there already, of another type or kind\n");
  expect_refusal(&b, input(&b, "z", RETC_DTYPE_F32, SHAPE(B, 0)), "input: f32[B,0] has an axis of size 0\n");
  retc_dim huge = (retc_dim)1 << 40;
  expect_refusal(&b, input(&b, "z", RETC_DTYPE_F32, SHAPE(huge, huge)),
                 "input: f32[1099511627776,1099511627776] has too many elements\n");
  expect_refusal(&b, input(&b, "z", RETC_DTYPE_F32, SHAPE(RETC_NAMED(P))),
                 "input: an axis has a name that measures no axis\n");
  finish(&b);
}

static void test_first_failure_stays(void **state) {
  (void)state;
  retc_builder b = start();
  retc_value x = input(&b, "x", RETC_DTYPE_F32, SHAPE(B, 8)), y = input(&b, "y", RETC_DTYPE_F32, SHAPE(B, 6));
  size_t count = b.graph->nodes.count;
  retc_value z = retc_build_unary(&b, RETC_OP_NEG, retc_build_binary(&b, RETC_OP_ADD, x, y));
  assert_int_equal(z.index, 0);
  assert_int_equal(b.graph->nodes.count, count);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "add: [B,8] and [B,6] do not broadcast\n");
  finish(&b);
}

static void test_names(void **state) {
  (void)state;
  retc_builder b = start();
  retc_value x = input(&b, "x", RETC_DTYPE_F32, SHAPE(8)), y = retc_build_unary(&b, RETC_OP_NEG, x);
  retc_graph_set_name(b.graph, y, "x");
  assert_string_equal(retc_graph_node(b.graph, y)->name, "x~1");
  retc_graph_set_name(b.graph, y, "other");
  assert_string_equal(retc_graph_node(b.graph, y)->name, "x~1");
  /* An input gets its very name. */
  retc_value z = retc_build_unary(&b, RETC_OP_EXP, x);
  retc_graph_set_name(b.graph, z, "w");
  retc_value w = input(&b, "w", RETC_DTYPE_F32, SHAPE(8));
  assert_string_equal(retc_graph_node(b.graph, w)->name, "w");
  assert_string_equal(retc_graph_node(b.graph, z)->name, "w~1");
  assert_int_equal(retc_graph_find_input(b.graph, "w").index, w.index);
  assert_int_equal(retc_graph_find_input(b.graph, "w~1").index, 0);
  assert_int_equal(retc_graph_find_input(b.graph, "nobody").index, 0);
  finish(&b);
}

static void test_clone_and_uses(void **state) {
  (void)state;
  retc_builder b = start();
  retc_value x = input(&b, "x", RETC_DTYPE_F32, SHAPE(B, 8));
  b.origin = "here";
  retc_value y = retc_build_unary(&b, RETC_OP_SILU, x);
  retc_graph_set_name(b.graph, y, "y");
  retc_value z = retc_build_binary(&b, RETC_OP_MUL, y, y);
  retc_graph_add_output(b.graph, "z", z);

  retc_arena arena;
  retc_arena_init(&arena);
  retc_uses uses = retc_graph_uses(b.graph, &arena);
  assert_int_equal(uses.starts[x.index + 1] - uses.starts[x.index], 1);
  assert_int_equal(uses.users[uses.starts[x.index]], y.index);
  assert_int_equal(uses.starts[y.index + 1] - uses.starts[y.index], 2);
  assert_int_equal(uses.users[uses.starts[y.index]], z.index);
  assert_int_equal(uses.starts[z.index + 1] - uses.starts[z.index], 0);
  retc_arena_deinit(&arena);

  retc_builder copy = {.graph = retc_graph_create("copy"), .diagnostics = &diagnostics};
  retc_value x2 = retc_graph_clone_node(&copy, retc_graph_node(b.graph, x), NULL);
  retc_value y2 = retc_graph_clone_node(&copy, retc_graph_node(b.graph, y), &x2);
  assert_int_equal(retc_graph_find_input(copy.graph, "x").index, x2.index);
  assert_string_equal(retc_graph_node(copy.graph, y2)->name, "y");
  assert_string_equal(retc_graph_node(copy.graph, y2)->origin, "here");
  assert_int_equal(retc_graph_verify(b.graph, &diagnostics), RETC_OK);
  retc_graph_destroy(copy.graph);
  finish(&b);
}

/* Damages a sound graph in one place and expects the verifier to say so. */
static void test_verify(void **state) {
  (void)state;
  static const char *const expected[] = {
      "graph g: %y: has another type than its inputs make\n",
      "graph g: %y: has an input that is not defined before it\n",
      "graph g: %y: has the name of another value\n",
      "graph g: %2: is an input without a name\n",
      "graph g: output s has another type than the state it replaces\n",
      "graph g: output o is no value\n",
      "graph g: %3: continues a region that another node has ended\n",
      "graph g: region empty is empty\n",
      "graph g: %y: contract: spec is \"?\", expected letters like \"btk,nk->btn\"\n",
  };
  for (int damage = 0; damage < (int)(sizeof expected / sizeof *expected); damage++) {
    retc_builder b = start();
    retc_shape shape = SHAPE(B, 8);
    retc_value x = input(&b, "x", RETC_DTYPE_F32, shape);
    retc_build_input(&b, "state", "s", RETC_DTYPE_F32, &shape);
    b.region = retc_graph_add_region(b.graph, "r", "contract");
    retc_value y = retc_build_contract(&b, "bk,bk->b", x, x);
    retc_graph_set_name(b.graph, y, "y");
    b.region.index = 0;
    retc_value z = retc_build_unary(&b, RETC_OP_NEG, y);
    retc_build_unary(&b, RETC_OP_EXP, z);
    retc_graph_add_output(b.graph, "s", retc_graph_find_input(b.graph, "s"));
    retc_graph_add_output(b.graph, "o", z);
    assert_int_equal(retc_graph_verify(b.graph, &diagnostics), RETC_OK);

    retc_node *node = &b.graph->nodes.items[y.index];
    switch (damage) {
      case 0: node->type.dtype = RETC_DTYPE_F64; break;
      case 1: node->inputs[1] = z; break;
      case 2: b.graph->nodes.items[1].name = "y"; break;
      case 3: b.graph->nodes.items[2].name = "2"; break;
      case 4: b.graph->outputs.items[0].value = z; break;
      case 5: b.graph->outputs.items[1].value.index = 77; break;
      case 6: b.graph->nodes.items[5].region.index = 1; break;
      case 7: retc_graph_add_region(b.graph, "empty", "reduce"); break;
      default: node->attributes.word = "?"; break;
    }
    assert_int_equal(retc_graph_verify(b.graph, &diagnostics), RETC_INTERNAL);
    assert_string_equal(retc_diagnostics_text(&diagnostics), expected[damage]);
    finish(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ops_have_names), cmocka_unit_test(test_contraction),
      cmocka_unit_test(test_equal_nodes_are_one), cmocka_unit_test(test_identities),
      cmocka_unit_test(test_constants_fold), cmocka_unit_test(test_errors),
      cmocka_unit_test(test_first_failure_stays), cmocka_unit_test(test_names),
      cmocka_unit_test(test_clone_and_uses), cmocka_unit_test(test_verify),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
