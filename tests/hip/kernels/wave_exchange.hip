// What bad_race_wave does, with the barriers of a wave in place; atomics from all blocks.
// buffer out f32 64 zero
// buffer count i32 1 zero
// buffer expected f32 64
// buffer expected_count i32 1
// launch exchange 2 32 out count
// launch plainly 1 1 expected expected_count
// equal out expected 0
// equal count expected_count 0
#include <hip/hip_runtime.h>

extern "C" __global__ void exchange(float *out, int *count) {
  __shared__ float tile[32];
  for (int round = 0; round < 3; round++) {
    tile[threadIdx.x] = (float)(threadIdx.x + round);
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
    __builtin_amdgcn_wave_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
    const float other = tile[threadIdx.x ^ 1];
    __builtin_amdgcn_wave_barrier();
    out[32 * blockIdx.x + threadIdx.x] = other;
  }
  atomicAdd(count, 2);
}

extern "C" __global__ void plainly(float *out, int *count) {
  for (int i = 0; i < 64; i++) out[i] = (float)((i % 32 ^ 1) + 2);
  *count = 128;
}
