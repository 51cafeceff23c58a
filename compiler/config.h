/* A model description: a flat JSON object read with typed, checked getters. Every failure is RETC_INVALID with the
 * file, the key, what was found and what was expected. An absent key and a null are the same: the default is taken. */
#ifndef RETC_COMPILER_CONFIG_H
#define RETC_COMPILER_CONFIG_H

#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

typedef struct retc_config retc_config;

retc_status retc_config_open(const char *path, retc_diagnostics *diagnostics, retc_config **out_config);
void retc_config_destroy(retc_config *config);
const char *retc_config_path(const retc_config *config);

/* Present and not null. */
bool retc_config_has(const retc_config *config, const char *key);
/* RETC_INVALID when absent; names a key of the file that looks like it. */
retc_status retc_config_require(const retc_config *config, const char *key, retc_diagnostics *diagnostics);

retc_status retc_config_integer(const retc_config *config, const char *key, int64_t minimum, int64_t maximum,
                                int64_t fallback, retc_diagnostics *diagnostics, int64_t *out_value);
retc_status retc_config_number(const retc_config *config, const char *key, double minimum, double maximum,
                               double fallback, retc_diagnostics *diagnostics, double *out_value);
retc_status retc_config_truth(const retc_config *config, const char *key, bool fallback, retc_diagnostics *diagnostics,
                              bool *out_value);
/* One of `words`; its index. `fallback` may be -1 for "none". */
retc_status retc_config_word(const retc_config *config, const char *key, const char *const *words, int count,
                             int fallback, retc_diagnostics *diagnostics, int *out_index);

/* Keys of the file that no function above or below has been asked for, in file order: the index-th, NULL behind the
 * last. The list is made when index is 0. Lent. */
const char *retc_config_unread(const retc_config *config, size_t index);

/* Present, and null. */
bool retc_config_is_null(const retc_config *config, const char *key);
/* "KEY is VALUE", long values cut short, or "KEY is absent". */
void retc_config_describe(const retc_config *config, const char *key, retc_text *out_text);

/* The string under `key`, or NULL when it is absent or not a string. Lent. */
const char *retc_config_text(const retc_config *config, const char *key);
/* Whether the array under `key` holds the string `word`. */
bool retc_config_lists(const retc_config *config, const char *key, const char *word);
/* RETC_INVALID with "file: key is <found>, <problem>". */
retc_status retc_config_refuse(const retc_config *config, const char *key, const char *problem,
                               retc_diagnostics *diagnostics);

#endif
