/* hip_sample COUNT DRAWS: tokens chosen on the device at hand are those that the host chooses. A plan made by hand looks
 * its logits up: those of token t are row t % ROWS of a table of COUNT columns, of the last token a row with NaNs. */
#include <float.h>
#include <math.h>

#include "backends/hip/hip_backend.h"
#include "plan_by_hand.h"
#include "runtime/hip_program.h"
#include "runtime/sample.h"

enum { BATCH = 3, ROWS = 8, NO_NUMBERS = ROWS - 1, TOKENS = 4 };

static int64_t count;
static float *table; /* [ROWS][count] */

static const char kernel[] =
    "\nextern \"C\" __global__ void look_up(const int64_t *tokens, const float *table, float *logits, int64_t B, int64_t "
    "T,\n"
    "                                     int64_t L) {\n"
    "  const int64_t b = blockIdx.x, token = tokens[(b + 1) * T - 1];\n"
    "  const float *row = table + (token == COUNT - 1 ? ROWS - 1 : token % (ROWS - 1)) * COUNT;\n"
    "  for (int64_t i = threadIdx.x; i < L * COUNT; i += blockDim.x) logits[b * L * COUNT + i] = row[i % COUNT];\n"
    "}\n";

static const float *row_of(int64_t token) {
  return table + (token == count - 1 ? NO_NUMBERS : token % NO_NUMBERS) * count;
}

static double random_number(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return (state >> 8) * 0x1p-24;
}

/* Different numbers; many equal ones; equal ones only; zeros of both signs and what is next to them; all magnitudes;
 * few that are not -inf; infinite ones; NaNs among others. */
static float number_of(int row, int64_t token) {
  const double x = random_number();
  switch (row) {
    case 0: return (float)(12 * x - 6);
    case 1: return (float)(floor(4 * x) - 1);
    case 2: return 1.5f;
    case 3: return x < 0.3 ? 0.0f : x < 0.6 ? -0.0f : x < 0.8 ? FLT_TRUE_MIN : -FLT_TRUE_MIN;
    case 4: return (float)((x < 0.5 ? -1 : 1) * pow(2, 252 * random_number() - 126));
    case 5: return x < 0.9 ? -INFINITY : (float)x;
    case 6: return x < 0.8 ? (float)x : x < 0.9 ? INFINITY : -INFINITY;
    default: return token == count / 2 || token == count - 1 ? -NAN : token == 0 ? INFINITY : (float)x;
  }
}

static retc_plan *make_plan(void) {
  retc_plan *plan = retc_plan_create();
  plan->vocabulary_size = count;
  plan->chunk_length = 1;
  int tokens = add_buffer(plan, (retc_plan_buffer){.name = "tokens", .kind = RETC_PLAN_INPUT, .dtype = RETC_DTYPE_I64,
                                                   .shape = {2, {RETC_NAMED(B), RETC_NAMED(T)}}, .limit = count});
  int rows = add_buffer(plan, (retc_plan_buffer){.name = "table", .kind = RETC_PLAN_CONSTANT, .dtype = RETC_DTYPE_F32,
                                                 .shape = {2, {ROWS, count}}, .constant = table});
  int logits = add_buffer(plan, (retc_plan_buffer){.name = "logits", .kind = RETC_PLAN_OUTPUT, .dtype = RETC_DTYPE_F32,
                                                   .shape = {3, {RETC_NAMED(B), RETC_NAMED(L), count}},
                                                   .slot = add_slot(plan)});
  const retc_plan_kernel look_up = {
      .name = "look_up", .buffer_count = 3, .dim_count = 3, .dims = {RETC_DIM_B, RETC_DIM_T, RETC_DIM_L},
      .grid = {NUMBER(batch), NUMBER(one), NUMBER(one)}, .block = {NUMBER(threads), NUMBER(one), NUMBER(one)}};
  RETC_VEC_PUSH(&plan->arena, plan->kernels, look_up);
  retc_plan_entry entry = {.name = "step", .chunk_length = 1, .grid_start = -1};
  add_step(plan, &entry, 0, (const int[]){tokens, rows, logits}, 3);
  RETC_VEC_PUSH(&plan->arena, entry.outputs, ((retc_plan_output){"logits", logits}));
  RETC_VEC_PUSH(&plan->arena, plan->entries, entry);
  return plan;
}

/* ---- what it should give ---- */

static void check_logits(const retc_run *run, const int64_t *tokens) {
  const float *given = retc_run_output(run, "logits");
  if (!given) stop("there are no logits");
  for (int64_t b = 0; b < BATCH; b++) {
    if (memcmp(given + b * count, row_of(tokens[b]), (size_t)count * sizeof *given)) stop("logits are wrong");
  }
}

