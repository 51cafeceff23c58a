/* The rows of a chunk as matrix instructions read them: queries, keys and values in shared memory, rounded. Keys and
 * queries are turned as they are read: channels that a rotation turns lie in one slice. With pairs of halves a slice
 * has SLICE / 2 pairs, first all of their first channels, then all of their second ones. */
#include "compiler/gpu_retention_matrix.h"

enum {
  SIDE = RETC_FRAGMENT_SIDE,
  ROWS = RETC_MATRIX_ROWS,
  SLICE = RETC_MATRIX_SLICE,
  STEP = RETC_MATRIX_STEP,
  NEIGHBOURS = 2, /* rows that a lane has at a time, */
  RUN = 4         /* and of each so many pairs of channels */
};

typedef retc_matrix_retention matrix;

/* The least multiple of `unit` that is at least x. */
static retc_expr round_up(matrix *m, retc_expr x, int64_t unit) {
  retc_lowering *l = m->l;
  return retc_mul(l, retc_div(l, retc_add(l, x, retc_int(l, unit - 1)), retc_int(l, unit)), retc_int(l, unit));
}

static bool is_half(const retc_rows *rows) { return rows->cosine.index && rows->half; }

/* The place in a slice of channel `which` of pair, or of channels 2 pair + which where there are no halves. */
static retc_expr place_of(matrix *m, const retc_rows *rows, retc_expr pair, int which) {
  retc_lowering *l = m->l;
  if (is_half(rows)) return retc_add(l, pair, retc_int(l, which * SLICE / 2));
  return retc_add(l, retc_mul(l, pair, retc_int(l, 2)), retc_int(l, which));
}

/* The channel that lies at place x of a slice. */
retc_expr retc_matrix_channel(matrix *m, const retc_rows *rows, retc_expr slice, retc_expr x) {
  retc_lowering *l = m->l;
  if (!is_half(rows)) return retc_add(l, retc_mul(l, slice, retc_int(l, SLICE)), x);
  retc_expr pair =
      retc_add(l, retc_mul(l, slice, retc_int(l, SLICE / 2)), retc_mod(l, x, retc_int(l, SLICE / 2)));
  retc_expr which = retc_div(l, x, retc_int(l, SLICE / 2));
  return retc_add(l, pair, retc_mul(l, which, retc_int(l, rows->width / 2)));
}

static bool has_channel_condition(const matrix *m) { return m->of->k.width % SLICE != 0; }

/* A channel at a place that halves leave free is none of the head's. */
retc_expr retc_matrix_has_channel(matrix *m, const retc_rows *rows, retc_expr slice, retc_expr x) {
  retc_lowering *l = m->l;
  if (!is_half(rows)) return retc_less(l, retc_matrix_channel(m, rows, slice, x), retc_int(l, rows->width));
  retc_expr pair =
      retc_add(l, retc_mul(l, slice, retc_int(l, SLICE / 2)), retc_mod(l, x, retc_int(l, SLICE / 2)));
  return retc_less(l, pair, retc_int(l, rows->width / 2));
}

/* What a lane writes of a tile: of two rows that lie together RUN pairs of channels, or twice RUN columns of values, so
 * that several elements are stored together, along the rows as well as along the channels. All that it reads is under
 * way before any is stored. Lanes beside it have what follows in memory. */
typedef struct group {
  const retc_rows *rows;
  retc_expr row;         /* the first of the two, an even one */
  retc_expr slice;       /* of pairs, or none */
  retc_expr number;      /* of the group in the slice */
  retc_expr first;       /* its first pair in the slice, or column in the tile */
  int64_t apart;         /* of columns: between the two of a pair */
  retc_buffer_id values; /* of the lane: [2 row + which of the pair, pair] */
  retc_buffer_id angles; /* cosine and sine likewise, or none */
} group;

enum { COSINE, SINE };

static retc_expr begin_rows(matrix *m) { return retc_count_to(m->l, "r", RETC_LOOP_UNROLL, NEIGHBOURS); }
static retc_expr begin_pairs(matrix *m) { return retc_count_to(m->l, "y", RETC_LOOP_UNROLL, RUN); }
/* The lane's place for channel, or angle, `which` of row r. */
static retc_expr own(matrix *m, retc_expr r, int which) {
  return retc_add(m->l, retc_mul(m->l, r, retc_int(m->l, 2)), retc_int(m->l, which));
}

