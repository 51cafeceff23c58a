/* The retention region by matrix instructions, for `math` in bf16 or f16. A block has one (b, h) and `columns` value
 * channels; its part of the state stays in the registers of its waves, in f32, from the first chunk of a call to the
 * last. Operands are rounded to the type, sums are f32:
 *
 *   o_i  = g^(i+1) sum_x q[i,x] S[x]; then o_i += sum_j score[i,j] v_j    x over slices of channels, then j, in order
 *   score[i,j] = (sum_x q[i,x] k[j,x]) g^(i-j)                           j <= i, else 0
 *   S    = g^C S; then S += sum_j (g^(C-1-j) k_j) v_j^T                  j in order
 *
 * A sum goes on where it stands, 16 elements a matrix instruction. Rows and channels that are not there are zeros,
 * which change no sum; so the operations of a row are the same whichever rows it comes with, and in whichever call. (A
 * value that is no number reaches the rows of its chunk within 32 before it.)
 *
 * A token alone has a launch of its own, which reads the state slice by slice and keeps none of it; the other one has
 * no blocks then.
 *
 * A slice is SLICE channels: those that a rotation turns lie in one, so that keys and queries are turned as they are
 * read. With pairs of halves it has SLICE / 2 pairs, first all of their first channels, then all of their second ones.
 */
#include "compiler/gpu_retention.h"

enum {
  SIDE = RETC_FRAGMENT_SIDE,
  WAVES = RETC_FRAGMENT_WAVES,
  ROWS = 64,             /* of a chunk, the longest there may be */
  SLICE = 64,
  BANDS = ROWS / SIDE,   /* a wave has one of these, and one of two halves of the columns */
  HALVES = WAVES / BANDS,
  GAP = 8,               /* between rows in shared memory, against bank conflicts */
  STEP = 2 * SIDE,       /* keys are there in multiples of it */
  GROUP = 8,             /* elements a lane reads together: 32 bytes */
  STATE_MOST = 16384,    /* elements of the state in the registers of a block: 64 a lane */
  COLUMNS_MOST = 64
};

typedef struct matrix {
  retc_lowering *l;
  const retc_gpu_retention *of;
  retc_dtype math;
  int64_t columns, slices;
  bool streams;                           /* the state slice by slice */
  bool in_place;                          /* the new state takes the place of the old one */
  retc_buffer_id decay, state;            /* global */
  retc_buffer_id query, key, key_turned;  /* shared: [row, channel], [key, channel], [channel, key] with decay */
  retc_buffer_id state_turned, value;     /* shared: [column, channel], [column, key] */
  retc_buffer_id sums, scores, kept;      /* fragments: rows x columns, rows x keys, the state by slices */
  retc_expr b, h, g, first_column;
  retc_expr first, start, end;            /* of the chunk at hand: rows first..end are this call's tokens start + row */
  retc_expr whole;                        /* the chunk is complete */
} matrix;

/* ---- short forms ---- */

static retc_expr loop(matrix *m, const char *name, retc_loop_kind kind, retc_expr low, retc_expr high) {
  return retc_write_for(&m->l->writer, name, kind, low, high, 1);
}
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
static retc_expr channel_at(matrix *m, const retc_rows *rows, retc_expr slice, retc_expr x) {
  retc_lowering *l = m->l;
  if (!is_half(rows)) return retc_add(l, retc_mul(l, slice, retc_int(l, SLICE)), x);
  retc_expr pair =
      retc_add(l, retc_mul(l, slice, retc_int(l, SLICE / 2)), retc_mod(l, x, retc_int(l, SLICE / 2)));
  retc_expr which = retc_div(l, x, retc_int(l, SLICE / 2));
  return retc_add(l, pair, retc_mul(l, which, retc_int(l, rows->width / 2)));
}

static bool has_channel_condition(const matrix *m) { return m->of->k.width % SLICE != 0; }

