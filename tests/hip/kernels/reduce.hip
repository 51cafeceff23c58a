// Sums of rows by shuffles within waves, then through shared memory.
// buffer in f32 1000
// buffer sums f32 5 zero
// buffer expected f32 5 zero
// launch sum_rows 5 128 in sums 200
// launch sum_rows_plainly 1 1 in expected 5 200
// equal sums expected 0
#include <hip/hip_runtime.h>

extern "C" __global__ void __launch_bounds__(128) sum_rows(const float *in, float *sums, int64_t length) {
  __shared__ float parts[4];
  const int lane = threadIdx.x % warpSize, wave = threadIdx.x / warpSize;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < length; i += blockDim.x) sum += in[blockIdx.x * length + i];
  for (int distance = warpSize / 2; distance > 0; distance /= 2) sum += __shfl_xor(sum, distance);
  if (lane == 0) parts[wave] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    float all = 0;
    for (int w = 0; w < (int)blockDim.x / warpSize; w++) all += parts[w];
    sums[blockIdx.x] = all;
  }
}

extern "C" __global__ void sum_rows_plainly(const float *in, float *sums, int64_t rows, int64_t length) {
  for (int64_t row = 0; row < rows; row++) {
    sums[row] = 0;
    for (int64_t i = 0; i < length; i++) sums[row] += in[row * length + i];
  }
}
