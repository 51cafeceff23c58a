#include "compiler/lower_rows.h"

#include <math.h>
#include <string.h>

#include "compiler/anchors.h"

bool retc_rows_describe(const retc_lowering *l, retc_value value, retc_rows *out_rows) {
  const retc_node *node = retc_lower_node(l, value);
  if (node->op == RETC_OP_REPEAT) {
    value = node->inputs[0];
    node = retc_lower_node(l, value);
  }
  if (node->op != RETC_OP_CHUNK) return false;
  retc_rows rows = {.value = value, .operand = node->inputs[0], .chunk = node->attributes.integer[0]};
  if (node->input_count == 3) rows.pending = node->inputs[2];
  const retc_node *inner = retc_lower_node(l, node->inputs[0]);
  rows.heads = inner->type.shape.dim[2];
  rows.width = inner->type.shape.dim[3];
  if (inner->op == RETC_OP_ROTATE && retc_lower_is_inside(l, node->inputs[0])) {
    rows.rotated = rows.operand;
    rows.operand = inner->inputs[0];
    rows.cosine = inner->inputs[1];
    rows.sine = inner->inputs[2];
    rows.half = !strcmp(inner->attributes.word, "half");
  }
  *out_rows = rows;
  return true;
}

static void store_channel(retc_lowering *l, const retc_rows *rows, retc_buffer_id to, const retc_expr *to_at,
                          int to_rank, int channel_axis, retc_index index, retc_expr value) {
  retc_expr at[RETC_RANK_MAX];
  for (int i = 0; i < to_rank; i++) at[i] = i == channel_axis ? retc_lower_element(l, index) : to_at[i];
  retc_lower_note(l, rows->rotated);
  retc_lower_note(l, rows->value);
  retc_write_store(&l->writer, to, at, value);
}

/* Channel y or z of pair `pair`. */
static retc_index pair_channel(retc_lowering *l, const retc_rows *rows, retc_index pair, int which) {
  if (rows->half) {
    if (which) pair.base = retc_add(l, pair.base, retc_int(l, rows->width / 2));
    return pair;
  }
  retc_expr two = retc_int(l, 2);
  retc_index index = retc_at(retc_add(l, retc_mul(l, pair.base, two), retc_int(l, which)));
  if (pair.lane.index) index.lane = retc_mul(l, pair.lane, two);
  return index;
}

static void write_rotated(retc_lowering *l, const retc_rows *rows, retc_index *at, retc_buffer_id to,
                          const retc_expr *to_at, int to_rank, int channel_axis) {
  int64_t pairs = rows->width / 2, step = retc_lower_step(l, rows->operand);
  while (pairs % step) step /= 2;
  retc_lanes lanes = retc_lower_lanes(l, "pair", pairs, step);
  retc_index angle[2] = {at[1], lanes.index}, y_at = pair_channel(l, rows, lanes.index, 0),
             z_at = pair_channel(l, rows, lanes.index, 1);
  at[3] = y_at;
  retc_expr y = retc_write_let(&l->writer, "y", retc_lower_value(l, rows->operand, at));
  at[3] = z_at;
  retc_expr z = retc_write_let(&l->writer, "z", retc_lower_value(l, rows->operand, at));
  retc_expr cosine = retc_write_let(&l->writer, "cosine", retc_lower_value(l, rows->cosine, angle));
  retc_expr sine = retc_write_let(&l->writer, "sine", retc_lower_value(l, rows->sine, angle));
  retc_expr turned_y = retc_sub(l, retc_mul(l, y, cosine), retc_mul(l, z, sine));
  retc_expr turned_z = retc_add(l, retc_mul(l, z, cosine), retc_mul(l, y, sine));
  store_channel(l, rows, to, to_at, to_rank, channel_axis, y_at, turned_y);
  store_channel(l, rows, to, to_at, to_rank, channel_axis, z_at, turned_z);
  retc_lower_lanes_end(l, &lanes);
}

