/* Checkpoints: what is written reads back, and every malformed file gets a message that says what is wrong. */
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "runtime/safetensors.h"

static char directory[256];
static retc_diagnostics diagnostics;

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk) {
  (void)info, (void)type, (void)walk;
  return remove(path);
}

static int make_directory(void **state) {
  (void)state;
  const char *place = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/retc-safetensors-XXXXXX", place ? place : P_tmpdir);
  retc_diagnostics_init(&diagnostics);
  return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state) {
  (void)state;
  retc_diagnostics_deinit(&diagnostics);
  return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in_directory(char path[512], const char *name) {
  snprintf(path, 512, "%s/%s", directory, name);
  return path;
}

static void write_bytes(const char *name, const void *data, size_t size) {
  char path[512];
  assert_int_equal(retc_file_write(in_directory(path, name), data, size, &diagnostics), RETC_OK);
}

/* A file with this header and so many bytes of data. */
static void write_file(const char *name, const char *header, uint64_t length, size_t data_size) {
  retc_text text;
  retc_text_init(&text);
  for (int i = 0; i < 8; i++) retc_text_append(&text, &(char){(char)(length >> 8 * i)}, 1);
  retc_text_add(&text, header);
  for (size_t i = 0; i < data_size; i++) retc_text_append(&text, "", 1);
  write_bytes(name, text.data, text.length);
  retc_text_deinit(&text);
}

static void assert_message(retc_status status, const char *words) {
  assert_int_equal(status, RETC_INVALID);
  const char *message = retc_diagnostics_text(&diagnostics);
  if (!strstr(message, words)) fail_msg("\"%s\" expected in \"%s\"", words, message);
  assert_ptr_equal(strchr(message, '\n'), message + strlen(message) - 1);
  retc_diagnostics_clear(&diagnostics);
}

static void what_is_written_reads_back(void **state) {
  (void)state;
  char path[512];
  const float matrix[] = {1, 2, 3, 4, 5, 6};
  const uint16_t halves[] = {0x3f80, 0x4000, 0x4040};
  const uint8_t truth = 1;
  const retc_tensor_to_write tensors[] = {
      {.name = "z.weight", .dtype = RETC_DTYPE_F32, .rank = 2, .dim = {2, 3}, .data = matrix},
      {.name = "b", .dtype = RETC_DTYPE_BOOL, .rank = 0, .data = &truth},
      {.name = "empty", .dtype = RETC_DTYPE_F64, .rank = 3, .dim = {4, 0, 2}, .data = NULL},
      {.name = "c \"quoted\" \xc3\xa9", .dtype = RETC_DTYPE_BF16, .rank = 1, .dim = {3}, .data = halves},
  };
  in_directory(path, "good.safetensors");
  assert_int_equal(retc_safetensors_write(path, tensors, 4, &diagnostics), RETC_OK);
  retc_checkpoint *checkpoint;
  assert_int_equal(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), RETC_OK);
  assert_int_equal(retc_checkpoint_count(checkpoint), 4);
  for (size_t i = 1; i < 4; i++) {
    const char *name = retc_checkpoint_at(checkpoint, i)->name;
    assert_true(strcmp(retc_checkpoint_at(checkpoint, i - 1)->name, name) < 0);
  }
  const retc_stored_tensor *z = retc_checkpoint_find(checkpoint, "z.weight");
  assert_non_null(z);
  assert_true(z->rank == 2 && z->dim[0] == 2 && z->dim[1] == 3 && z->count == 6 && z->dtype == RETC_DTYPE_F32);
  assert_string_equal(z->file, path);
  for (size_t i = 0; i < 6; i++) assert_true(retc_dtype_load(z->dtype, z->data, i) == (double)matrix[i]);
  const retc_stored_tensor *c = retc_checkpoint_find(checkpoint, tensors[3].name);
  assert_true(c && retc_dtype_load(c->dtype, c->data, 2) == 3);
  assert_int_equal(retc_checkpoint_find(checkpoint, "empty")->count, 0);
  assert_int_equal(retc_checkpoint_find(checkpoint, "b")->count, 1);
  assert_null(retc_checkpoint_find(checkpoint, "absent"));
  retc_checkpoint_destroy(checkpoint);
  retc_checkpoint_destroy(NULL);
}

