#include "runtime/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64, SPINS = 4000, SPINS_CROWDED = 50 };

/* Pauses after which somebody else's part is taken, and after which the CPU is offered to whoever holds the last one.
 */
enum { PATIENCE = 64, YIELD = 2000 };

/* The last bit of the phase of a team's start. */
enum { KIND_STEPS = 0, KIND_RUN = 1 };

/* Threads wait for the phase to change: they spin a little, then sleep. */
typedef struct gate {
  _Alignas(CACHE_LINE) atomic_uint phase;
  atomic_int sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
} gate;

struct retc_team {
  gate start, meeting;
  _Alignas(CACHE_LINE) atomic_int arrived; /* at the meeting */
  int size, spins, patience;
  atomic_bool stop;
  void (*body)(void *user, retc_team *team, int thread);
  void *user;
  /* Steps are counted over all calls. What a call sets is read only by who has claimed a part of one of its steps: then
   * the call cannot end before this part is done. */
  void (*step_body)(void *user, int64_t step, int part, int thread);
  void *step_user;
  int64_t first_step;                          /* of the call */
  _Alignas(CACHE_LINE) atomic_llong step_end;  /* of the call */
  _Alignas(CACHE_LINE) atomic_llong done;      /* parts of steps */
  struct member {
    _Alignas(CACHE_LINE) atomic_llong claimed; /* steps in which this part has been claimed */
    retc_team *team;
    int thread;
    pthread_t handle;
  } *members; /* [size]; the first is the caller's and has no handle */
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
  __asm__ volatile("yield" ::: "memory");
#endif
}

static void gate_init(gate *g) {
  atomic_init(&g->phase, 0);
  atomic_init(&g->sleepers, 0);
  pthread_mutex_init(&g->mutex, NULL);
  pthread_cond_init(&g->changed, NULL);
}

static void gate_deinit(gate *g) {
  pthread_cond_destroy(&g->changed);
  pthread_mutex_destroy(&g->mutex);
}

static void gate_wait(gate *g, unsigned phase, int spins) {
  for (int i = 0; i < spins; i++) {
    if (atomic_load_explicit(&g->phase, memory_order_acquire) != phase) return;
    relax();
  }
  pthread_mutex_lock(&g->mutex);
  atomic_fetch_add(&g->sleepers, 1);
  while (atomic_load(&g->phase) == phase) pthread_cond_wait(&g->changed, &g->mutex);
  atomic_fetch_sub(&g->sleepers, 1);
  pthread_mutex_unlock(&g->mutex);
}

/* Changing the phase and then reading `sleepers`, while a sleeper counts itself and then reads the phase, both in the
 * one order of all sequentially consistent operations: one of the two sees the other, so no wake-up is lost, and the
 * mutex is left alone when nobody sleeps. */
static void gate_open(gate *g, unsigned phase) {
  atomic_store(&g->phase, phase);
  if (atomic_load(&g->sleepers) == 0) return;
  pthread_mutex_lock(&g->mutex);
  pthread_cond_broadcast(&g->changed);
  pthread_mutex_unlock(&g->mutex);
}

int retc_team_default_size(void) {
  for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
    cpu_set_t *set = CPU_ALLOC(bits);
    if (!set) return 1;
    size_t size = CPU_ALLOC_SIZE(bits);
    int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return 1;
}

static bool claim(retc_team *team, int part, long long step) {
  atomic_llong *claimed = &team->members[part].claimed;
  long long expected = step;
  return atomic_load_explicit(claimed, memory_order_relaxed) == step &&
         atomic_compare_exchange_strong_explicit(claimed, &expected, step + 1, memory_order_acq_rel,
                                                 memory_order_relaxed);
}

/* The own part, or that of `late` (-1: nobody), or, when nothing has happened for a while, any. -1: none is left. */
static int claim_any(retc_team *team, int thread, int late, long long step, int waited) {
  if (claim(team, thread, step)) return thread;
  if (late >= 0 && claim(team, late, step)) return late;
  for (int part = 0; waited >= team->patience && part < team->size; part++) {
    if (claim(team, part, step)) return part;
  }
  return -1;
}

