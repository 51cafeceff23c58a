/* A growing text buffer on malloc. An addition for which memory is refused is dropped. */
#ifndef RETC_BASE_TEXT_H
#define RETC_BASE_TEXT_H

#include <stddef.h>

typedef struct retc_text {
  char *data; /* NUL-terminated when not NULL */
  size_t length, capacity;
} retc_text;

void retc_text_init(retc_text *text);
void retc_text_deinit(retc_text *text);
void retc_text_clear(retc_text *text);
void retc_text_append(retc_text *text, const char *data, size_t length);
void retc_text_add(retc_text *text, const char *string);
void retc_text_printf(retc_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The shortest decimal that reads back as `value` (double), always with a '.', 'e', "inf" or "nan" in it. */
void retc_text_number(retc_text *text, double value);

#endif
