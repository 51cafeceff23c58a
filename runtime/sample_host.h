/* runtime/sample_common.h as the host has it. */
#ifndef RETC_RUNTIME_SAMPLE_HOST_H
#define RETC_RUNTIME_SAMPLE_HOST_H

#include <stdint.h>
#include <string.h>

#define RETC_DEVICE __attribute__((unused)) static

RETC_DEVICE uint32_t retc_bits(float a) {
  uint32_t bits;
  memcpy(&bits, &a, sizeof bits);
  return bits;
}

RETC_DEVICE float retc_float(uint32_t bits) {
  float a;
  memcpy(&a, &bits, sizeof a);
  return a;
}

#include "runtime/sample_common.h"

#endif
