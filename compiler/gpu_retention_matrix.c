/* The retention region by matrix instructions, for `math` in bf16 or f16. A block has one (b, h) and `columns` value
 * channels; its part of the state is in the registers of its waves, in f32. Operands are rounded to the type, sums are
 * f32:
 *
 *   o_i  = g^(i+1) sum_x q[i,x] S[x]; then o_i += sum_j score[i,j] v_j    x over slices of channels, then j, in order
 *   score[i,j] = (sum_x q[i,x] k[j,x]) g^(i-j)                           j <= i, else 0
 *   S    = g^C S; then S += sum_j (g^(C-1-j) k_j) v_j^T                  j in order
 *
 * A sum goes on where it stands, 16 elements a matrix instruction. Rows and channels that are not there are zeros,
 * which change no sum; so the operations of a row are the same whichever rows it comes with, and in whichever call. (A
 * value that is no number reaches the rows of its chunk within 32 before it.)
 *
 * A call's dimensions choose one of three forms, whose operations are the same; the launches of the others have no
 * blocks then. For a token alone a launch makes the scores, once for all value channels, the next one is left with
 * little but to read the state, and a third one, where the token completes a chunk, makes the new state of it, a slice
 * a block. In one pass a block keeps the state from the first chunk of the call to the last. In two passes, for many
 * chunks and few rows of a batch, which one pass would leave to few blocks, a block has a slice of the state and leaves
 * it, rounded as the products want it, in memory at the start of each chunk, and then each chunk has blocks of its own. */
#include "base/number.h"
#include "compiler/gpu_retention_matrix.h"

enum {
  SIDE = RETC_FRAGMENT_SIDE,
  WAVES = RETC_FRAGMENT_WAVES,
  ROWS = RETC_MATRIX_ROWS,
  SLICE = RETC_MATRIX_SLICE,
  STEP = RETC_MATRIX_STEP,
  HALVES = RETC_MATRIX_HALVES,
  BANDS = WAVES / HALVES,
  GAP = 8, /* between rows in shared memory, against bank conflicts */
  RUN = 8  /* elements that a lane copies together: 16 bytes */
};

typedef retc_matrix_retention matrix;

/* ---- short forms ---- */

