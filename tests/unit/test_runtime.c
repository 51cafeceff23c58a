/* runtime/: packing, the team of threads, weights, and a hand-made plan run with C functions as kernels. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/memory.h"
#include "runtime/program.h"
#include "runtime/step_groups.h"

/* Refused memory is NULL under the sanitizers too. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

static retc_diagnostics diagnostics;

static int setup(void **state) {
  (void)state;
  retc_diagnostics_init(&diagnostics);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  retc_diagnostics_deinit(&diagnostics);
  return 0;
}

static void assert_refused(retc_status status, retc_status expected, const char *words) {
  const char *message = retc_diagnostics_text(&diagnostics);
  assert_int_equal(status, expected);
  if (!strstr(message, words)) fail_msg("\"%s\" expected in \"%s\"", words, message);
  retc_diagnostics_clear(&diagnostics);
}

/* ---- packing */

static void check_panels(retc_dtype from, retc_dtype to, int64_t rows, int64_t columns) {
  int64_t panels = (rows + RETC_PANEL - 1) / RETC_PANEL, size = panels * RETC_PANEL * columns;
  char *source = calloc((size_t)(rows * columns) + 1, retc_dtype_size(from));
  char *target = malloc((size_t)size * retc_dtype_size(to) + 1);
  char *shifted = source + 1; /* as unaligned as a file may have it */
  for (int64_t i = 0; i < rows * columns; i++) retc_dtype_store(from, shifted, (size_t)i, (double)(i % 251 + 1));
  memset(target, 0xff, (size_t)size * retc_dtype_size(to) + 1);
  retc_pack_panels(from, shifted, rows, columns, to, target);
  for (int64_t i = 0; i < size; i++) {
    int64_t row = i / (RETC_PANEL * columns) * RETC_PANEL + i % RETC_PANEL, column = i / RETC_PANEL % columns;
    double expected = row < rows ? (double)((row * columns + column) % 251 + 1) : 0;
    assert_true(retc_dtype_load(to, target, (size_t)i) == expected);
  }
  assert_int_equal((unsigned char)target[(size_t)size * retc_dtype_size(to)], 0xff);
  free(source);
  free(target);
}

static void panels_hold_every_element(void **state) {
  (void)state;
  static const int64_t sizes[][2] = {{64, 32}, {1, 1}, {63, 31}, {65, 33}, {130, 100}, {192, 1}, {0, 5}, {5, 0}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    check_panels(RETC_DTYPE_F32, RETC_DTYPE_F32, sizes[i][0], sizes[i][1]);
    check_panels(RETC_DTYPE_BF16, RETC_DTYPE_BF16, sizes[i][0], sizes[i][1]);
    check_panels(RETC_DTYPE_F16, RETC_DTYPE_F32, sizes[i][0], sizes[i][1]);
    check_panels(RETC_DTYPE_F64, RETC_DTYPE_F64, sizes[i][0], sizes[i][1]);
  }
}

/* ---- threads */

typedef struct relay {
  int rounds;
  int64_t *slots; /* one a thread, plain memory: only the barriers order the accesses */
  atomic_int wrong;
} relay;

/* In every round a thread writes its own slot, then checks everybody's. */
static void relay_body(void *user, retc_team *team, int thread) {
  relay *r = user;
  for (int round = 1; round <= r->rounds; round++) {
    r->slots[thread] = round;
    retc_team_barrier(team);
    for (int i = 0; i < retc_team_size(team); i++) {
      if (r->slots[i] != round) atomic_fetch_add(&r->wrong, 1);
    }
    retc_team_barrier(team);
  }
}

