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

static retc_expr let(step *s, const char *name, retc_expr value) { return retc_write_let(&s->l->writer, name, value); }
static retc_expr integer(step *s, int64_t value) { return retc_int(s->l, value); }
static void end(step *s, int count) {
  while (count--) retc_write_end(&s->l->writer);
}
static retc_expr loop(step *s, const char *name, retc_loop_kind kind, retc_expr high, int64_t by) {
  return retc_write_for(&s->l->writer, name, kind, integer(s, 0), high, by);
}
static retc_expr unroll(step *s, const char *name, int64_t count) {
  return loop(s, name, RETC_LOOP_UNROLL, integer(s, count), 1);
}
static retc_expr both(step *s, retc_expr a, retc_expr b) {
  return retc_expr_binary(s->l->kernel, RETC_KERNEL_OP_AND, a, b);
}
static retc_expr plus(step *s, retc_expr a, retc_expr b) { return retc_add(s->l, a, b); }
static retc_expr times(step *s, retc_expr a, int64_t b) { return retc_mul(s->l, a, integer(s, b)); }
static void barrier(step *s) { retc_write_barrier(&s->l->writer); }
static void put(step *s, retc_buffer_id buffer, const retc_expr *at, retc_expr value) {
  retc_write_store(&s->l->writer, buffer, at, value);
}
static retc_expr get(step *s, retc_buffer_id buffer, const retc_expr *at) { return retc_load(s->l, buffer, at); }
static retc_expr decay(step *s, retc_expr x) { return get(s, s->decay, (retc_expr[]){s->h, x}); }

/* A loop in which the lanes share `count` things out. Two blocks to end. */
static retc_expr share_out(step *s, int64_t count) {
  retc_expr turn = loop(s, "turn", RETC_LOOP_SERIAL, integer(s, (count + LANES - 1) / LANES), 1);
  retc_expr e = let(s, "e", plus(s, times(s, turn, LANES), s->lane));
  retc_write_if(&s->l->writer, retc_less(s->l, e, integer(s, count)));
  return e;
}

/* Channel x of the token's row. */
static retc_expr read_row(step *s, const retc_rows *rows, retc_expr head, retc_expr x) {
  retc_index at[4] = {retc_at(s->b), retc_at(integer(s, 0)), retc_at(head), retc_at(x)};
  retc_expr value = retc_lower_value(s->l, rows->cosine.index ? rows->rotated : rows->operand, at);
  retc_lower_note(s->l, rows->value);
  return value;
}

static retc_expr read_pending(step *s, const retc_rows *rows, retc_expr j, retc_expr x) {
  retc_index at[4] = {retc_at(s->b), retc_at(j), retc_at(s->g), retc_at(x)};
  retc_expr value = retc_lower_value(s->l, rows->pending, at);
  retc_lower_note(s->l, rows->value);
  return value;
}

/* query[p,x] and key[p,x]: channel part p + x of the token's. */
static void write_rows(step *s) {
  retc_lowering *l = s->l;
  retc_expr channel = share_out(s, s->of->k.width), width = integer(s, s->part);
  retc_expr to[2] = {retc_div(l, channel, width), retc_mod(l, channel, width)};
  put(s, s->query, to, read_row(s, &s->of->q, s->h, channel));
  put(s, s->key, to, read_row(s, &s->of->k, s->g, channel));
  end(s, 2);
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
  retc_expr begin = *out_begin = let(s, "begin", times(s, part, s->part)), count = integer(s, s->part);
  if (s->of->k.width % PARTS) count = retc_min(l, count, retc_sub(l, integer(s, s->of->k.width), begin));
  *out_first = loop(s, "x", RETC_LOOP_SERIAL, count, at_once(s));
}

