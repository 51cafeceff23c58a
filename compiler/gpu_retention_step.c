/* The retention region on a GPU for one token a sequence, as in decoding: what it computes is what gpu_retention.c does
 * of a row, operation by operation, with loops that keep many reads of the state under way in few registers. A block
 * has one (b, h) and 64 x `wide` value channels; of the channels of keys, lane 64 p + c has part p.
 *
 * Row i of its chunk sees the pending keys j < i and its own, which is rotated once, into shared memory. */
#include "compiler/gpu.h"
#include "compiler/gpu_retention.h"

enum { PARTS = RETC_GPU_RETENTION_PARTS, KEYS = RETC_GPU_RETENTION_KEYS, KEYS_OF_PART = KEYS / PARTS, GROUPS = 64,
       LANES = GROUPS * PARTS, AHEAD = 32, CHANNELS = 8, WIDE = 2 };

typedef struct step {
  retc_lowering *l;
  const retc_gpu_retention *of;
  int64_t part, wide;
  retc_buffer_id decay, state, query, key, score_parts, scores, sums, keys; /* shared, but for the first two */
  retc_buffer_id cross, inner, own_value, value, some;                      /* of a lane */
  retc_expr b, h, g, lane, own_part, column, exists, row;                   /* row: of its chunk */
} step;

static retc_expr loop(step *s, const char *name, retc_loop_kind kind, retc_expr high, int64_t by) {
  return retc_write_for(&s->l->writer, name, kind, retc_int(s->l, 0), high, by);
}
static retc_expr times(step *s, retc_expr a, int64_t b) { return retc_mul(s->l, a, retc_int(s->l, b)); }
static void put(step *s, retc_buffer_id buffer, const retc_expr *at, retc_expr value) {
  retc_write_store(&s->l->writer, buffer, at, value);
}
static retc_expr get(step *s, retc_buffer_id buffer, const retc_expr *at) { return retc_load(s->l, buffer, at); }
static retc_expr decay(step *s, retc_expr x) { return get(s, s->decay, (retc_expr[]){s->h, x}); }

/* A loop in which the lanes share `count` things out. Two blocks to end. */
static retc_expr share_out(step *s, int64_t count) {
  retc_expr turn = loop(s, "turn", RETC_LOOP_SERIAL, retc_int(s->l, (count + LANES - 1) / LANES), 1);
  retc_expr e = retc_let(s->l, "e", retc_add(s->l, times(s, turn, LANES), s->lane));
  retc_write_if(&s->l->writer, retc_less(s->l, e, retc_int(s->l, count)));
  return e;
}

/* query[p,x] and key[p,x]: channel part p + x of the token's. */
static void write_rows(step *s) {
  retc_lowering *l = s->l;
  retc_expr channel = share_out(s, s->of->k.width), width = retc_int(l, s->part);
  retc_expr to[2] = {retc_div(l, channel, width), retc_mod(l, channel, width)};
  put(s, s->query, to, retc_gpu_retention_row(l, &s->of->q, s->b, retc_int(l, 0), s->h, channel));
  put(s, s->key, to, retc_gpu_retention_row(l, &s->of->k, s->b, retc_int(l, 0), s->g, channel));
  retc_end(l, 2);
}

/* How many channels of a part are read at once: all parts have a multiple of it. */
static int64_t at_once(const step *s) {
  int64_t count = s->of->k.width % PARTS ? 1 : AHEAD;
  while (s->part % count) count /= 2;
  return count;
}

/* Loops over the channels of a part, `*out_first` of several at a time. One block to end. */
static void begin_channels(step *s, retc_expr part, retc_expr *out_begin, retc_expr *out_first) {
  retc_lowering *l = s->l;
  retc_expr begin = *out_begin = retc_let(l, "begin", times(s, part, s->part)), count = retc_int(l, s->part);
  if (s->of->k.width % PARTS) count = retc_min(l, count, retc_sub(l, retc_int(l, s->of->k.width), begin));
  *out_first = loop(s, "x", RETC_LOOP_SERIAL, count, at_once(s));
}