static void clear_row(matrix *m, retc_buffer_id values, retc_expr r) {
  retc_expr y = begin_pairs(m);
  for (int which = 0; which < 2; which++) retc_matrix_put2(m, values, own(m, r, which), y, retc_f32(m->l, 0));
  retc_end(m->l, 1);
}

static void read_value(matrix *m, const group *of, retc_expr r, int which, retc_expr y, bool is_new,
                       retc_expr channel) {
  retc_lowering *l = m->l;
  const retc_rows *rows = of->rows;
  retc_expr row = retc_add(l, of->row, r), t = is_new ? retc_add(l, m->start, row) : row;
  const retc_index from[4] = {retc_at(m->b), retc_at(t), retc_at(rows == &m->of->q ? m->h : m->g), retc_at(channel)};
  retc_matrix_put2(m, of->values, own(m, r, which), y,
                   retc_lower_value(l, is_new ? rows->operand : rows->pending, from));
}

/* Channels that the head has not are zeros. */
static void read_pairs(matrix *m, const group *of, retc_expr r, bool is_new) {
  retc_lowering *l = m->l;
  const retc_rows *rows = of->rows;
  const bool half = is_half(rows), may_miss = has_channel_condition(m);
  const bool reads_angles = is_new && of->angles.index;
  if (may_miss) clear_row(m, of->values, r);
  if (may_miss && reads_angles) clear_row(m, of->angles, r);
  retc_expr y = begin_pairs(m);
  retc_expr pair = retc_add(l, retc_mul(l, of->slice, retc_int(l, SLICE / 2)), retc_add(l, of->first, y));
  if (may_miss) retc_if(l, retc_less(l, pair, retc_int(l, rows->width / 2)));
  retc_expr channel = half ? pair : retc_mul(l, pair, retc_int(l, 2));
  for (int which = 0; which < 2; which++) {
    retc_expr own_channel = retc_add(l, channel, retc_int(l, which * (half ? rows->width / 2 : 1)));
    read_value(m, of, r, which, y, is_new, own_channel);
  }
  const retc_index angle[2] = {retc_at(retc_add(l, m->start, retc_add(l, of->row, r))), retc_at(pair)};
  if (reads_angles) {
    retc_matrix_put2(m, of->angles, own(m, r, COSINE), y, retc_lower_value(l, rows->cosine, angle));
    retc_matrix_put2(m, of->angles, own(m, r, SINE), y, retc_lower_value(l, rows->sine, angle));
  }
  retc_end(l, may_miss ? 2 : 1);
}

static void read_columns(matrix *m, const group *of, retc_expr r, bool is_new) {
  retc_lowering *l = m->l;
  const bool may_miss = of->rows->width % m->columns != 0;
  if (may_miss) clear_row(m, of->values, r);
  retc_expr y = begin_pairs(m);
  for (int which = 0; which < 2; which++) {
    retc_expr column = retc_add(l, m->first_column, retc_add(l, of->first, y));
    column = retc_add(l, column, retc_int(l, which * of->apart));
    if (may_miss) retc_if(l, retc_less(l, column, retc_int(l, of->rows->width)));
    read_value(m, of, r, which, y, is_new, column);
    retc_end(l, may_miss ? 1 : 0);
  }
  retc_end(l, 1);
}

static void read_row(matrix *m, const group *of, retc_expr r, bool is_new) {
  if (of->slice.index) read_pairs(m, of, r, is_new);
  else read_columns(m, of, r, is_new);
}

