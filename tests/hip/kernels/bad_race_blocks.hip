// Two blocks write the same element of device memory.
// fails a race: it writes what another block
// buffer out f32 64 zero
// launch kernel 2 64 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  if (threadIdx.x == 5) out[threadIdx.x] = 1;
}