static retc_expr loop(matrix *m, const char *name, retc_loop_kind kind, retc_expr low, retc_expr high) {
  return retc_write_for(&m->l->writer, name, kind, low, high, 1);
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

void retc_matrix_begin_elements(matrix *m, retc_buffer_id fragment, retc_expr out_at[2]) {
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
  retc_matrix_begin_elements(m, fragment, at + 1);
  retc_matrix_put(m, fragment, at, retc_f32(m->l, 0));
  retc_end(m->l, 2);
}

/* ---- the state ---- */

/* A block has all slices of its columns of the state, or one. */
static bool is_by_slice(const matrix *m) { return m->form == RETC_MATRIX_STATES || m->form == RETC_MATRIX_UPDATE; }

/* The place of a slice of the state in `kept`. */
static retc_expr kept_slice(matrix *m, retc_expr slice) { return is_by_slice(m) ? retc_int(m->l, 0) : slice; }

/* Element loops over a slice of the state: `own` is the wave's part, `at` the state's element. Two blocks to end, and
 * one of lanes that have an element, where not all may: then it is true. */
static bool begin_state(matrix *m, const wave *w, retc_expr slice, retc_expr own[4], retc_expr at[4]) {
  retc_lowering *l = m->l;
  own[0] = w->unit;
  own[1] = kept_slice(m, slice);
  retc_matrix_begin_elements(m, m->kept, own + 2);
  retc_expr x = retc_let(l, "x", row_of(m, w, own[2]));
  at[0] = m->b, at[1] = m->h;
  at[2] = retc_let(l, "channel", retc_matrix_channel(m, &m->of->k, slice, x));
  at[3] = retc_let(l, "column", retc_add(l, m->first_column, column_of(m, w, m->columns, own[3])));
  retc_expr column = retc_less(l, at[3], retc_int(l, m->of->v.width)),
            channel = retc_matrix_has_channel(m, &m->of->k, slice, x);
  const bool channels = m->of->k.width % SLICE != 0, columns = retc_matrix_has_column_condition(m);
  if (channels) retc_if(l, columns ? retc_and(l, column, channel) : channel);
  else if (columns) retc_if(l, column);
  return channels || columns;
}

static void read_slice(matrix *m, const wave *w, retc_expr slice) {
  retc_lowering *l = m->l;
  retc_expr own[4], at[4];
  const bool may_miss = begin_state(m, w, slice, own, at);
  const retc_index from[4] = {retc_at(at[0]), retc_at(at[1]), retc_at(at[2]), retc_at(at[3])};
  retc_matrix_put(m, m->kept, own, retc_lower_value(l, m->of->found.start, from));
  if (may_miss) {
    retc_else(l);
    retc_matrix_put(m, m->kept, own, retc_f32(l, 0));
    retc_end(l, 1);
  }
  retc_end(l, 2);
}

static void write_slice_of_state(matrix *m, const wave *w, retc_expr slice) {
  retc_expr own[4], at[4];
  const bool may_miss = begin_state(m, w, slice, own, at);
  retc_lower_note(m->l, m->l->anchor);
  retc_matrix_put(m, m->state, at, retc_load(m->l, m->kept, own));
  retc_end(m->l, may_miss ? 3 : 2);
}

/* The block's part of the state: `slice`, or all slices. */
static void move_state(matrix *m, retc_expr slice, bool store) {
  wave w = begin_waves(m);
  const bool all = !slice.index;
  if (all) slice = retc_count_to(m->l, "slice", RETC_LOOP_UNROLL, m->slices);
  if (store) write_slice_of_state(m, &w, slice);
  else read_slice(m, &w, slice);
  retc_end(m->l, all ? 2 : 1);
}

/* A state that lies where the old one did is written only where a chunk was completed. */
static void write_state(matrix *m, retc_expr slice, retc_expr pending) {
  retc_lowering *l = m->l;
  retc_expr tokens = retc_dim_expr(l, RETC_NAMED(T)), chunk = retc_int(l, m->of->k.chunk);
  if (m->in_place) retc_if(l, retc_less_equal(l, chunk, retc_add(l, pending, tokens)));
  move_state(m, slice, true);
  retc_end(l, m->in_place ? 1 : 0);
}

/* state_turned[c, x] of the slice. */
static void turn_state(matrix *m, retc_expr slice) {
  wave w = begin_waves(m);
  retc_expr own[4] = {w.unit, kept_slice(m, slice)};
  retc_matrix_begin_elements(m, m->kept, own + 2);
  retc_matrix_put2(m, m->state_turned, column_of(m, &w, m->columns, own[3]), row_of(m, &w, own[2]),
                   retc_load(m->l, m->kept, own));
  retc_end(m->l, 3);
}

/* state_turned, the slice's, to or from `starts`. */
static void move_start(matrix *m, retc_expr slice, bool store) {
  retc_lowering *l = m->l;
  enum { RUNS = SLICE / RUN };
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, m->columns * RUNS);
  retc_expr c = retc_let(l, "c", retc_div(l, e, retc_int(l, RUNS)));
  retc_expr first = retc_let(l, "first_of_run", retc_mul(l, retc_mod(l, e, retc_int(l, RUNS)), retc_int(l, RUN)));
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, RUN);
  retc_expr own[2] = {c, retc_add(l, first, y)};
  retc_expr at[5] = {m->b, m->n, m->h, retc_add(l, m->first_column, c),
                     retc_add(l, retc_add(l, retc_mul(l, slice, retc_int(l, SLICE)), first), y)};
  if (store) retc_matrix_put(m, m->starts, at, retc_load(l, m->state_turned, own));
  else retc_matrix_put(m, m->state_turned, own, retc_load(l, m->starts, at));
  retc_end(l, 2);
}

static void update_state(matrix *m, const wave *w, retc_expr slice) {
  retc_lowering *l = m->l;
  retc_if(l, m->whole);
  retc_expr zero = retc_int(l, 0), place = kept_slice(m, slice), own[4] = {w->unit, place};
  retc_expr at[4] = {w->unit, place, zero, zero};
  retc_matrix_begin_elements(m, m->kept, own + 2);
  retc_matrix_put(m, m->kept, own, retc_mul(l, retc_matrix_decay(m, zero), retc_load(l, m->kept, own)));
  retc_end(l, 2);
  retc_lower_note(l, m->of->found.update);
  const int64_t keys = (m->of->k.chunk + STEP - 1) / STEP * STEP;
  write_product(m, m->kept, at, m->key_turned, row_of(m, w, zero), m->value, column_of(m, w, m->columns, zero),
                retc_int(l, keys));
  retc_end(l, 1);
}

/* ---- outputs ---- */

