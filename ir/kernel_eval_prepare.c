#include "ir/kernel_eval_internal.h"
#include "ir/kernel_walk.h"

typedef struct preparation {
  retc_interpreter *in;
  retc_arena *arena;
  bool *stored;          /* of each buffer: by some statement of the kernel */
  const bool *in_vector; /* of each buffer: by the vector loop around; NULL: none */
  bool in_task, in_grid;
  uint32_t *seen; /* of each expression: the number of the last statement that computes it */
  uint32_t number;
} preparation;

static uint32_t slot_of(const preparation *p, retc_expr expr) {
  const retc_expr_node *node = retc_kernel_expr(p->in->kernel, expr);
  return node->op == RETC_KERNEL_OP_VARIABLE ? retc_interpreter_slot(p->in, node->variable) : expr.index;
}

/* Only what some turn writes can be in conflict. */
static unsigned watch_of(const preparation *p, retc_buffer_id id) {
  retc_scope scope = retc_kernel_buffer(p->in->kernel, id)->scope;
  unsigned watch = 0;
  if (p->in_vector && p->in_vector[id.index]) watch |= 1u << RETC_WATCH_VECTOR;
  if (!p->stored[id.index]) return watch;
  if (p->in_task && scope == RETC_SCOPE_GLOBAL) watch |= 1u << RETC_WATCH_TASK;
  if (p->in_grid && (scope == RETC_SCOPE_GLOBAL || scope == RETC_SCOPE_SHARED)) watch |= 1u << RETC_WATCH_LANE;
  return watch;
}

static retc_place prepare_place(preparation *p, retc_buffer_id id, const retc_expr *indices) {
  retc_cell *cell = &p->in->cells[id.index];
  int rank = cell->buffer->shape.rank;
  uint32_t *slots = RETC_NEW_ARRAY(p->arena, uint32_t, rank);
  for (int axis = 0; indices && axis < rank; axis++) slots[axis] = slot_of(p, indices[axis]);
  retc_place place = {cell, slots, watch_of(p, id)};
  cell->watched |= place.watch;
  return place;
}

static void set_constant(retc_interpreter *in, retc_expr expr, const retc_expr_node *node) {
  retc_scalar *slot = &in->slots[expr.index];
  if (node->op == RETC_KERNEL_OP_DIM) slot->i64 = in->dims.value[node->integer];
  else if (node->dtype == RETC_DTYPE_F32) slot->f32 = (float)node->number;
  else if (node->dtype == RETC_DTYPE_F64) slot->f64 = node->number;
  else slot->i64 = node->integer;
}

/* Inputs come before what they are inputs of. */
static void add_expr(preparation *p, retc_expr expr, retc_prepared *out) {
  if (!expr.index || p->seen[expr.index] == p->number) return;
  p->seen[expr.index] = p->number;
  const retc_expr_node *node = retc_kernel_expr(p->in->kernel, expr);
  if (node->op == RETC_KERNEL_OP_VARIABLE) return;
  if (node->op == RETC_KERNEL_OP_CONST || node->op == RETC_KERNEL_OP_DIM) {
    set_constant(p->in, expr, node);
    return;
  }
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  retc_operation operation = {.dtype = node->dtype, .target = expr.index};
  retc_dtype dtype = node->dtype;
  for (int i = 0; i < info->inputs; i++) {
    add_expr(p, node->inputs[i], out);
    operation.inputs[i] = slot_of(p, node->inputs[i]);
    if (info->result != RETC_RESULT_select) dtype = retc_kernel_expr(p->in->kernel, node->inputs[0])->dtype;
  }
  if (node->op == RETC_KERNEL_OP_LOAD) {
    int rank = retc_kernel_buffer(p->in->kernel, node->buffer)->shape.rank;
    for (int axis = 0; axis < rank; axis++) add_expr(p, node->indices[axis], out);
    operation.place = prepare_place(p, node->buffer, node->indices);
    dtype = operation.place.cell->buffer->dtype;
  }
  operation.code = (uint16_t)RETC_CODE(node->op, dtype);
  RETC_VEC_PUSH(p->arena, out->operations, operation);
}

