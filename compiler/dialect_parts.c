#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "compiler/dialect.h"

retc_status retc_import_size(const retc_import *in, const char *key, int64_t minimum, int64_t fallback,
                             int64_t *out_value) {
  return retc_config_integer(in->config, key, minimum, RETC_SIZE_MAX, fallback, in->diagnostics, out_value);
}

retc_status retc_import_truth(const retc_import *in, const char *key, bool fallback, bool *out_value) {
  return retc_config_truth(in->config, key, fallback, in->diagnostics, out_value);
}

retc_status retc_import_text_tokens(const retc_import *in, int64_t bos, int64_t eos, retc_network *network) {
  /* A null is upstream's None: no such token. An absent key is the default. */
  if (retc_config_is_null(in->config, "bos_token_id")) bos = -1;
  if (retc_config_is_null(in->config, "eos_token_id")) eos = -1;
  RETC_TRY(retc_config_integer(in->config, "bos_token_id", -1, RETC_VOCABULARY_MAX, bos, in->diagnostics,
                               &network->bos_token));
  RETC_TRY(retc_config_integer(in->config, "eos_token_id", -1, RETC_VOCABULARY_MAX, eos, in->diagnostics,
                               &network->eos_token));
  retc_network_explain(network, in->arena, "first token", retc_import_source(in, "bos_token_id"),
                       network->bos_token < 0 ? "none" : "%lld", (long long)network->bos_token);
  retc_network_explain(network, in->arena, "last token", retc_import_source(in, "eos_token_id"),
                       network->eos_token < 0 ? "none" : "%lld", (long long)network->eos_token);
  return RETC_OK;
}

static const struct {
  const char *word;
  retc_op op;
} activations[] = {{"swish", RETC_OP_SILU}, {"gelu", RETC_OP_GELU}, {"relu", RETC_OP_RELU}};
enum { activation_count = sizeof activations / sizeof activations[0] };

retc_status retc_import_activation(const retc_import *in, const char *key, const char *fallback, retc_op *out_op) {
  const char *words[activation_count];
  int index = 0;
  for (int i = 0; i < activation_count; i++) {
    words[i] = activations[i].word;
    if (!strcmp(words[i], fallback)) index = i;
  }
  RETC_TRY(retc_config_word(in->config, key, words, activation_count, index, in->diagnostics, &index));
  *out_op = activations[index].op;
  return RETC_OK;
}

const char *retc_activation_word(retc_op op) {
  for (int i = 0; i < activation_count; i++) {
    if (activations[i].op == op) return activations[i].word;
  }
  return "none";
}

retc_status retc_import_head_width(const retc_import *in, const char *total_key, int64_t total, const char *heads_key,
                                   int64_t heads, int64_t multiple, int64_t *out_width) {
  if (total % heads || total / heads % multiple) {
    const char *width = multiple == 1   ? "a whole width"
                        : multiple == 2 ? "an even width"
                                        : retc_arena_printf(in->arena, "a width that is a multiple of %lld",
                                                            (long long)multiple);
    return retc_fail(in->diagnostics, RETC_INVALID, "%s: %s is %lld, which %s %lld does not divide into heads of %s",
                     retc_config_path(in->config), total_key, (long long)total, heads_key, (long long)heads, width);
  }
  *out_width = total / heads;
  return RETC_OK;
}

static retc_status refuse_shape(const retc_import *in, const retc_stored_tensor *stored,
                                const retc_network_tensor *wanted) {
  retc_text text;
  retc_text_init(&text);
  for (int i = 0; i < stored->rank; i++) {
    retc_text_printf(&text, "%s%lld", i ? "," : "", (long long)stored->dim[i]);
  }
  retc_text_printf(&text, "], expected [%lld", (long long)wanted->dim[0]);
  if (wanted->rank == 2) retc_text_printf(&text, ",%lld", (long long)wanted->dim[1]);
  retc_status status = retc_fail(in->diagnostics, RETC_INVALID, "%s: tensor %s has shape [%s]", stored->file,
                                 stored->name, text.data ? text.data : "");
  retc_text_deinit(&text);
  return status;
}

static retc_status check_stored(const retc_import *in, const retc_stored_tensor *stored,
                                const retc_network_tensor *wanted) {
  bool same = stored->rank == wanted->rank;
  for (int i = 0; same && i < wanted->rank; i++) same = stored->dim[i] == wanted->dim[i];
  if (!same) return refuse_shape(in, stored, wanted);
  if (stored->dtype == RETC_DTYPE_F32 || stored->dtype == RETC_DTYPE_F16 || stored->dtype == RETC_DTYPE_BF16) {
    return RETC_OK;
  }
  return retc_fail(in->diagnostics, RETC_INVALID, "%s: tensor %s has dtype %s, expected F32, F16 or BF16", stored->file,
                   stored->name, retc_dtype_file_name(stored->dtype));
}

retc_status retc_import_tensor(retc_import *in, const char *name, int64_t rows, int64_t columns,
                               retc_network_tensor *out_tensor) {
  *out_tensor = (retc_network_tensor){name, columns ? in->matrix_dtype : RETC_DTYPE_F32, columns ? 2 : 1,
                                      {rows, columns}};
  if (!in->checkpoint) return RETC_OK;
  RETC_VEC_PUSH(in->arena, in->wanted, name);
  const retc_stored_tensor *stored = retc_checkpoint_find(in->checkpoint, name);
  if (!stored) {
    if (!in->missing) in->missing = name;
    return RETC_OK;
  }
  RETC_TRY(check_stored(in, stored, out_tensor));
  if (columns) out_tensor->dtype = stored->dtype;
  return RETC_OK;
}

