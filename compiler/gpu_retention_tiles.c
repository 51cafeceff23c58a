/* The rows of a chunk as matrix instructions read them: queries, keys and values in shared memory, rounded. Keys and
 * queries are turned as they are read: channels that a rotation turns lie in one slice. With pairs of halves a slice has
 * SLICE / 2 pairs, first all of their first channels, then all of their second ones. */
#include "compiler/gpu_retention_matrix.h"

enum {
  SIDE = RETC_FRAGMENT_SIDE,
  ROWS = RETC_MATRIX_ROWS,
  SLICE = RETC_MATRIX_SLICE,
  STEP = RETC_MATRIX_STEP,
  GROUP = 8 /* elements a lane reads together: 32 bytes of f32 */
};

typedef retc_matrix_retention matrix;

/* ---- short forms ---- */

static void put(matrix *m, retc_buffer_id buffer, const retc_expr *at, retc_expr value) {
  retc_write_store(&m->l->writer, buffer, at, value);
}
static void put2(matrix *m, retc_buffer_id buffer, retc_expr a, retc_expr b, retc_expr value) {
  put(m, buffer, (retc_expr[]){a, b}, value);
}
/* The least multiple of `unit` that is at least x. */
static retc_expr round_up(matrix *m, retc_expr x, int64_t unit) {
  retc_lowering *l = m->l;
  return retc_mul(l, retc_div(l, retc_add(l, x, retc_int(l, unit - 1)), retc_int(l, unit)), retc_int(l, unit));
}
/* e^((chunk - x) log_decay) of this head. */
static retc_expr decay(matrix *m, retc_expr x) { return retc_load(m->l, m->decay, (retc_expr[]){m->h, x}); }

/* ---- rows into shared memory ---- */

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

/* One group of pairs of a row: read at once, then turned and stored, so that loads are wide and under way together. */
typedef struct group {
  const retc_rows *rows;
  retc_expr row, slice, first_pair; /* row of the tile; first_pair: of the slice */
  retc_expr power;                  /* keys: with which they enter the state; none otherwise */
} group;

typedef enum source { NO_ROW, NEW_ROW, PENDING_ROW } source;
enum { Y, Z, COSINE, SINE, KINDS };

static retc_buffer_id alloc_private(matrix *m, const char *name, int64_t rows) {
  const int64_t extents[] = {rows, GROUP};
  return retc_write_alloc(&m->l->writer, name, RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 2, extents);
}

/* Zeros where the head has no channels. */
static void read_group(matrix *m, const group *of, source from, retc_buffer_id to) {
  retc_lowering *l = m->l;
  const retc_rows *rows = of->rows;
  const bool half = is_half(rows), turns = from == NEW_ROW && rows->cosine.index;
  retc_expr y = retc_count_to(l, "y_of_group", RETC_LOOP_UNROLL, GROUP), own = retc_add(l, of->first_pair, y);
  retc_expr pair = retc_add(l, retc_mul(l, of->slice, retc_int(l, SLICE / 2)), own);
  retc_expr t = from == NEW_ROW ? retc_add(l, m->start, of->row) : of->row, head = rows == &m->of->q ? m->h : m->g;
  if (has_channel_condition(m)) {
    for (int i = 0; i < (turns ? KINDS : COSINE); i++) put2(m, to, retc_int(l, i), y, retc_f32(l, 0));
    retc_if(l, retc_less(l, pair, retc_int(l, rows->width / 2)));
  }
  retc_expr first = half ? pair : retc_mul(l, pair, retc_int(l, 2));
  for (int which = Y; which <= Z; which++) {
    retc_expr channel = retc_add(l, first, retc_int(l, which * (half ? rows->width / 2 : 1)));
    retc_index at[4] = {retc_at(m->b), retc_at(t), retc_at(head), retc_at(channel)};
    put2(m, to, retc_int(l, which), y, retc_lower_value(l, from == NEW_ROW ? rows->operand : rows->pending, at));
  }
  const retc_index angle[2] = {retc_at(t), retc_at(pair)};
  if (turns) put2(m, to, retc_int(l, COSINE), y, retc_lower_value(l, rows->cosine, angle));
  if (turns) put2(m, to, retc_int(l, SINE), y, retc_lower_value(l, rows->sine, angle));
  retc_end(l, has_channel_condition(m) ? 2 : 1);
}

