#include "compiler/main/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "compiler/main/arguments.h"

retc_status retc_prompt_check(const retc_prompt_options *options, retc_diagnostics *diagnostics) {
  const retc_prompt_options *o = options;
  if ((o->bos && o->no_bos) || (o->eos && o->ignore_eos)) {
    return retc_fail(diagnostics, RETC_INVALID, "run: found both %s, expected one of them",
                     o->bos && o->no_bos ? "--bos and --no-bos" : "--eos and --ignore-eos");
  }
  int prompts = (o->text != NULL) + (o->file != NULL) + (o->ids != NULL);
  if (prompts == 1 || (prompts == 0 && o->bos)) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID,
                   "run: found %d prompts, expected one of --prompt TEXT, --prompt-file FILE, --prompt-tokens IDS",
                   prompts);
}

static retc_status read_text(const retc_prompt_options *o, retc_diagnostics *diagnostics, retc_prompt *prompt) {
  if (!o->file) {
    const char *text = o->text ? o->text : "";
    return retc_tokenizer_encode(prompt->tokenizer, text, strlen(text), diagnostics, &prompt->items, &prompt->count);
  }
  retc_file file;
  RETC_TRY(retc_file_map(o->file, diagnostics, &file));
  const char *text = file.data ? (const char *)file.data : "";
  retc_status status = retc_tokenizer_encode(prompt->tokenizer, text, file.size, diagnostics, &prompt->items,
                                             &prompt->count);
  retc_file_unmap(&file);
  return status;
}

static retc_status put_first(int64_t token, retc_diagnostics *diagnostics, retc_prompt *prompt) {
  int64_t *items = malloc((size_t)(prompt->count + 1) * sizeof *items);
  if (!items) {
    return retc_fail(diagnostics, RETC_FAILED, "prompt: memory refused for %lld tokens", (long long)prompt->count + 1);
  }
  items[0] = token;
  memcpy(items + 1, prompt->items, (size_t)prompt->count * sizeof *items);
  free(prompt->items);
  prompt->items = items;
  prompt->count++;
  return RETC_OK;
}

/* The config's id, else the tokenizer's; -1 when neither has one, which is wrong only when it was asked for. */
static retc_status choose(const retc_source *source, const char *name, bool asked, int64_t of_config,
                          int64_t of_tokenizer, retc_diagnostics *diagnostics, int64_t *out_token) {
  *out_token = of_config >= 0 ? of_config : of_tokenizer;
  if (*out_token >= 0 || !asked) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: --%s is given, but the model has no %s token", source->path, name,
                   name);
}

static retc_status read_prompt(const retc_prompt_options *o, const retc_source *source,
                               retc_diagnostics *diagnostics, retc_prompt *prompt) {
  const retc_network *network = &source->network;
  bool has_model = retc_tokenizer_has_model(source->path);
  int64_t bos = -1, own_bos = -1, own_eos = -1;
  if (!o->ids) {
    RETC_TRY(retc_tokenizer_create(source->path, network->vocabulary_size, diagnostics, &prompt->tokenizer));
    own_bos = retc_tokenizer_bos(prompt->tokenizer);
    own_eos = retc_tokenizer_eos(prompt->tokenizer);
  }
  if (o->bos || (has_model && !o->ids && !o->no_bos)) {
    RETC_TRY(choose(source, "bos", o->bos, network->bos_token, own_bos, diagnostics, &bos));
  }
  if (o->eos || (has_model && !o->ignore_eos)) {
    RETC_TRY(choose(source, "eos", o->eos, network->eos_token, own_eos, diagnostics, &prompt->eos));
  }
  if (o->ids) {
    RETC_TRY(retc_arguments_parse_list("--prompt-tokens", o->ids, 0, network->vocabulary_size - 1, diagnostics,
                                       &prompt->items, &prompt->count));
  } else {
    RETC_TRY(read_text(o, diagnostics, prompt));
  }
  if (bos >= 0) return put_first(bos, diagnostics, prompt);
  if (prompt->count > 0) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "%s: the prompt is empty, expected some text, or --bos",
                   o->file ? o->file : "--prompt");
}

retc_status retc_prompt_read(const retc_prompt_options *options, const retc_source *source,
                             retc_diagnostics *diagnostics, retc_prompt *out_prompt) {
  *out_prompt = (retc_prompt){.eos = -1};
  return read_prompt(options, source, diagnostics, out_prompt);
}

void retc_prompt_deinit(retc_prompt *prompt) {
  free(prompt->items);
  retc_tokenizer_destroy(prompt->tokenizer);
}
