/* A plan made by hand, run on the device at hand through runtime/hip_program.h and compared with what it should give:
 * logits[b, l, v] = (running sum of the row's tokens + position) * weight[v]; the running sum is a state. The program
 * prints what it did; trouble is a message and status 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_by_hand.h"
#include "runtime/hip_program.h"

enum { VOCABULARY = 70, CHUNK = 4, BATCH = 3, TOKENS = 9 };

static const char source[] =
    "#include <hip/hip_runtime.h>\n"
    "extern \"C\" __global__ void sum(const int64_t *tokens, float *total, float *sums, int64_t B, int64_t T) {\n"
    "  __shared__ float last;\n"
    "  const int64_t b = blockIdx.x;\n"
    "  if (threadIdx.x == 0) last = total[b];\n"
    "  __syncthreads();\n"
    "  for (int64_t t = threadIdx.x; t < T; t += blockDim.x) {\n"
    "    float all = last;\n"
    "    for (int64_t i = 0; i <= t; i++) all += (float)tokens[b * T + i];\n"
    "    sums[b * T + t] = all;\n"
    "    if (t == T - 1) total[b] = all;\n"
    "  }\n"
    "}\n"
    "extern \"C\" __global__ void multiply(const float *sums, const float *weight, float *logits, int64_t B, int64_t "
    "T,\n"
    "                                     int64_t L, int64_t P) {\n"
    "  const int64_t v = 64 * blockIdx.x + threadIdx.x, l = blockIdx.y, b = blockIdx.z;\n"
    "  if (v < 70) logits[(b * L + l) * 70 + v] = (sums[b * T + T - L + l] + (float)P) * weight[v];\n"
    "}\n";

/* ---- the plan ---- */

static retc_plan *make_plan(const float *weight) {
  retc_plan *plan = retc_plan_create();
  plan->vocabulary_size = VOCABULARY;
  plan->chunk_length = CHUNK;
  int tokens = add_buffer(plan, (retc_plan_buffer){.name = "tokens", .kind = RETC_PLAN_INPUT, .dtype = RETC_DTYPE_I64,
                                                   .shape = {2, {RETC_NAMED(B), RETC_NAMED(T)}}, .limit = VOCABULARY});
  int total = add_buffer(plan, (retc_plan_buffer){.name = "total", .kind = RETC_PLAN_STATE, .dtype = RETC_DTYPE_F32,
                                                  .shape = {1, {RETC_NAMED(B)}}});
  int sums = add_buffer(plan, (retc_plan_buffer){.name = "sums", .kind = RETC_PLAN_SCRATCH, .dtype = RETC_DTYPE_F32,
                                                 .shape = {2, {RETC_NAMED(B), RETC_NAMED(T)}}, .slot = add_slot(plan)});
  int fixed = add_buffer(plan, (retc_plan_buffer){.name = "weight", .kind = RETC_PLAN_CONSTANT, .dtype = RETC_DTYPE_F32,
                                                  .shape = {1, {VOCABULARY}}, .constant = weight});
  int logits = add_buffer(plan, (retc_plan_buffer){.name = "logits", .kind = RETC_PLAN_OUTPUT, .dtype = RETC_DTYPE_F32,
                                                   .shape = {3, {RETC_NAMED(B), RETC_NAMED(L), VOCABULARY}},
                                                   .slot = add_slot(plan)});
  const retc_plan_kernel kernels[] = {
      {.name = "sum", .buffer_count = 3, .dim_count = 2, .dims = {RETC_DIM_B, RETC_DIM_T},
       .grid = {NUMBER(batch), NUMBER(one), NUMBER(one)}, .block = {NUMBER(threads), NUMBER(one), NUMBER(one)}},
      {.name = "multiply", .buffer_count = 3, .dim_count = 4,
       .dims = {RETC_DIM_B, RETC_DIM_T, RETC_DIM_L, RETC_DIM_P},
       .grid = {NUMBER(two), NUMBER(logits_axis), NUMBER(batch)},
       .block = {NUMBER(threads), NUMBER(one), NUMBER(one)}}};
  for (int i = 0; i < 2; i++) RETC_VEC_PUSH(&plan->arena, plan->kernels, kernels[i]);
  retc_plan_entry entry = {.name = "step", .chunk_length = CHUNK, .grid_start = -1};
  add_step(plan, &entry, 0, (const int[]){tokens, total, sums}, 3);
  add_step(plan, &entry, 1, (const int[]){sums, fixed, logits}, 3);
  RETC_VEC_PUSH(&plan->arena, entry.outputs, ((retc_plan_output){"logits", logits}));
  RETC_VEC_PUSH(&plan->arena, plan->entries, entry);
  return plan;
}

