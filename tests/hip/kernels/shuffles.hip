// Every kind of shuffle, in groups of 8 lanes, and ballots.
// buffer in f32 64
// buffer out f32 320 zero
// buffer expected f32 320 zero
// launch shuffle 1 64 in out
// launch shuffle_plainly 1 1 in expected
// equal out expected 0
#include <hip/hip_runtime.h>

extern "C" __global__ void shuffle(const float *in, float *out) {
  const int t = threadIdx.x;
  const float x = in[t];
  out[t] = __shfl(x, 11, 8);
  out[64 + t] = __shfl_up(x, 3, 8);
  out[128 + t] = __shfl_down(x, 3, 8);
  out[192 + t] = __shfl_xor(x, 5, 8);
  const unsigned long long bits = __ballot(x > 0);
  out[256 + t] = (float)(bits >> t % warpSize & 1) + (__any(x > 100) ? 2 : 0) + (__all(x < 100) ? 4 : 0);
}

extern "C" __global__ void shuffle_plainly(const float *in, float *out) {
  for (int t = 0; t < 64; t++) {
    const int group = t / 8 * 8;
    out[t] = in[group + 3];
    out[64 + t] = in[t - 3 < group ? t : t - 3];
    out[128 + t] = in[t + 3 >= group + 8 ? t : t + 3];
    out[192 + t] = in[t ^ 5];
    out[256 + t] = (in[t] > 0) + 4;
  }
}
