// A shuffle from a lane that has ended.
// fails a shuffle reads a lane that has ended
// buffer out f32 32 zero
// launch kernel 1 32 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  if (threadIdx.x == 7) return;
  out[threadIdx.x] = __shfl_xor((float)threadIdx.x, 1);
}
