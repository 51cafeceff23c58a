// An index beyond one axis of an array of shared memory, which is still inside of the array.
// fails index 17 is out of the bounds of
// buffer out f32 16 zero
// launch kernel 1 16 out 17
#include <hip/hip_runtime.h>

extern "C" __global__ void kernel(float *out, int64_t column) {
  __shared__ float tile[16][17];
  tile[threadIdx.x][column] = 1;
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x][0];
}
