#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/gpu_engine.h"
#include "compiler/main/bench/bench.h"
#include "compiler/main/reproducer.h"

static int compare(const void *a, const void *b) {
  const double *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

double retc_bench_median(double *values, int64_t count) {
  if (!count) return NAN;
  qsort(values, (size_t)count, sizeof *values, compare);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static retc_engine_options engine_options(const retc_bench *bench) {
  const retc_bench_options *o = bench->options;
  return (retc_engine_options){.chunk_length = o->chunk,
                               .threads = (int)o->threads,
                               .cpu = o->cpu,
                               .gpu = o->gpu,
                               .archs = o->target.arch,
                               .math = retc_target_math(o->target.target, o->target.math),
                               .blas = o->target.blas,
                               .failed = retc_reproducer_write};
}

/* ---- compile ---- */

static retc_status compile_once(void *user, double *numbers, retc_diagnostics *diagnostics) {
  const retc_bench *bench = user;
  retc_engine_options options = engine_options(bench);
  retc_engine *engine;
  double load;
  options.code_only = true;
  RETC_TRY(retc_engine_create(bench->source, &options, diagnostics, &engine));
  retc_engine_seconds(engine, &numbers[0], &load);
  retc_engine_destroy(engine);
  return RETC_OK;
}

static retc_status compile_rounds(retc_bench *bench, double *out_median, retc_diagnostics *diagnostics) {
  double seconds[64];
  int64_t rounds = bench->options->rounds < 64 ? bench->options->rounds : 64;
  for (int64_t i = 0; i < rounds; i++) {
    RETC_TRY(retc_run_apart(compile_once, bench, &seconds[i], 1, diagnostics));
  }
  *out_median = retc_bench_median(seconds, rounds);
  return RETC_OK;
}

typedef struct variable {
  const char *name;
  char *kept; /* its value before; owned */
} variable;

static void set_variable(variable *v, const char *name, const char *value) {
  const char *old = getenv(name);
  *v = (variable){name, old ? strdup(old) : NULL};
  if (value)
    setenv(name, value, 1);
  else
    unsetenv(name);
}

static void restore_variable(variable *v) {
  if (v->kept)
    setenv(v->name, v->kept, 1);
  else
    unsetenv(v->name);
  free(v->kept);
}

static void remove_folder(const char *path) {
  char command[256];
  snprintf(command, sizeof command, "rm -rf '%s'", path);
  if (system(command)) fprintf(stderr, "retc: bench: %s could not be removed\n", path);
}

retc_status retc_bench_compile(retc_bench *bench, retc_diagnostics *diagnostics) {
  char folder[] = "/tmp/retc-bench-XXXXXX";
  variable use, place;
  set_variable(&use, "RETC_CACHE", "off");
  retc_status status = compile_rounds(bench, &bench->compile_cold, diagnostics);
  restore_variable(&use);
  if (status != RETC_OK) return status;
  if (!mkdtemp(folder)) return retc_fail(diagnostics, RETC_FAILED, "bench: no folder for a cache in /tmp");
  set_variable(&use, "RETC_CACHE", NULL);
  set_variable(&place, "XDG_CACHE_HOME", folder);
  double first;
  status = retc_run_apart(compile_once, bench, &first, 1, diagnostics);
  if (status == RETC_OK) status = compile_rounds(bench, &bench->compile_cached, diagnostics);
  restore_variable(&place);
  restore_variable(&use);
  remove_folder(folder);
  return status;
}

/* ---- run ---- */

static int64_t session_room(const retc_bench *bench) {
  return bench->room < RETC_SESSION_MAX_TOKENS ? bench->room : RETC_SESSION_MAX_TOKENS;
}

/* The same tokens in every round. */
static retc_status make_tokens(retc_bench *bench, retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  bench->room = o->prompt > 1 ? o->prompt : 1;
  bench->tokens = calloc((size_t)(o->batch * bench->room), sizeof *bench->tokens);
  if (!bench->tokens) return retc_fail(diagnostics, RETC_FAILED, "bench: memory refused for the tokens");
  uint64_t state = 1;
  for (int64_t i = 0; i < o->batch * bench->room; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    bench->tokens[i] = (int64_t)((state >> 33) % (uint64_t)bench->source->network.vocabulary_size);
  }
  return RETC_OK;
}

retc_status retc_bench_step(retc_bench *bench, int64_t tokens, retc_diagnostics *diagnostics, double *out_seconds,
                            retc_cost *out_cost) {
  const retc_compilation *compilation = retc_engine_compilation(bench->engine);
  int64_t position = retc_runner_position(bench->runner);
  const int64_t *from = bench->tokens + (tokens < bench->room ? position % (bench->room - tokens + 1) : 0);
  double start = retc_now();
  RETC_TRY(retc_runner_step(bench->runner, from, tokens, bench->room, 1, diagnostics));
  *out_seconds = retc_now() - start;
  if (!out_cost) return RETC_OK;
  int entry = retc_plan_find_entry(compilation->plan, "step");
  const retc_dims dims =
      retc_cost_dims(&compilation->plan->entries.items[entry], bench->options->batch, tokens, position, 1);
  if (retc_cost_of_entry(compilation, (size_t)entry, &dims, out_cost)) return RETC_OK;
  return retc_fail(diagnostics, RETC_INTERNAL, "bench: the work of a step is not known");
}

static double read_bytes(const retc_cost *cost) { return cost->weight_bytes + cost->state_bytes; }

static retc_status run_prompt(retc_bench *bench, int64_t round, double *rates, retc_diagnostics *diagnostics) {
  retc_bench_phase *phase = &bench->prefill;
  double seconds = 0, flop = 0, bytes = 0;
  retc_runner_reset(bench->runner);
  for (int64_t left = bench->options->prompt, piece; left; left -= piece) {
    double time;
    retc_cost cost = {0};
    piece = left < session_room(bench) ? left : session_room(bench);
    RETC_TRY(retc_bench_step(bench, piece, diagnostics, &time, &cost));
    seconds += time;
    flop += cost.flop;
    bytes += read_bytes(&cost);
    if (!(time <= phase->slowest)) phase->slowest = time;
  }
  rates[round] = seconds;
  phase->flop_per_s = flop; /* of a prompt, until they are divided by the median of its time */
  phase->bytes_per_s = bytes;
  return RETC_OK;
}

static retc_status run_tokens(retc_bench *bench, int64_t round, double *rates, retc_diagnostics *diagnostics) {
  retc_bench_phase *phase = &bench->decode;
  double seconds = 0, flop = 0, bytes = 0;
  for (int64_t i = 0; i < bench->options->tokens; i++) {
    double time;
    retc_cost cost = {0};
    RETC_TRY(retc_bench_step(bench, 1, diagnostics, &time, &cost));
    seconds += time;
    flop += cost.flop;
    bytes += read_bytes(&cost);
    if (!(time <= phase->slowest)) phase->slowest = time;
  }
  rates[round] = seconds;
  phase->flop_per_s = flop;
  phase->bytes_per_s = bytes;
  return RETC_OK;
}

/* One chunk of tokens from each place on; `rates` [positions, rounds], `each` [positions, chunk, rounds]. */
static retc_status run_places(retc_bench *bench, int64_t round, double *rates, double *each,
                              retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  int64_t chunk = retc_engine_chunk_length(bench->engine);
  for (int64_t p = 0; p < o->position_count; p++) {
    retc_bench_place *place = &bench->places[p];
    double sum = 0, seconds;
    place->position = o->positions[p] / chunk * chunk;
    retc_run_set_position(retc_runner_run(bench->runner), place->position);
    for (int64_t i = 0; i < chunk; i++) {
      RETC_TRY(retc_bench_step(bench, 1, diagnostics, &seconds, NULL));
      sum += seconds;
      each[(p * chunk + i) * o->rounds + round] = seconds;
      if (seconds > place->slowest) place->slowest = seconds;
    }
    rates[p * o->rounds + round] = sum / (double)chunk;
  }
  return RETC_OK;
}

/* `rates` and `each` as above, which are sorted. */
static void finish_places(retc_bench *bench, double *rates, double *each) {
  const retc_bench_options *o = bench->options;
  const int64_t chunk = retc_engine_chunk_length(bench->engine);
  for (int64_t p = 0; p < o->position_count; p++) {
    retc_bench_place *place = &bench->places[p];
    double *tokens = each + p * chunk * o->rounds;
    for (int64_t i = 0; i < chunk; i++) tokens[i] = retc_bench_median(tokens + i * o->rounds, o->rounds);
    place->seconds = retc_bench_median(rates + p * o->rounds, o->rounds);
    place->middle = retc_bench_median(tokens, chunk);
    place->slowest_middle = tokens[chunk - 1];
  }
}

static void finish_phase(retc_bench_phase *phase, double *seconds, int64_t rounds, int64_t tokens) {
  double time = retc_bench_median(seconds, rounds);
  if (!tokens) {
    *phase = (retc_bench_phase){NAN, NAN, NAN, NAN, NAN};
    return;
  }
  phase->tokens_per_s = (double)tokens / time;
  phase->flop_per_s /= time;
  phase->bytes_per_s /= time;
}

static double share(double rate, double ceiling) { return ceiling > 0 ? rate / ceiling : NAN; }

double retc_bench_read_ceiling(const retc_bench *bench) {
  const retc_machine_rates *rates = &bench->machine.rates;
  double memory = rates->all[RETC_PROBE_READ];
  return rates->again > memory ? rates->again : memory;
}

retc_status retc_bench_measure_limits(retc_bench *bench, retc_diagnostics *diagnostics) {
  static const int64_t copy_bytes = (int64_t)1 << 30;
  retc_machine_rates *rates = &bench->machine.rates;
  retc_gpu *gpu = retc_engine_gpu(bench->engine);
  double rate;
  if (!gpu) return retc_machine_measure(&bench->machine, bench->decode_bytes, diagnostics);
  RETC_TRY(retc_gpu_measure_copy(gpu, copy_bytes, diagnostics, &rate));
  if (rate > rates->all[RETC_PROBE_READ]) rates->all[RETC_PROBE_READ] = rate;
  snprintf(rates->name[RETC_PROBE_READ], sizeof rates->name[0], "copies on the device");
  return RETC_OK;
}

/* `rates` [2 + positions + positions chunk, rounds] */
static retc_status run_rounds(retc_bench *bench, double *rates, retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  double *prompts = rates, *steps = rates + o->rounds, *places = rates + 2 * o->rounds, time;
  double *each = places + o->position_count * o->rounds;
  /* Once without being counted: memory is touched, threads are awake. */
  RETC_TRY(run_prompt(bench, 0, prompts, diagnostics));
  RETC_TRY(retc_bench_step(bench, 1, diagnostics, &time, NULL));
  bench->prefill.slowest = NAN;
  for (int64_t round = 0; round < o->rounds; round++) {
    if (round == 0 || round == (o->rounds + 1) / 2) {
      RETC_TRY(retc_bench_measure_limits(bench, diagnostics));
    }
    RETC_TRY(run_prompt(bench, round, prompts, diagnostics));
    RETC_TRY(run_tokens(bench, round, steps, diagnostics));
    RETC_TRY(run_places(bench, round, places, each, diagnostics));
  }
  RETC_TRY(retc_bench_measure_limits(bench, diagnostics));
  finish_phase(&bench->prefill, prompts, o->rounds, o->batch * o->prompt);
  finish_phase(&bench->decode, steps, o->rounds, o->batch * o->tokens);
  finish_places(bench, places, each);
  bench->prefill.share = share(bench->prefill.flop_per_s, bench->machine.rates.all[bench->arithmetic]);
  bench->decode.share = share(bench->decode.bytes_per_s, retc_bench_read_ceiling(bench));
  return RETC_OK;
}

static int64_t peak_memory(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[128];
  long long kilobytes = 0;
  while (file && fgets(line, sizeof line, file) && sscanf(line, "VmHWM: %lld kB", &kilobytes) != 1) continue;
  if (file) fclose(file);
  return kilobytes * 1024;
}

static retc_status prepare(retc_bench *bench, retc_diagnostics *diagnostics) {
  const retc_engine_options engine = engine_options(bench);
  double compile;
  RETC_TRY(make_tokens(bench, diagnostics));
  RETC_TRY(retc_engine_create(bench->source, &engine, diagnostics, &bench->engine));
  retc_engine_seconds(bench->engine, &compile, &bench->load);
  const retc_run_options run = {bench->options->batch, session_room(bench), 1};
  RETC_TRY(retc_runner_create(bench->engine, &run, diagnostics, &bench->runner));
  const retc_plan *plan = retc_engine_compilation(bench->engine)->plan;
  const retc_run_sizes sizes = retc_run_measure(plan, &run);
  bench->weight_bytes = sizes.weights;
  bench->state_bytes = sizes.states;
  bench->decode_bytes = sizes.weights > INT64_MAX - sizes.states ? INT64_MAX : sizes.weights + sizes.states;
  return RETC_OK;
}

/* Whose peak the products of a prompt are held against. */
static retc_probe_kind peak_of(const retc_bench *bench) {
  const bool has_tiles = retc_engine_compilation(bench->engine)->profile.has_tiles;
  switch (bench->source->network.arithmetic.math) {
    case RETC_PRODUCT_BF16: return has_tiles ? RETC_PROBE_TILE_BF16 : RETC_PROBE_DOT_BF16;
    case RETC_PRODUCT_INT8: return has_tiles ? RETC_PROBE_TILE_INT8 : RETC_PROBE_DOT_INT8;
    default: return RETC_PROBE_FMA_F32;
  }
}

retc_status retc_bench_measure(retc_bench *bench, retc_diagnostics *diagnostics) {
  const retc_bench_options *o = bench->options;
  bench->prefill.slowest = bench->decode.slowest = NAN;
  RETC_TRY(prepare(bench, diagnostics));
  bench->arithmetic = peak_of(bench);
  bench->places = calloc((size_t)o->position_count + 1, sizeof *bench->places);
  const int64_t chunk = retc_engine_chunk_length(bench->engine);
  double *rates = calloc((size_t)((2 + o->position_count * (1 + chunk)) * o->rounds), sizeof *rates);
  retc_status status = bench->places && rates ? run_rounds(bench, rates, diagnostics)
                                              : retc_fail(diagnostics, RETC_FAILED, "bench: memory refused");
  free(rates);
  bench->peak_bytes = peak_memory();
  return status;
}
