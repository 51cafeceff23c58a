// v_wmma_f32_16x16x16_f16 of gfx11, against a plain product.
// only gfx1100
// buffer a f16 256
// buffer b f16 256
// buffer c f32 256
// buffer d f32 256 zero
// buffer expected f32 256 zero
// launch fragment 1 32 a b c d
// launch plainly 1 1 a b c expected
// equal d expected 0
#include <hip/hip_runtime.h>

typedef _Float16 operand __attribute__((ext_vector_type(16)));
typedef float result __attribute__((ext_vector_type(8)));

extern "C" __global__ void fragment(const _Float16 *a, const _Float16 *b, const float *c, float *d) {
#if defined(__GFX11__)
  const int lane = threadIdx.x, along = lane % 16, half = lane / 16;
  operand x, y;
  result z;
  for (int k = 0; k < 16; k++) x[k] = a[along * 16 + k]; // lanes 16 to 31 hold the same
  for (int k = 0; k < 16; k++) y[k] = b[k * 16 + along];
  for (int r = 0; r < 8; r++) z[r] = c[(2 * r + half) * 16 + along];
  z = __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(x, y, z);
  for (int r = 0; r < 8; r++) d[(2 * r + half) * 16 + along] = z[r];
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
