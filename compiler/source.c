#include "compiler/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/dialect.h"
#include "compiler/network_parameters.h"

static retc_status import(retc_source *source, const char *config_path, retc_diagnostics *diagnostics) {
  retc_config *config;
  RETC_TRY(retc_config_open(config_path, diagnostics, &config));
  retc_status status =
      retc_dialect_import(config, source->checkpoint, &source->arena, diagnostics, &source->network);
  retc_config_destroy(config);
  return status;
}

/* Parsed to see that it is right; a compilation parses it again, because passes consume what they work on. */
static retc_status open_text(retc_source *source, retc_diagnostics *diagnostics) {
  retc_compilation *compilation;
  source->is_text = true;
  RETC_TRY(retc_compilation_parse((const char *)source->text.data, source->text.size, source->path, diagnostics,
                                  &compilation));
  retc_compilation_destroy(compilation);
  return RETC_OK;
}

static retc_status open_file(const char *path, retc_diagnostics *diagnostics, retc_source *source) {
  RETC_TRY(retc_file_map(path, diagnostics, &source->text));
  if (retc_compilation_is_text((const char *)source->text.data, source->text.size)) {
    return open_text(source, diagnostics);
  }
  return import(source, path, diagnostics);
}

static retc_status open_source(const char *path, retc_diagnostics *diagnostics, retc_source *source) {
  if (!retc_path_exists(path)) return retc_fail(diagnostics, RETC_INVALID, "%s: no such file or directory", path);
  if (!retc_path_is_directory(path)) return open_file(path, diagnostics, source);
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

retc_status retc_source_choose(retc_source *source, const retc_arithmetic_words *words, retc_diagnostics *diagnostics) {
  if (!words->weights && !words->math) return RETC_OK;
  RETC_TRY(retc_source_want_model(source, diagnostics));
  return retc_network_choose(&source->network, &source->arena, words->weights, words->math, diagnostics);
}

static retc_status randomize(retc_source *source, int64_t seed, retc_diagnostics *diagnostics) {
  RETC_TRY(retc_source_want_model(source, diagnostics));
  if (source->checkpoint) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: has weights, expected a bare config.json for random ones",
                     source->path);
  }
  return retc_network_randomize(&source->network, source->path, (uint64_t)seed, diagnostics, &source->checkpoint);
}

retc_status retc_source_open_random(const char *path, int64_t seed, retc_diagnostics *diagnostics,
                                    retc_source **out_source) {
  RETC_TRY(retc_source_open(path, diagnostics, out_source));
  if (seed < 0) return RETC_OK;
  retc_status status = randomize(*out_source, seed, diagnostics);
  if (status == RETC_OK) return RETC_OK;
  retc_source_destroy(*out_source);
  *out_source = NULL;
  return status;
}

void retc_source_destroy(retc_source *source) {
  if (!source) return;
  retc_checkpoint_destroy(source->checkpoint);
  retc_file_unmap(&source->text);
  retc_arena_deinit(&source->arena);
  free(source);
}

retc_status retc_source_want_model(const retc_source *source, retc_diagnostics *diagnostics) {
  if (!source->is_text) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: is program text, expected a model (config.json or its directory)",
                   source->path);
}

retc_status retc_source_compile(const retc_source *source, const retc_compile_options *options,
                                retc_diagnostics *diagnostics, retc_compilation **out_compilation) {
  if (!source->is_text) return retc_compile(&source->network, options, diagnostics, out_compilation);
  retc_compilation *compilation;
  if (options->chunk_length) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: the chunk length of program text is what it says", source->path);
  }
  RETC_TRY(retc_compilation_parse((const char *)source->text.data, source->text.size, source->path, diagnostics,
                                  &compilation));
  retc_status status = retc_compile_rest(compilation, options, diagnostics);
  if (status != RETC_OK) {
    retc_compilation_destroy(compilation);
    return status;
  }
  *out_compilation = compilation;
  return RETC_OK;
}

static retc_status read_input(retc_text *text, retc_diagnostics *diagnostics) {
  char block[65536];
  for (size_t size; (size = fread(block, 1, sizeof block, stdin));) retc_text_append(text, block, size);
  if (!ferror(stdin)) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "standard input: %s", strerror(errno));
}

retc_status retc_program_open(const char *path, retc_diagnostics *diagnostics, retc_compilation **out_compilation) {
  retc_file file = {0};
  retc_text text;
  retc_text_init(&text);
  bool is_input = !strcmp(path, "-");
  retc_status status = is_input ? read_input(&text, diagnostics) : retc_file_map(path, diagnostics, &file);
  const char *data = is_input ? text.data : (const char *)file.data;
  size_t size = is_input ? text.length : file.size;
  if (status == RETC_OK) {
    status = retc_compilation_parse(data ? data : "", size, is_input ? "standard input" : path, diagnostics,
                                    out_compilation);
  }
  retc_file_unmap(&file);
  retc_text_deinit(&text);
  return status;
}
