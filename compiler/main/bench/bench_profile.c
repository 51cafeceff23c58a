#include <stdio.h>
#include <stdlib.h>

#include "compiler/driver/gpu_engine.h"
#include "compiler/main/bench/bench.h"

/* A profile while it is taken: spans of one call, and text of the trace. */
typedef struct taking {
  retc_bench *bench;
  const retc_plan_entry *entry;
  size_t entry_index;
  int threads;
  retc_run_span *spans; /* [threads, steps] */
  double *samples;      /* [kernels, rounds] of a phase: seconds */
  int64_t round;
  double start; /* of the trace */
  retc_text trace;
} taking;

static void trace_call(taking *t, const char *phase, int64_t position) {
  const retc_plan *plan = retc_engine_compilation(t->bench->engine)->plan;
  size_t steps = t->entry->steps.count;
  for (int thread = 0; thread < t->threads; thread++) {
    for (size_t i = 0; i < steps; i++) {
      const retc_plan_step *step = &t->entry->steps.items[i];
      const retc_run_span *span = &t->spans[(size_t)thread * steps + i];
      retc_text_printf(&t->trace,
                       "%s\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":1,"
                       "\"tid\":%d,\"args\":{\"region\":\"%s\",\"position\":%lld}}",
                       t->trace.length ? "," : "", plan->kernels.items[step->kernel].name, phase,
                       1e6 * (span->begin - t->start), 1e6 * (span->end - span->begin), thread,
                       step->region ? step->region : "", (long long)position);
    }
  }
}

static void add_cost(retc_cost *sum, const retc_cost *cost) {
  sum->flop += cost->flop;
  sum->weight_bytes += cost->weight_bytes;
  sum->state_bytes += cost->state_bytes;
  sum->row_bytes += cost->row_bytes;
}

static retc_status take_call(taking *t, int64_t tokens, retc_bench_profile *profile, retc_diagnostics *diagnostics) {
  const retc_compilation *compilation = retc_engine_compilation(t->bench->engine);
  int64_t position = retc_runner_position(t->bench->runner);
  const retc_dims dims = retc_cost_dims(t->entry, t->bench->options->batch, tokens, position, 1);
  double seconds;
  RETC_TRY(retc_bench_step(t->bench, tokens, diagnostics, &seconds, NULL));
  for (size_t i = 0; i < t->entry->steps.count; i++) {
    retc_bench_kernel *kernel = &profile->kernels[t->entry->steps.items[i].kernel];
    retc_cost cost = {0};
    kernel->known = retc_cost_of_step(compilation, t->entry_index, i, &dims, &cost);
    kernel->calls++;
    t->samples[t->entry->steps.items[i].kernel * t->bench->options->rounds + t->round] +=
        retc_run_step_seconds(t->spans, t->entry->steps.count, i, t->threads);
    add_cost(&kernel->cost, &cost);
  }
  if (t->bench->options->trace && t->round == 0) trace_call(t, profile->phase, position);
  return RETC_OK;
}

static int by_time(const void *a, const void *b) {
  const retc_bench_kernel *x = a, *y = b;
  return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* What one round of a phase does. */
static retc_status take_round(taking *t, int64_t tokens, int64_t piece, retc_bench_profile *profile,
                              retc_diagnostics *diagnostics) {
  for (size_t i = 0; i < profile->count; i++) {
    profile->kernels[i].calls = 0;
    profile->kernels[i].cost = (retc_cost){0};
  }
  for (int64_t left = tokens, now; left; left -= now) {
    now = left < piece ? left : piece;
    RETC_TRY(take_call(t, now, profile, diagnostics));
  }
  return RETC_OK;
}

/* Rounds go on from one another: prompts from the start, tokens behind the prompt of the last round. */
static retc_status take_phase(taking *t, bool restart, int64_t tokens, int64_t piece, retc_bench_profile *profile,
                              retc_diagnostics *diagnostics) {
  const retc_plan *plan = retc_engine_compilation(t->bench->engine)->plan;
  int64_t rounds = t->bench->options->rounds;
  profile->count = plan->kernels.count;
  profile->kernels = calloc(profile->count + 1, sizeof *profile->kernels);
  t->samples = calloc(profile->count * (size_t)rounds + 1, sizeof *t->samples);
  if (!profile->kernels || !t->samples) {
    return retc_fail(diagnostics, RETC_FAILED, "bench: memory refused for a profile");
  }
  const retc_gpu *gpu = retc_engine_gpu(t->bench->engine);
  for (size_t i = 0; i < profile->count; i++) {
    profile->kernels[i].name = plan->kernels.items[i].name;
    profile->kernels[i].blas = plan->kernels.items[i].product && gpu && retc_gpu_has_blas(gpu);
  }
  for (t->round = 0; t->round < rounds; t->round++) {
    if (restart) retc_runner_reset(t->bench->runner);
    RETC_TRY(take_round(t, tokens, piece, profile, diagnostics));
  }
  for (size_t i = 0; i < profile->count; i++) {
    profile->kernels[i].seconds = retc_bench_median(t->samples + (int64_t)i * rounds, rounds);
    profile->seconds += profile->kernels[i].seconds;
  }
  qsort(profile->kernels, profile->count, sizeof *profile->kernels, by_time);
  while (profile->count && !profile->kernels[profile->count - 1].calls) profile->count--;
  free(t->samples);
  t->samples = NULL;
  return RETC_OK;
}

static retc_status write_trace(const taking *t, retc_diagnostics *diagnostics) {
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[%s\n]}\n", t->trace.data ? t->trace.data : "");
  retc_status status = retc_file_write(t->bench->options->trace, text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  return status;
}

static retc_status take(taking *t, retc_bench_profile profiles[RETC_BENCH_PHASES], retc_diagnostics *diagnostics) {
  const retc_bench_options *o = t->bench->options;
  int64_t chunk = retc_engine_chunk_length(t->bench->engine);
  t->start = retc_now();
  RETC_TRY(take_phase(t, true, o->prompt, RETC_SESSION_MAX_TOKENS, &profiles[0], diagnostics));
  RETC_TRY(take_phase(t, false, o->tokens < chunk ? o->tokens : chunk, 1, &profiles[1], diagnostics));
  return o->trace ? write_trace(t, diagnostics) : RETC_OK;
}

retc_status retc_bench_take_profile(retc_bench *bench, retc_bench_profile out_profiles[RETC_BENCH_PHASES],
                                    retc_diagnostics *diagnostics) {
  const retc_plan *plan = retc_engine_compilation(bench->engine)->plan;
  retc_run *run = retc_runner_run(bench->runner);
  int entry = retc_plan_find_entry(plan, "step");
  taking t = {.bench = bench, .entry = &plan->entries.items[entry], .entry_index = (size_t)entry,
              .threads = bench->options->gpu ? 1 : retc_run_threads(run)};
  out_profiles[0] = (retc_bench_profile){.phase = "prefill"};
  out_profiles[1] = (retc_bench_profile){.phase = "decode"};
  retc_text_init(&t.trace);
  t.spans = calloc(t.entry->steps.count * (size_t)t.threads + 1, sizeof *t.spans);
  if (!t.spans) return retc_fail(diagnostics, RETC_FAILED, "bench: memory refused for a profile");
  retc_run_set_spans(run, t.spans);
  retc_status status = take(&t, out_profiles, diagnostics);
  retc_run_set_spans(run, NULL);
  free(t.spans);
  free(t.samples);
  retc_text_deinit(&t.trace);
  return status;
}
