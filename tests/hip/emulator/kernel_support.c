/* Linked into every code object: what compiled kernels call. All of it is hidden, so that a program which itself runs
 * under sanitizers does not get these callbacks, nor the kernels its own. */
#include <string.h>

#include "emulator.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* ---- what the code object exports ---- */

static const emulator_global *global_at(size_t index);
__attribute__((visibility("default"))) emulator_code retc_emulator_code = {.global_at = global_at};

HIDDEN void emulator_add_kernel(emulator_kernel *kernel);
void emulator_add_kernel(emulator_kernel *kernel) {
  kernel->next = retc_emulator_code.kernels;
  retc_emulator_code.kernels = kernel;
}

HIDDEN const emulator_services *emulator_get_services(void);
const emulator_services *emulator_get_services(void) { return retc_emulator_code.services; }

/* ---- AddressSanitizer's callbacks, as clang emits them with outlined checks ---- */

typedef struct asan_global {
  uintptr_t begin, size, size_with_redzone;
  const char *name, *module_name;
  uintptr_t has_dynamic_init, location, odr_indicator;
} asan_global;

enum { GLOBAL_MAX = 4096 };
static emulator_global globals[GLOBAL_MAX];
static size_t global_count;

static const emulator_global *global_at(size_t index) { return index < global_count ? &globals[index] : NULL; }

static void add_globals(const asan_global *begin, const asan_global *end) {
  for (const asan_global *g = begin; g < end && global_count < GLOBAL_MAX; g++) {
    globals[global_count++] = (emulator_global){(const char *)g->begin, g->size, g->name};
  }
}

#define CALLBACK(name, ...) \
  HIDDEN void name(__VA_ARGS__); \
  void name(__VA_ARGS__)

CALLBACK(__asan_init, void) {}
CALLBACK(__asan_version_mismatch_check_v8, void) {}
CALLBACK(__asan_handle_no_return, void) {}
CALLBACK(__asan_before_dynamic_init, const char *module) { (void)module; }
CALLBACK(__asan_after_dynamic_init, void) {}
CALLBACK(__asan_register_globals, const asan_global *first, uintptr_t count) { add_globals(first, first + count); }
CALLBACK(__asan_unregister_globals, const asan_global *first, uintptr_t count) { (void)first, (void)count; }
CALLBACK(__asan_register_elf_globals, uintptr_t *flag, const asan_global *begin, const asan_global *end) {
  if (*flag) return;
  *flag = 1;
  add_globals(begin, end);
}
CALLBACK(__asan_unregister_elf_globals, uintptr_t *flag, const asan_global *begin, const asan_global *end) {
  (void)flag, (void)begin, (void)end;
}

static void check(const void *address, size_t size, emulator_access access, const void *caller) {
  const emulator_services *services = retc_emulator_code.services;
  if (services) services->check(address, size, access, caller); /* none yet while the library is being loaded */
}

#define ACCESS(bytes) \
  CALLBACK(__asan_load##bytes, const void *address) { \
    check(address, bytes, EMULATOR_READ, __builtin_return_address(0)); \
  } \
  CALLBACK(__asan_store##bytes, const void *address) { \
    check(address, bytes, EMULATOR_WRITE, __builtin_return_address(0)); \
  }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
CALLBACK(__asan_loadN, const void *address, size_t size) {
  check(address, size, EMULATOR_READ, __builtin_return_address(0));
}
CALLBACK(__asan_storeN, const void *address, size_t size) {
  check(address, size, EMULATOR_WRITE, __builtin_return_address(0));
}

HIDDEN void *__asan_memcpy(void *to, const void *from, size_t size);
void *__asan_memcpy(void *to, const void *from, size_t size) {
  if (size) check(from, size, EMULATOR_READ, __builtin_return_address(0));
  if (size) check(to, size, EMULATOR_WRITE, __builtin_return_address(0));
  return memcpy(to, from, size);
}
HIDDEN void *__asan_memmove(void *to, const void *from, size_t size);
void *__asan_memmove(void *to, const void *from, size_t size) {
  if (size) check(from, size, EMULATOR_READ, __builtin_return_address(0));
  if (size) check(to, size, EMULATOR_WRITE, __builtin_return_address(0));
  return memmove(to, from, size);
}
HIDDEN void *__asan_memset(void *to, int value, size_t size);
void *__asan_memset(void *to, int value, size_t size) {
  if (size) check(to, size, EMULATOR_WRITE, __builtin_return_address(0));
  return memset(to, value, size);
}

/* ---- UndefinedBehaviorSanitizer's ---- */

typedef struct ubsan_location {
  const char *file;
  uint32_t line, column;
} ubsan_location;
typedef struct ubsan_type {
  uint16_t kind, info;
  char name[1];
} ubsan_type;
typedef struct ubsan_bounds {
  ubsan_location location;
  const ubsan_type *array, *index;
} ubsan_bounds;

CALLBACK(__ubsan_handle_out_of_bounds_abort, const ubsan_bounds *bounds, uintptr_t index) {
  retc_emulator_code.services->fail(__builtin_return_address(0), "line %u: index %lld is out of the bounds of %s",
                                    bounds->location.line, (long long)index, bounds->array->name);
}