/* The wave's columns of scores are seen by its rows: those begin behind none of them. */
static retc_expr has_scores(matrix *m, const wave *w) {
  retc_lowering *l = m->l;
  return retc_and(l, is_busy(m, w),
                  retc_less_equal(l, w->half, retc_div(l, w->band, retc_int(l, BANDS / HALVES))));
}

static void add_cross(matrix *m, const wave *w) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0), whole[3] = {w->unit, zero, zero};
  retc_if(l, is_busy(m, w));
  retc_lower_note(l, m->of->found.cross);
  write_product(m, m->sums, whole, m->query, row_of(m, w, zero), m->state_turned, column_of(m, w, m->columns, zero),
                retc_int(l, SLICE));
  retc_end(l, 1);
}

static void add_scores(matrix *m, const wave *w) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0), whole[3] = {w->unit, zero, zero};
  retc_if(l, has_scores(m, w));
  retc_lower_note(l, m->of->found.scores);
  write_product(m, m->scores, whole, m->query, row_of(m, w, zero), m->key, column_of(m, w, ROWS, zero),
                retc_int(l, SLICE));
  retc_end(l, 1);
}

/* token_query of the slice. */
static void hand_on_query(matrix *m, retc_expr slice) {
  retc_lowering *l = m->l;
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, SIDE * SLICE), width = retc_int(l, SLICE);
  retc_expr i = retc_let(l, "i", retc_div(l, e, width)), x = retc_let(l, "x", retc_mod(l, e, width));
  retc_expr to[4] = {m->b, m->h, i, retc_add(l, retc_mul(l, slice, width), x)}, from[2] = {m->first, x};
  retc_if(l, retc_equal(l, i, retc_int(l, 0)));
  retc_matrix_put(m, m->token_query, to, retc_load(l, m->query, from));
  retc_else(l);
  retc_matrix_put(m, m->token_query, to, retc_f32(l, 0));
  retc_end(l, 2);
}

static void write_slice(matrix *m, retc_expr slice) {
  const bool alone = m->form == RETC_MATRIX_SCORES;
  retc_matrix_write_queries(m, slice);
  retc_matrix_write_keys(m, slice);
  if (m->form == RETC_MATRIX_OUTPUTS) move_start(m, slice, false);
  else if (!alone) turn_state(m, slice);
  retc_barrier(m->l);
  wave w = begin_waves(m);
  if (!alone) add_cross(m, &w);
  add_scores(m, &w);
  if (m->form == RETC_MATRIX_ONE_PASS) update_state(m, &w, slice);
  retc_end(m->l, 1);
  if (alone) hand_on_query(m, slice);
  retc_barrier(m->l);
}

/* Where a masked score goes: where the queries were or, of a token alone, to the launch that wants it. */
static void put_score(matrix *m, retc_expr i, retc_expr j, retc_expr value) {
  if (m->form == RETC_MATRIX_SCORES)
    retc_matrix_put(m, m->token_scores, (retc_expr[]){m->b, m->h, retc_int(m->l, 0), j}, value);
  else retc_matrix_put2(m, m->query, i, j, value);
}

static void mask_scores(matrix *m) {
  retc_lowering *l = m->l;
  const bool alone = m->form == RETC_MATRIX_SCORES;
  wave w = begin_waves(m);
  retc_if(l, has_scores(m, &w));
  retc_expr own[3] = {w.unit};
  retc_matrix_begin_elements(m, m->scores, own + 1);
  retc_expr i = retc_let(l, "row", row_of(m, &w, own[1])),
            j = retc_let(l, "key_of_row", column_of(m, &w, ROWS, own[2]));
  if (alone) retc_if(l, retc_equal(l, i, m->first));
  retc_expr seen = retc_and(l, retc_less_equal(l, j, i), retc_less(l, i, m->end));
  retc_if(l, retc_and(l, retc_less_equal(l, m->first, i), seen));
  retc_expr power = retc_matrix_decay(m, retc_add(l, retc_sub(l, retc_int(l, m->of->k.chunk), i), j));
  retc_lower_note(l, m->of->found.masked);
  put_score(m, i, j, retc_mul(l, retc_load(l, m->scores, own), power));
  retc_else(l);
  put_score(m, i, j, retc_f32(l, 0));
  retc_end(l, alone ? 6 : 5);
}

