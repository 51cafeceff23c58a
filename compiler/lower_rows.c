#include "compiler/lower_rows.h"

#include <math.h>
#include <string.h>

bool retc_rows_describe(const retc_lowering *l, retc_value value, retc_rows *out_rows) {
  const retc_node *node = retc_lower_node(l, value);
  if (node->op == RETC_OP_REPEAT) node = retc_lower_node(l, node->inputs[0]);
  if (node->op != RETC_OP_CHUNK) return false;
  retc_rows rows = {.operand = node->inputs[0], .chunk = node->attributes.integer[0]};
  if (node->input_count == 3) rows.pending = node->inputs[2];
  const retc_node *inner = retc_lower_node(l, node->inputs[0]);
  rows.heads = inner->type.shape.dim[2];
  rows.width = inner->type.shape.dim[3];
  if (inner->op == RETC_OP_ROTATE && retc_lower_is_inside(l, node->inputs[0])) {
    rows.operand = inner->inputs[0];
    rows.cosine = inner->inputs[1];
    rows.sine = inner->inputs[2];
    rows.half = !strcmp(inner->attributes.word, "half");
  }
  *out_rows = rows;
  return true;
}

static retc_expr channel(retc_lowering *l, retc_index index) {
  return index.lane.index ? retc_add(l, index.base, index.lane) : index.base;
}

static void store_channel(retc_lowering *l, retc_buffer_id to, const retc_expr *to_at, int to_rank, int channel_axis,
                          retc_index index, retc_expr value) {
  retc_expr at[RETC_RANK_MAX];
  for (int i = 0; i < to_rank; i++) at[i] = i == channel_axis ? channel(l, index) : to_at[i];
  retc_write_store(&l->writer, to, at, value);
}

/* Channel y or z of pair `pair`. */
static retc_index pair_channel(retc_lowering *l, const retc_rows *rows, retc_index pair, int which) {
  if (rows->half) {
    if (which) pair.base = retc_add(l, pair.base, retc_int(l, rows->width / 2));
    return pair;
  }
  retc_expr two = retc_int(l, 2);
  retc_index index = {retc_add(l, retc_mul(l, pair.base, two), retc_int(l, which)), {0}};
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
  store_channel(l, to, to_at, to_rank, channel_axis, y_at, turned_y);
  store_channel(l, to, to_at, to_rank, channel_axis, z_at, turned_z);
  retc_lower_lanes_end(l, &lanes);
}

void retc_rows_write(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr t, retc_expr head,
                     retc_buffer_id to, const retc_expr *to_at, int to_rank, int channel_axis) {
  retc_index at[4] = {retc_at(b), retc_at(t), retc_at(head)};
  if (rows->cosine.index) {
    write_rotated(l, rows, at, to, to_at, to_rank, channel_axis);
    return;
  }
  retc_lanes lanes = retc_lower_lanes(l, "x", rows->width, retc_lower_step(l, rows->operand));
  at[3] = lanes.index;
  retc_expr value = retc_lower_value(l, rows->operand, at);
  store_channel(l, to, to_at, to_rank, channel_axis, lanes.index, value);
  retc_lower_lanes_end(l, &lanes);
}

/* Defined by the program retc_planted of the tests alone, which shows that `retc verify` finds this mistake: the decay
 * of rows within a chunk is one power off, in compiled code. */
#ifdef RETC_PLANTED_BUG
enum { PLANTED_POWER = 1 };
#else
enum { PLANTED_POWER = 0 };
#endif

retc_buffer_id retc_rows_decay_table(retc_lowering *l, retc_value log_decay, int64_t chunk) {
  const retc_node *node = retc_lower_node(l, log_decay);
  int64_t heads = node->type.shape.dim[0];
  double *table = RETC_NEW_ARRAY(l->arena, double, heads * (chunk + 1));
  for (int64_t h = 0; h < heads; h++) {
    double rate = node->attributes.dense[node->attributes.dense_count == 1 ? 0 : h];
    for (int64_t x = 0; x <= chunk; x++) {
      table[h * (chunk + 1) + x] = x == chunk ? 1 : exp((double)(chunk - x + (x ? PLANTED_POWER : 0)) * rate);
    }
  }
  retc_shape shape = {.rank = 2, .dim = {heads, chunk + 1}};
  return retc_lower_constant(l, "decay", RETC_DTYPE_F32, &shape, table);
}