/* cross[w] = the lane's part of the sum over channels of query times state. */
static void write_cross(step *s) {
  retc_lowering *l = s->l;
  retc_expr begin, first, w = unroll(s, "w", s->wide);
  put(s, s->cross, &w, retc_f32(l, 0));
  end(s, 1);
  retc_write_if(&l->writer, s->exists);
  retc_write_comment(&l->writer, "cross part: the state at the start of the chunk");
  begin_channels(s, s->own_part, &begin, &first);
  retc_expr next = unroll(s, "next", at_once(s)), channel = let(s, "channel", plus(s, plus(s, begin, first), next));
  w = unroll(s, "w", s->wide);
  retc_expr from[4] = {s->b, s->h, channel, plus(s, s->column, w)};
  put(s, s->some, (retc_expr[]){next, w}, get(s, s->state, from));
  end(s, 2);
  next = unroll(s, "next", at_once(s));
  retc_expr query = let(s, "query_x", get(s, s->query, (retc_expr[]){s->own_part, plus(s, first, next)}));
  w = unroll(s, "w", s->wide);
  retc_lower_note(l, s->of->found.cross);
  put(s, s->cross, &w, retc_fma(l, query, get(s, s->some, (retc_expr[]){next, w}), get(s, s->cross, &w)));
  end(s, 4);
}

/* The values of the lane's keys of the tile at `base`, before the scores are known. */
static void read_values(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_if(&l->writer, s->exists);
  retc_expr w = unroll(s, "w", s->wide);
  put(s, s->own_value, &w, read_row(s, &s->of->v, s->g, plus(s, s->column, w)));
  end(s, 1);
  retc_expr from = let(s, "from", plus(s, base, times(s, s->own_part, KEYS_OF_PART)));
  retc_expr x = unroll(s, "x", KEYS_OF_PART), j = let(s, "j", plus(s, from, x));
  w = unroll(s, "w", s->wide);
  put(s, s->value, (retc_expr[]){x, w}, get(s, s->own_value, &w));
  end(s, 1);
  if (s->of->v.pending.index) {
    retc_write_if(&l->writer, retc_less(l, j, s->row));
    w = unroll(s, "w", s->wide);
    put(s, s->value, (retc_expr[]){x, w}, read_pending(s, &s->of->v, j, plus(s, s->column, w)));
    end(s, 2);
  }
  end(s, 2);
}

/* score_parts[key,part] of the tile at `base`: lane PARTS key + part, so that neighbours read neighbouring memory. */
static void write_score_parts(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_expr zero = integer(s, 0), own = let(s, "own", retc_div(l, s->lane, integer(s, PARTS)));
  retc_expr part = let(s, "part_of_key", retc_mod(l, s->lane, integer(s, PARTS))), j = let(s, "j", plus(s, base, own));
  retc_expr begin, first, score[2] = {zero, zero};
  put(s, s->inner, score, retc_f32(l, 0));
  if (s->of->k.pending.index) {
    retc_write_if(&l->writer, retc_less(l, j, s->row));
    begin_channels(s, part, &begin, &first);
    retc_expr next = unroll(s, "next", at_once(s));
    put(s, s->some, (retc_expr[]){next, zero}, read_pending(s, &s->of->k, j, plus(s, plus(s, begin, first), next)));
    end(s, 1);
    next = unroll(s, "next", at_once(s));
    retc_expr query = get(s, s->query, (retc_expr[]){part, plus(s, first, next)});
    retc_lower_note(l, s->of->found.scores);
    put(s, s->inner, score, retc_fma(l, query, get(s, s->some, (retc_expr[]){next, zero}), get(s, s->inner, score)));
    end(s, 3);
  }
  retc_write_if(&l->writer, retc_equal(l, j, s->row));
  begin_channels(s, part, &begin, &first);
  retc_expr next = unroll(s, "next", at_once(s)), at[2] = {part, plus(s, first, next)};
  retc_lower_note(l, s->of->found.scores);
  put(s, s->inner, score, retc_fma(l, get(s, s->query, at), get(s, s->key, at), get(s, s->inner, score)));
  end(s, 3);
  put(s, s->score_parts, (retc_expr[]){own, part}, get(s, s->inner, score));
}

/* The sum of parts[first,p] or parts[first,p,last] over p, in order. */
static retc_expr total(step *s, retc_buffer_id parts, retc_expr first, retc_expr last) {
  retc_expr sum = {0};
  for (int p = 0; p < PARTS; p++) {
    retc_expr part = get(s, parts, (retc_expr[]){first, integer(s, p), last});
    sum = p ? plus(s, sum, part) : part;
  }
  return sum;
}

