/* base/: arena, text, status, shapes, element types, files. */
#include <float.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/dtype.h"
#include "base/file.h"
#include "base/shape.h"
#include "base/status.h"
#include "base/text.h"

/* Refused memory is NULL under AddressSanitizer too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void arena_gives_zeroed_aligned_memory(void **state) {
  (void)state;
  retc_arena arena;
  retc_arena_init(&arena);
  for (size_t size = 0; size < 300000; size = size * 3 + 1) {
    unsigned char *memory = retc_arena_alloc(&arena, size);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
    for (size_t i = 0; i < size; i++) assert_int_equal(memory[i], 0);
    memset(memory, 0xff, size);
  }
  assert_null(retc_arena_alloc(&arena, SIZE_MAX));
  assert_null(retc_arena_alloc(&arena, SIZE_MAX / 2));
  assert_string_equal(retc_arena_strdup(&arena, "abc"), "abc");
  assert_string_equal(retc_arena_strndup(&arena, "abcdef", 2), "ab");
  assert_string_equal(retc_arena_strndup(&arena, "ab", 9), "ab");
  assert_string_equal(retc_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
  retc_arena_deinit(&arena);
  retc_arena_deinit(&arena);
}

static void vectors_keep_their_items(void **state) {
  (void)state;
  retc_arena arena;
  retc_arena_init(&arena);
  RETC_VEC(int) vec = {0};
  for (int i = 0; i < 1000; i++) RETC_VEC_PUSH(&arena, vec, i * 3);
  assert_int_equal(vec.count, 1000);
  for (int i = 0; i < 1000; i++) assert_int_equal(vec.items[i], i * 3);
  retc_arena_deinit(&arena);
}

static void numbers_read_back(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } cases[] = {{1, "1.0"},       {0.1, "0.1"},         {-0.0, "-0.0"},     {1e300, "1e+300"}, {INFINITY, "inf"},
               {-INFINITY, "-inf"}, {NAN, "nan"},      {-NAN, "nan"},      {0.5, "0.5"},      {123456, "123456.0"},
               {100000, "1e+05"}, {1.0 / 3, "0.3333333333333333"}};
  retc_text text;
  retc_text_init(&text);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    retc_text_clear(&text);
    retc_text_number(&text, cases[i].value);
    assert_string_equal(text.data, cases[i].text);
  }
  uint64_t bits = 1;
  for (int i = 0; i < 20000; i++) {
    double value;
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) continue;
    retc_text_clear(&text);
    retc_text_number(&text, value);
    assert_true(strtod(text.data, NULL) == value);
  }
  retc_text_deinit(&text);
}

static void text_grows(void **state) {
  (void)state;
  retc_text text;
  retc_text_init(&text);
  for (int i = 0; i < 500; i++) retc_text_printf(&text, "%03d", i);
  retc_text_append(&text, "a\0b", 3);
  assert_int_equal(text.length, 1503);
  assert_memory_equal(text.data + 1497, "499a\0b", 7);
  retc_text_clear(&text);
  retc_text_add(&text, "again");
  assert_string_equal(text.data, "again");
  retc_text_deinit(&text);
}

static void failures_collect_messages(void **state) {
  (void)state;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(retc_fail(&diagnostics, RETC_INVALID, "%s: %d", "file", 3), RETC_INVALID);
  assert_int_equal(retc_fail(&diagnostics, RETC_FAILED, "esc \x1b[31m"), RETC_FAILED);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "file: 3\nesc ?[31m\n");
  retc_diagnostics_clear(&diagnostics);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(retc_fail(NULL, RETC_INTERNAL, "unheard"), RETC_INTERNAL);
  retc_diagnostics_deinit(&diagnostics);
}

static void nearest_word(void **state) {
  (void)state;
  static const char *const words[] = {"hidden_size", "num_heads", "vocab_size", "eps"};
  assert_string_equal(retc_nearest("hiden_size", words, 4), "hidden_size");
  assert_string_equal(retc_nearest("vocabsize", words, 4), "vocab_size");
  assert_string_equal(retc_nearest("ep", words, 4), "eps");
  assert_string_equal(retc_nearest("num_heads", words, 4), "num_heads");
  assert_string_equal(retc_nearest("esp", words, 4), "eps");
  assert_null(retc_nearest("completely_else", words, 4));
  assert_null(retc_nearest("xyz", words, 4));
  assert_null(retc_nearest("x", words, 0));
}

static void shapes_count_and_saturate(void **state) {
  (void)state;
  retc_dims dims = {0};
  dims.value[RETC_DIM_B] = 2;
  dims.value[RETC_DIM_T] = 5;
  retc_shape shape = {.rank = 3, .dim = {RETC_NAMED(B), RETC_NAMED(T), 7}};
  retc_shape scalar = {.rank = 0}, huge = {.rank = 3, .dim = {INT64_MAX / 2, 3, 1}};
  assert_int_equal(retc_shape_count(&shape, &dims), 70);
  assert_int_equal(retc_shape_count(&scalar, &dims), 1);
  assert_true(retc_shape_count(&huge, &dims) == INT64_MAX);
  huge.dim[2] = 0;
  assert_int_equal(retc_shape_count(&huge, &dims), 0);
  assert_true(retc_shape_equal(&shape, &shape));
  assert_false(retc_shape_equal(&shape, &scalar));
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    retc_dim_name name;
    const char *text = retc_dim_text((retc_dim_name)i);
    assert_true(retc_dim_parse(text, strlen(text), &name));
    assert_int_equal(name, i);
    assert_true(retc_dim_is_named(~(retc_dim)i));
  }
  retc_dim_name none;
  assert_false(retc_dim_parse("Bx", 2, &none));
  assert_true(retc_dim_parse("Bx", 1, &none));
}

static void dtypes_by_name(void **state) {
  (void)state;
  for (int i = 0; i < RETC_DTYPE_COUNT; i++) {
    retc_dtype dtype = (retc_dtype)i, found;
    const char *name = retc_dtype_name(dtype);
    assert_true(retc_dtype_parse(name, strlen(name), &found) && found == dtype);
    assert_true(retc_dtype_parse_file_name(retc_dtype_file_name(dtype), &found) && found == dtype);
  }
  retc_dtype none;
  assert_false(retc_dtype_parse("f8", 2, &none));
  assert_false(retc_dtype_parse_file_name("f32", &none));
  assert_true(retc_dtype_is_float(RETC_DTYPE_BF16) && !retc_dtype_is_float(RETC_DTYPE_I32));
}

static double half_value(retc_dtype dtype, uint16_t bits) { return retc_dtype_load(dtype, &bits, 0); }

/* `bits` is the nearest to `value` of its format, the even one of two: compared with both neighbours. */
static void assert_nearest(retc_dtype dtype, uint16_t bits, double value) {
  uint16_t infinity = dtype == RETC_DTYPE_F16 ? 0x7c00 : 0x7f80, magnitude = bits & 0x7fff;
  assert_int_equal(bits >> 15, signbit(value) != 0);
  /* One step past the largest number stands for infinity when it comes to halfway. */
  double limit = 2 * half_value(dtype, (uint16_t)(infinity - 1)) - half_value(dtype, (uint16_t)(infinity - 2));
  double exact = fabs(value);
  for (int step = -1; step <= 1; step += 2) {
    if ((magnitude == 0 && step < 0) || (magnitude == infinity && step > 0)) continue;
    uint16_t other = (uint16_t)(magnitude + step);
    double here = magnitude == infinity ? limit : half_value(dtype, magnitude);
    double there = other == infinity ? limit : half_value(dtype, other);
    double distance = fabs(exact - here), farther = fabs(exact - there);
    if (magnitude == infinity && exact >= limit) continue;
    assert_true(distance < farther || (distance == farther && magnitude % 2 == 0));
  }
}

