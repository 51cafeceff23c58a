#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/graph.h"

static const char sample[] =
    "graph step {\n"
    "  %tokens = input kind=input : i64[B,T]\n"
    "  %P = input kind=input : i64[]\n"
    "  %model.layers.0.w = input kind=weight : bf16[256,8] @\"embedding\"\n"
    "  %\"odd name/7\" = input kind=weight : f32[8]\n"
    "  %S = input kind=state : f32[B,2,4,6]\n"
    "  %6 = const [0.5, -1.0, 1e-06, inf] : f64[4]\n"
    "  %7 = const [2.0] : f32[]\n"
    "  %8 = gather %model.layers.0.w, %tokens : f32[B,T,8] @\"layers.0.\\\"a\\\\\\x01\"\n"
    "  region r1 reduce folded=[norm_prologue, residual] schedule=[rows=6, columns=-64] {\n"
    "    %9 = mul %8, %\"odd name/7\" : f32[B,T,8]\n"
    "    %norm = rms_norm %9 eps=1e-05 : f32[B,T,8]\n"
    "  }\n"
    "  region r2 pointwise {\n"
    "    %11 = cast %norm dtype=f64 : f64[B,T,8]\n"
    "  }\n"
    "  %12 = reshape %norm : f32[B,T,2,4]\n"
    "  %13 = reduce_sum %norm : f32[B,T,1]\n"
    "  %q = contract %norm, %model.layers.0.w spec=\"btk,nk->btn\" : f32[B,T,256]\n"
    "  %15 = repeat %12 axis=2 times=3 : f32[B,T,6,4]\n"
    "  output logits = %q\n"
    "  output S = %S\n"
    "  output \"a b\" = %11\n"
    "}\n";

static retc_diagnostics diagnostics;

static retc_status parse(const char *text, size_t length, retc_graph **out_graph) {
  /* A copy without a NUL, so that reading past the end is seen. */
  char *bytes = malloc(length ? length : 1);
  memcpy(bytes, text, length);
  retc_status status = retc_graph_parse(bytes, length, "f.graph", &diagnostics, out_graph);
  free(bytes);
  return status;
}

static void expect_round_trip(const char *text, const char *expected) {
  retc_graph *graph;
  retc_diagnostics_init(&diagnostics);
  if (parse(text, strlen(text), &graph) != RETC_OK) fail_msg("%s", retc_diagnostics_text(&diagnostics));
  if (retc_graph_verify(graph, &diagnostics) != RETC_OK) fail_msg("%s", retc_diagnostics_text(&diagnostics));
  retc_text printed;
  retc_text_init(&printed);
  retc_graph_print(graph, &printed);
  assert_string_equal(printed.data, expected);
  retc_text_deinit(&printed);
  retc_graph_destroy(graph);
  retc_diagnostics_deinit(&diagnostics);
}

static void test_round_trip(void **state) {
  (void)state;
  expect_round_trip(sample, sample);
}

static void test_free_form(void **state) {
  (void)state;
  expect_round_trip(
      "# a comment\ngraph g{%a=input kind=input:f32[B]%1=neg%a:f32[B]\r\n"
      "\t%900 = add %1 , %a # two\n:f32[B]output o=%900}#",
      "# a comment\n"
      "graph g {\n"
      "  %a = input kind=input : f32[B]\n"
      "  %1 = neg %a : f32[B]\n"
      "  %900 = add %1, %a : f32[B]  # two\n"
      "  output o = %900\n"
      "}\n");
}

static void test_nothing_is_folded(void **state) {
  (void)state;
  static const char text[] =
      "graph g {\n"
      "  %b = input kind=input : f32[8]\n"
      "  %2 = const [0.0] : f32[]\n"
      "  %3 = add %2, %b : f32[8]\n"
      "  %4 = add %2, %b : f32[8]\n"
      "}\n";
  expect_round_trip(text, text);
}

