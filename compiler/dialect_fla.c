/* flash-linear-attention's RetNet: pre-norm, half-split rotation with exponent -2j/K, q scaled, plain retention in every
 * form, head norm with a shared weight, swish gate, gated feed-forward. docs/mathematics.md has the formulas. */
#include <math.h>
#include <string.h>

#include "compiler/dialect.h"

enum { size_max = 1 << 20, layers_max = 4096, vocabulary_max = 1 << 24 };

bool retc_dialect_fla_matches(const retc_config *config) {
  const char *type = retc_config_text(config, "model_type");
  bool architecture =
      !retc_config_has(config, "architectures") || retc_config_lists(config, "architectures", "RetNetForCausalLM");
  return type && !strcmp(type, "retnet") && architecture && retc_config_has(config, "hidden_size") &&
         retc_config_has(config, "num_heads");
}

/* Options of upstream that change the network and that no row here implements. */
static retc_status refuse_unsupported(const retc_config *config, const retc_checkpoint *checkpoint,
                                      retc_diagnostics *diagnostics) {
  static const char *const keys[] = {"attn", "attnres_block_size"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    if (retc_config_has(config, keys[i])) {
      return retc_config_refuse(config, keys[i], "which changes the network and is not supported; expected null",
                                diagnostics);
    }
  }
  for (size_t i = 0; checkpoint && i < retc_checkpoint_count(checkpoint); i++) {
    const retc_stored_tensor *tensor = retc_checkpoint_at(checkpoint, i);
    if (strstr(tensor->name, "_conv1d")) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: tensor %s belongs to a short convolution, which is not supported",
                       tensor->file, tensor->name);
    }
  }
  return RETC_OK;
}

/* int(width * expand) / heads, which must come out whole. */
static retc_status head_width(const retc_config *config, const char *key, double fallback, const retc_network *network,
                              bool even, retc_diagnostics *diagnostics, int64_t *out_width) {
  double expand;
  RETC_TRY(retc_config_number(config, key, 1e-6, 1024, fallback, diagnostics, &expand));
  int64_t total = (int64_t)((double)network->width * expand);
  int64_t width = total / network->heads;
  if (width < 1 || total % network->heads || (even && width % 2)) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "%s: hidden_size %lld times %s %g gives %lld channels, which num_heads %lld does not divide into "
                     "%s width",
                     retc_config_path(config), (long long)network->width, key, expand, (long long)total,
                     (long long)network->heads, even ? "heads of an even" : "heads of a whole");
  }
  *out_width = width;
  return RETC_OK;
}

static retc_status import_feed_width(const retc_config *config, retc_diagnostics *diagnostics, retc_network *network) {
  double ratio;
  RETC_TRY(retc_config_number(config, "hidden_ratio", 1e-6, 1024, 4, diagnostics, &ratio));
  int64_t inner = (int64_t)((double)network->width * ratio * 2 / 3);
  return retc_config_integer(config, "intermediate_size", 1, size_max, 256 * ((inner + 255) / 256), diagnostics,
                             &network->feed_width);
}

static retc_status import_sizes(const retc_config *config, retc_diagnostics *diagnostics, retc_network *network) {
  RETC_TRY(retc_config_integer(config, "hidden_size", 1, size_max, 2048, diagnostics, &network->width));
  RETC_TRY(retc_config_integer(config, "num_hidden_layers", 1, layers_max, 24, diagnostics, &network->layers));
  RETC_TRY(retc_config_integer(config, "num_heads", 1, size_max, 8, diagnostics, &network->heads));
  RETC_TRY(retc_config_integer(config, "num_kv_heads", 1, size_max, network->heads, diagnostics,
                               &network->key_value_heads));
  RETC_TRY(retc_config_integer(config, "vocab_size", 1, vocabulary_max, 32000, diagnostics,
                               &network->vocabulary_size));
  if (network->heads % network->key_value_heads) {
    return retc_config_refuse(config, "num_kv_heads", "which does not divide num_heads", diagnostics);
  }
  RETC_TRY(head_width(config, "expand_k", 1, network, true, diagnostics, &network->key_width));
  RETC_TRY(head_width(config, "expand_v", 2, network, false, diagnostics, &network->value_width));
  RETC_TRY(import_feed_width(config, diagnostics, network));
  RETC_TRY(retc_config_integer(config, "bos_token_id", -1, vocabulary_max, 1, diagnostics, &network->bos_token));
  return retc_config_integer(config, "eos_token_id", -1, vocabulary_max, 2, diagnostics, &network->eos_token);
}

static retc_status import_choices(const retc_config *config, retc_diagnostics *diagnostics, retc_network *network) {
  static const char *const gates[] = {"swish", "silu"};
  static const char *const maps[] = {"relu", "swish", "silu"};
  static const retc_op map_ops[] = {RETC_OP_RELU, RETC_OP_SILU, RETC_OP_SILU};
  int index;
  RETC_TRY(retc_config_word(config, "hidden_act", gates, 2, 0, diagnostics, &index));
  network->activation = network->gate_activation = RETC_OP_SILU;
  RETC_TRY(retc_config_word(config, "feature_map", maps, 3, -1, diagnostics, &index));
  network->feature_map = index < 0 ? RETC_OP_INPUT : map_ops[index];
  RETC_TRY(retc_config_truth(config, "use_output_gate", true, diagnostics, &network->output_gate));
  RETC_TRY(retc_config_number(config, "norm_eps", 0, 1, 1e-6, diagnostics, &network->norm_eps));
  network->query_scale = 1 / sqrt((double)network->key_width);
  network->rotation_pairs = "half";
  network->chunk_length = 64;
  return RETC_OK;
}

