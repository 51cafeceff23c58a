/* Loops for a CPU as loops for a GPU: an iteration of the parallel loop becomes a block of the grid. Its vector loops
 * are spread over the lanes of the block, everything else the lanes do alike, but for stores, which one of them does.
 * What was private to an iteration is shared by the block, so barriers stand where lanes could meet on an element. No
 * element is computed in another order.
 *
 * Two lane loops in which one axis of a buffer is indexed by the loop's variable itself, both from one start, meet on
 * no element: the same lane has the same index. */
#include "compiler/gpu.h"

#include <string.h>

#include "ir/kernel_walk.h"

/* How the lanes come at the elements of a buffer: not at all; each at its own, the lane being the index on `axis` and
 * counted from `low`; anyhow. */
typedef struct touch {
  enum { NONE, OWN, ANY } way;
  int axis;
  int64_t low;
} touch;

/* Since the last barrier. */
typedef struct touches {
  touch read, write;
} touches;

typedef struct mapper {
  retc_kernel *kernel;
  retc_writer writer;
  retc_arena arena;
  size_t count;                  /* of buffers, when the mapping began: later ones are private to a lane */
  touches *state;                /* of each buffer */
  touches *now;                  /* of the statement at hand */
  const retc_statement *lane;    /* the lane loop around the expressions that are looked at, or NULL */
} mapper;

/* ---- who touches what ---- */

static touch both(touch a, touch b) {
  if (a.way == NONE) return b;
  if (b.way == NONE || (a.way == OWN && b.way == OWN && a.axis == b.axis && a.low == b.low)) return a;
  return (touch){.way = ANY};
}

static bool meet(touch a, touch b) {
  if (a.way == NONE || b.way == NONE) return false;
  return a.way == ANY || b.way == ANY || a.axis != b.axis || a.low != b.low;
}

static touch way_of(const mapper *m, retc_buffer_id buffer, const retc_expr *indices) {
  const touch anyhow = {.way = ANY};
  if (!m->lane || m->lane->step != 1) return anyhow;
  const retc_expr_node *low = retc_kernel_expr(m->kernel, m->lane->low);
  if (low->op != RETC_KERNEL_OP_CONST) return anyhow;
  for (int axis = 0; axis < retc_kernel_buffer(m->kernel, buffer)->shape.rank; axis++) {
    const retc_expr_node *index = retc_kernel_expr(m->kernel, indices[axis]);
    bool own = index->op == RETC_KERNEL_OP_VARIABLE && index->variable.index == m->lane->variable.index;
    if (own) return (touch){.way = OWN, .axis = axis, .low = low->integer};
  }
  return anyhow;
}

/* Whether lanes can meet on its elements at all. */
static bool is_watched(const mapper *m, retc_buffer_id id) {
  const retc_buffer *buffer = retc_kernel_buffer(m->kernel, id);
  if (id.index >= m->count) return false;
  return buffer->scope == RETC_SCOPE_SHARED ||
         (buffer->scope == RETC_SCOPE_GLOBAL && (buffer->access & RETC_ACCESS_WRITE));
}

static void look_at(void *user, retc_expr expr) {
  mapper *m = user;
  if (!expr.index) return;
  const retc_expr_node *node = retc_kernel_expr(m->kernel, expr);
  for (int i = 0; i < 3; i++) look_at(m, node->inputs[i]);
  if (node->op != RETC_KERNEL_OP_LOAD) return;
  int rank = retc_kernel_buffer(m->kernel, node->buffer)->shape.rank;
  for (int axis = 0; axis < rank; axis++) look_at(m, node->indices[axis]);
  if (!is_watched(m, node->buffer)) return;
  touch *read = &m->now[node->buffer.index].read;
  *read = both(*read, way_of(m, node->buffer, node->indices));
}

static void look_at_view(mapper *m, const retc_view *view, bool written) {
  if (!is_watched(m, view->buffer)) return;
  m->now[view->buffer.index].read.way = ANY;
  if (written) m->now[view->buffer.index].write.way = ANY;
}

static void look_at_block(mapper *m, const retc_block *block);

