/* syncdoth's port of torchscale: the same network under the prefix "model.", with another decay, a feed-forward without
 * gate, and a z-loss as options. docs/mathematics.md has the formulas. */
#include <string.h>

#include "compiler/dialect_microsoft.h"

bool retc_dialect_syncdoth_matches(const retc_config *config) {
  const char *type = retc_config_text(config, "model_type");
  return type && !strcmp(type, "retnet") && retc_config_lists(config, "architectures", "RetNetForCausalLM") &&
         retc_config_has(config, "decoder_embed_dim");
}

/* deepnorm forces norms after and no inner norm; otherwise subln forces norms before. */
static retc_status derive_norms(const retc_import *in, retc_microsoft *upstream, bool *out_subln) {
  bool deep;
  RETC_TRY(retc_import_truth(in, "deepnorm", false, &deep));
  RETC_TRY(retc_import_truth(in, "subln", true, out_subln));
  RETC_TRY(retc_import_truth(in, "decoder_normalize_before", true, &upstream->before));
  upstream->before_source = deep         ? "deepnorm"
                            : *out_subln ? retc_import_source(in, "subln")
                                         : retc_import_source(in, "decoder_normalize_before");
  if (deep) *out_subln = upstream->before = false;
  else if (*out_subln) upstream->before = true;
  return RETC_OK;
}

static retc_status import_feed(const retc_import *in, bool subln, retc_microsoft *upstream) {
  bool rms;
  RETC_TRY(retc_import_truth(in, "use_glu", true, &upstream->gated));
  RETC_TRY(retc_import_truth(in, "use_ffn_rms_norm", false, &rms));
  upstream->gated_source = retc_import_source(in, "use_glu");
  if (!upstream->gated && subln) upstream->inner_norm = rms ? RETC_NORM_RMS : RETC_NORM_LAYER;
  return RETC_OK;
}

static retc_status check_inner_norm(const retc_import *in, const retc_microsoft *upstream, retc_network *network) {
  const char *const kinds[] = {"none", "RMS", "LayerNorm with bias"};
  if (upstream->gated) return RETC_OK;
  retc_network_explain(network, in->arena, "inner norm",
                       upstream->inner_norm ? retc_import_source(in, "use_ffn_rms_norm") : "subln or deepnorm", "%s",
                       kinds[upstream->inner_norm]);
  if (!upstream->inner_norm || network->feed_width == network->width) return RETC_OK;
  return retc_fail(in->diagnostics, RETC_INVALID,
                   "%s: decoder_ffn_embed_dim is %lld, expected decoder_embed_dim %lld: without use_glu, subln norms "
                   "the feed-forward in the width of the embedding",
                   retc_config_path(in->config), (long long)network->feed_width, (long long)network->width);
}

retc_status retc_dialect_syncdoth_import(retc_import *in, retc_network *network) {
  retc_microsoft upstream = {.prefix = "model.", .head = "lm_head", .tied_key = "tie_word_embeddings",
                             .vocabulary = 50257};
  bool subln;
  RETC_TRY(derive_norms(in, &upstream, &subln));
  RETC_TRY(import_feed(in, subln, &upstream));
  RETC_TRY(retc_import_truth(in, "use_lm_decay", false, &upstream.linspace_decay));
  upstream.decay_source = retc_import_source(in, "use_lm_decay");
  RETC_TRY(retc_config_number(in->config, "z_loss_coeff", 0, 1e30, 0, in->diagnostics, &network->z_loss));
  network->state_layout = RETC_STATE_SYNCDOTH;
  retc_network_explain(network, in->arena, "z-loss", retc_import_source(in, "z_loss_coeff"),
                       network->z_loss > 0 ? "%g mean(ln(logsumexp(logits)))" : "none", network->z_loss);
  RETC_TRY(retc_import_size(in, "decoder_embed_dim", 1, 768, &network->width));
  RETC_TRY(retc_import_size(in, "decoder_ffn_embed_dim", 1, 1280, &network->feed_width));
  RETC_TRY(check_inner_norm(in, &upstream, network));
  return retc_microsoft_import(in, &upstream, network);
}
