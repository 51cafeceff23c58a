#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void retc_text_init(retc_text *text) { *text = (retc_text){0}; }

void retc_text_deinit(retc_text *text) {
  free(text->data);
  *text = (retc_text){0};
}

void retc_text_clear(retc_text *text) {
  text->length = 0;
  if (text->data) text->data[0] = '\0';
}

/* Room for `more` bytes and the terminator. */
static bool reserve(retc_text *text, size_t more) {
  if (more >= SIZE_MAX / 2 - text->length) return false;
  size_t needed = text->length + more + 1;
  if (needed <= text->capacity) return true;
  size_t capacity = needed < 2 * text->capacity ? 2 * text->capacity : needed < 64 ? 64 : needed;
  char *data = realloc(text->data, capacity);
  if (!data) return false;
  text->data = data;
  text->capacity = capacity;
  return true;
}

void retc_text_append(retc_text *text, const char *data, size_t length) {
  if (!reserve(text, length)) return;
  if (length) memcpy(text->data + text->length, data, length);
  text->length += length;
  text->data[text->length] = '\0';
}

void retc_text_add(retc_text *text, const char *string) { retc_text_append(text, string, strlen(string)); }

void retc_text_printf(retc_text *text, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  /* Where there is room already, as there mostly is, one printing does. */
  const size_t room = text->data ? text->capacity - text->length : 0;
  int length = vsnprintf(room ? text->data + text->length : NULL, room, format, arguments);
  const bool fits = length >= 0 && (size_t)length < room;
  if (fits || (length >= 0 && reserve(text, (size_t)length))) {
    if (!fits) vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
  } else if (room) {
    text->data[text->length] = '\0';
  }
  va_end(again);
  va_end(arguments);
}

void retc_text_number(retc_text *text, double value) {
  char digits[40];
  if (isnan(value)) {
    retc_text_add(text, "nan");
    return;
  }
  for (int precision = 1; precision <= 17; precision++) {
    snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (strtod(digits, NULL) == value) break;
  }
  /* The host program may have set a locale with a decimal comma. */
  char *comma = strchr(digits, ',');
  if (comma) *comma = '.';
  retc_text_add(text, digits);
  if (!strpbrk(digits, ".en")) retc_text_add(text, ".0");
}
