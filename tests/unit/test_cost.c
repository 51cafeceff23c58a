/* Costs of steps against numbers counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "compiler/cost.h"
#include "compiler/source.h"

/* K = 64, V = 128, chunks of 64. */
enum { HIDDEN = 128, HEADS = 2, KEYS = 64, VALUES = 128, FEED = 192, WORDS = 100, CHUNK = 64 };
static const char config[] =
    "{\"model_type\":\"retnet\",\"hidden_size\":128,\"num_heads\":2,\"num_hidden_layers\":1,\"vocab_size\":100,"
    "\"intermediate_size\":192,\"torch_dtype\":\"bfloat16\"}";

typedef struct rig {
  retc_source *source;
  retc_compilation *compilation;
  size_t entry;
} rig;

static void open_rig(rig *r) {
  char path[] = "cost-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  assert_int_equal(write(file, config, strlen(config)), strlen(config));
  close(file);
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_compile_options options = {
      .chunk_length = CHUNK,
      .profile = {
          .name = "test", .vector_bytes = 32, .vector_registers = 16, .l1_bytes = 1 << 15, .l2_bytes = 1 << 20}};
  retc_status status = retc_source_open(path, &diagnostics, &r->source);
  unlink(path);
  if (status == RETC_OK) status = retc_source_compile(r->source, &options, &diagnostics, &r->compilation);
  if (status != RETC_OK) print_error("%s", retc_diagnostics_text(&diagnostics));
  retc_diagnostics_deinit(&diagnostics);
  assert_int_equal(status, RETC_OK);
  r->entry = (size_t)retc_plan_find_entry(r->compilation->plan, "step");
}

static void close_rig(rig *r) {
  retc_compilation_destroy(r->compilation);
  retc_source_destroy(r->source);
}

static retc_cost count(const rig *r, int64_t batch, int64_t tokens, int64_t position, int64_t last) {
  const retc_plan_entry *entry = &r->compilation->plan->entries.items[r->entry];
  retc_dims dims = retc_cost_dims(entry, batch, tokens, position, last);
  retc_cost cost;
  assert_true(retc_cost_of_entry(r->compilation, r->entry, &dims, &cost));
  retc_cost sum = {0};
  for (size_t i = 0; i < entry->steps.count; i++) {
    retc_cost step;
    assert_true(retc_cost_of_step(r->compilation, r->entry, i, &dims, &step));
    sum.flop += step.flop;
    sum.state_bytes += step.state_bytes;
    sum.row_bytes += step.row_bytes;
    sum.weight_bytes += step.weight_bytes;
  }
  assert_true(sum.flop == cost.flop && retc_cost_bytes(&sum) == retc_cost_bytes(&cost));
  return cost;
}

/* Of one row through the layer: q, k, v, gate, output, and three of the feed-forward part. */
static double layer_flop(void) {
  return 2.0 * HIDDEN * (2 * HEADS * KEYS + 3 * HEADS * VALUES) + 3 * 2.0 * HIDDEN * FEED;
}

static double head_flop(void) { return 2.0 * HIDDEN * WORDS; }

static void test_flop_of_decode(void **state) {
  (void)state;
  rig r;
  open_rig(&r);
  /* position 70 is row 6 of its chunk: 7 scores */
  const double retention = 2.0 * HEADS * ((KEYS + VALUES) * 7 + KEYS * VALUES);
  assert_true(count(&r, 1, 1, 70, 1).flop == layer_flop() + head_flop() + retention);
  assert_true(count(&r, 3, 1, 70, 1).flop == 3 * (layer_flop() + head_flop() + retention));
  /* position 127 completes a chunk */
  const double last = 2.0 * HEADS * ((KEYS + VALUES) * 64 + KEYS * VALUES + CHUNK * KEYS * VALUES);
  assert_true(count(&r, 1, 1, 127, 1).flop == layer_flop() + head_flop() + last);
  close_rig(&r);
}

