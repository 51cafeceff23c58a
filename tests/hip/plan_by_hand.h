/* Plans that tests put together, and what stops a test. */
#ifndef RETC_TESTS_PLAN_BY_HAND_H
#define RETC_TESTS_PLAN_BY_HAND_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "runtime/plan.h"

static retc_diagnostics diagnostics;

static _Noreturn void stop(const char *words) {
  fprintf(stderr, "%s\n", words);
  exit(1);
}

static void want(retc_status status) {
  if (status != RETC_OK) stop(retc_diagnostics_text(&diagnostics));
}

static const struct retc_plan_term batch[] = {{RETC_PLAN_DIM_TERM, RETC_DIM_B}}, logits_axis[] = {
    {RETC_PLAN_DIM_TERM, RETC_DIM_L}}, one[] = {{RETC_PLAN_CONSTANT_TERM, 1}}, two[] = {{RETC_PLAN_CONSTANT_TERM, 2}},
    threads[] = {{RETC_PLAN_CONSTANT_TERM, 64}};
#define NUMBER(terms) ((retc_plan_number){(terms), 1})

static int add_buffer(retc_plan *plan, retc_plan_buffer buffer) {
  RETC_VEC_PUSH(&plan->arena, plan->buffers, buffer);
  return (int)plan->buffers.count - 1;
}

static int add_slot(retc_plan *plan) {
  RETC_VEC_PUSH(&plan->arena, plan->slots, (retc_plan_slot){0});
  return (int)plan->slots.count - 1;
}

static void add_step(retc_plan *plan, retc_plan_entry *entry, int kernel, const int *buffers, int count) {
  int *copy = retc_arena_alloc(&plan->arena, sizeof *copy * (size_t)count);
  memcpy(copy, buffers, sizeof *copy * (size_t)count);
  RETC_VEC_PUSH(&plan->arena, entry->steps, ((retc_plan_step){.kernel = kernel, .buffers = copy, .region = "r"}));
}

#endif
