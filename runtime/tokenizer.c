#include "runtime/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "runtime/tokenizer_sentencepiece.h"

enum { BYTE_COUNT = 256 };

struct retc_tokenizer {
  retc_sentencepiece *pieces; /* NULL: bytes */
  /* SentencePiece drops a blank that begins a text, so the text of a piece depends on whether any came before. `anchor`
   * is a piece that stands for "some did", and the length of its own text. -1: no piece can tell the difference. */
  int64_t anchor;
  size_t anchor_length;
};

static bool has_file(const char *directory, const char *name) {
  char *path;
  if (asprintf(&path, "%s/%s", directory, name) < 0) return false;
  bool found = retc_path_exists(path);
  free(path);
  return found;
}

bool retc_tokenizer_has_model(const char *directory) { return has_file(directory, "tokenizer.model"); }

static retc_status find_anchor(retc_tokenizer *tokenizer, retc_diagnostics *diagnostics) {
  int64_t count = retc_sentencepiece_count(tokenizer->pieces);
  retc_status status = RETC_OK;
  retc_text text;
  retc_text_init(&text);
  tokenizer->anchor = -1;
  for (int64_t id = 0; id < count && tokenizer->anchor < 0 && status == RETC_OK; id++) {
    unsigned char byte;
    if (retc_sentencepiece_kind(tokenizer->pieces, id, &byte) != RETC_PIECE_TEXT) continue;
    status = retc_sentencepiece_decode(tokenizer->pieces, &id, 1, diagnostics, &text);
    if (text.length) tokenizer->anchor = id;
  }
  tokenizer->anchor_length = text.length;
  retc_text_deinit(&text);
  return status;
}

static retc_status open_model(retc_tokenizer *tokenizer, const char *directory, int64_t vocabulary_size,
                              retc_diagnostics *diagnostics) {
  char *path;
  if (asprintf(&path, "%s/tokenizer.model", directory) < 0) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", directory);
  }
  retc_status status = retc_sentencepiece_create(path, diagnostics, &tokenizer->pieces);
  if (status == RETC_OK && retc_sentencepiece_count(tokenizer->pieces) > vocabulary_size) {
    status = retc_fail(diagnostics, RETC_INVALID, "%s: the tokenizer has %lld pieces, the model's vocabulary %lld",
                       path, (long long)retc_sentencepiece_count(tokenizer->pieces), (long long)vocabulary_size);
  }
  free(path);
  return status == RETC_OK ? find_anchor(tokenizer, diagnostics) : status;
}

static retc_status check_bytes(const char *directory, int64_t vocabulary_size, retc_diagnostics *diagnostics) {
  if (has_file(directory, "tokenizer.json")) {
    return retc_fail(diagnostics, RETC_INVALID,
                     "%s/tokenizer.json: tokenizers of this kind are not read, expected a SentencePiece "
                     "tokenizer.model beside it; token ids can be given instead of text",
                     directory);
  }
  if (vocabulary_size == BYTE_COUNT) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID,
                   "%s: no tokenizer.model, and a vocabulary of %lld tokens is not bytes (%d); token ids can be given "
                   "instead of text",
                   directory, (long long)vocabulary_size, BYTE_COUNT);
}

retc_status retc_tokenizer_create(const char *directory, int64_t vocabulary_size, retc_diagnostics *diagnostics,
                                  retc_tokenizer **out_tokenizer) {
  retc_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
  if (!tokenizer) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", directory);
  retc_status status = retc_tokenizer_has_model(directory)
                           ? open_model(tokenizer, directory, vocabulary_size, diagnostics)
                           : check_bytes(directory, vocabulary_size, diagnostics);
  if (status != RETC_OK) {
    retc_tokenizer_destroy(tokenizer);
    return status;
  }
  *out_tokenizer = tokenizer;
  return RETC_OK;
}

void retc_tokenizer_destroy(retc_tokenizer *tokenizer) {
  if (!tokenizer) return;
  retc_sentencepiece_destroy(tokenizer->pieces);
  free(tokenizer);
}

int64_t retc_tokenizer_vocabulary_size(const retc_tokenizer *tokenizer) {
  return tokenizer->pieces ? retc_sentencepiece_count(tokenizer->pieces) : BYTE_COUNT;
}

