#include "runtime/hip_sample.h"

enum { ARGUMENTS = 8, THREADS = 1024 };

/* The arguments of a launch; `pointers` go to the others. */
typedef struct launch {
  void *logits, *tokens;
  int64_t count, top_k;
  uint64_t seed, index;
  double top_p;
  float temperature;
  void *pointers[ARGUMENTS];
} launch;

void retc_hip_sample_find(retc_hip_device *device, hipModule_t module, hipFunction_t *out_function) {
  if (device->library.hipModuleGetFunction(out_function, module, "retc_sample") != hipSuccess) *out_function = NULL;
}

static hipKernelNodeParams describe(const retc_run *run, void *tokens, launch *l) {
  const retc_plan *plan = run->program->plan;
  const retc_sampling *options = run->draw->options;
  *l = (launch){.logits = run->addresses[retc_plan_find_logits(plan)], .tokens = tokens,
                .count = plan->vocabulary_size, .temperature = options->temperature,
                .top_p = (double)options->top_p, .top_k = options->top_k, .seed = options->seed,
                .index = run->draw->index};
  void *const pointers[ARGUMENTS] = {&l->logits, &l->tokens, &l->count, &l->temperature,
                                     &l->top_p, &l->top_k, &l->seed, &l->index};
  for (int i = 0; i < ARGUMENTS; i++) l->pointers[i] = pointers[i];
  return (hipKernelNodeParams){.blockDim = {THREADS, 1, 1}, .gridDim = {(uint32_t)retc_run_batch(run), 1, 1},
                               .func = run->program->sampler, .kernelParams = l->pointers};
}

static retc_status check(const retc_run *run, hipError_t error, retc_diagnostics *diagnostics) {
  return retc_hip_check(&run->program->gpu->library, error, diagnostics, "choosing tokens");
}

retc_status retc_hip_sample_launch(const retc_run *run, void *tokens, retc_diagnostics *diagnostics) {
  const retc_hip_device *device = run->program->gpu;
  launch l;
  const hipKernelNodeParams p = describe(run, tokens, &l);
  hipError_t error = device->library.hipModuleLaunchKernel(run->program->sampler, p.gridDim.x, 1, 1, p.blockDim.x, 1, 1,
                                                           0, device->stream, p.kernelParams, NULL);
  return check(run, error, diagnostics);
}

retc_status retc_hip_sample_add(const retc_run *run, void *tokens, hipGraph_t graph, const hipGraphNode_t *before,
                                size_t count, retc_diagnostics *diagnostics, hipGraphNode_t *out_node) {
  launch l;
  const hipKernelNodeParams p = describe(run, tokens, &l);
  return check(run, run->program->gpu->library.hipGraphAddKernelNode(out_node, graph, before, count, &p), diagnostics);
}

retc_status retc_hip_sample_set(const retc_run *run, void *tokens, hipGraphExec_t executable, hipGraphNode_t node,
                                retc_diagnostics *diagnostics) {
  launch l;
  const hipKernelNodeParams p = describe(run, tokens, &l);
  return check(run, run->program->gpu->library.hipGraphExecKernelNodeSetParams(executable, node, &p), diagnostics);
}
