/* Compiled code kept in files of $XDG_CACHE_HOME/retc (or ~/.cache/retc), a folder a kind ("cpu", "hip"). A file holds
 * the whole key that it is kept under, so that another key with the same hash is a miss, and a checksum, so that a
 * damaged file is one too. Writers at the same time do no harm. Trouble with files is a miss, or nothing kept: never an
 * error. RETC_CACHE=off: every key is a miss, and nothing is kept. */
#ifndef RETC_RUNTIME_CODE_CACHE_H
#define RETC_RUNTIME_CODE_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* A malloc'ed copy of what is kept under the key. */
bool retc_code_cache_find(const char *kind, const char *key, size_t key_size, void **out_code, size_t *out_size);
void retc_code_cache_keep(const char *kind, const char *key, size_t key_size, const void *code, size_t size);

#endif
