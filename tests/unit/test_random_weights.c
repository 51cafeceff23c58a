#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/network_parameters.h"
#include "compiler/source.h"

static retc_source *open_config(const char *path, int64_t seed) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_source *source = NULL;
  retc_status status = retc_source_open_random(path, seed, &diagnostics, &source);
  assert_string_equal(retc_diagnostics_text(&diagnostics), "");
  assert_int_equal(status, RETC_OK);
  retc_diagnostics_deinit(&diagnostics);
  return source;
}

#define CONFIG(name) RETC_SOURCE_DIR "/tests/bench/configs/" name ".json"

static void test_published_shapes(void **state) {
  (void)state;
  static const struct {
    const char *path;
    int64_t parameters;
    size_t tensors;
  } shapes[] = {
      {CONFIG("170m"), 171868928, 179},
      {CONFIG("1.3b"), 1351727104, 267},
      {CONFIG("2.7b"), 2722548224, 355},
      {CONFIG("6.7b"), 6771986432, 355},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    retc_source *source = open_config(shapes[i].path, -1);
    retc_arena arena;
    retc_arena_init(&arena);
    const retc_network_parameter *parameters;
    size_t count = retc_network_parameters(&source->network, &arena, &parameters);
    int64_t elements = 0;
    for (size_t p = 0; p < count; p++) elements += retc_network_tensor_elements(parameters[p].tensor);
    assert_int_equal(count, shapes[i].tensors);
    assert_int_equal(elements, shapes[i].parameters);
    assert_null(source->checkpoint);
    retc_arena_deinit(&arena);
    retc_source_destroy(source);
  }
}

static const retc_stored_tensor *find(const retc_source *source, const char *name) {
  const retc_stored_tensor *tensor = retc_checkpoint_find(source->checkpoint, name);
  assert_non_null(tensor);
  assert_null(tensor->data);
  return tensor;
}

/* What is read does not depend on where reading begins, and is what is converted. */
static void test_any_range(void **state) {
  (void)state;
  enum { COUNT = 5000 };
  retc_source *source = open_config(RETC_SOURCE_DIR "/tests/cases/fla-tiny/config.json", 3);
  const retc_stored_tensor *tensor = find(source, "model.layers.0.attn.q_proj.weight");
  int64_t count = tensor->count < COUNT ? tensor->count : COUNT;
  size_t size = retc_dtype_size(tensor->dtype);
  char *whole = malloc((size_t)tensor->count * size), *part = malloc((size_t)count * size);
  double *converted = malloc((size_t)tensor->count * sizeof *converted);
  assert_ptr_equal(retc_stored_tensor_read(tensor, 0, tensor->count, whole), whole);
  retc_stored_tensor_convert(tensor, RETC_DTYPE_F64, converted);
  for (int64_t first = 0; first < count; first += 7 + first / 3) {
    retc_stored_tensor_read(tensor, first, count - first, part);
    assert_memory_equal(part, whole + (size_t)first * size, (size_t)(count - first) * size);
  }
  for (int64_t i = 0; i < tensor->count; i++) {
    assert_true(converted[i] == retc_dtype_load(tensor->dtype, whole, (size_t)i));
  }
  free(whole);
  free(part);
  free(converted);
  retc_source_destroy(source);
}

static void moments(const retc_stored_tensor *tensor, double *out_mean, double *out_square) {
  double *values = malloc((size_t)tensor->count * sizeof *values), sum = 0, square = 0;
  retc_stored_tensor_convert(tensor, RETC_DTYPE_F64, values);
  for (int64_t i = 0; i < tensor->count; i++) {
    assert_true(values[i] != 0);
    sum += values[i];
    square += values[i] * values[i];
  }
  *out_mean = sum / (double)tensor->count;
  *out_square = square / (double)tensor->count;
  free(values);
}

static void test_sizes_of_numbers(void **state) {
  (void)state;
  retc_source *source = open_config(CONFIG("170m"), 1), *other = open_config(CONFIG("170m"), 2);
  double mean, square, other_mean;
  const retc_stored_tensor *matrix = find(source, "model.layers.3.mlp.down_proj.weight");
  moments(matrix, &mean, &square);
  assert_true(fabs(mean) < 1e-3);
  assert_true(fabs(square * (double)matrix->dim[1] - 1) < 0.01);
  moments(find(other, matrix->name), &other_mean, &square);
  assert_true(mean != other_mean);
  moments(find(source, "model.layers.4.mlp.down_proj.weight"), &other_mean, &square);
  assert_true(mean != other_mean);
  moments(find(source, "model.layers.3.attn_norm.weight"), &mean, &square);
  assert_true(mean == 1 && square == 1);
  retc_source_destroy(source);
  retc_source_destroy(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_published_shapes),
      cmocka_unit_test(test_any_range),
      cmocka_unit_test(test_sizes_of_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