/* A channel at a place that halves leave free is none of the head's. */
static retc_expr has_channel(matrix *m, const retc_rows *rows, retc_expr slice, retc_expr x) {
  retc_lowering *l = m->l;
  if (!is_half(rows)) return retc_less(l, channel_at(m, rows, slice, x), retc_int(l, rows->width));
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

/* Channels first..last of the group's pairs to a tile; neighbours one behind the other, for wide stores. */
static void store_group(matrix *m, const group *of, retc_buffer_id values, int first, int last, bool decayed) {
  retc_lowering *l = m->l;
  retc_expr y = retc_count_to(l, "y_of_group", RETC_LOOP_UNROLL, GROUP), own = retc_add(l, of->first_pair, y);
  for (int which = first; which <= last; which++) {
    retc_expr x = place_of(m, of->rows, own, which), value = retc_f32(l, 0);
    if (values.index) value = retc_load(l, values, (retc_expr[]){retc_int(l, which), y});
    retc_lower_note(l, decayed ? m->of->found.decayed : of->rows->value);
    if (decayed) put2(m, m->key_turned, x, of->row, retc_mul(l, of->power, value));
    else put2(m, of->power.index ? m->key : m->query, of->row, x, value);
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
    if (!is_half(of->rows)) store_group(m, of, values, Y, Z, decayed);
    for (int which = Y; is_half(of->rows) && which <= Z; which++) store_group(m, of, values, which, which, decayed);
  }
}

/* query[i, x] of the slice, for all bands that have a row. */
static void write_queries(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  enum { GROUPS = SLICE / 2 / GROUP };
  retc_expr groups = retc_int(l, GROUPS),
            low = retc_mul(l, retc_div(l, m->first, retc_int(l, SIDE)), retc_int(l, SIDE));
  retc_expr e = loop(m, "e", RETC_LOOP_LANE, retc_mul(l, low, groups), retc_mul(l, round_up(m, m->end, SIDE), groups));
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
static void write_keys(matrix *m, retc_expr slice) {
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
static void write_values(matrix *m) {
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

/* ---- waves ---- */

typedef struct wave {
  retc_expr unit, band, half;
} wave;

static wave begin_waves(matrix *m) {
  retc_lowering *l = m->l;
  wave w = {.unit = retc_count_to(l, "unit", RETC_LOOP_WAVE, WAVES)};
  w.band = retc_let(l, "band", retc_div(l, w.unit, retc_int(l, HALVES)));
  w.half = retc_let(l, "half", retc_mod(l, w.unit, retc_int(l, HALVES)));
  return w;
}

/* Loops over the elements of the wave's part of a fragment; the last two of the indices. Two blocks to end. */
static void begin_elements(matrix *m, retc_buffer_id fragment, retc_expr out_at[2]) {
  const retc_shape *shape = &retc_kernel_buffer(m->l->kernel, fragment)->shape;
  out_at[0] = retc_count_to(m->l, "i", RETC_LOOP_ELEMENT, shape->dim[shape->rank - 2]);
  out_at[1] = retc_count_to(m->l, "c", RETC_LOOP_ELEMENT, shape->dim[shape->rank - 1]);
}

/* Row and column of the block that an element of the wave's part is. */
static retc_expr row_of(matrix *m, const wave *w, retc_expr i) {
  return retc_add(m->l, retc_mul(m->l, w->band, retc_int(m->l, SIDE)), i);
}
static retc_expr column_of(matrix *m, const wave *w, int64_t columns, retc_expr c) {
  return retc_add(m->l, retc_mul(m->l, w->half, retc_int(m->l, columns / HALVES)), c);
}

/* The band has rows of this call. */
static retc_expr is_busy(matrix *m, const wave *w) {
  retc_lowering *l = m->l;
  retc_expr row = retc_mul(l, w->band, retc_int(l, SIDE));
  return retc_and(l, retc_less(l, row, m->end), retc_less(l, m->first, retc_add(l, row, retc_int(l, SIDE))));
}

static void write_product(matrix *m, retc_buffer_id to, const retc_expr *at, retc_buffer_id a, retc_expr a_row,
                          retc_buffer_id b, retc_expr b_row, retc_expr depth) {
  retc_writer *w = &m->l->writer;
  const retc_shape *shape = &retc_kernel_buffer(m->l->kernel, to)->shape;
  const int rows = shape->rank - 2, columns = shape->rank - 1;
  retc_expr zero = retc_int(m->l, 0);
  retc_view c_view = retc_write_view(w, to, at, rows, columns);
  retc_view a_view = retc_write_view(w, a, (retc_expr[]){a_row, zero}, 0, 1);
  retc_view b_view = retc_write_view(w, b, (retc_expr[]){b_row, zero}, 1, 0);
  retc_write_mma(w, c_view, a_view, b_view, shape->dim[rows], shape->dim[columns], depth);
}

static void clear(matrix *m, const wave *w, retc_buffer_id fragment) {
  retc_expr at[3] = {w->unit};
  begin_elements(m, fragment, at + 1);
  put(m, fragment, at, retc_f32(m->l, 0));
  retc_end(m->l, 2);
}

/* ---- the state ---- */

static bool has_column_condition(const matrix *m) { return m->of->v.width % m->columns != 0; }

/* The place of a slice of the state in `kept`. */
static retc_expr kept_slice(matrix *m, retc_expr slice) { return m->streams ? retc_int(m->l, 0) : slice; }

/* Element loops over a slice of the state: `own` is the wave's part, `at` the state's element. Two blocks to end, and
 * one of lanes that have an element, where not all may: then it is true. */
static bool begin_state(matrix *m, const wave *w, retc_expr slice, retc_expr own[4], retc_expr at[4]) {
  retc_lowering *l = m->l;
  own[0] = w->unit;
  own[1] = kept_slice(m, slice);
  begin_elements(m, m->kept, own + 2);
  retc_expr x = retc_let(l, "x", row_of(m, w, own[2]));
  at[0] = m->b, at[1] = m->h;
  at[2] = retc_let(l, "channel", channel_at(m, &m->of->k, slice, x));
  at[3] = retc_let(l, "column", retc_add(l, m->first_column, column_of(m, w, m->columns, own[3])));
  retc_expr column = retc_less(l, at[3], retc_int(l, m->of->v.width)), channel = has_channel(m, &m->of->k, slice, x);
  if (has_channel_condition(m)) retc_if(l, has_column_condition(m) ? retc_and(l, column, channel) : channel);
  else if (has_column_condition(m)) retc_if(l, column);
  return has_channel_condition(m) || has_column_condition(m);
}

static void read_slice(matrix *m, const wave *w, retc_expr slice) {
  retc_lowering *l = m->l;
  retc_expr own[4], at[4];
  const bool may_miss = begin_state(m, w, slice, own, at);
  const retc_index from[4] = {retc_at(at[0]), retc_at(at[1]), retc_at(at[2]), retc_at(at[3])};
  put(m, m->kept, own, retc_lower_value(l, m->of->found.start, from));
  if (may_miss) {
    retc_else(l);
    put(m, m->kept, own, retc_f32(l, 0));
    retc_end(l, 1);
  }
  retc_end(l, 2);
}

static void write_slice_of_state(matrix *m, const wave *w, retc_expr slice) {
  retc_expr own[4], at[4];
  const bool may_miss = begin_state(m, w, slice, own, at);
  retc_lower_note(m->l, m->l->anchor);
  put(m, m->state, at, retc_load(m->l, m->kept, own));
  retc_end(m->l, may_miss ? 3 : 2);
}

static void move_state(matrix *m, bool store) {
  wave w = begin_waves(m);
  retc_expr slice = retc_count_to(m->l, "slice", RETC_LOOP_UNROLL, m->slices);
  if (store) write_slice_of_state(m, &w, slice);
  else read_slice(m, &w, slice);
  retc_end(m->l, 2);
}

/* state_turned[c, x] of the slice. */
static void turn_state(matrix *m, retc_expr slice) {
  wave w = begin_waves(m);
  if (m->streams) read_slice(m, &w, slice);
  retc_expr own[4] = {w.unit, kept_slice(m, slice)};
  begin_elements(m, m->kept, own + 2);
  put2(m, m->state_turned, column_of(m, &w, m->columns, own[3]), row_of(m, &w, own[2]), retc_load(m->l, m->kept, own));
  retc_end(m->l, 3);
}

static void update_state(matrix *m, const wave *w, retc_expr slice) {
  retc_lowering *l = m->l;
  retc_if(l, m->whole);
  retc_expr zero = retc_int(l, 0), place = kept_slice(m, slice), own[4] = {w->unit, place};
  retc_expr at[4] = {w->unit, place, zero, zero};
  begin_elements(m, m->kept, own + 2);
  put(m, m->kept, own, retc_mul(l, decay(m, zero), retc_load(l, m->kept, own)));
  retc_end(l, 2);
  retc_lower_note(l, m->of->found.update);
  const int64_t keys = (m->of->k.chunk + STEP - 1) / STEP * STEP;
  write_product(m, m->kept, at, m->key_turned, row_of(m, w, zero), m->value, column_of(m, w, m->columns, zero),
                retc_int(l, keys));
  if (m->streams && m->in_place) write_slice_of_state(m, w, slice);
  retc_end(l, 1);
  if (m->streams && !m->in_place) write_slice_of_state(m, w, slice);
}

/* ---- outputs ---- */

/* The wave's columns of scores are seen by its rows: those begin behind none of them. */
static retc_expr has_scores(matrix *m, const wave *w) {
  retc_lowering *l = m->l;
  return retc_and(l, is_busy(m, w),
                  retc_less_equal(l, w->half, retc_div(l, w->band, retc_int(l, BANDS / HALVES))));
}

static void write_slice(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0);
  write_queries(m, slice);
  write_keys(m, slice);
  turn_state(m, slice);
  retc_barrier(l);
  wave w = begin_waves(m);
  retc_expr whole[3] = {w.unit, zero, zero}, row = row_of(m, &w, zero), depth = retc_int(l, SLICE);
  retc_if(l, is_busy(m, &w));
  retc_lower_note(l, m->of->found.cross);
  write_product(m, m->sums, whole, m->query, row, m->state_turned, column_of(m, &w, m->columns, zero), depth);
  retc_end(l, 1);
  retc_if(l, has_scores(m, &w));
  retc_lower_note(l, m->of->found.scores);
  write_product(m, m->scores, whole, m->query, row, m->key, column_of(m, &w, ROWS, zero), depth);
  retc_end(l, 1);
  update_state(m, &w, slice);
  retc_end(l, 1);
  retc_barrier(l);
}

/* The scores, masked, where the queries were. */
static void mask_scores(matrix *m) {
  retc_lowering *l = m->l;
  wave w = begin_waves(m);
  retc_if(l, has_scores(m, &w));
  retc_expr own[3] = {w.unit};
  begin_elements(m, m->scores, own + 1);
  retc_expr i = retc_let(l, "row", row_of(m, &w, own[1])),
            j = retc_let(l, "key_of_row", column_of(m, &w, ROWS, own[2]));
  retc_expr seen = retc_and(l, retc_less_equal(l, j, i), retc_less(l, i, m->end));
  retc_if(l, retc_and(l, retc_less_equal(l, m->first, i), seen));
  retc_expr power = decay(m, retc_add(l, retc_sub(l, retc_int(l, m->of->k.chunk), i), j));
  retc_lower_note(l, m->of->found.masked);
  put2(m, m->query, i, j, retc_mul(l, retc_load(l, m->scores, own), power));
  retc_else(l);
  put2(m, m->query, i, j, retc_f32(l, 0));
  retc_end(l, 5);
}

static void write_outputs(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0);
  wave w = begin_waves(m);
  retc_if(l, is_busy(m, &w));
  retc_expr own[3] = {w.unit}, whole[3] = {w.unit, zero, zero};
  begin_elements(m, m->sums, own + 1);
  retc_expr past = retc_min(l, row_of(m, &w, own[1]), retc_int(l, m->of->k.chunk - 1));
  retc_expr power = decay(m, retc_sub(l, retc_int(l, m->of->k.chunk - 1), past));
  retc_lower_note(l, m->of->found.crossed);
  put(m, m->sums, own, retc_mul(l, power, retc_load(l, m->sums, own)));
  retc_end(l, 2);
  retc_write_comment(&l->writer, "in-chunk part: keys up to the band's last row");
  retc_expr bands = retc_add(l, retc_div(l, w.band, retc_int(l, STEP / SIDE)), retc_int(l, 1));
  retc_lower_note(l, m->of->found.inner);
  write_product(m, m->sums, whole, m->query, row_of(m, &w, zero), m->value, column_of(m, &w, m->columns, zero),
                retc_mul(l, bands, retc_int(l, STEP)));
  begin_elements(m, m->sums, own + 1);
  retc_expr row = retc_let(l, "row", row_of(m, &w, own[1]));
  retc_expr column = retc_let(l, "column", retc_add(l, m->first_column, column_of(m, &w, m->columns, own[2])));
  retc_expr there = retc_and(l, retc_less_equal(l, m->first, row), retc_less(l, row, m->end));
  retc_if(l, has_column_condition(m) ? retc_and(l, there, retc_less(l, column, retc_int(l, m->of->v.width)))
                                        : there);
  retc_index to[4] = {retc_at(m->b), retc_at(retc_add(l, m->start, row)), retc_at(m->h), retc_at(column)};
  retc_lower_note(l, m->of->found.sum);
  retc_lower_store(l, m->of->found.output, to, retc_load(l, m->sums, own));
  retc_end(l, 5);
}

/* ---- the whole ---- */

retc_dtype retc_gpu_retention_type(const retc_graph *graph, const retc_node *scan, const retc_target_profile *profile) {
  const retc_dtype math = profile->math == RETC_MATH_BF16 ? RETC_DTYPE_BF16 : RETC_DTYPE_F16;
  const int64_t width = retc_graph_node(graph, scan->inputs[2])->type.shape.dim[2];
  const bool fits = scan->attributes.integer[0] <= ROWS && width % 2 == 0 && width <= STATE_MOST / (HALVES * SIDE);
  return profile->math != RETC_MATH_F32 && fits ? math : RETC_DTYPE_F32;
}

void retc_gpu_retention_matrix_schedule(const retc_graph *graph, const retc_node *scan, retc_dtype math,
                                        retc_region *region) {
  const int64_t width = retc_graph_node(graph, scan->inputs[2])->type.shape.dim[2],
                slices = (width + SLICE - 1) / SLICE;
  int64_t columns = COLUMNS_MOST;
  while (columns > HALVES * SIDE && columns * slices * SLICE > STATE_MOST) columns /= 2;
  retc_schedule_set(region, math == RETC_DTYPE_BF16 ? "bf16" : "f16", 1);
  retc_schedule_set(region, "block_columns", columns);
}

retc_dtype retc_gpu_retention_math(const retc_lowering *l, const retc_gpu_retention *of) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const retc_rows *q = &of->q, *k = &of->k;
  const bool alike = !q->cosine.index == !k->cosine.index && q->half == k->half && !of->v.cosine.index;
  if (k->chunk > ROWS || k->width % 2 || !alike) return RETC_DTYPE_F32;
  if (retc_schedule_get(region, "bf16", 0)) return RETC_DTYPE_BF16;
  return retc_schedule_get(region, "f16", 0) ? RETC_DTYPE_F16 : RETC_DTYPE_F32;
}

static void allocate(matrix *m) {
  retc_writer *w = &m->l->writer;
  const struct {
    retc_buffer_id *buffer;
    const char *name;
    int64_t rows, columns;
  } tiles[] = {{&m->query, "query", ROWS, SLICE},
               {&m->key, "key", ROWS, SLICE},
               {&m->key_turned, "key_turned", SLICE, ROWS},
               {&m->state_turned, "state_turned", m->columns, SLICE},
               {&m->value, "value", m->columns, ROWS}};
  for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++) {
    const int64_t extents[] = {tiles[i].rows, tiles[i].columns + GAP};
    *tiles[i].buffer = retc_write_alloc(w, tiles[i].name, RETC_SCOPE_SHARED, m->math, 2, extents);
  }
  const int64_t sums[] = {WAVES, SIDE, m->columns / HALVES}, scores[] = {WAVES, SIDE, ROWS / HALVES};
  const int64_t kept[] = {WAVES, m->streams ? 1 : m->slices, SIDE, m->columns / HALVES};
  m->kept = retc_write_alloc(w, "kept", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 4, kept);
  m->sums = retc_write_alloc(w, "sums", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, sums);
  m->scores = retc_write_alloc(w, "scores", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, scores);
}

