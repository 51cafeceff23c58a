// Reads behind an allocation of device memory.
// fails reads 4 bytes at byte 400 of a device allocation of 400 bytes
// buffer in f32 100
// buffer out f32 128 zero
// launch kernel 1 128 in out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(const float *in, float *out) {
  if (threadIdx.x <= 100) out[threadIdx.x] = in[threadIdx.x];
}