static void write_scores(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_comment(&l->writer, "decay: g^(i - j), rows j <= i only");
  retc_write_if(&l->writer, retc_less(l, s->lane, integer(s, KEYS)));
  retc_expr distance = let(s, "distance", retc_sub(l, s->row, plus(s, base, s->lane)));
  retc_write_if(&l->writer, retc_less_equal(l, integer(s, 0), distance));
  retc_lower_note(l, s->of->found.masked);
  retc_expr factor = decay(s, retc_sub(l, integer(s, s->of->k.chunk), distance));
  put(s, s->scores, &s->lane, retc_mul(l, total(s, s->score_parts, s->lane, (retc_expr){0}), factor));
  retc_write_else(&l->writer);
  put(s, s->scores, &s->lane, retc_f32(l, 0));
  end(s, 2);
}

/* inner[1,w] += score[j] v_j for the lane's keys j <= i of the tile at `base`. */
static void write_inner(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_if(&l->writer, s->exists);
  retc_expr from = let(s, "from", times(s, s->own_part, KEYS_OF_PART)), x = unroll(s, "x", KEYS_OF_PART);
  retc_expr key = let(s, "key_of_tile", plus(s, from, x)), seen = retc_less_equal(l, plus(s, base, key), s->row);
  retc_expr w = unroll(s, "w", s->wide), at[2] = {integer(s, 1), w}, sum = get(s, s->inner, at);
  retc_expr more = retc_fma(l, get(s, s->scores, &key), get(s, s->value, (retc_expr[]){x, w}), sum);
  retc_lower_note(l, s->of->found.inner);
  put(s, s->inner, at, retc_select(l, seen, more, sum));
  end(s, 3);
}

/* sums[which,p,x] of the block's columns, then their totals and what comes of them, a column a lane. */
static void write_outputs(step *s) {
  retc_lowering *l = s->l;
  const int64_t columns = GROUPS * s->wide;
  retc_expr w = unroll(s, "w", s->wide), c = retc_mod(l, s->lane, integer(s, GROUPS)), one = integer(s, 1);
  retc_expr to = plus(s, times(s, c, s->wide), w);
  put(s, s->sums, (retc_expr[]){integer(s, 0), s->own_part, to}, get(s, s->inner, (retc_expr[]){one, w}));
  put(s, s->sums, (retc_expr[]){one, s->own_part, to}, get(s, s->cross, &w));
  end(s, 1);
  barrier(s);
  retc_expr first = retc_sub(l, s->column, times(s, c, s->wide)),
            column = let(s, "own_column", plus(s, first, s->lane));
  retc_write_if(&l->writer, both(s, retc_less(l, s->lane, integer(s, columns)),
                                 retc_less(l, column, integer(s, s->of->v.width))));
  retc_expr power = let(s, "power", decay(s, retc_sub(l, integer(s, s->of->k.chunk - 1), s->row)));
  retc_expr inner = let(s, "inner_sum", total(s, s->sums, integer(s, 0), s->lane));
  retc_expr cross = let(s, "cross_sum", total(s, s->sums, one, s->lane));
  retc_index at[4] = {retc_at(s->b), retc_at(integer(s, 0)), retc_at(s->h), retc_at(column)};
  retc_lower_note(l, s->of->found.crossed);
  retc_lower_note(l, s->of->found.sum);
  retc_lower_store(l, s->of->found.output, at, retc_fma(l, power, cross, inner));
  end(s, 1);
}

/* ---- the state at the end of a chunk ---- */

