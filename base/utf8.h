/* Bytes that come one by one and leave as whole UTF-8 characters. */
#ifndef RETC_BASE_UTF8_H
#define RETC_BASE_UTF8_H

#include <stddef.h>

/* At most 3 bytes wait, as long as they may begin a character. Bytes that are not UTF-8 pass as they are. */
typedef struct retc_utf8_stream {
  unsigned char waiting[4];
  size_t count;
} retc_utf8_stream;

/* Takes a byte; *out_ready gets the bytes that can go now, at most 4. Returns their number. */
size_t retc_utf8_stream_add(retc_utf8_stream *stream, unsigned char byte, unsigned char out_ready[4]);

#endif
