// v_wmma_f32_16x16x16_f16 of gfx12, against a plain product.
// only gfx1201
// buffer a f16 256
// buffer b f16 256
// buffer c f32 256
// buffer d f32 256 zero
// buffer expected f32 256 zero
// launch fragment 1 32 a b c d
// launch plainly 1 1 a b c expected
// equal d expected 0
#include <hip/hip_runtime.h>

typedef _Float16 operand __attribute__((ext_vector_type(8)));
typedef float result __attribute__((ext_vector_type(8)));

extern "C" __global__ void fragment(const _Float16 *a, const _Float16 *b, const float *c, float *d) {
#if defined(__GFX12__)
  const int lane = threadIdx.x, along = lane % 16, half = lane / 16;
  operand x, y;
  result z;
  for (int e = 0; e < 8; e++) x[e] = a[along * 16 + 8 * (e / 4) + 4 * half + e % 4];
  for (int e = 0; e < 8; e++) y[e] = b[(8 * (e / 4) + 4 * half + e % 4) * 16 + along];
  for (int r = 0; r < 8; r++) z[r] = c[(r + 8 * half) * 16 + along];
  z = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(x, y, z);
  for (int r = 0; r < 8; r++) d[(r + 8 * half) * 16 + along] = z[r];
#endif
}

extern "C" __global__ void plainly(const _Float16 *a, const _Float16 *b, const float *c, float *d) {
  for (int row = 0; row < 16; row++) {
    for (int column = 0; column < 16; column++) {
      float sum = c[row * 16 + column];
      for (int k = 0; k < 16; k++) sum += (float)(a[row * 16 + k]) * (float)(b[k * 16 + column]);
      d[row * 16 + column] = sum;
    }
  }
}
