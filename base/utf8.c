#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

/* Length of the character that `lead` begins; 1 for what begins none. */
static size_t character_length(unsigned char lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 1;
}

/* The second byte's range depends on the first: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool continues(const retc_utf8_stream *stream, unsigned char byte) {
  unsigned char low = 0x80, high = 0xBF;
  if (stream->count == 1) {
    switch (stream->waiting[0]) {
      case 0xE0: low = 0xA0; break;
      case 0xED: high = 0x9F; break;
      case 0xF0: low = 0x90; break;
      case 0xF4: high = 0x8F; break;
      default: break;
    }
  }
  return byte >= low && byte <= high;
}

size_t retc_utf8_stream_add(retc_utf8_stream *stream, unsigned char byte, unsigned char out_ready[4]) {
  size_t ready = 0;
  if (stream->count && !continues(stream, byte)) {
    memcpy(out_ready, stream->waiting, stream->count);
    ready = stream->count;
    stream->count = 0;
  }
  stream->waiting[stream->count++] = byte;
  if (stream->count == character_length(stream->waiting[0])) {
    memcpy(out_ready + ready, stream->waiting, stream->count);
    ready += stream->count;
    stream->count = 0;
  }
  return ready;
}
