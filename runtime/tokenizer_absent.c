#include "runtime/tokenizer_sentencepiece.h"

retc_status retc_sentencepiece_create(const char *path, retc_diagnostics *diagnostics,
                                      retc_sentencepiece **out_sentencepiece) {
  *out_sentencepiece = NULL;
  return retc_fail(diagnostics, RETC_FAILED,
                   "%s: this retc was built without SentencePiece; install libsentencepiece-dev and a C++ compiler and "
                   "build again, or give token ids instead of text",
                   path);
}

/* Nothing can be created, so nothing below is ever called with an object. */

void retc_sentencepiece_destroy(retc_sentencepiece *sentencepiece) { (void)sentencepiece; }

int64_t retc_sentencepiece_count(const retc_sentencepiece *sentencepiece) {
  (void)sentencepiece;
  return 0;
}

int64_t retc_sentencepiece_bos(const retc_sentencepiece *sentencepiece) {
  (void)sentencepiece;
  return -1;
}

int64_t retc_sentencepiece_eos(const retc_sentencepiece *sentencepiece) {
  (void)sentencepiece;
  return -1;
}

retc_piece_kind retc_sentencepiece_kind(const retc_sentencepiece *sentencepiece, int64_t id, unsigned char *out_byte) {
  (void)sentencepiece, (void)id, (void)out_byte;
  return RETC_PIECE_SILENT;
}

retc_status retc_sentencepiece_encode(const retc_sentencepiece *sentencepiece, const char *text, size_t size,
                                      retc_diagnostics *diagnostics, int64_t **out_ids, int64_t *out_count) {
  (void)sentencepiece, (void)text, (void)size, (void)out_ids, (void)out_count;
  return retc_fail(diagnostics, RETC_INTERNAL, "this retc was built without SentencePiece");
}

retc_status retc_sentencepiece_decode(const retc_sentencepiece *sentencepiece, const int64_t *ids, size_t count,
                                      retc_diagnostics *diagnostics, retc_text *out_text) {
  (void)sentencepiece, (void)ids, (void)count, (void)out_text;
  return retc_fail(diagnostics, RETC_INTERNAL, "this retc was built without SentencePiece");
}
