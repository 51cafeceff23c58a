/* The chunk grid and retention, for test_graph_random.c. */
#ifndef RETC_TEST_GRAPH_RANDOM_GRID_H
#define RETC_TEST_GRAPH_RANDOM_GRID_H

#include "tests/unit/graph_random.h"

/* Rows f32[B,T,h,k], of the graph or new; k is even. */
static inline const known *rows_of(generator *g, int64_t heads, int64_t width) {
  const retc_shape shape = {4, {RETC_NAMED(B), RETC_NAMED(T), heads, width}};
  for (int i = 0, start = g->count ? pick(g, g->count) : 0; i < g->count && pick(g, 3); i++) {
    const known *k = &g->values[(start + i) % g->count];
    if (is_rows(g, k) && retc_shape_equal(&type_of(g, k->value)->shape, &shape) && k->error < 1e-4) return k;
  }
  return new_input(g, "input", RETC_DTYPE_F32, &shape);
}

static inline const known *new_state(generator *g, int64_t a, int64_t b, int64_t c) {
  return new_input(g, "state", RETC_DTYPE_F32, &(retc_shape){4, {RETC_NAMED(B), a, b, c}});
}

static inline void add_output(generator *g, const char *prefix, retc_value value, double error, bool ragged) {
  if (g->output_count == OUTPUTS_MAX) return;
  expected_output *output = &g->outputs[g->output_count++];
  snprintf(output->name, sizeof output->name, "%s_%d", prefix, g->output_count);
  output->error = error;
  output->ragged = ragged;
  retc_graph_add_output(g->b.graph, output->name, value);
}

/* A state's new value. */
static inline void replace_state(generator *g, const known *state, retc_value value, double error, bool ragged) {
  if (g->output_count == OUTPUTS_MAX) return;
  expected_output *output = &g->outputs[g->output_count++];
  snprintf(output->name, sizeof output->name, "%s", retc_graph_node(g->b.graph, state->value)->name);
  output->error = error;
  output->ragged = ragged;
  retc_graph_add_output(g->b.graph, output->name, value);
}

/* Rows onto the grid, with pending ones or without; off it again, or what is left of them. */
static inline void make_grid(generator *g) {
  const retc_attributes chunk = {.integer = {g->chunk}};
  const known *x = find_value(g, is_rows), *pending = NULL;
  if (!x) return;
  const retc_dim *d = type_of(g, x->value)->shape.dim;
  if (d[0] != RETC_NAMED(B) || retc_dim_is_named(d[2]) || retc_dim_is_named(d[3])) return;
  retc_value inputs[3] = {x->value, position_of(g)};
  known k = *x;
  k.low = 0;
  if (pick(g, 2)) {
    const int at = (int)(x - g->values);
    pending = new_state(g, g->chunk, d[2], d[3]);
    if (!pending) return;
    x = &g->values[at];
    inputs[2] = pending->value;
    k = (known){.most = larger(x->most, 2), .error = x->error, .grain = common_grain(x, pending)};
  }
  const known *grid = add(g, RETC_OP_CHUNK, inputs, pending ? 3 : 2, NULL, &chunk, k);
  if (!grid || !pending || pick(g, 2)) return;
  const retc_value carried[] = {grid->value, pending->value, g->position};
  const retc_value next = retc_graph_add(&g->b, RETC_OP_CARRY, carried, 3, NULL, &chunk);
  replace_state(g, pending, next, grid->error, true);
}

static inline void make_unchunk(generator *g) {
  const known *grid = find_value(g, is_grid);
  if (!grid) return;
  const retc_value both[] = {grid->value, position_of(g)};
  add(g, RETC_OP_UNCHUNK, both, 2, NULL, &(retc_attributes){.integer = {g->chunk}}, *grid);
}

static inline void make_decay(generator *g) {
  retc_value decay = new_decay(g, 1 + pick(g, 3));
  if (pick(g, 2)) {
    add(g, RETC_OP_DECAY_MASK, &decay, 1, NULL, &(retc_attributes){.integer = {g->chunk}},
        (known){.most = 1, .error = function_error});
    return;
  }
  const retc_attributes powers = {.integer = {1 + pick(g, 9), pick(g, 4), pick(g, 3)}};
  add(g, RETC_OP_DECAY_POWERS, &decay, 1, NULL, &powers, (known){.most = 1, .error = function_error});
}

/* Updates are any value on the grid of states. */
static inline void make_scan(generator *g) {
  const int64_t heads = 1 + pick(g, 3), keys = any_size(g), values = any_size(g);
  const retc_shape shape = {5, {RETC_NAMED(B), RETC_NAMED(N), heads, keys, values}};
  const known *update = NULL;
  for (int i = 0; i < g->count && !update; i++) {
    if (is_f32(g, &g->values[i]) && retc_shape_equal(&type_of(g, g->values[i].value)->shape, &shape))
      update = &g->values[i];
  }
  if (!update) update = new_input(g, "input", RETC_DTYPE_F32, &shape);
  if (!update) return;
  const known changes = *update;
  const known *start = new_state(g, heads, keys, values);
  if (!start) return;
  const known begun = *start;
  retc_value decay = new_decay(g, heads);
  decay = retc_graph_add(&g->b, RETC_OP_DECAY_POWERS, &decay, 1, NULL, &(retc_attributes){.integer = {1, g->chunk, 0}});
  const retc_value inputs[] = {changes.value, decay, begun.value, position_of(g)};
  const double chunks = (double)g->dims.value[RETC_DIM_N];
  known k = {.most = 2 + chunks * changes.most};
  k.error = chunks * (changes.error + 2 * function_error * k.most);
  const known *states = add(g, RETC_OP_SCAN, inputs, 4, NULL, &(retc_attributes){.integer = {g->chunk}}, k);
  if (states && pick(g, 2)) replace_state(g, &begun, retc_build_part(&g->b, states->value, 1), k.error, false);
}