static void writing_refuses(void **state) {
  (void)state;
  char path[512];
  in_directory(path, "refused");
  retc_tensor_to_write tensors[2] = {{.name = "a", .dtype = RETC_DTYPE_I32, .rank = 1}, {.name = "a"}};
  assert_message(retc_safetensors_write(path, tensors, 2, &diagnostics), "'a' is used twice");
  tensors[0].dim[0] = -1;
  assert_message(retc_safetensors_write(path, tensors, 1, &diagnostics), "tensor 'a'");
  tensors[0] = (retc_tensor_to_write){.name = "\xff", .rank = 1};
  assert_message(retc_safetensors_write(path, tensors, 1, &diagnostics), "UTF-8");
  tensors[0] = (retc_tensor_to_write){.name = "h", .rank = 3, .dim = {INT64_MAX / 2, INT64_MAX / 2, 1}};
  assert_message(retc_safetensors_write(path, tensors, 1, &diagnostics), "tensor 'h'");
  assert_false(retc_path_exists(path));
}

static const struct {
  const char *header;
  size_t data_size;
  const char *words;
} malformed[] = {
    {"{", 0, "is not valid JSON"},
    {"", 0, "is not valid JSON"},
    {"{\"a\":\"\xff\"}", 0, "is not valid JSON"},
    {"[]", 0, "not an object"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
     4, "duplicate"},
    {"{\"a\":[1]}", 0, "tensor 'a': the header's value is not an object"},
    {"{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "\"dtype\" is missing"},
    {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,4]}}", 4, "\"dtype\" is missing or not a string"},
    {"{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     "tensor 'a': dtype 'F8_E4M3' is not supported, expected one of F64, F32, F16, BF16, I64, I32, I8, U8, I4, U4X2, "
     "BOOL"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "\"shape\" is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "\"shape\" is missing or not an array"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4, "dimension 0 is not an integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1.0],\"data_offsets\":[0,4]}}", 4, "dimension 1 is not an integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "dimension 0 is not an integer >= 0"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}", 4, "not valid JSON"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,4]}}", 4, "more than 2^60"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 4, "more than 2^60"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", 4, "more than 2^60"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
     "9 dimensions, expected at most 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "\"data_offsets\" is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "\"data_offsets\" is missing or not"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, "\"data_offsets\" is missing or not"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[\"0\",4]}}", 4, "\"data_offsets\" is missing or not"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "begin before the data"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "end before they begin"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "end behind the data, which is 7 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775803,9223372036854775807]}}", 4,
     "end behind the data"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 8,
     "span 4 bytes, expected 8 for 2 elements of F32"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     8, "tensors 'a' and 'b' overlap"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
     "\"n\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
     12, "tensors 'a' and 'b' overlap"},
};

static void malformed_headers_are_named(void **state) {
  (void)state;
  char path[512];
  retc_checkpoint *checkpoint;
  in_directory(path, "bad.safetensors");
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    write_file("bad.safetensors", malformed[i].header, strlen(malformed[i].header), malformed[i].data_size);
    retc_status status = retc_checkpoint_open_file(path, &diagnostics, &checkpoint);
    assert_null(checkpoint);
    assert_non_null(strstr(retc_diagnostics_text(&diagnostics), path));
    assert_message(status, malformed[i].words);
  }
}

static void bad_lengths_are_named(void **state) {
  (void)state;
  char path[512];
  retc_checkpoint *checkpoint;
  in_directory(path, "short.safetensors");
  write_bytes("short.safetensors", "", 0);
  assert_message(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), "0 bytes, too short");
  write_bytes("short.safetensors", "1234567", 7);
  assert_message(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), "7 bytes, too short");
  static const uint64_t lengths[] = {3, UINT64_C(1) << 60, UINT64_MAX};
  for (int i = 0; i < 3; i++) {
    write_file("short.safetensors", "{}", lengths[i], 0);
    assert_message(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), "the file has 2 after the length");
  }
  assert_message(retc_checkpoint_open_file(directory, &diagnostics, &checkpoint), "is a directory");
  in_directory(path, "none");
  assert_message(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), "cannot be opened");
}

