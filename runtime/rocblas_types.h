/* The part of rocBLAS's interface that the runtime uses, under its own names; as runtime/hip_types.h. */
#ifndef RETC_RUNTIME_ROCBLAS_TYPES_H
#define RETC_RUNTIME_ROCBLAS_TYPES_H

#include "runtime/hip_types.h"

enum {
#define RETC_ROCBLAS_CONSTANT(enumeration, name, value) name = value,
#include "runtime/rocblas_symbols.def"
};

/* Enumerations there; as ints they are passed alike. */
typedef int rocblas_status;
typedef int rocblas_operation;
typedef int rocblas_datatype;
typedef int rocblas_atomics_mode;
typedef int rocblas_gemm_algo;
typedef int32_t rocblas_int;
typedef struct _rocblas_handle *rocblas_handle;

#endif
