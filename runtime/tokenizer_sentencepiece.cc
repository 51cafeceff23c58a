#include <climits>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <sentencepiece_processor.h>

extern "C" {
#include "base/file.h"
#include "runtime/tokenizer_sentencepiece.h"
}

struct retc_sentencepiece {
  sentencepiece::SentencePieceProcessor processor;
  std::string path;
  bool unknown_is_silent = false;
};

/* No exception may cross into C. */
template <typename Body>
static retc_status guarded(const char *path, retc_diagnostics *diagnostics, Body body) {
  try {
    return body();
  } catch (const std::exception &problem) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: the tokenizer failed: %s", path, problem.what());
  } catch (...) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: the tokenizer failed", path);
  }
}

static retc_status load(const char *path, const retc_file &file, retc_diagnostics *diagnostics,
                        retc_sentencepiece **out_sentencepiece) {
  auto made = std::make_unique<retc_sentencepiece>();
  made->path = path;
  const char *data = reinterpret_cast<const char *>(file.data);
  /* An empty file is a valid message of the format, and no model. */
  bool loaded = file.size > 0 && file.size <= INT_MAX &&
                made->processor.LoadFromSerializedProto({data, file.size}).ok();
  if (!loaded || made->processor.GetPieceSize() == 0) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: %zu bytes that are not a SentencePiece model", path, file.size);
  }
  std::string unknown;
  int id = made->processor.unk_id();
  if (id >= 0 && made->processor.Decode(std::vector<int>{id}, &unknown).ok()) made->unknown_is_silent = unknown.empty();
  *out_sentencepiece = made.release();
  return RETC_OK;
}

retc_status retc_sentencepiece_create(const char *path, retc_diagnostics *diagnostics,
                                      retc_sentencepiece **out_sentencepiece) {
  retc_file file;
  RETC_TRY(retc_file_map(path, diagnostics, &file));
  retc_status status = guarded(path, diagnostics, [&] { return load(path, file, diagnostics, out_sentencepiece); });
  retc_file_unmap(&file);
  return status;
}

void retc_sentencepiece_destroy(retc_sentencepiece *sentencepiece) { delete sentencepiece; }

int64_t retc_sentencepiece_count(const retc_sentencepiece *sentencepiece) {
  return sentencepiece->processor.GetPieceSize();
}

int64_t retc_sentencepiece_bos(const retc_sentencepiece *sentencepiece) { return sentencepiece->processor.bos_id(); }

int64_t retc_sentencepiece_eos(const retc_sentencepiece *sentencepiece) { return sentencepiece->processor.eos_id(); }

retc_piece_kind retc_sentencepiece_kind(const retc_sentencepiece *sentencepiece, int64_t id, unsigned char *out_byte) {
  const auto &processor = sentencepiece->processor;
  if (id < 0 || id >= processor.GetPieceSize()) return RETC_PIECE_SILENT;
  int piece = static_cast<int>(id);
  if (processor.IsControl(piece)) return RETC_PIECE_SILENT;
  if (processor.IsUnknown(piece)) return sentencepiece->unknown_is_silent ? RETC_PIECE_SILENT : RETC_PIECE_TEXT;
  if (!processor.IsByte(piece)) return RETC_PIECE_TEXT;
  /* Such a piece is written <0xE4>. */
  *out_byte = static_cast<unsigned char>(std::strtol(processor.IdToPiece(piece).c_str() + 1, nullptr, 16));
  return RETC_PIECE_BYTE;
}

retc_status retc_sentencepiece_encode(const retc_sentencepiece *sentencepiece, const char *text, size_t size,
                                      retc_diagnostics *diagnostics, int64_t **out_ids, int64_t *out_count) {
  const char *path = sentencepiece->path.c_str();
  return guarded(path, diagnostics, [&] {
    std::vector<int> ids;
    auto status = sentencepiece->processor.Encode({text, size}, &ids);
    if (!status.ok()) {
      return retc_fail(diagnostics, RETC_FAILED, "%s: cannot encode: %s", path, status.ToString().c_str());
    }
    auto *copy = static_cast<int64_t *>(std::malloc((ids.size() + 1) * sizeof(int64_t)));
    if (!copy) return retc_fail(diagnostics, RETC_FAILED, "%s: memory refused for %zu tokens", path, ids.size());
    for (size_t i = 0; i < ids.size(); i++) copy[i] = ids[i];
    *out_ids = copy;
    *out_count = static_cast<int64_t>(ids.size());
    return RETC_OK;
  });
}

retc_status retc_sentencepiece_decode(const retc_sentencepiece *sentencepiece, const int64_t *ids, size_t count,
                                      retc_diagnostics *diagnostics, retc_text *out_text) {
  const char *path = sentencepiece->path.c_str();
  return guarded(path, diagnostics, [&] {
    std::string text;
    auto status = sentencepiece->processor.Decode(std::vector<int>(ids, ids + count), &text);
    if (!status.ok()) {
      return retc_fail(diagnostics, RETC_FAILED, "%s: cannot decode: %s", path, status.ToString().c_str());
    }
    retc_text_append(out_text, text.data(), text.size());
    return RETC_OK;
  });
}
