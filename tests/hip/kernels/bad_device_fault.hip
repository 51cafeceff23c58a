// Reads far behind an allocation: without checks of single accesses, the guard page behind it is touched.
// fails a device allocation of 400 bytes
// buffer in f32 100
// buffer out f32 128 zero
// launch kernel 1 128 in out
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(const float *in, float *out) {
  out[threadIdx.x] = in[threadIdx.x];
}
