// An index beyond an array of a thread.
// fails index 8 is out of the bounds of
// buffer out f32 16 zero
// launch kernel 1 16 out 8
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out, int64_t count) {
  float sums[8] = {0};
  for (int64_t i = 0; i <= count; i++) sums[i] += (float)i;
  out[threadIdx.x] = sums[threadIdx.x % 8];
}
