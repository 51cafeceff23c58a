/* The interpreter's positions, rotation, chunk grid and retention. */
#include <math.h>
#include <stdlib.h>

#include "ir/graph_eval_ops.h"

/* x[k] with its pairs turned; cosine, sine of [k/2]. */
static void rotate_row(const double *x, const double *cosine, const double *sine, int64_t width, bool half, double *o) {
  int64_t pairs = width / 2;
  for (int64_t p = 0; p < pairs; p++) {
    int64_t first = half ? p : 2 * p, second = half ? p + pairs : 2 * p + 1;
    double y = x[first], z = x[second];
    o[first] = y * cosine[p] - z * sine[p];
    o[second] = z * cosine[p] + y * sine[p];
  }
}

/* x[b,t,h,k]; cosine, sine [t,k/2]. */
static void rotate(const retc_tensor *x, const double *cosine, const double *sine, const char *pairs, double *o) {
  const bool half = strcmp(pairs, "half") == 0;
  int64_t rows = product(x, 0, 3), tokens = x->dim[1], heads = x->dim[2], width = x->dim[3];
  for (int64_t row = 0; row < rows; row++) {
    int64_t angle = row / heads % tokens * (width / 2);
    rotate_row(x->data + row * width, cosine + angle, sine + angle, width, half, o + row * width);
  }
}

retc_status retc_eval_rotate(const retc_eval_call *call, retc_tensor *o) {
  rotate(call->inputs[0], call->inputs[1]->data, call->inputs[2]->data, call->node->attributes.word, o->data);
  return RETC_OK;
}

/* The position P: whole and exactly held by a double. */
static retc_status read_position(const retc_eval_call *call, const retc_tensor *position, int64_t *out_position) {
  const double most = 9007199254740992.0;
  double value = position->data[0];
  if (!(value >= 0 && value <= most && value == floor(value))) return wrong(call, "the position", value, 0, most);
  *out_position = (int64_t)value;
  return RETC_OK;
}

retc_status retc_eval_positions(const retc_eval_call *call, retc_tensor *o) {
  int64_t position = 0;
  RETC_TRY(read_position(call, call->inputs[0], &position));
  for (int64_t t = 0; t < o->dim[0]; t++) o->data[t] = (double)position + (double)t;
  return RETC_OK;
}

/* The chunk grid. */

typedef struct grid {
  int64_t chunk, tokens;   /* C, T */
  int64_t offset, touched; /* P mod C; N, the chunks that the call touches */
} grid;

static retc_status read_grid(const retc_eval_call *call, const retc_tensor *position, grid *out_grid) {
  int64_t start = 0, chunk = call->node->attributes.integer[0];
  RETC_TRY(read_position(call, position, &start));
  grid g = {chunk, call->dims->value[RETC_DIM_T], start % chunk, call->dims->value[RETC_DIM_N]};
  int64_t touched = retc_chunk_count(start, g.tokens, chunk);
  if (g.touched != touched) return wrong(call, "N", (double)g.touched, (double)touched, (double)touched);
  *out_grid = g;
  return RETC_OK;
}

/* Row i of chunk n: a row of x[b,t], a pending row, or NULL when it is absent. */
static const double *grid_row(const grid *g, const double *x, const double *pending, int64_t b, int64_t n, int64_t i,
                              int64_t width) {
  int64_t t = n * g->chunk + i - g->offset;
  if (t >= g->tokens) return NULL;
  if (t >= 0) return x + (b * g->tokens + t) * width;
  return pending ? pending + (b * g->chunk + i) * width : NULL;
}

retc_status retc_eval_chunk(const retc_eval_call *call, retc_tensor *o) {
  grid g;
  RETC_TRY(read_grid(call, call->inputs[1], &g));
  const double *pending = call->node->input_count == 3 ? call->inputs[2]->data : NULL;
  int64_t rows = product(o, 0, 3), width = product(o, 3, 5);
  for (int64_t row = 0; row < rows; row++) {
    int64_t i = row % g.chunk, n = row / g.chunk % g.touched, b = row / g.chunk / g.touched;
    const double *from = grid_row(&g, call->inputs[0]->data, pending, b, n, i, width);
    if (from) copy_row(o->data + row * width, from, width);
  }
  return RETC_OK;
}