static void barriers_order_memory(void **state) {
  (void)state;
  for (int threads = 1; threads <= 5; threads++) {
    retc_team *team;
    assert_int_equal(retc_team_create(threads, &diagnostics, &team), RETC_OK);
    assert_int_equal(retc_team_size(team), threads);
    int64_t slots[5] = {0};
    for (int run = 0; run < 40; run++) {
      relay r = {.rounds = run, .slots = slots};
      retc_team_run(team, relay_body, &r);
      assert_int_equal(atomic_load(&r.wrong), 0);
      for (int i = 0; i < threads; i++) assert_int_equal(slots[i], run);
      if (run == 20) usleep(20000); /* long enough that everybody sleeps */
    }
    retc_team_destroy(team);
  }
}

typedef struct ladder {
  int size;
  int64_t *sums; /* one a part, plain memory: only the order of steps orders the accesses */
  int delayed;   /* this thread sleeps in a part now and then; -1: none */
  atomic_int wrong;
} ladder;

/* A part adds the step to its sum, and looks at what the others had after the step before. */
static void climb(void *user, int64_t step, int part, int thread) {
  ladder *l = user;
  const int64_t before = step * (step - 1) / 2;
  if (thread < 0 || thread >= l->size || part < 0 || part >= l->size) atomic_fetch_add(&l->wrong, 1);
  if (l->sums[2 * part + step % 2] != (step > 1 ? (step - 2) * (step - 1) / 2 : 0)) atomic_fetch_add(&l->wrong, 1);
  for (int i = 0; step && i < l->size; i++) {
    if (l->sums[2 * i + (step + 1) % 2] != before) atomic_fetch_add(&l->wrong, 1);
  }
  l->sums[2 * part + step % 2] = before + step;
  if (thread == l->delayed && step % 16 == 3) usleep(300);
}

static void steps_are_done_in_order(void **state) {
  (void)state;
  for (int threads = 1; threads <= 5; threads++) {
    retc_team *team;
    assert_int_equal(retc_team_create(threads, &diagnostics, &team), RETC_OK);
    for (int run = 0; run < 60; run++) {
      int64_t sums[10] = {0}, slots[5] = {0};
      ladder l = {.size = threads, .sums = sums, .delayed = run % (threads + 1) - 1};
      retc_team_run_steps(team, run, climb, &l);
      assert_int_equal(atomic_load(&l.wrong), 0);
      for (int i = 0; run && i < threads; i++)
        assert_int_equal(sums[2 * i + (run + 1) % 2], (int64_t)run * (run - 1) / 2);
      relay r = {.rounds = run % 3, .slots = slots}; /* the two ways to use a team take turns */
      if (run % 7 == 0) retc_team_run(team, relay_body, &r);
      assert_int_equal(atomic_load(&r.wrong), 0);
      if (run == 20) usleep(20000);
    }
    retc_team_destroy(team);
  }
}

static void teams_of_odd_sizes(void **state) {
  (void)state;
  retc_team *team;
  assert_int_equal(retc_team_create(0, &diagnostics, &team), RETC_OK);
  assert_true(retc_team_size(team) >= 1);
  retc_team_destroy(team);
  retc_team_destroy(NULL);
  assert_refused(retc_team_create(-1, &diagnostics, &team), RETC_INVALID, "-1 threads");
  assert_null(team);
}

/* ---- a plan by hand: logits[b, l, v] = (running sum of the row's tokens + position) * weight[v, 0]; the running sum
 * is a state, so the answer does not depend on how tokens are cut into calls. */

enum { VOCABULARY = 70, CHUNK = 4 };

static void split(int64_t count, int64_t thread, int64_t threads, int64_t *out_low, int64_t *out_high) {
  *out_low = count * thread / threads;
  *out_high = count * (thread + 1) / threads;
}

/* sums[b, t] = running sum; the state takes the last. Uses its scratch to find threads that share it. */
static void kernel_sum(const int64_t *tokens, double *total, double *sums, int64_t B, int64_t T, void *scratch,
                       int64_t thread, int64_t threads) {
  int64_t low, high, *mine = scratch;
  split(B, thread, threads, &low, &high);
  for (int64_t i = 0; i < 100; i++) mine[i] = thread;
  for (int64_t b = low; b < high; b++) {
    for (int64_t t = 0; t < T; t++) sums[b * T + t] = total[b] += (double)tokens[b * T + t];
  }
  for (int64_t i = 0; i < 100; i++) {
    if (mine[i] != thread) sums[0] = NAN;
  }
}

