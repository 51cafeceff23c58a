/* The reader of kernels alone. Whatever is read can be given to the verifier, and is printed, read again, and printed
 * the same, whether it makes sense or not. */
#include <string.h>

#include "ir/kernel.h"
#include "ir/lexer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *count, char ***words) {
  (void)count, (void)words;
  return 0;
}

static void verify(const retc_kernel *kernel) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_status status = retc_kernel_verify(kernel, &diagnostics);
  if (status != RETC_OK && status != RETC_INVALID) fuzz_fail("a text is called an error of retc");
  if ((status == RETC_OK) == (*retc_diagnostics_text(&diagnostics) != 0)) fuzz_fail("words do not go with the status");
  retc_diagnostics_deinit(&diagnostics);
}

/* One kernel after the other; whether all of the text is kernels. */
static bool read_all(const char *text, size_t length, retc_text *out_text) {
  retc_lexer lexer;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_lexer_init(&lexer, text, length, "text", &diagnostics);
  retc_status status = RETC_OK;
  while (status == RETC_OK && retc_lexer_peek(&lexer)) {
    retc_kernel *kernel;
    status = retc_kernel_read(&lexer, &kernel);
    if (status != RETC_OK) break;
    verify(kernel);
    retc_kernel_print(kernel, out_text);
    retc_kernel_destroy(kernel);
  }
  if ((status == RETC_OK) == (*retc_diagnostics_text(&diagnostics) != 0)) fuzz_fail("words do not go with the status");
  if (status != RETC_OK && status != RETC_INVALID) fuzz_fail("another refusal than of a text");
  retc_lexer_deinit(&lexer);
  retc_diagnostics_deinit(&diagnostics);
  return status == RETC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  retc_text first, second;
  retc_text_init(&first);
  retc_text_init(&second);
  read_all((const char *)data, size, &first);
  if (first.length && !read_all(first.data, first.length, &second)) fuzz_fail("what was printed is not read back");
  if (first.length != second.length || (first.length && memcmp(first.data, second.data, first.length))) {
    fuzz_fail("what was printed is printed otherwise when read back");
  }
  retc_text_deinit(&first);
  retc_text_deinit(&second);
  return 0;
}
