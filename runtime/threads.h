/* A fixed team of threads that enters one function together and meets at barriers. The caller is thread 0. */
#ifndef RETC_RUNTIME_THREADS_H
#define RETC_RUNTIME_THREADS_H

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
/* Inside body: waits until every thread of the team has arrived. */
void retc_team_barrier(retc_team *team);

#endif