static void write_outputs(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0);
  wave w = begin_waves(m);
  retc_if(l, is_busy(m, &w));
  retc_expr own[3] = {w.unit}, whole[3] = {w.unit, zero, zero};
  retc_matrix_begin_elements(m, m->sums, own + 1);
  retc_expr past = retc_min(l, row_of(m, &w, own[1]), retc_int(l, m->of->k.chunk - 1));
  retc_expr power = retc_matrix_decay(m, retc_sub(l, retc_int(l, m->of->k.chunk - 1), past));
  retc_lower_note(l, m->of->found.crossed);
  retc_matrix_put(m, m->sums, own, retc_mul(l, power, retc_load(l, m->sums, own)));
  retc_end(l, 2);
  retc_write_comment(&l->writer, "in-chunk part: keys up to the band's last row");
  retc_expr bands = retc_add(l, retc_div(l, w.band, retc_int(l, STEP / SIDE)), retc_int(l, 1));
  retc_lower_note(l, m->of->found.inner);
  write_product(m, m->sums, whole, m->query, row_of(m, &w, zero), m->value, column_of(m, &w, m->columns, zero),
                retc_mul(l, bands, retc_int(l, STEP)));
  retc_matrix_begin_elements(m, m->sums, own + 1);
  retc_expr row = retc_let(l, "row", row_of(m, &w, own[1]));
  retc_expr column = retc_let(l, "column", retc_add(l, m->first_column, column_of(m, &w, m->columns, own[2])));
  retc_expr there = retc_and(l, retc_less_equal(l, m->first, row), retc_less(l, row, m->end));
  retc_if(l, retc_matrix_has_column_condition(m) ? retc_and(l, there, retc_less(l, column, retc_int(l, m->of->v.width)))
                                        : there);
  retc_index to[4] = {retc_at(m->b), retc_at(retc_add(l, m->start, row)), retc_at(m->h), retc_at(column)};
  retc_lower_note(l, m->of->found.sum);
  retc_lower_store(l, m->of->found.output, to, retc_load(l, m->sums, own));
  retc_end(l, 5);
}

/* ---- the whole ---- */

static void allocate(matrix *m) {
  retc_writer *w = &m->l->writer;
  const bool alone = m->form == RETC_MATRIX_TOKEN, by_slice = is_by_slice(m);
  const bool scores = !alone && !by_slice, cross = m->form != RETC_MATRIX_SCORES && !by_slice;
  const bool update = m->form == RETC_MATRIX_ONE_PASS || by_slice;
  const bool turned = cross || m->form == RETC_MATRIX_STATES, value = update || alone;
  const struct {
    retc_buffer_id *buffer;
    const char *name;
    int64_t rows, columns;
    bool wanted;
  } tiles[] = {{&m->query, "query", ROWS, SLICE, scores},
               {&m->key, "key", ROWS, SLICE, scores},
               {&m->key_turned, "key_turned", SLICE, ROWS, update},
               {&m->state_turned, "state_turned", m->columns, alone ? m->slices * SLICE : SLICE, turned},
               {&m->value, "value", m->columns, ROWS, value}};
  for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++) {
    const int64_t extents[] = {tiles[i].rows, tiles[i].columns + GAP};
    if (tiles[i].wanted)
      *tiles[i].buffer = retc_write_alloc(w, tiles[i].name, RETC_SCOPE_SHARED, m->math, 2, extents);
  }
  _Static_assert(SLICE == ROWS, "values have the room of a slice of the state");
  if (m->form == RETC_MATRIX_OUTPUTS) m->value = m->state_turned; /* which is read no more by then */
  const int64_t sums[] = {WAVES, SIDE, alone ? SIDE : m->columns / HALVES}, own_scores[] = {WAVES, SIDE, ROWS / HALVES};
  const int64_t kept[] = {WAVES, by_slice ? 1 : m->slices, SIDE, m->columns / HALVES};
  if (update) m->kept = retc_write_alloc(w, "kept", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 4, kept);
  if (cross) m->sums = retc_write_alloc(w, "sums", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, sums);
  if (scores) m->scores = retc_write_alloc(w, "scores", RETC_SCOPE_FRAGMENT, RETC_DTYPE_F32, 3, own_scores);
}