/* keys[x,p,y]: channel part p + begin + y of key base + x, with the decay up to the end of the chunk. */
static void write_keys(step *s, retc_expr base, retc_expr begin) {
  retc_lowering *l = s->l;
  retc_expr e = share_out(s, KEYS_OF_PART * PARTS * CHANNELS), channels = integer(s, CHANNELS),
            parts = integer(s, PARTS);
  retc_expr x = let(s, "x", retc_div(l, e, integer(s, PARTS * CHANNELS)));
  retc_expr p = let(s, "p", retc_mod(l, retc_div(l, e, channels), parts)), y = let(s, "y", retc_mod(l, e, channels));
  retc_expr own = let(s, "own", plus(s, begin, y)), to[3] = {x, p, y}, j = let(s, "j", plus(s, base, x));
  retc_expr channel = let(s, "channel", plus(s, times(s, p, s->part), own));
  retc_expr power = let(s, "power", decay(s, plus(s, retc_min(l, j, s->row), integer(s, 1))));
  retc_expr there = both(s, retc_less(l, own, integer(s, s->part)), retc_less(l, channel, integer(s, s->of->k.width)));
  put(s, s->keys, to, retc_f32(l, 0));
  if (s->of->k.pending.index) {
    retc_write_if(&l->writer, both(s, there, retc_less(l, j, s->row)));
    retc_expr before = read_pending(s, &s->of->k, j, channel);
    retc_lower_note(l, s->of->found.decayed);
    put(s, s->keys, to, retc_mul(l, power, before));
    end(s, 1);
  }
  retc_write_if(&l->writer, both(s, there, retc_equal(l, j, s->row)));
  retc_lower_note(l, s->of->found.decayed);
  put(s, s->keys, to, retc_mul(l, power, get(s, s->key, (retc_expr[]){p, own})));
  end(s, 3);
}

/* some[y,w] += keys[x] v_j for the keys of the tile at `base`. */
static void write_update(step *s, retc_expr base) {
  retc_lowering *l = s->l;
  retc_write_if(&l->writer, s->exists);
  retc_expr count = retc_min(l, integer(s, KEYS_OF_PART), retc_sub(l, integer(s, s->of->k.chunk), base));
  retc_expr x = loop(s, "x", RETC_LOOP_SERIAL, count, 1), j = let(s, "j", plus(s, base, x)), zero = integer(s, 0);
  retc_expr w = unroll(s, "w", s->wide), at[2] = {zero, w};
  put(s, s->value, at, get(s, s->own_value, &w));
  if (s->of->v.pending.index) {
    retc_write_if(&l->writer, retc_less(l, j, s->row));
    put(s, s->value, at, read_pending(s, &s->of->v, j, plus(s, s->column, w)));
    end(s, 1);
  }
  end(s, 1);
  retc_expr y = unroll(s, "y", CHANNELS), key = let(s, "key_y", get(s, s->keys, (retc_expr[]){x, s->own_part, y}));
  w = unroll(s, "w", s->wide);
  retc_expr sum[2] = {y, w};
  retc_lower_note(l, s->of->found.update);
  put(s, s->some, sum, retc_fma(l, key, get(s, s->value, (retc_expr[]){zero, w}), get(s, s->some, sum)));
  end(s, 4);
}

/* Channels begin .. begin + CHANNELS of the lane's part: read (or written) where they exist. */
static void move_state(step *s, retc_expr begin, bool store) {
  retc_lowering *l = s->l;
  retc_expr y = unroll(s, "y", CHANNELS), own = let(s, "own", plus(s, begin, y));
  retc_expr channel = let(s, "channel", plus(s, times(s, s->own_part, s->part), own));
  retc_expr there = both(s, retc_less(l, own, integer(s, s->part)), retc_less(l, channel, integer(s, s->of->k.width)));
  retc_expr w = unroll(s, "w", s->wide), at[4] = {s->b, s->h, channel, plus(s, s->column, w)}, sum[2] = {y, w};
  if (!store) put(s, s->some, sum, retc_f32(l, 0));
  retc_write_if(&l->writer, both(s, s->exists, there));
  retc_lower_note(l, l->anchor);
  if (store) put(s, s->state, at, get(s, s->some, sum));
  else put(s, s->some, sum, retc_mul(l, decay(s, integer(s, 0)), get(s, s->state, at)));
  end(s, 3);
}

