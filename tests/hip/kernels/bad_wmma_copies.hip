// gfx11 wants the operands of a matrix instruction in both halves of the wave.
// only gfx1100
// fails the operands of lanes 0-15 and 16-31 differ
// buffer out f32 256 zero
// launch kernel 1 32 out
#include <hip/hip_runtime.h>

typedef short operand __attribute__((ext_vector_type(16)));
typedef float result __attribute__((ext_vector_type(8)));

extern "C" __global__ void kernel(float *out) {
#if defined(__GFX11__)
  operand x = (short)threadIdx.x, y = (short)1;
  result z = 0;
  z = __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(x, y, z);
  for (int r = 0; r < 8; r++) out[r * 32 + threadIdx.x] = z[r];
#endif
}