static const char *print_name(retc_arena *arena, const char *format, va_list arguments) {
  char name[256];
  vsnprintf(name, sizeof name, format, arguments);
  return retc_arena_strdup(arena, name);
}

retc_status retc_import_linear(retc_import *in, int64_t rows, int64_t columns, bool bias,
                               retc_network_linear *out_linear, const char *name, ...) {
  va_list arguments;
  va_start(arguments, name);
  const char *stem = print_name(in->arena, name, arguments);
  va_end(arguments);
  RETC_TRY(retc_import_tensor(in, retc_arena_printf(in->arena, "%s.weight", stem), rows, columns, &out_linear->weight));
  if (!bias) return RETC_OK;
  return retc_import_tensor(in, retc_arena_printf(in->arena, "%s.bias", stem), rows, 0, &out_linear->bias);
}

retc_status retc_import_norm(retc_import *in, retc_norm_kind kind, double eps, int64_t width,
                             retc_network_norm *out_norm, const char *name, ...) {
  va_list arguments;
  va_start(arguments, name);
  const char *stem = print_name(in->arena, name, arguments);
  va_end(arguments);
  *out_norm = (retc_network_norm){.kind = kind, .eps = eps};
  RETC_TRY(retc_import_tensor(in, retc_arena_printf(in->arena, "%s.weight", stem), width, 0, &out_norm->weight));
  if (kind != RETC_NORM_LAYER) return RETC_OK;
  return retc_import_tensor(in, retc_arena_printf(in->arena, "%s.bias", stem), width, 0, &out_norm->bias);
}

retc_status retc_import_buffer(retc_import *in, const char *name, int64_t count, const double **out_values) {
  *out_values = NULL;
  if (!in->checkpoint) return RETC_OK;
  RETC_VEC_PUSH(in->arena, in->wanted, name);
  const retc_stored_tensor *stored = retc_checkpoint_find(in->checkpoint, name);
  if (!stored) return RETC_OK;
  RETC_TRY(check_stored(in, stored, &(retc_network_tensor){name, RETC_DTYPE_F32, 1, {count, 0}}));
  double *values = RETC_NEW_ARRAY(in->arena, double, count);
  for (int64_t i = 0; i < count; i++) {
    values[i] = retc_dtype_load(stored->dtype, stored->data, (size_t)i);
    if (!isfinite(values[i])) {
      return retc_fail(in->diagnostics, RETC_INVALID, "%s: tensor %s: element %lld is %g, expected a finite number",
                       stored->file, name, (long long)i, values[i]);
    }
  }
  *out_values = values;
  return RETC_OK;
}

static const double *angles_linspace(retc_arena *arena, int64_t count) {
  double *theta = RETC_NEW_ARRAY(arena, double, count);
  theta[0] = 1;
  for (int64_t j = 1; j < count; j++) theta[j] = pow(10000, -(double)j / (double)(count - 1));
  return theta;
}

retc_status retc_import_angles(retc_import *in, const char *name, int64_t key_width, const double **shared,
                               const double **out_theta) {
  const double *angle;
  RETC_TRY(retc_import_buffer(in, name, key_width, &angle));
  if (!angle) {
    if (!*shared) *shared = angles_linspace(in->arena, key_width / 2);
    *out_theta = *shared;
    return RETC_OK;
  }
  double *theta = RETC_NEW_ARRAY(in->arena, double, key_width / 2);
  for (int64_t j = 0; j < key_width / 2; j++) {
    theta[j] = angle[2 * j];
    if (angle[2 * j + 1] != theta[j]) {
      return retc_fail(in->diagnostics, RETC_INVALID,
                       "%s: tensor %s: elements %lld and %lld are %.9g and %.9g, expected each angle twice",
                       retc_checkpoint_find(in->checkpoint, name)->file, name, (long long)(2 * j),
                       (long long)(2 * j + 1), theta[j], angle[2 * j + 1]);
    }
  }
  *out_theta = theta;
  return RETC_OK;
}

const double *retc_decay_powers_of_two(retc_arena *arena, int64_t heads) {
  double *log_decay = RETC_NEW_ARRAY(arena, double, heads);
  for (int64_t h = 0; h < heads; h++) log_decay[h] = log((double)(float)(1.0 - exp2(-5.0 - (double)h)));
  return log_decay;
}

const double *retc_decay_linspace(retc_arena *arena, int64_t heads) {
  double *log_decay = RETC_NEW_ARRAY(arena, double, heads);
  double first = log(1.0 / 32), last = log(1.0 / 512);
  for (int64_t h = 0; h < heads; h++) {
    double x = heads > 1 ? first + (last - first) * (double)h / (double)(heads - 1) : first;
    log_decay[h] = log1p(-exp(x));
  }
  return log_decay;
}

const char *retc_import_source(const retc_import *in, const char *key) {
  return retc_config_has(in->config, key) ? key : retc_arena_printf(in->arena, "default of %s", key);
}
