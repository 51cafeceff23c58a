/* Elements that lie one behind the other, copied by an unrolled loop, into a lane's array or where others see them: as
 * one copy from a multiple of what it copies, at most 16 bytes, and to one. An array of halves or bytes that is filled
 * by such loops alone keeps them as they lie in memory, two or four a register.
 * Compilers would find both out, but not where branches read from several arrays. */
#include <inttypes.h>

#include "backends/hip/hip_private.h"

/* Elements of a run: 8 of f32, halves or bytes, 16 of bytes. */
static bool is_run(retc_dtype dtype, int64_t count) {
  if (count == 8) return dtype == RETC_DTYPE_F32 || hip_is_narrow(dtype);
  return count == 16 && retc_dtype_size(dtype) == 1;
}

static bool is_variable(const hip_emitter *e, retc_expr expr, retc_variable variable) {
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  return node->op == RETC_KERNEL_OP_VARIABLE && node->variable.index == variable.index;
}

static bool mentions(const hip_emitter *e, retc_expr expr, retc_variable variable) {
  if (!expr.index) return false;
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  if (is_variable(e, expr, variable) || node->op == RETC_KERNEL_OP_LOAD) return true;
  return mentions(e, node->inputs[0], variable) || mentions(e, node->inputs[1], variable) ||
         mentions(e, node->inputs[2], variable);
}

/* What the run's elements begin at along the last axis of what is read: expr is that plus the variable. */
static retc_expr find_start(const hip_emitter *e, retc_expr expr, retc_variable variable) {
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  for (int i = 0; i < 2 && node->op == RETC_KERNEL_OP_ADD; i++) {
    const retc_expr start = node->inputs[1 - i];
    if (is_variable(e, node->inputs[i], variable) && !mentions(e, start, variable)) return start;
  }
  return (retc_expr){0};
}

/* The leading indices do not mention the variable; rows begin at multiples of `aligned`, if that is not 0. */
static bool has_fixed_row(const hip_emitter *e, const retc_buffer *buffer, const retc_expr *at, retc_variable variable,
                          int64_t aligned) {
  for (int axis = 0; axis + 1 < buffer->shape.rank; axis++) {
    const int64_t stride = hip_stride_of(buffer, axis);
    if (mentions(e, at[axis], variable) || (aligned && (!stride || stride % aligned))) return false;
  }
  return buffer->shape.rank > 0;
}

/* Whether elements lie at multiples of `by` from one index to the next of all axes but the last. */
static bool has_aligned_rows(const retc_buffer *buffer, int64_t by) {
  int64_t multiple = 1; /* that the distance is of, whatever the dimensions of a call */
  for (int axis = buffer->shape.rank - 1; axis > 0; axis--) {
    if (!retc_dim_is_named(buffer->shape.dim[axis])) multiple *= buffer->shape.dim[axis];
    if (multiple % by) return false;
  }
  return true;
}

/* Where the run begins along the last axis: at a multiple of its length, of a row that is one; none: it is no run. */
static retc_expr find_aligned(const hip_emitter *e, const retc_buffer *buffer, const retc_expr *at,
                              retc_variable variable, int64_t run) {
  if (!has_fixed_row(e, buffer, at, variable, 0) || !has_aligned_rows(buffer, run)) return (retc_expr){0};
  const retc_expr start = find_start(e, at[buffer->shape.rank - 1], variable);
  return start.index && hip_is_aligned(e, start, run) ? start : (retc_expr){0};
}

/* What a block shares, from or to memory. */
static bool is_between(retc_scope to, retc_scope from) {
  return (to == RETC_SCOPE_SHARED && from == RETC_SCOPE_GLOBAL) ||
         (to == RETC_SCOPE_GLOBAL && from == RETC_SCOPE_SHARED);
}

/* A loop that is a run: its store, and where the run begins along the last axes of what is written and read; NULL: it
 * is none. */