static void kernel_logits(const double *sums, const float *panels, const float *bias, float *logits, int64_t B,
                          int64_t T, int64_t N, int64_t L, int64_t P, void *scratch, int64_t thread, int64_t threads) {
  int64_t low, high;
  (void)scratch;
  split(VOCABULARY, thread, threads, &low, &high);
  for (int64_t b = 0; b < B; b++) {
    for (int64_t l = 0; l < L; l++) {
      int64_t t = T - L + l, chunks = (P + T - 1) / CHUNK - P / CHUNK + 1;
      for (int64_t v = low; v < high; v++) {
        float value = (float)(sums[b * T + t] + (double)(P + t)) * panels[v] + bias[0];
        logits[(b * L + l) * VOCABULARY + v] = N == chunks ? value : NAN;
      }
    }
  }
}

/* state_0[b] = total[b] + P. */
static void kernel_state(const double *total, float *out, int64_t B, int64_t P, void *scratch, int64_t thread,
                         int64_t threads) {
  (void)scratch, (void)threads;
  for (int64_t b = 0; thread == 0 && b < B; b++) out[b] = (float)(total[b] + (double)P);
}

/* Marks every element of work[B,N,3]: out of bounds when slots were sized too small. */
static void kernel_fill(float *work, int64_t B, int64_t N, void *scratch, int64_t thread, int64_t threads) {
  (void)scratch, (void)threads;
  for (int64_t i = 0; thread == 0 && i < B * N * 3; i++) work[i] = 1;
}

static void *find(retc_executable *executable, const char *name) {
  (void)executable;
  static const struct {
    const char *name;
    void (*function)(void);
  } kernels[] = {{"sum", (void (*)(void))kernel_sum},
                 {"logits", (void (*)(void))kernel_logits},
                 {"state", (void (*)(void))kernel_state},
                 {"fill", (void (*)(void))kernel_fill}};
  void *address = NULL;
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    if (strcmp(kernels[i].name, name) == 0) memcpy(&address, &kernels[i].function, sizeof address);
  }
  return address;
}

enum { TOKENS, TOTAL, SUMS, WEIGHT, BIAS, LOGITS, STATE, WORK };

static void add_step(retc_plan *plan, retc_plan_entry *entry, int kernel, const int *buffers) {
  RETC_VEC_PUSH(&plan->arena, entry->steps, ((retc_plan_step){kernel, buffers, "by hand"}));
}