/* The last of length tokens a row count. */
static void check_step(retc_run *run, int64_t *tokens, int64_t length, retc_sampling sampling, uint64_t index) {
  int64_t fed[BATCH * TOKENS] = {0}, chosen[BATCH], expected;
  for (int64_t b = 0; b < BATCH; b++) fed[(b + 1) * length - 1] = tokens[b];
  want(retc_run_step_sample(run, fed, length, length, &sampling, index, &diagnostics, chosen));
  for (int64_t b = 0; b < BATCH; b++, sampling.seed++) {
    want(retc_sample_token(row_of(tokens[b]), count, &sampling, index, &diagnostics, &expected));
    if (expected == chosen[b]) continue;
    fprintf(stderr, "temperature %g, top_k %lld, top_p %g, seed %llu, index %llu, row %lld: %lld, not %lld\n",
            (double)sampling.temperature, (long long)sampling.top_k, (double)sampling.top_p,
            (unsigned long long)sampling.seed, (unsigned long long)index, (long long)(tokens[b] % NO_NUMBERS),
            (long long)chosen[b], (long long)expected);
    stop("another token than the host's");
  }
  if (index % 3 == 2) check_logits(run, tokens);
  /* On the device they are the next step's tokens already, unless others are fed. */
  for (int64_t b = 0; b < BATCH; b++) tokens[b] = chosen[b] == count - 1 ? b : chosen[b];
}

static void check_no_number(retc_run *run, const retc_sampling *sampling) {
  const int64_t tokens[BATCH] = {0, count - 1, 1};
  char expected[96];
  int64_t chosen[BATCH];
  snprintf(expected, sizeof expected, "sampling: the logit of token %lld is not a number", (long long)count / 2);
  if (retc_run_step_sample(run, tokens, 1, 1, sampling, 0, &diagnostics, chosen) != RETC_FAILED ||
      !strstr(retc_diagnostics_text(&diagnostics), expected)) {
    stop("a NaN is not found");
  }
  retc_diagnostics_clear(&diagnostics);
  want(retc_run_step(run, (const int64_t[BATCH]){5, 6, 0}, 1, 1, 1, &diagnostics));
  check_logits(run, (const int64_t[BATCH]){5, 6, 0});
}

static void check_session(retc_program *program, int draws) {
  const retc_sampling all[] = {
      {.temperature = 0},
      {.temperature = 1},
      {.temperature = 1e6f},
      {.temperature = FLT_TRUE_MIN},
      {.temperature = 0.7f, .top_k = 1},
      {.temperature = 1.5f, .top_k = 7},
      {.temperature = 3, .top_k = count - 1},
      {.temperature = 1, .top_k = count},
      {.temperature = 2, .top_p = 0.5f},
      {.temperature = 1, .top_p = 0.99f},
      {.temperature = 1, .top_p = 1e-6f},
      {.temperature = 2, .top_p = 0.8f, .top_k = 20},
  };
  const retc_run_options options = {BATCH, TOKENS, TOKENS};
  int64_t tokens[BATCH] = {0, 1, 2};
  retc_run *run;
  want(retc_run_create(program, &options, &diagnostics, &run));
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    retc_sampling sampling = all[i];
    sampling.struct_size = sizeof sampling;
    for (int draw = 0; draw < draws; draw++) {
      sampling.seed = UINT64_MAX - 1 + i * (uint64_t)draw;
      /* Each row of the table in turn, several tokens at once, then on with what was chosen. */
      for (int64_t b = 0; b < BATCH; b++) tokens[b] = (draw * BATCH + (int64_t)i + b) % NO_NUMBERS;
      check_step(run, tokens, draw % 2 ? 2 : 1, sampling, 0);
      for (uint64_t index = 1; index < 3; index++) check_step(run, tokens, 1, sampling, index);
    }
    check_no_number(run, &sampling);
  }
  retc_run_destroy(run);
}

static char *make_source(const retc_plan *plan) {
  retc_text text;
  retc_text_init(&text);
  want(retc_hip_emit(NULL, 0, plan, &diagnostics, &text));
  retc_text_printf(&text, "\n#define COUNT %lld\n#define ROWS %d\n%s", (long long)count, ROWS, kernel);
  return text.data;
}

int main(int argument_count, char **words) {
  retc_hip_device device;
  hipModule_t module;
  hipFunction_t sampler;
  retc_weights weights;
  retc_program *program;
  if (argument_count != 3) return 2;
  count = strtoll(words[1], NULL, 10);
  table = calloc((size_t)(ROWS * count), sizeof *table);
  if (!table) return 1;
  for (int row = 0; row < ROWS; row++) {
    for (int64_t i = 0; i < count; i++) table[row * count + i] = number_of(row, i);
  }
  retc_diagnostics_init(&diagnostics);
  retc_plan *plan = make_plan();
  char *source = make_source(plan);
  want(retc_hip_device_open(0, &diagnostics, &device));
  want(retc_hip_code_load(&device, "tokens", source, &diagnostics, &module));
  want(retc_hip_code_find(&device, module, "retc_sample", &diagnostics, &sampler));
  want(retc_weights_load(plan, NULL, &diagnostics, &weights));
  want(retc_hip_program_create(plan, &weights, &device, module, &diagnostics, &program));
  retc_weights_deinit(&weights);
  check_session(program, atoi(words[2]));
  printf("the host's tokens on %s, a %s\n", device.name, device.arch);
  retc_program_destroy(program);
  retc_hip_code_unload(&device, module);
  retc_hip_device_close(&device);
  retc_plan_destroy(plan);
  retc_diagnostics_deinit(&diagnostics);
  free(source);
  free(table);
  return 0;
}