static const retc_statement *find_run(const hip_emitter *e, const retc_statement *loop, retc_expr *out_to,
                                      retc_expr *out_from) {
  const retc_statement *s = loop->body.statements.count == 1 ? loop->body.statements.items[0] : NULL;
  if (loop->kind != RETC_STATEMENT_FOR || loop->loop != RETC_LOOP_UNROLL || loop->step != 1 || !s) return NULL;
  if (s->kind != RETC_STATEMENT_STORE) return NULL;
  const retc_expr_node *low = retc_kernel_expr(e->kernel, loop->low), *high = retc_kernel_expr(e->kernel, loop->high);
  const retc_expr_node *value = retc_kernel_expr(e->kernel, s->value);
  if (low->integer != 0 || value->op != RETC_KERNEL_OP_LOAD) return NULL;
  const retc_buffer *to = retc_kernel_buffer(e->kernel, s->buffer),
                    *from = retc_kernel_buffer(e->kernel, value->buffer);
  const bool ends = is_between(to->scope, from->scope);
  if ((!ends && (to->scope != RETC_SCOPE_PRIVATE || from->scope != RETC_SCOPE_GLOBAL)) || to->dtype != from->dtype)
    return NULL;
  const int64_t run = high->integer;
  if (high->op != RETC_KERNEL_OP_CONST || !is_run(to->dtype, run)) return NULL;
  if (!ends && !has_fixed_row(e, from, value->indices, loop->variable, run)) return NULL;
  if (ends && retc_dtype_size(to->dtype) != 2) return NULL;
  *out_from = find_aligned(e, from, value->indices, loop->variable, run);
  *out_to = loop->low;
  if (ends) *out_to = find_aligned(e, to, s->indices, loop->variable, run);
  else if (!has_fixed_row(e, to, s->indices, loop->variable, 0) ||
           !is_variable(e, s->indices[to->shape.rank - 1], loop->variable))
    return NULL;
  return out_from->index && out_to->index ? s : NULL;
}

static void find_definitions(hip_emitter *e, const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_FOR || s->kind == RETC_STATEMENT_LET) e->definitions[s->variable.index] = s;
    find_definitions(e, &s->body);
    find_definitions(e, &s->other);
  }
}

static void unpack_others(hip_emitter *e, const retc_block *block) {
  retc_expr to, from;
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_STORE) e->packed[s->buffer.index] = false;
    if (s->kind == RETC_STATEMENT_MMA) e->packed[s->a.buffer.index] = e->packed[s->b.buffer.index] = false;
    if (find_run(e, s, &to, &from)) continue;
    unpack_others(e, &s->body);
    unpack_others(e, &s->other);
  }
}

void hip_find_packed(hip_emitter *e) {
  for (size_t i = 1; i < e->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &e->kernel->buffers.items[i];
    e->packed[i] = buffer->scope == RETC_SCOPE_PRIVATE && hip_is_narrow(buffer->dtype) && buffer->shape.rank > 1 &&
                   is_run(buffer->dtype, buffer->shape.dim[buffer->shape.rank - 1]);
  }
  find_definitions(e, &e->kernel->body);
  unpack_others(e, &e->kernel->body);
}

void hip_print_run_type(hip_emitter *e, const retc_buffer *buffer) {
  const char *type = hip_memory_type(buffer->dtype);
  if (retc_dtype_size(buffer->dtype) == 2)
    retc_text_printf(e->text, "retc_run<%s>", type);
  else
    retc_text_printf(e->text, "retc_bytes<%s, %" PRId64 ">", type, buffer->shape.dim[buffer->shape.rank - 1]);
}

/* The element of `buffer` at the store's or load's indices, with `start` along the last axis. */
static void print_start(hip_emitter *e, retc_buffer_id buffer, const retc_expr *indices, retc_expr start) {
  retc_expr at[RETC_RANK_MAX];
  const int last = retc_kernel_buffer(e->kernel, buffer)->shape.rank - 1;
  for (int axis = 0; axis < last; axis++) at[axis] = indices[axis];
  at[last] = start;
  retc_text_add(e->text, "&");
  hip_print_element(e, buffer, at);
}

