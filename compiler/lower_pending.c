/* The unfinished chunk: its rows kept for the next call (carry), and the state as it is after them (flush). */
#include "compiler/anchors.h"
#include "compiler/lower_rows.h"

bool retc_anchor_carry_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  return node->op == RETC_OP_CARRY;
}

void retc_anchor_carry_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

/* The state that the result replaces where it lies, or none. */
static bool replaces(const retc_lowering *l, retc_value state, retc_value result) {
  for (size_t i = 0; i < l->operands.count; i++) {
    if (l->operands.items[i].value.index == state.index) return l->operands.items[i].replaced_by.index == result.index;
  }
  return false;
}

/* Whether the rows come straight through the grid from this call and from the very pending rows that are replaced: then
 * only this call's rows need be written. */
static bool is_in_place(const retc_lowering *l, const retc_node *carry, retc_rows *out_rows) {
  const retc_node *chunk = retc_lower_node(l, carry->inputs[0]);
  bool same = chunk->op == RETC_OP_CHUNK && retc_lower_is_inside(l, carry->inputs[0]) && chunk->input_count == 3 &&
              chunk->inputs[1].index == carry->inputs[2].index && chunk->inputs[2].index == carry->inputs[1].index;
  if (!same || l->results.count != 1 || !replaces(l, carry->inputs[1], l->anchor)) return false;
  const retc_shape *shape = &carry->type.shape;
  return !retc_dim_is_named(shape->dim[2]) && !retc_dim_is_named(shape->dim[3]) &&
         retc_rows_describe(l, carry->inputs[0], out_rows);
}

/* A row and head of each task: those that are of this call or, of a chunk that begins in it, all. Behind its end they are
 * absent: zero. */
static retc_status write_in_place(retc_lowering *l, const retc_node *node, const retc_rows *rows) {
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), one = retc_int(l, 1), chunk = retc_int(l, rows->chunk);
  retc_expr heads = retc_int(l, rows->heads), last = retc_sub(l, retc_dim_expr(l, RETC_NAMED(N)), one);
  retc_expr tokens = retc_dim_expr(l, RETC_NAMED(T)), begun = retc_mul(l, last, chunk);
  retc_expr count = retc_min(l, chunk, retc_add(l, tokens, begun));
  retc_expr tasks = retc_mul(l, retc_mul(l, retc_dim_expr(l, node->type.shape.dim[0]), count), heads);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1);
  retc_expr row = retc_write_let(w, "row", retc_div(l, task, heads)), g = retc_write_let(w, "g", retc_mod(l, task, heads));
  count = retc_write_let(w, "count", count);
  retc_expr b = retc_write_let(w, "b", retc_div(l, row, count));
  retc_expr pending = retc_write_let(w, "pending", retc_mod(l, retc_lower_value(l, node->inputs[2], NULL), chunk));
  retc_expr first = retc_select(l, retc_equal(l, last, zero), pending, zero);
  retc_expr i = retc_write_let(w, "i", retc_add(l, first, retc_mod(l, row, count)));
  retc_expr t = retc_write_let(w, "t", retc_add(l, retc_sub(l, begun, pending), i));
  retc_expr to[4] = {b, i, g, {0}};
  retc_write_if(w, retc_less(l, t, tokens));
  retc_lower_note(l, l->anchor);
  retc_rows_write(l, rows, b, t, g, retc_lower_buffer(l, l->anchor), to, 4, 3);
  retc_write_else(w);
  to[3] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, retc_int(l, rows->width), 1);
  retc_write_store(w, retc_lower_buffer(l, l->anchor), to, retc_f32(l, 0));
  for (int blocks = 0; blocks < 3; blocks++) retc_write_end(w);
  return l->status;
}

retc_status retc_anchor_carry_lower(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  retc_rows rows;
  return is_in_place(l, node, &rows) ? write_in_place(l, node, &rows) : retc_lower_elements(l);
}

bool retc_anchor_flush_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  return node->op == RETC_OP_FLUSH;
}

