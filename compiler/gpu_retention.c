/* The retention region on a GPU: rotation, decay mask, chunk boundary, in-chunk and cross products and the state update
 * in one kernel. A block has one (b, h) and COLUMNS value channels, so it has its columns of the state to itself; it
 * walks the chunks that the call touches, ROWS rows at a time; the last row of an odd number has loops of its own, and
 * one token a kernel of its own (gpu_retention_step.c). With c a column and p a part, a lane is lane = COLUMNS p + c.
 *
 *   score[i,j] = (q_i . k_j) g^(i-j)                          j <= i; channels in PARTS parts, a chain of fma each
 *   o_i        = fma(g^(i+1), S^T q_i, sum_j score[i,j] v_j)   S^T q_i in the same parts; rows j by j / 16 mod 4
 *   S          = g^C S + sum_j (g^(C-1-j) k_j) v_j^T           j in order
 *
 * Parts are added in order. The operations of a row are the same whichever rows it comes with, and in whichever call.
 */
#include "compiler/gpu_retention.h"

enum {
  COLUMNS = 64,
  PARTS = 4,
  LANES = COLUMNS * PARTS,
  ROWS = 8,
  KEYS = 64,
  KEYS_OF_PART = KEYS / PARTS,
  CHANNELS = 8
};
/* The tile of queries, ROWS rows of it, has to fit shared memory beside the others. */
enum { WIDTH_MOST = 768 };
/* Channels that are read ahead for one row, which has registers to spare. */
enum { AHEAD = 16 };

void retc_gpu_retention_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                                 retc_region *region) {
  const retc_dtype math = retc_gpu_retention_type(graph, node, profile);
  retc_anchor_retention_schedule(graph, node, profile, region); /* of regions that are mapped */
  if (math != RETC_DTYPE_F32) retc_gpu_retention_matrix_schedule(graph, node, math, profile, region);
}

typedef struct retention {
  retc_lowering *l;
  retc_rows q, k, v;
  retc_retention found;
  int64_t part;                       /* channels of one */
  retc_buffer_id decay, state, query_tile, part_tile, score_tile, key_tile, sum_tile;
  retc_buffer_id score, inner, cross; /* of a lane, one a row */
  retc_buffer_id value;               /* of a lane, one a key of its part */
  int64_t rows;                       /* that the code at hand is for: ROWS or 1 */
  retc_expr b, h, g, lane, own_part, column, exists; /* exists: the lane has a column of the values */
  retc_expr first, start, end;        /* of the chunk at hand: rows first..end are this call's tokens start + row */
  retc_expr row;                      /* the first of the rows at hand */
} retention;

/* ---- short forms ---- */

static retc_expr loop(retention *r, const char *name, retc_loop_kind kind, retc_expr low, retc_expr high,
                      int64_t step) {
  return retc_write_for(&r->l->writer, name, kind, low, high, step);
}
static retc_expr at1(retention *r, retc_buffer_id buffer, retc_expr a) { return retc_load(r->l, buffer, &a); }
static void put1(retention *r, retc_buffer_id buffer, retc_expr a, retc_expr value) {
  retc_write_store(&r->l->writer, buffer, &a, value);
}
static retc_buffer_id shared(retention *r, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
  return retc_write_alloc(&r->l->writer, name, RETC_SCOPE_SHARED, RETC_DTYPE_F32, rank, (int64_t[]){a, b, c});
}
static retc_buffer_id private(retention *r, const char *name, int64_t count) {
  return retc_write_alloc(&r->l->writer, name, RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, &count);
}

/* e^((chunk - x) log_decay) of this head. */
static retc_expr decay(retention *r, retc_expr x) { return retc_load(r->l, r->decay, (retc_expr[]){r->h, x}); }

/* A loop in which the lanes share `count` things out; the number of the lane's one. Two blocks to end. */
static retc_expr share_out(retention *r, const char *name, int64_t count) {
  retc_lowering *l = r->l;
  retc_expr turn = loop(r, "turn", RETC_LOOP_SERIAL, retc_int(l, 0), retc_int(l, (count + LANES - 1) / LANES), 1);
  retc_expr e = retc_let(l, name, retc_add(l, retc_mul(l, turn, retc_int(l, LANES)), r->lane));
  retc_if(l, retc_less(l, e, retc_int(l, count)));
  return e;
}