static void begin_block(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0), heads = retc_int(l, m->of->q.heads);
  const retc_dim batch = retc_lower_node(l, m->of->found.output)->type.shape.dim[0];
  m->decay = retc_rows_decay_table(l, m->of->found.log_decay, m->of->k.chunk, 0);
  m->state = retc_lower_buffer(l, m->of->found.end);
  retc_expr several = retc_gpu_has_several_tokens(l), tasks = retc_mul(l, retc_dim_expr(l, batch), heads);
  tasks = retc_mul(l, tasks, m->streams ? retc_sub(l, retc_int(l, 1), several) : several);
  retc_expr task = loop(m, "task", RETC_LOOP_GRID, zero, tasks);
  m->first_column =
      retc_write_for(&l->writer, "first_column", RETC_LOOP_GRID, zero, retc_int(l, m->of->v.width), m->columns);
  m->b = retc_let(l, "b", retc_div(l, task, heads));
  m->h = retc_let(l, "h", retc_mod(l, task, heads));
  m->g = retc_let(l, "g", retc_div(l, m->h, retc_int(l, m->of->q.heads / m->of->k.heads)));
  allocate(m);
}

static void write_chunk(matrix *m) {
  wave w = begin_waves(m);
  clear(m, &w, m->sums);
  clear(m, &w, m->scores);
  retc_end(m->l, 1);
  write_values(m);
  write_slice(m, retc_count_to(m->l, "slice", m->streams ? RETC_LOOP_SERIAL : RETC_LOOP_UNROLL, m->slices));
  retc_end(m->l, 1);
  mask_scores(m);
  retc_barrier(m->l);
  write_outputs(m);
  retc_barrier(m->l);
}