/* cross[w] = the lane's part of the sum over channels of query times state. */
static void write_cross(step *s) {
  retc_lowering *l = s->l;
  retc_expr begin, first, w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
  put(s, s->cross, &w, retc_f32(l, 0));
  retc_end(l, 1);
  retc_write_if(&l->writer, s->exists);
  retc_write_comment(&l->writer, "cross part: the state at the start of the chunk");
  begin_channels(s, s->own_part, &begin, &first);
  retc_expr next = retc_count_to(l, "next", RETC_LOOP_UNROLL, at_once(s)),
            channel = retc_let(l, "channel", retc_add(l, retc_add(l, begin, first), next));
  w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
  retc_expr from[4] = {s->b, s->h, channel, retc_add(l, s->column, w)};
  put(s, s->some, (retc_expr[]){next, w}, get(s, s->state, from));
  retc_end(l, 2);
  next = retc_count_to(l, "next", RETC_LOOP_UNROLL, at_once(s));
  retc_expr query =
      retc_let(l, "query_x", get(s, s->query, (retc_expr[]){s->own_part, retc_add(l, first, next)}));
  w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
  retc_lower_note(l, s->of->found.cross);
  put(s, s->cross, &w, retc_fma(l, query, get(s, s->some, (retc_expr[]){next, w}), get(s, s->cross, &w)));
  retc_end(l, 4);
}

/* The values of the lane's keys of the tile at `base`, before the scores are known. */
static void read_values(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_if(&l->writer, s->exists);
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
  put(s, s->own_value, &w,
      retc_gpu_retention_row(l, &s->of->v, s->b, retc_int(l, 0), s->g, retc_add(l, s->column, w)));
  retc_end(l, 1);
  retc_expr from = retc_let(l, "from", retc_add(l, base, times(s, s->own_part, KEYS_OF_PART)));
  retc_expr x = retc_count_to(l, "x", RETC_LOOP_UNROLL, KEYS_OF_PART),
            j = retc_let(l, "j", retc_add(l, from, x));
  w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
  put(s, s->value, (retc_expr[]){x, w}, get(s, s->own_value, &w));
  retc_end(l, 1);
  if (s->of->v.pending.index) {
    retc_write_if(&l->writer, retc_less(l, j, s->row));
    w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
    put(s, s->value, (retc_expr[]){x, w},
        retc_gpu_retention_pending(l, &s->of->v, s->b, j, s->g, retc_add(l, s->column, w)));
    retc_end(l, 2);
  }
  retc_end(l, 2);
}

/* score_parts[key,part] of the tile at `base`: lane PARTS key + part, so that neighbours read neighbouring memory. */
static void write_score_parts(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_expr zero = retc_int(l, 0), own = retc_let(l, "own", retc_div(l, s->lane, retc_int(l, PARTS)));
  retc_expr part = retc_let(l, "part_of_key", retc_mod(l, s->lane, retc_int(l, PARTS))),
            j = retc_let(l, "j", retc_add(l, base, own));
  retc_expr begin, first, score[2] = {zero, zero};
  put(s, s->inner, score, retc_f32(l, 0));
  if (s->of->k.pending.index) {
    retc_write_if(&l->writer, retc_less(l, j, s->row));
    begin_channels(s, part, &begin, &first);
    retc_expr next = retc_count_to(l, "next", RETC_LOOP_UNROLL, at_once(s));
    put(s, s->some, (retc_expr[]){next, zero},
        retc_gpu_retention_pending(l, &s->of->k, s->b, j, s->g, retc_add(l, retc_add(l, begin, first), next)));
    retc_end(l, 1);
    next = retc_count_to(l, "next", RETC_LOOP_UNROLL, at_once(s));
    retc_expr query = get(s, s->query, (retc_expr[]){part, retc_add(l, first, next)});
    retc_lower_note(l, s->of->found.scores);
    put(s, s->inner, score, retc_fma(l, query, get(s, s->some, (retc_expr[]){next, zero}), get(s, s->inner, score)));
    retc_end(l, 3);
  }
  retc_write_if(&l->writer, retc_equal(l, j, s->row));
  begin_channels(s, part, &begin, &first);
  retc_expr next = retc_count_to(l, "next", RETC_LOOP_UNROLL, at_once(s)),
            at[2] = {part, retc_add(l, first, next)};
  retc_lower_note(l, s->of->found.scores);
  put(s, s->inner, score, retc_fma(l, get(s, s->query, at), get(s, s->key, at), get(s, s->inner, score)));
  retc_end(l, 3);
  put(s, s->score_parts, (retc_expr[]){own, part}, get(s, s->inner, score));
}

