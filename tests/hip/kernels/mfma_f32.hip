// v_mfma_f32_16x16x4_f32, against a plain product.
// only gfx90a gfx942
// buffer a f32 64
// buffer b f32 64
// buffer c f32 256
// buffer d f32 256 zero
// buffer expected f32 256 zero
// launch fragment 1 64 a b c d
// launch plainly 1 1 a b c expected
// equal d expected 0
#include <hip/hip_runtime.h>

typedef float result __attribute__((ext_vector_type(4)));

extern "C" __global__ void fragment(const float *a, const float *b, const float *c, float *d) {
#if defined(__gfx90a__) || defined(__gfx942__)
  const int lane = threadIdx.x, along = lane % 16, group = lane / 16;
  result z;
  for (int r = 0; r < 4; r++) z[r] = c[(4 * group + r) * 16 + along];
  z = __builtin_amdgcn_mfma_f32_16x16x4f32(a[along * 4 + group], b[group * 16 + along], z, 0, 0, 0);
  for (int r = 0; r < 4; r++) d[(4 * group + r) * 16 + along] = z[r];
#endif
}

extern "C" __global__ void plainly(const float *a, const float *b, const float *c, float *d) {
  for (int row = 0; row < 16; row++) {
    for (int column = 0; column < 16; column++) {
      float sum = c[row * 16 + column];
      for (int k = 0; k < 4; k++) sum += (a[row * 4 + k]) * (b[k * 16 + column]);
      d[row * 16 + column] = sum;
    }
  }
}
