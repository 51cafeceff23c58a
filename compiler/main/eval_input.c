#include <stdlib.h>
#include <string.h>

#include "compiler/main/eval.h"
#include "runtime/ids.h"

/* Finds an I64 matrix; *out_tensor is NULL when there is none of that name. */
static retc_status find_matrix(const retc_checkpoint *file, const char *path, const char *name,
                               retc_diagnostics *diagnostics, const retc_stored_tensor **out_tensor) {
  const retc_stored_tensor *tensor = retc_checkpoint_find(file, name);
  *out_tensor = tensor;
  if (!tensor || (tensor->dtype == RETC_DTYPE_I64 && tensor->rank == 2)) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: %s is %s of rank %d, expected I64 [B,T]", path, name,
                   retc_dtype_file_name(tensor->dtype), tensor->rank);
}

/* As find_matrix, of the shape of the ids. */
static retc_status find_beside(const retc_checkpoint *file, const char *path, const char *name,
                               const retc_eval_input *input, retc_diagnostics *diagnostics,
                               const retc_stored_tensor **out_tensor) {
  RETC_TRY(find_matrix(file, path, name, diagnostics, out_tensor));
  const retc_stored_tensor *tensor = *out_tensor;
  if (!tensor || (tensor->dim[0] == input->batch && tensor->dim[1] == input->length)) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: %s is [%lld,%lld], expected [%lld,%lld] like input_ids", path, name,
                   (long long)tensor->dim[0], (long long)tensor->dim[1], (long long)input->batch,
                   (long long)input->length);
}

/* A copy, since the file need not align them; each in 0..vocabulary-1. */
static retc_status copy_tokens(const retc_stored_tensor *tensor, int64_t vocabulary, retc_diagnostics *diagnostics,
                               int64_t **out_items) {
  int64_t *items = malloc((size_t)tensor->count * sizeof *items);
  if (!items) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused for %s", tensor->file, tensor->name);
  *out_items = items;
  memcpy(items, tensor->data, (size_t)tensor->count * sizeof *items);
  const retc_shape shape = {.rank = 2, .dim = {tensor->dim[0], tensor->dim[1]}};
  retc_text what;
  retc_text_init(&what);
  retc_text_printf(&what, "%s: %s", tensor->file, tensor->name);
  retc_status status =
      retc_ids_check(what.data ? what.data : tensor->name, tensor->dtype, items, &shape, 0, vocabulary, diagnostics);
  retc_text_deinit(&what);
  return status;
}

static retc_status read_ids(const retc_checkpoint *file, const char *path, int64_t vocabulary,
                            retc_diagnostics *diagnostics, retc_eval_input *out_input) {
  const retc_stored_tensor *ids;
  RETC_TRY(find_matrix(file, path, "input_ids", diagnostics, &ids));
  if (!ids) return retc_fail(diagnostics, RETC_INVALID, "%s: no tensor input_ids, expected I64 [B,T]", path);
  if (ids->count == 0) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: input_ids is [%lld,%lld], expected at least one token", path,
                     (long long)ids->dim[0], (long long)ids->dim[1]);
  }
  out_input->batch = ids->dim[0];
  out_input->length = ids->dim[1];
  return copy_tokens(ids, vocabulary, diagnostics, &out_input->ids);
}

/* attention_mask as counts of padding, when any row has some. */
static retc_status read_mask(const retc_checkpoint *file, const char *path, retc_diagnostics *diagnostics,
                             retc_eval_input *out_input) {
  const retc_stored_tensor *mask;
  RETC_TRY(find_beside(file, path, "attention_mask", out_input, diagnostics, &mask));
  if (!mask) return RETC_OK;
  int64_t *padding = calloc((size_t)mask->dim[0], sizeof *padding);
  if (!padding) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused for attention_mask", path);
  out_input->padding = padding;
  bool padded = false;
  for (int64_t i = 0; i < mask->count; i++) {
    int64_t row = i / mask->dim[1], column = i % mask->dim[1], value;
    memcpy(&value, (const char *)mask->data + (size_t)i * sizeof value, sizeof value);
    if (value != 0 && value != 1) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: attention_mask[%lld,%lld] is %lld, expected 0 or 1", path,
                       (long long)row, (long long)column, (long long)value);
    }
    if (value == 0 && column > padding[row]) {
      return retc_fail(diagnostics, RETC_INVALID,
                       "%s: attention_mask[%lld,%lld] is 0 behind a 1, expected padding on the left only", path,
                       (long long)row, (long long)column);
    }
    padding[row] += value == 0;
    padded = padded || value == 0;
  }
  if (padded) return RETC_OK;
  free(padding);
  out_input->padding = NULL;
  return RETC_OK;
}

static retc_status read_labels(const retc_checkpoint *file, const char *path, int64_t vocabulary,
                               retc_diagnostics *diagnostics, retc_eval_input *out_input) {
  const retc_stored_tensor *labels;
  RETC_TRY(find_beside(file, path, "labels", out_input, diagnostics, &labels));
  if (out_input->length < 2) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: input_ids is [%lld,1], the loss needs at least 2 tokens a row",
                     path, (long long)out_input->batch);
  }
  return labels ? copy_tokens(labels, vocabulary, diagnostics, &out_input->labels) : RETC_OK;
}

retc_status retc_eval_input_read(const char *path, int64_t vocabulary, bool with_labels, retc_diagnostics *diagnostics,
                                 retc_eval_input *out_input) {
  *out_input = (retc_eval_input){0};
  retc_checkpoint *file;
  RETC_TRY(retc_checkpoint_open_file(path, diagnostics, &file));
  retc_status status = read_ids(file, path, vocabulary, diagnostics, out_input);
  if (status == RETC_OK) status = read_mask(file, path, diagnostics, out_input);
  if (status == RETC_OK && with_labels) status = read_labels(file, path, vocabulary, diagnostics, out_input);
  retc_checkpoint_destroy(file);
  if (status != RETC_OK) retc_eval_input_deinit(out_input);
  return status;
}

void retc_eval_input_deinit(retc_eval_input *input) {
  free(input->ids);
  free(input->labels);
  free(input->padding);
  *input = (retc_eval_input){0};
}