/* The sum of parts[first,p] or parts[first,p,last] over p, in order. */
static retc_expr total(step *s, retc_buffer_id parts, retc_expr first, retc_expr last) {
  retc_expr sum = {0};
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = get(s, parts, (retc_expr[]){first, retc_int(s->l, p), last});
    sum = p ? retc_add(s->l, sum, part) : part;
  }
  return sum;
}

static void write_scores(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_comment(&l->writer, "decay: g^(i - j), rows j <= i only");
  retc_write_if(&l->writer, retc_less(l, s->lane, retc_int(l, KEYS)));
  retc_expr distance = retc_let(l, "distance", retc_sub(l, s->row, retc_add(l, base, s->lane)));
  retc_write_if(&l->writer, retc_less_equal(l, retc_int(l, 0), distance));
  retc_lower_note(l, s->of->found.masked);
  retc_expr factor = decay(s, retc_sub(l, retc_int(l, s->of->k.chunk), distance));
  put(s, s->scores, &s->lane, retc_mul(l, total(s, s->score_parts, s->lane, (retc_expr){0}), factor));
  retc_write_else(&l->writer);
  put(s, s->scores, &s->lane, retc_f32(l, 0));
  retc_end(l, 2);
}

/* inner[1,w] += score[j] v_j for the lane's keys j <= i of the tile at `base`. */
static void write_inner(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_if(&l->writer, s->exists);
  retc_expr from = retc_let(l, "from", times(s, s->own_part, KEYS_OF_PART)),
            x = retc_count_to(l, "x", RETC_LOOP_UNROLL, KEYS_OF_PART);
  retc_expr key = retc_let(l, "key_of_tile", retc_add(l, from, x)),
            seen = retc_less_equal(l, retc_add(l, base, key), s->row);
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide), at[2] = {retc_int(l, 1), w},
            sum = get(s, s->inner, at);
  retc_expr more = retc_fma(l, get(s, s->scores, &key), get(s, s->value, (retc_expr[]){x, w}), sum);
  retc_lower_note(l, s->of->found.inner);
  put(s, s->inner, at, retc_select(l, seen, more, sum));
  retc_end(l, 3);
}

/* sums[which,p,x] of the block's columns, then their totals and what comes of them, a column a lane. */
static void write_outputs(step *s) {
  retc_lowering *l = s->l;
  const int64_t columns = GROUPS * s->wide;
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide), c = retc_mod(l, s->lane, retc_int(l, GROUPS)),
            one = retc_int(l, 1);
  retc_expr to = retc_add(l, times(s, c, s->wide), w);
  put(s, s->sums, (retc_expr[]){retc_int(l, 0), s->own_part, to}, get(s, s->inner, (retc_expr[]){one, w}));
  put(s, s->sums, (retc_expr[]){one, s->own_part, to}, get(s, s->cross, &w));
  retc_end(l, 1);
  retc_barrier(l);
  retc_expr first = retc_sub(l, s->column, times(s, c, s->wide)),
            column = retc_let(l, "own_column", retc_add(l, first, s->lane));
  retc_write_if(&l->writer, retc_and(l, retc_less(l, s->lane, retc_int(l, columns)),
                                 retc_less(l, column, retc_int(l, s->of->v.width))));
  retc_expr power = retc_let(l, "power", decay(s, retc_sub(l, retc_int(l, s->of->k.chunk - 1), s->row)));
  retc_expr inner = retc_let(l, "inner_sum", total(s, s->sums, retc_int(l, 0), s->lane));
  retc_expr cross = retc_let(l, "cross_sum", total(s, s->sums, one, s->lane));
  retc_index at[4] = {retc_at(s->b), retc_at(retc_int(l, 0)), retc_at(s->h), retc_at(column)};
  retc_lower_note(l, s->of->found.crossed);
  retc_lower_note(l, s->of->found.sum);
  retc_lower_store(l, s->of->found.output, at, retc_fma(l, power, cross, inner));
  retc_end(l, 1);
}

