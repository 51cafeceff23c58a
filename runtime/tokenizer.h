/* Text to token ids and back. A model directory with a tokenizer.model has SentencePiece's; one without a tokenizer
 * file and with 256 tokens has bytes: token = byte. */
#ifndef RETC_RUNTIME_TOKENIZER_H
#define RETC_RUNTIME_TOKENIZER_H

#include <stdint.h>

#include "base/status.h"
#include "base/text.h"
#include "base/utf8.h"

typedef struct retc_tokenizer retc_tokenizer;

/* Whether `directory` has a tokenizer.model; it is not read. */
bool retc_tokenizer_has_model(const char *directory);

/* The tokenizer of the model in `directory` that has `vocabulary_size` tokens. It may know fewer (a vocabulary padded
 * to a round size), not more. RETC_INVALID: a damaged file, too many pieces, no tokenizer for a vocabulary that is not
 * bytes. RETC_FAILED: a tokenizer.model, and retc was built without SentencePiece; the message says how to get it. */
retc_status retc_tokenizer_create(const char *directory, int64_t vocabulary_size, retc_diagnostics *diagnostics,
                                  retc_tokenizer **out_tokenizer);
void retc_tokenizer_destroy(retc_tokenizer *tokenizer);

/* 256, or how many pieces the tokenizer has. */
int64_t retc_tokenizer_vocabulary_size(const retc_tokenizer *tokenizer);
/* The tokenizer's own; -1: none, as for bytes. */
int64_t retc_tokenizer_bos(const retc_tokenizer *tokenizer);
int64_t retc_tokenizer_eos(const retc_tokenizer *tokenizer);

/* The tokens of text[size], without bos and eos. *out_ids is the caller's to free. */
retc_status retc_tokenizer_encode(const retc_tokenizer *tokenizer, const char *text, size_t size,
                                  retc_diagnostics *diagnostics, int64_t **out_ids, int64_t *out_count);

/* The text of tokens as they come. All that is added and finished gives, put together, equals what decoding the whole
 * sequence at once gives. A token's text comes at once, but for the bytes of an unfinished UTF-8 character, at most 3.
 * A token without a piece gives nothing. Zeroed it is ready. */
typedef struct retc_token_stream {
  retc_utf8_stream bytes; /* SentencePiece: how many of the held bytes may still become a character */
  int64_t held[4];        /* SentencePiece: byte pieces whose text has not come yet, and the one being added */
  size_t held_count;
  int64_t blank;          /* SentencePiece: 1 + the piece that was taken for the blank before all text; 0: none yet */
  bool begun;             /* some text has come */
} retc_token_stream;

/* Appends what can come now to *out_text. */
retc_status retc_token_stream_add(retc_token_stream *stream, const retc_tokenizer *tokenizer, int64_t id,
                                  retc_diagnostics *diagnostics, retc_text *out_text);
/* Appends what was held back. The stream goes on behind it. */
retc_status retc_token_stream_finish(retc_token_stream *stream, const retc_tokenizer *tokenizer,
                                     retc_diagnostics *diagnostics, retc_text *out_text);

#endif
