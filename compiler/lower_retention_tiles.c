/* The tiles of a chunk in the retention kernel: keys, turned so that lanes are rows, and values close together. */
#include "base/number.h"
#include "compiler/lower_retention.h"

enum { VALUE_ELEMENTS = 1 << 17, LANES = 16 };

typedef retc_retention_lowering retention;

retc_buffer_id retc_retention_tile(retention *r, const char *name, int64_t rows, int64_t columns) {
  return retc_write_alloc(&r->l->writer, name, RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, (int64_t[]){rows, columns});
}

retc_view retc_retention_view(retention *r, retc_buffer_id buffer, retc_expr row, retc_expr column) {
  return retc_write_view(&r->l->writer, buffer, (retc_expr[]){row, column}, 0, 1);
}

/* ---- values ---- */

/* Rows from `from` on of the chunk's values, as they lie in memory; rows below `first` are pending ones. */
static retc_view value_view(retention *r, bool pending, retc_expr from, retc_expr column) {
  retc_lowering *l = r->l;
  retc_expr base[RETC_RANK_MAX], row = pending ? from : retc_add(l, r->start, from);
  retc_index at[RETC_RANK_MAX] = {retc_at(r->b), retc_at(row), retc_at(r->g), retc_at(column)};
  retc_index mapped[RETC_RANK_MAX];
  retc_value memory = retc_lower_view(l, pending ? r->v.pending : r->v.operand, at, mapped);
  int rank = retc_lower_node(l, memory)->type.shape.rank;
  retc_bases(mapped, rank, base);
  return retc_write_view(&l->writer, retc_lower_buffer(l, memory), base, 1, rank - 1);
}

void retc_retention_write_value_row(retention *r, retc_value computed, retc_view to, retc_buffer_id a, retc_expr a_row,
                                    int64_t rows, retc_expr from, retc_expr column, int64_t width) {
  retc_lowering *l = r->l;
  retc_view values =
      r->value_tile.index ? retc_retention_view(r, r->value_tile, from, column) : value_view(r, false, from, column);
  retc_lower_note(l, computed);
  retc_write_mma(&l->writer, to, retc_retention_view(r, a, a_row, from), values, rows, width, retc_int(l, 1));
}

void retc_retention_write_value_product(retention *r, retc_value computed, retc_view to, retc_buffer_id a,
                                        retc_expr a_row, int64_t rows, retc_expr upto, retc_expr column,
                                        int64_t width) {
  retc_lowering *l = r->l;
  retc_expr zero = retc_int(l, 0);
  retc_lower_note(l, computed);
  if (r->value_tile.index) {
    retc_write_mma(&l->writer, to, retc_retention_view(r, a, a_row, zero),
                   retc_retention_view(r, r->value_tile, zero, column), rows, width, upto);
    return;
  }
  retc_write_mma(&l->writer, to, retc_retention_view(r, a, a_row, zero), value_view(r, true, zero, column), rows, width,
                 r->first);
  retc_lower_note(l, computed);
  retc_write_mma(&l->writer, to, retc_retention_view(r, a, a_row, r->first), value_view(r, false, r->first, column),
                 rows, width, retc_sub(l, upto, r->first));
}

static void copy_values(retention *r, bool pending, retc_expr from, retc_expr to) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr at[2] = {retc_write_for(w, "j", RETC_LOOP_SERIAL, from, to, 1), {0}};
  retc_expr lane = retc_write_for(w, "lane", RETC_LOOP_VECTOR, retc_int(l, 0), retc_int(l, r->v.width / r->parts), 1);
  at[1] = retc_add(l, r->part_column, lane);
  retc_view values = value_view(r, pending, at[0], at[1]);
  retc_write_store(w, r->value_tile, at, retc_load(l, values.buffer, values.base));
  retc_write_end(w);
  retc_write_end(w);
}

/* The chunk's values close together, where that is not too much: rows of many heads lie far apart. One row alone reads
 * them where they are. */
void retc_retention_write_values(retention *r) {
  retc_lowering *l = r->l;
  if (r->is_gpu || r->chunk * r->v.width > VALUE_ELEMENTS) return;
  r->value_tile = retc_retention_tile(r, "value", r->chunk,
                                      retc_ceil_div(r->v.width, RETC_TILE_GAP) * RETC_TILE_GAP + RETC_TILE_GAP);
  retc_expr block = retc_int(l, r->block), complete = retc_equal(l, r->end, retc_int(l, r->chunk));
  retc_expr rows = retc_select(l, complete, block, retc_sub(l, r->end, r->first));
  retc_write_if(&l->writer, retc_less_equal(l, block, rows));
  copy_values(r, true, retc_int(l, 0), r->first);
  copy_values(r, false, r->first, r->end);
  retc_write_end(&l->writer);
}

/* ---- the tile of keys ---- */