static void halves_round_to_nearest_even(void **state) {
  (void)state;
  static const retc_dtype halves[] = {RETC_DTYPE_F16, RETC_DTYPE_BF16};
  for (int f = 0; f < 2; f++) {
    retc_dtype dtype = halves[f];
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
      uint16_t back, next = (uint16_t)(bits + 1);
      double value = half_value(dtype, (uint16_t)bits);
      retc_dtype_store(dtype, &back, 0, value);
      if (isnan(value)) {
        assert_true(isnan(half_value(dtype, back)));
        continue;
      }
      assert_int_equal(back, bits);
      /* Halfway to the next number, and a hair to either side of it: float would round these twice. */
      double middle = (value + half_value(dtype, next)) / 2;
      if (!isfinite(middle)) continue;
      const double near[] = {middle, nextafter(middle, INFINITY), nextafter(middle, -INFINITY)};
      for (int i = 0; i < 3; i++) {
        retc_dtype_store(dtype, &back, 0, near[i]);
        assert_nearest(dtype, back, near[i]);
      }
    }
  }
}

static void known_half_values(void **state) {
  (void)state;
  assert_int_equal(retc_f32_to_f16(65519.0f), 0x7bff);
  assert_int_equal(retc_f32_to_f16(65520.0f), 0x7c00);
  assert_int_equal(retc_f32_to_f16(-INFINITY), 0xfc00);
  assert_int_equal(retc_f32_to_f16(0x1p-24f), 1);
  assert_int_equal(retc_f32_to_f16(0x1p-25f), 0);
  assert_int_equal(retc_f32_to_f16(0x1.8p-25f), 1);
  assert_int_equal(retc_f32_to_f16(-0.0f), 0x8000);
  assert_true(isnan(retc_f16_to_f32(retc_f32_to_f16(NAN))));
  assert_int_equal(retc_f32_to_bf16(1.0f), 0x3f80);
  assert_int_equal(retc_f32_to_bf16(FLT_MAX), 0x7f80);
  assert_true(isnan(retc_bf16_to_f32(retc_f32_to_bf16(NAN))));
  assert_true(retc_f16_to_f32(0x3555) == 0.333251953125f);
  for (uint32_t i = 0; i < 200000; i++) {
    uint32_t bits = i * 2654435761u;
    float value;
    uint16_t stored;
    memcpy(&value, &bits, sizeof value);
    if (isnan(value)) continue;
    retc_dtype_store(RETC_DTYPE_BF16, &stored, 0, (double)value);
    assert_int_equal(retc_f32_to_bf16(value), stored);
  }
}

