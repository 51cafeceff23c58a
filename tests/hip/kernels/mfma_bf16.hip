// v_mfma_f32_16x16x16_bf16, against a plain product.
// only gfx90a gfx942
// buffer a bf16 256
// buffer b bf16 256
// buffer c f32 256
// buffer d f32 256 zero
// buffer expected f32 256 zero
// launch fragment 1 64 a b c d
// launch plainly 1 1 a b c expected
// equal d expected 0
#include <hip/hip_runtime.h>

typedef short operand __attribute__((ext_vector_type(4)));
typedef float result __attribute__((ext_vector_type(4)));
static __device__ float widen(unsigned short bits) { return __uint_as_float((unsigned)bits << 16); }

extern "C" __global__ void fragment(const unsigned short *a, const unsigned short *b, const float *c, float *d) {
#if defined(__gfx90a__) || defined(__gfx942__)
  const int lane = threadIdx.x, along = lane % 16, group = lane / 16;
  operand x, y;
  result z;
  for (int e = 0; e < 4; e++) x[e] = (short)a[along * 16 + 4 * group + e];
  for (int e = 0; e < 4; e++) y[e] = (short)b[(4 * group + e) * 16 + along];
  for (int r = 0; r < 4; r++) z[r] = c[(4 * group + r) * 16 + along];
  z = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(x, y, z, 0, 0, 0);
  for (int r = 0; r < 4; r++) d[(4 * group + r) * 16 + along] = z[r];
#endif
}

extern "C" __global__ void plainly(const unsigned short *a, const unsigned short *b, const float *c, float *d) {
  for (int row = 0; row < 16; row++) {
    for (int column = 0; column < 16; column++) {
      float sum = c[row * 16 + column];
      for (int k = 0; k < 16; k++) sum += widen(a[row * 16 + k]) * widen(b[k * 16 + column]);
      d[row * 16 + column] = sum;
    }
  }
}
