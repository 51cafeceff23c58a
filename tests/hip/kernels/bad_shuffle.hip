// A shuffle that some lanes of the wave do not reach, while a barrier keeps them.
// fails a divergent barrier or wave
// buffer out f32 64 zero
// launch kernel 1 64 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  float x = (float)threadIdx.x;
  if (threadIdx.x < 16) x = __shfl_xor(x, 1);
  __syncthreads();
  out[threadIdx.x] = x;
}
