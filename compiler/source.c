#include "compiler/source.h"

#include <stdlib.h>

#include "base/file.h"
#include "compiler/dialect.h"

static retc_status import(retc_source *source, const char *config_path, retc_diagnostics *diagnostics) {
  retc_config *config;
  RETC_TRY(retc_config_open(config_path, diagnostics, &config));
  retc_status status =
      retc_dialect_import(config, source->checkpoint, &source->arena, diagnostics, &source->network);
  retc_config_destroy(config);
  return status;
}

static retc_status open_source(const char *path, retc_diagnostics *diagnostics, retc_source *source) {
  if (!retc_path_exists(path)) return retc_fail(diagnostics, RETC_INVALID, "%s: no such file or directory", path);
  if (!retc_path_is_directory(path)) return import(source, path, diagnostics);
  const char *config_path = retc_arena_printf(&source->arena, "%s/config.json", path);
  if (!retc_path_exists(config_path)) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: no config.json in this directory", path);
  }
  RETC_TRY(retc_checkpoint_open_directory(path, diagnostics, &source->checkpoint));
  return import(source, config_path, diagnostics);
}

retc_status retc_source_open(const char *path, retc_diagnostics *diagnostics, retc_source **out_source) {
  retc_source *source = calloc(1, sizeof *source);
  if (!source) return retc_fail(diagnostics, RETC_FAILED, "%s: out of memory", path);
  retc_arena_init(&source->arena);
  source->path = retc_arena_strdup(&source->arena, path);
  retc_status status = open_source(path, diagnostics, source);
  if (status != RETC_OK) {
    retc_source_destroy(source);
    return status;
  }
  *out_source = source;
  return RETC_OK;
}

void retc_source_destroy(retc_source *source) {
  if (!source) return;
  retc_checkpoint_destroy(source->checkpoint);
  retc_arena_deinit(&source->arena);
  free(source);
}
