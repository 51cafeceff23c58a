/* Tokenizers: encoding as spm_encode does, streams that equal decoding at once, and files that are wrong. The models
 * are trained here with Debian's spm_train; without it, or without SentencePiece in the build, they are skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_sentencepiece.h"

#define CORPUS RETC_SOURCE_DIR "/examples/shakespeare/validation.txt"
enum { SKIPPED = 77 };

/* How blanks and unknown characters are treated differs in each. */
static const struct {
  const char *name, *options;
  int pieces;
  bool exact; /* every text comes back as it was */
} models[] = {
    {"bytes", "--vocab_size=400 --model_type=bpe --byte_fallback=true --normalization_rule_name=identity "
              "--remove_extra_whitespaces=false", 400, true},
    {"small", "--vocab_size=97", 97, false},
    {"plain", "--vocab_size=120 --model_type=bpe --add_dummy_prefix=false "
              "--remove_extra_whitespaces=false", 120, false},
    {"silent", "--vocab_size=360 --byte_fallback=true --unk_surface= --control_symbols=[a],[b]", 360, false},
    {"blank", "--vocab_size=150 --model_type=bpe --user_defined_symbols=\xE2\x96\x81,\xE2\x96\x81\xE2\x96\x81 "
              "--remove_extra_whitespaces=false", 150, false},
    {"suffix", "--vocab_size=150 --model_type=bpe --treat_whitespace_as_suffix=true", 150, false},
};
enum { MODEL_COUNT = sizeof models / sizeof models[0] };

static char folder[] = "/tmp/test_tokenizer.XXXXXX";

static bool shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool shell(const char *format, ...) {
  char command[2048];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  return system(command) == 0;
}

static const char *directory_of(int model) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, models[model].name);
  return path;
}

static int train(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  for (int m = 0; m < MODEL_COUNT; m++) {
    if (mkdir(directory_of(m), 0700) != 0 ||
        !shell("spm_train --input='%s' --model_prefix='%s/tokenizer' --num_threads=1 --minloglevel=2 "
               "--max_sentence_length=100000 %s >/dev/null 2>&1",
               CORPUS, directory_of(m), models[m].options)) {
      print_error("spm_train failed for model %s\n", models[m].name);
      return -1;
    }
  }
  return 0;
}

static int clean(void **state) {
  (void)state;
  return shell("rm -rf '%s'", folder) ? 0 : -1;
}

static retc_tokenizer *open_tokenizer(int model) {
  retc_tokenizer *tokenizer = NULL;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_tokenizer_create(directory_of(model), models[model].pieces, &diagnostics, &tokenizer) != RETC_OK) {
    fail_msg("%s", retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
  assert_int_equal(retc_tokenizer_vocabulary_size(tokenizer), models[model].pieces);
  return tokenizer;
}

static void stream_all(const retc_tokenizer *tokenizer, const int64_t *ids, int64_t count, retc_text *out_text) {
  retc_token_stream stream = {0};
  for (int64_t i = 0; i < count; i++) {
    assert_int_equal(retc_token_stream_add(&stream, tokenizer, ids[i], NULL, out_text), RETC_OK);
  }
  assert_int_equal(retc_token_stream_finish(&stream, tokenizer, NULL, out_text), RETC_OK);
}

static const char *const lines[] = {
    "First Citizen: before we proceed any further, hear me speak.",
    "two  blanks,   three",
    " leading and trailing ",
    "caf\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80!",
    "x",
    "",
    "0123456789 @#$%^&*()",
};

/* Each line's ids, written as spm_encode writes them. */
static void test_encodes_as_spm_encode(void **state) {
  (void)state;
  char path[300];
  snprintf(path, sizeof path, "%s/lines", folder);
  FILE *stream = fopen(path, "w");
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) fprintf(stream, "%s\n", lines[i]);
  fclose(stream);
  for (int m = 0; m < MODEL_COUNT; m++) {
    retc_tokenizer *tokenizer = open_tokenizer(m);
    retc_text found;
    retc_text_init(&found);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
      int64_t *ids, count;
      assert_int_equal(retc_tokenizer_encode(tokenizer, lines[i], strlen(lines[i]), NULL, &ids, &count), RETC_OK);
      for (int64_t t = 0; t < count; t++) retc_text_printf(&found, "%s%lld", t ? " " : "", (long long)ids[t]);
      retc_text_add(&found, "\n");
      free(ids);
    }
    assert_true(shell("spm_encode --model='%s/tokenizer.model' --output_format=id <'%s/lines' >'%s/ids'",
                      directory_of(m), folder, folder));
    retc_file file;
    snprintf(path, sizeof path, "%s/ids", folder);
    assert_int_equal(retc_file_map(path, NULL, &file), RETC_OK);
    assert_int_equal(file.size, found.length);
    assert_memory_equal(file.data, found.data, file.size);
    retc_file_unmap(&file);
    retc_text_deinit(&found);
    retc_tokenizer_destroy(tokenizer);
  }
}