static void clear(retention *r, retc_buffer_id buffer, int64_t count) {
  put1(r, buffer, retc_count_to(r->l, "r", RETC_LOOP_UNROLL, count), retc_f32(r->l, 0));
  retc_end(r->l, 1);
}

retc_expr retc_gpu_has_several_tokens(retc_lowering *l) {
  return retc_min(l, retc_div(l, retc_dim_expr(l, RETC_NAMED(T)), retc_int(l, 2)), retc_int(l, 1));
}

retc_expr retc_gpu_retention_row(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr t, retc_expr head,
                                 retc_expr x) {
  const retc_index at[4] = {retc_at(b), retc_at(t), retc_at(head), retc_at(x)};
  retc_expr value = retc_lower_value(l, rows->cosine.index ? rows->rotated : rows->operand, at);
  retc_lower_note(l, rows->value);
  return value;
}

retc_expr retc_gpu_retention_pending(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr j, retc_expr head,
                                     retc_expr x) {
  const retc_index at[4] = {retc_at(b), retc_at(j), retc_at(head), retc_at(x)};
  retc_expr value = retc_lower_value(l, rows->pending, at);
  retc_lower_note(l, rows->value);
  return value;
}

/* ---- queries ---- */

/* query_tile[i,p,x]: channel part p + x of row `row` + i; zero where there is none. */
static void write_queries(retention *r) {
  retc_lowering *l = r->l;
  retc_expr e = share_out(r, "e", r->rows * PARTS * r->part), width = retc_int(l, r->part);
  retc_expr i = retc_let(l, "i", retc_div(l, e, retc_int(l, PARTS * r->part)));
  retc_expr channel = retc_let(l, "channel", retc_mod(l, e, retc_int(l, PARTS * r->part)));
  retc_expr to[3] = {i, retc_div(l, channel, width), retc_mod(l, channel, width)}, row = retc_add(l, r->row, i);
  retc_if(l, retc_and(l, retc_less(l, row, r->end), retc_less(l, channel, retc_int(l, r->q.width))));
  retc_expr value =
      retc_gpu_retention_row(l, &r->q, r->b, retc_let(l, "t", retc_add(l, r->start, row)), r->h, channel);
  retc_write_store(&l->writer, r->query_tile, to, value);
  retc_write_else(&l->writer);
  retc_write_store(&l->writer, r->query_tile, to, retc_f32(l, 0));
  retc_end(l, 3);
}

/* Calls of `body` for the channels of the lane's part: the channel and its number in the part. */
static void for_channels(retention *r, retc_expr part,
                         void (*body)(retention *r, retc_expr x, retc_expr channel, retc_expr j), retc_expr j) {
  retc_lowering *l = r->l;
  retc_expr begin = retc_let(l, "begin", retc_mul(l, part, retc_int(l, r->part))),
            count = retc_int(l, r->part);
  if (r->k.width % PARTS) count = retc_min(l, count, retc_sub(l, retc_int(l, r->k.width), begin));
  const bool ahead = r->rows == 1 && r->k.width % (PARTS * AHEAD) == 0;
  retc_expr x = loop(r, "x", RETC_LOOP_SERIAL, retc_int(l, 0), count, ahead ? AHEAD : 1);
  if (ahead) x = retc_let(l, "x", retc_add(l, x, retc_count_to(l, "next", RETC_LOOP_UNROLL, AHEAD)));
  body(r, x, retc_let(l, "channel", retc_add(l, begin, x)), j);
  retc_end(l, ahead ? 2 : 1);
}

/* sums[i] = fma(query[i], value, sums[i]) for all rows. */
static void add_products(retention *r, retc_buffer_id sums, retc_expr part, retc_expr x, retc_expr value) {
  retc_expr i = retc_count_to(r->l, "i", RETC_LOOP_UNROLL, r->rows);
  retc_expr query = retc_load(r->l, r->query_tile, (retc_expr[]){i, part, x});
  put1(r, sums, i, retc_fma(r->l, query, value, at1(r, sums, i)));
  retc_end(r->l, 1);
}

/* ---- scores ---- */

/* For scores a lane has key lane / PARTS and part lane mod PARTS, so that neighbours read neighbouring memory. */
static retc_expr score_part(retention *r) { return retc_mod(r->l, r->lane, retc_int(r->l, PARTS)); }