static void look_at_statement(mapper *m, const retc_statement *s) {
  const retc_statement *outer = m->lane;
  retc_statement_visit_exprs(m->kernel, s, look_at, m);
  if (s->kind == RETC_STATEMENT_STORE && is_watched(m, s->buffer)) {
    touch *write = &m->now[s->buffer.index].write;
    *write = both(*write, way_of(m, s->buffer, s->indices));
  }
  if (s->kind == RETC_STATEMENT_MMA) {
    look_at_view(m, &s->c, true);
    look_at_view(m, &s->a, false);
    look_at_view(m, &s->b, false);
  }
  if (s->kind == RETC_STATEMENT_FOR && (s->loop == RETC_LOOP_VECTOR || s->loop == RETC_LOOP_LANE)) m->lane = s;
  look_at_block(m, &s->body);
  look_at_block(m, &s->other);
  m->lane = outer;
}

static void look_at_block(mapper *m, const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) look_at_statement(m, block->statements.items[i]);
}

static void forget(touches *of, size_t count) { memset(of, 0, sizeof *of * count); }

static void join(mapper *m, touches *into, const touches *of) {
  for (size_t i = 0; i < m->count; i++) {
    into[i].read = both(into[i].read, of[i].read);
    into[i].write = both(into[i].write, of[i].write);
  }
}

static touches *copy(mapper *m, const touches *of) {
  touches *to = RETC_NEW_ARRAY(&m->arena, touches, m->count);
  memcpy(to, of, sizeof *to * m->count);
  return to;
}

/* What `now` says is about to happen: a barrier where it meets what happened since the last one. */
static void arrive(mapper *m) {
  bool meets = false;
  for (size_t i = 0; i < m->count; i++) {
    const touches *before = &m->state[i], *now = &m->now[i];
    meets |= meet(before->write, now->read) || meet(before->write, now->write) || meet(before->read, now->write);
  }
  if (meets) {
    retc_write_barrier(&m->writer);
    forget(m->state, m->count);
  }
  join(m, m->state, m->now);
  forget(m->now, m->count);
}

/* ---- statements ---- */

static void keep(mapper *m, retc_statement *s) {
  RETC_VEC_PUSH(&m->kernel->arena, m->writer.block[m->writer.depth]->statements, s);
}

static retc_expr integer(mapper *m, int64_t value) { return retc_expr_integer(m->kernel, value); }

static void map_store(mapper *m, retc_statement *s) {
  look_at_statement(m, s);
  arrive(m);
  retc_write_for(&m->writer, "one", RETC_LOOP_LANE, integer(m, 0), integer(m, 1), 1);
  keep(m, s);
  retc_write_end(&m->writer);
}

/* The element of a view that is `row` and `column` away from its base. */
static const retc_expr *element(mapper *m, const retc_view *view, retc_expr row, retc_expr column) {
  int rank = retc_kernel_buffer(m->kernel, view->buffer)->shape.rank;
  retc_expr *at = RETC_NEW_ARRAY(&m->kernel->arena, retc_expr, rank);
  for (int axis = 0; axis < rank; axis++) at[axis] = view->base[axis];
  at[view->row_axis] = retc_expr_binary(m->kernel, RETC_KERNEL_OP_ADD, at[view->row_axis], row);
  at[view->column_axis] = retc_expr_binary(m->kernel, RETC_KERNEL_OP_ADD, at[view->column_axis], column);
  return at;
}

