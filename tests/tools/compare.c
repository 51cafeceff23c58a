/* Compares what `retc eval` wrote with a golden file or with another output. Status 1 when they differ. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tool.h"

static const double state_tolerance = 1e-5;

/* Sums of a relative L2 error ||a - b|| / ||b||. */
typedef struct difference {
  double squares, reference_squares;
} difference;

static void add_row(difference *sum, const retc_stored_tensor *a, int64_t a_row, const retc_stored_tensor *b,
                    int64_t b_row, int64_t width) {
  for (int64_t i = 0; i < width; i++) {
    double x = retc_dtype_load(a->dtype, a->data, (size_t)(a_row * width + i));
    double y = retc_dtype_load(b->dtype, b->data, (size_t)(b_row * width + i));
    sum->squares += (x - y) * (x - y);
    sum->reference_squares += y * y;
  }
}

static double relative(difference sum) {
  return sum.squares == 0 ? 0 : sqrt(sum.squares) / sqrt(sum.reference_squares);
}

/* A NaN is not within anything. */
static bool within(const char *name, double error, double tolerance) {
  bool holds = error <= tolerance;
  printf("%s %.2e%s  ", name, error, holds ? "" : " FAILED");
  return holds;
}

/* A golden may hold the logits of some positions only: those of `positions`, or the first ones. An output may be that
 * of the golden's first tokens only. Padding is not compared. */
static bool compare_logits(const retc_checkpoint *golden, const char *golden_path, const char *name,
                           const retc_checkpoint *out, const char *out_path, double tolerance) {
  const retc_stored_tensor *expected = tool_tensor(golden, golden_path, name, RETC_DTYPE_F32, 3);
  const retc_stored_tensor *found = tool_tensor(out, out_path, "logits", RETC_DTYPE_F32, 3);
  const retc_stored_tensor *positions = retc_checkpoint_find(golden, "positions");
  const retc_stored_tensor *mask = retc_checkpoint_find(golden, "attention_mask");
  int64_t batch = expected->dim[0], rows = expected->dim[1], width = expected->dim[2], tokens = found->dim[1];
  if (found->dim[0] != batch || found->dim[2] != width || !batch || !rows || !tokens || !width) {
    tool_fail("%s: logits have shape [%lld,%lld,%lld], expected [%lld,T,%lld]", out_path, (long long)found->dim[0],
              (long long)tokens, (long long)found->dim[2], (long long)batch, (long long)width);
  }
  if (positions && positions->count != rows) tool_fail("%s: positions and %s disagree", golden_path, name);
  int64_t compared = !positions && tokens < rows ? tokens : rows;
  difference sum = {0};
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t t = 0; t < compared; t++) {
      int64_t at = positions ? (int64_t)retc_dtype_load(positions->dtype, positions->data, (size_t)t) : t;
      if (at < 0 || at >= tokens) tool_fail("%s: no position %lld", out_path, (long long)at);
      if (mask && retc_dtype_load(mask->dtype, mask->data, (size_t)(b * mask->dim[1] + at)) == 0) continue;
      add_row(&sum, found, b * tokens + at, expected, b * rows + t, width);
    }
  }
  return within("logits", relative(sum), tolerance);
}

static bool same_shape(const retc_stored_tensor *a, const retc_stored_tensor *b) {
  return a->dtype == b->dtype && a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->rank) == 0;
}

/* A golden state as the output has it. `part` takes the state of head 0 only; a scale may be one for all rows. */
static bool compare_state(const retc_stored_tensor *expected, const retc_stored_tensor *found, const char *out_path,
                          bool part, double tolerance) {
  retc_stored_tensor shape = *expected;
  bool shared = expected->rank == 4 && expected->dim[0] == 1 && strncmp(expected->name, "scale_", 6) == 0;
  if (shared) shape.dim[0] = found->dim[0];
  if (part && expected->rank > 1 && found->rank > 1) shape.dim[1] = found->dim[1];
  if (!same_shape(found, &shape)) tool_fail("%s: %s has another shape than the golden", out_path, found->name);
  int64_t width = expected->count / expected->dim[0];
  int64_t parts = found->count / found->dim[0] / width;
  difference sum = {0};
  for (int64_t b = 0; b < found->dim[0]; b++) add_row(&sum, found, b * parts, expected, shared ? 0 : b, width);
  return within(expected->name, relative(sum), tolerance);
}

/* The golden's tensors called "state_" or "scale_" (the kind), then `infix` and the layer's number. `apart`:
 * how far those behind the first layer may be apart by definition. Returns their count. */
