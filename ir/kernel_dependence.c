#include "ir/kernel_dependence.h"

#include <string.h>

/* Equal expressions have equal numbers, whatever statement they stand in; lets are what they stand for. */
typedef struct value_key {
  retc_kernel_op op;
  retc_dtype dtype;
  uint32_t inputs[3];
  int64_t integer;
  double number;
  uint32_t variable, buffer;
  uint32_t indices[RETC_RANK_MAX];
} value_key;

enum { TERMS_MAX = 12 };

/* constant + sum of coefficient * value; `varies`: the value depends on the iteration. */
typedef struct affine {
  int64_t constant;
  int count;
  struct affine_term {
    uint32_t value;
    int64_t coefficient;
    bool varies;
  } terms[TERMS_MAX];
  bool opaque; /* too many terms */
} affine;

typedef struct access {
  const retc_statement *statement;
  retc_buffer_id buffer;
  bool is_store;
  affine *axes; /* of the buffer */
} access;

typedef struct finder {
  const retc_kernel *kernel;
  const retc_statement *loop;
  retc_arena *arena;
  retc_expr *lets;                    /* of each variable: what it stands for, or none */
  const retc_statement **loops;       /* of each variable: its loop, or NULL */
  RETC_VEC(value_key) values;
  uint32_t *numbers; /* of each expression, 0 not yet */
  uint8_t *varies;   /* of each expression: 0 not yet, 1 no, 2 yes */
  RETC_VEC(access) accesses;
} finder;

static const retc_expr_node *node_of(const finder *f, retc_expr expr) { return retc_kernel_expr(f->kernel, expr); }

static int rank_of(const finder *f, retc_buffer_id buffer) { return retc_kernel_buffer(f->kernel, buffer)->shape.rank; }

/* ---- what depends on the iteration ---- */

static bool varies(finder *f, retc_expr expr);

static bool variable_varies(finder *f, retc_variable variable) {
  if (variable.index == f->loop->variable.index) return true;
  if (f->lets[variable.index].index) return varies(f, f->lets[variable.index]);
  const retc_statement *loop = f->loops[variable.index];
  return loop && loop != f->loop && (varies(f, loop->low) || varies(f, loop->high));
}

static bool varies(finder *f, retc_expr expr) {
  if (!expr.index) return false;
  if (f->varies[expr.index]) return f->varies[expr.index] == 2;
  const retc_expr_node *node = node_of(f, expr);
  bool found = node->op == RETC_KERNEL_OP_VARIABLE && variable_varies(f, node->variable);
  for (int i = 0; i < 3 && !found; i++) found = varies(f, node->inputs[i]);
  for (int i = 0; node->op == RETC_KERNEL_OP_LOAD && i < rank_of(f, node->buffer) && !found; i++) {
    found = varies(f, node->indices[i]);
  }
  f->varies[expr.index] = found ? 2 : 1;
  return found;
}

/* ---- indices taken apart ---- */

static uint32_t number_of(finder *f, retc_expr expr) {
  if (!expr.index) return 0;
  if (f->numbers[expr.index]) return f->numbers[expr.index];
  const retc_expr_node *node = node_of(f, expr);
  value_key key;
  memset(&key, 0, sizeof key); /* compared as bytes */
  if (node->op == RETC_KERNEL_OP_VARIABLE && f->lets[node->variable.index].index) {
    return f->numbers[expr.index] = number_of(f, f->lets[node->variable.index]);
  }
  key.op = node->op;
  key.dtype = node->dtype;
  key.integer = node->integer;
  key.number = node->number;
  key.variable = node->variable.index;
  key.buffer = node->buffer.index;
  for (int i = 0; i < 3; i++) key.inputs[i] = number_of(f, node->inputs[i]);
  for (int i = 0; node->op == RETC_KERNEL_OP_LOAD && i < rank_of(f, node->buffer); i++) {
    key.indices[i] = number_of(f, node->indices[i]);
  }
  size_t known = 0;
  while (known < f->values.count && memcmp(&f->values.items[known], &key, sizeof key)) known++;
  if (known == f->values.count) RETC_VEC_PUSH(f->arena, f->values, key);
  return f->numbers[expr.index] = (uint32_t)known + 1;
}

static void add_term(affine *form, uint32_t value, int64_t coefficient, bool varying) {
  for (int i = 0; i < form->count; i++) {
    if (form->terms[i].value != value) continue;
    form->terms[i].coefficient += coefficient;
    return;
  }
  if (form->count == TERMS_MAX) {
    form->opaque = true;
    return;
  }
  form->terms[form->count++] = (struct affine_term){value, coefficient, varying};
}