static void test_round_trip(void **state) {
  (void)state;
  retc_file corpus;
  assert_int_equal(retc_file_map(CORPUS, NULL, &corpus), RETC_OK);
  for (int m = 0; m < MODEL_COUNT; m++) {
    if (!models[m].exact) continue;
    retc_tokenizer *tokenizer = open_tokenizer(m);
    for (size_t i = 0; i <= sizeof lines / sizeof lines[0]; i++) {
      bool whole = i == sizeof lines / sizeof lines[0];
      const char *text = whole ? (const char *)corpus.data : lines[i];
      size_t size = whole ? corpus.size : strlen(text);
      int64_t *ids, count;
      assert_int_equal(retc_tokenizer_encode(tokenizer, text, size, NULL, &ids, &count), RETC_OK);
      retc_text found;
      retc_text_init(&found);
      stream_all(tokenizer, ids, count, &found);
      assert_int_equal(found.length, size);
      if (size) assert_memory_equal(found.data, text, size);
      retc_text_deinit(&found);
      free(ids);
    }
    retc_tokenizer_destroy(tokenizer);
  }
  retc_file_unmap(&corpus);
}

/* Any sequence: what the stream gives equals what the library makes of the whole, and all but the bytes of one
 * unfinished character (each of which the library shows as one U+FFFD) is there after every token. */
static void check_sequence(const retc_tokenizer *tokenizer, const retc_sentencepiece *library, const int64_t *ids,
                           size_t count) {
  enum { FILLER = 3 };
  retc_token_stream stream = {0};
  retc_text found, expected;
  retc_text_init(&found);
  retc_text_init(&expected);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(retc_token_stream_add(&stream, tokenizer, ids[i], NULL, &found), RETC_OK);
    retc_text_clear(&expected);
    assert_int_equal(retc_sentencepiece_decode(library, ids, i + 1, NULL, &expected), RETC_OK);
    assert_true(found.length <= expected.length && expected.length - found.length <= 3 * FILLER);
    if (found.length) assert_memory_equal(found.data, expected.data, found.length);
    unsigned char byte;
    if (retc_sentencepiece_kind(library, ids[i], &byte) != RETC_PIECE_BYTE) {
      assert_int_equal(found.length, expected.length);
    }
  }
  assert_int_equal(retc_token_stream_finish(&stream, tokenizer, NULL, &found), RETC_OK);
  assert_int_equal(found.length, expected.length);
  if (found.length) assert_memory_equal(found.data, expected.data, found.length);
  retc_text_deinit(&found);
  retc_text_deinit(&expected);
}

static void test_stream_equals_decoding(void **state) {
  (void)state;
  enum { SEQUENCES = 400, LENGTH_MAX = 12 };
  uint64_t random = 1;
  for (int m = 0; m < MODEL_COUNT; m++) {
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.model", directory_of(m));
    retc_sentencepiece *library;
    assert_int_equal(retc_sentencepiece_create(path, NULL, &library), RETC_OK);
    retc_tokenizer *tokenizer = open_tokenizer(m);
    for (int s = 0; s < SEQUENCES; s++) {
      int64_t ids[LENGTH_MAX];
      /* Sequences from the first few pieces are mostly control tokens, from the first 300 mostly bytes. */
      uint64_t range = s % 3 == 0 ? (uint64_t)models[m].pieces : s % 3 == 1 ? 6 : 300;
      if (range > (uint64_t)models[m].pieces) range = (uint64_t)models[m].pieces;
      for (int i = 0; i < LENGTH_MAX; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int64_t)((random >> 33) % range);
      }
      check_sequence(tokenizer, library, ids, (size_t)(1 + s % LENGTH_MAX));
    }
    retc_tokenizer_destroy(tokenizer);
    retc_sentencepiece_destroy(library);
  }
}

/* Blanks before all text, in every order with a silent token and a word. */
static void test_blanks_at_the_start(void **state) {
  (void)state;
  for (int m = 0; m < MODEL_COUNT; m++) {
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.model", directory_of(m));
    retc_sentencepiece *library;
    assert_int_equal(retc_sentencepiece_create(path, NULL, &library), RETC_OK);
    retc_tokenizer *tokenizer = open_tokenizer(m);
    int64_t *words, count, choices[4] = {retc_sentencepiece_bos(library)};
    assert_int_equal(retc_tokenizer_encode(tokenizer, "a a", 3, NULL, &words, &count), RETC_OK);
    choices[1] = words[0];
    choices[2] = words[count - 1];
    free(words);
    /* The piece whose text alone is a blank or nothing: the blank itself. */
    for (int64_t id = 0; id < models[m].pieces; id++) {
      int64_t pair[2] = {choices[2], id};
      unsigned char byte;
      retc_text text;
      retc_text_init(&text);
      assert_int_equal(retc_sentencepiece_decode(library, pair, 2, NULL, &text), RETC_OK);
      if (retc_sentencepiece_kind(library, id, &byte) == RETC_PIECE_TEXT && text.length &&
          text.data[text.length - 1] == ' ') {
        choices[3] = id;
      }
      retc_text_deinit(&text);
    }
    for (int64_t code = 0; code < 4 * 4 * 4 * 4; code++) {
      const int64_t ids[] = {choices[code & 3], choices[code >> 2 & 3], choices[code >> 4 & 3], choices[code >> 6]};
      check_sequence(tokenizer, library, ids, 4);
    }
    retc_tokenizer_destroy(tokenizer);
    retc_sentencepiece_destroy(library);
  }
}

