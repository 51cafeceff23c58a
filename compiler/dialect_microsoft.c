#include "compiler/dialect_microsoft.h"

#include <math.h>

typedef struct microsoft_options {
  double eps;
  bool embedding_norm, tied;
} microsoft_options;

static retc_status refuse_unsupported(const retc_import *in) {
  static const char *const truths[] = {"multiway", "no_output_layer", "use_xmoe", "xpos_rel_pos"};
  for (size_t i = 0; i < sizeof truths / sizeof truths[0]; i++) {
    bool on;
    RETC_TRY(retc_import_truth(in, truths[i], false, &on));
    if (on) {
      return retc_config_refuse(in->config, truths[i],
                                "which changes the network and is not supported; expected false", in->diagnostics);
    }
  }
  int64_t frequency;
  RETC_TRY(retc_import_size(in, "moe_freq", 0, 0, &frequency));
  if (!frequency) return RETC_OK;
  return retc_config_refuse(in->config, "moe_freq", "a mixture of experts, which is not supported; expected 0",
                            in->diagnostics);
}

static retc_status import_vocabulary(const retc_import *in, const retc_microsoft *upstream, retc_network *network) {
  if (!upstream->vocabulary) RETC_TRY(retc_config_require(in->config, "vocab_size", in->diagnostics));
  return retc_config_integer(in->config, "vocab_size", 1, RETC_VOCABULARY_MAX, upstream->vocabulary, in->diagnostics,
                             &network->vocabulary_size);
}

static retc_status import_heads(const retc_import *in, retc_network *network) {
  const char *heads = "decoder_retention_heads", *values = "decoder_value_embed_dim";
  int64_t value_total;
  RETC_TRY(retc_import_size(in, heads, 1, 3, &network->heads));
  RETC_TRY(retc_import_size(in, values, 1, 1280, &value_total));
  network->key_value_heads = network->heads;
  RETC_TRY(retc_import_head_width(in, "decoder_embed_dim", network->width, heads, network->heads, 2,
                                  &network->key_width));
  RETC_TRY(retc_import_head_width(in, values, value_total, heads, network->heads, 1, &network->value_width));
  retc_network_explain(network, in->arena, "heads", retc_import_source(in, heads), "%lld", (long long)network->heads);
  retc_network_explain(network, in->arena, "key width", retc_import_source(in, "decoder_embed_dim"), "%lld a head",
                       (long long)network->key_width);
  retc_network_explain(network, in->arena, "value width", retc_import_source(in, values), "%lld a head",
                       (long long)network->value_width);
  return RETC_OK;
}

static retc_status import_sizes(const retc_import *in, const retc_microsoft *upstream, retc_network *network) {
  RETC_TRY(retc_import_size(in, "decoder_embed_dim", 1, 768, &network->width));
  RETC_TRY(retc_config_integer(in->config, "decoder_layers", 1, RETC_LAYERS_MAX, 12, in->diagnostics,
                               &network->layers));
  RETC_TRY(import_vocabulary(in, upstream, network));
  retc_network_explain(network, in->arena, "width", retc_import_source(in, "decoder_embed_dim"), "%lld",
                       (long long)network->width);
  retc_network_explain(network, in->arena, "layers", retc_import_source(in, "decoder_layers"), "%lld",
                       (long long)network->layers);
  retc_network_explain(network, in->arena, "vocabulary", retc_import_source(in, "vocab_size"), "%lld tokens",
                       (long long)network->vocabulary_size);
  RETC_TRY(import_heads(in, network));
  RETC_TRY(retc_import_size(in, "decoder_ffn_embed_dim", 1, 1280, &network->feed_width));
  retc_network_explain(network, in->arena, "feed-forward width", retc_import_source(in, "decoder_ffn_embed_dim"),
                       "%lld", (long long)network->feed_width);
  return retc_import_text_tokens(in, -1, -1, network);
}

static retc_status import_embedding(const retc_import *in, microsoft_options *options, retc_network *network) {
  bool plain;
  RETC_TRY(retc_import_truth(in, "no_scale_embedding", true, &plain));
  RETC_TRY(retc_import_truth(in, "layernorm_embedding", false, &options->embedding_norm));
  if (!plain) network->embedding_scale = sqrt((double)network->width);
  retc_network_explain(network, in->arena, "embedding", retc_import_source(in, "no_scale_embedding"),
                       plain ? "not scaled" : "times sqrt(D) = %g", network->embedding_scale);
  retc_network_explain(network, in->arena, "embedding norm", retc_import_source(in, "layernorm_embedding"),
                       options->embedding_norm ? "RMS, eps %g" : "none", options->eps);
  return RETC_OK;
}

