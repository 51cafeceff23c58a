#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/gpu_engine.h"
#include "compiler/main/bench/bench.h"

static const struct {
  const char *key;  /* of the machine's rate in JSON */
  const char *word; /* for people */
  const char *unit;
} kinds[RETC_PROBE_KIND_COUNT] = {
    [RETC_PROBE_FMA_F32] = {"fma_f32_gflops", "f32 fma", "GFLOP/s"},
    [RETC_PROBE_DOT_BF16] = {"dot_bf16_gflops", "bf16 dot", "GFLOP/s"},
    [RETC_PROBE_DOT_INT8] = {"dot_int8_gops", "int8 dot", "GOP/s"},
    [RETC_PROBE_TILE_BF16] = {"tile_bf16_gflops", "bf16 tiles", "GFLOP/s"},
    [RETC_PROBE_TILE_INT8] = {"tile_int8_gops", "int8 tiles", "GOP/s"},
    [RETC_PROBE_READ] = {"read_gbps", "read", "GB/s"},
};

/* ---- JSON ---- */

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* 0 stands for what the CPU cannot do. */
static json_t *rate(double per_second) { return per_second > 0 ? json_real(1e-9 * per_second) : json_null(); }

static json_t *machine_json(const retc_bench *bench) {
  const retc_machine_rates *rates = &bench->machine.rates;
  json_t *machine = json_object(), *one = json_object(), *probes = json_object();
  for (int k = 0; k < RETC_PROBE_KIND_COUNT; k++) {
    json_object_set_new(machine, kinds[k].key, rate(rates->all[k]));
    json_object_set_new(one, kinds[k].key, rate(rates->one[k]));
    json_object_set_new(probes, kinds[k].key, rates->all[k] > 0 ? json_string(rates->name[k]) : json_null());
  }
  if (retc_engine_gpu(bench->engine)) {
    retc_text name = {0};
    retc_gpu_describe(retc_engine_gpu(bench->engine), &name);
    json_object_set_new(machine, "gpu", json_string(name.data ? name.data : ""));
    retc_text_deinit(&name);
  }
  json_object_set_new(machine, "threads", json_integer(retc_run_threads(retc_runner_run(bench->runner))));
  json_object_set_new(machine, "one_thread", one);
  json_object_set_new(machine, "probes", probes);
  json_object_set_new(machine, "read_bytes", json_integer(rates->bytes_read));
  return machine;
}

static json_t *prefill_json(const retc_bench *bench) {
  const retc_bench_phase *p = &bench->prefill;
  return json_pack("{s:I,s:o,s:o,s:o,s:s}", "tokens", (json_int_t)bench->options->prompt, "tokens_per_s",
                   number(p->tokens_per_s), "gflops", number(1e-9 * p->flop_per_s), "share_of_peak", number(p->share),
                   "peak", kinds[bench->arithmetic].key);
}

static json_t *decode_json(const retc_bench *bench) {
  const retc_bench_phase *d = &bench->decode;
  return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "tokens", (json_int_t)bench->options->tokens, "tokens_per_s",
                   number(d->tokens_per_s), "gbps", number(1e-9 * d->bytes_per_s), "share_of_bandwidth",
                   number(d->share), "ceiling_gbps", rate(retc_bench_read_ceiling(bench)), "gflops",
                   number(1e-9 * d->flop_per_s), "slowest_token_s", number(d->slowest));
}

static json_t *places_json(const retc_bench *bench) {
  json_t *places = json_array();
  for (int64_t i = 0; i < bench->options->position_count; i++) {
    const retc_bench_place *p = &bench->places[i];
    json_array_append_new(places, json_pack("{s:I,s:f,s:f,s:f,s:f}", "position", (json_int_t)p->position, "token_s",
                                            p->seconds, "slowest_token_s", p->slowest, "middle_token_s", p->middle,
                                            "slowest_middle_s", p->slowest_middle));
  }
  return places;
}