retc_status retc_eval_unchunk(const retc_eval_call *call, retc_tensor *o) {
  grid g;
  RETC_TRY(read_grid(call, call->inputs[1], &g));
  int64_t width = product(o, 2, 4), from_width = g.touched * g.chunk * width;
  for (int64_t b = 0; b < o->dim[0]; b++) {
    copy_row(o->data + b * g.tokens * width, call->inputs[0]->data + b * from_width + g.offset * width,
             g.tokens * width);
  }
  return RETC_OK;
}

/* e^(n log_decay). Its own case is n = 0, since 0 times -inf is no number. */
static double decay_power(double log_decay, int64_t n) {
  return n == 0 ? 1 : exp((double)n * log_decay);
}

retc_status retc_eval_decay_mask(const retc_eval_call *call, retc_tensor *o) {
  int64_t chunk = call->node->attributes.integer[0];
  for (int64_t h = 0; h < o->dim[0]; h++) {
    for (int64_t i = 0; i < chunk; i++) {
      double *row = o->data + (h * chunk + i) * chunk;
      for (int64_t j = 0; j <= i; j++) row[j] = decay_power(call->inputs[0]->data[h], i - j);
    }
  }
  return RETC_OK;
}

retc_status retc_eval_decay_powers(const retc_eval_call *call, retc_tensor *o) {
  const int64_t count = call->node->attributes.integer[0], first = call->node->attributes.integer[1];
  const int64_t step = call->node->attributes.integer[2];
  for (int64_t h = 0; h < o->dim[0]; h++) {
    for (int64_t i = 0; i < count; i++) {
      o->data[h * count + i] = decay_power(call->inputs[0]->data[h], first + step * i);
    }
  }
  return RETC_OK;
}

/* to[h,..] = decay[h] from[h,..] + update[h,..] */
static void advance(double *to, const double *from, const double *update, const double *decay, int64_t heads,
                    int64_t width) {
  for (int64_t i = 0; i < heads * width; i++) to[i] = decay[i / width] * from[i] + update[i];
}

retc_status retc_eval_scan(const retc_eval_call *call, retc_tensor *results) {
  grid g;
  RETC_TRY(read_grid(call, call->inputs[3], &g));
  const retc_tensor *start = call->inputs[2];
  int64_t heads = start->dim[1], width = product(start, 2, 4), size = heads * width;
  int64_t finished = (g.offset + g.tokens) / g.chunk; /* chunks that this call completes: N or N - 1 */
  for (int64_t b = 0; b < start->dim[0]; b++) {
    double *states = results[0].data + b * g.touched * size, *end = results[1].data + b * size;
    const double *update = call->inputs[0]->data + b * g.touched * size, *state = start->data + b * size;
    for (int64_t n = 0; n < g.touched; n++) {
      copy_row(states + n * size, state, size);
      if (n == finished) break;
      advance(end, state, update + n * size, call->inputs[1]->data, heads, width);
      state = end;
    }
    if (finished == 0) copy_row(end, state, size);
  }
  return RETC_OK;
}

/* The new pending rows: those of the last chunk touched. x[b,t,..] as in grid_row. */
static void carry(const grid *g, const double *x, const double *pending, int64_t batch, int64_t width, double *o) {
  int64_t last = g->touched - 1;
  for (int64_t row = 0; row < batch * g->chunk; row++) {
    int64_t b = row / g->chunk, i = row % g->chunk;
    const double *from = grid_row(g, x, pending, b, last, i, width);
    if (!from && last <= 0) from = pending + row * width;
    if (from) copy_row(o + row * width, from, width);
  }
}

retc_status retc_eval_carry(const retc_eval_call *call, retc_tensor *o) {
  grid g;
  RETC_TRY(read_grid(call, call->inputs[2], &g));
  int64_t width = product(o, 2, 4), chunk_size = g.chunk * width;
  const double *x = call->inputs[0]->data, *pending = call->inputs[1]->data;
  for (int64_t b = 0; b < o->dim[0]; b++) {
    const double *last = g.touched ? x + (b * g.touched + g.touched - 1) * chunk_size : pending;
    int64_t present = g.offset + g.tokens - (g.touched - 1) * g.chunk; /* rows of it that exist */
    double *to = o->data + b * chunk_size;
    if (g.touched <= 1) copy_row(to, pending + b * chunk_size, chunk_size);
    if (g.touched) copy_row(to, last, present * width);
  }
  return RETC_OK;
}