static retc_status import_blocks(const retc_import *in, const retc_microsoft *upstream, microsoft_options *options,
                                 retc_network *network) {
  bool deep;
  RETC_TRY(retc_import_truth(in, "deepnorm", false, &deep));
  if (deep) network->residual_scale = pow(2.0 * (double)network->layers, 0.25);
  network->norm_place = upstream->before ? RETC_PLACE_BEFORE : RETC_PLACE_AFTER;
  network->gate_activation = RETC_OP_SILU;
  RETC_TRY(retc_import_activation(in, "activation_fn", "gelu", &network->activation));
  retc_network_explain(network, in->arena, "block norm", upstream->before_source,
                       upstream->before ? "RMS before each branch and at the end, eps %g"
                                        : "RMS after each sum, none at the end, eps %g",
                       options->eps);
  retc_network_explain(network, in->arena, "residual", retc_import_source(in, "deepnorm"),
                       deep ? "times (2L)^(1/4) = %g" : "not scaled", network->residual_scale);
  retc_network_explain(network, in->arena, "head norm", retc_import_source(in, "layernorm_eps"),
                       "RMS, eps %g, no weight", options->eps);
  retc_network_explain(network, in->arena, "gate", "upstream", "silu(Wg y), whatever activation_fn says");
  const char *word = retc_activation_word(network->activation);
  retc_network_explain(network, in->arena, "feed-forward", upstream->gated_source,
                       upstream->gated ? "%s(fc1 y) * gate y" : "%s(fc1 y), with biases", word);
  retc_network_explain(network, in->arena, "activation", retc_import_source(in, "activation_fn"), "%s", word);
  return RETC_OK;
}

static retc_status import_retention(retc_import *in, const retc_microsoft *upstream, retc_network *network) {
  network->rotation_pairs = "adjacent";
  network->normaliser = RETC_NORMALISER_TORCHSCALE;
  network->key_scale = 1 / sqrt((double)network->key_width);
  RETC_TRY(retc_import_size(in, "recurrent_chunk_size", 1, 512, &network->form_chunk_length));
  retc_network_explain(network, in->arena, "scale", "upstream", "k / sqrt(K)");
  retc_network_explain(network, in->arena, "normaliser", "upstream",
                       "by row sums of the decay and of |q.k|, in each form differently");
  retc_network_explain(network, in->arena, "state", "upstream", "[H,V,K], scaled, with its scale");
  retc_network_explain(network, in->arena, "chunk", retc_import_source(in, "recurrent_chunk_size"),
                       "%lld tokens, of the chunkwise form", (long long)network->form_chunk_length);
  const char *name = retc_arena_printf(in->arena, "%sretnet_rel_pos.decay", upstream->prefix);
  RETC_TRY(retc_import_buffer(in, name, network->heads, &network->log_decay));
  for (int64_t h = 0; network->log_decay && h < network->heads; h++) {
    if (network->log_decay[h] > 0) {
      return retc_fail(in->diagnostics, RETC_INVALID,
                       "%s: tensor %s: element %lld is %g, expected the logarithm of a decay, at most 0",
                       retc_checkpoint_find(in->checkpoint, name)->file, name, (long long)h, network->log_decay[h]);
    }
  }
  if (network->log_decay) {
    retc_network_explain(network, in->arena, "decay", retc_arena_printf(in->arena, "tensor %s", name), "as stored");
    return RETC_OK;
  }
  network->log_decay = upstream->linspace_decay ? retc_decay_linspace(in->arena, network->heads)
                                                : retc_decay_powers_of_two(in->arena, network->heads);
  retc_network_explain(network, in->arena, "decay", upstream->decay_source,
                       upstream->linspace_decay ? "1 - e^x, x evenly from ln 1/32 to ln 1/512"
                                                : "1 - 2^(-5-h), rounded to f32");
  return RETC_OK;
}

static retc_status import_feed(retc_import *in, const retc_microsoft *upstream, const microsoft_options *options,
                               const retc_network *network, const char *at, retc_network_layer *layer) {
  int64_t width = network->width, feed = network->feed_width;
  RETC_TRY(retc_import_linear(in, width, feed, !upstream->gated, &layer->feed_down, "%s.ffn.fc2", at));
  if (upstream->gated) {
    /* The activation is on fc1; the matrix that upstream calls gate is the plain factor. */
    RETC_TRY(retc_import_linear(in, feed, width, false, &layer->feed_gate, "%s.ffn.fc1", at));
    return retc_import_linear(in, feed, width, false, &layer->feed_up, "%s.ffn.gate", at);
  }
  RETC_TRY(retc_import_linear(in, feed, width, true, &layer->feed_up, "%s.ffn.fc1", at));
  if (upstream->inner_norm == RETC_NORM_NONE) return RETC_OK;
  return retc_import_norm(in, upstream->inner_norm, options->eps, feed, &layer->inner_norm, "%s.ffn.ffn_layernorm", at);
}

