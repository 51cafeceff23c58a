/* A retc built without SentencePiece: what stands in for it is taken in as text, before the library's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_absent.c"

static void test_message(void **state) {
  (void)state;
  char folder[] = "/tmp/test_tokenizer_absent.XXXXXX", path[64];
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/tokenizer.model", folder);
  assert_int_equal(retc_file_write(path, "x", 1, NULL), RETC_OK);
  retc_tokenizer *tokenizer = NULL;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  assert_true(retc_tokenizer_has_model(folder));
  assert_int_equal(retc_tokenizer_create(folder, 97, &diagnostics, &tokenizer), RETC_FAILED);
  assert_null(tokenizer);
  assert_non_null(strstr(retc_diagnostics_text(&diagnostics), path));
  assert_non_null(strstr(retc_diagnostics_text(&diagnostics), "libsentencepiece-dev"));
  assert_non_null(strstr(retc_diagnostics_text(&diagnostics), "token ids"));
  retc_diagnostics_deinit(&diagnostics);
  unlink(path);
  assert_int_equal(retc_tokenizer_create(folder, 256, NULL, &tokenizer), RETC_OK);
  retc_tokenizer_destroy(tokenizer);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_message)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