static void turn_row(matrix *m, const group *of, retc_expr r) {
  retc_lowering *l = m->l;
  if (!of->angles.index) return;
  retc_expr y = begin_pairs(m), value[2], angle[2];
  for (int i = 0; i < 2; i++) {
    value[i] = retc_load(l, of->values, (retc_expr[]){own(m, r, i), y});
    angle[i] = retc_load(l, of->angles, (retc_expr[]){own(m, r, i), y});
  }
  retc_expr turned_y = retc_let(
      l, "turned_y", retc_sub(l, retc_mul(l, value[0], angle[COSINE]), retc_mul(l, value[1], angle[SINE])));
  retc_expr turned_z = retc_let(
      l, "turned_z", retc_add(l, retc_mul(l, value[1], angle[COSINE]), retc_mul(l, value[0], angle[SINE])));
  retc_lower_note(l, of->rows->rotated);
  retc_matrix_put2(m, of->values, own(m, r, 0), y, turned_y);
  retc_lower_note(l, of->rows->rotated);
  retc_matrix_put2(m, of->values, own(m, r, 1), y, turned_z);
  retc_end(l, 1);
}

/* Row r from where it is: pending, of this call, or nowhere, which gives zeros. */
static void read_any_row(matrix *m, const group *of, retc_expr r) {
  retc_lowering *l = m->l;
  retc_expr row = retc_let(l, "row", retc_add(l, of->row, r));
  if (of->rows->pending.index) {
    retc_if(l, retc_less(l, row, m->first));
    read_row(m, of, r, false);
    retc_else(l);
  }
  retc_if(l, retc_and(l, retc_less_equal(l, m->first, row), retc_less(l, row, m->end)));
  read_row(m, of, r, true);
  turn_row(m, of, r);
  retc_else(l);
  clear_row(m, of->values, r);
  retc_end(l, of->rows->pending.index ? 2 : 1);
}

/* The rows of most groups are of this call, and read at once. */
static void read_group(matrix *m, group *of) {
  retc_lowering *l = m->l;
  const int64_t extents[] = {2 * NEIGHBOURS, RUN};
  of->values = retc_write_alloc(&l->writer, "values", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, extents);
  if (of->rows->cosine.index)
    of->angles = retc_write_alloc(&l->writer, "angles", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, extents);
  retc_expr last = retc_add(l, of->row, retc_int(l, NEIGHBOURS - 1));
  retc_if(l, retc_and(l, retc_less_equal(l, m->first, of->row), retc_less(l, last, m->end)));
  read_row(m, of, begin_rows(m), true);
  retc_end(l, 1);
  if (of->angles.index) {
    turn_row(m, of, begin_rows(m));
    retc_end(l, 1);
  }
  retc_else(l);
  read_any_row(m, of, begin_rows(m));
  retc_end(l, 2);
}

/* The group's rows to tile[row, channel]. */
static void store_rows(matrix *m, const group *of, retc_buffer_id tile) {
  retc_lowering *l = m->l;
  const bool half = is_half(of->rows);
  retc_expr r = begin_rows(m), row = retc_add(l, of->row, r), two = retc_int(l, 2);
  for (int which = 0; which < (half ? 2 : 1); which++) {
    retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, half ? RUN : 2 * RUN), from[2] = {own(m, r, which), y};
    retc_expr start = retc_add(l, of->first, retc_int(l, which * SLICE / 2));
    if (!half) {
      start = retc_mul(l, of->number, retc_int(l, 2 * RUN));
      from[0] = retc_add(l, from[0], retc_mod(l, y, two));
      from[1] = retc_div(l, y, two);
    }
    retc_lower_note(l, of->rows->value);
    retc_matrix_put2(m, tile, row, retc_add(l, start, y), retc_load(l, of->values, from));
    retc_end(l, 1);
  }
  retc_end(l, 1);
}

/* What the group has to tile[place or column, row], times what is in `powers`. */
static void store_turned(matrix *m, const group *of, retc_buffer_id tile, retc_buffer_id powers) {
  retc_lowering *l = m->l;
  for (int which = 0; which < 2; which++) {
    retc_expr y = begin_pairs(m), at = retc_add(l, of->first, y);
    at = of->slice.index ? place_of(m, of->rows, at, which) : retc_add(l, at, retc_int(l, which * of->apart));
    retc_expr r = begin_rows(m), value = retc_load(l, of->values, (retc_expr[]){own(m, r, which), y});
    if (powers.index) value = retc_mul(l, retc_load(l, powers, &r), value);
    retc_lower_note(l, powers.index ? m->of->found.decayed : of->rows->value);
    retc_matrix_put2(m, tile, at, retc_add(l, of->row, r), value);
    retc_end(l, 2);
  }
}

