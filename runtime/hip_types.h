/* The part of HIP's interface that the runtime uses, under HIP's own names, so that no ROCm is needed to build. A test
 * compares it with HIP's header where that is installed. */
#ifndef RETC_RUNTIME_HIP_TYPES_H
#define RETC_RUNTIME_HIP_TYPES_H

#include <stddef.h>
#include <stdint.h>

enum {
#define RETC_HIP_CONSTANT(enumeration, name, value) name = value,
#include "runtime/hip_constants.def"
};

/* Enumerations there; as ints they are passed alike. */
typedef int hipError_t;
typedef int hipMemcpyKind;
typedef int hiprtcResult;

typedef int hipDevice_t;
typedef struct hipDeviceProp_t hipDeviceProp_t; /* its layout changes with versions: only looked through as bytes */
typedef struct ihipStream_t *hipStream_t;
typedef struct ihipEvent_t *hipEvent_t;
typedef struct ihipModule_t *hipModule_t;
typedef struct ihipModuleSymbol_t *hipFunction_t;
typedef struct ihipGraph *hipGraph_t;
typedef struct hipGraphNode *hipGraphNode_t;
typedef struct hipGraphExec *hipGraphExec_t;
typedef struct _hiprtcProgram *hiprtcProgram;

typedef struct dim3 {
  uint32_t x, y, z;
} dim3;

typedef struct hipKernelNodeParams {
  dim3 blockDim;
  void **extra;
  void *func;
  dim3 gridDim;
  void **kernelParams;
  unsigned int sharedMemBytes;
} hipKernelNodeParams;

#define RETC_HIP_FIELD(record, field, offset) \
  _Static_assert(sizeof(void *) != 8 || offsetof(record, field) == offset, #field);
#include "runtime/hip_constants.def"

#endif
