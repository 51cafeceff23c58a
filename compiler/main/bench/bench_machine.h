/* What this machine can do at most. A process of its own measures it, whenever asked, so that its memory is not counted
 * as that of what is benchmarked. */
#ifndef RETC_BENCH_MACHINE_H
#define RETC_BENCH_MACHINE_H

#include "base/status.h"
#include "compiler/main/bench/bench_probes.h"

/* The best rate so far of each kind of probe, operations or bytes a second; 0: the CPU cannot do it. */
typedef struct retc_machine_rates {
  double all[RETC_PROBE_KIND_COUNT]; /* threads together */
  double one[RETC_PROBE_KIND_COUNT];
  char name[RETC_PROBE_KIND_COUNT][40]; /* of the probe that was best with all threads */
  int64_t bytes_read;                   /* by one probe of reading */
  double again;   /* of reading `again_bytes` over and over, which caches may hold; 0: not measured */
  int64_t again_bytes;
} retc_machine_rates;

typedef struct retc_machine {
  int threads;
  int requests, answers; /* pipes */
  int process;
  retc_machine_rates rates;
} retc_machine;

/* To be called before the process has threads. 0 threads: as many as may run. */
retc_status retc_machine_init(retc_machine *machine, int threads, retc_diagnostics *diagnostics);
/* Measures now and keeps what is better than before. `again_bytes`: see retc_machine_rates; 0, or more than the other
 * probes of reading take: not measured. */
retc_status retc_machine_measure(retc_machine *machine, int64_t again_bytes, retc_diagnostics *diagnostics);
void retc_machine_deinit(retc_machine *machine);

/* Runs body(user, numbers) in a process of its own and waits; what it writes to numbers[count] comes back. Its messages
 * do, too. */
retc_status retc_run_apart(retc_status (*body)(void *user, double *numbers, retc_diagnostics *diagnostics), void *user,
                           double *numbers, size_t count, retc_diagnostics *diagnostics);

double retc_now(void); /* seconds, of a clock that only goes forward */

#endif