static void score_pending(retention *r, retc_expr x, retc_expr channel, retc_expr j) {
  retc_expr key = retc_let(r->l, "key", retc_gpu_retention_pending(r->l, &r->k, r->b, j, r->g, channel));
  retc_lower_note(r->l, r->found.scores);
  add_products(r, r->score, score_part(r), x, key);
}

static void score_new(retention *r, retc_expr x, retc_expr channel, retc_expr j) {
  retc_expr key =
      retc_let(r->l, "key", retc_gpu_retention_row(r->l, &r->k, r->b, retc_add(r->l, r->start, j), r->g, channel));
  retc_lower_note(r->l, r->found.scores);
  add_products(r, r->score, score_part(r), x, key);
}

/* score_tile[i,j] of the keys from `base` on: with the decay, zero where a key is not seen. */
static void write_scores(retention *r, retc_expr base) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  retc_expr own = retc_div(l, r->lane, retc_int(l, PARTS)), j = retc_let(l, "j", retc_add(l, base, own));
  clear(r, r->score, r->rows);
  if (r->k.pending.index) {
    retc_if(l, retc_less(l, j, r->first));
    for_channels(r, score_part(r), score_pending, j);
    retc_end(l, 1);
  }
  retc_if(l, retc_and(l, retc_less_equal(l, r->first, j), retc_less(l, j, r->end)));
  for_channels(r, score_part(r), score_new, j);
  retc_end(l, 1);
  retc_expr i = retc_count_to(l, "i", RETC_LOOP_UNROLL, r->rows);
  retc_write_store(w, r->part_tile, (retc_expr[]){i, own, score_part(r)}, at1(r, r->score, i));
  retc_end(l, 1);
  retc_barrier(l);
  retc_write_comment(w, "decay: g^(i - j), rows j <= i only");
  retc_expr e = share_out(r, "e", r->rows * KEYS), sum = {0};
  i = retc_let(l, "i", retc_div(l, e, retc_int(l, KEYS)));
  retc_expr key = retc_let(l, "key_of_tile", retc_mod(l, e, retc_int(l, KEYS)));
  retc_expr distance = retc_let(l, "distance", retc_sub(l, retc_add(l, r->row, i), retc_add(l, base, key))),
            to[2] = {i, key};
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = retc_load(l, r->part_tile, (retc_expr[]){i, key, retc_int(l, p)});
    sum = p ? retc_add(l, sum, part) : part;
  }
  retc_expr seen =
      retc_and(l, retc_less_equal(l, retc_int(l, 0), distance), retc_less(l, retc_add(l, r->row, i), r->end));
  retc_if(l, seen);
  retc_lower_note(l, r->found.masked);
  retc_write_store(w, r->score_tile, to, retc_mul(l, sum, decay(r, retc_sub(l, retc_int(l, r->k.chunk), distance))));
  retc_write_else(w);
  retc_write_store(w, r->score_tile, to, retc_f32(l, 0));
  retc_end(l, 3);
}

/* ---- outputs ---- */

/* value[at] = v_j; what is not there is no value that counts. */
static void read_value(retention *r, retc_expr at, retc_expr j) {
  retc_lowering *l = r->l;
  put1(r, r->value, at, retc_f32(l, 0));
  if (r->v.pending.index) {
    retc_if(l, retc_less(l, j, r->first));
    put1(r, r->value, at, retc_gpu_retention_pending(l, &r->v, r->b, j, r->g, r->column));
    retc_end(l, 1);
  }
  retc_if(l, retc_and(l, retc_less_equal(l, r->first, j), retc_less(l, j, r->end)));
  put1(r, r->value, at, retc_gpu_retention_row(l, &r->v, r->b, retc_add(l, r->start, j), r->g, r->column));
  retc_end(l, 1);
}

/* One row's values of the lane's keys of the tile at `base`, before the scores are known. */
static void read_values(retention *r, retc_expr base) {
  retc_lowering *l = r->l;
  retc_if(l, r->exists);
  retc_expr from = retc_let(l, "from", retc_add(l, base, retc_mul(l, r->own_part, retc_int(l, KEYS_OF_PART))));
  retc_expr x = retc_count_to(l, "x", RETC_LOOP_UNROLL, KEYS_OF_PART);
  read_value(r, x, retc_let(l, "j", retc_add(l, from, x)));
  retc_end(l, 2);
}