static bool constant_of(const finder *f, retc_expr expr, int64_t *out_value) {
  const retc_expr_node *node = node_of(f, expr);
  if (node->op != RETC_KERNEL_OP_CONST || node->dtype != RETC_DTYPE_I64) return false;
  *out_value = node->integer;
  return true;
}

/* form += factor * expr */
static void take_apart(finder *f, retc_expr expr, int64_t factor, affine *form) {
  const retc_expr_node *node = node_of(f, expr);
  int64_t constant;
  if (constant_of(f, expr, &constant)) {
    form->constant += factor * constant;
  } else if (node->op == RETC_KERNEL_OP_ADD || node->op == RETC_KERNEL_OP_SUB) {
    take_apart(f, node->inputs[0], factor, form);
    take_apart(f, node->inputs[1], node->op == RETC_KERNEL_OP_ADD ? factor : -factor, form);
  } else if (node->op == RETC_KERNEL_OP_MUL && constant_of(f, node->inputs[1], &constant)) {
    take_apart(f, node->inputs[0], factor * constant, form);
  } else if (node->op == RETC_KERNEL_OP_MUL && constant_of(f, node->inputs[0], &constant)) {
    take_apart(f, node->inputs[1], factor * constant, form);
  } else if (node->op == RETC_KERNEL_OP_VARIABLE && f->lets[node->variable.index].index) {
    take_apart(f, f->lets[node->variable.index], factor, form);
  } else if (node->op == RETC_KERNEL_OP_VARIABLE && node->variable.index != f->loop->variable.index &&
             f->loops[node->variable.index] && varies(f, expr)) {
    /* A loop over what belongs to the iteration: its start, and steps from there. */
    take_apart(f, f->loops[node->variable.index]->low, factor, form);
    add_term(form, number_of(f, expr), factor, false);
  } else {
    add_term(form, number_of(f, expr), factor, varies(f, expr));
  }
}

/* ---- accesses ---- */

static void add_access(finder *f, const retc_statement *s, retc_buffer_id buffer, const retc_expr *indices,
                       bool is_store) {
  if (retc_kernel_buffer(f->kernel, buffer)->scope != RETC_SCOPE_GLOBAL) return;
  int rank = rank_of(f, buffer);
  access a = {s, buffer, is_store, RETC_NEW_ARRAY(f->arena, affine, rank + 1)};
  for (int i = 0; i < rank; i++) take_apart(f, indices[i], 1, &a.axes[i]);
  RETC_VEC_PUSH(f->arena, f->accesses, a);
}

static void add_loads(finder *f, const retc_statement *s, retc_expr expr, uint8_t *seen) {
  if (!expr.index || seen[expr.index]) return;
  seen[expr.index] = 1;
  const retc_expr_node *node = node_of(f, expr);
  for (int i = 0; i < 3; i++) add_loads(f, s, node->inputs[i], seen);
  if (node->op != RETC_KERNEL_OP_LOAD) return;
  for (int i = 0; i < rank_of(f, node->buffer); i++) add_loads(f, s, node->indices[i], seen);
  add_access(f, s, node->buffer, node->indices, false);
}

static void collect(finder *f, const retc_block *block, uint8_t *seen);

static void collect_statement(finder *f, const retc_statement *s, uint8_t *seen) {
  const retc_expr held[] = {s->low, s->high, s->value, s->depth, s->row_count};
  for (int i = 0; i < 5; i++) add_loads(f, s, held[i], seen);
  if (s->kind == RETC_STATEMENT_STORE) {
    for (int i = 0; i < rank_of(f, s->buffer); i++) add_loads(f, s, s->indices[i], seen);
    add_access(f, s, s->buffer, s->indices, true);
  }
  if (s->kind == RETC_STATEMENT_MMA) {
    add_access(f, s, s->a.buffer, s->a.base, false);
    add_access(f, s, s->b.buffer, s->b.base, false);
  }
  bool guarded = s->kind == RETC_STATEMENT_IF && varies(f, s->value);
  if (guarded) return;
  collect(f, &s->body, seen);
  collect(f, &s->other, seen);
}

static void collect(finder *f, const retc_block *block, uint8_t *seen) {
  for (size_t i = 0; i < block->statements.count; i++) collect_statement(f, block->statements.items[i], seen);
}

/* What each variable stands for, in the whole kernel. */
static void define(finder *f, const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_LET) f->lets[s->variable.index] = s->value;
    if (s->kind == RETC_STATEMENT_FOR) f->loops[s->variable.index] = s;
    define(f, &s->body);
    define(f, &s->other);
  }
}