static void turn_group(matrix *m, const group *of, retc_buffer_id values) {
  retc_lowering *l = m->l;
  retc_expr at[KINDS], y = retc_count_to(l, "y_of_group", RETC_LOOP_UNROLL, GROUP);
  for (int i = 0; i < KINDS; i++) at[i] = retc_load(l, values, (retc_expr[]){retc_int(l, i), y});
  retc_expr turned_y =
      retc_let(l, "turned_y", retc_sub(l, retc_mul(l, at[Y], at[COSINE]), retc_mul(l, at[Z], at[SINE])));
  retc_expr turned_z =
      retc_let(l, "turned_z", retc_add(l, retc_mul(l, at[Z], at[COSINE]), retc_mul(l, at[Y], at[SINE])));
  retc_lower_note(l, of->rows->rotated);
  put2(m, values, retc_int(l, Y), y, turned_y);
  retc_lower_note(l, of->rows->rotated);
  put2(m, values, retc_int(l, Z), y, turned_z);
  retc_end(l, 1);
}

/* Where the group's channels go; none: the launch has no use for them. */
static retc_buffer_id tile_of(const matrix *m, const group *of, bool decayed) {
  return decayed ? m->key_turned : of->power.index ? m->key : m->query;
}

/* Channels first..last of the group's pairs to a tile; neighbours one behind the other, for wide stores. */
static void store_group(matrix *m, const group *of, retc_buffer_id values, int first, int last, bool decayed) {
  retc_lowering *l = m->l;
  retc_expr y = retc_count_to(l, "y_of_group", RETC_LOOP_UNROLL, GROUP), own = retc_add(l, of->first_pair, y);
  for (int which = first; which <= last; which++) {
    retc_expr x = place_of(m, of->rows, own, which), value = retc_f32(l, 0);
    if (values.index) value = retc_load(l, values, (retc_expr[]){retc_int(l, which), y});
    retc_lower_note(l, decayed ? m->of->found.decayed : of->rows->value);
    if (decayed) put2(m, m->key_turned, x, of->row, retc_mul(l, of->power, value));
    else put2(m, tile_of(m, of, false), of->row, x, value);
  }
  retc_end(l, 1);
}

static void write_group(matrix *m, const group *of, source from) {
  const bool turns = from == NEW_ROW && of->rows->cosine.index;
  retc_buffer_id values = {0};
  if (from != NO_ROW) {
    values = alloc_private(m, "values", turns ? KINDS : COSINE);
    read_group(m, of, from, values);
  }
  if (turns) turn_group(m, of, values);
  for (int decayed = 0; decayed <= (of->power.index ? 1 : 0); decayed++) {
    if (!tile_of(m, of, decayed).index) continue;
    if (!is_half(of->rows)) store_group(m, of, values, Y, Z, decayed);
    for (int which = Y; is_half(of->rows) && which <= Z; which++) store_group(m, of, values, which, which, decayed);
  }
}

/* query[i, x] of the slice, for all bands that have a row. */
void retc_matrix_write_queries(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  enum { GROUPS = SLICE / 2 / GROUP };
  retc_expr groups = retc_int(l, GROUPS),
            low = retc_mul(l, retc_div(l, m->first, retc_int(l, SIDE)), retc_int(l, SIDE));
  retc_expr e = retc_write_for(&l->writer, "e", RETC_LOOP_LANE, retc_mul(l, low, groups),
                               retc_mul(l, round_up(m, m->end, SIDE), groups), 1);
  group of = {.rows = &m->of->q, .slice = slice, .row = retc_let(l, "i", retc_div(l, e, groups))};
  of.first_pair = retc_let(l, "first_pair", retc_mul(l, retc_mod(l, e, groups), retc_int(l, GROUP)));
  retc_if(l, retc_and(l, retc_less_equal(l, m->first, of.row), retc_less(l, of.row, m->end)));
  write_group(m, &of, NEW_ROW);
  retc_else(l);
  write_group(m, &of, NO_ROW);
  retc_end(l, 2);
}