static void elements_of_unaligned_arrays(void **state) {
  (void)state;
  for (int i = 0; i < RETC_DTYPE_COUNT; i++) {
    unsigned char bytes[40] = {0};
    retc_dtype_store((retc_dtype)i, bytes + 1, 2, 1.0);
    assert_true(retc_dtype_load((retc_dtype)i, bytes + 1, 2) == 1.0);
    assert_true(retc_dtype_load((retc_dtype)i, bytes + 1, 1) == 0.0);
  }
  int32_t small[4];
  const double large[] = {1e300, -1e300, NAN, -2.9};
  retc_dtype_convert(RETC_DTYPE_F64, large, RETC_DTYPE_I32, small, 4);
  assert_int_equal(small[0], INT32_MAX);
  assert_int_equal(small[1], INT32_MIN);
  assert_int_equal(small[2], 0);
  assert_int_equal(small[3], -2);
  int64_t exact = INT64_MAX - 1, copy;
  retc_dtype_convert(RETC_DTYPE_I64, &exact, RETC_DTYPE_I64, &copy, 1);
  assert_true(copy == exact);
  retc_dtype_convert(RETC_DTYPE_F64, &(double){1e300}, RETC_DTYPE_I64, &copy, 1);
  assert_true(copy == INT64_MAX);
  retc_dtype_convert(RETC_DTYPE_F32, NULL, RETC_DTYPE_F64, NULL, 0);
}

static char directory[256];

static int make_directory(void **state) {
  (void)state;
  const char *place = getenv("TMPDIR");
  snprintf(directory, sizeof directory, "%s/retc-base-XXXXXX", place ? place : P_tmpdir);
  return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state) {
  (void)state;
  return rmdir(directory); /* fails when a test left a file */
}

static void files_are_read_whole(void **state) {
  (void)state;
  char path[300], message[400];
  retc_diagnostics diagnostics;
  retc_file file;
  retc_diagnostics_init(&diagnostics);
  snprintf(path, sizeof path, "%s/a", directory);
  assert_int_equal(retc_file_write(path, "hello", 5, &diagnostics), RETC_OK);
  assert_int_equal(retc_file_map(path, &diagnostics, &file), RETC_OK);
  assert_int_equal(file.size, 5);
  assert_memory_equal(file.data, "hello", 5);
  retc_file_unmap(&file);
  assert_int_equal(retc_file_write(path, NULL, 0, &diagnostics), RETC_OK);
  assert_int_equal(retc_file_map(path, &diagnostics, &file), RETC_OK);
  assert_true(file.size == 0 && !file.data);
  retc_file_unmap(&file);
  assert_true(retc_path_exists(path) && !retc_path_is_directory(path) && retc_path_is_directory(directory));
  unlink(path);
  assert_int_equal(retc_file_map(path, &diagnostics, &file), RETC_INVALID);
  assert_non_null(strstr(retc_diagnostics_text(&diagnostics), "No such file"));
  retc_diagnostics_clear(&diagnostics);
  assert_int_equal(retc_file_map(directory, &diagnostics, &file), RETC_INVALID);
  snprintf(message, sizeof message, "%s: is a directory, expected a file\n", directory);
  assert_string_equal(retc_diagnostics_text(&diagnostics), message);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(retc_file_map(path, &diagnostics, &file), RETC_INVALID);
  unlink(path);
  retc_diagnostics_deinit(&diagnostics);
}

static void uncommitted_files_vanish(void **state) {
  (void)state;
  char path[300];
  retc_diagnostics diagnostics;
  retc_file_writer writer;
  retc_file file;
  retc_diagnostics_init(&diagnostics);
  snprintf(path, sizeof path, "%s/b", directory);
  assert_int_equal(retc_file_write(path, "old", 3, &diagnostics), RETC_OK);
  assert_int_equal(retc_file_writer_init(&writer, path, &diagnostics), RETC_OK);
  assert_int_equal(retc_file_writer_write(&writer, "new", 3, &diagnostics), RETC_OK);
  retc_file_writer_deinit(&writer);
  assert_int_equal(retc_file_map(path, &diagnostics, &file), RETC_OK);
  assert_memory_equal(file.data, "old", 3);
  retc_file_unmap(&file);
  unlink(path);
  snprintf(path, sizeof path, "%s/absent/b", directory);
  assert_int_equal(retc_file_write(path, "x", 1, &diagnostics), RETC_INVALID);
  assert_int_equal(retc_file_write(directory, "x", 1, &diagnostics), RETC_INVALID);
  retc_diagnostics_deinit(&diagnostics);
}

