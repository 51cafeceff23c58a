#include "compiler/main/bench/bench_machine.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/threads.h"

/* Arithmetic comes in short bursts; reading goes over far more than caches hold. */
enum { REPEATS = 3, LINE = 1024, CACHES = 4, AGAIN_LEAST = 3, AGAIN_MAX = 10000 };
static const double BURST_SECONDS = 0.03, HOPELESS = 0.93;
static const int64_t READ_BYTES = (int64_t)1 << 30, READ_BYTES_LEAST = (int64_t)16 << 20;

double retc_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- in the process that measures ---- */

typedef struct worker {
  retc_probe probe;
  retc_probe_part *parts; /* one a thread */
  double *begin, *end, *amount;
} worker;

static void work(void *user, retc_team *team, int thread) {
  worker *w = user;
  retc_team_barrier(team);
  w->begin[thread] = retc_now();
  w->amount[thread] = w->probe.run(&w->parts[thread]);
  w->end[thread] = retc_now();
}

/* Operations or bytes a second. */
static double run_probe(retc_team *team, const retc_probe *probe, int64_t rounds, const char *memory, int64_t bytes,
                        double *out_seconds) {
  enum { THREADS_MAX = 1024 };
  static retc_probe_part parts[THREADS_MAX];
  static double begin[THREADS_MAX], end[THREADS_MAX], amount[THREADS_MAX];
  int threads = retc_team_size(team);
  int64_t share = bytes / threads / LINE * LINE;
  for (int i = 0; i < threads; i++) parts[i] = (retc_probe_part){rounds, memory + i * share, share};
  worker w = {*probe, parts, begin, end, amount};
  retc_team_run(team, work, &w);
  double first = begin[0], last = end[0], sum = 0;
  for (int i = 0; i < threads; i++) {
    if (begin[i] < first) first = begin[i];
    if (end[i] > last) last = end[i];
    sum += amount[i];
  }
  *out_seconds = last - first;
  return sum / (last - first);
}

static double best_of(retc_team *team, const retc_probe *probe, const char *memory, int64_t bytes) {
  double best = 0, seconds;
  int64_t rounds = 100000;
  if (probe->kind != RETC_PROBE_READ) {
    run_probe(team, probe, rounds, memory, bytes, &seconds);
    rounds = 1 + (int64_t)((double)rounds * BURST_SECONDS / (seconds > 1e-6 ? seconds : 1e-6));
  }
  for (int i = 0; i < (probe->kind == RETC_PROBE_READ ? 1 : REPEATS); i++) {
    double rate = run_probe(team, probe, rounds, memory, bytes, &seconds);
    if (rate > best) best = rate;
  }
  return best;
}

/* What a probe has reached so far. */
typedef struct record {
  double all, one;
} record;

/* A probe that was far from the best of its kind is not tried again. */
static bool is_hopeless(const retc_machine_rates *rates, retc_probe_kind kind, const record *r) {
  return r->all > 0 && r->all < HOPELESS * rates->all[kind] && r->one < HOPELESS * rates->one[kind];
}

static void measure(retc_team *team, retc_team *alone, const char *memory, int64_t bytes, record *records,
                    retc_machine_rates *rates) {
  retc_probe probe;
  for (size_t i = 0; retc_probe_at(i, &probe); i++) {
    if (is_hopeless(rates, probe.kind, &records[i])) continue;
    double all = best_of(team, &probe, memory, bytes), one = best_of(alone, &probe, memory, bytes);
    records[i] = (record){all, one};
    if (one > rates->one[probe.kind]) rates->one[probe.kind] = one;
    if (all <= rates->all[probe.kind]) continue;
    rates->all[probe.kind] = all;
    snprintf(rates->name[probe.kind], sizeof rates->name[0], "%s", probe.name);
  }
  rates->bytes_read = bytes;
}

/* Every thread has its part of the bytes in caches, as far as they go there. */
static double best_again(retc_team *team, const retc_probe *probe, const char *memory, int64_t bytes) {
  double best = 0, seconds, spent = 0;
  for (int i = 0; i < AGAIN_MAX && (i < AGAIN_LEAST || spent < BURST_SECONDS); i++, spent += seconds) {
    double rate = run_probe(team, probe, 0, memory, bytes, &seconds);
    if (i && rate > best) best = rate;
  }
  return best;
}

static void measure_again(retc_team *team, const char *memory, int64_t bytes, retc_machine_rates *rates) {
  retc_probe probe;
  bytes += LINE * retc_team_size(team);
  if (!rates->again_bytes || bytes > rates->bytes_read) return;
  for (size_t i = 0; retc_probe_at(i, &probe); i++) {
    double rate = probe.kind == RETC_PROBE_READ ? best_again(team, &probe, memory, bytes) : 0;
    if (rate > rates->again) rates->again = rate;
  }
}

static int64_t available_memory(void) {
  FILE *file = fopen("/proc/meminfo", "r");
  char line[128];
  long long kilobytes = 0;
  while (file && fgets(line, sizeof line, file) && sscanf(line, "MemAvailable: %lld kB", &kilobytes) != 1) continue;
  if (file) fclose(file);
  return kilobytes ? kilobytes * 1024 : READ_BYTES;
}