/* The buffer between the two passes, whose rows and columns are filled up to whole tiles. */
static void find_starts(matrix *m) {
  const bool states = m->form == RETC_MATRIX_STATES;
  if (!states && m->form != RETC_MATRIX_OUTPUTS) return;
  const int64_t columns = retc_ceil_div(m->of->v.width, m->columns) * m->columns;
  const retc_shape shape = {.rank = 5, .dim = {m->batch, RETC_NAMED(N), m->of->q.heads, columns, m->slices * SLICE}};
  const int64_t rows = retc_schedule_get(retc_graph_region(m->l->graph, m->l->region), "two_pass_rows", 0);
  m->starts = retc_lower_between(m->l, "starts", m->math, &shape, rows, states ? RETC_ACCESS_WRITE : RETC_ACCESS_READ);
}

/* What one launch of a token alone leaves to the other. */
static void find_token(matrix *m) {
  if (m->form != RETC_MATRIX_SCORES && m->form != RETC_MATRIX_TOKEN) return;
  const unsigned access = m->form == RETC_MATRIX_SCORES ? RETC_ACCESS_WRITE : RETC_ACCESS_READ;
  const retc_shape query = {.rank = 4, .dim = {m->batch, m->of->q.heads, SIDE, m->slices * SLICE}};
  const retc_shape scores = {.rank = 4, .dim = {m->batch, m->of->q.heads, SIDE, ROWS}};
  m->token_query = retc_lower_between(m->l, "query", m->math, &query, 0, access);
  m->token_scores = retc_lower_between(m->l, "scores", m->math, &scores, 0, access);
}

/* The loops of the grid; the chunk or slice that the block has, or none. */
static int begin_block(matrix *m, retc_expr *out_own) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0), heads = retc_int(l, m->of->q.heads);
  m->decay = retc_rows_decay_table(l, m->of->found.log_decay, m->of->k.chunk, 0);
  m->state = retc_lower_buffer(l, m->of->found.end);
  m->in_place = m->state.index == retc_lower_buffer(l, m->of->found.start).index;
  if (m->in_place) /* not so in launches that make no state, which have no such buffer */
    l->kernel->buffers.items[m->state.index].access |= RETC_ACCESS_READ;
  find_starts(m);
  find_token(m);
  const bool by_chunk = m->form == RETC_MATRIX_OUTPUTS, by_slice = is_by_slice(m);
  if (by_chunk) *out_own = loop(m, "n", RETC_LOOP_GRID, zero, retc_dim_expr(l, RETC_NAMED(N)));
  if (by_slice) *out_own = loop(m, "slice", RETC_LOOP_GRID, zero, retc_int(l, m->slices));
  retc_expr tasks = retc_mul(l, retc_mul(l, retc_dim_expr(l, m->batch), heads), retc_matrix_is_chosen(m));
  retc_expr task = loop(m, "task", RETC_LOOP_GRID, zero, tasks);
  const bool by_column = m->form != RETC_MATRIX_SCORES;
  if (by_column)
    m->first_column =
        retc_write_for(&l->writer, "first_column", RETC_LOOP_GRID, zero, retc_int(l, m->of->v.width), m->columns);
  m->b = retc_let(l, "b", retc_div(l, task, heads));
  m->h = retc_let(l, "h", retc_mod(l, task, heads));
  m->g = retc_let(l, "g", retc_div(l, m->h, retc_int(l, m->of->q.heads / m->of->k.heads)));
  allocate(m);
  return 1 + by_column + by_chunk + by_slice;
}

/* The chunk at hand is `n`, of a call that begins behind `pending` tokens of its first one. */
static void begin_chunk(matrix *m, retc_expr n, retc_expr pending) {
  retc_lowering *l = m->l;
  retc_expr zero = retc_int(l, 0), chunk = retc_int(l, m->of->k.chunk), tokens = retc_dim_expr(l, RETC_NAMED(T));
  m->n = n;
  m->first = retc_let(l, "first", retc_select(l, retc_equal(l, n, zero), pending, zero));
  m->start = retc_let(l, "start", retc_sub(l, retc_mul(l, n, chunk), pending));
  m->end = retc_let(l, "end", retc_min(l, chunk, retc_sub(l, tokens, m->start)));
  m->whole = retc_equal(l, m->end, chunk);
}

static void clear_fragments(matrix *m) {
  wave w = begin_waves(m);
  if (m->sums.index) clear(m, &w, m->sums);
  if (m->scores.index) clear(m, &w, m->scores);
  retc_end(m->l, 1);
}

static void write_slices(matrix *m) {
  const retc_loop_kind kind = m->form == RETC_MATRIX_ONE_PASS ? RETC_LOOP_UNROLL : RETC_LOOP_SERIAL;
  write_slice(m, retc_count_to(m->l, "slice", kind, m->slices));
  retc_end(m->l, 1);
}