/* inner[i] += score[i,j] v_j for the lane's keys j of the tile at `base`, j <= i. */
static void write_inner(retention *r, retc_expr base) {
  retc_lowering *l = r->l;
  const bool read = r->rows == 1;
  retc_if(l, r->exists);
  retc_expr zero = retc_int(l, 0),
            from = retc_let(l, "from", retc_mul(l, r->own_part, retc_int(l, KEYS_OF_PART)));
  retc_expr x = loop(r, "x", read ? RETC_LOOP_UNROLL : RETC_LOOP_SERIAL, zero, retc_int(l, KEYS_OF_PART), 1);
  retc_expr key = retc_let(l, "key_of_tile", retc_add(l, from, x)), j = retc_let(l, "j", retc_add(l, base, key));
  if (!read) read_value(r, zero, j);
  retc_expr value = at1(r, r->value, read ? x : zero), i = retc_count_to(l, "i", RETC_LOOP_UNROLL, r->rows),
            sum = at1(r, r->inner, i);
  retc_expr more = retc_fma(l, retc_load(l, r->score_tile, (retc_expr[]){i, key}), value, sum);
  retc_expr seen = retc_less_equal(l, j, retc_add(l, r->row, i));
  retc_lower_note(l, r->found.inner);
  put1(r, r->inner, i, retc_select(l, seen, more, sum));
  retc_end(l, 3);
}

static void cross_channel(retention *r, retc_expr x, retc_expr channel, retc_expr j) {
  (void)j;
  retc_expr state = retc_load(r->l, r->state, (retc_expr[]){r->b, r->h, channel, r->column});
  retc_lower_note(r->l, r->found.cross);
  add_products(r, r->cross, r->own_part, x, retc_let(r->l, "state", state));
}

/* Sum of the parts of row i, column c, of sum_tile. */
static retc_expr total(retention *r, retc_expr i, retc_expr c) {
  retc_expr sum = {0};
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = retc_load(r->l, r->sum_tile, (retc_expr[]){i, retc_int(r->l, p), c});
    sum = p ? retc_add(r->l, sum, part) : part;
  }
  return sum;
}

/* The lane's parts to sum_tile. */
static void hand_in(retention *r, retc_buffer_id sums) {
  retc_expr i = retc_count_to(r->l, "i", RETC_LOOP_UNROLL, r->rows),
            c = retc_mod(r->l, r->lane, retc_int(r->l, COLUMNS));
  retc_write_store(&r->l->writer, r->sum_tile, (retc_expr[]){i, r->own_part, c}, at1(r, sums, i));
  retc_end(r->l, 1);
  retc_barrier(r->l);
}

/* Totals of the rows own_part, own_part + PARTS, ... stay with the lane, in `sums`. */
static void take_totals(retention *r, retc_buffer_id sums) {
  retc_lowering *l = r->l;
  hand_in(r, sums);
  retc_expr turn = retc_count_to(l, "turn", RETC_LOOP_UNROLL, (r->rows + PARTS - 1) / PARTS),
            c = retc_mod(l, r->lane, retc_int(l, COLUMNS));
  retc_expr i = retc_let(l, "i", retc_add(l, retc_mul(l, turn, retc_int(l, PARTS)), r->own_part));
  retc_if(l, retc_less(l, i, retc_int(l, r->rows)));
  put1(r, sums, turn, total(r, i, c));
  retc_end(l, 2);
  retc_barrier(l);
}

static void write_outputs(retention *r) {
  retc_lowering *l = r->l;
  take_totals(r, r->inner);
  take_totals(r, r->cross);
  retc_expr turn = retc_count_to(l, "turn", RETC_LOOP_UNROLL, (r->rows + PARTS - 1) / PARTS);
  retc_expr i = retc_let(l, "i", retc_add(l, retc_mul(l, turn, retc_int(l, PARTS)), r->own_part));
  retc_expr row = retc_let(l, "row", retc_add(l, r->row, i));
  retc_if(l, retc_and(l, r->exists, retc_less(l, row, r->end)));
  retc_expr power = retc_let(l, "power", decay(r, retc_sub(l, retc_int(l, r->k.chunk - 1), row)));
  retc_index to[4] = {retc_at(r->b), retc_at(retc_add(l, r->start, row)), retc_at(r->h), retc_at(r->column)};
  retc_lower_note(l, r->found.crossed);
  retc_lower_note(l, r->found.sum);
  retc_lower_store(l, r->found.output, to, retc_fma(l, power, at1(r, r->cross, turn), at1(r, r->inner, turn)));
  retc_end(l, 2);
}

