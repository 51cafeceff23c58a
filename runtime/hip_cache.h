/* Code objects kept in files. A file holds the whole key that it is kept under, so that another key with the same hash is
 * a miss. Trouble with files is a miss, or nothing kept: never an error. RETC_CACHE=off in the environment: nothing is kept
 * or found. */
#ifndef RETC_RUNTIME_HIP_CACHE_H
#define RETC_RUNTIME_HIP_CACHE_H

#include <stdbool.h>
#include <stddef.h>

/* A malloc'ed copy of what is kept under the key. */
bool retc_hip_cache_find(const char *key, size_t key_size, void **out_code, size_t *out_size);
void retc_hip_cache_keep(const char *key, size_t key_size, const void *code, size_t size);

#endif