/* A lane has elements of c, and sums each up on its own. */
static void map_mma(mapper *m, const retc_statement *s) {
  retc_kernel *kernel = m->kernel;
  retc_writer *w = &m->writer;
  look_at_statement(m, s);
  arrive(m);
  retc_expr zero = integer(m, 0), columns = integer(m, s->columns);
  w->comment = s->comment;
  w->remark = s->remark;
  retc_expr e = retc_write_for(w, "e", RETC_LOOP_LANE, zero, integer(m, s->rows * s->columns), 1), i = zero, x = e;
  if (s->rows > 1) {
    i = retc_write_let(w, "i", retc_expr_binary(kernel, RETC_KERNEL_OP_DIV, e, columns));
    x = retc_write_let(w, "x", retc_expr_binary(kernel, RETC_KERNEL_OP_MOD, e, columns));
  }
  retc_buffer_id sum = retc_write_alloc(w, "sum", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){1});
  const retc_expr *to = element(m, &s->c, i, x);
  retc_write_store(w, sum, &zero, retc_expr_load(kernel, s->c.buffer, to));
  retc_expr k = retc_write_for(w, "k", RETC_LOOP_SERIAL, zero, s->depth, 1);
  retc_expr a = retc_expr_load(kernel, s->a.buffer, element(m, &s->a, i, k));
  retc_expr b = retc_expr_load(kernel, s->b.buffer, element(m, &s->b, k, x));
  retc_expr more = retc_expr_ternary(kernel, RETC_KERNEL_OP_FMA, a, b, retc_expr_load(kernel, sum, &zero));
  retc_write_store(w, sum, &zero, more);
  retc_write_end(w);
  retc_write_store(w, s->c.buffer, to, retc_expr_load(kernel, sum, &zero));
  retc_write_end(w);
}

static void map_block(mapper *m, retc_block *block);

/* The body comes behind itself: all that happens in it may have happened before it. */
static void map_loop(mapper *m, retc_statement *s) {
  touches *before = copy(m, m->state);
  look_at_block(m, &s->body);
  join(m, m->state, m->now);
  forget(m->now, m->count);
  keep(m, s);
  map_block(m, &s->body);
  join(m, m->state, before);
}

static void map_branches(mapper *m, retc_statement *s) {
  touches *before = copy(m, m->state);
  keep(m, s);
  map_block(m, &s->body);
  touches *behind = m->state;
  m->state = before;
  if (s->other.statements.count) map_block(m, &s->other);
  join(m, m->state, behind);
}

static void map_for(mapper *m, retc_statement *s) {
  if (s->loop == RETC_LOOP_VECTOR) {
    look_at_statement(m, s);
    arrive(m);
    s->loop = RETC_LOOP_LANE;
    keep(m, s);
    return;
  }
  retc_statement_visit_exprs(m->kernel, s, look_at, m);
  arrive(m);
  if (s->loop == RETC_LOOP_PARALLEL) {
    s->loop = RETC_LOOP_GRID;
    keep(m, s);
    map_block(m, &s->body);
  } else {
    map_loop(m, s);
  }
}

static void map_statement(mapper *m, retc_statement *s) {
  switch (s->kind) {
    case RETC_STATEMENT_FOR: map_for(m, s); break;
    case RETC_STATEMENT_STORE: map_store(m, s); break;
    case RETC_STATEMENT_MMA: map_mma(m, s); break;
    case RETC_STATEMENT_IF:
      retc_statement_visit_exprs(m->kernel, s, look_at, m);
      arrive(m);
      map_branches(m, s);
      break;
    default:
      look_at_statement(m, s);
      arrive(m);
      keep(m, s);
  }
}

static void map_block(mapper *m, retc_block *block) {
  retc_block old = *block;
  *block = (retc_block){.end_comment = old.end_comment};
  retc_writer_open(&m->writer, block);
  for (size_t i = 0; i < old.statements.count; i++) map_statement(m, old.statements.items[i]);
  retc_write_end(&m->writer);
}

/* A parallel loop stands last at the top. */
static bool is_for_cpu(const retc_kernel *kernel) {
  const size_t count = kernel->body.statements.count;
  const retc_statement *last = count ? kernel->body.statements.items[count - 1] : NULL;
  return last && last->kind == RETC_STATEMENT_FOR && last->loop == RETC_LOOP_PARALLEL;
}

void retc_gpu_map(retc_kernel *kernel) {
  if (!is_for_cpu(kernel)) return;
  mapper m = {.kernel = kernel, .count = kernel->buffers.count};
  retc_arena_init(&m.arena);
  retc_writer_init(&m.writer, kernel);
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    retc_buffer *buffer = &kernel->buffers.items[i];
    if (buffer->scope == RETC_SCOPE_PRIVATE) buffer->scope = RETC_SCOPE_SHARED;
  }
  m.state = RETC_NEW_ARRAY(&m.arena, touches, m.count);
  m.now = RETC_NEW_ARRAY(&m.arena, touches, m.count);
  map_block(&m, &kernel->body);
  retc_arena_deinit(&m.arena);
}
