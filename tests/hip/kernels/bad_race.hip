// Reads what another thread wrote to shared memory, without a barrier between.
// fails a race: it
// buffer out f32 128 zero
// launch kernel 1 128 out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out) {
  __shared__ float tile[128];
  tile[threadIdx.x] = (float)threadIdx.x;
  out[threadIdx.x] = tile[127 - threadIdx.x];
}
