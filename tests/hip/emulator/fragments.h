/* The operations that the lanes of a wave do together: each lane brings its operands as they lie in registers. */
#ifndef RETC_EMULATOR_FRAGMENTS_H
#define RETC_EMULATOR_FRAGMENTS_H

#include "emulator.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(hidden)

/* D[16,16] = A[16,depth] B[depth,16] + C. A lane's operands: its elements of A, of B, then of C in f32. */
const char *emulator_mfma_bf16(const emulator_wave *wave);       /* depth 16, wave of 64 */
const char *emulator_mfma_f16(const emulator_wave *wave);        /* depth 16, wave of 64 */
const char *emulator_mfma_f32(const emulator_wave *wave);        /* depth 4, wave of 64 */
const char *emulator_wmma_bf16(const emulator_wave *wave);       /* depth 16, wave of 32, gfx11 */
const char *emulator_wmma_f16(const emulator_wave *wave);        /* depth 16, wave of 32, gfx11 */
const char *emulator_wmma_bf16_gfx12(const emulator_wave *wave); /* depth 16, wave of 32 */
const char *emulator_wmma_f16_gfx12(const emulator_wave *wave);  /* depth 16, wave of 32 */

/* A value and the lane that another one is wanted from. Out: uint64_t. */
typedef struct emulator_exchange {
  uint64_t value;
  int source;
} emulator_exchange;
const char *emulator_shuffle(const emulator_wave *wave);
const char *emulator_ballot(const emulator_wave *wave);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