static void write_state(step *s) {
  retc_lowering *l = s->l;
  const int64_t chunk = s->of->k.chunk;
  retc_write_comment(&l->writer, "chunk boundary: a complete chunk enters the state");
  retc_write_if(&l->writer, retc_equal(l, s->row, integer(s, chunk - 1)));
  retc_expr begin = loop(s, "begin", RETC_LOOP_SERIAL, integer(s, s->part), CHANNELS);
  move_state(s, begin, false);
  retc_expr base = loop(s, "base", RETC_LOOP_SERIAL, integer(s, chunk), KEYS_OF_PART);
  write_keys(s, base, begin);
  barrier(s);
  write_update(s, base);
  barrier(s);
  end(s, 1);
  move_state(s, begin, true);
  end(s, 2);
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
  retc_expr zero = integer(s, 0), heads = integer(s, s->of->q.heads),
            tasks = retc_mul(l, retc_dim_expr(l, batch), heads);
  retc_expr T = retc_dim_expr(l, RETC_NAMED(T)), one = integer(s, 1);
  retc_expr alone = retc_sub(l, retc_min(l, T, one), retc_min(l, retc_div(l, T, integer(s, 2)), one)); /* T = 1 */
  retc_expr task = retc_write_for(w, "task", RETC_LOOP_GRID, zero, retc_mul(l, tasks, alone), 1);
  retc_expr first = retc_write_for(w, "first_column", RETC_LOOP_GRID, zero, integer(s, v->width), GROUPS * s->wide);
  s->query = alloc(s, "query", RETC_SCOPE_SHARED, 2, PARTS, s->part + 1, 0);
  s->key = alloc(s, "key", RETC_SCOPE_SHARED, 2, PARTS, s->part + 1, 0);
  s->score_parts = alloc(s, "score_part", RETC_SCOPE_SHARED, 2, KEYS, PARTS, 0);
  s->scores = alloc(s, "score", RETC_SCOPE_SHARED, 1, KEYS, 0, 0);
  s->sums = alloc(s, "sum_part", RETC_SCOPE_SHARED, 3, 2, PARTS, GROUPS * s->wide);
  s->keys = alloc(s, "keys", RETC_SCOPE_SHARED, 3, KEYS_OF_PART, PARTS, CHANNELS);
  s->lane = retc_write_for(w, "lane", RETC_LOOP_LANE, zero, integer(s, LANES), 1);
  s->b = let(s, "b", retc_div(l, task, heads));
  s->h = let(s, "h", retc_mod(l, task, heads));
  s->g = let(s, "g", retc_div(l, s->h, integer(s, s->of->q.heads / k->heads)));
  s->own_part = let(s, "part", retc_div(l, s->lane, integer(s, GROUPS)));
  s->column = let(s, "column", plus(s, first, times(s, retc_mod(l, s->lane, integer(s, GROUPS)), s->wide)));
  s->exists = retc_less(l, s->column, integer(s, v->width));
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
  retc_expr x = retc_write_for(&l->writer, "x", RETC_LOOP_SERIAL, s->own_part, integer(s, s->of->k.width), PARTS);
  retc_expr w = unroll(s, "w", s->wide), column = plus(s, s->column, w), to[4] = {s->b, s->h, x, column};
  retc_index from[4] = {retc_at(s->b), retc_at(s->h), retc_at(x), retc_at(column)};
  put(s, s->state, to, retc_lower_value(l, s->of->found.start, from));
  end(s, 3);
  barrier(s);
}

retc_status retc_gpu_retention_step_lower(retc_lowering *l, const retc_gpu_retention *retention) {
  step s = {.l = l, .of = retention};
  begin_block(&s);
  retc_expr chunk = integer(&s, retention->k.chunk), one = integer(&s, 1);
  s.row = let(&s, "row", retc_mod(l, retc_lower_value(l, retention->found.position, NULL), chunk));
  write_state_place(&s);
  write_rows(&s);
  barrier(&s);
  write_cross(&s);
  retc_expr w = unroll(&s, "w", s.wide);
  put(&s, s.inner, (retc_expr[]){one, w}, retc_f32(l, 0));
  end(&s, 1);
  retc_write_comment(&l->writer, "in-chunk part");
  retc_expr base = loop(&s, "base", RETC_LOOP_SERIAL, plus(&s, s.row, one), KEYS);
  read_values(&s, base);
  write_score_parts(&s, base);
  barrier(&s);
  write_scores(&s, base);
  barrier(&s);
  write_inner(&s, base);
  end(&s, 1);
  write_outputs(&s);
  write_state(&s);
  end(&s, 3);
  return l->status;
}
