/* HIP's device language over CUDA's, for nvcc: the text that retc writes for AMD GPUs runs on an NVIDIA card, as on one
 * of RDNA, whose waves have 32 lanes too. None of the macros of AMD's architectures is defined, so that matrix products
 * take the plain path of the text, or those of ../fragments.h. */
#ifndef RETC_CUDA_HIP_RUNTIME_H
#define RETC_CUDA_HIP_RUNTIME_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define RETC_DEVICE static __device__ __forceinline__
#define RETC_HALF __half
#define RETC_TO_BF16(a) __bfloat16_as_ushort(__float2bfloat16_rn(a))
#define RETC_PAIR_OF_BF16(a, b) retc_pair_of_bf16(a, b)
#define RETC_BLOCKS(count) , count
#define RETC_FRAGMENTS <fragments.h>

/* a is the lower half. */
RETC_DEVICE uint32_t retc_pair_of_bf16(float a, float b) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(a, b);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

/* All lanes take part in every exchange of the text. */
#define RETC_CUDA_ALL 0xffffffffu
template <typename Value> __device__ __forceinline__ Value __shfl(Value value, int source, int width = 32) {
  return __shfl_sync(RETC_CUDA_ALL, value, source, width > 32 ? 32 : width);
}
template <typename Value> __device__ __forceinline__ Value __shfl_xor(Value value, int mask, int width = 32) {
  return __shfl_xor_sync(RETC_CUDA_ALL, value, mask, width > 32 ? 32 : width);
}
template <typename Value> __device__ __forceinline__ Value __shfl_up(Value value, unsigned distance, int width = 32) {
  return __shfl_up_sync(RETC_CUDA_ALL, value, distance, width > 32 ? 32 : width);
}
template <typename Value> __device__ __forceinline__ Value __shfl_down(Value value, unsigned distance, int width = 32) {
  return __shfl_down_sync(RETC_CUDA_ALL, value, distance, width > 32 ? 32 : width);
}
#define __ballot(predicate) ((unsigned long long)__ballot_sync(RETC_CUDA_ALL, predicate))
#define __any(predicate) __any_sync(RETC_CUDA_ALL, predicate)
#define __all(predicate) __all_sync(RETC_CUDA_ALL, predicate)
__device__ __forceinline__ int __lane_id() { return int(threadIdx.x % 32); }
__device__ __forceinline__ int __builtin_amdgcn_readfirstlane(int value) { return __shfl(value, 0); }
__device__ __forceinline__ void __builtin_amdgcn_wave_barrier() { __syncwarp(); }
#define __builtin_amdgcn_fence(order, scope) __threadfence_block()
#define __builtin_amdgcn_sched_barrier(mask) ((void)0)
#define __builtin_amdgcn_s_setprio(priority) ((void)0)

/* What compiler.c makes of a kernel's arrays of shared memory: static ones end at 48 KiB. */
extern __shared__ __align__(16) unsigned char retc_shared[];

#endif
