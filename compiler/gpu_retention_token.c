/* A token alone, by matrix instructions: its part of the outputs, of a query and scores that another launch has left in
 * memory as row 0 of a fragment, and of the state, all of whose slices lie in shared memory at once. */
#include "compiler/gpu_retention_matrix.h"

enum {
  SIDE = RETC_FRAGMENT_SIDE,
  WAVES = RETC_FRAGMENT_WAVES,
  SLICE = RETC_MATRIX_SLICE,
  STEP = RETC_MATRIX_STEP,
  LANES = WAVES * 32,
  TURNS = 4, /* runs of a lane that are read at once, */
  RUN = 8    /* of so many channels, which it stores together: 16 bytes */
};

typedef retc_matrix_retention matrix;

/* The product of row 0 of what the launch before has left with a tile's columns, into the wave's sums. */
static void add_token_product(matrix *m, retc_expr unit, retc_buffer_id a, retc_buffer_id b, retc_expr depth) {
  retc_writer *w = &m->l->writer;
  retc_expr zero = retc_int(m->l, 0), side = retc_int(m->l, SIDE);
  retc_view to = retc_write_view(w, m->sums, (retc_expr[]){unit, zero, zero}, 1, 2);
  retc_view from = retc_write_view(w, a, (retc_expr[]){m->b, m->h, zero, zero}, 2, 3);
  retc_view by = retc_write_view(w, b, (retc_expr[]){retc_mul(m->l, unit, side), zero}, 1, 0);
  retc_write_mma(w, to, from, by, SIDE, SIDE, depth);
}

/* The lane's runs of channels of a column of this round, all read before the first is stored. */
static void move_runs(matrix *m, retc_buffer_id read, retc_expr lane, retc_expr round, bool store) {
  retc_lowering *l = m->l;
  const bool channels = m->of->k.width % SLICE != 0, may_miss = channels || retc_matrix_has_column_condition(m);
  const int64_t turns = retc_kernel_buffer(l->kernel, read)->shape.dim[0];
  retc_expr turn = retc_count_to(l, "turn", RETC_LOOP_UNROLL, turns), columns = retc_int(l, m->columns);
  retc_expr run = retc_add(l, retc_mul(l, round, retc_int(l, turns)), turn);
  retc_expr e = retc_let(l, "e", retc_add(l, retc_mul(l, run, retc_int(l, LANES)), lane));
  retc_expr c = retc_let(l, "c", retc_mod(l, e, columns)),
            first = retc_let(l, "first_of_run", retc_mul(l, retc_div(l, e, columns), retc_int(l, RUN)));
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, RUN), own[2] = {turn, y};
  if (store) {
    retc_matrix_put2(m, m->state_turned, c, retc_add(l, first, y), retc_load(l, read, own));
  } else {
    retc_expr slice = retc_div(l, first, retc_int(l, SLICE)),
              x = retc_add(l, retc_mod(l, first, retc_int(l, SLICE)), y), column = retc_add(l, m->first_column, c);
    retc_expr there = retc_less(l, column, retc_int(l, m->of->v.width));
    if (channels) there = retc_and(l, there, retc_matrix_has_channel(m, &m->of->k, slice, x));
    const retc_index at[4] = {retc_at(m->b), retc_at(m->h), retc_at(retc_matrix_channel(m, &m->of->k, slice, x)),
                              retc_at(column)};
    if (may_miss) {
      retc_matrix_put(m, read, own, retc_f32(l, 0));
      retc_if(l, there);
    }
    retc_matrix_put(m, read, own, retc_lower_value(l, m->of->found.start, at));
    if (may_miss) retc_end(l, 1);
  }
  retc_end(l, 2);
}

/* So few turns a round that several blocks share a unit. */
void retc_matrix_read_state_turned(matrix *m) {
  retc_lowering *l = m->l;
  const int64_t turns = m->columns * m->slices * SLICE / RUN / LANES;
  const int64_t at_once = turns % TURNS ? 1 : TURNS, extents[] = {at_once, RUN};
  retc_expr lane = retc_count_to(l, "lane", RETC_LOOP_LANE, LANES);
  retc_buffer_id read = retc_write_alloc(&l->writer, "read", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, extents);
  retc_expr round = retc_count_to(l, "round", RETC_LOOP_SERIAL, turns / at_once);
  for (int store = 0; store < 2; store++) move_runs(m, read, lane, round, store);
  retc_end(l, 2);
}

void retc_matrix_write_token_outputs(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr unit = retc_count_to(l, "unit", RETC_LOOP_WAVE, WAVES), zero = retc_int(l, 0), step = retc_int(l, STEP);
  retc_if(l, retc_less(l, unit, retc_int(l, m->columns / SIDE)));
  retc_lower_note(l, m->of->found.cross);
  add_token_product(m, unit, m->token_query, m->state_turned, retc_int(l, m->slices * SLICE));
  retc_expr own[3] = {unit};
  retc_matrix_begin_elements(m, m->sums, own + 1);
  retc_expr power = retc_matrix_decay(m, retc_sub(l, retc_int(l, m->of->k.chunk - 1), m->first));
  retc_lower_note(l, m->of->found.crossed);
  retc_matrix_put(m, m->sums, own, retc_mul(l, power, retc_load(l, m->sums, own)));
  retc_end(l, 2);
  retc_lower_note(l, m->of->found.inner);
  retc_expr steps = retc_add(l, retc_div(l, m->first, step), retc_int(l, 1));
  add_token_product(m, unit, m->token_scores, m->value, retc_mul(l, steps, step));
  retc_matrix_begin_elements(m, m->sums, own + 1);
  retc_expr column = retc_let(
      l, "column", retc_add(l, retc_add(l, m->first_column, retc_mul(l, unit, retc_int(l, SIDE))), own[2]));
  retc_if(l, retc_and(l, retc_equal(l, own[1], zero), retc_less(l, column, retc_int(l, m->of->v.width))));
  retc_index to[4] = {retc_at(m->b), retc_at(zero), retc_at(m->h), retc_at(column)};
  retc_lower_note(l, m->of->found.sum);
  retc_lower_store(l, m->of->found.output, to, retc_load(l, m->sums, own));
  retc_end(l, 5);
}