static retc_plan *make_plan(void) {
  static const float bias[] = {0.5f};
  static const int sum[] = {TOKENS, TOTAL, SUMS}, logits[] = {SUMS, WEIGHT, BIAS, LOGITS}, state[] = {TOTAL, STATE};
  static const int fill[] = {WORK};
  const retc_shape logits_shape = {3, {RETC_NAMED(B), RETC_NAMED(L), VOCABULARY}};
  const retc_plan_buffer buffers[] = {
      [TOKENS] = {"tokens", RETC_PLAN_INPUT, RETC_DTYPE_I64, {2, {RETC_NAMED(B), RETC_NAMED(T)}}, 0, NULL, 0, 0},
      [TOTAL] = {"total", RETC_PLAN_STATE, RETC_DTYPE_F64, {1, {RETC_NAMED(B)}}, 0, NULL, 0, 0},
      [SUMS] = {"sums", RETC_PLAN_SCRATCH, RETC_DTYPE_F64, {2, {RETC_NAMED(B), RETC_NAMED(T)}}, 0, NULL, 0, 0},
      [WEIGHT] = {"weight", RETC_PLAN_WEIGHT, RETC_DTYPE_F32, {2, {VOCABULARY, 1}}, RETC_LAYOUT_PANEL, NULL, 0, 0},
      [BIAS] = {"bias", RETC_PLAN_CONSTANT, RETC_DTYPE_F32, {1, {1}}, 0, bias, 0, 0},
      [LOGITS] = {"logits", RETC_PLAN_OUTPUT, RETC_DTYPE_F32, logits_shape, 0, NULL, 1},
      [STATE] = {"state_0", RETC_PLAN_OUTPUT, RETC_DTYPE_F32, {1, {RETC_NAMED(B)}}, 0, NULL, 1},
      [WORK] = {"work", RETC_PLAN_SCRATCH, RETC_DTYPE_F32, {3, {RETC_NAMED(B), RETC_NAMED(N), 3}}, 0, NULL, 2},
  };
  const retc_plan_kernel kernels[] = {
      {.name = "sum", .buffer_count = 3, .dim_count = 2, .dims = {RETC_DIM_B, RETC_DIM_T}, .scratch_bytes = 800},
      {.name = "logits",
       .buffer_count = 4,
       .dim_count = 5,
       .dims = {RETC_DIM_B, RETC_DIM_T, RETC_DIM_N, RETC_DIM_L, RETC_DIM_P}},
      {.name = "state", .buffer_count = 2, .dim_count = 2, .dims = {RETC_DIM_B, RETC_DIM_P}},
      {.name = "fill", .buffer_count = 1, .dim_count = 2, .dims = {RETC_DIM_B, RETC_DIM_N}},
  };
  retc_plan *plan = retc_plan_create();
  plan->vocabulary_size = VOCABULARY;
  plan->chunk_length = CHUNK;
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) RETC_VEC_PUSH(&plan->arena, plan->buffers, buffers[i]);
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) RETC_VEC_PUSH(&plan->arena, plan->kernels, kernels[i]);
  retc_plan_slot slots[3] = {0};
  RETC_VEC_PUSH(&plan->arena, slots[0].buffers, SUMS);
  RETC_VEC_PUSH(&plan->arena, slots[1].buffers, LOGITS);
  RETC_VEC_PUSH(&plan->arena, slots[1].buffers, STATE);
  RETC_VEC_PUSH(&plan->arena, slots[2].buffers, WORK);
  for (int i = 0; i < 3; i++) RETC_VEC_PUSH(&plan->arena, plan->slots, slots[i]);
  retc_plan_entry step = {.name = "step"}, states = {.name = "state"};
  add_step(plan, &step, 3, fill);
  add_step(plan, &step, 0, sum);
  add_step(plan, &step, 1, logits);
  add_step(plan, &states, 2, state);
  RETC_VEC_PUSH(&plan->arena, step.outputs, ((retc_plan_output){"logits", LOGITS}));
  RETC_VEC_PUSH(&plan->arena, states.outputs, ((retc_plan_output){buffers[STATE].name, STATE}));
  RETC_VEC_PUSH(&plan->arena, plan->entries, step);
  RETC_VEC_PUSH(&plan->arena, plan->entries, states);
  return plan;
}