/* The vendor's library did what the kernel is for. */
static bool is_by_blas(const retc_bench_kernel *kernel) { return kernel->blas && kernel->cost.flop > 0; }

static json_t *profile_json(const retc_bench_profile *profile) {
  json_t *kernels = json_array();
  for (size_t i = 0; i < profile->count; i++) {
    const retc_bench_kernel *k = &profile->kernels[i];
    json_array_append_new(
        kernels, json_pack("{s:s,s:I,s:f,s:b,s:o,s:o}", "kernel", k->name, "calls", (json_int_t)k->calls, "seconds",
                           k->seconds, "rocblas", is_by_blas(k), "gflops",
                           number(k->known ? 1e-9 * k->cost.flop / k->seconds : NAN), "gbps",
                           number(k->known ? 1e-9 * retc_cost_bytes(&k->cost) / k->seconds : NAN)));
  }
  return kernels;
}

static retc_status print_json(const retc_bench *bench, const retc_bench_profile *profiles,
                              retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  json_t *root = json_pack(
      "{s:s,s:I,s:I,s:I,s:o,s:{s:o,s:o},s:o,s:o,s:o,s:{s:I,s:I,s:I}}", "model", bench->source->path, "batch",
      (json_int_t)o->batch, "chunk", (json_int_t)retc_engine_chunk_length(bench->engine), "rounds",
      (json_int_t)o->rounds, "machine", machine_json(bench), "compile", "cold_s", number(bench->compile_cold),
      "cached_s", number(bench->compile_cached), "load_s", number(bench->load), "prefill", prefill_json(bench),
      "decode", decode_json(bench), "memory", "peak_bytes", (json_int_t)bench->peak_bytes, "weights_bytes",
      (json_int_t)bench->weight_bytes, "state_bytes", (json_int_t)bench->state_bytes);
  if (o->position_count) json_object_set_new(root, "positions", places_json(bench));
  if (profiles) {
    json_t *both = json_object();
    for (int i = 0; i < RETC_BENCH_PHASES; i++) {
      json_object_set_new(both, profiles[i].phase, profile_json(&profiles[i]));
    }
    json_object_set_new(root, "profile", both);
  }
  char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  if (!text) return retc_fail(diagnostics, RETC_FAILED, "bench: memory refused for the report");
  retc_status status = retc_output_write(text, strlen(text), diagnostics);
  free(text);
  return status == RETC_OK ? retc_output_write("\n", 1, diagnostics) : status;
}

/* ---- for people ---- */

static void print_machine(const retc_bench *bench, retc_text *text) {
  const retc_machine_rates *rates = &bench->machine.rates;
  if (retc_engine_gpu(bench->engine)) {
    retc_text_add(text, "GPU      ");
    retc_gpu_describe(retc_engine_gpu(bench->engine), text);
    retc_text_printf(text, "; copies on it reach %.1f GB/s\n", 1e-9 * rates->all[RETC_PROBE_READ]);
    return;
  }
  retc_text_printf(text, "machine, %d threads (one)\n", retc_run_threads(retc_runner_run(bench->runner)));
  for (int k = 0; k < RETC_PROBE_KIND_COUNT; k++) {
    if (rates->all[k] <= 0) {
      retc_text_printf(text, "  %-12s no such instruction\n", kinds[k].word);
      continue;
    }
    retc_text_printf(text, "  %-12s %9.1f %-8s (%.1f)  %s\n", kinds[k].word, 1e-9 * rates->all[k], kinds[k].unit,
                     1e-9 * rates->one[k], rates->name[k]);
  }
}

static void print_share(double share, const char *of, retc_text *text) {
  if (isfinite(share)) retc_text_printf(text, ", %.1f %% of %s", 100 * share, of);
}

