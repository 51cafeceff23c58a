// Threads that wait at different barriers.
// fails a divergent barrier: the threads wait at different ones
// buffer out f32 64 zero
// launch kernel 1 64 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}