/* What a step writes begins a group with the next that touches it, or its memory. */
static void steps_that_meet_are_apart(void **unused) {
  (void)unused;
  retc_plan *plan = make_plan();
  retc_step_groups groups;
  assert_int_equal(retc_step_groups_init(&groups, plan, &plan->entries.items[0], &diagnostics), RETC_OK);
  assert_int_equal(groups.count, 2); /* fill and sum, which fill other slots; logits of the sums */
  const size_t first[] = {0, 2, 3};
  assert_memory_equal(groups.first, first, sizeof first);
  retc_step_groups_deinit(&groups);
  plan->buffers.items[WORK].slot = plan->buffers.items[SUMS].slot;
  assert_int_equal(retc_step_groups_init(&groups, plan, &plan->entries.items[0], &diagnostics), RETC_OK);
  assert_int_equal(groups.count, 3);
  retc_step_groups_deinit(&groups);
  /* Sums, what reads them, and then what writes where they lie. */
  static const int sum[] = {TOKENS, TOTAL, SUMS}, logits[] = {SUMS, WEIGHT, BIAS, LOGITS}, fill[] = {WORK};
  retc_plan_entry behind = {.name = "behind"};
  add_step(plan, &behind, 0, sum);
  add_step(plan, &behind, 1, logits);
  add_step(plan, &behind, 3, fill);
  assert_int_equal(retc_step_groups_init(&groups, plan, &behind, &diagnostics), RETC_OK);
  assert_int_equal(groups.count, 3);
  retc_step_groups_deinit(&groups);
  /* Two that are given one state, which may change it. */
  static const int state[] = {TOTAL, STATE};
  retc_plan_entry shared = {.name = "shared"};
  add_step(plan, &shared, 0, sum);
  add_step(plan, &shared, 2, state);
  assert_int_equal(retc_step_groups_init(&groups, plan, &shared, &diagnostics), RETC_OK);
  assert_int_equal(groups.count, 2);
  retc_step_groups_deinit(&groups);
  retc_plan_destroy(plan);
}

typedef struct machine {
  retc_plan *plan;
  retc_checkpoint *checkpoint;
  retc_weights weights;
  retc_executable executable;
  retc_team *team;
  retc_program *program;
} machine;

/* A checkpoint with one f16 [VOCABULARY,1] tensor: element v is v + 1. */
static retc_checkpoint *make_checkpoint(const char *name, int64_t rows) {
  char path[512];
  const char *place = getenv("TMPDIR");
  uint16_t values[VOCABULARY];
  retc_checkpoint *checkpoint;
  snprintf(path, sizeof path, "%s/retc-runtime-%ld.safetensors", place ? place : P_tmpdir, (long)getpid());
  for (int i = 0; i < VOCABULARY; i++) values[i] = retc_f32_to_f16((float)(i + 1));
  retc_tensor_to_write tensor = {.name = name, .dtype = RETC_DTYPE_F16, .rank = 2, .dim = {rows, 1}, .data = values};
  assert_int_equal(retc_safetensors_write(path, &tensor, 1, &diagnostics), RETC_OK);
  assert_int_equal(retc_checkpoint_open_file(path, &diagnostics, &checkpoint), RETC_OK);
  unlink(path);
  return checkpoint;
}

static void machine_init(machine *m, int threads) {
  *m = (machine){.plan = make_plan(), .executable = {.find = find}};
  m->checkpoint = make_checkpoint("weight", VOCABULARY);
  assert_int_equal(retc_weights_load(m->plan, m->checkpoint, &diagnostics, &m->weights), RETC_OK);
  assert_int_equal(retc_team_create(threads, &diagnostics, &m->team), RETC_OK);
  assert_int_equal(
      retc_program_create(m->plan, &m->weights, &m->executable, m->team, &diagnostics, &m->program), RETC_OK);
}

static void machine_deinit(machine *m) {
  retc_program_destroy(m->program);
  retc_team_destroy(m->team);
  retc_weights_deinit(&m->weights);
  retc_checkpoint_destroy(m->checkpoint);
  retc_plan_destroy(m->plan);
}

static int64_t token_at(int64_t row, int64_t position) { return (row * 31 + position * 7) % VOCABULARY; }

static void assert_logits(const retc_run *run, int64_t first, int64_t count) {
  const float *logits = retc_run_output(run, "logits");
  assert_non_null(logits);
  for (int64_t b = 0; b < retc_run_batch(run); b++) {
    double sum = 0;
    for (int64_t p = 0; p < first; p++) sum += (double)token_at(b, p);
    for (int64_t l = 0; l < count; l++) {
      int64_t position = first + l;
      sum += (double)token_at(b, position);
      for (int64_t v = 0; v < VOCABULARY; v++) {
        float expected = (float)(sum + (double)position) * (float)(v + 1) + 0.5f;
        assert_true(logits[(b * count + l) * VOCABULARY + v] == expected);
      }
    }
  }
}