/* ---- the state at the end of a chunk ---- */

/* keys[x,p,y]: channel part p + begin + y of key base + x, with the decay up to the end of the chunk. */
static void write_keys(step *s, retc_expr base, retc_expr begin) {
  retc_lowering *l = s->l;
  retc_expr e = share_out(s, KEYS_OF_PART * PARTS * CHANNELS), channels = retc_int(l, CHANNELS),
            parts = retc_int(l, PARTS);
  retc_expr x = retc_let(l, "x", retc_div(l, e, retc_int(l, PARTS * CHANNELS)));
  retc_expr p = retc_let(l, "p", retc_mod(l, retc_div(l, e, channels), parts)),
            y = retc_let(l, "y", retc_mod(l, e, channels));
  retc_expr own = retc_let(l, "own", retc_add(l, begin, y)), to[3] = {x, p, y},
            j = retc_let(l, "j", retc_add(l, base, x));
  retc_expr channel = retc_let(l, "channel", retc_add(l, times(s, p, s->part), own));
  retc_expr power = retc_let(l, "power", decay(s, retc_add(l, retc_min(l, j, s->row), retc_int(l, 1))));
  retc_expr there =
      retc_and(l, retc_less(l, own, retc_int(l, s->part)), retc_less(l, channel, retc_int(l, s->of->k.width)));
  put(s, s->keys, to, retc_f32(l, 0));
  if (s->of->k.pending.index) {
    retc_write_if(&l->writer, retc_and(l, there, retc_less(l, j, s->row)));
    retc_expr before = retc_gpu_retention_pending(l, &s->of->k, s->b, j, s->g, channel);
    retc_lower_note(l, s->of->found.decayed);
    put(s, s->keys, to, retc_mul(l, power, before));
    retc_end(l, 1);
  }
  retc_write_if(&l->writer, retc_and(l, there, retc_equal(l, j, s->row)));
  retc_lower_note(l, s->of->found.decayed);
  put(s, s->keys, to, retc_mul(l, power, get(s, s->key, (retc_expr[]){p, own})));
  retc_end(l, 3);
}

/* some[y,w] += keys[x] v_j for the keys of the tile at `base`. */
static void write_update(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_if(&l->writer, s->exists);
  retc_expr count = retc_min(l, retc_int(l, KEYS_OF_PART), retc_sub(l, retc_int(l, s->of->k.chunk), base));
  retc_expr x = loop(s, "x", RETC_LOOP_SERIAL, count, 1), j = retc_let(l, "j", retc_add(l, base, x)),
            zero = retc_int(l, 0);
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide), at[2] = {zero, w};
  put(s, s->value, at, get(s, s->own_value, &w));
  if (s->of->v.pending.index) {
    retc_write_if(&l->writer, retc_less(l, j, s->row));
    put(s, s->value, at, retc_gpu_retention_pending(l, &s->of->v, s->b, j, s->g, retc_add(l, s->column, w)));
    retc_end(l, 1);
  }
  retc_end(l, 1);
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, CHANNELS),
            key = retc_let(l, "key_y", get(s, s->keys, (retc_expr[]){x, s->own_part, y}));
  w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide);
  retc_expr sum[2] = {y, w};
  retc_lower_note(l, s->of->found.update);
  put(s, s->some, sum, retc_fma(l, key, get(s, s->value, (retc_expr[]){zero, w}), get(s, s->some, sum)));
  retc_end(l, 4);
}