/* Rows row..row + rows of the chunk. */
static void write_some_rows(retention *r, int64_t rows) {
  retc_lowering *l = r->l;
  retc_writer *w = &l->writer;
  r->rows = rows;
  write_queries(r);
  clear(r, r->inner, rows);
  clear(r, r->cross, rows);
  retc_barrier(l);
  retc_if(l, r->exists);
  retc_write_comment(w, "cross part: the state at the start of the chunk");
  for_channels(r, r->own_part, cross_channel, (retc_expr){0});
  retc_end(l, 1);
  retc_expr last = retc_min(l, r->end, retc_add(l, r->row, retc_int(l, rows)));
  retc_write_comment(w, "in-chunk part");
  retc_expr base = loop(r, "base", RETC_LOOP_SERIAL, retc_int(l, 0), retc_let(l, "last", last), KEYS);
  if (rows == 1) read_values(r, base);
  write_scores(r, base);
  retc_barrier(l);
  write_inner(r, base);
  retc_barrier(l);
  retc_end(l, 1);
  write_outputs(r);
}

static void write_rows(retention *r) {
  r->row = loop(r, "row", RETC_LOOP_SERIAL, r->first, r->end, ROWS);
  retc_if(r->l, retc_equal(r->l, retc_sub(r->l, r->end, r->row), retc_int(r->l, 1)));
  write_some_rows(r, 1);
  retc_write_else(&r->l->writer);
  write_some_rows(r, ROWS);
  retc_end(r->l, 2);
}

/* ---- the state at the end of a chunk ---- */

/* key_tile[x,p,y]: channel part p + begin + y of key base + x, with the decay up to the end of the chunk. */
static void write_keys(retention *r, retc_expr base, retc_expr begin) {
  retc_lowering *l = r->l;
  retc_expr e = share_out(r, "e", KEYS_OF_PART * PARTS * CHANNELS), channels = retc_int(l, CHANNELS);
  retc_expr x = retc_let(l, "x", retc_div(l, e, retc_int(l, PARTS * CHANNELS)));
  retc_expr p = retc_let(l, "p", retc_mod(l, retc_div(l, e, channels), retc_int(l, PARTS))),
            y = retc_let(l, "y", retc_mod(l, e, channels));
  retc_expr own = retc_let(l, "own", retc_add(l, begin, y)), to[3] = {x, p, y},
            j = retc_let(l, "j", retc_add(l, base, x));
  retc_expr channel = retc_let(l, "channel", retc_add(l, retc_mul(l, p, retc_int(l, r->part)), own));
  retc_expr power =
      retc_let(l, "power", decay(r, retc_add(l, retc_min(l, j, retc_int(l, r->k.chunk - 1)), retc_int(l, 1))));
  retc_expr is_there = retc_and(l, retc_less(l, j, r->end), retc_less(l, own, retc_int(l, r->part)));
  retc_if(l, retc_and(l, is_there, retc_less(l, channel, retc_int(l, r->k.width))));
  if (r->k.pending.index) {
    retc_if(l, retc_less(l, j, r->first));
    retc_expr before = retc_gpu_retention_pending(l, &r->k, r->b, j, r->g, channel);
    retc_lower_note(l, r->found.decayed);
    retc_write_store(&l->writer, r->key_tile, to, retc_mul(l, power, before));
    retc_write_else(&l->writer);
  }
  retc_expr key = retc_gpu_retention_row(l, &r->k, r->b, retc_add(l, r->start, j), r->g, channel);
  retc_lower_note(l, r->found.decayed);
  retc_write_store(&l->writer, r->key_tile, to, retc_mul(l, power, key));
  if (r->k.pending.index) retc_end(l, 1);
  retc_write_else(&l->writer);
  retc_write_store(&l->writer, r->key_tile, to, retc_f32(l, 0));
  retc_end(l, 3);
}

static void add_update(retention *r, retc_expr x, retc_expr value) {
  value = retc_let(r->l, "value", value);
  retc_expr y = retc_count_to(r->l, "y", RETC_LOOP_UNROLL, CHANNELS),
            key = retc_load(r->l, r->key_tile, (retc_expr[]){x, r->own_part, y});
  retc_lower_note(r->l, r->found.update);
  put1(r, r->score, y, retc_fma(r->l, key, value, at1(r, r->score, y)));
  retc_end(r->l, 1);
}

