/* torchscale's RetNetDecoder, the RetNet authors' own: RMS norms before or after, adjacent rotation pairs, k scaled,
 * normalisers that differ by form, gated feed-forward without biases. docs/mathematics.md has the formulas. */
#include <string.h>

#include "compiler/dialect_microsoft.h"

bool retc_dialect_torchscale_matches(const retc_config *config) {
  const char *type = retc_config_text(config, "model_type");
  return type && !strcmp(type, "retnet") && retc_config_lists(config, "architectures", "RetNetDecoder");
}

retc_status retc_dialect_torchscale_import(retc_import *in, retc_network *network) {
  retc_microsoft upstream = {.prefix = "", .head = "output_projection",
                             .tied_key = "share_decoder_input_output_embed", .decay_source = "upstream",
                             .gated = true, .gated_source = "upstream"};
  /* deepnorm does not move the norms here: upstream's config sets the encoder's key. */
  RETC_TRY(retc_import_truth(in, "decoder_normalize_before", true, &upstream.before));
  upstream.before_source = retc_import_source(in, "decoder_normalize_before");
  network->state_layout = RETC_STATE_TORCHSCALE;
  return retc_microsoft_import(in, &upstream, network);
}
