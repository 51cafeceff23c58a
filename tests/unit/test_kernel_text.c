/* Texts that no file of tests/golden can hold: very long ones, and bytes that are no characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/kernel.h"
#include "ir/lexer.h"

static const char sample[] =
    "# What it does\n"
    "kernel f(x: update f32[B,8], w: read bf16[8,64]) {  # a remark\n"
    "  for b in 0..B parallel {\n"
    "    alloc acc: f32[1,64] private\n"
    "    for l in 0..64 vector {\n"
    "      acc[0,l] = 0.0\n"
    "    }\n"
    "    mma acc[0,0](row 0, column 1) += x[b,0](row 0, column 1) * w[0,0](row 0, column 1) rows 1 columns 64 depth 8\n"
    "    let a = select(acc[0,3] < 1.5, exp(acc[0,1]), f32(b))\n"
    "    if (b < 7) and (b == T) {\n"
    "      # before the store\n"
    "      x[b,0] = fma(a, x[b,1], -0.5)\n"
    "    } else {\n"
    "      x[b,7] = a  # behind the store\n"
    "    }\n"
    "  }\n"
    "}\n";

/* Reads one kernel from a copy without a NUL behind it, verifies and prints it. */
static retc_status read_kernel(const char *text, size_t length, retc_diagnostics *diagnostics, retc_text *out_text) {
  char *bytes = malloc(length ? length : 1);
  memcpy(bytes, text, length);
  retc_lexer lexer;
  retc_kernel *kernel;
  retc_lexer_init(&lexer, bytes, length, "f.kernel", diagnostics);
  retc_status status = retc_kernel_read(&lexer, &kernel);
  if (status == RETC_OK) {
    status = retc_kernel_verify(kernel, diagnostics);
    retc_kernel_print(kernel, out_text);
    retc_kernel_destroy(kernel);
  }
  retc_lexer_deinit(&lexer);
  free(bytes);
  return status;
}

/* Printed again and again the same. */
static void expect_kept(const char *text, size_t length) {
  retc_diagnostics diagnostics;
  retc_text first, second;
  retc_diagnostics_init(&diagnostics);
  retc_text_init(&first);
  retc_text_init(&second);
  if (read_kernel(text, length, &diagnostics, &first) != RETC_OK) fail_msg("%s", retc_diagnostics_text(&diagnostics));
  if (read_kernel(first.data, first.length, &diagnostics, &second) != RETC_OK) {
    fail_msg("%s", retc_diagnostics_text(&diagnostics));
  }
  assert_string_equal(first.data, second.data);
  retc_diagnostics_deinit(&diagnostics);
  retc_text_deinit(&first);
  retc_text_deinit(&second);
}

static void expect_refused(const char *text, const char *message) {
  retc_diagnostics diagnostics;
  retc_text printed;
  retc_diagnostics_init(&diagnostics);
  retc_text_init(&printed);
  assert_int_equal(read_kernel(text, strlen(text), &diagnostics, &printed), RETC_INVALID);
  if (!strstr(retc_diagnostics_text(&diagnostics), message)) fail_msg("%.300s", retc_diagnostics_text(&diagnostics));
  retc_diagnostics_deinit(&diagnostics);
  retc_text_deinit(&printed);
}

static void test_round_trip(void **state) {
  (void)state;
  retc_diagnostics diagnostics;
  retc_text printed;
  retc_diagnostics_init(&diagnostics);
  retc_text_init(&printed);
  assert_int_equal(read_kernel(sample, sizeof sample - 1, &diagnostics, &printed), RETC_OK);
  assert_string_equal(printed.data, sample);
  retc_diagnostics_deinit(&diagnostics);
  retc_text_deinit(&printed);
}

/* In comments they are blanks, those at the end go. */
static void test_control_characters(void **state) {
  (void)state;
  static const char text[] = "# a\0b\x01 \0\nkernel f() {  # c\x7f\r\n  # \0\n}\n";
  expect_kept(text, sizeof text - 1);
}