/* Channels begin .. begin + CHANNELS of the lane's part: read (or written) where they exist. */
static void move_state(step *s, retc_expr begin, bool store) {
  retc_lowering *l = s->l;
  retc_expr y = retc_count_to(l, "y", RETC_LOOP_UNROLL, CHANNELS),
            own = retc_let(l, "own", retc_add(l, begin, y));
  retc_expr channel = retc_let(l, "channel", retc_add(l, times(s, s->own_part, s->part), own));
  retc_expr there =
      retc_and(l, retc_less(l, own, retc_int(l, s->part)), retc_less(l, channel, retc_int(l, s->of->k.width)));
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide),
            at[4] = {s->b, s->h, channel, retc_add(l, s->column, w)}, sum[2] = {y, w};
  if (!store) put(s, s->some, sum, retc_f32(l, 0));
  retc_write_if(&l->writer, retc_and(l, s->exists, there));
  retc_lower_note(l, l->anchor);
  if (store) put(s, s->state, at, get(s, s->some, sum));
  else put(s, s->some, sum, retc_mul(l, decay(s, retc_int(l, 0)), get(s, s->state, at)));
  retc_end(l, 3);
}

static void write_state(step *s) {
  retc_lowering *l = s->l;
  const int64_t chunk = s->of->k.chunk;
  retc_write_comment(&l->writer, "chunk boundary: a complete chunk enters the state");
  retc_write_if(&l->writer, retc_equal(l, s->row, retc_int(l, chunk - 1)));
  retc_expr begin = loop(s, "begin", RETC_LOOP_SERIAL, retc_int(l, s->part), CHANNELS);
  move_state(s, begin, false);
  retc_expr base = loop(s, "base", RETC_LOOP_SERIAL, retc_int(l, chunk), KEYS_OF_PART);
  write_keys(s, base, begin);
  retc_barrier(l);
  write_update(s, base);
  retc_barrier(l);
  retc_end(l, 1);
  move_state(s, begin, true);
  retc_end(l, 2);
}

/* ---- the whole ---- */

static retc_buffer_id alloc(step *s, const char *name, retc_scope scope, int rank, int64_t a, int64_t b, int64_t c) {
  return retc_write_alloc(&s->l->writer, name, scope, RETC_DTYPE_F32, rank, (int64_t[]){a, b, c});
}

