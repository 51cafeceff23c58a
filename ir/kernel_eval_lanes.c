#include <stdlib.h>
#include <string.h>

#include "ir/kernel_eval_internal.h"

/* Lanes that go on together: each has its own variables. */
typedef struct gang {
  int64_t count, room;
  int64_t *lanes;         /* their numbers in the block */
  retc_scalar *variables; /* [count][variables of the kernel] */
} gang;

static size_t width_of(const retc_interpreter *in) { return in->kernel->variables.count; }

static retc_scalar *variables_of(const retc_interpreter *in, const gang *g, int64_t index) {
  return g->variables + (size_t)index * width_of(in);
}

static retc_status take_lane(retc_interpreter *in, const gang *g, int64_t index) {
  memcpy(&in->slots[in->kernel->exprs.count], variables_of(in, g, index), width_of(in) * sizeof(retc_scalar));
  return retc_interpreter_enter_lane(in, g->lanes[index]);
}

static void leave_lane(const retc_interpreter *in, const gang *g, int64_t index) {
  memcpy(variables_of(in, g, index), &in->slots[in->kernel->exprs.count], width_of(in) * sizeof(retc_scalar));
}

/* The running lane's variables as another member. */
static retc_status add_member(retc_interpreter *in, gang *g, int64_t lane) {
  if (g->count == g->room) {
    int64_t room = g->room ? 2 * g->room : 64;
    int64_t *lanes = realloc(g->lanes, (size_t)room * sizeof *lanes);
    if (lanes) g->lanes = lanes;
    retc_scalar *variables = realloc(g->variables, (size_t)room * width_of(in) * sizeof *variables);
    if (variables) g->variables = variables;
    if (!lanes || !variables) return retc_interpreter_fail(in, "out of memory for %lld lanes", (long long)room);
    g->room = room;
  }
  g->lanes[g->count++] = lane;
  leave_lane(in, g, g->count - 1);
  return RETC_OK;
}

static void release(gang *g) {
  free(g->lanes);
  free(g->variables);
}

static int64_t iterations(const retc_statement *loop, int64_t low, int64_t high) {
  return high > low ? (int64_t)(((uint64_t)high - (uint64_t)low - 1) / (uint64_t)loop->step) + 1 : 0;
}

/* The running lane becomes those of the loop. */
static retc_status split_lane(retc_interpreter *in, const retc_prepared *p, int64_t low, int64_t high, gang *out) {
  int64_t parent = in->lane, count = iterations(p->statement, low, high), i = low;
  for (int64_t k = 0; k < count; k++, retc_interpreter_next(p->statement, high, &i)) {
    in->slots[p->variable].i64 = i;
    RETC_TRY(add_member(in, out, parent * count + k));
  }
  return RETC_OK;
}

static retc_status run_together(retc_interpreter *in, const retc_prepared_block *block, const gang *g);

/* The statement's own values, which all members must have alike. */
static retc_status agree(retc_interpreter *in, const retc_prepared *p, const gang *g, retc_scalar out_values[3]) {
  for (int64_t k = 0; k < g->count; k++) {
    RETC_TRY(take_lane(in, g, k));
    RETC_TRY(retc_interpreter_compute(in, p));
    const retc_scalar values[3] = {in->slots[p->value], in->slots[p->low], in->slots[p->high]};
    bool differs = false;
    for (int i = 0; k > 0 && i < 3; i++) differs |= values[i].i64 != out_values[i].i64;
    if (differs)
      return retc_interpreter_fail(in, "the barrier within is not reached by all lanes of a block: lanes %lld and %lld "
                                   "go different ways", (long long)g->lanes[0], (long long)g->lanes[k]);
    memcpy(out_values, values, sizeof values);
  }
  return RETC_OK;
}

static retc_status loop_together(retc_interpreter *in, const retc_prepared *p, const gang *g) {
  retc_scalar values[3] = {{0}};
  RETC_TRY(agree(in, p, g, values));
  const retc_loop_frame frame = {p->statement, in->loops};
  in->loops = &frame;
  int64_t high = values[2].i64;
  retc_status status = RETC_OK;
  for (int64_t i = values[1].i64; i < high && status == RETC_OK;) {
    for (int64_t k = 0; k < g->count; k++) variables_of(in, g, k)[p->statement->variable.index].i64 = i;
    status = run_together(in, &p->body, g);
    if (!retc_interpreter_next(p->statement, high, &i)) break;
  }
  in->loops = frame.outer;
  return status;
}

static retc_status split_together(retc_interpreter *in, const retc_prepared *p, const gang *g) {
  gang inner = {0};
  retc_status status = RETC_OK;
  for (int64_t k = 0; k < g->count && status == RETC_OK; k++) {
    status = take_lane(in, g, k);
    if (status == RETC_OK) status = retc_interpreter_compute(in, p);
    if (status == RETC_OK) status = split_lane(in, p, in->slots[p->low].i64, in->slots[p->high].i64, &inner);
  }
  const retc_loop_frame frame = {p->statement, in->loops};
  in->loops = &frame;
  if (status == RETC_OK) status = run_together(in, &p->body, &inner);
  in->loops = frame.outer;
  release(&inner);
  return status;
}

static retc_status step_together(retc_interpreter *in, const retc_prepared *p, const gang *g) {
  if (!p->has_barrier) {
    for (int64_t k = 0; k < g->count; k++) {
      RETC_TRY(take_lane(in, g, k));
      RETC_TRY(retc_interpreter_run_statement(in, p));
      leave_lane(in, g, k);
    }
    return RETC_OK;
  }
  in->running = p;
  if (p->statement->kind == RETC_STATEMENT_BARRIER) {
    retc_interpreter_separate_lanes(in);
    return RETC_OK;
  }
  if (p->statement->kind == RETC_STATEMENT_IF) {
    retc_scalar values[3] = {{0}};
    RETC_TRY(agree(in, p, g, values));
    return run_together(in, values[0].i64 ? &p->body : &p->other, g);
  }
  return p->statement->loop == RETC_LOOP_LANE ? split_together(in, p, g) : loop_together(in, p, g);
}

static retc_status run_together(retc_interpreter *in, const retc_prepared_block *block, const gang *g) {
  for (size_t i = 0; i < block->count; i++) RETC_TRY(step_together(in, &block->items[i], g));
  return RETC_OK;
}

/* Without a barrier the lanes need not wait for each other. */
static retc_status run_apart(retc_interpreter *in, const retc_prepared *p, int64_t low, int64_t high) {
  int64_t parent = in->lane, count = iterations(p->statement, low, high), i = low;
  for (int64_t k = 0; k < count; k++, retc_interpreter_next(p->statement, high, &i)) {
    RETC_TRY(retc_interpreter_enter_lane(in, parent * count + k));
    in->slots[p->variable].i64 = i;
    RETC_TRY(retc_interpreter_run_block(in, &p->body));
  }
  return RETC_OK;
}

retc_status retc_interpreter_run_lanes(retc_interpreter *in, const retc_prepared *p, int64_t low, int64_t high) {
  int64_t lane = in->lane;
  bool outermost = !in->in_lanes;
  in->in_lanes = true;
  retc_status status;
  if (p->has_barrier) {
    gang g = {0};
    status = split_lane(in, p, low, high, &g);
    if (status == RETC_OK) status = run_together(in, &p->body, &g);
    release(&g);
  } else {
    status = run_apart(in, p, low, high);
  }
  if (outermost) in->in_lanes = false;
  return status == RETC_OK ? retc_interpreter_enter_lane(in, lane) : status;
}