retc_status retc_gpu_retention_matrix_lower(retc_lowering *l, const retc_gpu_retention *of, retc_dtype math) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  matrix m = {.l = l, .of = of, .math = math, .columns = retc_schedule_get(region, "block_columns", HALVES * SIDE)};
  m.slices = (of->k.width + SLICE - 1) / SLICE;
  if (m.columns % (HALVES * SIDE) || m.columns > COLUMNS_MOST) {
    return retc_lower_refuse(l, l->anchor, "its schedule is none for matrix instructions");
  }
  m.streams = l->launch == 0;
  begin_block(&m);
  retc_expr zero = retc_int(l, 0), chunk = retc_int(l, of->k.chunk), tokens = retc_dim_expr(l, RETC_NAMED(T));
  retc_expr pending = retc_let(l, "pending", retc_mod(l, retc_lower_value(l, of->found.position, NULL), chunk));
  m.in_place = m.state.index == retc_lower_buffer(l, of->found.start).index;
  if (m.in_place) l->kernel->buffers.items[m.state.index].access |= RETC_ACCESS_READ;
  if (!m.streams) move_state(&m, false);
  retc_expr n = m.streams ? zero : loop(&m, "n", RETC_LOOP_SERIAL, zero, retc_dim_expr(l, RETC_NAMED(N)));
  m.first = retc_let(l, "first", retc_select(l, retc_equal(l, n, zero), pending, zero));
  m.start = retc_let(l, "start", retc_sub(l, retc_mul(l, n, chunk), pending));
  m.end = retc_let(l, "end", retc_min(l, chunk, retc_sub(l, tokens, m.start)));
  m.whole = retc_equal(l, m.end, chunk);
  write_chunk(&m);
  if (!m.streams) {
    retc_end(l, 1);
    if (m.in_place) retc_if(l, retc_less_equal(l, chunk, retc_add(l, pending, tokens)));
    move_state(&m, true);
    retc_end(l, m.in_place ? 1 : 0);
  }
  retc_end(l, 2);
  return l->status;
}
