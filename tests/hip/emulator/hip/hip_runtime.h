/* HIP's device language for the emulator: the same source text that a GPU compiler reads, compiled by clang++ for the
 * host. One of __gfx90a__, __gfx942__, __GFX11__ and __GFX12__ is defined by who compiles. See ../emulator.h. */
#ifndef RETC_EMULATED_HIP_RUNTIME_H
#define RETC_EMULATED_HIP_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <utility>

#include "../emulator.h"
#include "../fragments.h"

#define __global__ __attribute__((used, visibility("default")))
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
/* Blocks run one after the other, so their shared memory is in one place; the section tells it from other arrays. */
#define __shared__ static __attribute__((section(".lds"), aligned(16)))

extern "C" {
void emulator_add_kernel(emulator_kernel *kernel);
/* What a service gives the same thread never changes: only the fibers' barriers are calls to be kept in place. */
const emulator_services *emulator_get_services(void) __attribute__((const));
}

namespace emulated {

inline const emulator_services *services() { return emulator_get_services(); }

template <unsigned (*emulator_services::*get)(int)> struct place {
  static unsigned of(int axis) { return (services()->*get)(axis); }
  __declspec(property(get = get_x)) unsigned x;
  __declspec(property(get = get_y)) unsigned y;
  __declspec(property(get = get_z)) unsigned z;
  unsigned get_x() const { return of(0); }
  unsigned get_y() const { return of(1); }
  unsigned get_z() const { return of(2); }
};

/* Kernels: the arguments come as pointers to them, as a launch has them. */
template <typename... Arguments, size_t... at>
__attribute__((no_sanitize("address"))) void call(void (*kernel)(Arguments...), void **arguments,
                                                  std::index_sequence<at...>) {
  kernel(*static_cast<Arguments *>(arguments[at])...);
}
template <typename... Arguments> void call(void (*kernel)(Arguments...), void **arguments) {
  call(kernel, arguments, std::index_sequence_for<Arguments...>());
}
template <typename... Arguments> constexpr int count_arguments(void (*)(Arguments...)) {
  static_assert(((sizeof(Arguments) <= 8) && ...), "arguments of kernels are numbers and pointers");
  return sizeof...(Arguments);
}
struct registration {
  emulator_kernel kernel;
  registration(const char *name, int argument_count, void (*function)(void **))
      : kernel{name, argument_count, function, nullptr} {
    emulator_add_kernel(&kernel);
  }
};

template <typename Value> uint64_t to_bits(Value value) {
  static_assert(sizeof(Value) <= sizeof(uint64_t), "an exchange moves at most 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  return bits;
}
template <typename Value> Value exchange(Value value, int source) {
  const emulator_exchange in = {to_bits(value), source};
  uint64_t bits = 0;
  services()->meet(emulator_shuffle, &in, &bits);
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint64_t ballot(bool bit) {
  const emulator_exchange in = {bit, 0};
  uint64_t bits = 0;
  services()->meet(emulator_ballot, &in, &bits);
  return bits;
}

template <typename Operand, typename Result>
Result product(emulator_operation operation, Operand a, Operand b, Result c) {
  char in[2 * sizeof a + sizeof c];
  memcpy(in, &a, sizeof a);
  memcpy(in + sizeof a, &b, sizeof b);
  memcpy(in + 2 * sizeof a, &c, sizeof c);
  services()->meet(operation, in, &c);
  return c;
}

typedef float float4_vector __attribute__((ext_vector_type(4)));
typedef float float8_vector __attribute__((ext_vector_type(8)));
typedef short short4_vector __attribute__((ext_vector_type(4)));
typedef short short8_vector __attribute__((ext_vector_type(8)));
typedef short short16_vector __attribute__((ext_vector_type(16)));
typedef _Float16 half4_vector __attribute__((ext_vector_type(4)));
typedef _Float16 half8_vector __attribute__((ext_vector_type(8)));
typedef _Float16 half16_vector __attribute__((ext_vector_type(16)));

} // namespace emulated

/* Behind the source of a code object, one line a kernel. */
#define RETC_EMULATED_KERNEL(name) \
  static emulated::registration emulated_##name( \
      #name, emulated::count_arguments(name), [](void **arguments) { emulated::call(name, arguments); });

#define threadIdx (emulated::place<&emulator_services::thread_index>())
#define blockIdx (emulated::place<&emulator_services::block_index>())
#define blockDim (emulated::place<&emulator_services::block_size>())
#define gridDim (emulated::place<&emulator_services::grid_size>())
#define warpSize (emulated::services()->wave_size())
static inline int __lane_id() { return emulated::services()->lane(); }

/* ---- synchronisation ---- */

#define __syncthreads() emulated::services()->barrier(__LINE__)
#define __builtin_amdgcn_s_barrier() emulated::services()->barrier(__LINE__)
static inline void __builtin_amdgcn_wave_barrier() { emulated::services()->wave_barrier(); }
static inline void __syncwarp() { emulated::services()->wave_barrier(); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
#define __builtin_amdgcn_fence(order, scope) ((void)0)
#define __builtin_amdgcn_sched_barrier(mask) ((void)0)
#define __builtin_amdgcn_sched_group_barrier(mask, size, group) ((void)0)
#define __builtin_amdgcn_s_setprio(priority) ((void)0)
#define __builtin_amdgcn_s_waitcnt(count) ((void)0)

/* ---- lanes ---- */

static inline int emulated_group(int width) { return __lane_id() & ~(width - 1); }
template <typename Value> Value __shfl(Value value, int source, int width = EMULATOR_WAVE_MAX) {
  if (width > warpSize) width = warpSize;
  return emulated::exchange(value, emulated_group(width) + (source & (width - 1)));
}
template <typename Value> Value __shfl_xor(Value value, int mask, int width = EMULATOR_WAVE_MAX) {
  if (width > warpSize) width = warpSize;
  const int source = __lane_id() ^ mask;
  return emulated::exchange(value, source >= emulated_group(width) + width ? __lane_id() : source);
}
template <typename Value> Value __shfl_up(Value value, unsigned distance, int width = EMULATOR_WAVE_MAX) {
  if (width > warpSize) width = warpSize;
  const int source = __lane_id() - (int)distance;
  return emulated::exchange(value, source < emulated_group(width) ? __lane_id() : source);
}
template <typename Value> Value __shfl_down(Value value, unsigned distance, int width = EMULATOR_WAVE_MAX) {
  if (width > warpSize) width = warpSize;
  const int source = __lane_id() + (int)distance;
  return emulated::exchange(value, source >= emulated_group(width) + width ? __lane_id() : source);
}
static inline unsigned long long __ballot(int predicate) { return emulated::ballot(predicate != 0); }
static inline int __any(int predicate) { return __ballot(predicate) != 0; }
static inline int __all(int predicate) { return __ballot(!predicate) == 0; }
static inline int __builtin_amdgcn_readfirstlane(int value) { return emulated::exchange(value, 0); }
static inline int __builtin_amdgcn_readlane(int value, int lane) { return emulated::exchange(value, lane); }
static inline int __builtin_amdgcn_ds_bpermute(int address, int value) {
  return emulated::exchange(value, address / 4 & (warpSize - 1));
}
static inline int __builtin_amdgcn_wavefrontsize() { return warpSize; }
static inline unsigned __builtin_amdgcn_workitem_id_x() { return threadIdx.x; }
static inline unsigned __builtin_amdgcn_workgroup_id_x() { return blockIdx.x; }

/* ---- matrix instructions: only those of the architecture ---- */

#if defined(__gfx90a__) || defined(__gfx942__)
#define __AMDGCN_WAVEFRONT_SIZE 64
#define __AMDGCN_WAVEFRONT_SIZE__ 64
static inline emulated::float4_vector __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(emulated::short4_vector a,
                                                                                emulated::short4_vector b,
                                                                                emulated::float4_vector c, int, int,
                                                                                int) {
  return emulated::product(emulator_mfma_bf16, a, b, c);
}
static inline emulated::float4_vector __builtin_amdgcn_mfma_f32_16x16x16f16(emulated::half4_vector a,
                                                                            emulated::half4_vector b,
                                                                            emulated::float4_vector c, int, int, int) {
  return emulated::product(emulator_mfma_f16, a, b, c);
}
static inline emulated::float4_vector __builtin_amdgcn_mfma_f32_16x16x4f32(float a, float b,
                                                                           emulated::float4_vector c, int, int, int) {
  return emulated::product(emulator_mfma_f32, a, b, c);
}
#elif defined(__GFX11__) || defined(__GFX12__)
#define __AMDGCN_WAVEFRONT_SIZE 32
#define __AMDGCN_WAVEFRONT_SIZE__ 32
#if defined(__GFX11__)
static inline emulated::float8_vector __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32(emulated::short16_vector a,
                                                                                  emulated::short16_vector b,
                                                                                  emulated::float8_vector c) {
  return emulated::product(emulator_wmma_bf16, a, b, c);
}
static inline emulated::float8_vector __builtin_amdgcn_wmma_f32_16x16x16_f16_w32(emulated::half16_vector a,
                                                                                 emulated::half16_vector b,
                                                                                 emulated::float8_vector c) {
  return emulated::product(emulator_wmma_f16, a, b, c);
}
#else
static inline emulated::float8_vector __builtin_amdgcn_wmma_f32_16x16x16_bf16_w32_gfx12(emulated::short8_vector a,
                                                                                        emulated::short8_vector b,
                                                                                        emulated::float8_vector c) {
  return emulated::product(emulator_wmma_bf16_gfx12, a, b, c);
}
static inline emulated::float8_vector __builtin_amdgcn_wmma_f32_16x16x16_f16_w32_gfx12(emulated::half8_vector a,
                                                                                       emulated::half8_vector b,
                                                                                       emulated::float8_vector c) {
  return emulated::product(emulator_wmma_f16_gfx12, a, b, c);
}
#endif
#else
#error "none of __gfx90a__, __gfx942__, __GFX11__ and __GFX12__ is defined"
#endif

/* ---- atomics: blocks and threads never run at once, so the order is all that they can differ in ---- */

template <typename Value, typename Change>
__attribute__((no_sanitize("address"))) Value emulated_atomic(Value *address, Change change) {
  emulated::services()->check(address, sizeof *address, EMULATOR_ATOMIC, __builtin_return_address(0));
  Value old;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  Value changed = change(old);
  __atomic_store(address, &changed, __ATOMIC_RELAXED);
  return old;
}
template <typename Value> Value atomicAdd(Value *address, Value value) {
  return emulated_atomic(address, [=](Value old) { return (Value)(old + value); });
}
template <typename Value> Value atomicMax(Value *address, Value value) {
  return emulated_atomic(address, [=](Value old) { return old > value ? old : value; });
}
template <typename Value> Value atomicMin(Value *address, Value value) {
  return emulated_atomic(address, [=](Value old) { return old < value ? old : value; });
}
template <typename Value> Value atomicExch(Value *address, Value value) {
  return emulated_atomic(address, [=](Value) { return value; });
}

/* ---- scalars ---- */

static inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
static inline float __fdiv_rn(float a, float b) { return a / b; }
template <typename To, typename From> static inline To emulated_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "of one size");
  return __builtin_bit_cast(To, value);
}
static inline int __float_as_int(float value) { return emulated_bits<int>(value); }
static inline unsigned __float_as_uint(float value) { return emulated_bits<unsigned>(value); }
static inline float __int_as_float(int value) { return emulated_bits<float>(value); }
static inline float __uint_as_float(unsigned value) { return emulated_bits<float>(value); }
template <typename Value> static inline Value min(Value a, Value b) { return b < a ? b : a; }
template <typename Value> static inline Value max(Value a, Value b) { return a < b ? b : a; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#define EMULATED_VECTOR(type, name) \
  struct alignas(2 * sizeof(type)) name##2 { \
    type x, y; \
  }; \
  struct name##3 { \
    type x, y, z; \
  }; \
  struct alignas(4 * sizeof(type)) name##4 { \
    type x, y, z, w; \
  }; \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
  static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATED_VECTOR(float, float)
EMULATED_VECTOR(int, int)
EMULATED_VECTOR(unsigned, uint)
EMULATED_VECTOR(short, short)
EMULATED_VECTOR(unsigned short, ushort)
EMULATED_VECTOR(signed char, char)
EMULATED_VECTOR(unsigned char, uchar)

#endif
