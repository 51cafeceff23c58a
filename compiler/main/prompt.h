/* What `retc run` begins with: a text or ids as the command line gives them, as tokens. */
#ifndef RETC_MAIN_PROMPT_H
#define RETC_MAIN_PROMPT_H

#include "compiler/source.h"
#include "runtime/tokenizer.h"

typedef struct retc_prompt_options {
  const char *text, *file, *ids; /* one of them, or none and `bos` */
  /* A model with a tokenizer begins a text with bos, and ends at eos, unless told not to; one of bytes only when told
   * to. Ids begin as they are given, but for `bos`. */
  bool bos, no_bos, eos, ignore_eos;
} retc_prompt_options;

typedef struct retc_prompt {
  int64_t *items;
  int64_t count;
  int64_t eos;               /* where generation stops; -1: nowhere */
  retc_tokenizer *tokenizer; /* NULL: ids */
} retc_prompt;

/* The command line alone. */
retc_status retc_prompt_check(const retc_prompt_options *options, retc_diagnostics *diagnostics);
/* RETC_INVALID: an empty prompt, an id outside the vocabulary, text without a tokenizer, a bos or eos that the model
 * does not have. After a failure, too, deinit is to be called. */
retc_status retc_prompt_read(const retc_prompt_options *options, const retc_source *source,
                             retc_diagnostics *diagnostics, retc_prompt *out_prompt);
void retc_prompt_deinit(retc_prompt *prompt);

#endif