/* Feeds the tokens from the run's position on, with rows further apart than they are long. */
static void feed(retc_run *run, int64_t count, int64_t logits) {
  enum { STRIDE = 40 };
  int64_t tokens[3 * STRIDE], position = retc_run_position(run);
  memset(tokens, 0xff, sizeof tokens);
  for (int64_t b = 0; b < retc_run_batch(run); b++) {
    for (int64_t t = 0; t < count; t++) tokens[b * STRIDE + t] = token_at(b, position + t);
  }
  assert_int_equal(retc_run_step(run, tokens, count, STRIDE, logits, &diagnostics), RETC_OK);
  assert_int_equal(retc_run_position(run), position + count);
  assert_logits(run, position + count - logits, logits);
}

static void programs_run_in_any_cut(void **state) {
  (void)state;
  static const int64_t cuts[][4] = {{1, 1, 1, 1}, {9, 9, 9, 9}, {3, 1, 9, 2}, {4, 8, 4, 1}};
  for (int threads = 1; threads <= 3; threads++) {
    machine m;
    machine_init(&m, threads);
    const retc_run_options options = {.batch = 3, .max_tokens = 9, .max_logits = 5};
    retc_run *run;
    assert_int_equal(retc_run_create(m.program, &options, &diagnostics, &run), RETC_OK);
    assert_int_equal(retc_run_max_tokens(run), 9);
    assert_int_equal(retc_run_max_logits(run), 5);
    assert_null(retc_run_output(run, "logits"));
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
      for (int k = 0; k < 4; k++) feed(run, cuts[i][k], cuts[i][k] < 5 ? cuts[i][k] : 5);
      int64_t position = retc_run_position(run);
      assert_int_equal(retc_run_state(run, &diagnostics), RETC_OK);
      assert_null(retc_run_output(run, "logits"));
      const float *states = retc_run_output(run, "state_0");
      for (int64_t b = 0; b < 3; b++) {
        double sum = (double)position;
        for (int64_t p = 0; p < position; p++) sum += (double)token_at(b, p);
        assert_true(states[b] == (float)sum);
      }
      assert_int_equal(retc_run_position(run), position);
      retc_run_reset(run);
      assert_int_equal(retc_run_position(run), 0);
    }
    retc_run_destroy(run);
    machine_deinit(&m);
  }
}

/* The bound on N that slots are sized by: every phase of the grid, every length; the sanitizer sees an overrun. */
static void slots_hold_every_phase(void **state) {
  (void)state;
  machine m;
  machine_init(&m, 2);
  for (int64_t most = 1; most <= 10; most++) {
    for (int64_t phase = 0; phase < CHUNK; phase++) {
      const retc_run_options options = {.batch = 2, .max_tokens = most, .max_logits = 1};
      retc_run *run;
      assert_int_equal(retc_run_create(m.program, &options, &diagnostics, &run), RETC_OK);
      for (int64_t i = 0; i < phase; i++) feed(run, 1, 1);
      feed(run, most, 1);
      retc_run_destroy(run);
    }
  }
  machine_deinit(&m);
}

