/* The unfinished chunk: its rows kept for the next call (carry), and the state as it is after them (flush). */
#include "compiler/anchors.h"
#include "compiler/lower_rows.h"

bool retc_anchor_carry_matches(const retc_graph *graph, const retc_node *node) {
  (void)graph;
  return node->op == RETC_OP_CARRY;
}

void retc_anchor_carry_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

/* Only the rows of this call are written: those before them are in place already. A complete chunk leaves none. */
retc_status retc_anchor_carry_lower(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  retc_rows rows;
  if (!retc_rows_describe(l, node->inputs[0], &rows)) {
    return retc_fail(l->cx->diagnostics, RETC_INTERNAL, "lower: %s carries what is no row of the chunk grid",
                     retc_graph_region(l->graph, l->region)->name);
  }
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), one = retc_int(l, 1), chunk = retc_int(l, rows.chunk);
  retc_expr heads = retc_int(l, rows.heads), last = retc_sub(l, retc_dim_expr(l, RETC_NAMED(N)), one);
  retc_expr tasks = retc_mul(l, retc_dim_expr(l, RETC_NAMED(B)), heads);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1);
  retc_expr b = retc_write_let(w, "b", retc_div(l, task, heads)), g = retc_write_let(w, "g", retc_mod(l, task, heads));
  retc_expr pending = retc_write_let(w, "pending", retc_mod(l, retc_dim_expr(l, RETC_NAMED(P)), chunk));
  retc_expr first = retc_write_let(w, "first", retc_select(l, retc_equal(l, last, zero), pending, zero));
  retc_expr start = retc_write_let(w, "start", retc_sub(l, retc_mul(l, last, chunk), pending));
  retc_expr end = retc_write_let(w, "end", retc_sub(l, retc_dim_expr(l, RETC_NAMED(T)), start));
  retc_write_if(w, retc_less(l, end, chunk));
  retc_expr i = retc_write_for(w, "i", RETC_LOOP_SERIAL, first, end, 1);
  retc_expr to[4] = {b, i, g, {0}};
  retc_rows_write(l, &rows, b, retc_add(l, start, i), g, retc_lower_buffer(l, l->anchor), to, 4, 3);
  for (int open = 0; open < 3; open++) retc_write_end(w);
  return RETC_OK;
}

bool retc_anchor_flush_matches(const retc_graph *graph, const retc_node *node) {
  (void)graph;
  return node->op == RETC_OP_FLUSH;
}

void retc_anchor_flush_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

/* As a complete chunk enters the state, with the number of pending rows in the place of the chunk length. */
retc_status retc_anchor_flush_lower(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const retc_shape *state = &node->type.shape, *keys = &retc_lower_node(l, node->inputs[1])->type.shape;
  int64_t length = node->attributes.integer[0];
  retc_buffer_id table = retc_rows_decay_table(l, node->inputs[3], length), to = retc_lower_buffer(l, l->anchor);
  l->kernel->buffers.items[to.index].access |= RETC_ACCESS_READ; /* sums are built in place */
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), one = retc_int(l, 1), heads = retc_int(l, state->dim[1]);
  retc_expr chunk = retc_int(l, length), width = retc_int(l, state->dim[3]);
  retc_expr tasks = retc_mul(l, retc_dim_expr(l, RETC_NAMED(B)), heads);
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_PARALLEL, zero, tasks, 1);
  retc_expr b = retc_write_let(w, "b", retc_div(l, task, heads)), h = retc_write_let(w, "h", retc_mod(l, task, heads));
  retc_expr g = retc_write_let(w, "g", retc_div(l, h, retc_int(l, state->dim[1] / keys->dim[2])));
  retc_expr rows = retc_write_let(w, "rows", retc_mod(l, retc_dim_expr(l, RETC_NAMED(P)), chunk));
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, state->dim[2]), 1);
  retc_expr whole = retc_load(l, table, (retc_expr[]){h, retc_sub(l, chunk, rows)});
  whole = retc_write_let(w, "whole", whole);
  retc_expr at[4] = {b, h, x, retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, width, 1)};
  retc_write_store(w, to, at, retc_mul(l, whole, retc_load(l, retc_lower_buffer(l, node->inputs[0]), at)));
  retc_write_end(w);
  retc_expr j = retc_write_for(w, "j", RETC_LOOP_SERIAL, zero, rows, 1);
  retc_expr age = retc_sub(l, retc_sub(l, rows, one), j);
  retc_expr power = retc_load(l, table, (retc_expr[]){h, retc_sub(l, chunk, age)});
  retc_expr key = retc_load(l, retc_lower_buffer(l, node->inputs[1]), (retc_expr[]){b, j, g, x});
  key = retc_write_let(w, "key", retc_mul(l, power, key));
  at[3] = retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, width, 1);
  retc_expr value = retc_load(l, retc_lower_buffer(l, node->inputs[2]), (retc_expr[]){b, j, g, at[3]});
  retc_write_store(w, to, at, retc_fma(l, key, value, retc_load(l, to, at)));
  for (int open = 0; open < 4; open++) retc_write_end(w);
  return RETC_OK;
}
