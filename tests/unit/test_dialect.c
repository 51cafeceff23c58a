/* What configs without weights mean: derived keys, defaults, recomputed constants, notes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "compiler/source.h"

#define TORCHSCALE "{\"model_type\":\"retnet\",\"architectures\":[\"RetNetDecoder\"],\"vocab_size\":9"
#define SYNCDOTH "{\"model_type\":\"retnet\",\"architectures\":[\"RetNetForCausalLM\"],\"decoder_embed_dim\":24"
#define FLA "{\"model_type\":\"retnet\",\"hidden_size\":768,\"num_heads\":2"
#define YET_ANOTHER "{\"model_type\":\"yet_another_retnet\",\"architectures\":[\"RetNet\"],\"num_tokens\":9"

/* The network of a bare config; its path is gone afterwards. */
static retc_source *open_config(const char *json) {
  char path[] = "dialect-XXXXXX";
  int file = mkstemp(path);
  assert_true(file >= 0);
  assert_int_equal(write(file, json, strlen(json)), strlen(json));
  close(file);
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_source *source = NULL;
  retc_status status = retc_source_open(path, &diagnostics, &source);
  unlink(path);
  if (status != RETC_OK) print_error("%s", retc_diagnostics_text(&diagnostics));
  retc_diagnostics_deinit(&diagnostics);
  assert_int_equal(status, RETC_OK);
  return source;
}

static const retc_network_note *find_note(const retc_network *network, const char *what) {
  for (size_t i = 0; i < network->notes.count; i++) {
    if (!strcmp(network->notes.items[i].what, what)) return &network->notes.items[i];
  }
  return NULL;
}

static bool ignores(const retc_network *network, const char *key) {
  for (size_t i = 0; i < network->ignored.count; i++) {
    if (!strcmp(network->ignored.items[i], key)) return true;
  }
  return false;
}

static void torchscale_defaults(void **state) {
  (void)state;
  retc_source *source = open_config(TORCHSCALE ",\"subln\":true,\"decoder_value_embed_dim\":1536}");
  const retc_network *network = &source->network;
  assert_string_equal(network->dialect, "torchscale");
  assert_int_equal(network->width, 768);
  assert_int_equal(network->heads, 3);
  assert_int_equal(network->key_width, 256);
  assert_int_equal(network->layers, 12);
  assert_int_equal(network->form_chunk_length, 512);
  assert_int_equal(network->activation, RETC_OP_GELU);
  assert_int_equal(network->norm_place, RETC_PLACE_BEFORE);
  assert_int_equal(network->normaliser, RETC_NORMALISER_TORCHSCALE);
  assert_true(network->key_scale == 1.0 / 16);
  assert_true(network->layer[11].theta[0] == 1);
  assert_true(fabs(network->layer[11].theta[127] - 1e-4) < 1e-18);
  assert_string_equal(network->layer[0].feed_gate.weight.name, "layers.0.ffn.fc1.weight");
  assert_string_equal(network->layer[0].feed_up.weight.name, "layers.0.ffn.gate.weight");
  assert_string_equal(find_note(network, "decay")->source, "upstream");
  assert_string_equal(find_note(network, "activation")->source, "default of activation_fn");
  assert_true(ignores(network, "subln"));
  assert_false(ignores(network, "vocab_size"));
  retc_source_destroy(source);
}

static void torchscale_deepnorm_stays_before(void **state) {
  (void)state;
  retc_source *source = open_config(TORCHSCALE ",\"deepnorm\":true,\"decoder_layers\":8,\"decoder_embed_dim\":6,"
                                               "\"no_scale_embedding\":false,\"decoder_value_embed_dim\":3}");
  const retc_network *network = &source->network;
  assert_int_equal(network->norm_place, RETC_PLACE_BEFORE);
  assert_int_equal(network->final_norm.kind, RETC_NORM_RMS);
  assert_true(network->residual_scale == 2);
  assert_true(network->embedding_scale == sqrt(6.0));
  assert_true(network->layer[0].theta[0] == 1); /* one pair only */
  assert_int_equal(network->value_width, 1);
  retc_source_destroy(source);
}

