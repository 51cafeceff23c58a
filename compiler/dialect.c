#include "compiler/dialect.h"

#include <stdlib.h>
#include <string.h>

static const retc_dialect dialects[] = {
#define RETC_DIALECT(id, upstream, keys) {upstream, keys, retc_dialect_##id##_matches, retc_dialect_##id##_import},
#include "compiler/dialects.def"
#undef RETC_DIALECT
};
enum { dialect_count = sizeof dialects / sizeof dialects[0] };

/* "Did you mean A by B?", once, for a key of the file that nobody asked for and that looks like one that decides. */
static void suggest_key(const retc_config *config, retc_text *out_text) {
  static const char *const deciding[] = {"model_type", "architectures", "hidden_size", "num_heads",
                                         "decoder_embed_dim"};
  enum { deciding_count = sizeof deciding / sizeof deciding[0] };
  const char *absent[deciding_count], *key;
  size_t count = 0;
  for (size_t i = 0; i < deciding_count; i++) {
    if (!retc_config_has(config, deciding[i])) absent[count++] = deciding[i];
  }
  for (size_t i = 0; (key = retc_config_unread(config, i)) != NULL; i++) {
    const char *near = retc_nearest(key, absent, count);
    if (!near) continue;
    retc_text_printf(out_text, " Did you mean %s by %.60s?", near, key);
    return;
  }
}

/* "Did you mean "retnet"?" for a model_type that is nearly one. */
static void suggest_type(const retc_config *config, retc_text *out_text) {
  static const char *const types[] = {"retnet", "yet_another_retnet"};
  const char *type = retc_config_text(config, "model_type");
  const char *near = type ? retc_nearest(type, types, 2) : NULL;
  if (near && strcmp(near, type)) retc_text_printf(out_text, " Did you mean \"%s\"?", near);
}

static retc_status refuse_unknown(const retc_config *config, retc_diagnostics *diagnostics) {
  static const char *const deciding[] = {"hidden_size", "num_heads", "decoder_embed_dim"};
  retc_text text;
  retc_text_init(&text);
  retc_config_describe(config, "model_type", &text);
  retc_text_add(&text, ", ");
  retc_config_describe(config, "architectures", &text);
  for (size_t i = 0; i < sizeof deciding / sizeof deciding[0]; i++) {
    if (!retc_config_has(config, deciding[i])) continue;
    retc_text_add(&text, ", ");
    retc_config_describe(config, deciding[i], &text);
  }
  retc_text_add(&text, ".");
  suggest_type(config, &text);
  suggest_key(config, &text);
  retc_text_add(&text, " Known are");
  for (size_t i = 0; i < dialect_count; i++) {
    retc_text_printf(&text, "%s %s: %s", i ? ";" : "", dialects[i].name, dialects[i].keys);
  }
  retc_status status = retc_fail(diagnostics, RETC_INVALID, "%s: not a model description that retc reads: %s",
                                 retc_config_path(config), text.data ? text.data : "");
  retc_text_deinit(&text);
  return status;
}

static retc_status find_dialect(const retc_config *config, retc_diagnostics *diagnostics,
                                const retc_dialect **out_dialect) {
  const retc_dialect *found = NULL;
  for (size_t i = 0; i < dialect_count; i++) {
    if (!dialects[i].matches(config)) continue;
    if (found) {
      return retc_fail(diagnostics, RETC_INVALID,
                       "%s: contradicts itself: it has the keys of %s (%s) and of %s (%s), expected one of them",
                       retc_config_path(config), found->name, found->keys, dialects[i].name, dialects[i].keys);
    }
    found = &dialects[i];
  }
  if (!found) return refuse_unknown(config, diagnostics);
  *out_dialect = found;
  return RETC_OK;
}

static retc_status import_dtype(retc_import *in) {
  static const char *const words[] = {"float32", "bfloat16", "float16"};
  static const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_BF16, RETC_DTYPE_F16};
  const char *key = retc_config_has(in->config, "torch_dtype") ? "torch_dtype" : "dtype";
  int index;
  RETC_TRY(retc_config_word(in->config, key, words, 3, 0, in->diagnostics, &index));
  in->matrix_dtype = dtypes[index];
  return RETC_OK;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The nearest name is looked for among the tensors that the network does not use: another tensor's right name is no
 * misspelling of this one, however near. */
static retc_status refuse_missing(retc_import *in) {
  qsort(in->wanted.items, in->wanted.count, sizeof *in->wanted.items, compare_names);
  RETC_VEC(const char *) unused = {0};
  for (size_t i = 0, w = 0; i < retc_checkpoint_count(in->checkpoint); i++) {
    const char *name = retc_checkpoint_at(in->checkpoint, i)->name;
    while (w < in->wanted.count && strcmp(in->wanted.items[w], name) < 0) w++;
    if (w == in->wanted.count || strcmp(in->wanted.items[w], name)) RETC_VEC_PUSH(in->arena, unused, name);
  }
  const char *near = retc_nearest(in->missing, unused.items, unused.count);
  return retc_fail(in->diagnostics, RETC_INVALID, "%s: tensor %s is missing%s%s%s",
                   retc_checkpoint_path(in->checkpoint), in->missing, near ? "; did you mean it by " : "",
                   near ? near : "", near ? "?" : "");
}

static void explain_dtype(const retc_import *in, retc_network *network) {
  const char *key = retc_config_has(in->config, "torch_dtype") ? "torch_dtype" : "dtype";
  retc_network_explain(network, in->arena, "weights",
                       in->checkpoint ? retc_arena_printf(in->arena, "tensor %s", network->embedding.name)
                                      : retc_import_source(in, key),
                       "%s", retc_dtype_name(network->embedding.dtype));
}

retc_status retc_dialect_import(const retc_config *config, const retc_checkpoint *checkpoint, retc_arena *arena,
                                retc_diagnostics *diagnostics, retc_network *out_network) {
  retc_import in = {.config = config, .checkpoint = checkpoint, .arena = arena, .diagnostics = diagnostics};
  const retc_dialect *dialect = NULL;
  RETC_TRY(find_dialect(config, diagnostics, &dialect));
  *out_network = (retc_network){.dialect = dialect->name, .chunk_length = 64, .form_chunk_length = 64,
                                .bos_token = -1, .eos_token = -1, .embedding_scale = 1, .residual_scale = 1,
                                .query_scale = 1, .key_scale = 1, .feature_map = RETC_OP_INPUT};
  RETC_TRY(import_dtype(&in));
  RETC_TRY(dialect->import(&in, out_network));
  if (in.missing) return refuse_missing(&in);
  explain_dtype(&in, out_network);
  const char *key;
  for (size_t i = 0; (key = retc_config_unread(config, i)) != NULL; i++) {
    RETC_VEC_PUSH(arena, out_network->ignored, retc_arena_strdup(arena, key));
  }
  return RETC_OK;
}