static void expect_refusal(const char *directory, int64_t vocabulary, const char *words) {
  retc_tokenizer *tokenizer = NULL;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  assert_int_equal(retc_tokenizer_create(directory, vocabulary, &diagnostics, &tokenizer), RETC_INVALID);
  assert_null(tokenizer);
  if (!strstr(retc_diagnostics_text(&diagnostics), words)) {
    fail_msg("expected \"%s\" in: %s", words, retc_diagnostics_text(&diagnostics));
  }
  retc_diagnostics_deinit(&diagnostics);
}

static void test_vocabulary_sizes(void **state) {
  (void)state;
  expect_refusal(directory_of(1), 96, "the tokenizer has 97 pieces, the model's vocabulary 96");
  retc_tokenizer *tokenizer = NULL;
  assert_int_equal(retc_tokenizer_create(directory_of(1), 128, NULL, &tokenizer), RETC_OK);
  const int64_t padding[] = {97, 127, -1, 1 << 30};
  retc_text text;
  retc_text_init(&text);
  stream_all(tokenizer, padding, 4, &text);
  assert_int_equal(text.length, 0);
  assert_int_equal(retc_tokenizer_bos(tokenizer), 1);
  assert_int_equal(retc_tokenizer_eos(tokenizer), 2);
  retc_text_deinit(&text);
  retc_tokenizer_destroy(tokenizer);
}

static void test_damaged_files(void **state) {
  (void)state;
  char path[300], good[300];
  retc_file file;
  snprintf(good, sizeof good, "%s/tokenizer.model", directory_of(1));
  assert_int_equal(retc_file_map(good, NULL, &file), RETC_OK);
  snprintf(path, sizeof path, "%s/damaged", folder);
  assert_int_equal(mkdir(path, 0700), 0);
  const size_t sizes[] = {0, 1, 2, file.size / 2, file.size - 1};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    char model[320];
    snprintf(model, sizeof model, "%s/tokenizer.model", path);
    assert_int_equal(retc_file_write(model, file.data, sizes[i], NULL), RETC_OK);
    expect_refusal(path, 97, "not a SentencePiece model");
    assert_int_equal(retc_file_write(model, "{\"version\": \"1.0\"}", 18, NULL), RETC_OK);
    expect_refusal(path, 97, "not a SentencePiece model");
    unlink(model);
  }
  retc_file_unmap(&file);
  assert_true(shell("mkdir '%s/tokenizer.model'", path));
  expect_refusal(path, 97, "directory");
}

static void test_bytes(void **state) {
  (void)state;
  char path[300];
  snprintf(path, sizeof path, "%s/none", folder);
  assert_int_equal(mkdir(path, 0700), 0);
  retc_tokenizer *tokenizer = NULL;
  assert_int_equal(retc_tokenizer_create(path, 256, NULL, &tokenizer), RETC_OK);
  static const char text[] = "a\0\xFF\xE4\xB8\xAD\xE4";
  int64_t *ids, count;
  assert_int_equal(retc_tokenizer_encode(tokenizer, text, sizeof text - 1, NULL, &ids, &count), RETC_OK);
  assert_int_equal(count, sizeof text - 1);
  assert_int_equal(ids[2], 0xFF);
  assert_int_equal(retc_tokenizer_bos(tokenizer), -1);
  retc_text found;
  retc_text_init(&found);
  stream_all(tokenizer, ids, count, &found);
  assert_int_equal(found.length, sizeof text - 1);
  assert_memory_equal(found.data, text, found.length);
  retc_text_deinit(&found);
  free(ids);
  retc_tokenizer_destroy(tokenizer);
  expect_refusal(path, 257, "a vocabulary of 257 tokens is not bytes");
  assert_true(shell("echo '{}' >'%s/tokenizer.json'", path));
  expect_refusal(path, 256, "tokenizer.json");
}

int main(void) {
  if (!shell("command -v spm_train spm_encode >/dev/null")) {
    printf("skipped: no spm_train, of Debian's package sentencepiece\n");
    return SKIPPED;
  }
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_sentencepiece *none = NULL;
  bool absent = retc_sentencepiece_create("/dev/null", &diagnostics, &none) == RETC_FAILED;
  retc_diagnostics_deinit(&diagnostics);
  if (absent) {
    printf("skipped: this retc was built without SentencePiece\n");
    return SKIPPED;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_encodes_as_spm_encode), cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_stream_equals_decoding), cmocka_unit_test(test_blanks_at_the_start),
      cmocka_unit_test(test_vocabulary_sizes), cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_bytes),
  };
  return cmocka_run_group_tests(tests, train, clean);
}
