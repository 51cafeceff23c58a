/* Compiled kernels by name: what a JIT, a shared library or a GPU module looks like to the runtime. */
#ifndef RETC_RUNTIME_EXECUTABLE_H
#define RETC_RUNTIME_EXECUTABLE_H

typedef struct retc_executable retc_executable;
struct retc_executable {
  /* The function's address, NULL when there is none. */
  void *(*find)(retc_executable *executable, const char *name);
  void (*destroy)(retc_executable *executable);
};

#endif