static void test_errors(void **state) {
  (void)state;
#define HEAD "graph g {\n  %x = input kind=input : f32[B,8]\n"
  static const char *const cases[][2] = {
      {"", "f.graph:1:1: expected \"graph\"\n\n^\n"},
      {"grap g", "f.graph:1:1: expected \"graph\"\ngrap g\n^\n"},
      {"graph g {\n  %1 = ned %x\n", "f.graph:2:8: ned is no operation, did you mean neg?\n  %1 = ned %x\n       ^\n"},
      {HEAD "  %2 = neg %y : f32[B,8]\n}",
       "f.graph:3:12: %y is not defined before this\n  %2 = neg %y : f32[B,8]\n           ^\n"},
      {HEAD "  %x = neg %x : f32[B,8]\n}", "f.graph:3:3: %x is defined twice\n  %x = neg %x : f32[B,8]\n  ^\n"},
      {HEAD "  %2 = neg %x : f32[B,9]\n}",
       "f.graph:3:17: neg makes f32[B,8] of its inputs\n  %2 = neg %x : f32[B,9]\n                ^\n"},
      {HEAD "  %2 = add %x : f32[B,8]\n}",
       "f.graph:3:8: add: 1 input, expected 2\n  %2 = add %x : f32[B,8]\n       ^\n"},
      {HEAD "  %2 = cast %x typ=f64 : f64[B,8]\n}",
       "f.graph:3:16: cast: expected dtype=\n  %2 = cast %x typ=f64 : f64[B,8]\n               ^\n"},
      {HEAD "  %2 = neg %x : f31[B,8]\n}",
       "f.graph:3:17: f31 is no element type, did you mean f32?\n  %2 = neg %x : f31[B,8]\n                ^\n"},
      {HEAD "  %2 = neg %x : f32[Q,8]\n}",
       "f.graph:3:21: Q is no dimension, expected B, T, N or L\n  %2 = neg %x : f32[Q,8]\n                    ^\n"},
      {HEAD "  %2 = neg %x : f32[-1]\n}",
       "f.graph:3:21: a dimension is not negative\n  %2 = neg %x : f32[-1]\n                    ^\n"},
      {HEAD "  %2 = neg %x : f32[99999999999999999999]\n}",
       "f.graph:3:21: expected a whole number of 64 bits, found 99999999999999999999\n"
       "  %2 = neg %x : f32[99999999999999999999]\n                    ^\n"},
      {HEAD "  %2 = neg %x : f32[1,1,1,1,1,1,1]\n}",
       "f.graph:3:33: expected at most 6 axes\n"
       "  %2 = neg %x : f32[1,1,1,1,1,1,1]\n                                ^\n"},
      {"graph g {\n  %1 = input kind=input : f32[]\n}",
       "f.graph:2:3: an input needs a name\n  %1 = input kind=input : f32[]\n  ^\n"},
      {"graph g {\n  region r a {\n  }\n}", "f.graph:3:3: region r is empty\n  }\n  ^\n"},
      {HEAD "  output o = %x\n  output o = %x\n}",
       "f.graph:4:10: output o is defined twice\n  output o = %x\n         ^\n"},
      {HEAD "  output o = %x\n  %3 = neg %x : f32[B,8]\n}",
       "f.graph:4:3: expected \"output\" or '}'\n  %3 = neg %x : f32[B,8]\n  ^\n"},
      {HEAD "}\nx", "f.graph:4:1: expected nothing after the graph\nx\n^\n"},
      {HEAD "  %\"a\\x00\" = neg %x : f32[B,8]\n}",
       "f.graph:3:6: expected \\x01 to \\xff\n  %\"a\\x00\" = neg %x : f32[B,8]\n     ^\n"},
      {HEAD "  %\"a", "f.graph:3:4: this string has no end on its line\n  %\"a\n   ^\n"},
      {"graph g {\n  %s = input kind=state : f32[B]\n  %2 = const [1.0] : f32[]\n  output s = %2\n}",
       "f.graph:4:10: output s has another type than the state it replaces\n  output s = %2\n         ^\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    retc_graph *graph;
    retc_diagnostics_init(&diagnostics);
    assert_int_equal(parse(cases[i][0], strlen(cases[i][0]), &graph), RETC_INVALID);
    assert_string_equal(retc_diagnostics_text(&diagnostics), cases[i][1]);
    retc_diagnostics_deinit(&diagnostics);
  }
}

static uint32_t next_random(uint32_t *seed) {
  return *seed = *seed * 1664525u + 1013904223u;
}

/* Every prefix, and many damaged copies: an answer, a message exactly when it is no. */
static void test_any_bytes(void **state) {
  (void)state;
  enum { LENGTH = sizeof sample - 1 };
  char text[LENGTH];
  uint32_t seed = 1;
  for (int round = 0; round < 4 * LENGTH; round++) {
    size_t length = round < LENGTH ? (size_t)round : LENGTH;
    memcpy(text, sample, LENGTH);
    for (int k = 0; round >= LENGTH && k < 3; k++) {
      size_t to = next_random(&seed) >> 8, from = next_random(&seed) >> 8;
      text[to % LENGTH] = k == 2 ? (char)(from & 255) : sample[from % LENGTH];
    }
    retc_graph *graph;
    retc_diagnostics_init(&diagnostics);
    retc_status status = parse(text, length, &graph);
    assert_true(status == RETC_OK || status == RETC_INVALID);
    assert_int_equal(status == RETC_OK, retc_diagnostics_text(&diagnostics)[0] == 0);
    if (status == RETC_OK) {
      assert_int_equal(retc_graph_verify(graph, &diagnostics), RETC_OK);
      retc_graph_destroy(graph);
    }
    retc_diagnostics_deinit(&diagnostics);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_free_form), cmocka_unit_test(test_nothing_is_folded),
      cmocka_unit_test(test_errors),     cmocka_unit_test(test_any_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