/* ---- the questions ---- */

static bool place_varies(const finder *f, const access *a) {
  for (int i = 0; i < rank_of(f, a->buffer); i++) {
    if (a->axes[i].opaque) return true;
    for (int k = 0; k < a->axes[i].count; k++) {
      if (a->axes[i].terms[k].varies && a->axes[i].terms[k].coefficient) return true;
    }
  }
  return false;
}

static int64_t coefficient_of(const affine *form, uint32_t value) {
  for (int i = 0; i < form->count; i++) {
    if (form->terms[i].value == value) return form->terms[i].coefficient;
  }
  return 0;
}

static bool same_varying_terms(const affine *a, const affine *b) {
  for (int side = 0; side < 2; side++) {
    const affine *one = side ? b : a, *other = side ? a : b;
    for (int i = 0; i < one->count; i++) {
      const struct affine_term *term = &one->terms[i];
      if (term->varies && coefficient_of(other, term->value) != term->coefficient) return false;
    }
  }
  return true;
}

/* The axis is a constant away from a multiple of the loop's variable alone; 0: it is something else. */
static int64_t stride_of(const finder *f, const affine *form) {
  if (form->opaque || form->count != 1 || !form->terms[0].varies) return 0;
  const value_key *value = &f->values.items[form->terms[0].value - 1];
  bool is_loop = value->op == RETC_KERNEL_OP_VARIABLE && value->variable == f->loop->variable.index;
  return is_loop ? form->terms[0].coefficient * f->loop->step : 0;
}

/* x[i + 1] and x[i]: equal but for a whole number of iterations on one axis. */
static bool is_distant(const finder *f, const access *a, const access *b) {
  bool apart = false;
  for (int i = 0; i < rank_of(f, a->buffer); i++) {
    const affine *x = &a->axes[i], *y = &b->axes[i];
    if (x->opaque || y->opaque || !same_varying_terms(x, y)) return false;
    int64_t stride = stride_of(f, x), distance = x->constant - y->constant;
    if (stride && stride == stride_of(f, y) && distance) {
      if (distance % stride) return false;
      int64_t low, high, iterations = distance / stride;
      if (iterations < 0) iterations = -iterations;
      bool bounded = constant_of(f, f->loop->low, &low) && constant_of(f, f->loop->high, &high);
      if (bounded && iterations > (high - low - 1) / f->loop->step) return false;
      apart = true;
    } else if (x->count == 0 && y->count == 0 && distance) {
      return false;
    }
  }
  return apart;
}

static bool runs_once(const finder *f) {
  int64_t low, high;
  return constant_of(f, f->loop->low, &low) && constant_of(f, f->loop->high, &high) && high - low <= f->loop->step;
}

static retc_dependence examine(const finder *f) {
  for (size_t i = 0; i < f->accesses.count; i++) {
    const access *store = &f->accesses.items[i];
    if (!store->is_store) continue;
    const char *name = retc_kernel_buffer(f->kernel, store->buffer)->name;
    if (!place_varies(f, store)) {
      return (retc_dependence){store->statement, name, "written by all iterations of the parallel loop at one place"};
    }
    for (size_t k = 0; k < f->accesses.count; k++) {
      const access *other = &f->accesses.items[k];
      if (other->buffer.index != store->buffer.index) continue;
      if (!other->is_store && !place_varies(f, other)) {
        return (retc_dependence){other->statement, name, "read where another iteration of the parallel loop writes"};
      }
      if (is_distant(f, store, other)) {
        const char *problem = other->is_store ? "written at one place by two iterations of the parallel loop"
                                              : "read where another iteration of the parallel loop writes";
        return (retc_dependence){other->statement, name, problem};
      }
    }
  }
  return (retc_dependence){0};
}

retc_dependence retc_kernel_find_dependence(const retc_kernel *kernel, const retc_statement *loop, retc_arena *arena) {
  finder f = {.kernel = kernel, .loop = loop, .arena = arena};
  f.lets = RETC_NEW_ARRAY(arena, retc_expr, kernel->variables.count);
  f.loops = RETC_NEW_ARRAY(arena, const retc_statement *, kernel->variables.count);
  f.numbers = RETC_NEW_ARRAY(arena, uint32_t, kernel->exprs.count);
  f.varies = RETC_NEW_ARRAY(arena, uint8_t, kernel->exprs.count);
  define(&f, &kernel->body);
  if (runs_once(&f)) return (retc_dependence){0};
  collect(&f, &loop->body, RETC_NEW_ARRAY(arena, uint8_t, kernel->exprs.count));
  return examine(&f);
}
