#include <inttypes.h>

#include "runtime/plan.h"

static int64_t apply(retc_plan_op op, int64_t a, int64_t b) {
  switch (op) {
    case RETC_PLAN_ADD: return a + b;
    case RETC_PLAN_SUB: return a - b;
    case RETC_PLAN_MUL: return a * b;
    case RETC_PLAN_DIV: return b ? a / b : 0;
    case RETC_PLAN_MOD: return b ? a % b : 0;
    case RETC_PLAN_MIN: return a < b ? a : b;
    default: return a > b ? a : b;
  }
}

int64_t retc_plan_number_value(const retc_plan_number *number, const retc_dims *dims) {
  int64_t stack[RETC_PLAN_TERMS_MAX] = {0};
  int height = 0;
  for (int i = 0; i < number->count; i++) {
    const struct retc_plan_term *term = &number->terms[i];
    if (term->op == RETC_PLAN_CONSTANT_TERM) stack[height++] = term->value;
    else if (term->op == RETC_PLAN_DIM_TERM) stack[height++] = dims->value[term->value];
    else stack[height - 2] = apply(term->op, stack[height - 2], stack[height - 1]), height--;
  }
  return stack[0];
}

/* The terms up to `end`, of which the last is printed; returns where they begin. */
static int print(const retc_plan_number *number, int end, retc_text *text);

/* Where the operand that ends before `end` begins. */
static int begin_of(const retc_plan_number *number, int end) {
  int wanted = 1;
  while (wanted) wanted += number->terms[--end].op <= RETC_PLAN_DIM_TERM ? -1 : 1;
  return end;
}

static int print(const retc_plan_number *number, int end, retc_text *text) {
  static const char *const signs[] = {[RETC_PLAN_ADD] = " + ", [RETC_PLAN_SUB] = " - ", [RETC_PLAN_MUL] = " * ",
                                      [RETC_PLAN_DIV] = " / ", [RETC_PLAN_MOD] = " % ", [RETC_PLAN_MIN] = ", ",
                                      [RETC_PLAN_MAX] = ", "};
  const struct retc_plan_term *term = &number->terms[end - 1];
  if (term->op == RETC_PLAN_CONSTANT_TERM) {
    retc_text_printf(text, "%" PRId64, term->value);
    return end - 1;
  }
  if (term->op == RETC_PLAN_DIM_TERM) {
    retc_text_add(text, retc_dim_text((retc_dim_name)term->value));
    return end - 1;
  }
  retc_text_add(text, term->op == RETC_PLAN_MIN ? "min(" : term->op == RETC_PLAN_MAX ? "max(" : "(");
  const int second = begin_of(number, end - 1), first = print(number, second, text);
  retc_text_add(text, signs[term->op]);
  print(number, end - 1, text);
  retc_text_add(text, ")");
  return first;
}

void retc_plan_number_print(const retc_plan_number *number, retc_text *out_text) {
  if (number->count) print(number, number->count, out_text);
  else retc_text_add(out_text, "0");
}

bool retc_plan_kernel_is_launch(const retc_plan_kernel *kernel) { return kernel->grid[0].count > 0; }

bool retc_plan_is_gpu(const retc_plan *plan) {
  return plan->kernels.count && retc_plan_kernel_is_launch(&plan->kernels.items[0]);
}