static void print_packed(hip_emitter *e, const retc_statement *s) {
  retc_text_add(e->text, "&");
  hip_print_name(e, retc_kernel_buffer(e->kernel, s->buffer)->name);
  for (int axis = 0; axis < retc_kernel_buffer(e->kernel, s->buffer)->shape.rank - 1; axis++) {
    retc_text_add(e->text, "[");
    hip_print_top(e, s->indices[axis]);
    retc_text_add(e->text, "]");
  }
}

bool hip_emit_run(hip_emitter *e, const retc_statement *loop, int depth) {
  retc_expr to, from;
  const retc_statement *s = find_run(e, loop, &to, &from);
  if (!s || (!e->packed[s->buffer.index] && retc_kernel_expr(e->kernel, loop->high)->integer != 8)) return false;
  const retc_expr_node *value = retc_kernel_expr(e->kernel, s->value);
  const bool ends = retc_kernel_buffer(e->kernel, s->buffer)->scope != RETC_SCOPE_PRIVATE;
  e->used_buffers[s->buffer.index] = e->used_buffers[value->buffer.index] = true;
  retc_text_printf(e->text, "%*s%s(", 2 * depth, "", ends ? "retc_copy_run" : "retc_copy");
  if (e->packed[s->buffer.index]) print_packed(e, s);
  else print_start(e, s->buffer, s->indices, to);
  retc_text_add(e->text, ", ");
  print_start(e, value->buffer, value->indices, from);
  retc_text_add(e->text, ");\n");
  return true;
}

/* Rounded numbers that lie one behind the other in shared memory are stored together. */
static const retc_statement *find_put(const hip_emitter *e, const retc_statement *loop, retc_expr *out_to) {
  const retc_statement *s = loop->body.statements.count == 1 ? loop->body.statements.items[0] : NULL;
  if (!s || s->kind != RETC_STATEMENT_STORE || loop->step != 1) return NULL;
  const retc_expr_node *low = retc_kernel_expr(e->kernel, loop->low), *high = retc_kernel_expr(e->kernel, loop->high);
  const retc_buffer *to = retc_kernel_buffer(e->kernel, s->buffer);
  const int64_t count = high->op == RETC_KERNEL_OP_CONST && low->integer == 0 ? high->integer : 0;
  const bool halves = to->dtype == RETC_DTYPE_BF16 || to->dtype == RETC_DTYPE_F16;
  if (to->scope != RETC_SCOPE_SHARED || !halves || (count != 2 && count != 4 && count != 8)) return NULL;
  *out_to = find_aligned(e, to, s->indices, loop->variable, count);
  return out_to->index ? s : NULL;
}

bool hip_emit_put(hip_emitter *e, const retc_statement *loop, int depth) {
  retc_expr to;
  const retc_statement *s = find_put(e, loop, &to);
  if (!s) return false;
  const int64_t count = retc_kernel_expr(e->kernel, loop->high)->integer;
  const char *name = e->kernel->variables.items[loop->variable.index];
  e->definitions[loop->variable.index] = loop;
  retc_text_printf(e->text, "%*s{\n%*sfloat retc_values[%" PRId64 "];\n#pragma unroll\n%*sfor (int64_t ", 2 * depth, "",
                   2 * depth + 2, "", count, 2 * depth + 2, "");
  hip_print_name(e, name);
  retc_text_add(e->text, " = 0; ");
  hip_print_name(e, name);
  retc_text_printf(e->text, " < %" PRId64 "; ", count);
  hip_print_name(e, name);
  retc_text_add(e->text, "++) retc_values[");
  hip_print_name(e, name);
  retc_text_add(e->text, "] = ");
  hip_print_top(e, s->value);
  retc_text_printf(e->text, s->remark && *s->remark ? ";  // %s\n" : ";\n", s->remark);
  retc_text_printf(e->text, "%*sretc_put(", 2 * depth + 2, "");
  print_start(e, s->buffer, s->indices, to);
  retc_text_printf(e->text, ", retc_values);\n%*s}\n", 2 * depth, "");
  return true;
}