/* Several remarks on the lines of one thing become one. */
static void test_empty_remarks(void **state) {
  (void)state;
  static const char *const texts[] = {"kernel f(x: #\nwrite f32[8]) {#\n}\n", "kernel f() #\n{#  \n#\n}\n",
                                      "kernel f(x: # a\nwrite f32[8]) {#\n}\n", "kernel f() #\n{#   a\n}#\n"};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) expect_kept(texts[i], strlen(texts[i]));
}

/* `count` times `part` between `head` and `tail`, with `between` in the middle. */
static void repeat(retc_text *text, const char *head, const char *part, int count, const char *between,
                   const char *closing, const char *tail) {
  retc_text_clear(text);
  retc_text_add(text, head);
  for (int i = 0; i < count; i++) retc_text_add(text, part);
  retc_text_add(text, between);
  for (int i = 0; i < count; i++) retc_text_add(text, closing);
  retc_text_add(text, tail);
}

/* Neither a stack is exhausted, nor is anything printed that is not read back. */
static void test_depth(void **state) {
  (void)state;
  static const char head[] = "kernel f(x: update i64[8]) {\n", let[] = "kernel f(x: update i64[8]) {\nlet a = ";
  retc_text text;
  retc_text_init(&text);
  for (int count = 990; count <= 999; count++) {
    repeat(&text, let, "1 + ", count, "1", "", "\n}\n");
    expect_kept(text.data, text.length);
    repeat(&text, let, "(1 + ", count, "1", ")", "\n}\n");
    expect_kept(text.data, text.length);
    repeat(&text, head, "if true {\n", count, "let a = neg(1 + 1)\n", "}\n", "}\n");
    expect_kept(text.data, text.length);
  }
  repeat(&text, let, "1 + ", 100000, "1", "", "\n}\n");
  expect_refused(text.data, "f.kernel:2:4011: more than 1000 operations in a row");
  repeat(&text, let, "(", 100000, "1", ")", "\n}\n");
  expect_refused(text.data, "nested deeper than 1000");
  repeat(&text, let, "x[", 100000, "1", "]", "\n}\n");
  expect_refused(text.data, "nested deeper than 1000");
  repeat(&text, let, "neg(", 100000, "1", ")", "\n}\n");
  expect_refused(text.data, "nested deeper than 1000");
  repeat(&text, let, "(", 900, "1", " + 1 + 1 + 1)", "\n}\n"); /* few brackets, but a high tree */
  expect_refused(text.data, "more than 1000 operations in a row");
  repeat(&text, head, "if true {\n", 100000, "", "}\n", "}\n");
  expect_refused(text.data, "nested deeper than 1000");
  retc_text_deinit(&text);
}

/* Cut anywhere, and with any byte replaced: a status, never a crash. */
static void test_any_bytes(void **state) {
  (void)state;
  static const unsigned char replacements[] = {0,   1,   ' ', '\n', '"', '\\', '0', '9', '-',
                                               '.', 'a', '~', '#',  '(', '[',  '}', 0xff};
  retc_text printed;
  retc_text_init(&printed);
  char bytes[sizeof sample];
  for (size_t length = 0; length < sizeof sample; length++) {
    for (size_t r = 0; r <= sizeof replacements; r++) {
      retc_diagnostics diagnostics;
      retc_diagnostics_init(&diagnostics);
      memcpy(bytes, sample, sizeof sample);
      bool cut = r == sizeof replacements;
      if (!cut) bytes[length] = (char)replacements[r];
      retc_status status = read_kernel(bytes, cut ? length : sizeof sample - 1, &diagnostics, &printed);
      if (status != RETC_OK && status != RETC_INVALID) fail_msg("status %d at %zu", (int)status, length);
      retc_diagnostics_deinit(&diagnostics);
      retc_text_clear(&printed);
    }
  }
  retc_text_deinit(&printed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_control_characters),
      cmocka_unit_test(test_empty_remarks), cmocka_unit_test(test_depth), cmocka_unit_test(test_any_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
