/* The importers: an input is a config.json, opened alone and, when it is understood, beside a checkpoint of its
 * dialect. */
#include <stdio.h>
#include <string.h>

#include "compiler/source.h"
#include "tests/fuzz/fuzz.h"

static const char *const models[] = {"fla-tiny", "ts-one-head", "sd-deepnorm-ffn", "ya-one-head-gelu"};
enum { MODEL_COUNT = sizeof models / sizeof models[0] };
static const char *dialects[MODEL_COUNT];

/* A refusal has words, and what was understood can be used. Returns the dialect, or NULL. */
static const char *open_model(const char *path) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_source *source = NULL;
  const char *dialect = NULL;
  retc_status status = retc_source_open(path, &diagnostics, &source);
  bool said = *retc_diagnostics_text(&diagnostics) != 0;
  if (status != RETC_OK && (!said || source)) fuzz_fail("a refusal without words, or with a source");
  if (status == RETC_INTERNAL) fuzz_fail(retc_diagnostics_text(&diagnostics));
  if (status == RETC_OK) {
    const retc_network *network = &source->network;
    if (said || network->heads < 1 || network->layers < 1 || network->key_width % 2) {
      fuzz_fail("a network that cannot be");
    }
    volatile double sum = network->log_decay[network->heads - 1];
    sum += network->layer[network->layers - 1].theta[network->key_width / 2 - 1];
    dialect = network->dialect;
  }
  retc_source_destroy(source);
  retc_diagnostics_deinit(&diagnostics);
  return dialect;
}

int LLVMFuzzerInitialize(int *count, char ***words) {
  (void)count, (void)words;
  fuzz_directory_create();
  for (int i = 0; i < MODEL_COUNT; i++) {
    char target[2048], name[256];
    snprintf(target, sizeof target / 2, RETC_SOURCE_DIR "/tests/cases/%s", models[i]);
    dialects[i] = open_model(target);
    if (!dialects[i]) fuzz_fail("a case is refused");
    fuzz_directory_add(models[i]);
    strcat(target, "/model.safetensors");
    snprintf(name, sizeof name, "%s/model.safetensors", models[i]);
    fuzz_link(target, name);
    snprintf(name, sizeof name, "%s/config.json", models[i]);
    fuzz_link("../config.json", name);
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_write("config.json", "", 0, data, size, 0);
  const char *dialect = open_model(fuzz_path("config.json"));
  for (int i = 0; dialect && i < MODEL_COUNT; i++) {
    if (strcmp(dialect, dialects[i]) == 0) open_model(fuzz_path(models[i]));
  }
  return 0;
}