/* Does parts until there is no step left. Who did not come for its part is not waited for in the next step either. */
static void work_off(retc_team *team, int thread) {
  long long missed = -1; /* the last step in which the part of another one was taken, and whose */
  int late = -1;
  for (int waited = 0;;) {
    const long long step = atomic_load_explicit(&team->done, memory_order_acquire) / team->size;
    if (step >= atomic_load_explicit(&team->step_end, memory_order_acquire)) return;
    const int part = claim_any(team, thread, step <= missed + 1 ? late : -1, step, waited);
    if (part >= 0) {
      team->step_body(team->step_user, step - team->first_step, part, thread);
      atomic_fetch_add_explicit(&team->done, 1, memory_order_acq_rel);
      if (part != thread) missed = step, late = part;
      waited = 0;
    } else if (++waited < YIELD) {
      relax();
    } else {
      sched_yield();
      waited = team->patience;
    }
  }
}

static void *member_main(void *argument) {
  const struct member *self = argument;
  retc_team *team = self->team;
  for (unsigned phase = KIND_STEPS;;) {
    gate_wait(&team->start, phase, team->spins);
    phase = atomic_load(&team->start.phase);
    if (atomic_load(&team->stop)) return NULL;
    if (phase % 2 == KIND_STEPS) {
      work_off(team, self->thread);
    } else {
      team->body(team->user, team, self->thread);
      retc_team_barrier(team);
    }
  }
}

static void start(retc_team *team, unsigned kind) {
  gate_open(&team->start, (atomic_load(&team->start.phase) / 2 + 1) * 2 + kind);
}

/* Ends and frees a team of which the threads before `started` run. */
static void dissolve(retc_team *team, int started) {
  atomic_store(&team->stop, true);
  start(team, KIND_STEPS);
  for (int i = 1; i < started; i++) pthread_join(team->members[i].handle, NULL);
  gate_deinit(&team->start);
  gate_deinit(&team->meeting);
  free(team->members);
  free(team);
}

retc_status retc_team_create(int threads, retc_diagnostics *diagnostics, retc_team **out_team) {
  *out_team = NULL;
  if (threads < 0) return retc_fail(diagnostics, RETC_INVALID, "%d threads, expected 0 or more", threads);
  int cpus = retc_team_default_size(), size = threads ? threads : cpus;
  retc_team *team = aligned_alloc(CACHE_LINE, sizeof *team);
  struct member *members = aligned_alloc(CACHE_LINE, (size_t)size * sizeof *members);
  if (!team || !members) {
    free(team);
    free(members);
    return retc_fail(diagnostics, RETC_FAILED, "out of memory for a team of %d threads", size);
  }
  memset(team, 0, sizeof *team);
  gate_init(&team->start);
  gate_init(&team->meeting);
  atomic_init(&team->arrived, 0);
  team->size = size;
  /* With more threads than CPUs a spinning thread keeps the one that it waits for from running. */
  team->spins = size <= cpus ? SPINS : SPINS_CROWDED;
  team->patience = size <= cpus ? PATIENCE : 0;
  atomic_init(&team->stop, false);
  atomic_init(&team->step_end, 0);
  atomic_init(&team->done, 0);
  team->members = members;
  for (int i = 0; i < size; i++) {
    members[i].team = team;
    members[i].thread = i;
    atomic_init(&members[i].claimed, 0);
  }
  for (int i = 0; i < size; i++) {
    int error = i ? pthread_create(&members[i].handle, NULL, member_main, &members[i]) : 0;
    if (error) {
      dissolve(team, i);
      return retc_fail(diagnostics, RETC_FAILED, "thread %d of %d could not be started: %s", i + 1, size,
                       strerror(error));
    }
  }
  *out_team = team;
  return RETC_OK;
}

void retc_team_destroy(retc_team *team) {
  if (team) dissolve(team, team->size);
}

int retc_team_size(const retc_team *team) { return team->size; }

void retc_team_run(retc_team *team, void (*body)(void *user, retc_team *team, int thread), void *user) {
  team->body = body;
  team->user = user;
  start(team, KIND_RUN);
  body(user, team, 0);
  retc_team_barrier(team);
}

void retc_team_run_steps(retc_team *team, int64_t steps, void (*body)(void *user, int64_t step, int part, int thread),
                         void *user) {
  team->step_body = body;
  team->step_user = user;
  team->first_step = atomic_load_explicit(&team->step_end, memory_order_relaxed);
  atomic_store_explicit(&team->step_end, team->first_step + steps, memory_order_release);
  if (team->size > 1) start(team, KIND_STEPS);
  work_off(team, 0);
}

void retc_team_barrier(retc_team *team) {
  unsigned phase = atomic_load_explicit(&team->meeting.phase, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 < team->size) {
    gate_wait(&team->meeting, phase, team->spins);
    return;
  }
  atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
  gate_open(&team->meeting, phase + 1);
}
