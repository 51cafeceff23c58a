/* An AMD GPU for tests: runs the blocks of a launch on the CPU, one fiber a thread, and checks every access.
 *
 * Three parts share this header. Kernels are compiled for the host with hip/hip_runtime.h of this folder and linked
 * with kernel_support.c into a shared library, which is the stand-in's code object. libamdhip64.so (library_*.c,
 * code.c, scheduler.c, memory.c) loads and runs it. The library fills in what a code object calls, `emulator_services`.
 *
 * What is checked, when kernels are compiled with checks: every access lies in one array of shared memory or one device
 * allocation; no two threads touch the same bytes of shared or device memory, one of them writing, without a barrier
 * between (of device memory also: no two blocks of a launch); all threads reach the same barriers; all lanes of a wave
 * take part in its matrix products and shuffles. Without checks, device allocations still end at a guard page, and
 * barriers and waves are checked all the same. Shared memory starts as NaNs in every block, device memory when
 * allocated. */
#ifndef RETC_EMULATOR_H
#define RETC_EMULATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EMULATOR_WAVE_MAX = 64, EMULATOR_BLOCK_MAX = 1024, EMULATOR_SHARED_MAX = 65536 };

/* All lanes of a wave have met: an operation reads what each brought and writes what each takes away. */
typedef struct emulator_wave {
  int size;
  const void *in[EMULATOR_WAVE_MAX]; /* NULL: the lane has ended */
  void *out[EMULATOR_WAVE_MAX];
} emulator_wave;

/* NULL, or what is wrong with the operands. */
typedef const char *(*emulator_operation)(const emulator_wave *wave);

typedef enum emulator_access { EMULATOR_READ, EMULATOR_WRITE, EMULATOR_ATOMIC } emulator_access;

typedef struct emulator_services {
  /* Of the thread that runs: its place in the block, the block's in the grid, their sizes; axis 0 to 2. */
  unsigned (*thread_index)(int axis);
  unsigned (*block_index)(int axis);
  unsigned (*block_size)(int axis);
  unsigned (*grid_size)(int axis);
  int (*lane)(void);
  int (*wave_size)(void);
  /* All threads of the block wait for each other at one line of the source. */
  void (*barrier)(int line);
  /* All lanes of the wave wait for each other; the last one runs the operation. */
  void (*meet)(emulator_operation operation, const void *in, void *out);
  /* Orders the memory accesses of the lanes of a wave. */
  void (*wave_barrier)(void);
  /* `caller`: the return address, for messages. */
  void (*check)(const void *address, size_t size, emulator_access access, const void *caller);
  /* Ends the launch with an error; does not return. */
  void (*fail)(const void *caller, const char *format, ...);
} emulator_services;

/* An array of a code object, with the space that is kept free behind it. */
typedef struct emulator_global {
  const char *begin;
  size_t size;
  const char *name;
} emulator_global;

/* What a code object exports. */
typedef struct emulator_kernel {
  const char *name;
  int argument_count; /* of at most 8 bytes each */
  void (*call)(void **arguments);
  const struct emulator_kernel *next;
} emulator_kernel;
typedef struct emulator_code {
  const emulator_services *services; /* set by who loads it */
  const emulator_kernel *kernels;
  const emulator_global *(*global_at)(size_t index); /* NULL behind the last; none when compiled without checks */
} emulator_code;

#ifdef __cplusplus
}
#endif
#endif
