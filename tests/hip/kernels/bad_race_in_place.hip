// A block overwrites what another one reads.
// fails a race: it
// buffer data f32 64
// launch kernel 2 32 data
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *data) {
  const float sum = data[threadIdx.x] + data[threadIdx.x + 32];
  __syncthreads();
  data[32 * blockIdx.x + threadIdx.x] = sum;
}
