/* What the files of the stand-in library share. There is one device a process, its state global as HIP's is. */
#ifndef RETC_EMULATOR_DEVICE_H
#define RETC_EMULATOR_DEVICE_H

#include "emulator.h"

/* ---- settings, from the environment (library.c) ---- */

typedef struct emulator_settings {
  const char *arch;      /* RETC_EMULATOR_ARCH: gfx90a (the default), gfx942, gfx1100, gfx1201, or none: no device */
  int wave_size;         /* the architecture's */
  size_t memory_limit;   /* RETC_EMULATOR_MEMORY: bytes; 4 GiB */
  uint64_t seed;         /* RETC_EMULATOR_SEED: of the order of threads and blocks; 0: as they are numbered */
  bool checks;           /* RETC_EMULATOR_CHECKS: 0 leaves out the checks of single accesses */
} emulator_settings;
const emulator_settings *emulator_get_settings(void);

/* ---- device memory (memory.c) ---- */

/* 16-byte aligned, filled with 0xff, its end at a page that cannot be touched; NULL: none left. */
void *emulator_memory_alloc(size_t size);
bool emulator_memory_free(void *memory); /* false: not an allocation */
/* Whether all of it lies in one allocation. */
bool emulator_memory_holds(const void *memory, size_t size);
size_t emulator_memory_used(void);
size_t emulator_memory_count(void); /* allocations */
/* "4 bytes behind an allocation of 400 bytes", into `text`. */
void emulator_memory_describe(const void *address, char *text, size_t size);

/* ---- code objects (code.c, compile.c) ---- */

typedef struct emulator_module {
  void *handle;
  int file;
  emulator_code *code;
  char *image_begin, *image_end;   /* where the loader put it */
  char *shared_begin, *shared_end; /* arrays of shared memory of all its kernels */
  void *shared_cells;              /* memory.c's notes about them */
  unsigned char *shared_inside;    /* a bit a byte: part of an array; NULL: no checks */
} emulator_module;

typedef struct emulator_function {
  emulator_module *module;
  const emulator_kernel *kernel;
} emulator_function;

/* NULL: `image` is not a code object of this stand-in; `out_error` says why. */
emulator_module *emulator_module_load(const void *image, const char **out_error);
void emulator_module_unload(emulator_module *module);
const emulator_kernel *emulator_module_find(const emulator_module *module, const char *name);
/* The line of the source that an address of the code belongs to; "" when unknown. */
void emulator_module_line(const emulator_module *module, const void *address, char *text, size_t size);

/* Compiles HIP source for the architecture; a malloc'ed code object, NULL with the compiler's words in *out_log,
 * malloc'ed too. `defines`: options that begin with -D. */
void *emulator_compile(const char *source, const char *name, const char *arch, const char *const *defines,
                       size_t define_count, size_t *out_size, char **out_log);

/* ---- running (scheduler.c) ---- */

typedef struct emulator_launch {
  const emulator_function *function;
  unsigned grid[3], block[3];
  void **arguments;
} emulator_launch;

/* false: an error, told on stderr. */
bool emulator_run(const emulator_launch *launch);

/* Of the launch that runs, for checks. `time` grows with every launch, block and barrier. */
typedef struct emulator_running {
  const emulator_launch *launch;
  uint32_t time, launch_time, block_time, barrier_time;
  uint32_t wave_time[EMULATOR_BLOCK_MAX];
  unsigned block_index[3];
  int thread, wave;       /* that run now, flat numbers */
  char *stack_begin, *stack_end;
  bool inside;            /* a thread runs, rather than the scheduler */
} emulator_running;
extern emulator_running emulator_now;
extern const emulator_services emulator_the_services;

void emulator_check(const void *address, size_t size, emulator_access access, const void *caller);
__attribute__((noreturn)) void emulator_fail(const void *caller, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
