#include "compiler/dialect.h"

#include <math.h>

static const retc_dialect dialects[] = {
#define RETC_DIALECT(id, upstream, keys) {upstream, keys, retc_dialect_##id##_matches, retc_dialect_##id##_import},
#include "compiler/dialects.def"
#undef RETC_DIALECT
};
enum { dialect_count = sizeof dialects / sizeof dialects[0] };

retc_status retc_dialect_find(const retc_config *config, retc_diagnostics *diagnostics,
                              const retc_dialect **out_dialect) {
  const retc_dialect *found = NULL;
  for (size_t i = 0; i < dialect_count; i++) {
    if (!dialects[i].matches(config)) continue;
    if (found) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: has the keys of two dialects, %s and %s",
                       retc_config_path(config), found->name, dialects[i].name);
    }
    found = &dialects[i];
  }
  if (found) {
    *out_dialect = found;
    return RETC_OK;
  }
  retc_text known;
  retc_text_init(&known);
  for (size_t i = 0; i < dialect_count; i++) retc_text_printf(&known, "; %s: %s", dialects[i].name, dialects[i].keys);
  retc_status status = retc_fail(diagnostics, RETC_INVALID, "%s: not a model description that retc reads. It knows%s",
                                 retc_config_path(config), known.data ? known.data + 1 : "");
  retc_text_deinit(&known);
  return status;
}

static void print_dims(const retc_stored_tensor *tensor, retc_text *out_text) {
  retc_text_add(out_text, "[");
  for (int i = 0; i < tensor->rank; i++) retc_text_printf(out_text, "%s%lld", i ? "," : "", (long long)tensor->dim[i]);
  retc_text_add(out_text, "]");
}

static retc_status refuse_shape(const retc_stored_tensor *stored, const retc_network_tensor *wanted,
                                retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  print_dims(stored, &text);
  retc_text_printf(&text, ", expected [%lld", (long long)wanted->dim[0]);
  if (wanted->rank == 2) retc_text_printf(&text, ",%lld", (long long)wanted->dim[1]);
  retc_status status =
      retc_fail(diagnostics, RETC_INVALID, "%s: tensor %s has shape %s]", stored->file, stored->name, text.data);
  retc_text_deinit(&text);
  return status;
}

static retc_status refuse_missing(const retc_checkpoint *checkpoint, const char *name, retc_diagnostics *diagnostics) {
  size_t count = retc_checkpoint_count(checkpoint);
  retc_arena arena;
  retc_arena_init(&arena);
  const char **names = RETC_NEW_ARRAY(&arena, const char *, count + 1);
  for (size_t i = 0; i < count; i++) names[i] = retc_checkpoint_at(checkpoint, i)->name;
  const char *near = retc_nearest(name, names, count);
  const char *file = count ? retc_checkpoint_at(checkpoint, 0)->file : "the checkpoint";
  retc_status status = near ? retc_fail(diagnostics, RETC_INVALID, "%s: tensor %s is missing; the nearest name is %s",
                                        file, name, near)
                            : retc_fail(diagnostics, RETC_INVALID, "%s: tensor %s is missing", file, name);
  retc_arena_deinit(&arena);
  return status;
}

retc_status retc_dialect_tensor(const retc_checkpoint *checkpoint, const char *name, int64_t rows, int64_t columns,
                                retc_dtype fallback, retc_diagnostics *diagnostics, retc_network_tensor *out_tensor) {
  retc_network_tensor tensor = {name, columns ? fallback : RETC_DTYPE_F32, columns ? 2 : 1, {rows, columns}};
  if (checkpoint) {
    const retc_stored_tensor *stored = retc_checkpoint_find(checkpoint, name);
    if (!stored) return refuse_missing(checkpoint, name, diagnostics);
    bool same = stored->rank == tensor.rank;
    for (int i = 0; same && i < tensor.rank; i++) same = stored->dim[i] == tensor.dim[i];
    if (!same) return refuse_shape(stored, &tensor, diagnostics);
    if (stored->dtype != RETC_DTYPE_F32 && stored->dtype != RETC_DTYPE_F16 && stored->dtype != RETC_DTYPE_BF16) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: tensor %s has dtype %s, expected F32, F16 or BF16", stored->file,
                       name, retc_dtype_file_name(stored->dtype));
    }
    if (columns) tensor.dtype = stored->dtype;
  }
  *out_tensor = tensor;
  return RETC_OK;
}

retc_status retc_dialect_dtype(const retc_config *config, retc_diagnostics *diagnostics, retc_dtype *out_dtype) {
  static const char *const words[] = {"float32", "bfloat16", "float16"};
  static const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_BF16, RETC_DTYPE_F16};
  const char *key = retc_config_has(config, "torch_dtype") ? "torch_dtype" : "dtype";
  int index;
  RETC_TRY(retc_config_word(config, key, words, 3, 0, diagnostics, &index));
  *out_dtype = dtypes[index];
  return RETC_OK;
}

const double *retc_dialect_decay_powers_of_two(retc_arena *arena, int64_t heads) {
  double *log_decay = RETC_NEW_ARRAY(arena, double, heads);
  for (int64_t h = 0; h < heads; h++) log_decay[h] = log((double)(float)(1.0 - exp2(-5.0 - (double)h)));
  return log_decay;
}