/* A loop over groups of the keys that there are so far, and the zeros up to a whole step; two blocks to end.
 * Neighbouring lanes have neighbouring keys, for what is stored along those. */
static void begin_keys(matrix *m, int64_t groups, retc_expr *out_key, retc_expr *out_first) {
  retc_lowering *l = m->l;
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, ROWS * groups), two = retc_int(l, 2);
  retc_expr high = retc_mul(l, retc_div(l, e, retc_int(l, 2 * ROWS)), two);
  *out_key = retc_let(l, "j", retc_mod(l, retc_div(l, e, two), retc_int(l, ROWS)));
  *out_first =
      retc_let(l, "first_of_group", retc_mul(l, retc_add(l, high, retc_mod(l, e, two)), retc_int(l, GROUP)));
  retc_if(l, retc_less(l, *out_key, round_up(m, m->end, STEP)));
}

/* key[j, x] and key_turned[x, j] of the slice. */
void retc_matrix_write_keys(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  enum { GROUPS = SLICE / 2 / GROUP };
  group of = {.rows = &m->of->k, .slice = slice};
  begin_keys(m, GROUPS, &of.row, &of.first_pair);
  retc_expr last = retc_int(l, m->of->k.chunk - 1);
  of.power = retc_let(l, "power", decay(m, retc_add(l, retc_min(l, of.row, last), retc_int(l, 1))));
  if (m->of->k.pending.index) {
    retc_if(l, retc_less(l, of.row, m->first));
    write_group(m, &of, PENDING_ROW);
    retc_else(l);
  }
  retc_if(l, retc_less(l, of.row, m->end));
  write_group(m, &of, NEW_ROW);
  retc_else(l);
  write_group(m, &of, NO_ROW);
  retc_end(l, m->of->k.pending.index ? 4 : 3);
}

static void write_group_of_values(matrix *m, retc_expr j, retc_expr first, retc_value from, retc_expr t) {
  retc_lowering *l = m->l;
  const bool may_miss = from.index && m->of->v.width % m->columns;
  retc_expr zero = retc_f32(l, 0), width = retc_int(l, m->of->v.width);
  retc_buffer_id read = {0};
  for (int store = from.index ? 0 : 1; store < 2; store++) {
    if (from.index && !store) read = alloc_private(m, "read", 1);
    retc_expr y = retc_count_to(l, "y_of_group", RETC_LOOP_UNROLL, GROUP), own = retc_add(l, first, y);
    retc_expr column = retc_add(l, m->first_column, own), at[2] = {retc_int(l, 0), y};
    const retc_index from_at[4] = {retc_at(m->b), retc_at(t), retc_at(m->g), retc_at(column)};
    if (may_miss) retc_if(l, retc_less(l, column, width));
    if (store) retc_lower_note(l, m->of->v.value);
    if (store) put2(m, m->value, own, j, from.index ? retc_load(l, read, at) : zero);
    else put(m, read, at, retc_lower_value(l, from, from_at));
    if (may_miss && store) {
      retc_else(l);
      put2(m, m->value, own, j, zero);
    }
    retc_end(l, may_miss ? 2 : 1);
  }
}

/* value[c, j] of all keys of the chunk that there are so far. */
void retc_matrix_write_values(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr j, first;
  begin_keys(m, m->columns / GROUP, &j, &first);
  if (m->of->v.pending.index) {
    retc_if(l, retc_less(l, j, m->first));
    write_group_of_values(m, j, first, m->of->v.pending, j);
    retc_else(l);
  }
  retc_if(l, retc_less(l, j, m->end));
  write_group_of_values(m, j, first, m->of->v.operand, retc_add(l, m->start, j));
  retc_else(l);
  write_group_of_values(m, j, first, (retc_value){0}, j);
  retc_end(l, m->of->v.pending.index ? 4 : 3);
}