/* Pending row j, or this call's row j rotated, into `to`. */
static void write_key_row(retention *r, bool is_pending, retc_expr j, retc_buffer_id to, retc_expr *at,
                          int channel_axis) {
  retc_lowering *l = r->l;
  if (!is_pending) {
    retc_rows_write(l, &r->k, r->b, retc_add(l, r->start, j), r->g, to, at, 2, channel_axis);
    return;
  }
  retc_expr zero = retc_int(l, 0), width = retc_int(l, r->k.width);
  retc_expr x = at[channel_axis] = retc_write_for(&l->writer, "x", RETC_LOOP_VECTOR, zero, width, 1);
  retc_index row[4] = {retc_at(r->b), retc_at(j), retc_at(r->g), {zero, x, r->k.width}};
  retc_expr pending = retc_lower_value(l, r->k.pending, row);
  retc_lower_note(l, r->k.value);
  retc_write_store(&l->writer, to, at, pending);
  retc_write_end(&l->writer);
}

/* Row by row: a channel is a row of the tile. */
static void write_keys_apart(retention *r) {
  retc_lowering *l = r->l;
  for (int own = 0; own < 2; own++) {
    retc_expr from = own ? r->first : retc_int(l, 0), to = own ? r->end : r->first, at[2];
    at[1] = retc_write_for(&l->writer, "j", RETC_LOOP_SERIAL, from, to, 1);
    write_key_row(r, !own, at[1], r->key_tile, at, 0);
    retc_write_end(&l->writer);
  }
}

/* Rows kept for turning: vectors of LANES rows, as many as the first cache has room for beside other things, so that
 * many rows are on their way from memory at a time. */
static int64_t rows_together(const retention *r) {
  enum { KEPT_ELEMENTS = 4096 };
  const int64_t fit = KEPT_ELEMENTS / (r->k.width * LANES), all = retc_ceil_div(r->chunk, LANES);
  return (fit < 1 ? 1 : fit < all ? fit : all) * LANES;
}

/* key_tile[x,from + i] = rows[i,x] for the vectors of rows below `count`, which is rounded up with zeros. */
static void write_turned(retention *r, retc_buffer_id rows, retc_expr from, retc_expr count) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), lanes = retc_int(l, LANES), width = retc_int(l, r->k.width), at[2];
  retc_expr full = retc_mul(l, retc_div(l, retc_add(l, count, retc_int(l, LANES - 1)), lanes), lanes);
  full = retc_write_let(w, "full", full);
  at[0] = retc_write_for(w, "i", RETC_LOOP_SERIAL, count, full, 1);
  at[1] = retc_write_for(w, "x", RETC_LOOP_VECTOR, zero, width, 1);
  retc_write_store(w, rows, at, retc_f32(l, 0));
  retc_write_end(w);
  retc_write_end(w);
  retc_expr first = retc_write_for(w, "i", RETC_LOOP_SERIAL, zero, full, LANES);
  retc_expr x = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, width, 1);
  retc_expr row = retc_add(l, first, retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, lanes, 1));
  retc_expr value = retc_load(l, rows, (retc_expr[]){row, x});
  retc_write_store(w, r->key_tile, (retc_expr[]){x, retc_add(l, from, row)}, value);
  for (int open = 0; open < 3; open++) retc_write_end(w);
}

/* Some rows together, then turned: a vector of the tile is one channel of LANES rows, which is read faster from rows
 * than a row's channels are written to it one by one. */
static void write_keys_together(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  const int64_t together = rows_together(r);
  retc_expr zero = retc_int(l, 0), at[2];
  retc_buffer_id rows = retc_retention_tile(r, "key_rows", together, r->k.width + RETC_TILE_GAP);
  retc_expr from = retc_write_for(w, "from", RETC_LOOP_SERIAL, zero, r->end, together);
  retc_expr count = retc_write_let(w, "count", retc_min(l, retc_int(l, together), retc_sub(l, r->end, from)));
  retc_expr kept = retc_max(l, zero, retc_min(l, count, retc_sub(l, r->first, from)));
  kept = retc_write_let(w, "kept", kept);
  for (int own = 0; own < 2; own++) {
    at[0] = retc_write_for(w, "i", RETC_LOOP_SERIAL, own ? kept : zero, own ? count : kept, 1);
    write_key_row(r, !own, retc_add(l, from, at[0]), rows, at, 1);
    retc_write_end(w);
  }
  write_turned(r, rows, from, count);
  retc_write_end(w);
}

void retc_retention_write_keys(retention *r) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), lanes = retc_int(l, r->score_columns), at[2];
  retc_write_comment(w, "keys: nothing behind the last row, pending rows, and this call's rows rotated");
  retc_expr last = retc_mul(l, retc_div(l, r->end, lanes), lanes);
  retc_expr from = retc_write_for(w, "from", RETC_LOOP_SERIAL, last, r->end, r->score_columns);
  at[0] = retc_write_for(w, "x", RETC_LOOP_SERIAL, zero, retc_int(l, r->k.width), 1);
  at[1] = retc_add(l, from, retc_write_for(w, "lane", RETC_LOOP_VECTOR, zero, lanes, 1));
  retc_write_store(w, r->key_tile, at, retc_f32(l, 0));
  for (int open = 0; open < 3; open++) retc_write_end(w);
  if (r->is_gpu || r->chunk < LANES)
    write_keys_apart(r);
  else
    write_keys_together(r);
}
