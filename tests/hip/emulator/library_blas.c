/* rocBLAS as far as the runtime calls it: the one product that it asks for, summed in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "library.h"
#include "runtime/rocblas_types.h"

#define RETC_ROCBLAS_SYMBOL(result, name, parameters) __attribute__((visibility("default"))) result name parameters;
#include "runtime/rocblas_symbols.def"

struct _rocblas_handle {
  hipStream_t stream;
};

rocblas_status rocblas_create_handle(rocblas_handle *handle) {
  static struct _rocblas_handle only;
  *handle = &only;
  return rocblas_status_success;
}

rocblas_status rocblas_destroy_handle(rocblas_handle handle) {
  (void)handle;
  return rocblas_status_success;
}

rocblas_status rocblas_set_stream(rocblas_handle handle, hipStream_t stream) {
  handle->stream = stream;
  return rocblas_status_success;
}

rocblas_status rocblas_set_atomics_mode(rocblas_handle handle, rocblas_atomics_mode mode) {
  (void)handle;
  return mode == rocblas_atomics_not_allowed ? rocblas_status_success : rocblas_status_not_implemented;
}

const char *rocblas_status_to_string(rocblas_status status) {
  return status == rocblas_status_invalid_pointer ? "rocblas_status_invalid_pointer" : "rocblas_status_not_implemented";
}

static float value_of(rocblas_datatype type, const uint16_t *from) {
  float value;
  if (type == rocblas_datatype_bf16_r) {
    const uint32_t bits = (uint32_t)*from << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  _Float16 half;
  memcpy(&half, from, sizeof half);
  return (float)half;
}

rocblas_status rocblas_gemm_ex(rocblas_handle handle, rocblas_operation a_operation, rocblas_operation b_operation,
                               rocblas_int m, rocblas_int n, rocblas_int k, const void *alpha, const void *a,
                               rocblas_datatype a_type, rocblas_int lda, const void *b, rocblas_datatype b_type,
                               rocblas_int ldb, const void *beta, const void *c, rocblas_datatype c_type,
                               rocblas_int ldc, void *d, rocblas_datatype d_type, rocblas_int ldd,
                               rocblas_datatype compute_type, rocblas_gemm_algo algorithm, int32_t solution,
                               uint32_t flags) {
  const bool halves = a_type == b_type && (a_type == rocblas_datatype_bf16_r || a_type == rocblas_datatype_f16_r);
  const bool floats = c_type == rocblas_datatype_f32_r && d_type == c_type && compute_type == c_type;
  if (a_operation != rocblas_operation_transpose || b_operation != rocblas_operation_none || !halves || !floats ||
      *(const float *)alpha != 1 || *(const float *)beta != 0 || lda < k || ldb < k || ldd < m || ldc < m || c != d ||
      algorithm != rocblas_gemm_algo_standard || solution || flags) {
    return rocblas_status_not_implemented;
  }
  if (!handle || emulator_sticky || !emulator_memory_holds(a, 2 * (size_t)lda * (size_t)m) ||
      !emulator_memory_holds(b, 2 * (size_t)ldb * (size_t)n) ||
      !emulator_memory_holds(d, 4 * (size_t)ldd * (size_t)n)) {
    return rocblas_status_invalid_pointer;
  }
  for (size_t j = 0; j < (size_t)n; j++) {
    for (size_t i = 0; i < (size_t)m; i++) {
      const uint16_t *x = (const uint16_t *)a + i * (size_t)lda, *y = (const uint16_t *)b + j * (size_t)ldb;
      float sum = 0;
      for (size_t l = 0; l < (size_t)k; l++) sum += value_of(a_type, x + l) * value_of(b_type, y + l);
      ((float *)d)[j * (size_t)ldd + i] = sum;
    }
  }
  if (getenv("RETC_EMULATOR_BLAS")) fprintf(stderr, "emulator: rocblas_gemm_ex %d %d %d\n", m, n, k);
  return rocblas_status_success;
}