static const double *rotation_angles(retc_arena *arena, int64_t key_width) {
  double *theta = RETC_NEW_ARRAY(arena, double, key_width / 2);
  for (int64_t j = 0; j < key_width / 2; j++) theta[j] = pow(10000, -2.0 * (double)j / (double)key_width);
  return theta;
}

typedef struct fla_import {
  const retc_checkpoint *checkpoint;
  retc_arena *arena;
  retc_diagnostics *diagnostics;
  retc_dtype dtype;
} fla_import;

static retc_status tensor(const fla_import *in, const char *name, int64_t rows, int64_t columns,
                          retc_network_tensor *out) {
  return retc_dialect_tensor(in->checkpoint, name, rows, columns, in->dtype, in->diagnostics, out);
}

static retc_status layer_tensor(const fla_import *in, int64_t layer, const char *part, int64_t rows, int64_t columns,
                                retc_network_tensor *out) {
  const char *name = retc_arena_printf(in->arena, "model.layers.%lld.%s.weight", (long long)layer, part);
  return tensor(in, name, rows, columns, out);
}

static retc_status import_layer(const fla_import *in, const retc_network *network, const char *head_norm, int64_t i,
                                retc_network_layer *layer) {
  int64_t width = network->width, feed = network->feed_width;
  int64_t keys = network->key_value_heads * network->key_width;
  int64_t values = network->key_value_heads * network->value_width, output = network->heads * network->value_width;
  RETC_TRY(layer_tensor(in, i, "attn_norm", width, 0, &layer->retention_norm));
  RETC_TRY(layer_tensor(in, i, "attn.q_proj", network->heads * network->key_width, width, &layer->query));
  RETC_TRY(layer_tensor(in, i, "attn.k_proj", keys, width, &layer->key));
  RETC_TRY(layer_tensor(in, i, "attn.v_proj", values, width, &layer->value));
  if (network->output_gate) RETC_TRY(layer_tensor(in, i, "attn.g_proj", output, width, &layer->gate));
  if (head_norm) RETC_TRY(layer_tensor(in, i, head_norm, network->value_width, 0, &layer->head_norm));
  RETC_TRY(layer_tensor(in, i, "attn.o_proj", width, output, &layer->output));
  RETC_TRY(layer_tensor(in, i, "mlp_norm", width, 0, &layer->feed_norm));
  RETC_TRY(layer_tensor(in, i, "mlp.gate_proj", feed, width, &layer->feed_gate));
  RETC_TRY(layer_tensor(in, i, "mlp.up_proj", feed, width, &layer->feed_up));
  return layer_tensor(in, i, "mlp.down_proj", width, feed, &layer->feed_down);
}

static retc_status import_tensors(const retc_config *config, const fla_import *in, retc_network *network) {
  bool tied, affine, fused;
  RETC_TRY(retc_config_truth(config, "tie_word_embeddings", false, in->diagnostics, &tied));
  RETC_TRY(retc_config_truth(config, "elementwise_affine", true, in->diagnostics, &affine));
  RETC_TRY(retc_config_truth(config, "fuse_norm", true, in->diagnostics, &fused));
  const char *head_norm = fused && network->output_gate ? "attn.g_norm_swish_gate" : "attn.g_norm";
  retc_network_layer *layers = RETC_NEW_ARRAY(in->arena, retc_network_layer, network->layers);
  for (int64_t i = 0; i < network->layers; i++) {
    RETC_TRY(import_layer(in, network, affine ? head_norm : NULL, i, &layers[i]));
  }
  network->layer = layers;
  RETC_TRY(tensor(in, "model.embeddings.weight", network->vocabulary_size, network->width, &network->embedding));
  RETC_TRY(tensor(in, "model.norm.weight", network->width, 0, &network->final_norm));
  network->head = network->embedding;
  if (tied) return RETC_OK;
  return tensor(in, "lm_head.weight", network->vocabulary_size, network->width, &network->head);
}

retc_status retc_dialect_fla_import(const retc_config *config, const retc_checkpoint *checkpoint, retc_arena *arena,
                                    retc_diagnostics *diagnostics, retc_network *out_network) {
  fla_import in = {checkpoint, arena, diagnostics, RETC_DTYPE_F32};
  RETC_TRY(refuse_unsupported(config, checkpoint, diagnostics));
  RETC_TRY(import_sizes(config, diagnostics, out_network));
  RETC_TRY(import_choices(config, diagnostics, out_network));
  RETC_TRY(retc_dialect_dtype(config, diagnostics, &in.dtype));
  out_network->theta = rotation_angles(arena, out_network->key_width);
  out_network->log_decay = retc_dialect_decay_powers_of_two(arena, out_network->heads);
  return import_tensors(config, &in, out_network);
}
