/* Status codes with words beside them. A fallible function returns a retc_status and, when it is not RETC_OK, has put
 * at least one message into the diagnostics it was given. A message names the file, the key or tensor, what was found
 * and what was expected. */
#ifndef RETC_BASE_STATUS_H
#define RETC_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

#include "retc.h"

typedef struct retc_diagnostics {
  char *text; /* messages, each ended by a newline; NULL: none */
  size_t length, capacity;
} retc_diagnostics;

void retc_diagnostics_init(retc_diagnostics *diagnostics);
void retc_diagnostics_deinit(retc_diagnostics *diagnostics);
void retc_diagnostics_clear(retc_diagnostics *diagnostics);
/* "" when there is none. */
const char *retc_diagnostics_text(const retc_diagnostics *diagnostics);

/* Adds a message and returns `status`: return retc_fail(d, RETC_INVALID, "%s: ...", path); */
retc_status retc_fail(retc_diagnostics *diagnostics, retc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define RETC_TRY(expression) \
  do { \
    retc_status retc_try_status = (expression); \
    if (retc_try_status != RETC_OK) return retc_try_status; \
  } while (0)

/* The candidate nearest to `word` (edit distance at most a third of its length, at least 1), or NULL. */
const char *retc_nearest(const char *word, const char *const *candidates, size_t count);
/* The index of `word` in `words`; otherwise RETC_INVALID with the nearest and the list. */
retc_status retc_choose(const char *what, const char *word, const char *const *words, size_t count,
                        retc_diagnostics *diagnostics, size_t *out_index);

#endif