static int compare_states(const retc_checkpoint *golden, const retc_checkpoint *out, const char *out_path,
                          const char *kind, const char *infix, double apart, bool *holds) {
  int count = 0;
  size_t length = strlen(kind), infix_length = strlen(infix);
  for (size_t i = 0; i < retc_checkpoint_count(golden); i++) {
    const retc_stored_tensor *expected = retc_checkpoint_at(golden, i);
    if (strncmp(expected->name, kind, length) || strncmp(expected->name + length, infix, infix_length)) continue;
    const char *layer = expected->name + length + infix_length;
    if (!isdigit((unsigned char)*layer)) continue;
    char name[64];
    snprintf(name, sizeof name, "%s%s", kind, layer);
    const retc_stored_tensor *found = retc_checkpoint_find(out, name);
    if (!found) tool_fail("%s: no tensor %s", out_path, name);
    double tolerance = state_tolerance + (strcmp(layer, "0") ? apart : 0);
    *holds = compare_state(expected, found, out_path, strcmp(infix, "head0_") == 0, tolerance) && *holds;
    count++;
  }
  return count;
}

/* The states of a form. The unnamed ones are the recurrent form's. The parallel form, unless it has its own, has the
 * same quantities, of inputs that are `apart` in all layers but the first; the chunkwise form has them only where
 * nothing is scaled. */
static bool compare_form(const retc_checkpoint *golden, const retc_checkpoint *out, const char *out_path,
                         const char *form, double apart) {
  bool holds = true, chunkwise = strcmp(form, "chunkwise") == 0;
  char own[64];
  snprintf(own, sizeof own, "%s_", form);
  int states = compare_states(golden, out, out_path, "state_", own, 0, &holds);
  compare_states(golden, out, out_path, "scale_", own, 0, &holds);
  if (states || (chunkwise && retc_checkpoint_find(golden, "scale_0"))) return holds;
  if (strcmp(form, "parallel")) apart = 0;
  compare_states(golden, out, out_path, "state_", "", apart, &holds);
  compare_states(golden, out, out_path, "state_", "head0_", apart, &holds);
  compare_states(golden, out, out_path, "scale_", "", 0, &holds);
  return holds;
}

/* The golden's logits `name`, and its states of `form`. `whole`: the output has as many tokens as the golden's
 * input. */
static int compare_golden(const char *golden_path, const char *name, const char *form, double tolerance, double apart,
                          const char *out_path, bool whole) {
  retc_checkpoint *golden = tool_open(golden_path), *out = tool_open(out_path);
  int64_t given = tool_tensor(golden, golden_path, "input_ids", RETC_DTYPE_I64, 2)->dim[1];
  int64_t taken = tool_tensor(out, out_path, "logits", RETC_DTYPE_F32, 3)->dim[1];
  if (whole && given != taken) {
    tool_fail("%s: logits of %lld tokens, expected %lld", out_path, (long long)taken, (long long)given);
  }
  bool holds = compare_logits(golden, golden_path, name, out, out_path, tolerance);
  holds = compare_form(golden, out, out_path, form, apart) && holds;
  printf("(logits <= %.0e)\n", tolerance);
  retc_checkpoint_destroy(golden);
  retc_checkpoint_destroy(out);
  return !holds;
}

static int run_golden(char **words) {
  return compare_golden(words[0], words[1], "recurrent", tool_number(words[2]), 0, words[3], false);
}

static int run_case(char **words) {
  char path[4096], name[64];
  snprintf(path, sizeof path, "%s/case.json", words[0]);
  json_t *root = tool_json(path);
  double tolerance, apart = 0; /* upstream's recurrent form from its parallel one */
  json_unpack(root, "{s{s?{s{sF}}}}", "tolerance", "f64", "recurrent_vs_parallel", "rel_l2", &apart);
  if (json_unpack(root, "{s{s{sF}}}", "tolerance", "suggested", "f32_same_form_rel_l2", &tolerance)) {
    tool_fail("%s: no tolerance.suggested.f32_same_form_rel_l2", path);
  }
  json_decref(root);
  snprintf(path, sizeof path, "%s/golden.safetensors", words[0]);
  snprintf(name, sizeof name, "logits_%s", words[1]);
  return compare_golden(path, name, words[1], tolerance, 1.5 * apart, words[2], true);
}

/* The loss that was printed against the golden's. */
static int run_loss(char **words) {
  retc_checkpoint *golden = tool_open(words[0]);
  double expected = *(const float *)tool_tensor(golden, words[0], "loss", RETC_DTYPE_F32, 1)->data;
  double found = tool_number(words[1]);
  bool holds = within("loss", fabs(found - expected) / fabs(expected), state_tolerance);
  printf("(%.9g)\n", found);
  retc_checkpoint_destroy(golden);
  return !holds;
}

