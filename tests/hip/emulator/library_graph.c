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
  size_t *dependencies; /* numbers of nodes of its graph; lent to a copy */
  size_t dependency_count;
  struct hipGraphNode *original; /* of a copy in an executable graph */
};

struct ihipGraph {
  hipGraphNode_t *nodes;
  size_t count, room;
};

struct hipGraphExec {
  hipGraphNode_t *nodes;
  bool *done; /* in the launch at hand */
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
  for (size_t i = 0; i < graph->count; i++) {
    free(graph->nodes[i]->dependencies);
    free(graph->nodes[i]);
  }
  free(graph->nodes);
  free(graph);
  return hipSuccess;
}

static size_t find_node(const struct ihipGraph *graph, hipGraphNode_t node) {
  size_t i = 0;
  while (i < graph->count && graph->nodes[i] != node) i++;
  return i;
}

hipError_t hipGraphAddKernelNode(hipGraphNode_t *node, hipGraph_t graph, const hipGraphNode_t *dependencies,
                                 size_t dependency_count, const hipKernelNodeParams *parameters) {
  for (size_t d = 0; d < dependency_count; d++) {
    if (find_node(graph, dependencies[d]) == graph->count) return hipErrorInvalidValue;
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
  made->dependencies = calloc(dependency_count + 1, sizeof *made->dependencies);
  if (!made->dependencies) abort();
  for (size_t d = 0; d < dependency_count; d++) made->dependencies[d] = find_node(graph, dependencies[d]);
  made->dependency_count = dependency_count;
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
  (*executable)->done = calloc(graph->count + 1, sizeof *(*executable)->done);
  if (!(*executable)->nodes || !(*executable)->done) abort();
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

static bool is_ready(const struct hipGraphExec *executable, size_t number) {
  const struct hipGraphNode *node = executable->nodes[number];
  bool ready = !executable->done[number];
  for (size_t d = 0; d < node->dependency_count; d++) ready = ready && executable->done[node->dependencies[d]];
  return ready;
}

/* One of the nodes that wait for nothing any more: any one, since they may run side by side. Seed 0: the first. */
static size_t choose(const struct hipGraphExec *executable, uint64_t *random) {
  size_t ready = 0, number = 0;
  for (size_t i = 0; i < executable->count; i++) ready += is_ready(executable, i);
  *random = *random * 6364136223846793005u + 1442695040888963407u;
  size_t left = emulator_get_settings()->seed ? (size_t)(*random >> 33) % ready : 0;
  while (!is_ready(executable, number) || left--) number++;
  return number;
}

hipError_t hipGraphLaunch(hipGraphExec_t executable, hipStream_t stream) {
  uint64_t random = emulator_get_settings()->seed;
  memset(executable->done, 0, executable->count * sizeof *executable->done);
  for (size_t i = 0; i < executable->count; i++) {
    const size_t number = choose(executable, &random);
    hipGraphNode_t node = executable->nodes[number];
    const hipKernelNodeParams *p = &node->parameters;
    hipError_t error = hipModuleLaunchKernel(p->func, p->gridDim.x, p->gridDim.y, p->gridDim.z, p->blockDim.x,
                                             p->blockDim.y, p->blockDim.z, p->sharedMemBytes, stream, node->arguments,
                                             NULL);
    if (error != hipSuccess) return error;
    executable->done[number] = true;
  }
  return hipSuccess;
}

hipError_t hipGraphExecDestroy(hipGraphExec_t executable) {
  for (size_t i = 0; i < executable->count; i++) free(executable->nodes[i]);
  free(executable->nodes);
  free(executable->done);
  free(executable);
  return hipSuccess;
}
