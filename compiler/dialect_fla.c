/* flash-linear-attention's RetNet: pre-norm, half-split rotation with exponent -2j/K, q scaled, plain retention in
 * every form, head norm with a shared weight, swish gate, gated feed-forward. docs/mathematics.md has the formulas. */
#include <math.h>
#include <string.h>

#include "compiler/dialect.h"

bool retc_dialect_fla_matches(const retc_config *config) {
  const char *type = retc_config_text(config, "model_type");
  bool architecture =
      !retc_config_has(config, "architectures") || retc_config_lists(config, "architectures", "RetNetForCausalLM");
  return type && !strcmp(type, "retnet") && architecture && retc_config_has(config, "hidden_size") &&
         retc_config_has(config, "num_heads");
}

/* Options of upstream that change the network and that no row here implements. */
static retc_status refuse_unsupported(const retc_import *in) {
  static const char *const keys[] = {"attn", "attnres_block_size"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    if (retc_config_has(in->config, keys[i])) {
      return retc_config_refuse(in->config, keys[i], "which changes the network and is not supported; expected null",
                                in->diagnostics);
    }
  }
  for (size_t i = 0; in->checkpoint && i < retc_checkpoint_count(in->checkpoint); i++) {
    const retc_stored_tensor *tensor = retc_checkpoint_at(in->checkpoint, i);
    if (strstr(tensor->name, "_conv1d")) {
      return retc_fail(in->diagnostics, RETC_INVALID,
                       "%s: tensor %s belongs to a short convolution, which is not supported", tensor->file,
                       tensor->name);
    }
  }
  return RETC_OK;
}

/* int(width * expand) / heads, which must come out whole. */
static retc_status head_width(const retc_import *in, const char *key, double fallback, retc_network *network, bool even,
                              int64_t *out_width) {
  double expand;
  RETC_TRY(retc_config_number(in->config, key, 1e-6, 1024, fallback, in->diagnostics, &expand));
  int64_t total = (int64_t)((double)network->width * expand);
  int64_t width = total / network->heads;
  if (width < 1 || total % network->heads || (even && width % 2)) {
    return retc_fail(in->diagnostics, RETC_INVALID,
                     "%s: hidden_size %lld times %s %g gives %lld channels, which num_heads %lld does not divide into "
                     "%s width",
                     retc_config_path(in->config), (long long)network->width, key, expand, (long long)total,
                     (long long)network->heads, even ? "heads of an even" : "heads of a whole");
  }
  *out_width = width;
  retc_network_explain(network, in->arena, even ? "key width" : "value width", retc_import_source(in, key),
                       "%lld a head", (long long)width);
  return RETC_OK;
}

static retc_status import_feed_width(const retc_import *in, retc_network *network) {
  double ratio;
  double fallback = retc_config_is_null(in->config, "hidden_ratio") ? 4 : 2;
  RETC_TRY(retc_config_number(in->config, "hidden_ratio", 1e-6, 1024, fallback, in->diagnostics, &ratio));
  int64_t inner = (int64_t)((double)network->width * ratio * 2 / 3);
  bool given = retc_config_has(in->config, "intermediate_size");
  RETC_TRY(retc_import_size(in, "intermediate_size", 1, 256 * ((inner + 255) / 256), &network->feed_width));
  retc_network_explain(network, in->arena, "feed-forward width",
                       given ? "intermediate_size" : retc_import_source(in, "hidden_ratio"), "%lld",
                       (long long)network->feed_width);
  return RETC_OK;
}

static retc_status import_heads(const retc_import *in, retc_network *network) {
  RETC_TRY(retc_import_size(in, "num_heads", 1, 8, &network->heads));
  RETC_TRY(retc_import_size(in, "num_kv_heads", 1, network->heads, &network->key_value_heads));
  if (network->heads % network->key_value_heads) {
    const char *problem = retc_arena_printf(in->arena, "which does not divide num_heads %lld",
                                            (long long)network->heads);
    return retc_config_refuse(in->config, "num_kv_heads", problem, in->diagnostics);
  }
  retc_network_explain(network, in->arena, "heads", retc_import_source(in, "num_heads"), "%lld",
                       (long long)network->heads);
  retc_network_explain(network, in->arena, "key/value heads", retc_import_source(in, "num_kv_heads"), "%lld",
                       (long long)network->key_value_heads);
  RETC_TRY(head_width(in, "expand_k", 1, network, true, &network->key_width));
  return head_width(in, "expand_v", 2, network, false, &network->value_width);
}

