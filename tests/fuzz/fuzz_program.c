/* The reader of program text: graphs, or a plan and its kernels. What is read and verified is printed, read again, and
 * printed the same. */
#include <string.h>

#include "compiler/compile.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *count, char ***words) {
  (void)count, (void)words;
  return 0;
}

static retc_compilation *parse(const char *text, size_t length) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_compilation *compilation = NULL;
  retc_status status = retc_compilation_parse(text, length, "text", &diagnostics, &compilation);
  bool said = *retc_diagnostics_text(&diagnostics) != 0;
  if (status == RETC_OK && (said || !compilation)) fuzz_fail("words without a refusal, or no program");
  if (status != RETC_OK && (status != RETC_INVALID || !said || compilation))
    fuzz_fail("another refusal than of a text");
  retc_diagnostics_deinit(&diagnostics);
  return compilation;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  retc_compilation_is_text((const char *)data, size);
  retc_compilation *compilation = parse((const char *)data, size);
  if (!compilation) return 0;
  retc_text first, second;
  retc_text_init(&first);
  retc_text_init(&second);
  retc_compilation_print(compilation, &first);
  retc_compilation_destroy(compilation);
  compilation = parse(first.data, first.length);
  if (!compilation) fuzz_fail("what was printed is not read back");
  retc_compilation_print(compilation, &second);
  retc_compilation_destroy(compilation);
  if (first.length != second.length || memcmp(first.data, second.data, first.length)) {
    fuzz_fail("what was printed is printed otherwise when read back");
  }
  retc_text_deinit(&first);
  retc_text_deinit(&second);
  return 0;
}
