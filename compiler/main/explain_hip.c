/* `retc explain --target hip`: what each kernel takes of a GPU, and the least time it can take there. */
#include <stdio.h>
#include <string.h>

#include "compiler/cost.h"
#include "compiler/main/explain.h"

/* One kernel of an entry: all of its launches. */
typedef struct row {
  const retc_plan_kernel *kernel;
  bool matrix;
  retc_dtype type;     /* matrix: of its operands */
  int64_t launches, blocks;
  double flop, bytes, seconds;
  bool by_bandwidth;
} row;

typedef struct report {
  const retc_compilation *compilation;
  const retc_plan_entry *entry;
  retc_dims dims;
  retc_arena arena;
  RETC_VEC(row) rows;
  retc_text text;
} report;

static void find_matrices(const retc_kernel *kernel, const retc_block *block, bool in_wave, row *to) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_MMA && in_wave) {
      to->matrix = true;
      to->type = retc_kernel_buffer(kernel, s->a.buffer)->dtype;
    }
    const bool wave = in_wave || (s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_WAVE);
    find_matrices(kernel, &s->body, wave, to);
    find_matrices(kernel, &s->other, wave, to);
  }
}

static row *find_row(report *r, int kernel) {
  const retc_plan_kernel *described = &r->compilation->plan->kernels.items[kernel];
  for (size_t i = 0; i < r->rows.count; i++) {
    if (r->rows.items[i].kernel == described) return &r->rows.items[i];
  }
  row added = {.kernel = described, .blocks = 1};
  for (int i = 0; i < 3; i++) added.blocks *= retc_plan_number_value(&described->grid[i], &r->dims);
  find_matrices(r->compilation->kernels.items[kernel], &r->compilation->kernels.items[kernel]->body, false, &added);
  RETC_VEC_PUSH(&r->arena, r->rows, added);
  return &r->rows.items[r->rows.count - 1];
}

/* Without instructions on f32 its products are vector code. */
static bool uses_matrices(const row *of, const retc_hip_profile *gpu) {
  return of->matrix && (of->type != RETC_DTYPE_F32 || gpu->matrix_f32 > 0);
}

/* Operations a second that the kernel's kind of code can do at most. */
static double peak_of(const row *of, const retc_hip_profile *gpu) {
  if (!uses_matrices(of, gpu)) return gpu->vector;
  return of->type == RETC_DTYPE_F32 ? gpu->matrix_f32 : gpu->matrix_half;
}

static void add_step(report *r, const retc_hip_profile *gpu, size_t entry, size_t step) {
  retc_cost cost = {0};
  if (!retc_cost_of_step(r->compilation, entry, step, &r->dims, &cost)) return;
  row *to = find_row(r, r->entry->steps.items[step].kernel);
  if (!to->blocks) return;
  const double bytes = retc_cost_bytes(&cost), by_code = cost.flop / peak_of(to, gpu),
               by_memory = bytes / gpu->bandwidth;
  to->launches++;
  to->flop += cost.flop;
  to->bytes += bytes;
  to->seconds += by_code > by_memory ? by_code : by_memory;
  to->by_bandwidth = by_memory >= by_code;
}

/* Blocks that a unit holds at a time, as far as shared memory and the number of waves go. */
static int64_t blocks_of_unit(const row *of, const retc_hip_profile *gpu, int64_t threads) {
  const int64_t waves = (threads + gpu->wave - 1) / gpu->wave, by_waves = gpu->simds * gpu->waves / waves;
  const int64_t by_shared = of->kernel->shared_bytes ? gpu->shared / of->kernel->shared_bytes : by_waves;
  return by_waves < by_shared ? by_waves : by_shared;
}

static void print_row(report *r, const row *of, const retc_hip_profile *gpu) {
  const int64_t threads = retc_plan_number_value(&of->kernel->block[0], &r->dims),
                blocks = blocks_of_unit(of, gpu, threads);
  const double occupancy =
      100.0 * (double)(blocks * ((threads + gpu->wave - 1) / gpu->wave)) / (double)(gpu->simds * gpu->waves);
  const char *code = !uses_matrices(of, gpu)       ? "vector"
                     : of->type == RETC_DTYPE_BF16 ? "bf16"
                     : of->type == RETC_DTYPE_F16  ? "f16"
                                                   : "f32";
  retc_text_printf(&r->text, "%-16s %8lld %10lld %7lld %7lld %9.0f%% %6s %10.4g %10.4g %9.2f  %s\n", of->kernel->name,
                   (long long)of->launches, (long long)of->blocks, (long long)threads,
                   (long long)of->kernel->shared_bytes, occupancy, code, of->flop / 1e9, of->bytes / 1e6,
                   of->seconds * 1e6,
                   of->kernel->product ? "code, or rocBLAS" : of->by_bandwidth ? "memory" : "code");
}

static void print_gpu(report *r, const retc_hip_profile *gpu, size_t entry) {
  double seconds = 0;
  for (size_t i = 0; i < r->entry->steps.count; i++) add_step(r, gpu, entry, i);
  retc_text_printf(&r->text,
                   "%s (%s): %lld units, waves of %lld, %.0f GB/s, %.4g TFLOP/s vector, %.4g matrix f32, %.4g "
                   "matrix f16 and bf16\n",
                   gpu->arch, gpu->card, (long long)gpu->units, (long long)gpu->wave, gpu->bandwidth / 1e9,
                   gpu->vector / 1e12, gpu->matrix_f32 / 1e12, gpu->matrix_half / 1e12);
  retc_text_printf(&r->text, "%-16s %8s %10s %7s %7s %10s %6s %10s %10s %9s  %s\n", "kernel", "launches", "blocks",
                   "threads", "shared", "occupancy", "code", "GFLOP", "MB", "least us", "bound by");
  for (size_t i = 0; i < r->rows.count; i++) {
    if (r->rows.items[i].blocks) print_row(r, &r->rows.items[i], gpu);
    seconds += r->rows.items[i].seconds;
  }
  retc_text_printf(&r->text, "at least %.2f us a call\n", seconds * 1e6);
  r->rows.count = 0;
}

retc_status retc_explain_hip(const retc_build *build, int64_t batch, int64_t tokens, retc_diagnostics *diagnostics) {
  const retc_compilation *compilation = build->compilation;
  const int entry = retc_plan_find_entry(compilation->plan, "step");
  if (entry < 0) return retc_fail(diagnostics, RETC_INVALID, "%s: has no entry step", build->source->path);
  report r = {.compilation = compilation, .entry = &compilation->plan->entries.items[entry]};
  retc_arena_init(&r.arena);
  retc_text_init(&r.text);
  /* A token in the middle of a chunk is the usual one. */
  const int64_t position = tokens == 1 ? compilation->plan->chunk_length / 2 : 0;
  r.dims = retc_cost_dims(r.entry, batch, tokens, position, 1);
  retc_text_printf(&r.text,
                   "entry step, %lld rows of %lld tokens from position %lld; shared memory in bytes a block, occupancy "
                   "as far as it and the threads allow\n",
                   (long long)batch, (long long)tokens, (long long)position);
  for (size_t i = 0; i < build->hip.count; i++) print_gpu(&r, build->hip.items[i], (size_t)entry);
  retc_status status = retc_output_write(r.text.data, r.text.length, diagnostics);
  retc_text_deinit(&r.text);
  retc_arena_deinit(&r.arena);
  return status;
}
