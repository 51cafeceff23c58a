/* What the plan says of a kernel. */
#include <string.h>

#include "compiler/pass.h"

typedef struct number_writer {
  const retc_kernel *kernel;
  struct retc_plan_term terms[RETC_PLAN_TERMS_MAX];
  int count;
  bool failed; /* it is no number of the dimensions, or too long */
} number_writer;

static void add_term(number_writer *w, retc_plan_op op, int64_t value) {
  if (w->count == RETC_PLAN_TERMS_MAX) w->failed = true;
  else w->terms[w->count++] = (struct retc_plan_term){op, value};
}

static void add_expr(number_writer *w, retc_expr expr) {
  const retc_expr_node *node = retc_kernel_expr(w->kernel, expr);
  if (node->op == RETC_KERNEL_OP_CONST) {
    add_term(w, RETC_PLAN_CONSTANT_TERM, node->integer);
  } else if (node->op == RETC_KERNEL_OP_DIM) {
    add_term(w, RETC_PLAN_DIM_TERM, node->integer);
  } else if (node->op == RETC_KERNEL_OP_VARIABLE) {
    retc_expr value = retc_kernel_find_let(w->kernel, node->variable);
    if (value.index) add_expr(w, value);
    else w->failed = true;
  } else {
    static const retc_plan_op ops[RETC_KERNEL_OP_COUNT] = {
        [RETC_KERNEL_OP_ADD] = RETC_PLAN_ADD, [RETC_KERNEL_OP_SUB] = RETC_PLAN_SUB,
        [RETC_KERNEL_OP_MUL] = RETC_PLAN_MUL, [RETC_KERNEL_OP_DIV] = RETC_PLAN_DIV,
        [RETC_KERNEL_OP_MOD] = RETC_PLAN_MOD, [RETC_KERNEL_OP_MIN] = RETC_PLAN_MIN,
        [RETC_KERNEL_OP_MAX] = RETC_PLAN_MAX};
    retc_plan_op op = ops[node->op];
    w->failed |= !op;
    if (w->failed) return;
    add_expr(w, node->inputs[0]);
    add_expr(w, node->inputs[1]);
    add_term(w, op, 0);
  }
}

static retc_plan_number finish(retc_plan *plan, number_writer *w) {
  if (w->failed) return (retc_plan_number){NULL, 0};
  struct retc_plan_term *terms = RETC_NEW_ARRAY(&plan->arena, struct retc_plan_term, w->count);
  memcpy(terms, w->terms, sizeof *terms * (size_t)w->count);
  return (retc_plan_number){terms, w->count};
}

static retc_plan_number constant(retc_plan *plan, int64_t value) {
  number_writer w = {.count = 0};
  add_term(&w, RETC_PLAN_CONSTANT_TERM, value);
  return finish(plan, &w);
}

/* Iterations of the loop. Bounds are the dimensions' alone: the verifier sees to it. */
static retc_plan_number blocks(retc_plan *plan, const retc_kernel *kernel, const retc_statement *loop) {
  number_writer w = {.kernel = kernel};
  const retc_expr_node *low = retc_kernel_expr(kernel, loop->low), *high = retc_kernel_expr(kernel, loop->high);
  if (low->op == RETC_KERNEL_OP_CONST && high->op == RETC_KERNEL_OP_CONST) {
    int64_t length = high->integer > low->integer ? high->integer - low->integer : 0;
    return constant(plan, (length + loop->step - 1) / loop->step);
  }
  add_expr(&w, loop->high);
  if (low->op != RETC_KERNEL_OP_CONST || low->integer) {
    add_expr(&w, loop->low);
    add_term(&w, RETC_PLAN_SUB, 0);
  }
  if (loop->step > 1) {
    add_term(&w, RETC_PLAN_CONSTANT_TERM, loop->step - 1);
    add_term(&w, RETC_PLAN_ADD, 0);
    add_term(&w, RETC_PLAN_CONSTANT_TERM, loop->step);
    add_term(&w, RETC_PLAN_DIV, 0);
  }
  return finish(plan, &w);
}

retc_plan_kernel retc_plan_describe_kernel(retc_plan *plan, const retc_kernel *kernel) {
  retc_signature signature = retc_kernel_signature(kernel);
  retc_launch launch = retc_kernel_launch(kernel);
  retc_plan_kernel described = {.name = retc_arena_strdup(&plan->arena, kernel->name),
                                .buffer_count = signature.buffer_count,
                                .dim_count = signature.dim_count,
                                .scratch_bytes = signature.scratch_bytes,
                                .shared_bytes = launch.shared_bytes,
                                .product = kernel->product};
  memcpy(described.dims, signature.dims, sizeof described.dims);
  for (int i = 0; launch.grid_count && i < 3; i++) {
    described.grid[i] = i < launch.grid_count ? blocks(plan, kernel, launch.grid[i]) : constant(plan, 1);
    described.block[i] = constant(plan, i ? 1 : launch.block);
  }
  return described;
}