/* A group for each lane of `tiles` of so many pairs and of all rows. Neighbours have the groups of two rows, then those
 * of rows whose places in shared memory have other banks. */
static group begin_groups(matrix *m, const retc_rows *rows, int64_t pairs, int64_t tiles, retc_expr *out_tile) {
  retc_lowering *l = m->l;
  enum { PARTS = ROWS / NEIGHBOURS };
  group of = {.rows = rows, .apart = pairs};
  const int64_t near = pairs / RUN;
  retc_expr two = retc_int(l, 2), four = retc_int(l, 4);
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, tiles * near * PARTS);
  retc_expr part = retc_let(l, "part", retc_mod(l, retc_div(l, e, retc_int(l, near)), retc_int(l, PARTS)));
  retc_expr swapped = retc_add(l, retc_mul(l, retc_mod(l, part, two), two), retc_mod(l, retc_div(l, part, two), two));
  swapped = retc_add(l, retc_mul(l, retc_div(l, part, four), four), swapped);
  of.row = retc_let(l, "first_row", retc_mul(l, swapped, retc_int(l, NEIGHBOURS)));
  of.number = retc_let(l, "group_of_row", retc_mod(l, e, retc_int(l, near)));
  *out_tile = retc_div(l, e, retc_int(l, near * PARTS));
  of.first = retc_mul(l, of.number, retc_int(l, RUN));
  return of;
}

static group begin_slice(matrix *m, const retc_rows *rows, retc_expr slice) {
  retc_expr tile;
  group of = begin_groups(m, rows, SLICE / 2, 1, &tile);
  of.slice = slice;
  of.first = retc_let(m->l, "first_pair", of.first);
  return of;
}

void retc_matrix_write_queries(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  group of = begin_slice(m, &m->of->q, slice);
  retc_expr low = retc_mul(l, retc_div(l, m->first, retc_int(l, SIDE)), retc_int(l, SIDE));
  retc_if(l, retc_and(l, retc_less_equal(l, low, of.row), retc_less(l, of.row, round_up(m, m->end, SIDE))));
  read_group(m, &of);
  store_rows(m, &of, m->query);
  retc_end(l, 2);
}

/* With which the group's rows enter the state. */
static retc_buffer_id read_powers(matrix *m, const group *of) {
  retc_lowering *l = m->l;
  const int64_t extent = NEIGHBOURS;
  const retc_buffer_id powers =
      retc_write_alloc(&l->writer, "powers", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, &extent);
  retc_expr r = begin_rows(m), last = retc_int(l, m->of->k.chunk - 1);
  retc_expr past = retc_add(l, retc_min(l, retc_add(l, of->row, r), last), retc_int(l, 1));
  retc_matrix_put(m, powers, &r, retc_load(l, m->decay, (retc_expr[]){m->h, past}));
  retc_end(l, 1);
  return powers;
}

void retc_matrix_write_keys(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  group of = begin_slice(m, &m->of->k, slice);
  retc_if(l, retc_less(l, of.row, round_up(m, m->end, STEP)));
  const retc_buffer_id powers = m->key_turned.index ? read_powers(m, &of) : (retc_buffer_id){0};
  read_group(m, &of);
  if (m->key.index) store_rows(m, &of, m->key);
  if (m->key_turned.index) store_turned(m, &of, m->key_turned, powers);
  retc_end(l, 2);
}

void retc_matrix_write_values(matrix *m) {
  retc_lowering *l = m->l;
  const int64_t columns = m->columns < SLICE ? m->columns : SLICE;
  retc_expr tile;
  group of = begin_groups(m, &m->of->v, columns / 2, m->columns / columns, &tile);
  of.first = retc_let(l, "first_of_group", retc_add(l, retc_mul(l, tile, retc_int(l, columns)), of.first));
  retc_if(l, retc_less(l, of.row, round_up(m, m->end, STEP)));
  read_group(m, &of);
  store_turned(m, &of, m->value, (retc_buffer_id){0});
  retc_end(l, 2);
}
