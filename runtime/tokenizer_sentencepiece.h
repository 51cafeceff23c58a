/* SentencePiece models behind a C interface: what tokenizer.c needs of libsentencepiece, whose only interface is C++.
 * tokenizer_sentencepiece.cc is it; tokenizer_absent.c stands in where retc is built without the library. */
#ifndef RETC_RUNTIME_TOKENIZER_SENTENCEPIECE_H
#define RETC_RUNTIME_TOKENIZER_SENTENCEPIECE_H

#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

typedef struct retc_sentencepiece retc_sentencepiece;

typedef enum retc_piece_kind {
  RETC_PIECE_TEXT,
  RETC_PIECE_SILENT, /* <s> and the like, and ids that have no piece */
  RETC_PIECE_BYTE,   /* one byte of a character that has no piece */
} retc_piece_kind;

/* Reads the model file at `path`. RETC_INVALID when it is none; RETC_FAILED in a build without the library. */
retc_status retc_sentencepiece_create(const char *path, retc_diagnostics *diagnostics,
                                      retc_sentencepiece **out_sentencepiece);
void retc_sentencepiece_destroy(retc_sentencepiece *sentencepiece);

int64_t retc_sentencepiece_count(const retc_sentencepiece *sentencepiece);
/* -1: none */
int64_t retc_sentencepiece_bos(const retc_sentencepiece *sentencepiece);
int64_t retc_sentencepiece_eos(const retc_sentencepiece *sentencepiece);
/* *out_byte is set for RETC_PIECE_BYTE. */
retc_piece_kind retc_sentencepiece_kind(const retc_sentencepiece *sentencepiece, int64_t id, unsigned char *out_byte);

/* *out_ids is the caller's to free. */
retc_status retc_sentencepiece_encode(const retc_sentencepiece *sentencepiece, const char *text, size_t size,
                                      retc_diagnostics *diagnostics, int64_t **out_ids, int64_t *out_count);
/* Appends the text of ids[count], each of which has a piece. */
retc_status retc_sentencepiece_decode(const retc_sentencepiece *sentencepiece, const int64_t *ids, size_t count,
                                      retc_diagnostics *diagnostics, retc_text *out_text);

#endif
