/* A fixed team of threads: it enters one function together and meets at barriers, or works off steps. The caller is
 * thread 0. */
#ifndef RETC_RUNTIME_THREADS_H
#define RETC_RUNTIME_THREADS_H

#include <stdint.h>

#include "base/status.h"

typedef struct retc_team retc_team;

/* The CPUs that this process may run on. */
int retc_team_default_size(void);
/* 0: as many threads as the process may run on. */
retc_status retc_team_create(int threads, retc_diagnostics *diagnostics, retc_team **out_team);
void retc_team_destroy(retc_team *team);
int retc_team_size(const retc_team *team);
/* Runs body(user, team, thread) once on every thread and returns when all are done. */
void retc_team_run(retc_team *team, void (*body)(void *user, retc_team *team, int thread), void *user);
/* Runs body(user, step, part, thread) once for each step < steps and each part < the team's size, and returns when all
 * is done. A step begins when all parts of the one before are done. Part p is thread p's, but a thread that does not
 * come for its part, since the system runs something else on its CPU, is not waited for: another one, `thread`, takes
 * it. */
void retc_team_run_steps(retc_team *team, int64_t steps, void (*body)(void *user, int64_t step, int part, int thread),
                         void *user);
/* Inside body of retc_team_run: waits until every thread of the team has arrived. */
void retc_team_barrier(retc_team *team);

#endif