static retc_status import_sizes(const retc_import *in, retc_network *network) {
  RETC_TRY(retc_import_size(in, "hidden_size", 1, 2048, &network->width));
  RETC_TRY(retc_config_integer(in->config, "num_hidden_layers", 1, RETC_LAYERS_MAX, 24, in->diagnostics,
                               &network->layers));
  RETC_TRY(retc_config_integer(in->config, "vocab_size", 1, RETC_VOCABULARY_MAX, 32000, in->diagnostics,
                               &network->vocabulary_size));
  retc_network_explain(network, in->arena, "width", retc_import_source(in, "hidden_size"), "%lld",
                       (long long)network->width);
  retc_network_explain(network, in->arena, "layers", retc_import_source(in, "num_hidden_layers"), "%lld",
                       (long long)network->layers);
  retc_network_explain(network, in->arena, "vocabulary", retc_import_source(in, "vocab_size"), "%lld tokens",
                       (long long)network->vocabulary_size);
  RETC_TRY(import_heads(in, network));
  RETC_TRY(import_feed_width(in, network));
  return retc_import_text_tokens(in, 1, 2, network);
}

static retc_status import_activations(const retc_import *in, retc_network *network) {
  static const char *const gates[] = {"swish", "silu"};
  static const char *const maps[] = {"relu", "swish", "silu"};
  static const retc_op map_ops[] = {RETC_OP_RELU, RETC_OP_SILU, RETC_OP_SILU};
  int index;
  RETC_TRY(retc_config_word(in->config, "hidden_act", gates, 2, 0, in->diagnostics, &index));
  network->activation = network->gate_activation = RETC_OP_SILU;
  RETC_TRY(retc_config_word(in->config, "feature_map", maps, 3, -1, in->diagnostics, &index));
  network->feature_map = index < 0 ? RETC_OP_INPUT : map_ops[index];
  retc_network_explain(network, in->arena, "feature map", retc_import_source(in, "feature_map"), "%s",
                       index < 0 ? "none" : maps[index]);
  return RETC_OK;
}

static void import_retention(const retc_import *in, retc_network *network) {
  network->query_scale = 1 / sqrt((double)network->key_width);
  network->rotation_pairs = "half";
  network->log_decay = retc_decay_powers_of_two(in->arena, network->heads);
  retc_network_explain(network, in->arena, "embedding", "upstream", "not scaled, no norm");
  retc_network_explain(network, in->arena, "decay", "upstream", "1 - 2^(-5-h), rounded to f32");
  retc_network_explain(network, in->arena, "rotation", "upstream", "half-split pairs, 10000^(-2j/K)");
  retc_network_explain(network, in->arena, "scale", "upstream", "q / sqrt(K)");
  retc_network_explain(network, in->arena, "normaliser", "upstream", "none: plain retention in every form");
  retc_network_explain(network, in->arena, "state", "upstream", "[H,K,V], not scaled");
  retc_network_explain(network, in->arena, "chunk", "upstream", "%lld tokens, of the chunkwise form",
                       (long long)network->form_chunk_length);
}

static const double *rotation_angles(retc_arena *arena, int64_t key_width) {
  double *theta = RETC_NEW_ARRAY(arena, double, key_width / 2);
  for (int64_t j = 0; j < key_width / 2; j++) theta[j] = pow(10000, -2.0 * (double)j / (double)key_width);
  return theta;
}

typedef struct fla_options {
  bool tied, affine, gate;
  const char *head_norm; /* its tensor's place in a layer */
  double eps;
} fla_options;