int64_t retc_tokenizer_bos(const retc_tokenizer *tokenizer) {
  return tokenizer->pieces ? retc_sentencepiece_bos(tokenizer->pieces) : -1;
}

int64_t retc_tokenizer_eos(const retc_tokenizer *tokenizer) {
  return tokenizer->pieces ? retc_sentencepiece_eos(tokenizer->pieces) : -1;
}

retc_status retc_tokenizer_encode(const retc_tokenizer *tokenizer, const char *text, size_t size,
                                  retc_diagnostics *diagnostics, int64_t **out_ids, int64_t *out_count) {
  if (tokenizer->pieces) {
    return retc_sentencepiece_encode(tokenizer->pieces, text, size, diagnostics, out_ids, out_count);
  }
  int64_t *ids = size < SIZE_MAX / sizeof *ids ? malloc((size + 1) * sizeof *ids) : NULL;
  if (!ids) return retc_fail(diagnostics, RETC_FAILED, "text: memory refused for %zu tokens", size);
  for (size_t i = 0; i < size; i++) ids[i] = (unsigned char)text[i];
  *out_ids = ids;
  *out_count = (int64_t)size;
  return RETC_OK;
}

/* Text of the first `count` held pieces: what they add to that of the pieces before them. */
static retc_status release(retc_token_stream *stream, const retc_tokenizer *tokenizer, size_t count,
                           retc_diagnostics *diagnostics, retc_text *out_text) {
  if (count == 0) return RETC_OK;
  int64_t ids[1 + sizeof stream->held / sizeof stream->held[0]];
  size_t before = 0, known = 0;
  if (stream->begun && tokenizer->anchor >= 0) {
    ids[before++] = tokenizer->anchor;
    known = tokenizer->anchor_length;
  } else if (stream->blank) {
    ids[before++] = stream->blank - 1;
  }
  memcpy(ids + before, stream->held, count * sizeof *ids);
  retc_text text;
  retc_text_init(&text);
  retc_status status = retc_sentencepiece_decode(tokenizer->pieces, ids, before + count, diagnostics, &text);
  if (text.length > known) {
    retc_text_append(out_text, text.data + known, text.length - known);
    stream->begun = true;
  } else if (!stream->begun && !stream->blank) {
    stream->blank = 1 + stream->held[0];
  }
  retc_text_deinit(&text);
  stream->held_count -= count;
  memmove(stream->held, stream->held + count, stream->held_count * sizeof *ids);
  return status;
}

retc_status retc_token_stream_add(retc_token_stream *stream, const retc_tokenizer *tokenizer, int64_t id,
                                  retc_diagnostics *diagnostics, retc_text *out_text) {
  unsigned char ready[4], byte = (unsigned char)id;
  if (!tokenizer->pieces) {
    if (id < 0 || id >= BYTE_COUNT) return RETC_OK;
    size_t count = retc_utf8_stream_add(&stream->bytes, byte, ready);
    retc_text_append(out_text, (const char *)ready, count);
    return RETC_OK;
  }
  retc_piece_kind kind = retc_sentencepiece_kind(tokenizer->pieces, id, &byte);
  /* Byte pieces make a character only when nothing, not even a silent token, is between them. */
  if (kind != RETC_PIECE_BYTE) RETC_TRY(retc_token_stream_finish(stream, tokenizer, diagnostics, out_text));
  if (kind == RETC_PIECE_SILENT) return RETC_OK;
  stream->held[stream->held_count++] = id;
  if (kind == RETC_PIECE_BYTE) retc_utf8_stream_add(&stream->bytes, byte, ready);
  return release(stream, tokenizer, stream->held_count - stream->bytes.count, diagnostics, out_text);
}

retc_status retc_token_stream_finish(retc_token_stream *stream, const retc_tokenizer *tokenizer,
                                     retc_diagnostics *diagnostics, retc_text *out_text) {
  size_t waiting = stream->bytes.count;
  stream->bytes.count = 0;
  if (tokenizer->pieces) return release(stream, tokenizer, stream->held_count, diagnostics, out_text);
  retc_text_append(out_text, (const char *)stream->bytes.waiting, waiting);
  return RETC_OK;
}
