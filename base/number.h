/* Sizes: the few functions on integers that C lacks. */
#ifndef RETC_BASE_NUMBER_H
#define RETC_BASE_NUMBER_H

#include <stdint.h>

static inline int64_t retc_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t retc_larger(int64_t a, int64_t b) { return a > b ? a : b; }
/* a / b rounded up; a >= 0, b > 0. */
static inline int64_t retc_ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

#endif
