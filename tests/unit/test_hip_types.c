/* What runtime/hip_symbols.def and hip_constants.def say of HIP is what HIP's own header says, where it is installed:
 * this file compiles. */
#include <stdio.h>

#if __has_include(<hip/hip_runtime_api.h>) && __has_include(<hip/hiprtc.h>)
#define __HIP_PLATFORM_AMD__ 1
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <hip/hip_runtime_api.h>
#include <hip/hiprtc.h>
#include <stddef.h>

#define RETC_HIP_SYMBOL(result, name, parameters) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(&name), result(*) parameters), #name);
#define RETC_HIP_OPTIONAL RETC_HIP_SYMBOL
#include "runtime/hip_symbols.def"

#define RETC_HIP_CONSTANT(enumeration, name, value) _Static_assert(name == (value), #name);
#define RETC_HIP_FIELD(record, field, offset) _Static_assert(offsetof(record, field) == (offset), #field);
#include "runtime/hip_constants.def"

int main(void) {
  printf("as HIP %d.%d has them\n", HIP_VERSION_MAJOR, HIP_VERSION_MINOR);
  return 0;
}
#else
int main(void) {
  printf("skipped: HIP's headers are not installed (libamdhip64-dev)\n");
  return 77;
}
#endif
