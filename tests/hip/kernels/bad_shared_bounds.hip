// Writes one element behind an array of shared memory, through a pointer.
// fails writes 4 bytes of which some lie behind an array of shared memory
// buffer out f32 64 zero
// launch kernel 1 64 out 65
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out, int64_t count) {
  __shared__ float tile[64];
  float *at = tile;
  for (int64_t i = threadIdx.x; i < count; i += 64) at[i] = (float)i;
  __syncthreads();
  out[threadIdx.x] = tile[63 - threadIdx.x];
}
