/* Compiled kernels by name: what a JIT, a shared library or a GPU module looks like to the runtime. */
#ifndef RETC_RUNTIME_EXECUTABLE_H
#define RETC_RUNTIME_EXECUTABLE_H

#include <stdint.h>

/* An argument of a kernel. */
typedef union retc_argument {
  void *pointer;
  int64_t integer;
} retc_argument;

/* Beside each kernel stands a function of this name that takes the kernel's arguments as one array. */
#define RETC_PACKED_NAME "%s$packed"
typedef void retc_packed_kernel(const retc_argument *arguments);

typedef struct retc_executable retc_executable;
struct retc_executable {
  /* The function's address, NULL when there is none. */
  void *(*find)(retc_executable *executable, const char *name);
  void (*destroy)(retc_executable *executable);
};

#endif