static void syncdoth_derives_norms(void **state) {
  (void)state;
  static const struct {
    const char *keys;
    retc_norm_place place;
    retc_norm_kind inner;
  } rows[] = {
      {"\"deepnorm\":true,\"decoder_normalize_before\":true", RETC_PLACE_AFTER, RETC_NORM_NONE},
      {"\"decoder_normalize_before\":false", RETC_PLACE_BEFORE, RETC_NORM_LAYER},
      {"\"decoder_normalize_before\":false,\"use_ffn_rms_norm\":true", RETC_PLACE_BEFORE, RETC_NORM_RMS},
      {"\"decoder_normalize_before\":false,\"subln\":false", RETC_PLACE_AFTER, RETC_NORM_NONE},
      {"\"subln\":false", RETC_PLACE_BEFORE, RETC_NORM_NONE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char json[512];
    snprintf(json, sizeof json, "%s,\"decoder_ffn_embed_dim\":24,\"decoder_value_embed_dim\":24,\"use_glu\":false,%s}",
             SYNCDOTH, rows[i].keys);
    retc_source *source = open_config(json);
    const retc_network *network = &source->network;
    assert_int_equal(network->norm_place, rows[i].place);
    assert_int_equal(network->layer[0].inner_norm.kind, rows[i].inner);
    assert_true((network->final_norm.kind == RETC_NORM_RMS) == (rows[i].place == RETC_PLACE_BEFORE));
    assert_null(network->layer[0].feed_gate.weight.name);
    assert_non_null(network->layer[0].feed_down.bias.name);
    retc_source_destroy(source);
  }
}

static void tied_head_is_the_embedding(void **state) {
  (void)state;
  retc_source *source = open_config(SYNCDOTH ",\"decoder_value_embed_dim\":24,\"tie_word_embeddings\":true}");
  assert_string_equal(source->network.head.weight.name, "model.embed_tokens.weight");
  retc_source_destroy(source);
}

static void yet_another_decays(void **state) {
  (void)state;
  retc_source *source = open_config(YET_ANOTHER ",\"d_model\":24,\"nhead\":3,\"norm_first\":false}");
  const double *log_decay = source->network.log_decay;
  assert_true(fabs(exp(log_decay[0]) - 31.0 / 32) < 1e-15);
  assert_true(fabs(exp(log_decay[1]) - 127.0 / 128) < 1e-15);
  assert_true(fabs(exp(log_decay[2]) - 511.0 / 512) < 1e-15);
  assert_int_equal(source->network.norm_place, RETC_PLACE_BRANCH);
  assert_int_equal(source->network.gate_activation, RETC_OP_SILU);
  retc_source_destroy(source);
  source = open_config(YET_ANOTHER ",\"d_model\":8,\"nhead\":1,\"activation\":\"gelu\"}");
  assert_true(fabs(exp(source->network.log_decay[0]) - 31.0 / 32) < 1e-15);
  assert_int_equal(source->network.gate_activation, RETC_OP_GELU);
  retc_source_destroy(source);
}

static void fla_hidden_ratio(void **state) {
  (void)state;
  retc_source *source = open_config(FLA "}");
  assert_int_equal(source->network.feed_width, 1024);
  retc_source_destroy(source);
  source = open_config(FLA ",\"hidden_ratio\":null,\"use_short_conv\":true}");
  assert_int_equal(source->network.feed_width, 2048);
  assert_true(ignores(&source->network, "use_short_conv"));
  retc_source_destroy(source);
}

static void many_heads_do_not_decay(void **state) {
  (void)state;
  retc_source *source = open_config(TORCHSCALE ",\"decoder_retention_heads\":24,\"decoder_value_embed_dim\":24}");
  assert_true(source->network.log_decay[19] < 0);
  for (int h = 20; h < 24; h++) assert_true(source->network.log_decay[h] == 0);
  retc_source_destroy(source);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(torchscale_defaults),     cmocka_unit_test(torchscale_deepnorm_stays_before),
      cmocka_unit_test(syncdoth_derives_norms),  cmocka_unit_test(tied_head_is_the_embedding),
      cmocka_unit_test(yet_another_decays),      cmocka_unit_test(fla_hidden_ratio),
      cmocka_unit_test(many_heads_do_not_decay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
