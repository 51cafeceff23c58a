/* What runtime/rocblas_symbols.def says of rocBLAS is what its own header says, where it is installed: this file compiles.
 */
#include <stdio.h>

#if __has_include(<rocblas/rocblas.h>) && __has_include(<hip/hip_runtime_api.h>)
#define __HIP_PLATFORM_AMD__ 1
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <rocblas/rocblas.h>

#define RETC_ROCBLAS_SYMBOL(result, name, parameters) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(&name), result(*) parameters), #name);
#define RETC_ROCBLAS_CONSTANT(enumeration, name, value) _Static_assert(name == (value), #name);
#include "runtime/rocblas_symbols.def"

int main(void) {
  printf("as rocBLAS %d.%d has them\n", ROCBLAS_VERSION_MAJOR, ROCBLAS_VERSION_MINOR);
  return 0;
}
#else
int main(void) {
  printf("skipped: rocBLAS's headers are not installed\n");
  return 77;
}
#endif
