/* The functions that the library stands in for, declared as the runtime calls them. */
#ifndef RETC_EMULATOR_LIBRARY_H
#define RETC_EMULATOR_LIBRARY_H

#include "runtime/hip_types.h"

#define RETC_HIP_SYMBOL(result, name, parameters) __attribute__((visibility("default"))) result name parameters;
#include "runtime/hip_symbols.def"
#undef RETC_HIP_SYMBOL

/* The first error of a kernel; every later call has it. */
extern hipError_t emulator_sticky;

#endif