static void calls_are_checked(void **state) {
  (void)state;
  machine m;
  machine_init(&m, 1);
  retc_run *run;
  retc_run_options options = {.batch = 2, .max_tokens = 4, .max_logits = 2};
  assert_int_equal(retc_run_create(m.program, &options, &diagnostics, &run), RETC_OK);
  int64_t tokens[] = {1, 2, 3, 4, 5, 6, 7, VOCABULARY};
  assert_refused(retc_run_step(run, tokens, 0, 4, 1, &diagnostics), RETC_INVALID, "0 tokens");
  assert_refused(retc_run_step(run, tokens, 5, 4, 1, &diagnostics), RETC_INVALID, "expected 1 to 4");
  assert_refused(retc_run_step(run, tokens, 3, 4, 3, &diagnostics), RETC_INVALID, "expected 1 to 2");
  assert_refused(retc_run_step(run, tokens, 1, 4, 2, &diagnostics), RETC_INVALID, "expected 1 to 1");
  assert_refused(retc_run_step(run, tokens, 3, 4, 0, &diagnostics), RETC_INVALID, "expected 1 to 2");
  assert_refused(retc_run_step(run, tokens, 4, 4, 1, &diagnostics), RETC_INVALID, "tokens[1,3] is 70, expected 0..69");
  assert_int_equal(retc_run_position(run), 0);
  tokens[0] = -1;
  assert_refused(retc_run_step(run, tokens, 1, 4, 1, &diagnostics), RETC_INVALID, "tokens[0,0] is -1");
  assert_null(retc_run_output(run, "sums"));
  assert_null(retc_run_output(run, "absent"));
  retc_run_destroy(run);
  options.batch = 0;
  assert_refused(retc_run_create(m.program, &options, &diagnostics, &run), RETC_INVALID, "batch is 0");
  options.batch = INT64_MAX / 2;
  assert_refused(retc_run_create(m.program, &options, &diagnostics, &run), RETC_FAILED, "tokens");
  options = (retc_run_options){.batch = 1, .max_tokens = INT64_C(1) << 44, .max_logits = 1};
  assert_refused(retc_run_create(m.program, &options, &diagnostics, &run), RETC_FAILED, "140737488355328 bytes");
  assert_null(run);
  machine_deinit(&m);
}

static void bad_plans_are_defects(void **state) {
  (void)state;
  machine m;
  machine_init(&m, 1);
  retc_program *program;
#define REFUSED(words) \
  assert_refused(retc_program_create(m.plan, &m.weights, &m.executable, m.team, &diagnostics, &program), \
                 RETC_INTERNAL, words)
  retc_plan_kernel *kernel = &m.plan->kernels.items[0];
  kernel->name = "nowhere";
  REFUSED("kernel 'nowhere' is not in the compiled code");
  kernel->name = "sum";
  m.plan->buffers.items[SUMS].slot = 3;
  REFUSED("buffer 'sums'");
  m.plan->buffers.items[SUMS].slot = 0;
  m.plan->entries.items[0].steps.items[0].kernel = 4;
  REFUSED("entry 'step'");
#undef REFUSED
  m.plan->entries.items[0].steps.items[0].kernel = 3;
  machine_deinit(&m);
}

/* ---- weights */

static void weights_are_checked(void **state) {
  (void)state;
  retc_plan *plan = make_plan();
  retc_weights weights;
  retc_checkpoint *misspelt = make_checkpoint("weihgt.", VOCABULARY), *nearby = make_checkpoint("weigth", 3);
  retc_checkpoint *small = make_checkpoint("weight", VOCABULARY - 1);
  assert_refused(retc_weights_load(plan, misspelt, &diagnostics, &weights), RETC_INVALID, "tensor 'weight' is missing");
  assert_refused(retc_weights_load(plan, nearby, &diagnostics, &weights), RETC_INVALID, "did you mean 'weigth'?");
  assert_refused(retc_weights_load(plan, small, &diagnostics, &weights), RETC_INVALID,
                 "tensor 'weight' has shape [69,1], expected [70,1]");
  assert_null(weights.data);
  retc_weights_deinit(&weights);
  retc_checkpoint_destroy(misspelt);
  retc_checkpoint_destroy(nearby);
  retc_checkpoint_destroy(small);
  retc_plan_destroy(plan);
}