/* state[k,v] = decay state + k v^T */
static void absorb(double *restrict state, double decay, const double *restrict k, const double *restrict v,
                   int64_t keys, int64_t values) {
  for (int64_t x = 0; x < keys; x++) {
    for (int64_t y = 0; y < values; y++) state[x * values + y] = decay * state[x * values + y] + k[x] * v[y];
  }
}

/* The state after the first `count` pending rows. S[h,k,v] of one batch row and head, rows of G heads. */
retc_status retc_eval_flush(const retc_eval_call *call, retc_tensor *o) {
  int64_t position = 0, chunk = call->node->attributes.integer[0];
  RETC_TRY(read_position(call, call->inputs[4], &position));
  const retc_tensor *pending_k = call->inputs[1], *pending_v = call->inputs[2];
  int64_t heads = o->dim[1], keys = o->dim[2], values = o->dim[3], key_value_heads = pending_k->dim[2];
  copy_row(o->data, call->inputs[0]->data, retc_tensor_count(o));
  for (int64_t b = 0; b < o->dim[0]; b++) {
    for (int64_t h = 0; h < heads; h++) {
      double decay = exp(call->inputs[3]->data[h]);
      for (int64_t j = 0; j < position % chunk; j++) {
        int64_t row = (b * chunk + j) * key_value_heads + h * key_value_heads / heads;
        absorb(o->data + (b * heads + h) * keys * values, decay, pending_k->data + row * keys,
               pending_v->data + row * values, keys, values);
      }
    }
  }
  return RETC_OK;
}

/* Retention, token by token. */

typedef struct retention {
  grid g;
  int64_t heads, key_value_heads, keys, values;
  const double *log_decay;
  const double *q, *k, *v; /* q and k rotated */
  const double *state, *pending_k, *pending_v;
  double *running; /* [k,v], the state after the token last taken */
} retention;

/* One batch row and head: all rows of the grid in order, the pending ones without an output. */
static void retain_head(const retention *r, int64_t b, int64_t h, retc_tensor *results) {
  const grid *g = &r->g;
  const int64_t size = r->keys * r->values, group = h * r->key_value_heads / r->heads;
  const double decay = exp(r->log_decay[h]);
  double *end = results[1].data + (b * r->heads + h) * size;
  copy_row(r->running, r->state + (b * r->heads + h) * size, size);
  copy_row(end, r->running, size);
  for (int64_t row = 0; row < g->offset + g->tokens; row++) {
    int64_t n = row / g->chunk, i = row % g->chunk, t = row - g->offset;
    const double *k = grid_row(g, r->k, r->pending_k, b, n, i, r->key_value_heads * r->keys) + group * r->keys;
    const double *v = grid_row(g, r->v, r->pending_v, b, n, i, r->key_value_heads * r->values) + group * r->values;
    absorb(r->running, decay, k, v, r->keys, r->values);
    if (i == g->chunk - 1) copy_row(end, r->running, size);
    if (t < 0) continue;
    int64_t at = (b * g->tokens + t) * r->heads + h;
    for (int64_t x = 0; x < r->keys; x++) {
      for (int64_t y = 0; y < r->values; y++) {
        results[0].data[at * r->values + y] += r->q[at * r->keys + x] * r->running[x * r->values + y];
      }
    }
  }
}

static double score_sum(const retention *r, int64_t b, int64_t n, int64_t i, int64_t group, const double *q,
                        double log_decay) {
  double sum = 0;
  for (int64_t j = 0; j <= i; j++) {
    const double *k = grid_row(&r->g, r->k, r->pending_k, b, n, j, r->key_value_heads * r->keys) + group * r->keys;
    sum += fabs(dot(q, k, r->keys)) * decay_power(log_decay, i - j);
  }
  return sum;
}

