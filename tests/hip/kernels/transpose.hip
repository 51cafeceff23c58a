// A transposition through a tile of shared memory, on a grid and blocks of two axes.
// buffer in f32 6000
// buffer out f32 6000 zero
// buffer expected f32 6000 zero
// launch transpose 7,4,1 16,16,1 in out 60 100
// launch transpose_plainly 1 1 in expected 60 100
// equal out expected 0
#include <hip/hip_runtime.h>

extern "C" __global__ void transpose(const float *in, float *out, int64_t rows, int64_t columns) {
  __shared__ float tile[16][17];
  const int64_t row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  if (row < rows && column < columns) tile[threadIdx.y][threadIdx.x] = in[row * columns + column];
  __syncthreads();
  const int64_t to_row = blockIdx.x * 16 + threadIdx.y, to_column = blockIdx.y * 16 + threadIdx.x;
  if (to_row < columns && to_column < rows) out[to_row * rows + to_column] = tile[threadIdx.x][threadIdx.y];
}

extern "C" __global__ void transpose_plainly(const float *in, float *out, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) out[c * rows + r] = in[r * columns + c];
  }
}
