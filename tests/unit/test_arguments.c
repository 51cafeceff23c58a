/* The command line's parser and the UTF-8 stream. They belong to the program, not to a library: taken in as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "compiler/main/arguments.c"
#include "compiler/main/output.c"

typedef struct values {
  bool flag;
  const char *text;
  int64_t count;
  double number;
} values;

static retc_status parse(const char *line, values *v, const char **out_positional, retc_diagnostics *diagnostics) {
  const retc_option table[] = {
      {"flag", 'f', NULL, "a flag", RETC_OPTION_FLAG, &v->flag, 0, 0},
      {"text", 0, "TEXT", "a text", RETC_OPTION_TEXT, &v->text, 0, 0},
      {"count", 'n', "N", "a count", RETC_OPTION_INTEGER, &v->count, 0, 1000},
      {"number", 0, "X", "a number", RETC_OPTION_NUMBER, &v->number, 0, 2},
  };
  const retc_syntax syntax = {"test", "Tests.", "MODEL", table, 4};
  static char copy[256];
  char *words[16], *rest = copy;
  int count = 0;
  bool help;
  snprintf(copy, sizeof copy, "%s", line);
  while (rest) words[count++] = strsep(&rest, " ");
  return retc_arguments_parse(&syntax, count, words, diagnostics, out_positional, &help);
}

static void test_accepts(void **state) {
  (void)state;
  static const struct {
    const char *line;
    values expected;
  } rows[] = {
      {"model", {false, NULL, 7, 0.5}},
      {"model --flag", {true, NULL, 7, 0.5}},
      {"-f model --text a", {true, "a", 7, 0.5}},
      {"--text=a=b model", {false, "a=b", 7, 0.5}},
      {"--text= model", {false, "", 7, 0.5}},
      {"--text --flag model", {false, "--flag", 7, 0.5}},
      {"--text --help model", {false, "--help", 7, 0.5}},
      {"model -n 12", {false, NULL, 12, 0.5}},
      {"model -n12 --number=1.5e0", {false, NULL, 12, 1.5}},
      {"--count 0 -- model", {false, NULL, 0, 0.5}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    retc_diagnostics diagnostics;
    retc_diagnostics_init(&diagnostics);
    values v = {.count = 7, .number = 0.5};
    const char *positional = NULL;
    assert_int_equal(parse(rows[i].line, &v, &positional, &diagnostics), RETC_OK);
    assert_string_equal(positional, "model");
    assert_int_equal(v.flag, rows[i].expected.flag);
    assert_string_equal(v.text ? v.text : "none", rows[i].expected.text ? rows[i].expected.text : "none");
    assert_int_equal(v.count, rows[i].expected.count);
    assert_true(v.number == rows[i].expected.number);
    retc_diagnostics_deinit(&diagnostics);
  }
}

static void test_refuses(void **state) {
  (void)state;
  static const struct {
    const char *line, *message;
  } rows[] = {
      {"model --flg", "unknown option --flg, did you mean --flag?"},
      {"model --coumt=3", "unknown option --coumt, did you mean --count?"},
      {"model -x", "unknown option -x"},
      {"model -fx", "unknown option -fx"},
      {"model --flag=1", "--flag: found \"1\", expected no value"},
      {"model --count", "--count has no value, expected --count N"},
      {"model -n 1001", "--count: found \"1001\", expected a whole number in 0..1000"},
      {"model -n -1", "--count: found \"-1\""},
      {"model -n 3x", "--count: found \"3x\""},
      {"model -n=3", "--count: found \"=3\""},
      {"model --count=", "--count: found \"\""},
      {"model --count 99999999999999999999", "--count: found \"99999999999999999999\""},
      {"model --number nan", "--number: found \"nan\", expected a number in 0..2"},
      {"model --number 0x1", "--number: found \"0x1\""},
      {"model --number 2.5", "--number: found \"2.5\""},
      {"model -f --flag", "--flag is given twice"},
      {"model other", "unexpected argument \"other\""},
      {"--flag", "no MODEL given"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    retc_diagnostics diagnostics;
    retc_diagnostics_init(&diagnostics);
    values v = {0};
    const char *positional;
    assert_int_equal(parse(rows[i].line, &v, &positional, &diagnostics), RETC_INVALID);
    if (!strstr(retc_diagnostics_text(&diagnostics), rows[i].message)) {
      fail_msg("%s: found \"%s\", expected \"%s\"", rows[i].line, retc_diagnostics_text(&diagnostics), rows[i].message);
    }
    retc_diagnostics_deinit(&diagnostics);
  }
}

static void test_lists(void **state) {
  (void)state;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  int64_t *items, count;
  assert_int_equal(retc_arguments_parse_list("list", "3,1,2", 1, 9, &diagnostics, &items, &count), RETC_OK);
  assert_int_equal(count, 3);
  assert_true(items[0] == 3 && items[1] == 1 && items[2] == 2);
  free(items);
  static const char *const bad[] = {"", ",", "1,", ",1", "1,,2", "1 ,2", "0,1", "10"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(retc_arguments_parse_list("list", bad[i], 1, 9, &diagnostics, &items, &count), RETC_INVALID);
  }
  retc_diagnostics_deinit(&diagnostics);
}

/* What comes out after each byte, groups parted by '|'; what waits at the end follows a '+'. */
static void check_stream(const char *bytes, const char *expected) {
  retc_utf8_stream stream = {0};
  char found[128] = "";
  for (const char *b = bytes; *b; b++) {
    unsigned char ready[4];
    size_t count = retc_utf8_stream_add(&stream, (unsigned char)*b, ready);
    assert_true(count <= 4 && stream.count <= 3);
    strncat(found, (const char *)ready, count);
    strcat(found, "|");
  }
  strcat(found, "+");
  strncat(found, (const char *)stream.waiting, stream.count);
  assert_string_equal(found, expected);
}

static void test_stream(void **state) {
  (void)state;
  check_stream("ab", "a|b|+");
  check_stream("\xC3\xA9!", "|\xC3\xA9|!|+");
  check_stream("\xE2\x82\xAC", "||\xE2\x82\xAC|+");
  check_stream("\xF0\x9F\x98\x80", "|||\xF0\x9F\x98\x80|+");
  check_stream("\xF0\x9F\x98", "|||+\xF0\x9F\x98");          /* cut off at the end */
  check_stream("\xF0\x9F\x98x", "|||\xF0\x9F\x98x|+");       /* cut off by a letter */
  check_stream("\xE2\xC3\xA9", "|\xE2|\xC3\xA9|+");          /* cut off by another character */
  check_stream("\x80\xC0\xFF", "\x80|\xC0|\xFF|+");          /* none of these begins a character */
  check_stream("\xE0\x80\x80", "|\xE0\x80|\x80|+");          /* overlong */
  check_stream("\xED\xA0\x80", "|\xED\xA0|\x80|+");          /* a surrogate */
  check_stream("\xF4\x90\x80\x80", "|\xF4\x90|\x80|\x80|+"); /* above the last character */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_accepts),
      cmocka_unit_test(test_refuses),
      cmocka_unit_test(test_lists),
      cmocka_unit_test(test_stream),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