static void test_flop_of_prefill(void **state) {
  (void)state;
  rig r;
  open_rig(&r);
  const double pairs = 64.0 * 65 / 2 + 36.0 * 37 / 2;
  const double retention = 2.0 * HEADS * ((KEYS + VALUES) * pairs + (100 + CHUNK) * KEYS * VALUES);
  const double whole = count(&r, 1, 100, 0, 1).flop;
  assert_true(whole == 100 * layer_flop() + head_flop() + retention);
  /* however it is split */
  double parts = -3 * head_flop();
  for (int64_t at = 0; at < 100; at += 25) parts += count(&r, 1, 25, at, 1).flop;
  assert_true(parts == whole);
  close_rig(&r);
}

static void test_bytes_of_decode(void **state) {
  (void)state;
  rig r;
  open_rig(&r);
  const retc_cost first = count(&r, 1, 1, 70, 1), later = count(&r, 1, 1, 71, 1), wide = count(&r, 4, 1, 70, 1);
  /* S is read; pending rows: 6 read, 1 written */
  const double row = 4.0 * HEADS * (KEYS + VALUES), whole = 4.0 * HEADS * KEYS * VALUES;
  assert_true(first.state_bytes == whole + 7 * row);
  assert_true(later.state_bytes == first.state_bytes + row);
  assert_true(wide.state_bytes == 4 * first.state_bytes);
  /* completing a chunk replaces S */
  assert_true(count(&r, 1, 1, 127, 1).state_bytes == 2 * whole + 64 * row);
  /* weights are read once whatever the batch, but for the rows of the embedding */
  assert_true(wide.weight_bytes == first.weight_bytes + 3 * 2 * HIDDEN);
  assert_true(wide.row_bytes > 3 * first.row_bytes && wide.row_bytes <= 4 * first.row_bytes);
  close_rig(&r);
}

static void test_bytes_of_weights(void **state) {
  (void)state;
  rig r;
  open_rig(&r);
  const retc_plan_entry *entry = &r.compilation->plan->entries.items[r.entry];
  retc_dims dims = retc_cost_dims(entry, 1, 10, 0, 1);
  retc_cost cost;
  /* the output layer: 100 rows in two panels of 64, bf16, and the last norm's weights; one row of 10 goes through it */
  assert_true(retc_cost_of_step(r.compilation, r.entry, entry->steps.count - 1, &dims, &cost));
  assert_true(cost.flop == head_flop());
  const double norm = cost.weight_bytes - 2.0 * 64 * HIDDEN * 2;
  assert_true(norm == 4.0 * HIDDEN || norm == 2.0 * HIDDEN);
  assert_true(cost.row_bytes == 4.0 * (HIDDEN + WORDS + 1));
  /* the embedding: ten rows of it, ten ids, ten rows written */
  assert_true(retc_cost_of_step(r.compilation, r.entry, 0, &dims, &cost));
  assert_true(cost.flop == 0 && cost.weight_bytes == 10.0 * HIDDEN * 2 && cost.row_bytes == 10.0 * (8 + 4 * HIDDEN));
  close_rig(&r);
}

static void test_kernels_without_graphs(void **state) {
  (void)state;
  rig r;
  open_rig(&r);
  retc_text text;
  retc_text_init(&text);
  retc_compilation_print(r.compilation, &text);
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_compilation *read;
  assert_int_equal(retc_compilation_parse(text.data, text.length, "text", &diagnostics, &read), RETC_OK);
  retc_dims dims = retc_cost_dims(&read->plan->entries.items[0], 1, 1, 0, 1);
  retc_cost cost;
  assert_false(retc_cost_of_entry(read, 0, &dims, &cost));
  retc_compilation_destroy(read);
  retc_diagnostics_deinit(&diagnostics);
  retc_text_deinit(&text);
  close_rig(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_flop_of_decode),   cmocka_unit_test(test_flop_of_prefill),
      cmocka_unit_test(test_bytes_of_decode),  cmocka_unit_test(test_bytes_of_weights),
      cmocka_unit_test(test_kernels_without_graphs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