static retc_status import_options(const retc_import *in, fla_options *out_options, retc_network *network) {
  bool fused;
  RETC_TRY(retc_import_truth(in, "tie_word_embeddings", false, &out_options->tied));
  RETC_TRY(retc_import_truth(in, "elementwise_affine", true, &out_options->affine));
  RETC_TRY(retc_import_truth(in, "fuse_norm", true, &fused));
  RETC_TRY(retc_import_truth(in, "use_output_gate", true, &out_options->gate));
  RETC_TRY(retc_config_number(in->config, "norm_eps", 0, 1, 1e-6, in->diagnostics, &out_options->eps));
  out_options->head_norm = fused && out_options->gate ? "attn.g_norm_swish_gate" : "attn.g_norm";
  retc_network_explain(network, in->arena, "block norm", retc_import_source(in, "norm_eps"),
                       "RMS before each branch and at the end, eps %g", out_options->eps);
  retc_network_explain(network, in->arena, "head norm", retc_import_source(in, "elementwise_affine"),
                       out_options->affine ? "RMS, eps %g, %s.weight shared by the heads" : "RMS, eps %g, no weight",
                       out_options->eps, out_options->head_norm);
  retc_network_explain(network, in->arena, "gate", retc_import_source(in, "use_output_gate"),
                       out_options->gate ? "silu(Wg y)" : "none");
  retc_network_explain(network, in->arena, "feed-forward", retc_import_source(in, "hidden_act"),
                       "silu(gate_proj y) * up_proj y");
  retc_network_explain(network, in->arena, "output", retc_import_source(in, "tie_word_embeddings"),
                       out_options->tied ? "tied to the embedding" : "lm_head.weight");
  return RETC_OK;
}

static retc_status import_layer(retc_import *in, const retc_network *network, const fla_options *options, int layer,
                                retc_network_layer *out_layer) {
  const char *at = retc_arena_printf(in->arena, "model.layers.%d", layer);
  int64_t width = network->width, feed = network->feed_width;
  int64_t keys = network->key_value_heads * network->key_width;
  int64_t values = network->key_value_heads * network->value_width, output = network->heads * network->value_width;
  retc_norm_kind rms = RETC_NORM_RMS;
  RETC_TRY(retc_import_norm(in, rms, options->eps, width, &out_layer->retention_norm, "%s.attn_norm", at));
  RETC_TRY(retc_import_linear(in, network->heads * network->key_width, width, false, &out_layer->query,
                              "%s.attn.q_proj", at));
  RETC_TRY(retc_import_linear(in, keys, width, false, &out_layer->key, "%s.attn.k_proj", at));
  RETC_TRY(retc_import_linear(in, values, width, false, &out_layer->value, "%s.attn.v_proj", at));
  if (options->gate) RETC_TRY(retc_import_linear(in, output, width, false, &out_layer->gate, "%s.attn.g_proj", at));
  out_layer->head_norm = (retc_network_norm){.kind = rms, .eps = options->eps};
  if (options->affine) {
    RETC_TRY(retc_import_norm(in, rms, options->eps, network->value_width, &out_layer->head_norm, "%s.%s", at,
                              options->head_norm));
  }
  RETC_TRY(retc_import_linear(in, width, output, false, &out_layer->output, "%s.attn.o_proj", at));
  RETC_TRY(retc_import_norm(in, rms, options->eps, width, &out_layer->feed_norm, "%s.mlp_norm", at));
  RETC_TRY(retc_import_linear(in, feed, width, false, &out_layer->feed_gate, "%s.mlp.gate_proj", at));
  RETC_TRY(retc_import_linear(in, feed, width, false, &out_layer->feed_up, "%s.mlp.up_proj", at));
  return retc_import_linear(in, width, feed, false, &out_layer->feed_down, "%s.mlp.down_proj", at);
}

static retc_status import_tensors(retc_import *in, const fla_options *options, retc_network *network) {
  const double *theta = rotation_angles(in->arena, network->key_width);
  retc_network_layer *layers = RETC_NEW_ARRAY(in->arena, retc_network_layer, network->layers);
  for (int i = 0; i < (int)network->layers; i++) {
    RETC_TRY(import_layer(in, network, options, i, &layers[i]));
    layers[i].theta = theta;
  }
  network->layer = layers;
  RETC_TRY(retc_import_tensor(in, "model.embeddings.weight", network->vocabulary_size, network->width,
                              &network->embedding));
  RETC_TRY(retc_import_norm(in, RETC_NORM_RMS, options->eps, network->width, &network->final_norm, "model.norm"));
  network->head.weight = network->embedding;
  if (options->tied) return RETC_OK;
  return retc_import_linear(in, network->vocabulary_size, network->width, false, &network->head, "lm_head");
}

retc_status retc_dialect_fla_import(retc_import *in, retc_network *network) {
  fla_options options;
  RETC_TRY(refuse_unsupported(in));
  RETC_TRY(import_sizes(in, network));
  RETC_TRY(import_activations(in, network));
  RETC_TRY(import_options(in, &options, network));
  import_retention(in, network);
  return import_tensors(in, &options, network);
}