static retc_status import_layer(retc_import *in, const retc_microsoft *upstream, const microsoft_options *options,
                                const retc_network *network, int index, retc_network_layer *layer) {
  const char *at = retc_arena_printf(in->arena, "%slayers.%d", upstream->prefix, index);
  int64_t width = network->width, values = network->heads * network->value_width;
  double eps = options->eps;
  RETC_TRY(retc_import_norm(in, RETC_NORM_RMS, eps, width, &layer->retention_norm, "%s.retention_layer_norm", at));
  RETC_TRY(retc_import_linear(in, width, width, false, &layer->query, "%s.retention.q_proj", at));
  RETC_TRY(retc_import_linear(in, width, width, false, &layer->key, "%s.retention.k_proj", at));
  RETC_TRY(retc_import_linear(in, values, width, false, &layer->value, "%s.retention.v_proj", at));
  RETC_TRY(retc_import_linear(in, values, width, false, &layer->gate, "%s.retention.g_proj", at));
  RETC_TRY(retc_import_linear(in, width, values, false, &layer->output, "%s.retention.out_proj", at));
  RETC_TRY(retc_import_norm(in, RETC_NORM_RMS, eps, width, &layer->feed_norm, "%s.final_layer_norm", at));
  layer->head_norm = (retc_network_norm){.kind = RETC_NORM_RMS, .eps = eps};
  return import_feed(in, upstream, options, network, at, layer);
}

static retc_status import_layers(retc_import *in, const retc_microsoft *upstream, const microsoft_options *options,
                                 retc_network *network) {
  const char *name = retc_arena_printf(in->arena, "%sretnet_rel_pos.angle", upstream->prefix);
  const double *shared = NULL, *theta;
  RETC_TRY(retc_import_angles(in, name, network->key_width, &shared, &theta));
  retc_network_explain(network, in->arena, "rotation",
                       shared ? "upstream" : retc_arena_printf(in->arena, "tensor %s", name),
                       shared ? "adjacent pairs, 10000^(-j/(K/2-1))" : "adjacent pairs, angles as stored");
  retc_network_layer *layers = RETC_NEW_ARRAY(in->arena, retc_network_layer, network->layers);
  for (int i = 0; i < (int)network->layers; i++) {
    RETC_TRY(import_layer(in, upstream, options, network, i, &layers[i]));
    layers[i].theta = theta;
  }
  network->layer = layers;
  return RETC_OK;
}

static retc_status import_ends(retc_import *in, const retc_microsoft *upstream, const microsoft_options *options,
                               retc_network *network) {
  RETC_TRY(retc_import_tensor(in, retc_arena_printf(in->arena, "%sembed_tokens.weight", upstream->prefix),
                              network->vocabulary_size, network->width, &network->embedding));
  if (options->embedding_norm) {
    RETC_TRY(retc_import_norm(in, RETC_NORM_RMS, options->eps, network->width, &network->embedding_norm,
                              "%slayernorm_embedding", upstream->prefix));
  }
  if (upstream->before) {
    RETC_TRY(retc_import_norm(in, RETC_NORM_RMS, options->eps, network->width, &network->final_norm, "%slayer_norm",
                              upstream->prefix));
  }
  network->head.weight = network->embedding;
  retc_network_explain(network, in->arena, "output", retc_import_source(in, upstream->tied_key),
                       options->tied ? "tied to the embedding" : "%s.weight", upstream->head);
  if (options->tied) return RETC_OK;
  return retc_import_linear(in, network->vocabulary_size, network->width, false, &network->head, "%s", upstream->head);
}

retc_status retc_microsoft_import(retc_import *in, const retc_microsoft *upstream, retc_network *network) {
  microsoft_options options;
  RETC_TRY(refuse_unsupported(in));
  RETC_TRY(import_sizes(in, upstream, network));
  RETC_TRY(retc_config_number(in->config, "layernorm_eps", 0, 1, 1e-6, in->diagnostics, &options.eps));
  RETC_TRY(retc_import_truth(in, upstream->tied_key, false, &options.tied));
  RETC_TRY(import_embedding(in, &options, network));
  RETC_TRY(import_blocks(in, upstream, &options, network));
  RETC_TRY(import_retention(in, upstream, network));
  RETC_TRY(import_layers(in, upstream, &options, network));
  return import_ends(in, upstream, &options, network);
}