static inline void make_rotate(generator *g) {
  const known *x = find_value(g, is_rows);
  if (!x) return;
  const retc_dim width = type_of(g, x->value)->shape.dim[3];
  if (retc_dim_is_named(width) || width % 2) return;
  const retc_shape angles = {2, {RETC_NAMED(T), width / 2}};
  const known rows = *x, *cosines = new_input(g, "input", RETC_DTYPE_F32, &angles);
  const known *sines = new_input(g, "input", RETC_DTYPE_F32, &angles);
  if (!cosines || !sines) return;
  const retc_value inputs[] = {rows.value, cosines->value, sines->value};
  known k = product_of(&rows, cosines, 2);
  k.low = 0;
  add(g, RETC_OP_ROTATE, inputs, 3, NULL, &(retc_attributes){.word = pick(g, 2) ? "half" : "adjacent"}, k);
}

static inline void make_positions(generator *g) {
  const retc_value position = position_of(g);
  add(g, RETC_OP_POSITIONS, &position, 1, NULL, NULL, (known){.most = 64, .grain = 1});
}

/* The composite with its measures and states. */
static inline void make_retention(generator *g) {
  static const int64_t widths[] = {2, 4, 6, 8, 16};
  const int64_t groups = 1 + pick(g, 2), heads = groups * (1 + pick(g, 2)), keys = widths[pick(g, 5)],
                values = any_size(g);
  const known *found = rows_of(g, heads, keys), q = found ? *found : (known){.most = 0};
  const known *second = found ? rows_of(g, groups, keys) : NULL, k = second ? *second : q;
  const known *third = second ? rows_of(g, groups, values) : NULL, v = third ? *third : q;
  const known *s = third ? new_state(g, heads, keys, values) : NULL, state = s ? *s : q;
  const known *pk = s ? new_state(g, g->chunk, groups, keys) : NULL, pending_k = pk ? *pk : q;
  const known *pv = pk ? new_state(g, g->chunk, groups, values) : NULL, pending_v = pv ? *pv : q;
  double angles[8];
  for (int i = 0; i < 8; i++) angles[i] = pow(0.5, i);
  if (!pv) return;
  const retc_value theta =
      retc_build_dense(&g->b, RETC_DTYPE_F64, &(retc_shape){1, {keys / 2}}, angles, (size_t)(keys / 2));
  const retc_value inputs[] = {q.value,        k.value,     v.value,         new_decay(g, heads), theta,
                               position_of(g), state.value, pending_k.value, pending_v.value};
  const retc_attributes attributes = {.integer = {g->chunk}, .word = pick(g, 2) ? "half" : "adjacent"};
  /* Sums over all rows of products of keys, and of queries with the state; rotation doubles what a row may hold. */
  const double rows = (double)(g->chunk + g->dims.value[RETC_DIM_T]), kw = (double)keys, km = larger(k.most, 2),
               vm = larger(v.most, 2);
  known state_now = {.most = state.most + rows * 2 * km * vm};
  state_now.error = rows * 2 * (k.error * vm + v.error * km) + (rows + 8) * rounding * state_now.most;
  known o = {.most = 4 * kw * q.most * state_now.most};
  o.error = 4 * kw * (q.error * state_now.most + q.most * state_now.error) + (kw + rows + 8) * rounding * o.most;
  const known *out = add(g, RETC_OP_RETENTION, inputs, 9, NULL, &attributes, o);
  if (!out) return;
  replace_state(g, &state, retc_build_part(&g->b, out->value, 1), state_now.error, false);
  replace_state(g, &pending_k, retc_build_part(&g->b, out->value, 2), k.error + 2 * function_error * km, true);
  replace_state(g, &pending_v, retc_build_part(&g->b, out->value, 3), v.error, true);
  known measure = {.most = 4 * rows * kw * q.most * km};
  measure.error = rows * 4 * kw * (q.error * km + k.error * q.most) + (kw + rows + 8) * rounding * measure.most;
  if (pick(g, 3) == 0) add(g, RETC_OP_SCORE_SUM, inputs, 9, NULL, &attributes, measure);
  measure = (known){.most = kw * state_now.most, .error = kw * state_now.error};
  if (pick(g, 3) == 0) add(g, RETC_OP_STATE_PEAK, inputs, 9, NULL, &attributes, measure);
}

static inline void make_flush(generator *g) {
  const int64_t groups = 1 + pick(g, 2), heads = groups * (1 + pick(g, 2)), keys = any_size(g), values = any_size(g);
  const known *s = new_state(g, heads, keys, values), state = s ? *s : (known){.most = 0};
  const known *pk = s ? new_state(g, g->chunk, groups, keys) : NULL, k = pk ? *pk : state;
  const known *pv = pk ? new_state(g, g->chunk, groups, values) : NULL;
  if (!pv) return;
  const retc_value inputs[] = {state.value, k.value, pv->value, new_decay(g, heads), position_of(g)};
  known out = {.most = 2 + 4 * (double)g->chunk};
  out.error = ((double)g->chunk + 8) * rounding * out.most;
  add(g, RETC_OP_FLUSH, inputs, 5, NULL, &(retc_attributes){.integer = {g->chunk}}, out);
}
#endif