typedef struct addition {
  preparation *p;
  retc_prepared *out;
} addition;

static void add_visited(void *user, retc_expr expr) {
  const addition *to = user;
  add_expr(to->p, expr, to->out);
}

static retc_prepared_block prepare_block(preparation *p, const retc_block *block);

static void prepare_loop(preparation *p, const retc_statement *s, retc_prepared *out) {
  preparation inner = *p;
  bool *stored = NULL;
  inner.in_grid |= s->loop == RETC_LOOP_GRID;
  inner.in_task |= s->loop == RETC_LOOP_GRID || s->loop == RETC_LOOP_PARALLEL;
  if (s->loop == RETC_LOOP_VECTOR) {
    stored = RETC_NEW_ARRAY(p->arena, bool, p->in->kernel->buffers.count);
    for (size_t i = 0; i < s->body.statements.count; i++) {
      if (s->body.statements.items[i]->kind == RETC_STATEMENT_STORE)
        stored[s->body.statements.items[i]->buffer.index] = true;
    }
    inner.in_vector = stored;
  }
  out->variable = retc_interpreter_slot(p->in, s->variable);
  out->body = prepare_block(&inner, &s->body);
  p->number = inner.number;
}

static bool holds_barrier(const retc_prepared_block *block) {
  for (size_t i = 0; i < block->count; i++) {
    if (block->items[i].has_barrier) return true;
  }
  return false;
}

static void prepare_statement(preparation *p, const retc_statement *s, retc_prepared *out) {
  p->number++;
  out->statement = s;
  retc_statement_visit_exprs(p->in->kernel, s, add_visited, &(addition){p, out});
  out->low = slot_of(p, s->low);
  out->high = slot_of(p, s->high);
  out->value = slot_of(p, s->value);
  out->depth = slot_of(p, s->depth);
  out->row_count = slot_of(p, s->row_count);
  switch (s->kind) {
    case RETC_STATEMENT_FOR: prepare_loop(p, s, out); break;
    case RETC_STATEMENT_IF:
      out->body = prepare_block(p, &s->body);
      out->other = prepare_block(p, &s->other);
      break;
    case RETC_STATEMENT_LET: out->variable = retc_interpreter_slot(p->in, s->variable); break;
    case RETC_STATEMENT_STORE: out->place = prepare_place(p, s->buffer, s->indices); break;
    case RETC_STATEMENT_ALLOC: out->place.cell = &p->in->cells[s->buffer.index]; break;
    case RETC_STATEMENT_BARRIER: break;
    case RETC_STATEMENT_MMA:
      out->c = prepare_place(p, s->c.buffer, s->c.base);
      out->a = prepare_place(p, s->a.buffer, s->a.base);
      out->b = prepare_place(p, s->b.buffer, s->b.base);
      break;
  }
  out->has_barrier =
      s->kind == RETC_STATEMENT_BARRIER || holds_barrier(&out->body) || holds_barrier(&out->other);
}

static retc_prepared_block prepare_block(preparation *p, const retc_block *block) {
  size_t count = block->statements.count;
  retc_prepared_block out = {RETC_NEW_ARRAY(p->arena, retc_prepared, count), count};
  for (size_t i = 0; i < count; i++) prepare_statement(p, block->statements.items[i], &out.items[i]);
  return out;
}

static void find_stores(const retc_block *block, bool *stored) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_STORE) stored[s->buffer.index] = true;
    find_stores(&s->body, stored);
    find_stores(&s->other, stored);
  }
}

void retc_interpreter_prepare(retc_interpreter *in) {
  preparation p = {.in = in, .arena = &in->arena};
  p.stored = RETC_NEW_ARRAY(&in->arena, bool, in->kernel->buffers.count);
  p.seen = RETC_NEW_ARRAY(&in->arena, uint32_t, in->kernel->exprs.count);
  find_stores(&in->kernel->body, p.stored);
  in->body = prepare_block(&p, &in->kernel->body);
}