static void write_chunk(matrix *m) {
  const bool all = m->form == RETC_MATRIX_OUTPUTS;
  clear_fragments(m);
  if (!all) retc_matrix_write_values(m);
  write_slices(m);
  if (all) retc_matrix_write_values(m);
  mask_scores(m);
  retc_barrier(m->l);
  write_outputs(m);
}

static void write_scores(matrix *m) {
  retc_lowering *l = m->l;
  clear_fragments(m);
  retc_expr e = retc_count_to(l, "e", RETC_LOOP_LANE, SIDE * ROWS), rows = retc_int(l, ROWS);
  retc_matrix_put(m, m->token_scores, (retc_expr[]){m->b, m->h, retc_div(l, e, rows), retc_mod(l, e, rows)}, retc_f32(l, 0));
  retc_end(l, 1);
  write_slices(m);
  mask_scores(m);
}

static void write_token(matrix *m) {
  retc_matrix_read_state_turned(m);
  retc_matrix_write_values(m);
  clear_fragments(m);
  retc_barrier(m->l);
  retc_matrix_write_token_outputs(m);
}

static void write_update(matrix *m, retc_expr slice) {
  move_state(m, slice, false);
  retc_matrix_write_values(m);
  retc_matrix_write_keys(m, slice);
  retc_barrier(m->l);
  wave w = begin_waves(m);
  update_state(m, &w, slice);
  retc_end(m->l, 1);
  move_state(m, slice, true);
}

static void write_one_pass(matrix *m, retc_expr pending) {
  retc_lowering *l = m->l;
  move_state(m, (retc_expr){0}, false);
  begin_chunk(m, loop(m, "n", RETC_LOOP_SERIAL, retc_int(l, 0), retc_dim_expr(l, RETC_NAMED(N))), pending);
  write_chunk(m);
  retc_barrier(l);
  retc_end(l, 1);
  write_state(m, (retc_expr){0}, pending);
}

static void write_states(matrix *m, retc_expr slice, retc_expr pending) {
  retc_lowering *l = m->l;
  move_state(m, slice, false);
  begin_chunk(m, loop(m, "n", RETC_LOOP_SERIAL, retc_int(l, 0), retc_dim_expr(l, RETC_NAMED(N))), pending);
  retc_matrix_write_values(m);
  retc_matrix_write_keys(m, slice);
  turn_state(m, slice);
  retc_barrier(l);
  move_start(m, slice, true);
  wave w = begin_waves(m);
  update_state(m, &w, slice);
  retc_end(l, 1);
  retc_barrier(l);
  retc_end(l, 1);
  write_state(m, slice, pending);
}

retc_status retc_gpu_retention_matrix_lower(retc_lowering *l, const retc_gpu_retention *of, retc_dtype math) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  matrix m = {.l = l, .of = of, .math = math, .form = (retc_matrix_form)l->launch,
              .columns = retc_schedule_get(region, "block_columns", HALVES * SIDE)};
  if (m.form == RETC_MATRIX_STATES || m.form == RETC_MATRIX_OUTPUTS)
    m.columns = retc_schedule_get(region, "two_pass_columns", m.columns);
  m.slices = retc_ceil_div(of->k.width, SLICE);
  m.batch = retc_lower_node(l, of->found.output)->type.shape.dim[0];
  if (m.columns <= 0 || m.columns % (HALVES * SIDE) || m.columns > 2 * RETC_MATRIX_COLUMNS_MOST) {
    return retc_lower_refuse(l, l->anchor, "its schedule is none for matrix instructions");
  }
  retc_expr own = {0};
  const int loops = begin_block(&m, &own);
  retc_expr pending = retc_let(l, "pending", retc_matrix_pending(&m));
  if (m.form == RETC_MATRIX_ONE_PASS) {
    write_one_pass(&m, pending);
  } else if (m.form == RETC_MATRIX_STATES) {
    write_states(&m, own, pending);
  } else {
    begin_chunk(&m, m.form == RETC_MATRIX_OUTPUTS ? own : retc_int(l, 0), pending);
    if (m.form == RETC_MATRIX_SCORES) write_scores(&m);
    else if (m.form == RETC_MATRIX_TOKEN) write_token(&m);
    else if (m.form == RETC_MATRIX_UPDATE) write_update(&m, own);
    else write_chunk(&m);
  }
  retc_end(l, loops);
  return l->status;
}