/* Cut anywhere, or with any byte changed, a file is read or refused, never a crash. */
static void damaged_files_do_not_crash(void **state) {
  (void)state;
  static const char header[] =
      "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}  ";
  char path[512];
  uint8_t bytes[8 + sizeof header + 8] = {sizeof header - 1};
  size_t size = 8 + sizeof header - 1 + 8;
  retc_checkpoint *checkpoint;
  memcpy(bytes + 8, header, sizeof header - 1);
  in_directory(path, "damaged");
  write_bytes("damaged", bytes, size);
  assert_int_equal(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), RETC_OK);
  assert_int_equal(retc_checkpoint_count(checkpoint), 2);
  retc_checkpoint_destroy(checkpoint);
  for (size_t i = 0; i < size; i++) {
    write_bytes("damaged", bytes, i);
    assert_int_equal(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), RETC_INVALID);
    static const uint8_t flips[] = {1, 16, 0x80};
    for (int k = 0; k < 3; k++) {
      bytes[i] ^= flips[k];
      write_bytes("damaged", bytes, size);
      if (retc_checkpoint_open_file(path, &diagnostics, &checkpoint) == RETC_OK) retc_checkpoint_destroy(checkpoint);
      bytes[i] ^= flips[k];
    }
  }
  retc_diagnostics_clear(&diagnostics);
}

static void write_shard(const char *file, const char *const *names, size_t count, float value) {
  char path[512];
  retc_tensor_to_write tensors[4];
  for (size_t i = 0; i < count; i++) {
    tensors[i] = (retc_tensor_to_write){.name = names[i], .dtype = RETC_DTYPE_F32, .rank = 0, .data = &value};
  }
  assert_int_equal(retc_safetensors_write(in_directory(path, file), tensors, count, &diagnostics), RETC_OK);
}

static void shards_follow_the_index(void **state) {
  (void)state;
  static const char index[] = "model.safetensors.index.json";
  static const char good[] = "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}";
  retc_checkpoint *checkpoint;
  char path[512];
  assert_message(retc_checkpoint_open_directory(directory, &diagnostics, &checkpoint), "neither model.safetensors nor");
  write_shard("one.safetensors", (const char *const[]){"a", "b"}, 2, 1);
  write_shard("two.safetensors", (const char *const[]){"b", "unlisted"}, 2, 2);
  write_bytes(index, good, strlen(good));
  assert_int_equal(retc_checkpoint_open_directory(directory, &diagnostics, &checkpoint), RETC_OK);
  assert_int_equal(retc_checkpoint_count(checkpoint), 2);
  const retc_stored_tensor *b = retc_checkpoint_find(checkpoint, "b");
  assert_true(retc_dtype_load(b->dtype, b->data, 0) == 2);
  retc_checkpoint_destroy(checkpoint);

  static const struct {
    const char *text, *words;
  } bad[] = {
      {"", "the index is not valid JSON"},
      {"[]", "the index is JSON but not an object"},
      {"{}", "\"weight_map\" is missing"},
      {"{\"weight_map\":[]}", "\"weight_map\" is missing or not an object"},
      {"{\"weight_map\":{\"a\":1}}", "weight_map of tensor 'a' is not a string"},
      {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "expected the name of a file beside the index"},
      {"{\"weight_map\":{\"a\":\"..\"}}", "expected the name of a file"},
      {"{\"weight_map\":{\"a\":\"\"}}", "expected the name of a file"},
      {"{\"weight_map\":{\"a\":\"three.safetensors\"}}", "three.safetensors: the shard is missing"},
      {"{\"weight_map\":{\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"}}", "has no tensor 'c'"},
      {"{\"weight_map\":{\"a\":\"two.safetensors\"}}", "two.safetensors: has no tensor 'a'"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    write_bytes(index, bad[i].text, strlen(bad[i].text));
    assert_message(retc_checkpoint_open_directory(directory, &diagnostics, &checkpoint), bad[i].words);
  }
  write_shard("model.safetensors", (const char *const[]){"whole"}, 1, 3);
  assert_int_equal(retc_checkpoint_open_directory(directory, &diagnostics, &checkpoint), RETC_OK);
  assert_non_null(retc_checkpoint_find(checkpoint, "whole"));
  retc_checkpoint_destroy(checkpoint);
  unlink(in_directory(path, "model.safetensors"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_reads_back), cmocka_unit_test(writing_refuses),
      cmocka_unit_test(malformed_headers_are_named), cmocka_unit_test(bad_lengths_are_named),
      cmocka_unit_test(damaged_files_do_not_crash), cmocka_unit_test(shards_follow_the_index),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