void retc_anchor_flush_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

typedef struct flush {
  retc_lowering *l;
  const retc_node *node;
  retc_buffer_id to;
  retc_expr b, h, g, x, rows; /* g the key/value head of h; rows that are pending */
} flush;

static retc_expr power(flush *f, retc_expr n) {
  return retc_lower_decay(f->l, f->node->inputs[3], f->h, n, f->node->attributes.integer[0]);
}

/* Row j of an operand of rows: [b,j,g,channel]. */
static retc_expr read_row(flush *f, int operand, retc_expr j, retc_index channel) {
  retc_index at[4] = {retc_at(f->b), retc_at(j), retc_at(f->g), channel};
  return retc_lower_value(f->l, f->node->inputs[operand], at);
}

/* Lanes over the value channels, `to` their element. */
static retc_index begin_lanes(flush *f, retc_expr *to) {
  retc_lowering *l = f->l;
  retc_expr zero = retc_int(l, 0), width = retc_dim_expr(l, f->node->type.shape.dim[3]);
  to[0] = f->b, to[1] = f->h, to[2] = f->x;
  to[3] = retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, zero, width, 1);
  return (retc_index){zero, to[3], 0};
}

/* Row x of a state: as a complete chunk enters it, with the number of pending rows in the place of the chunk length. */
static void write_state_row(flush *f) {
  retc_lowering *l = f->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), one = retc_int(l, 1), to[4];
  retc_expr whole = retc_write_let(w, "whole", power(f, f->rows));
  retc_index lane = begin_lanes(f, to);
  retc_index from[4] = {retc_at(f->b), retc_at(f->h), retc_at(f->x), lane};
  retc_lower_note(l, l->anchor);
  retc_write_store(w, f->to, to, retc_mul(l, whole, retc_lower_value(l, f->node->inputs[0], from)));
  retc_write_end(w);
  retc_expr j = retc_write_for(w, "j", RETC_LOOP_SERIAL, zero, f->rows, 1);
  retc_expr age = retc_write_let(w, "age", retc_sub(l, retc_sub(l, f->rows, one), j));
  retc_expr key = retc_mul(l, power(f, age), read_row(f, 1, j, retc_at(f->x)));
  key = retc_write_let(w, "key", key);
  lane = begin_lanes(f, to);
  retc_expr value = read_row(f, 2, j, lane);
  retc_lower_note(l, l->anchor);
  retc_write_store(w, f->to, to, retc_fma(l, key, value, retc_load(l, f->to, to)));
  retc_write_end(w);
  retc_write_end(w);
}

retc_status retc_anchor_flush_lower(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  if (l->results.count != 1 || l->results.items[0].index != l->anchor.index) {
    return retc_lower_refuse(l, l->results.items[0], "a flush's region gives the state alone");
  }
  const retc_shape *state = &node->type.shape, *keys = &retc_lower_node(l, node->inputs[1])->type.shape;
  flush f = {.l = l, .node = node, .to = retc_lower_buffer(l, l->anchor)};
  l->kernel->buffers.items[f.to.index].access |= RETC_ACCESS_READ; /* sums are built in place */
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), heads = retc_int(l, state->dim[1]);
  retc_expr tasks = retc_mul(l, retc_dim_expr(l, state->dim[0]), heads);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1);
  f.b = retc_write_let(w, "b", retc_div(l, task, heads));
  f.h = retc_write_let(w, "h", retc_mod(l, task, heads));
  f.g = retc_write_let(w, "g", retc_div(l, f.h, retc_int(l, state->dim[1] / keys->dim[2])));
  retc_expr position = retc_lower_value(l, node->inputs[4], NULL);
  f.rows = retc_write_let(w, "rows", retc_mod(l, position, retc_int(l, node->attributes.integer[0])));
  f.x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_dim_expr(l, state->dim[2]), 1);
  write_state_row(&f);
  retc_write_end(w);
  retc_write_end(w);
  return l->status;
}
