/* libamdhip64 over CUDA's driver, as far as retc's runtime calls it; hiprtc by nvcc. The numbers of errors are CUDA's,
 * which HIP shares. */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/hip_types.h"

#define RETC_HIP_SYMBOL(result, name, parameters) __attribute__((visibility("default"))) result name parameters;
#include "runtime/hip_symbols.def"

static CUdevice device;
static CUcontext context;

/* ---- errors ---- */

static const struct {
  hipError_t error;
  const char *name;
} errors[] = {
    {hipSuccess, "hipSuccess"},
    {hipErrorInvalidValue, "hipErrorInvalidValue"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory"},
    {hipErrorNoDevice, "hipErrorNoDevice"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice"},
    {hipErrorInvalidImage, "hipErrorInvalidImage"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle"},
    {hipErrorNotFound, "hipErrorNotFound"},
    {hipErrorIllegalAddress, "hipErrorIllegalAddress"},
    {hipErrorLaunchFailure, "hipErrorLaunchFailure"},
    {hipErrorNotSupported, "hipErrorNotSupported"},
};

const char *hipGetErrorName(hipError_t error) {
  const char *name = NULL;
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (errors[i].error == error) return errors[i].name;
  }
  return cuGetErrorName((CUresult)error, &name) == CUDA_SUCCESS ? name : "hipErrorUnknown";
}

const char *hipGetErrorString(hipError_t error) {
  const char *text = NULL;
  return cuGetErrorString((CUresult)error, &text) == CUDA_SUCCESS ? text : "unknown error";
}

/* ---- the device ---- */

hipError_t hipRuntimeGetVersion(int *version) { return (hipError_t)cuDriverGetVersion(version); }

hipError_t hipGetDeviceCount(int *count) {
  *count = 0;
  CUresult result = cuInit(0);
  if (result == CUDA_SUCCESS) result = cuDeviceGetCount(count);
  if (result == CUDA_SUCCESS && *count == 0) result = CUDA_ERROR_NO_DEVICE;
  return (hipError_t)result;
}

hipError_t hipSetDevice(int number) {
  CUresult result = cuDeviceGet(&device, number);
  if (result == CUDA_SUCCESS) result = cuDevicePrimaryCtxRetain(&context, device);
  if (result == CUDA_SUCCESS) result = cuCtxSetCurrent(context);
  return (hipError_t)result;
}

hipError_t hipDeviceGetName(char *name, int length, hipDevice_t number) {
  return (hipError_t)cuDeviceGetName(name, length, number);
}

/* RETC_CUDA_ARCH: the AMD architecture that the card stands in for. */
static const char *stand_in(void) {
  const char *arch = getenv("RETC_CUDA_ARCH");
  return arch && *arch ? arch : "gfx1100";
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t *properties, int number) {
  enum { SIZE = 792, NAME = 256, ARCH = 396 }; /* ROCm 5 */
  char *bytes = (char *)properties;
  memset(bytes, 0, SIZE);
  snprintf(bytes + ARCH, NAME, "%s", stand_in());
  return (hipError_t)cuDeviceGetName(bytes, NAME, number);
}

hipError_t hipMemGetInfo(size_t *available, size_t *total) { return (hipError_t)cuMemGetInfo(available, total); }

/* ---- memory ---- */

static CUdeviceptr pointer(const void *memory) { return (CUdeviceptr)(uintptr_t)memory; }

hipError_t hipMalloc(void **memory, size_t size) {
  CUdeviceptr given = 0;
  CUresult result = size ? cuMemAlloc(&given, size) : CUDA_SUCCESS;
  *memory = (void *)(uintptr_t)given;
  return (hipError_t)result;
}

hipError_t hipFree(void *memory) { return (hipError_t)(memory ? cuMemFree(pointer(memory)) : CUDA_SUCCESS); }

hipError_t hipMemcpyAsync(void *to, const void *from, size_t size, hipMemcpyKind kind, hipStream_t stream) {
  CUstream s = (CUstream)stream;
  if (kind == hipMemcpyHostToDevice) return (hipError_t)cuMemcpyHtoDAsync(pointer(to), from, size, s);
  if (kind == hipMemcpyDeviceToHost) return (hipError_t)cuMemcpyDtoHAsync(to, pointer(from), size, s);
  return (hipError_t)cuMemcpyDtoDAsync(pointer(to), pointer(from), size, s);
}

hipError_t hipMemcpy(void *to, const void *from, size_t size, hipMemcpyKind kind) {
  hipError_t error = hipMemcpyAsync(to, from, size, kind, NULL);
  return error ? error : (hipError_t)cuStreamSynchronize(NULL);
}

hipError_t hipMemsetAsync(void *memory, int value, size_t size, hipStream_t stream) {
  return (hipError_t)cuMemsetD8Async(pointer(memory), (unsigned char)value, size, (CUstream)stream);
}

/* ---- streams, code, launches ---- */

hipError_t hipStreamCreateWithFlags(hipStream_t *stream, unsigned int flags) {
  return (hipError_t)cuStreamCreate((CUstream *)stream, flags & hipStreamNonBlocking ? CU_STREAM_NON_BLOCKING : 0);
}

hipError_t hipStreamDestroy(hipStream_t stream) { return (hipError_t)cuStreamDestroy((CUstream)stream); }

hipError_t hipStreamSynchronize(hipStream_t stream) { return (hipError_t)cuStreamSynchronize((CUstream)stream); }

hipError_t hipEventCreate(hipEvent_t *event) { return (hipError_t)cuEventCreate((CUevent *)event, CU_EVENT_DEFAULT); }

hipError_t hipEventDestroy(hipEvent_t event) { return (hipError_t)cuEventDestroy((CUevent)event); }

hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream) {
  return (hipError_t)cuEventRecord((CUevent)event, (CUstream)stream);
}

hipError_t hipEventElapsedTime(float *milliseconds, hipEvent_t start, hipEvent_t stop) {
  return (hipError_t)cuEventElapsedTime(milliseconds, (CUevent)start, (CUevent)stop);
}

hipError_t hipModuleLoadData(hipModule_t *module, const void *image) {
  return (hipError_t)cuModuleLoadData((CUmodule *)module, image);
}

hipError_t hipModuleUnload(hipModule_t module) { return (hipError_t)cuModuleUnload((CUmodule)module); }

/* Dynamic shared memory of kernels, which HIP's launches do not name: see compiler.c. */
static struct {
  const void *function;
  unsigned bytes;
} shared[1024];
static size_t shared_count;

static unsigned shared_of(const void *function) {
  size_t i = shared_count;
  while (i > 0 && shared[i - 1].function != function) i--;
  return i ? shared[i - 1].bytes : 0;
}

hipError_t hipModuleGetFunction(hipFunction_t *function, hipModule_t module, const char *name) {
  char variable[160];
  CUdeviceptr place;
  size_t size;
  unsigned bytes = 0;
  CUresult result = cuModuleGetFunction((CUfunction *)function, (CUmodule)module, name);
  if (result != CUDA_SUCCESS) return (hipError_t)result;
  snprintf(variable, sizeof variable, "retc_shared_%s", name);
  if (cuModuleGetGlobal(&place, &size, (CUmodule)module, variable) != CUDA_SUCCESS) return hipSuccess;
  result = cuMemcpyDtoH(&bytes, place, sizeof bytes);
  if (result == CUDA_SUCCESS && bytes) {
    result = cuFuncSetAttribute((CUfunction)*function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, (int)bytes);
  }
  if (shared_count == sizeof shared / sizeof *shared) shared_count = 0;
  shared[shared_count].function = *function;
  shared[shared_count++].bytes = bytes;
  return (hipError_t)result;
}

hipError_t hipModuleLaunchKernel(hipFunction_t function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                                 unsigned int block_x, unsigned int block_y, unsigned int block_z,
                                 unsigned int shared_bytes, hipStream_t stream, void **arguments, void **extra) {
  return (hipError_t)cuLaunchKernel((CUfunction)function, grid_x, grid_y, grid_z, block_x, block_y, block_z,
                                    shared_bytes + shared_of(function), (CUstream)stream, arguments, extra);
}

/* ---- graphs ---- */

static CUDA_KERNEL_NODE_PARAMS node_of(const hipKernelNodeParams *p) {
  return (CUDA_KERNEL_NODE_PARAMS){.func = p->func, .gridDimX = p->gridDim.x, .gridDimY = p->gridDim.y,
                                   .gridDimZ = p->gridDim.z, .blockDimX = p->blockDim.x, .blockDimY = p->blockDim.y,
                                   .blockDimZ = p->blockDim.z, .sharedMemBytes = p->sharedMemBytes + shared_of(p->func),
                                   .kernelParams = p->kernelParams, .extra = p->extra};
}

hipError_t hipGraphCreate(hipGraph_t *graph, unsigned int flags) {
  return (hipError_t)cuGraphCreate((CUgraph *)graph, flags);
}

hipError_t hipGraphDestroy(hipGraph_t graph) { return (hipError_t)cuGraphDestroy((CUgraph)graph); }

hipError_t hipGraphAddKernelNode(hipGraphNode_t *node, hipGraph_t graph, const hipGraphNode_t *dependencies,
                                 size_t dependency_count, const hipKernelNodeParams *parameters) {
  const CUDA_KERNEL_NODE_PARAMS made = node_of(parameters);
  return (hipError_t)cuGraphAddKernelNode((CUgraphNode *)node, (CUgraph)graph, (const CUgraphNode *)dependencies,
                                          dependency_count, &made);
}

hipError_t hipGraphInstantiate(hipGraphExec_t *executable, hipGraph_t graph, hipGraphNode_t *error_node, char *log,
                               size_t log_size) {
  if (error_node) *error_node = NULL;
  if (log && log_size) *log = 0;
  return (hipError_t)cuGraphInstantiate((CUgraphExec *)executable, (CUgraph)graph, 0);
}

hipError_t hipGraphExecKernelNodeSetParams(hipGraphExec_t executable, hipGraphNode_t node,
                                           const hipKernelNodeParams *parameters) {
  const CUDA_KERNEL_NODE_PARAMS made = node_of(parameters);
  return (hipError_t)cuGraphExecKernelNodeSetParams((CUgraphExec)executable, (CUgraphNode)node, &made);
}

hipError_t hipGraphLaunch(hipGraphExec_t executable, hipStream_t stream) {
  return (hipError_t)cuGraphLaunch((CUgraphExec)executable, (CUstream)stream);
}

hipError_t hipGraphExecDestroy(hipGraphExec_t executable) {
  return (hipError_t)cuGraphExecDestroy((CUgraphExec)executable);
}