static void assert_holds(const char *path, const char *expected) {
  retc_file file;
  assert_int_equal(retc_file_map(path, NULL, &file), RETC_OK);
  assert_int_equal(file.size, strlen(expected));
  assert_memory_equal(file.data, expected, file.size);
  retc_file_unmap(&file);
}

static void links_and_pipes_stay_what_they_are(void **state) {
  (void)state;
  char path[300], link[300], bytes[8];
  struct stat info;
  snprintf(path, sizeof path, "%s/target", directory);
  snprintf(link, sizeof link, "%s/link", directory);
  assert_int_equal(retc_file_write(path, "old", 3, NULL), RETC_OK);
  assert_int_equal(symlink("target", link), 0);
  assert_int_equal(retc_file_write(link, "new", 3, NULL), RETC_OK);
  assert_true(lstat(link, &info) == 0 && S_ISLNK(info.st_mode));
  assert_holds(path, "new");
  unlink(link);
  unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK);
  assert_int_equal(retc_file_write(path, "piped", 5, NULL), RETC_OK);
  assert_int_equal(read(reader, bytes, sizeof bytes), 5);
  assert_memory_equal(bytes, "piped", 5);
  close(reader);
  assert_true(lstat(path, &info) == 0 && S_ISFIFO(info.st_mode));
  unlink(path);
  assert_int_equal(retc_file_write("/dev/null", "x", 1, NULL), RETC_OK);
  assert_true(stat("/dev/null", &info) == 0 && S_ISCHR(info.st_mode));
}

/* Finished, a file is whole but not yet there. */
static void finished_files_wait_for_commit(void **state) {
  (void)state;
  char path[300];
  retc_file_writer writer;
  snprintf(path, sizeof path, "%s/d", directory);
  assert_int_equal(retc_file_writer_init(&writer, path, NULL), RETC_OK);
  assert_int_equal(retc_file_writer_write(&writer, "new", 3, NULL), RETC_OK);
  assert_int_equal(retc_file_writer_finish(&writer, NULL), RETC_OK);
  assert_false(retc_path_exists(path));
  assert_holds(writer.beside, "new");
  assert_int_equal(retc_file_writer_commit(&writer, NULL), RETC_OK);
  retc_file_writer_deinit(&writer);
  assert_holds(path, "new");
  unlink(path);
}

/* Several processes write one name: each file that ever stands there is one of theirs, whole. */
static void writers_do_not_mix(void **state) {
  (void)state;
  enum { WRITERS = 4, SIZE = 100000 };
  char path[300], data[SIZE];
  retc_file file;
  snprintf(path, sizeof path, "%s/c", directory);
  for (int i = 0; i < WRITERS; i++) {
    if (fork() != 0) continue;
    memset(data, 'a' + i, SIZE);
    for (int k = 0; k < 20; k++) {
      if (retc_file_write(path, data, SIZE, NULL) != RETC_OK) _exit(1);
    }
    _exit(0);
  }
  int status, failures = 0;
  for (int i = 0; i < WRITERS; i++) failures += wait(&status) < 0 || status != 0;
  assert_int_equal(failures, 0);
  assert_int_equal(retc_file_map(path, NULL, &file), RETC_OK);
  assert_int_equal(file.size, SIZE);
  for (int i = 0; i < SIZE; i++) assert_int_equal(file.data[i], file.data[0]);
  retc_file_unmap(&file);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arena_gives_zeroed_aligned_memory),
      cmocka_unit_test(vectors_keep_their_items),
      cmocka_unit_test(numbers_read_back),
      cmocka_unit_test(text_grows),
      cmocka_unit_test(failures_collect_messages),
      cmocka_unit_test(nearest_word),
      cmocka_unit_test(shapes_count_and_saturate),
      cmocka_unit_test(dtypes_by_name),
      cmocka_unit_test(halves_round_to_nearest_even),
      cmocka_unit_test(known_half_values),
      cmocka_unit_test(elements_of_unaligned_arrays),
      cmocka_unit_test(files_are_read_whole),
      cmocka_unit_test(uncommitted_files_vanish),
      cmocka_unit_test(links_and_pipes_stay_what_they_are),
      cmocka_unit_test(finished_files_wait_for_commit),
      cmocka_unit_test(writers_do_not_mix),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
