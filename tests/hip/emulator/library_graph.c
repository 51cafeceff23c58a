/* Graphs: kernels that are launched as one. Arguments are copied when a node is added or changed, as HIP does. */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "library.h"

enum { ARGUMENTS_MAX = 256 };

struct hipGraphNode {
  hipKernelNodeParams parameters;
  int argument_count;
  uint64_t values[ARGUMENTS_MAX];
  void *arguments[ARGUMENTS_MAX];
  struct hipGraphNode *original; /* of a copy in an executable graph */
};

struct ihipGraph {
  hipGraphNode_t *nodes;
  size_t count, room;
};

struct hipGraphExec {
  hipGraphNode_t *nodes;
  size_t count;
};

static hipError_t set(hipGraphNode_t node, const hipKernelNodeParams *parameters) {
  const emulator_function *function = parameters->func;
  if (!function || !parameters->kernelParams || parameters->extra) return hipErrorInvalidValue;
  node->parameters = *parameters;
  node->argument_count = function->kernel->argument_count;
  if (node->argument_count > ARGUMENTS_MAX) return hipErrorInvalidValue;
  for (int i = 0; i < node->argument_count; i++) {
    memcpy(&node->values[i], parameters->kernelParams[i], sizeof node->values[i]);
    node->arguments[i] = &node->values[i];
  }
  return hipSuccess;
}

hipError_t hipGraphCreate(hipGraph_t *graph, unsigned int flags) {
  if (flags) return hipErrorInvalidValue;
  *graph = calloc(1, sizeof **graph);
  return *graph ? hipSuccess : hipErrorOutOfMemory;
}

hipError_t hipGraphDestroy(hipGraph_t graph) {
  for (size_t i = 0; i < graph->count; i++) free(graph->nodes[i]);
  free(graph->nodes);
  free(graph);
  return hipSuccess;
}

/* Nodes run in the order in which they are added, which every order of dependencies allows: they are of earlier nodes. */
hipError_t hipGraphAddKernelNode(hipGraphNode_t *node, hipGraph_t graph, const hipGraphNode_t *dependencies,
                                 size_t dependency_count, const hipKernelNodeParams *parameters) {
  for (size_t d = 0; d < dependency_count; d++) {
    size_t i = 0;
    while (i < graph->count && graph->nodes[i] != dependencies[d]) i++;
    if (i == graph->count) return hipErrorInvalidValue;
  }
  if (graph->count == graph->room) {
    graph->room = graph->room ? 2 * graph->room : 64;
    graph->nodes = realloc(graph->nodes, graph->room * sizeof *graph->nodes);
    if (!graph->nodes) abort();
  }
  hipGraphNode_t made = calloc(1, sizeof *made);
  if (!made) return hipErrorOutOfMemory;
  hipError_t error = set(made, parameters);
  if (error != hipSuccess) {
    free(made);
    return error;
  }
  *node = graph->nodes[graph->count++] = made;
  return hipSuccess;
}

hipError_t hipGraphInstantiate(hipGraphExec_t *executable, hipGraph_t graph, hipGraphNode_t *error_node, char *log,
                               size_t log_size) {
  if (error_node) *error_node = NULL;
  if (log && log_size) *log = 0;
  *executable = calloc(1, sizeof **executable);
  if (!*executable) return hipErrorOutOfMemory;
  (*executable)->nodes = calloc(graph->count + 1, sizeof *graph->nodes);
  if (!(*executable)->nodes) abort();
  for (size_t i = 0; i < graph->count; i++) {
    hipGraphNode_t copy = malloc(sizeof *copy);
    if (!copy) abort();
    *copy = *graph->nodes[i];
    for (int a = 0; a < copy->argument_count; a++) copy->arguments[a] = &copy->values[a];
    copy->original = graph->nodes[i];
    (*executable)->nodes[(*executable)->count++] = copy;
  }
  return hipSuccess;
}

hipError_t hipGraphExecKernelNodeSetParams(hipGraphExec_t executable, hipGraphNode_t node,
                                           const hipKernelNodeParams *parameters) {
  for (size_t i = 0; i < executable->count; i++) {
    hipGraphNode_t copy = executable->nodes[i];
    if (copy->original != node) continue;
    if (copy->parameters.func != parameters->func) return hipErrorInvalidValue;
    return set(copy, parameters);
  }
  return hipErrorInvalidValue;
}

hipError_t hipGraphLaunch(hipGraphExec_t executable, hipStream_t stream) {
  for (size_t i = 0; i < executable->count; i++) {
    hipGraphNode_t node = executable->nodes[i];
    const hipKernelNodeParams *p = &node->parameters;
    hipError_t error = hipModuleLaunchKernel(p->func, p->gridDim.x, p->gridDim.y, p->gridDim.z, p->blockDim.x,
                                             p->blockDim.y, p->blockDim.z, p->sharedMemBytes, stream, node->arguments,
                                             NULL);
    if (error != hipSuccess) return error;
  }
  return hipSuccess;
}

hipError_t hipGraphExecDestroy(hipGraphExec_t executable) {
  for (size_t i = 0; i < executable->count; i++) free(executable->nodes[i]);
  free(executable->nodes);
  free(executable);
  return hipSuccess;
}
