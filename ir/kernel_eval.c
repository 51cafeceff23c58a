#include "ir/kernel_eval.h"

#include <stdlib.h>

#include "ir/kernel_eval_internal.h"
#include "ir/kernel_math.h"

bool retc_interpreter_next(const retc_statement *loop, int64_t high, int64_t *i) {
  return !__builtin_add_overflow(*i, loop->step, i) && *i < high;
}

/* What the loop's iterations may be in conflict within; NULL: they run in order. Nested loops of a grid are one. */
static retc_watch *watch_of(retc_interpreter *in, retc_loop_kind kind) {
  if (kind == RETC_LOOP_VECTOR) return &in->watches[RETC_WATCH_VECTOR];
  bool tasks = kind == RETC_LOOP_PARALLEL || (kind == RETC_LOOP_GRID && !in->in_parallel);
  return tasks ? &in->watches[RETC_WATCH_TASK] : NULL;
}

static retc_status run_iterations(retc_interpreter *in, const retc_prepared *p, int64_t low, int64_t high) {
  retc_loop_kind kind = p->statement->loop;
  retc_watch *watch = watch_of(in, kind);
  if (watch && (kind != RETC_LOOP_GRID || !in->grids)) watch->base = watch->current;
  bool in_parallel = in->in_parallel;
  in->in_parallel |= kind == RETC_LOOP_PARALLEL;
  in->grids += kind == RETC_LOOP_GRID;
  retc_status status = RETC_OK;
  for (int64_t i = low; i < high && status == RETC_OK;) {
    if (watch) watch->current++;
    if (kind == RETC_LOOP_GRID) retc_interpreter_separate_lanes(in);
    in->slots[p->variable].i64 = i;
    status = retc_interpreter_run_block(in, &p->body);
    if (!retc_interpreter_next(p->statement, high, &i)) break;
  }
  in->grids -= kind == RETC_LOOP_GRID;
  in->in_parallel = in_parallel;
  return status;
}

/* The loop's variable has a value from its first iteration on. */
static retc_status run_loop(retc_interpreter *in, const retc_prepared *p) {
  int64_t low = in->slots[p->low].i64, high = in->slots[p->high].i64;
  const retc_loop_frame frame = {p->statement, in->loops};
  in->loops = &frame;
  retc_status status = p->statement->loop >= RETC_LOOP_LANE ? retc_interpreter_run_lanes(in, p, low, high)
                                                            : run_iterations(in, p, low, high);
  in->loops = frame.outer;
  return status;
}

retc_status retc_interpreter_run_statement(retc_interpreter *in, const retc_prepared *p) {
  in->running = p;
  RETC_TRY(retc_interpreter_compute(in, p));
  switch (p->statement->kind) {
    case RETC_STATEMENT_FOR: return run_loop(in, p);
    case RETC_STATEMENT_IF: return retc_interpreter_run_block(in, in->slots[p->value].i64 ? &p->body : &p->other);
    case RETC_STATEMENT_LET: in->slots[p->variable] = in->slots[p->value]; return RETC_OK;
    case RETC_STATEMENT_STORE: return retc_interpreter_store(in, &p->place, in->slots[p->value]);
    case RETC_STATEMENT_ALLOC: return retc_interpreter_alloc(in, p->place.cell);
    case RETC_STATEMENT_BARRIER: retc_interpreter_separate_lanes(in); return RETC_OK;
    case RETC_STATEMENT_MMA: return retc_interpreter_mma(in, p);
  }
  return RETC_OK;
}

retc_status retc_interpreter_run_block(retc_interpreter *in, const retc_prepared_block *block) {
  for (size_t i = 0; i < block->count; i++) RETC_TRY(retc_interpreter_run_statement(in, &block->items[i]));
  return RETC_OK;
}

static retc_status run(const retc_kernel *kernel, const retc_dims *dims, const retc_kernel_memory *memories,
                       size_t count, retc_diagnostics *diagnostics) {
  retc_interpreter in = {.kernel = kernel, .dims = *dims, .diagnostics = diagnostics};
  retc_arena_init(&in.arena);
  in.slots = RETC_NEW_ARRAY(&in.arena, retc_scalar, kernel->exprs.count + kernel->variables.count);
  in.cells = RETC_NEW_ARRAY(&in.arena, retc_cell, kernel->buffers.count);
  for (size_t i = 1; i < kernel->buffers.count; i++) in.cells[i].buffer = &kernel->buffers.items[i];
  retc_interpreter_prepare(&in);
  retc_status status = retc_interpreter_bind(&in, memories, count);
  if (status == RETC_OK) status = retc_interpreter_run_block(&in, &in.body);
  retc_interpreter_unbind(&in);
  free(in.numbers);
  retc_arena_deinit(&in.arena);
  return status;
}

retc_status retc_kernel_eval(const retc_kernel *kernel, const retc_dims *dims, const retc_kernel_memory *memories,
                             size_t count, retc_diagnostics *diagnostics) {
  RETC_TRY(retc_kernel_verify(kernel, diagnostics));
  if (!retc_kernel_has_math(kernel)) return run(kernel, dims, memories, count, diagnostics);
  retc_kernel *expanded = retc_kernel_expand_math(kernel);
  if (!expanded) return retc_fail(diagnostics, RETC_FAILED, "kernel %s: out of memory", kernel->name);
  retc_status status = run(expanded, dims, memories, count, diagnostics);
  retc_kernel_destroy(expanded);
  return status;
}
