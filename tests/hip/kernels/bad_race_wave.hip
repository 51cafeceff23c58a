// Lanes of one wave exchange through shared memory without a barrier of the wave.
// fails a race: it
// buffer out f32 32 zero
// launch kernel 1 32 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  __shared__ float tile[32];
  tile[threadIdx.x] = 1;
  out[threadIdx.x] = tile[threadIdx.x ^ 1];
}