/* At least READ_BYTES and some times the last cache; less where memory is short. */
static char *alloc_read(int64_t *out_bytes) {
  int64_t bytes = READ_BYTES, cache = sysconf(_SC_LEVEL3_CACHE_SIZE), most = available_memory() / 4;
  if (cache > 0 && CACHES * cache > bytes) bytes = CACHES * cache;
  if (bytes > most) bytes = most;
  if (bytes < READ_BYTES_LEAST) bytes = READ_BYTES_LEAST;
  bytes = bytes / LINE * LINE;
  char *memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  madvise(memory, (size_t)bytes, MADV_HUGEPAGE);
  memset(memory, 1, (size_t)bytes);
  *out_bytes = bytes;
  return memory;
}

static bool read_all(int file, void *data, size_t size) {
  for (char *at = data; size;) {
    ssize_t got = read(file, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= (size_t)got;
  }
  return true;
}

static bool write_all(int file, const void *data, size_t size) {
  for (const char *at = data; size;) {
    ssize_t put = write(file, at, size);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    at += put;
    size -= (size_t)put;
  }
  return true;
}

/* Answers requests until there are no more. */
static void serve(int requests, int answers, int threads) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_team *team = NULL, *alone = NULL;
  retc_machine_rates rates = {0};
  record records[RETC_PROBES_MAX] = {{0}};
  int64_t bytes = 0;
  int64_t again;
  char *memory = NULL;
  if (retc_team_create(threads, &diagnostics, &team) == RETC_OK &&
      retc_team_create(1, &diagnostics, &alone) == RETC_OK) {
    while (read_all(requests, &again, sizeof again)) {
      if (!memory) memory = alloc_read(&bytes);
      if (!memory) break;
      measure(team, alone, memory, bytes, records, &rates);
      rates.again_bytes = again;
      measure_again(team, memory, again, &rates);
      if (!write_all(answers, &rates, sizeof rates)) break;
    }
  }
  retc_team_destroy(team);
  retc_team_destroy(alone);
  if (memory) munmap(memory, (size_t)bytes);
  retc_diagnostics_deinit(&diagnostics);
}

/* ---- in the process that asks ---- */

static retc_status refused(const char *what, retc_diagnostics *diagnostics) {
  return retc_fail(diagnostics, RETC_FAILED, "bench: %s: %s", what, strerror(errno));
}

retc_status retc_machine_init(retc_machine *machine, int threads, retc_diagnostics *diagnostics) {
  int down[2], up[2];
  *machine = (retc_machine){.threads = threads, .requests = -1, .answers = -1, .process = -1};
  if (pipe(down)) return refused("pipe", diagnostics);
  if (pipe(up)) {
    close(down[0]);
    close(down[1]);
    return refused("pipe", diagnostics);
  }
  machine->process = fork();
  if (machine->process == 0) {
    close(down[1]);
    close(up[0]);
    serve(down[0], up[1], threads);
    _exit(0);
  }
  close(down[0]);
  close(up[1]);
  machine->requests = down[1];
  machine->answers = up[0];
  return machine->process > 0 ? RETC_OK : refused("fork", diagnostics);
}

retc_status retc_machine_measure(retc_machine *machine, int64_t again_bytes, retc_diagnostics *diagnostics) {
  if (write_all(machine->requests, &again_bytes, sizeof again_bytes) &&
      read_all(machine->answers, &machine->rates, sizeof machine->rates)) {
    return RETC_OK;
  }
  return retc_fail(diagnostics, RETC_FAILED, "bench: the process that measures this machine has ended, of memory?");
}

static void wait_for(int process) {
  while (waitpid(process, NULL, 0) < 0 && errno == EINTR) continue;
}

void retc_machine_deinit(retc_machine *machine) {
  if (machine->requests >= 0) close(machine->requests);
  if (machine->answers >= 0) close(machine->answers);
  if (machine->process > 0) wait_for(machine->process);
  machine->process = machine->requests = machine->answers = -1;
}

/* The end of a process that measured apart: status, numbers, then its messages. */
static void answer(int file, retc_status status, const double *numbers, size_t count, retc_diagnostics *diagnostics) {
  int code = (int)status;
  const char *text = retc_diagnostics_text(diagnostics);
  if (write_all(file, &code, sizeof code) && write_all(file, numbers, count * sizeof *numbers)) {
    write_all(file, text, strlen(text));
  }
}

static retc_status hear(int file, double *numbers, size_t count, retc_diagnostics *diagnostics) {
  int code;
  if (!read_all(file, &code, sizeof code) || !read_all(file, numbers, count * sizeof *numbers)) {
    return retc_fail(diagnostics, RETC_FAILED, "bench: a process that measures has ended without a result");
  }
  char text[1024];
  ssize_t length = read(file, text, sizeof text - 1);
  while (length > 0 && text[length - 1] == '\n') length--;
  text[length > 0 ? length : 0] = 0;
  return code == RETC_OK ? RETC_OK : retc_fail(diagnostics, (retc_status)code, "%s", text);
}

retc_status retc_run_apart(retc_status (*body)(void *user, double *numbers, retc_diagnostics *diagnostics), void *user,
                           double *numbers, size_t count, retc_diagnostics *diagnostics) {
  int ends[2];
  if (pipe(ends)) return refused("pipe", diagnostics);
  int process = fork();
  if (process == 0) {
    close(ends[0]);
    answer(ends[1], body(user, numbers, diagnostics), numbers, count, diagnostics);
    _exit(0);
  }
  close(ends[1]);
  retc_status status = process > 0 ? hear(ends[0], numbers, count, diagnostics) : refused("fork", diagnostics);
  close(ends[0]);
  if (process > 0) wait_for(process);
  return status;
}