static void print_profile(const retc_bench_profile *profile, retc_text *text) {
  if (!profile->count) return;
  retc_text_printf(text, "\n%-8s %-28s %8s %10s %7s %9s %8s\n", profile->phase, "kernel", "calls", "ms", "share",
                   "GFLOP/s", "GB/s");
  for (size_t i = 0; i < profile->count; i++) {
    const retc_bench_kernel *k = &profile->kernels[i];
    retc_text_printf(text, "%-8s %-28s %8lld %10.3f %6.1f%%", "", k->name, (long long)k->calls, 1e3 * k->seconds,
                     100 * k->seconds / profile->seconds);
    if (k->known) {
      retc_text_printf(text, " %9.1f %8.2f", 1e-9 * k->cost.flop / k->seconds,
                       1e-9 * retc_cost_bytes(&k->cost) / k->seconds);
    }
    if (is_by_blas(k)) retc_text_add(text, "  by rocBLAS");
    retc_text_add(text, "\n");
  }
}

static void print_phases(const retc_bench *bench, retc_text *text) {
  const retc_bench_phase *p = &bench->prefill, *d = &bench->decode;
  if (bench->options->prompt) {
    retc_text_printf(text, "prefill  %.1f tokens/s, %.1f GFLOP/s", p->tokens_per_s, 1e-9 * p->flop_per_s);
    print_share(p->share, kinds[bench->arithmetic].word, text);
    retc_text_add(text, "\n");
  }
  if (bench->options->tokens) {
    retc_text_printf(text, "decode   %.2f tokens/s, %.2f GB/s", d->tokens_per_s, 1e-9 * d->bytes_per_s);
    print_share(d->share, "reads", text);
    retc_text_printf(text, " (%.2f GB/s), slowest token %.2f ms\n", 1e-9 * retc_bench_read_ceiling(bench),
                     1e3 * d->slowest);
  }
  for (int64_t i = 0; i < bench->options->position_count; i++) {
    const retc_bench_place *place = &bench->places[i];
    retc_text_printf(text,
                     "position %lld: %.3f ms a token, slowest %.3f ms; by the median of rounds %.3f ms, slowest %.3f\n",
                     (long long)place->position, 1e3 * place->seconds, 1e3 * place->slowest, 1e3 * place->middle,
                     1e3 * place->slowest_middle);
  }
}

static retc_status print_text(const retc_bench *bench, const retc_bench_profile *profiles,
                              retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  retc_text text;
  retc_text_init(&text);
  print_machine(bench, &text);
  retc_text_printf(&text, "model    %s, batch %lld, prompt %lld, tokens %lld, median of %lld rounds\n",
                   bench->source->path, (long long)o->batch, (long long)o->prompt, (long long)o->tokens,
                   (long long)o->rounds);
  retc_text_printf(&text, "compile  %.3f s cold, %.4f s cached; load %.3f s\n", bench->compile_cold,
                   bench->compile_cached, bench->load);
  print_phases(bench, &text);
  retc_text_printf(&text, "memory   %.1f MiB peak, weights %.1f MiB, states %.1f MiB\n",
                   (double)bench->peak_bytes / 1048576, (double)bench->weight_bytes / 1048576,
                   (double)bench->state_bytes / 1048576);
  for (int i = 0; profiles && i < RETC_BENCH_PHASES; i++) print_profile(&profiles[i], &text);
  retc_status status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  return status;
}

static retc_status check_share(const char *what, double share, retc_diagnostics *diagnostics) {
  if (!(share > 1)) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED,
                   "bench: %s reached %.3f of its ceiling, expected at most 1: the ceiling was measured while the "
                   "machine was busy, or work is counted that is not done",
                   what, share);
}

retc_status retc_bench_report(const retc_bench *bench, const retc_bench_profile *profiles,
                              retc_diagnostics *diagnostics) {
  RETC_TRY(bench->options->json ? print_json(bench, profiles, diagnostics) : print_text(bench, profiles, diagnostics));
  RETC_TRY(check_share("prefill", bench->prefill.share, diagnostics));
  return check_share("decode", bench->decode.share, diagnostics);
}
