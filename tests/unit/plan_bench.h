/* A small program of three kernels, for the tests of plans. Include cmocka before.
 *   step: a = 2 in; b = 2 a; (c, sum) = b + sum; out = c weight'
 * a and c share a slot. Tests change the plan before they use it. */
#ifndef RETC_TESTS_PLAN_BENCH_H
#define RETC_TESTS_PLAN_BENCH_H

#include <stdlib.h>

#include "ir/kernel.h"
#include "runtime/plan.h"

enum { WIDTH = 4, OUTPUTS = 100, PANELS = (OUTPUTS + RETC_PANEL - 1) / RETC_PANEL };
enum { IN, WEIGHT, SUM, A, B, C, OUT, BIAS, BUFFER_COUNT };
enum { SCALE, ADD, PROJECT, KERNEL_COUNT };
enum { DOUBLE_IN, DOUBLE_A, ADD_SUM, PROJECT_C, STEP_COUNT };

typedef struct plan_bench {
  retc_plan *plan;
  retc_kernel *kernels[KERNEL_COUNT];
  retc_diagnostics diagnostics;
  int arguments[STEP_COUNT][3];
} plan_bench;

static const retc_shape rows_shape = {2, {RETC_NAMED(B), WIDTH}};
static const float bias[WIDTH] = {1, 2, 3, 4};

static inline retc_buffer_id parameter(retc_writer *w, const char *name, const retc_shape *shape, unsigned access) {
  return retc_write_parameter(w, name, RETC_DTYPE_F32, shape, access);
}

/* for row in 0..B parallel: the row's variable. */
static inline retc_expr begin_rows(retc_writer *w) {
  retc_expr zero = retc_expr_integer(w->kernel, 0), rows = retc_expr_dim(w->kernel, RETC_NAMED(B));
  return retc_write_for(w, "row", RETC_LOOP_PARALLEL, zero, rows, 1);
}

static inline retc_expr begin(retc_writer *w, const char *name, retc_loop_kind kind, int64_t high) {
  return retc_write_for(w, name, kind, retc_expr_integer(w->kernel, 0), retc_expr_integer(w->kernel, high), 1);
}

static inline retc_expr load(retc_writer *w, retc_buffer_id buffer, retc_expr i, retc_expr j) {
  return retc_expr_load(w->kernel, buffer, (retc_expr[]){i, j});
}

static inline retc_kernel *make_scale(void) {
  retc_kernel *kernel = retc_kernel_create("scale");
  retc_writer w;
  retc_writer_init(&w, kernel);
  retc_buffer_id x = parameter(&w, "x", &rows_shape, RETC_ACCESS_READ);
  retc_buffer_id y = parameter(&w, "y", &rows_shape, RETC_ACCESS_WRITE);
  retc_expr row = begin_rows(&w), i = begin(&w, "i", RETC_LOOP_VECTOR, WIDTH);
  retc_expr two = retc_expr_number(kernel, RETC_DTYPE_F32, 2);
  retc_expr twice = retc_expr_binary(kernel, RETC_KERNEL_OP_MUL, load(&w, x, row, i), two);
  retc_write_store(&w, y, (retc_expr[]){row, i}, twice);
  return kernel;
}

static inline retc_kernel *make_add(void) {
  retc_kernel *kernel = retc_kernel_create("add");
  retc_writer w;
  retc_writer_init(&w, kernel);
  retc_buffer_id x = parameter(&w, "x", &rows_shape, RETC_ACCESS_READ);
  retc_buffer_id s = parameter(&w, "s", &rows_shape, RETC_ACCESS_READ | RETC_ACCESS_WRITE);
  retc_buffer_id y = parameter(&w, "y", &rows_shape, RETC_ACCESS_WRITE);
  retc_expr row = begin_rows(&w), i = begin(&w, "i", RETC_LOOP_VECTOR, WIDTH);
  retc_expr sum = retc_expr_binary(kernel, RETC_KERNEL_OP_ADD, load(&w, x, row, i), load(&w, s, row, i));
  sum = retc_write_let(&w, "sum", sum);
  retc_write_store(&w, s, (retc_expr[]){row, i}, sum);
  retc_write_store(&w, y, (retc_expr[]){row, i}, sum);
  return kernel;
}

