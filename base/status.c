#include "base/status.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

void retc_diagnostics_init(retc_diagnostics *diagnostics) { *diagnostics = (retc_diagnostics){0}; }

void retc_diagnostics_deinit(retc_diagnostics *diagnostics) {
  free(diagnostics->text);
  *diagnostics = (retc_diagnostics){0};
}

void retc_diagnostics_clear(retc_diagnostics *diagnostics) {
  diagnostics->length = 0;
  if (diagnostics->text) diagnostics->text[0] = '\0';
}

const char *retc_diagnostics_text(const retc_diagnostics *diagnostics) {
  return diagnostics->text ? diagnostics->text : "";
}

static bool reserve(retc_diagnostics *diagnostics, size_t more) {
  size_t needed = diagnostics->length + more;
  if (needed <= diagnostics->capacity) return true;
  char *text = realloc(diagnostics->text, 2 * needed);
  if (!text) return false;
  diagnostics->text = text;
  diagnostics->capacity = 2 * needed;
  return true;
}

/* Messages quote names from users' files; control characters in them must not reach a terminal. */
static void hide_control_characters(char *text) {
  for (; *text; text++) {
    unsigned char byte = (unsigned char)*text;
    if ((byte < ' ' && byte != '\n' && byte != '\t') || byte == 127) *text = '?';
  }
}

retc_status retc_fail(retc_diagnostics *diagnostics, retc_status status, const char *format, ...) {
  if (!diagnostics) return status;
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  if (length >= 0 && reserve(diagnostics, (size_t)length + 2)) {
    char *message = diagnostics->text + diagnostics->length;
    vsnprintf(message, (size_t)length + 1, format, again);
    hide_control_characters(message);
    memcpy(message + length, "\n", 2);
    diagnostics->length += (size_t)length + 1;
  }
  va_end(again);
  va_end(arguments);
  return status;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Characters to add, drop, replace or exchange with the next one; `rows` has room for 3 (strlen(b) + 1) numbers. */
static size_t edit_distance(const char *a, const char *b, size_t *rows) {
  size_t columns = strlen(b), *before = rows, *last = before + columns + 1, *row = last + columns + 1;
  for (size_t j = 0; j <= columns; j++) last[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    row[0] = i;
    for (size_t j = 1; j <= columns; j++) {
      row[j] = smaller(last[j - 1] + (a[i - 1] != b[j - 1]), smaller(last[j], row[j - 1]) + 1);
      bool exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (exchanged) row[j] = smaller(row[j], before[j - 2] + 1);
    }
    size_t *free_row = before;
    before = last;
    last = row;
    row = free_row;
  }
  return last[columns];
}

const char *retc_nearest(const char *word, const char *const *candidates, size_t count) {
  size_t length = strlen(word);
  size_t limit = length / 3 > 1 ? length / 3 : 1;
  size_t *rows = malloc(3 * (length + 1) * sizeof *rows);
  if (!rows) return NULL;
  const char *nearest = NULL;
  for (size_t i = 0; i < count; i++) {
    size_t other = strlen(candidates[i]);
    if (other > length + limit || length > other + limit) continue;
    size_t distance = edit_distance(candidates[i], word, rows);
    if (distance > limit || (nearest && distance == limit)) continue;
    nearest = candidates[i];
    limit = distance;
  }
  free(rows);
  return nearest;
}

retc_status retc_choose(const char *what, const char *word, const char *const *words, size_t count,
                        retc_diagnostics *diagnostics, size_t *out_index) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(words[i], word) == 0) {
      *out_index = i;
      return RETC_OK;
    }
  }
  retc_text list;
  retc_text_init(&list);
  for (size_t i = 0; i < count; i++) retc_text_printf(&list, "%s%s", i ? ", " : "", words[i]);
  const char *nearest = retc_nearest(word, words, count);
  retc_fail(diagnostics, RETC_INVALID, "%s: found \"%s\", %s%s%sexpected one of: %s", what, word,
            nearest ? "did you mean \"" : "", nearest ? nearest : "", nearest ? "\"? " : "", list.data ? list.data : "");
  retc_text_deinit(&list);
  return RETC_INVALID;
}
