/* rocBLAS as it is found at run time, for products that a plan leaves to it. Nothing links to it, and nothing needs it:
 * without it a plan's own kernels compute them. */
#ifndef RETC_RUNTIME_HIP_BLAS_H
#define RETC_RUNTIME_HIP_BLAS_H

#include <stdbool.h>

#include "base/dtype.h"
#include "base/status.h"
#include "runtime/rocblas_types.h"

typedef struct retc_hip_blas {
#define RETC_ROCBLAS_SYMBOL(result, name, parameters) result(*name) parameters;
#include "runtime/rocblas_symbols.def"
  void *library; /* to be closed; NULL: it is part of another one */
  rocblas_handle handle; /* NULL: there is none */
} retc_hip_blas;

/* The library that the environment variable RETC_ROCBLAS names, none where it says "off"; else the one that was chosen
 * for HIP (`hip`, NULL: none was) where that has it too, or the one that the system finds. That there is none is no
 * failure. RETC_FAILED: RETC_ROCBLAS names no library, or it lacks a function or cannot begin. */
retc_status retc_hip_blas_open(void *hip, hipStream_t stream, retc_diagnostics *diagnostics, retc_hip_blas *out_blas);
void retc_hip_blas_close(retc_hip_blas *blas);

/* o[m,n] = sum_k a[m,k] w[n,k] in the order of the stream: a and w are of `dtype`, bf16 or f16, o and the sums f32. */
retc_status retc_hip_blas_multiply(const retc_hip_blas *blas, retc_dtype dtype, int64_t rows, int64_t columns,
                                   int64_t depth, const void *w, const void *a, void *o, retc_diagnostics *diagnostics);
/* Whether it takes products of these sizes. */
bool retc_hip_blas_takes(const retc_hip_blas *blas, int64_t rows, int64_t columns, int64_t depth);

#endif
