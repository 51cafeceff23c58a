/* fkodom's yet-another-retnet: layer norms (with norm_first false, of the branch alone), biases everywhere, linspace
 * decays, plain retention, a group norm without weight, an ungated feed-forward. docs/mathematics.md has the
 * formulas. */
#include <math.h>
#include <string.h>

#include "compiler/dialect.h"

bool retc_dialect_yet_another_matches(const retc_config *config) {
  const char *type = retc_config_text(config, "model_type");
  return type && !strcmp(type, "yet_another_retnet") && retc_config_lists(config, "architectures", "RetNet");
}

static retc_status import_sizes(const retc_import *in, retc_network *network) {
  RETC_TRY(retc_config_require(in->config, "num_tokens", in->diagnostics));
  RETC_TRY(retc_config_integer(in->config, "num_tokens", 1, RETC_VOCABULARY_MAX, 0, in->diagnostics,
                               &network->vocabulary_size));
  RETC_TRY(retc_config_integer(in->config, "num_layers", 1, RETC_LAYERS_MAX, 6, in->diagnostics, &network->layers));
  RETC_TRY(retc_import_size(in, "d_model", 1, 512, &network->width));
  RETC_TRY(retc_import_size(in, "nhead", 1, 8, &network->heads));
  RETC_TRY(retc_import_size(in, "dim_feedforward", 1, 2048, &network->feed_width));
  RETC_TRY(retc_import_head_width(in, "d_model", network->width, "nhead", network->heads, 8, &network->key_width));
  network->key_value_heads = network->heads;
  network->value_width = network->key_width;
  const struct {
    const char *what, *key;
    int64_t value;
  } rows[] = {{"width", "d_model", network->width}, {"layers", "num_layers", network->layers},
              {"vocabulary", "num_tokens", network->vocabulary_size}, {"heads", "nhead", network->heads},
              {"key width", "d_model", network->key_width}, {"value width", "d_model", network->value_width},
              {"feed-forward width", "dim_feedforward", network->feed_width}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    retc_network_explain(network, in->arena, rows[i].what, retc_import_source(in, rows[i].key), "%lld",
                         (long long)rows[i].value);
  }
  return retc_import_text_tokens(in, -1, -1, network);
}

static retc_status import_choices(const retc_import *in, double *out_eps, retc_network *network) {
  bool before;
  RETC_TRY(retc_import_truth(in, "norm_first", true, &before));
  RETC_TRY(retc_config_number(in->config, "layer_norm_eps", 0, 1, 1e-6, in->diagnostics, out_eps));
  RETC_TRY(retc_import_activation(in, "activation", "swish", &network->activation));
  network->gate_activation = network->activation;
  network->norm_place = before ? RETC_PLACE_BEFORE : RETC_PLACE_BRANCH;
  const char *word = retc_activation_word(network->activation), *source = retc_import_source(in, "activation");
  retc_network_explain(network, in->arena, "embedding", "upstream", "not scaled, no norm");
  retc_network_explain(network, in->arena, "block norm", retc_import_source(in, "norm_first"),
                       before ? "LayerNorm before each branch, none at the end, eps %g"
                              : "LayerNorm of each branch before the sum, none at the end, eps %g",
                       *out_eps);
  retc_network_explain(network, in->arena, "residual", "upstream", "not scaled");
  retc_network_explain(network, in->arena, "head norm", "upstream",
                       "(o - mean) / sqrt(var + 1e-6), no weight; layer_norm_eps does not reach it");
  retc_network_explain(network, in->arena, "gate", source, "%s(Wg y)", word);
  retc_network_explain(network, in->arena, "feed-forward", source, "%s(linear1 y), with biases", word);
  retc_network_explain(network, in->arena, "output", "upstream", "out.weight and out.bias");
  return RETC_OK;
}

static void import_retention(const retc_import *in, retc_network *network) {
  network->rotation_pairs = "adjacent";
  network->key_scale = 1 / sqrt((double)network->key_width);
  network->log_decay = retc_decay_linspace(in->arena, network->heads);
  retc_network_explain(network, in->arena, "decay", "upstream", "1 - e^x, x evenly from ln 1/32 to ln 1/512");
  retc_network_explain(network, in->arena, "scale", "upstream", "k / sqrt(K)");
  retc_network_explain(network, in->arena, "normaliser", "upstream", "none: plain retention in every form");
  retc_network_explain(network, in->arena, "state", "upstream", "[H,K,V], not scaled");
  retc_network_explain(network, in->arena, "chunk", "default", "%lld tokens, of the chunkwise form",
                       (long long)network->form_chunk_length);
}

static retc_status import_layer(retc_import *in, const retc_network *network, double eps, int index,
                                const double **shared_theta, retc_network_layer *layer) {
  const char *at = retc_arena_printf(in->arena, "decoder.layers.%d", index);
  const char *thetas = retc_arena_printf(in->arena, "%s.retention.thetas", at);
  int64_t width = network->width, feed = network->feed_width;
  const struct {
    const char *name;
    retc_network_linear *linear;
  } projections[] = {{"q", &layer->query}, {"k", &layer->key}, {"v", &layer->value}, {"g", &layer->gate},
                     {"out", &layer->output}};
  for (size_t i = 0; i < sizeof projections / sizeof projections[0]; i++) {
    RETC_TRY(retc_import_linear(in, width, width, true, projections[i].linear, "%s.retention.%s_proj", at,
                                projections[i].name));
  }
  RETC_TRY(retc_import_norm(in, RETC_NORM_LAYER, eps, width, &layer->retention_norm, "%s.norm1", at));
  RETC_TRY(retc_import_norm(in, RETC_NORM_LAYER, eps, width, &layer->feed_norm, "%s.norm2", at));
  RETC_TRY(retc_import_linear(in, feed, width, true, &layer->feed_up, "%s.linear1", at));
  RETC_TRY(retc_import_linear(in, width, feed, true, &layer->feed_down, "%s.linear2", at));
  layer->head_norm = (retc_network_norm){.kind = RETC_NORM_LAYER, .eps = 1e-6};
  return retc_import_angles(in, thetas, network->key_width, shared_theta, &layer->theta);
}

static retc_status import_tensors(retc_import *in, double eps, retc_network *network) {
  const double *shared_theta = NULL;
  retc_network_layer *layers = RETC_NEW_ARRAY(in->arena, retc_network_layer, network->layers);
  for (int i = 0; i < (int)network->layers; i++) {
    RETC_TRY(import_layer(in, network, eps, i, &shared_theta, &layers[i]));
  }
  network->layer = layers;
  retc_network_explain(network, in->arena, "rotation",
                       shared_theta ? "upstream" : "tensor decoder.layers.*.retention.thetas",
                       shared_theta ? "adjacent pairs, 10000^(-j/(K/2-1))" : "adjacent pairs, angles as stored");
  RETC_TRY(retc_import_tensor(in, "embedding.weight", network->vocabulary_size, network->width, &network->embedding));
  return retc_import_linear(in, network->vocabulary_size, network->width, true, &network->head, "out");
}

retc_status retc_dialect_yet_another_import(retc_import *in, retc_network *network) {
  double eps;
  RETC_TRY(import_sizes(in, network));
  RETC_TRY(import_choices(in, &eps, network));
  import_retention(in, network);
  return import_tensors(in, eps, network);
}