static void plain_weights_stay_mapped(void **state) {
  (void)state;
  retc_plan *plan = make_plan();
  retc_checkpoint *checkpoint = make_checkpoint("weight", VOCABULARY);
  retc_weights weights;
  retc_plan_buffer *buffer = &plan->buffers.items[WEIGHT];
  const void *mapped = retc_checkpoint_find(checkpoint, "weight")->data;
  for (int i = 0; i < 4; i++) {
    buffer->layout = i % 2 ? RETC_LAYOUT_PANEL : RETC_LAYOUT_PLAIN;
    buffer->dtype = i / 2 ? RETC_DTYPE_F32 : RETC_DTYPE_F16;
    assert_int_equal(retc_weights_load(plan, checkpoint, &diagnostics, &weights), RETC_OK);
    assert_int_equal(weights.data[WEIGHT] == mapped, i == 0);
    assert_true(i == 0 || (uintptr_t)weights.data[WEIGHT] % 64 == 0);
    for (size_t v = 0; v < VOCABULARY; v++) {
      assert_true(retc_dtype_load(buffer->dtype, weights.data[WEIGHT], v) == (double)(v + 1));
    }
    assert_true(((float *)weights.data[BIAS])[0] == 0.5f && (uintptr_t)weights.data[BIAS] % 64 == 0);
    assert_null(weights.data[TOTAL]);
    retc_weights_deinit(&weights);
  }
  retc_checkpoint_destroy(checkpoint);
  retc_plan_destroy(plan);
}

static void plans_print_as_json(void **state) {
  (void)state;
  retc_plan *plan = make_plan();
  retc_text text;
  retc_text_init(&text);
  retc_plan_print_json(plan, &text);
  json_t *root = json_loads(text.data, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(root);
  json_t *buffer = json_array_get(json_object_get(root, "buffers"), LOGITS);
  json_t *kernel = json_array_get(json_object_get(root, "kernels"), 0);
  json_t *bias = json_array_get(json_object_get(root, "buffers"), BIAS);
  assert_int_equal(json_integer_value(json_object_get(root, "version")), RETC_PLAN_VERSION);
  assert_string_equal(json_string_value(json_array_get(json_object_get(buffer, "shape"), 1)), "L");
  assert_int_equal(json_integer_value(json_array_get(json_object_get(buffer, "shape"), 2)), VOCABULARY);
  assert_true(json_real_value(json_array_get(json_object_get(bias, "values"), 0)) == 0.5);
  assert_string_equal(json_string_value(json_object_get(kernel, "signature")),
                      "void sum(void *buffer_0, void *buffer_1, void *buffer_2, int64_t B, int64_t T, void *scratch, "
                      "int64_t thread, int64_t threads)");
  json_t *steps = json_object_get(json_array_get(json_object_get(root, "entries"), 0), "steps");
  assert_int_equal(json_array_size(steps), 3);
  json_decref(root);
  retc_text_deinit(&text);
  retc_plan_destroy(plan);
}

static void memory_is_aligned_or_refused(void **state) {
  (void)state;
  void *memory;
  assert_int_equal(retc_memory_alloc("x", 0, 4, &diagnostics, &memory), RETC_OK);
  assert_true(memory && (uintptr_t)memory % 64 == 0);
  free(memory);
  assert_refused(retc_memory_alloc("x", INT64_MAX, 4, &diagnostics, &memory), RETC_FAILED, "x: 9223372036854775807");
  assert_refused(retc_memory_alloc("x", INT64_C(1) << 50, 4, &diagnostics, &memory), RETC_FAILED,
                 "x: the system refused 4503599627370496 bytes");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(panels_hold_every_element),
      cmocka_unit_test(barriers_order_memory), cmocka_unit_test(steps_are_done_in_order),
      cmocka_unit_test(teams_of_odd_sizes),
      cmocka_unit_test(steps_that_meet_are_apart),
      cmocka_unit_test(programs_run_in_any_cut),
      cmocka_unit_test(slots_hold_every_phase),
      cmocka_unit_test(calls_are_checked),
      cmocka_unit_test(bad_plans_are_defects),
      cmocka_unit_test(weights_are_checked),
      cmocka_unit_test(plain_weights_stay_mapped),
      cmocka_unit_test(plans_print_as_json),
      cmocka_unit_test(memory_is_aligned_or_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