static double state_peak(const retention *r, const double *state) {
  double peak = 0;
  for (int64_t y = 0; y < r->values; y++) {
    double sum = 0;
    for (int64_t x = 0; x < r->keys; x++) sum += fabs(state[x * r->values + y]);
    peak = fmax(peak, sum);
  }
  return peak;
}

/* score_sum and state_peak of one batch row and head. */
static void measure_head(const retention *r, retc_op op, int64_t b, int64_t h, retc_tensor *o) {
  const grid *g = &r->g;
  const int64_t size = r->keys * r->values, group = h * r->key_value_heads / r->heads;
  double peak = 0;
  copy_row(r->running, r->state + (b * r->heads + h) * size, size);
  for (int64_t row = 0; row < g->offset + g->tokens; row++) {
    int64_t n = row / g->chunk, i = row % g->chunk, t = row - g->offset, at = (b * g->tokens + t) * r->heads + h;
    if (i == 0) peak = state_peak(r, r->running);
    const double *k = grid_row(g, r->k, r->pending_k, b, n, i, r->key_value_heads * r->keys) + group * r->keys;
    const double *v = grid_row(g, r->v, r->pending_v, b, n, i, r->key_value_heads * r->values) + group * r->values;
    absorb(r->running, exp(r->log_decay[h]), k, v, r->keys, r->values);
    if (t < 0) continue;
    o->data[at] =
        op == RETC_OP_STATE_PEAK ? peak : score_sum(r, b, n, i, group, r->q + at * r->keys, r->log_decay[h]);
  }
}

/* cos and sin of position * theta rounded to f32, [t,p] each, one behind the other. */
static void fill_angles(int64_t position, int64_t tokens, const retc_tensor *theta, double *cosine) {
  int64_t pairs = theta->dim[0];
  double *sine = cosine + tokens * pairs;
  for (int64_t i = 0; i < tokens * pairs; i++) {
    double angle = ((double)position + (double)(i / pairs)) * theta->data[i % pairs];
    cosine[i] = (double)(float)cos(angle);
    sine[i] = (double)(float)sin(angle);
  }
}

retc_status retc_eval_retention(const retc_eval_call *call, retc_tensor *results) {
  const retc_tensor *q = call->inputs[0], *k = call->inputs[1], *theta = call->inputs[4];
  retention r = {.heads = q->dim[2], .key_value_heads = k->dim[2], .keys = q->dim[3], .values = call->inputs[2]->dim[3],
                 .log_decay = call->inputs[3]->data, .v = call->inputs[2]->data, .state = call->inputs[6]->data,
                 .pending_k = call->inputs[7]->data, .pending_v = call->inputs[8]->data};
  int64_t position = 0, batch = q->dim[0];
  RETC_TRY(read_position(call, call->inputs[5], &position));
  RETC_TRY(read_grid(call, call->inputs[5], &r.g));

  int64_t angles = 2 * r.g.tokens * theta->dim[0], count_q = retc_tensor_count(q), count_k = retc_tensor_count(k);
  double *scratch = calloc((size_t)(angles + count_q + count_k + r.keys * r.values), sizeof *scratch);
  if (!scratch) return retc_fail(call->diagnostics, RETC_FAILED, "retention: memory refused");
  double *rotated_q = scratch + angles, *rotated_k = rotated_q + count_q;
  const char *pairs = call->node->attributes.word;
  fill_angles(position, r.g.tokens, theta, scratch);
  rotate(q, scratch, scratch + angles / 2, pairs, rotated_q);
  rotate(k, scratch, scratch + angles / 2, pairs, rotated_k);
  r.q = rotated_q;
  r.k = rotated_k;
  r.running = rotated_k + count_k;

  const retc_op op = call->node->op;
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t h = 0; h < r.heads; h++) {
      if (op == RETC_OP_RETENTION) retain_head(&r, b, h, results);
      else measure_head(&r, op, b, h, results);
    }
  }
  if (op == RETC_OP_RETENTION) {
    carry(&r.g, r.k, r.pending_k, batch, r.key_value_heads * r.keys, results[2].data);
    carry(&r.g, r.v, r.pending_v, batch, r.key_value_heads * r.values, results[3].data);
  }
  free(scratch);
  return RETC_OK;
}