/* Channels begin .. begin + CHANNELS of every part: read (or written) where they exist. */
static void move_state(retention *r, retc_expr begin, bool store) {
  retc_lowering *l = r->l;
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, CHANNELS),
            own = retc_let(l, "own", retc_add(l, begin, y));
  retc_expr channel = retc_let(l, "channel", retc_add(l, retc_mul(l, r->own_part, retc_int(l, r->part)), own));
  retc_expr there =
      retc_and(l, retc_less(l, own, retc_int(l, r->part)), retc_less(l, channel, retc_int(l, r->k.width)));
  retc_if(l, retc_and(l, r->exists, there));
  retc_expr at[4] = {r->b, r->h, channel, r->column};
  retc_lower_note(l, l->anchor);
  if (store) retc_write_store(&l->writer, r->state, at, at1(r, r->score, y));
  else put1(r, r->score, y, retc_mul(l, decay(r, retc_int(l, 0)), retc_load(l, r->state, at)));
  retc_end(l, 2);
}

static void write_state(retention *r) {
  retc_lowering *l = r->l;
  retc_expr chunk = retc_int(l, r->k.chunk);
  retc_write_comment(&l->writer, "chunk boundary: a complete chunk enters the state");
  retc_if(l, retc_equal(l, r->end, chunk));
  retc_barrier(l);
  retc_expr begin = loop(r, "begin", RETC_LOOP_SERIAL, retc_int(l, 0), retc_int(l, r->part), CHANNELS);
  clear(r, r->score, CHANNELS);
  move_state(r, begin, false);
  retc_expr base = loop(r, "base", RETC_LOOP_SERIAL, retc_int(l, 0), chunk, KEYS_OF_PART);
  write_keys(r, base, begin);
  retc_barrier(l);
  retc_if(l, r->exists);
  retc_expr count = retc_min(l, retc_int(l, KEYS_OF_PART), retc_sub(l, chunk, base));
  retc_expr x = loop(r, "x", RETC_LOOP_SERIAL, retc_int(l, 0), count, 1),
            j = retc_let(l, "j", retc_add(l, base, x));
  if (r->v.pending.index) {
    retc_if(l, retc_less(l, j, r->first));
    add_update(r, x, retc_gpu_retention_pending(l, &r->v, r->b, j, r->g, r->column));
    retc_write_else(&l->writer);
  }
  add_update(r, x, retc_gpu_retention_row(l, &r->v, r->b, retc_add(l, r->start, j), r->g, r->column));
  retc_end(l, r->v.pending.index ? 3 : 2);
  retc_barrier(l);
  retc_end(l, 1);
  move_state(r, begin, true);
  retc_end(l, 2);
}

/* ---- the whole ---- */

/* Everything that the pattern names is computed here, by this region alone, and nothing more than rows and state. */
static bool is_plain(const retc_lowering *l, const retc_retention *found) {
  if (!retc_lower_are_inside(l, found->members, found->member_count)) return false;
  if (!retc_lower_are_inside(l, found->sources, found->source_count)) return false;
  for (size_t i = 0; i < l->results.count; i++) {
    const uint32_t result = l->results.items[i].index;
    if (result != found->output.index && result != found->end.index) return false;
  }
  return found->end.index && found->output.index;
}

bool retc_gpu_retention_describe(retc_lowering *l, retc_gpu_retention *r) {
  const retc_uses uses = retc_graph_uses(l->graph, l->arena);
  if (!retc_retention_find(l->graph, &uses, l->anchor, &r->found) || !is_plain(l, &r->found)) return false;
  if (!retc_rows_describe(l, r->found.q_rows, &r->q) || !retc_rows_describe(l, r->found.k_rows, &r->k)) return false;
  return retc_rows_describe(l, r->found.v_rows, &r->v) && r->k.width <= WIDTH_MOST;
}