static void begin_block(step *s) {
  retc_lowering *l = s->l;
  const retc_rows *k = &s->of->k, *v = &s->of->v;
  const retc_dim batch = retc_lower_node(l, s->of->found.output)->type.shape.dim[0];
  s->wide = v->width % WIDE ? 1 : WIDE;
  s->part = (k->width + PARTS - 1) / PARTS;
  s->decay = retc_rows_decay_table(l, s->of->found.log_decay, k->chunk, 0);
  retc_writer *w = &l->writer;
  retc_expr zero = retc_int(l, 0), heads = retc_int(l, s->of->q.heads),
            tasks = retc_mul(l, retc_dim_expr(l, batch), heads);
  retc_expr T = retc_dim_expr(l, RETC_NAMED(T)), one = retc_int(l, 1);
  retc_expr alone = retc_sub(l, retc_min(l, T, one), retc_gpu_has_several_tokens(l)); /* T = 1 */
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_GRID, zero, retc_mul(l, tasks, alone), 1);
  retc_expr first = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, retc_int(l, v->width), GROUPS * s->wide);
  s->query = alloc(s, "query", RETC_SCOPE_SHARED, 2, PARTS, s->part + 1, 0);
  s->key = alloc(s, "key", RETC_SCOPE_SHARED, 2, PARTS, s->part + 1, 0);
  s->score_parts = alloc(s, "score_part", RETC_SCOPE_SHARED, 2, KEYS, PARTS, 0);
  s->scores = alloc(s, "score", RETC_SCOPE_SHARED, 1, KEYS, 0, 0);
  s->sums = alloc(s, "sum_part", RETC_SCOPE_SHARED, 3, 2, PARTS, GROUPS * s->wide);
  s->keys = alloc(s, "keys", RETC_SCOPE_SHARED, 3, KEYS_OF_PART, PARTS, CHANNELS);
  s->lane = retc_write_for(w, "lane", RETC_LOOP_LANE, zero, retc_int(l, LANES), 1);
  s->b = retc_let(l, "b", retc_div(l, task, heads));
  s->h = retc_let(l, "h", retc_mod(l, task, heads));
  s->g = retc_let(l, "g", retc_div(l, s->h, retc_int(l, s->of->q.heads / k->heads)));
  s->own_part = retc_let(l, "part", retc_div(l, s->lane, retc_int(l, GROUPS)));
  s->column =
      retc_let(l, "column", retc_add(l, first, times(s, retc_mod(l, s->lane, retc_int(l, GROUPS)), s->wide)));
  s->exists = retc_less(l, s->column, retc_int(l, v->width));
  s->cross = alloc(s, "cross", RETC_SCOPE_PRIVATE, 1, s->wide, 0, 0);
  s->inner = alloc(s, "inner", RETC_SCOPE_PRIVATE, 2, 2, s->wide, 0); /* of scores, and of rows */
  s->value = alloc(s, "value", RETC_SCOPE_PRIVATE, 2, KEYS_OF_PART, s->wide, 0);
  s->own_value = alloc(s, "own_value", RETC_SCOPE_PRIVATE, 1, s->wide, 0, 0);
  s->some = alloc(s, "some", RETC_SCOPE_PRIVATE, 2, AHEAD, s->wide, 0);
}

/* A state that is not replaced where it lies is copied to where the new one is wanted. */
static void write_state_place(step *s) {
  retc_lowering *l = s->l;
  s->state = retc_lower_buffer(l, s->of->found.end);
  if (s->state.index == retc_lower_buffer(l, s->of->found.start).index) return;
  l->kernel->buffers.items[s->state.index].access |= RETC_ACCESS_READ;
  retc_write_if(&l->writer, s->exists);
  retc_expr x = retc_write_for(&l->writer, "x", RETC_LOOP_SERIAL, s->own_part, retc_int(l, s->of->k.width), PARTS);
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s->wide), column = retc_add(l, s->column, w),
            to[4] = {s->b, s->h, x, column};
  retc_index from[4] = {retc_at(s->b), retc_at(s->h), retc_at(x), retc_at(column)};
  put(s, s->state, to, retc_lower_value(l, s->of->found.start, from));
  retc_end(l, 3);
  retc_barrier(l);
}

retc_status retc_gpu_retention_step_lower(retc_lowering *l, const retc_gpu_retention *retention) {
  step s = {.l = l, .of = retention};
  begin_block(&s);
  retc_expr chunk = retc_int(l, retention->k.chunk), one = retc_int(l, 1);
  s.row = retc_let(l, "row", retc_mod(l, retc_lower_value(l, retention->found.position, NULL), chunk));
  write_state_place(&s);
  write_rows(&s);
  retc_barrier(l);
  write_cross(&s);
  retc_expr w = retc_count_to(l, "w", RETC_LOOP_UNROLL, s.wide);
  put(&s, s.inner, (retc_expr[]){one, w}, retc_f32(l, 0));
  retc_end(l, 1);
  retc_write_comment(&l->writer, "in-chunk part");
  retc_expr base = loop(&s, "base", RETC_LOOP_SERIAL, retc_add(l, s.row, one), KEYS);
  read_values(&s, base);
  write_score_parts(&s, base);
  retc_barrier(l);
  write_scores(&s, base);
  retc_barrier(l);
  write_inner(&s, base);
  retc_end(l, 1);
  write_outputs(&s);
  write_state(&s);
  retc_end(l, 3);
  return l->status;
}