/* Outputs from `first` on. */
static inline retc_kernel *make_project(void) {
  retc_kernel *kernel = retc_kernel_create("project");
  retc_writer w;
  retc_writer_init(&w, kernel);
  const retc_shape panels = {3, {PANELS, WIDTH, RETC_PANEL}}, out = {2, {RETC_NAMED(B), OUTPUTS}};
  retc_buffer_id x = parameter(&w, "x", &rows_shape, RETC_ACCESS_READ);
  retc_buffer_id weight = parameter(&w, "w", &panels, RETC_ACCESS_READ);
  retc_buffer_id y = parameter(&w, "y", &out, RETC_ACCESS_WRITE);
  retc_expr row = begin_rows(&w), zero = retc_expr_integer(kernel, 0), panel = begin(&w, "p", RETC_LOOP_SERIAL, PANELS);
  retc_buffer_id sum = retc_write_alloc(&w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){1, RETC_PANEL});
  retc_expr i = begin(&w, "i", RETC_LOOP_VECTOR, RETC_PANEL);
  retc_write_store(&w, sum, (retc_expr[]){zero, i}, retc_expr_number(kernel, RETC_DTYPE_F32, 0));
  retc_write_end(&w);
  retc_write_mma(&w, retc_write_view(&w, sum, (retc_expr[]){zero, zero}, 0, 1),
                 retc_write_view(&w, x, (retc_expr[]){row, zero}, 0, 1),
                 retc_write_view(&w, weight, (retc_expr[]){panel, zero, zero}, 1, 2), 1, RETC_PANEL,
                 retc_expr_integer(kernel, WIDTH));
  retc_expr first = retc_expr_binary(kernel, RETC_KERNEL_OP_MUL, panel, retc_expr_integer(kernel, RETC_PANEL));
  retc_expr rest = retc_expr_binary(kernel, RETC_KERNEL_OP_SUB, retc_expr_integer(kernel, OUTPUTS), first);
  retc_expr high = retc_expr_binary(kernel, RETC_KERNEL_OP_MIN, rest, retc_expr_integer(kernel, RETC_PANEL));
  i = retc_write_for(&w, "i", RETC_LOOP_VECTOR, zero, high, 1);
  retc_expr at = retc_expr_binary(kernel, RETC_KERNEL_OP_ADD, first, i);
  retc_write_store(&w, y, (retc_expr[]){row, at}, load(&w, sum, zero, i));
  return kernel;
}

static inline void add_buffer(plan_bench *b, const char *name, retc_plan_buffer_kind kind, retc_dim width, int slot) {
  retc_plan_buffer buffer = {.name = name, .kind = kind, .dtype = RETC_DTYPE_F32, .slot = slot,
                             .shape = {2, {RETC_NAMED(B), width}}};
  if (kind == RETC_PLAN_WEIGHT) buffer.shape.dim[0] = OUTPUTS;
  if (kind == RETC_PLAN_WEIGHT) buffer.layout = RETC_LAYOUT_PANEL;
  if (kind == RETC_PLAN_CONSTANT) buffer.shape = (retc_shape){1, {width}};
  if (kind == RETC_PLAN_CONSTANT) buffer.constant = bias;
  RETC_VEC_PUSH(&b->plan->arena, b->plan->buffers, buffer);
}

static inline void add_step(plan_bench *b, retc_plan_entry *entry, int kernel, int x, int y, int z) {
  static const char *const regions[] = {"double.in", "double.a", "add.sum", "project.c"};
  size_t step = entry->steps.count;
  const int arguments[] = {x, y, z};
  for (int i = 0; i < 3; i++) b->arguments[step][i] = arguments[i];
  RETC_VEC_PUSH(&b->plan->arena, entry->steps, ((retc_plan_step){kernel, b->arguments[step], regions[step]}));
}

static inline void plan_bench_open(plan_bench *b) {
  *b = (plan_bench){.plan = retc_plan_create(), .kernels = {make_scale(), make_add(), make_project()}};
  retc_diagnostics_init(&b->diagnostics);
  b->plan->chunk_length = 1;
  add_buffer(b, "in", RETC_PLAN_INPUT, WIDTH, -1);
  add_buffer(b, "weight", RETC_PLAN_WEIGHT, WIDTH, -1);
  add_buffer(b, "sum", RETC_PLAN_STATE, WIDTH, -1);
  add_buffer(b, "a", RETC_PLAN_SCRATCH, WIDTH, 0);
  add_buffer(b, "b", RETC_PLAN_SCRATCH, WIDTH, 1);
  add_buffer(b, "c", RETC_PLAN_SCRATCH, WIDTH, 0);
  add_buffer(b, "out", RETC_PLAN_OUTPUT, OUTPUTS, 2);
  add_buffer(b, "bias", RETC_PLAN_CONSTANT, WIDTH, -1);
  for (int slot = 0; slot < 3; slot++) RETC_VEC_PUSH(&b->plan->arena, b->plan->slots, ((retc_plan_slot){{0}}));
  for (int i = 0; i < KERNEL_COUNT; i++) {
    retc_signature signature = retc_kernel_signature(b->kernels[i]);
    retc_plan_kernel kernel = {.name = b->kernels[i]->name, .buffer_count = signature.buffer_count,
                               .dim_count = signature.dim_count, .scratch_bytes = signature.scratch_bytes};
    for (int d = 0; d < signature.dim_count; d++) kernel.dims[d] = signature.dims[d];
    RETC_VEC_PUSH(&b->plan->arena, b->plan->kernels, kernel);
  }
  retc_plan_entry entry = {.name = "step"};
  add_step(b, &entry, SCALE, IN, A, -1);
  add_step(b, &entry, SCALE, A, B, -1);
  add_step(b, &entry, ADD, B, SUM, C);
  add_step(b, &entry, PROJECT, C, WEIGHT, OUT);
  RETC_VEC_PUSH(&b->plan->arena, entry.outputs, ((retc_plan_output){"out", OUT}));
  RETC_VEC_PUSH(&b->plan->arena, entry.outputs, ((retc_plan_output){"same", OUT}));
  RETC_VEC_PUSH(&b->plan->arena, b->plan->entries, entry);
}

static inline void plan_bench_close(plan_bench *b) {
  retc_plan_destroy(b->plan);
  for (int i = 0; i < KERNEL_COUNT; i++) retc_kernel_destroy(b->kernels[i]);
  retc_diagnostics_deinit(&b->diagnostics);
}

#endif
