// A barrier that some threads do not reach.
// fails a divergent barrier
// buffer out f32 64 zero
// launch kernel 1 64 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  __shared__ float tile[64];
  tile[threadIdx.x] = 1;
  if (threadIdx.x < 40) __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];
}
