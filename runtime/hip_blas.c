#include "runtime/hip_blas.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/hip_library.h"

static const char *const names[] = {"librocblas.so", "librocblas.so.5", "librocblas.so.4", "librocblas.so.3",
                                    "librocblas.so.0", "/opt/rocm/lib/librocblas.so"};
enum { NAMES = sizeof names / sizeof *names };

/* The first function that is missing; NULL: all are there. */
static const char *resolve_all(retc_hip_blas *blas, void *library) {
  const char *missing = NULL;
#define RETC_ROCBLAS_SYMBOL(result, name, parameters) \
  if (!retc_library_resolve(library, #name, &blas->name) && !missing) missing = #name;
#include "runtime/rocblas_symbols.def"
  return missing;
}

/* A library to look into; NULL: none. */
static retc_status find_library(retc_hip_blas *blas, void *hip, retc_diagnostics *diagnostics, void **out_library) {
  const char *chosen = getenv("RETC_ROCBLAS");
  *out_library = NULL;
  if (chosen && *chosen) {
    if (!strcmp(chosen, "off")) return RETC_OK;
    *out_library = blas->library = dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
    if (*out_library) return RETC_OK;
    return retc_fail(diagnostics, RETC_FAILED,
                     "rocblas: RETC_ROCBLAS is no library that can be loaded, and not off: %s", dlerror());
  }
  if (hip) {
    *out_library = dlsym(hip, "rocblas_gemm_ex") ? hip : NULL;
    return RETC_OK;
  }
  *out_library = blas->library = retc_library_open_first(names, NAMES);
  return RETC_OK;
}

static retc_status check(const retc_hip_blas *blas, rocblas_status status, const char *what,
                         retc_diagnostics *diagnostics) {
  if (status == rocblas_status_success) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "rocblas: %s: %s", what, blas->rocblas_status_to_string(status));
}

/* Without atomics the sums of one product have the same order in every call. */
static retc_status begin(retc_hip_blas *blas, hipStream_t stream, retc_diagnostics *diagnostics) {
  RETC_TRY(check(blas, blas->rocblas_create_handle(&blas->handle), "making a handle", diagnostics));
  RETC_TRY(check(blas, blas->rocblas_set_stream(blas->handle, stream), "choosing a stream", diagnostics));
  return check(blas, blas->rocblas_set_atomics_mode(blas->handle, rocblas_atomics_not_allowed),
               "switching atomics off", diagnostics);
}

retc_status retc_hip_blas_open(void *hip, hipStream_t stream, retc_diagnostics *diagnostics, retc_hip_blas *out_blas) {
  void *library;
  *out_blas = (retc_hip_blas){0};
  RETC_TRY(find_library(out_blas, hip, diagnostics, &library));
  if (!library) return RETC_OK;
  const char *missing = resolve_all(out_blas, library);
  retc_status status = missing ? retc_fail(diagnostics, RETC_FAILED, "rocblas: the library has no %s", missing)
                               : begin(out_blas, stream, diagnostics);
  if (status != RETC_OK) retc_hip_blas_close(out_blas);
  return status;
}

void retc_hip_blas_close(retc_hip_blas *blas) {
  if (blas->handle) blas->rocblas_destroy_handle(blas->handle);
  if (blas->library) dlclose(blas->library);
  *blas = (retc_hip_blas){0};
}

bool retc_hip_blas_takes(const retc_hip_blas *blas, int64_t rows, int64_t columns, int64_t depth) {
  return blas->handle && rows <= INT32_MAX && columns <= INT32_MAX && depth <= INT32_MAX;
}

/* Columns come first there: its result is o as [columns, rows], of w as [depth, columns], turned, and a as [depth,
 * rows]. */
retc_status retc_hip_blas_multiply(const retc_hip_blas *blas, retc_dtype dtype, int64_t rows, int64_t columns,
                                   int64_t depth, const void *w, const void *a, void *o,
                                   retc_diagnostics *diagnostics) {
  const float one = 1, zero = 0;
  const rocblas_datatype type = dtype == RETC_DTYPE_BF16 ? rocblas_datatype_bf16_r : rocblas_datatype_f16_r,
                         f32 = rocblas_datatype_f32_r;
  const rocblas_int m = (rocblas_int)columns, n = (rocblas_int)rows, k = (rocblas_int)depth;
  const rocblas_status status = blas->rocblas_gemm_ex(
      blas->handle, rocblas_operation_transpose, rocblas_operation_none, m, n, k, &one, w, type, k, a, type, k, &zero,
      o, f32, m, o, f32, m, f32, rocblas_gemm_algo_standard, 0, 0);
  return check(blas, status, "rocblas_gemm_ex", diagnostics);
}