void retc_rows_write(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr t, retc_expr head,
                     retc_buffer_id to, const retc_expr *to_at, int to_rank, int channel_axis) {
  retc_index at[4] = {retc_at(b), retc_at(t), retc_at(head), retc_at(b)};
  if (rows->cosine.index) {
    write_rotated(l, rows, at, to, to_at, to_rank, channel_axis);
    return;
  }
  retc_lanes lanes = retc_lower_lanes(l, "x", rows->width, retc_lower_step(l, rows->operand));
  at[3] = lanes.index;
  retc_expr value = retc_lower_value(l, rows->operand, at);
  store_channel(l, rows, to, to_at, to_rank, channel_axis, lanes.index, value);
  retc_lower_lanes_end(l, &lanes);
}

/* Defined by the program retc_planted of the tests alone, which shows that `retc verify` finds this mistake: the decay
 * of rows within a chunk is one power off, in compiled code. */
#ifdef RETC_PLANTED_BUG
enum { PLANTED_POWER = 1 };
#else
enum { PLANTED_POWER = 0 };
#endif

retc_buffer_id retc_rows_decay_table(retc_lowering *l, retc_value log_decay, int64_t chunk, int64_t margin) {
  const retc_node *node = retc_lower_node(l, log_decay);
  const int64_t heads = node->type.shape.dim[0], count = chunk + 1 + margin;
  double *table = RETC_NEW_ARRAY(l->arena, double, heads * count);
  for (int64_t h = 0; h < heads; h++) {
    double rate = retc_constant_at(node, (size_t)h);
    for (int64_t x = 0; x < count; x++) {
      table[h * count + x] = x >= chunk ? 1 : exp((double)(chunk - x + (x ? PLANTED_POWER : 0)) * rate);
    }
  }
  retc_shape shape = {.rank = 2, .dim = {heads, count}};
  return retc_lower_constant(l, "decay", RETC_DTYPE_F32, &shape, table);
}

retc_buffer_id retc_rows_growth_table(retc_lowering *l, retc_value log_decay, int64_t chunk) {
  const retc_node *node = retc_lower_node(l, log_decay);
  const int64_t heads = node->type.shape.dim[0];
  double *table = RETC_NEW_ARRAY(l->arena, double, heads);
  for (int64_t h = 0; h < heads; h++) table[h] = expm1((double)chunk * retc_constant_at(node, (size_t)h));
  return retc_lower_constant(l, "growth", RETC_DTYPE_F32, &(retc_shape){.rank = 1, .dim = {heads}}, table);
}

bool retc_anchor_rotate_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  return node->op == RETC_OP_ROTATE;
}

void retc_anchor_rotate_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                 retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

retc_status retc_anchor_rotate_lower(retc_lowering *l) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  if (l->results.count != 1 || l->results.items[0].index != l->anchor.index) {
    return retc_lower_refuse(l, l->results.items[0], "a rotation's region gives the rotated rows alone");
  }
  const retc_shape *shape = &node->type.shape;
  const retc_rows rows = {.operand = node->inputs[0], .cosine = node->inputs[1], .sine = node->inputs[2],
                          .half = !strcmp(node->attributes.word, "half"), .width = shape->dim[3]};
  retc_expr count = retc_lower_row_count(l, shape, 3), to_at[4];
  retc_expr row = retc_write_for(&l->writer, "row", RETC_LOOP_PARALLEL, retc_int(l, 0), count, 1);
  retc_index at[4];
  retc_lower_row(l, shape, 3, row, at);
  retc_bases(at, 3, to_at);
  retc_lower_note(l, l->anchor);
  retc_rows_write(l, &rows, to_at[0], to_at[1], to_at[2], retc_lower_buffer(l, l->anchor), to_at, 4, 3);
  retc_write_end(&l->writer);
  return l->status;
}
