/* Random numbers that depend on a key and an index, and not on what was asked for before. */
#ifndef RETC_RUNTIME_RANDOM_NUMBERS_H
#define RETC_RUNTIME_RANDOM_NUMBERS_H

#include "runtime/safetensors.h"

uint64_t retc_random_key(uint64_t seed, const char *name);
/* Elements [first, first + count) of a tensor whose numbers these are, rounded to `dtype`, a float type. */
void retc_random_fill(const retc_random_numbers *numbers, retc_dtype dtype, int64_t first, int64_t count,
                      void *target);

#endif