/* Row `row` of every tensor of `a` has the bits of row 0 of `b`'s; rows < 0: all of it. */
static int compare_bits(const char *a_path, const char *b_path, int64_t row) {
  retc_checkpoint *a = tool_open(a_path), *b = tool_open(b_path);
  int status = 0;
  if (!retc_checkpoint_find(a, "logits") || retc_checkpoint_count(a) != retc_checkpoint_count(b)) {
    tool_fail("%s and %s do not hold the same tensors", a_path, b_path);
  }
  for (size_t i = 0; i < retc_checkpoint_count(a); i++) {
    const retc_stored_tensor *x = retc_checkpoint_at(a, i), *y = retc_checkpoint_find(b, x->name);
    if (!y) tool_fail("%s: no tensor %s", b_path, x->name);
    retc_stored_tensor part = *x;
    if (row >= 0) {
      if (row >= x->dim[0]) tool_fail("%s: %s has no row %lld", a_path, x->name, (long long)row);
      part.count = x->count / x->dim[0];
      part.data = (const uint8_t *)x->data + (size_t)(row * part.count) * retc_dtype_size(x->dtype);
      part.dim[0] = 1;
    }
    if (!same_shape(&part, y)) tool_fail("%s and %s: %s has two shapes", a_path, b_path, x->name);
    if (memcmp(part.data, y->data, (size_t)part.count * retc_dtype_size(part.dtype)) != 0) {
      difference sum = {0};
      add_row(&sum, &part, 0, y, 0, part.count);
      printf("%s and %s: %s has other bits, relative difference %.2e\n", a_path, b_path, x->name, relative(sum));
      status = 1;
    }
  }
  retc_checkpoint_destroy(a);
  retc_checkpoint_destroy(b);
  return status;
}

static int run_equal(char **words) { return compare_bits(words[0], words[1], -1); }
static int run_row(char **words) { return compare_bits(words[1], words[2], tool_integer(words[0])); }

/* One tensor of two files: the relative difference, or, with a tolerance of 0, the bits. */
static int run_tensor(char **words) {
  retc_checkpoint *a = tool_open(words[1]), *b = tool_open(words[2]);
  const retc_stored_tensor *x = retc_checkpoint_find(a, words[0]), *y = retc_checkpoint_find(b, words[0]);
  double tolerance = tool_number(words[3]);
  if (!x || !y) tool_fail("%s or %s: no tensor %s", words[1], words[2], words[0]);
  if (!same_shape(x, y)) tool_fail("%s and %s: %s has two shapes", words[1], words[2], words[0]);
  difference sum = {0};
  add_row(&sum, x, 0, y, 0, x->count);
  bool holds = within(words[0], relative(sum), tolerance);
  bool exact = x->dtype == y->dtype && memcmp(x->data, y->data, (size_t)x->count * retc_dtype_size(x->dtype)) == 0;
  if (tolerance == 0 && !exact) holds = false;
  printf("%s\n", exact ? "same bits" : "");
  retc_checkpoint_destroy(a);
  retc_checkpoint_destroy(b);
  return !holds;
}

static int run_text(char **words) {
  json_t *root = tool_json(words[0]);
  json_t *value = json_object_get(root, words[1]);
  size_t count = (size_t)tool_integer(words[2]);
  if (!json_is_string(value) || json_string_length(value) < count) {
    tool_fail("%s: %s is not a string of %zu bytes", words[0], words[1], count);
  }
  retc_file file;
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_file_map(words[3], &diagnostics, &file) != RETC_OK) tool_fail("%s", retc_diagnostics_text(&diagnostics));
  retc_diagnostics_deinit(&diagnostics);
  bool equal = file.size == count && (count == 0 || memcmp(file.data, json_string_value(value), count) == 0);
  if (!equal) {
    printf("expected: %.*s\nfound: %.*s\n", (int)count, json_string_value(value), (int)file.size,
           file.data ? (const char *)file.data : "");
  }
  retc_file_unmap(&file);
  json_decref(root);
  return !equal;
}

int main(int count, char **words) {
  static const tool_command commands[] = {
      {"case", "DIR FORM OUT: against the golden of a case, within the tolerance of its case.json", 3, run_case},
      {"loss", "GOLDEN X: X is the golden's loss", 2, run_loss},
      {"golden", "GOLDEN LOGITS TOLERANCE OUT: the common first positions, and states", 4, run_golden},
      {"equal", "A B: the same tensors, bit for bit", 2, run_equal},
      {"row", "I A B: row I of A is row 0 of B, bit for bit", 3, run_row},
      {"tensor", "NAME A B TOLERANCE: the relative difference of one tensor; 0: its bits", 4, run_tensor},
      {"text", "JSON KEY COUNT FILE: FILE is the first COUNT bytes of the string under KEY", 4, run_text},
  };
  return tool_main(count, words, commands, sizeof commands / sizeof commands[0]);
}