/* A state that is replaced lies where it is; any other is copied to where the new one is wanted. */
static void write_state_place(retention *r) {
  retc_lowering *l = r->l;
  r->state = retc_lower_buffer(l, r->found.end);
  if (r->state.index == retc_lower_buffer(l, r->found.start).index) return;
  l->kernel->buffers.items[r->state.index].access |= RETC_ACCESS_READ;
  retc_if(l, r->exists);
  retc_expr x = loop(r, "x", RETC_LOOP_SERIAL, r->own_part, retc_int(l, r->k.width), PARTS);
  retc_index from[4] = {retc_at(r->b), retc_at(r->h), retc_at(x), retc_at(r->column)};
  retc_expr to[4] = {r->b, r->h, x, r->column};
  retc_write_store(&l->writer, r->state, to, retc_lower_value(l, r->found.start, from));
  retc_end(l, 2);
  retc_barrier(l);
}

static void begin_block(retention *r) {
  retc_lowering *l = r->l;
  retc_expr zero = retc_int(l, 0), heads = retc_int(l, r->q.heads);
  const retc_dim batch = retc_lower_node(l, r->found.output)->type.shape.dim[0];
  r->part = (r->k.width + PARTS - 1) / PARTS;
  r->decay = retc_rows_decay_table(l, r->found.log_decay, r->k.chunk, 0);
  retc_expr several = retc_gpu_has_several_tokens(l);
  retc_expr tasks = retc_mul(l, retc_mul(l, retc_dim_expr(l, batch), heads), several);
  retc_expr task = loop(r, "task", RETC_LOOP_GRID, zero, tasks, 1);
  retc_expr first_column = loop(r, "first_column", RETC_LOOP_GRID, zero, retc_int(l, r->v.width), COLUMNS);
  r->query_tile = shared(r, "query", 3, ROWS, PARTS, r->part + 1);
  r->part_tile = shared(r, "score_part", 3, ROWS, KEYS, PARTS);
  r->score_tile = shared(r, "score", 2, ROWS, KEYS, 0);
  r->sum_tile = shared(r, "sum_part", 3, ROWS, PARTS, COLUMNS);
  r->key_tile = shared(r, "key", 3, KEYS_OF_PART, PARTS, CHANNELS);
  r->lane = loop(r, "lane", RETC_LOOP_LANE, zero, retc_int(l, LANES), 1);
  r->b = retc_let(l, "b", retc_div(l, task, heads));
  r->h = retc_let(l, "h", retc_mod(l, task, heads));
  r->g = retc_let(l, "g", retc_div(l, r->h, retc_int(l, r->q.heads / r->k.heads)));
  r->own_part = retc_let(l, "part", retc_div(l, r->lane, retc_int(l, COLUMNS)));
  r->column = retc_let(l, "column", retc_add(l, first_column, retc_mod(l, r->lane, retc_int(l, COLUMNS))));
  r->exists = retc_less(l, r->column, retc_int(l, r->v.width));
  r->score = private(r, "lane_score", ROWS > CHANNELS ? ROWS : CHANNELS);
  r->inner = private(r, "inner", ROWS);
  r->value = private(r, "value", KEYS_OF_PART);
  r->cross = private(r, "cross", ROWS);
}

retc_status retc_gpu_retention_lower(retc_lowering *l) {
  retc_gpu_retention described;
  if (!retc_gpu_retention_describe(l, &described)) return retc_anchor_retention_lower(l);
  const retc_dtype math = retc_gpu_retention_math(l, &described);
  if (math != RETC_DTYPE_F32) return retc_gpu_retention_matrix_lower(l, &described, math);
  if (l->launch == 0) return retc_gpu_retention_step_lower(l, &described);
  retention r = {.l = l, .q = described.q, .k = described.k, .v = described.v, .found = described.found};
  begin_block(&r);
  retc_expr zero = retc_int(l, 0), chunk = retc_int(l, r.k.chunk);
  retc_expr position = retc_lower_value(l, r.found.position, NULL);
  retc_expr pending = retc_let(l, "pending", retc_mod(l, position, chunk));
  write_state_place(&r);
  retc_expr n = loop(&r, "n", RETC_LOOP_SERIAL, zero, retc_dim_expr(l, RETC_NAMED(N)), 1);
  r.first = retc_let(l, "first", retc_select(l, retc_equal(l, n, zero), pending, zero));
  r.start = retc_let(l, "start", retc_sub(l, retc_mul(l, n, chunk), pending));
  r.end = retc_let(l, "end", retc_min(l, chunk, retc_sub(l, retc_dim_expr(l, RETC_NAMED(T)), r.start)));
  write_rows(&r);
  write_state(&r);
  retc_end(l, 4);
  return l->status;
}
