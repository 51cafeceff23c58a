/* rocBLAS over cuBLAS, as far as retc's runtime calls it. cuBLAS is loaded when a handle is asked for, so that this
 * builds without it. */
#include <dlfcn.h>
#include <stddef.h>

#include "runtime/rocblas_types.h"

#define RETC_ROCBLAS_SYMBOL(result, name, parameters) __attribute__((visibility("default"))) result name parameters;
#include "runtime/rocblas_symbols.def"

/* Of cublas_v2.h and library_types.h. */
enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14, CUBLAS_COMPUTE_32F = 68,
       CUBLAS_GEMM_DEFAULT = -1 };
static struct {
  int (*create)(void **handle), (*destroy)(void *handle), (*set_stream)(void *handle, void *stream);
  int (*multiply)(void *handle, int a_operation, int b_operation, int m, int n, int k, const void *alpha, const void *a,
                  int a_type, int lda, const void *b, int b_type, int ldb, const void *beta, void *c, int c_type,
                  int ldc, int compute_type, int algorithm);
} cublas;

static int load(void) {
  static const char *const names[] = {"libcublas.so", "libcublas.so.13", "libcublas.so.12", "libcublas.so.11",
                                      "/usr/local/cuda/lib64/libcublas.so"};
  void *library = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW);
  if (!library) return 0;
  *(void **)(void *)&cublas.create = dlsym(library, "cublasCreate_v2");
  *(void **)(void *)&cublas.destroy = dlsym(library, "cublasDestroy_v2");
  *(void **)(void *)&cublas.set_stream = dlsym(library, "cublasSetStream_v2");
  *(void **)(void *)&cublas.multiply = dlsym(library, "cublasGemmEx");
  return cublas.create && cublas.destroy && cublas.set_stream && cublas.multiply;
}

static rocblas_status status_of(int result) { return result ? rocblas_status_internal_error : rocblas_status_success; }

rocblas_status rocblas_create_handle(rocblas_handle *handle) {
  if (!cublas.create && !load()) return rocblas_status_not_implemented;
  return status_of(cublas.create((void **)handle));
}

rocblas_status rocblas_destroy_handle(rocblas_handle handle) { return status_of(cublas.destroy(handle)); }

rocblas_status rocblas_set_stream(rocblas_handle handle, hipStream_t stream) {
  return status_of(cublas.set_stream(handle, stream));
}

rocblas_status rocblas_set_atomics_mode(rocblas_handle handle, rocblas_atomics_mode mode) {
  (void)handle;
  return mode == rocblas_atomics_not_allowed ? rocblas_status_success : rocblas_status_not_implemented;
}

const char *rocblas_status_to_string(rocblas_status status) {
  return status == rocblas_status_not_implemented ? "no cuBLAS was found, or what it is asked for is not there"
                                                  : "an error of cuBLAS";
}

static int type_of(rocblas_datatype type) {
  return type == rocblas_datatype_f32_r ? CUDA_R_32F : type == rocblas_datatype_f16_r ? CUDA_R_16F : CUDA_R_16BF;
}

static int operation_of(rocblas_operation operation) {
  return operation == rocblas_operation_transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
}

rocblas_status rocblas_gemm_ex(rocblas_handle handle, rocblas_operation a_operation, rocblas_operation b_operation,
                               rocblas_int m, rocblas_int n, rocblas_int k, const void *alpha, const void *a,
                               rocblas_datatype a_type, rocblas_int lda, const void *b, rocblas_datatype b_type,
                               rocblas_int ldb, const void *beta, const void *c, rocblas_datatype c_type,
                               rocblas_int ldc, void *d, rocblas_datatype d_type, rocblas_int ldd,
                               rocblas_datatype compute_type, rocblas_gemm_algo algorithm, int32_t solution,
                               uint32_t flags) {
  if (c != d || c_type != d_type || ldc != ldd || compute_type != rocblas_datatype_f32_r || algorithm || solution ||
      flags) {
    return rocblas_status_not_implemented;
  }
  return status_of(cublas.multiply(handle, operation_of(a_operation), operation_of(b_operation), m, n, k, alpha, a,
                                   type_of(a_type), lda, b, type_of(b_type), ldb, beta, d, type_of(d_type), ldd,
                                   CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}
