#include "compiler/main/program_profile.h"

#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print(const retc_plan_entry *entry, const retc_plan *plan, double *samples, int64_t rounds) {
  double all = 0;
  fprintf(stderr, "%-20s %12s  region (medians of %lld calls)\n", "kernel", "us", (long long)rounds);
  for (size_t i = 0; i < entry->steps.count; i++) {
    const retc_plan_step *step = &entry->steps.items[i];
    double *own = samples + (int64_t)i * rounds;
    qsort(own, (size_t)rounds, sizeof *own, by_value);
    all += own[rounds / 2];
    fprintf(stderr, "%-20s %12.2f  %s\n", plan->kernels.items[step->kernel].name, 1e6 * own[rounds / 2],
            step->region ? step->region : "");
  }
  fprintf(stderr, "%-20s %12.2f\n", "all", 1e6 * all);
}

retc_status retc_program_profile(retc_run *run, const retc_plan_entry *entry, const retc_plan *plan,
                                 const retc_dims *dims, const retc_run_input *inputs, size_t count, int threads,
                                 int64_t rounds, retc_diagnostics *diagnostics) {
  const size_t steps = entry->steps.count;
  retc_run_span *spans = calloc(steps * (size_t)threads + 1, sizeof *spans);
  double *samples = calloc(steps * (size_t)rounds + 1, sizeof *samples);
  retc_status status = RETC_OK;
  if (!spans || !samples) status = retc_fail(diagnostics, RETC_FAILED, "out of memory for a profile");
  retc_run_set_spans(run, spans);
  for (int64_t round = 0; round < rounds && status == RETC_OK; round++) {
    status = retc_run_call(run, entry->name, dims, inputs, count, diagnostics);
    for (size_t i = 0; i < steps; i++) samples[(int64_t)i * rounds + round] = retc_run_step_seconds(spans, steps, i, threads);
  }
  retc_run_set_spans(run, NULL);
  if (status == RETC_OK && rounds) print(entry, plan, samples, rounds);
  free(spans);
  free(samples);
  return status;
}