/* ---- what it should give ---- */

static void check_call(retc_run *run, const int64_t *tokens, int64_t count, int64_t logits, float *totals,
                       const float *weight) {
  const float position = (float)retc_run_position(run);
  want(retc_run_step(run, tokens, count, count, logits, &diagnostics));
  const float *given = retc_run_output(run, "logits"), *state = retc_run_output(run, "total");
  if (!given || !state) stop("an output is missing");
  for (int64_t b = 0; b < BATCH; b++) {
    float sum = totals[b];
    for (int64_t t = 0; t < count; t++) {
      sum += (float)tokens[b * count + t];
      const int64_t l = t - (count - logits);
      for (int64_t v = 0; l >= 0 && v < VOCABULARY; v++) {
        if (given[(b * logits + l) * VOCABULARY + v] != (sum + position) * weight[v]) stop("a logit is wrong");
      }
    }
    totals[b] = sum;
    if (state[b] != sum) stop("a state is wrong");
  }
}

static void check_session(retc_program *program, const float *weight) {
  const retc_run_options options = {BATCH, TOKENS, TOKENS};
  /* One token thrice and more: by launches, by a graph, by the graph at another position; then other lengths. */
  static const int64_t lengths[] = {7, 1, 1, 1, 1, 9, 2, 2, 2, 1, 1};
  retc_run *run;
  want(retc_run_create(program, &options, &diagnostics, &run));
  for (int round = 0; round < 2; round++) {
    float totals[BATCH] = {0};
    int64_t tokens[BATCH * TOKENS];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
      for (int64_t t = 0; t < BATCH * lengths[i]; t++) tokens[t] = (t * 31 + (int64_t)i * 7) % VOCABULARY;
      check_call(run, tokens, lengths[i], i % 2 ? 1 : lengths[i], totals, weight);
    }
    retc_run_reset(run);
    const float *state = retc_run_output(run, "total");
    if (!state || state[0] != 0) stop("a state is not zero after a reset");
  }
  retc_run_destroy(run);
}

int main(void) {
  float weight[VOCABULARY];
  retc_hip_device device;
  hipModule_t module;
  retc_weights weights;
  retc_program *program;
  for (int v = 0; v < VOCABULARY; v++) weight[v] = (float)(v - 20) / 4;
  retc_diagnostics_init(&diagnostics);
  retc_plan *plan = make_plan(weight);
  want(retc_hip_device_open(0, &diagnostics, &device));
  retc_status status = retc_hip_code_load(&device, "sum and multiply", source, &diagnostics, &module);
  if (status == RETC_OK) status = retc_weights_load(plan, NULL, &diagnostics, &weights);
  if (status == RETC_OK) {
    status = retc_hip_program_create(plan, &weights, &device, module, &diagnostics, &program);
    retc_weights_deinit(&weights);
  }
  if (status == RETC_OK) {
    check_session(program, weight);
    printf("as it should be on %s, a %s\n", device.name, device.arch);
    retc_program_destroy(program);
  } else {
    fprintf(stderr, "%s", retc_diagnostics_text(&diagnostics));
  }
  retc_hip_code_unload(&device, module);
  retc_hip_device_close(&device);
  retc_plan_destroy(plan);
  retc_diagnostics_deinit(&diagnostics);
  return status == RETC_OK ? 0 : 1;
}
