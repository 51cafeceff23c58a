// Overwrites shared memory that others still read: the barrier behind the loop body is missing.
// fails a race: it
// buffer in f32 256
// buffer out f32 128 zero
// launch kernel 1 128 in out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(const float *in, float *out) {
  __shared__ float tile[128];
  float sum = 0;
  for (int round = 0; round < 2; round++) {
    tile[threadIdx.x] = in[128 * round + threadIdx.x];
    __syncthreads();
    sum += tile[(threadIdx.x + 64) % 128];
  }
  out[threadIdx.x] = sum;
}
