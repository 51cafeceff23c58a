/* Text in include/retc.h: models of bytes, with a SentencePiece tokenizer (of Debian's spm_train), and without any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "retc.h"

#define TINY RETC_SOURCE_DIR "/tests/cases/fla-tiny"
#define BYTES RETC_SOURCE_DIR "/examples/shakespeare"
enum { SKIPPED = 77 };

static char folder[] = "/tmp/test_api_text.XXXXXX";

/* A small model with a tokenizer beside it, in `folder`. */
static int make_model(void **state) {
  (void)state;
  char command[1024];
  if (!mkdtemp(folder)) return -1;
  snprintf(command, sizeof command,
           "cp %s/config.json %s/model.safetensors %s && spm_train --input=%s/validation.txt --vocab_size=97 "
           "--model_prefix=%s/tokenizer --num_threads=1 --minloglevel=2 >/dev/null 2>&1",
           TINY, TINY, folder, BYTES, folder);
  return system(command) == 0 ? 0 : -1;
}

static int remove_model(void **state) {
  (void)state;
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", folder);
  return system(command) == 0 ? 0 : -1;
}

static retc_model *open_model(const char *path, retc_context **out_context) {
  retc_model *model = NULL;
  assert_int_equal(retc_context_create(out_context), RETC_OK);
  if (retc_model_open(*out_context, path, NULL, &model) != RETC_OK) {
    fail_msg("%s", retc_context_message(*out_context));
  }
  return model;
}

static void close_model(retc_context *context, retc_model *model) {
  retc_model_destroy(model);
  retc_context_destroy(context);
}

/* Encodes and decodes, in one piece and token by token. */
static int64_t check_round_trip(retc_model *model, const char *text, size_t size) {
  const int64_t *tokens;
  const char *found;
  int64_t count;
  size_t found_size;
  assert_int_equal(retc_model_encode(model, text, size, &tokens, &count), RETC_OK);
  retc_decoder *decoder;
  assert_int_equal(retc_decoder_create(model, &decoder), RETC_OK);
  assert_int_equal(retc_decoder_add(decoder, tokens, count, &found, &found_size), RETC_OK);
  assert_int_equal(found_size, size);
  assert_memory_equal(found, text, size);
  assert_int_equal(retc_decoder_finish(decoder, &found, &found_size), RETC_OK);
  assert_int_equal(found_size, 0);
  retc_decoder_destroy(decoder);
  assert_int_equal(retc_decoder_create(model, &decoder), RETC_OK);
  size_t at = 0;
  for (int64_t i = 0; i < count; i++) {
    assert_int_equal(retc_decoder_add(decoder, &tokens[i], 1, &found, &found_size), RETC_OK);
    assert_true(at + found_size <= size);
    assert_memory_equal(found, text + at, found_size);
    at += found_size;
  }
  assert_int_equal(at, size);
  retc_decoder_destroy(decoder);
  return count;
}

static void test_bytes(void **state) {
  (void)state;
  retc_context *context;
  retc_model *model = open_model(BYTES, &context);
  int64_t bos = 0, eos = 0;
  assert_int_equal(retc_model_text_bounds(model, &bos, &eos), RETC_OK);
  assert_true(bos == -1 && eos == -1);
  static const char text[] = "caf\xC3\xA9\0!";
  assert_int_equal(check_round_trip(model, text, sizeof text - 1), sizeof text - 1);
  retc_decoder *decoder;
  const int64_t cut[] = {'a', 0xE4, 0xB8};
  const char *found;
  size_t size;
  assert_int_equal(retc_decoder_create(model, &decoder), RETC_OK);
  assert_int_equal(retc_decoder_add(decoder, cut, 3, &found, &size), RETC_OK);
  assert_string_equal(found, "a");
  assert_int_equal(retc_decoder_finish(decoder, &found, &size), RETC_OK);
  assert_string_equal(found, "\xE4\xB8");
  retc_decoder_destroy(decoder);
  close_model(context, model);
}

static void test_sentencepiece(void **state) {
  (void)state;
  retc_context *context;
  retc_model *model = open_model(folder, &context);
  int64_t bos = 0, eos = 0;
  assert_int_equal(retc_model_text_bounds(model, &bos, &eos), RETC_OK);
  assert_true(bos == 1 && eos == 2);
  static const char text[] = "Hear me speak, good people";
  assert_true(check_round_trip(model, text, sizeof text - 1) < (int64_t)sizeof text - 1);
  close_model(context, model);
}

/* Without a tokenizer text is refused, and tokens work all the same. */
static void test_none(void **state) {
  (void)state;
  retc_context *context;
  retc_model *model = open_model(TINY, &context);
  const int64_t *tokens, ids[] = {1, 2, 3};
  int64_t count;
  retc_decoder *decoder = NULL;
  assert_int_equal(retc_model_encode(model, "a", 1, &tokens, &count), RETC_INVALID);
  assert_non_null(strstr(retc_context_message(context), "no tokenizer.model"));
  assert_int_equal(retc_decoder_create(model, &decoder), RETC_INVALID);
  retc_session *session;
  assert_int_equal(retc_session_create(model, NULL, &session), RETC_OK);
  assert_int_equal(retc_session_prefill(session, ids, 3), RETC_OK);
  retc_session_destroy(session);
  close_model(context, model);
}

int main(void) {
  if (system("command -v spm_train >/dev/null") != 0) {
    printf("skipped: no spm_train, of Debian's package sentencepiece\n");
    return SKIPPED;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_sentencepiece),
      cmocka_unit_test(test_none),
  };
  return cmocka_run_group_tests(tests, make_model, remove_model);
}
