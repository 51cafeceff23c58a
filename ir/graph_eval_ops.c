#include "ir/graph_eval_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph_internal.h"

typedef retc_status eval_function(const retc_eval_call *call, retc_tensor *results);

static retc_status wrong(const retc_eval_call *call, const char *what, double found, double low, double high) {
  return retc_fail(call->diagnostics, RETC_INVALID, "%s: %s is %.17g, expected %.17g to %.17g",
                   retc_op_get_info(call->node->op)->name, what, found, low, high);
}

static int64_t product(const retc_tensor *tensor, int first, int last) {
  int64_t count = 1;
  for (int i = first; i < last; i++) count *= tensor->dim[i];
  return count;
}

static void copy_row(double *to, const double *from, int64_t count) {
  memcpy(to, from, sizeof *to * (size_t)count);
}

/* Pointwise. */

/* Where row `row` of `to`, all axes but the last, begins in the broadcast `from`; *out_step is its stride along the
 * last axis. */
static const double *broadcast_row(const retc_tensor *from, const retc_tensor *to, int64_t row, int64_t *out_step) {
  int64_t offset = 0, stride = from->rank ? from->dim[from->rank - 1] : 1;
  *out_step = stride != 1;
  for (int i = 2; i <= from->rank; i++) {
    int64_t extent = to->dim[to->rank - i], own = from->dim[from->rank - i];
    if (own != 1) offset += row % extent * stride;
    stride *= own;
    row /= extent;
  }
  return from->data + offset;
}

static retc_status eval_pointwise(const retc_eval_call *call, retc_tensor *o) {
  int64_t width = o->rank ? o->dim[o->rank - 1] : 1, rows = product(o, 0, o->rank - 1);
  for (int64_t row = 0; row < rows; row++) {
    int64_t step_a = 0, step_b = 0;
    const double *a = broadcast_row(call->inputs[0], o, row, &step_a), *b = a;
    if (call->node->input_count == 2) b = broadcast_row(call->inputs[1], o, row, &step_b);
    for (int64_t x = 0; x < width; x++) {
      o->data[row * width + x] = retc_pointwise_eval(call->node, a[x * step_a], b[x * step_b]);
    }
  }
  return RETC_OK;
}

/* Indexing. */

static retc_status eval_reshape(const retc_eval_call *call, retc_tensor *o) {
  copy_row(o->data, call->inputs[0]->data, retc_tensor_count(o));
  return RETC_OK;
}

static retc_status eval_repeat(const retc_eval_call *call, retc_tensor *o) {
  const int axis = (int)call->node->attributes.integer[0];
  const int64_t times = call->node->attributes.integer[1];
  /* The axes up to and with `axis` as one: its rows repeat in place. */
  int64_t rows = product(o, 0, axis + 1), width = product(o, axis + 1, o->rank);
  for (int64_t x = 0; x < rows; x++) copy_row(o->data + x * width, call->inputs[0]->data + x / times * width, width);
  return RETC_OK;
}

static retc_status eval_transpose(const retc_eval_call *call, retc_tensor *o) {
  const int first = (int)call->node->attributes.integer[0], second = (int)call->node->attributes.integer[1];
  const retc_tensor *a = call->inputs[0];
  int64_t count = retc_tensor_count(o);
  for (int64_t x = 0; x < count; x++) {
    int64_t index[RETC_RANK_MAX], rest = x, from = 0;
    for (int i = o->rank - 1; i >= 0; i--) {
      index[i] = rest % o->dim[i];
      rest /= o->dim[i];
    }
    int64_t swapped = index[first];
    index[first] = index[second];
    index[second] = swapped;
    for (int i = 0; i < a->rank; i++) from = from * a->dim[i] + index[i];
    o->data[x] = a->data[from];
  }
  return RETC_OK;
}

static retc_status eval_tail(const retc_eval_call *call, retc_tensor *o) {
  const retc_tensor *a = call->inputs[0];
  int64_t tokens = a->dim[1], last = o->dim[1], width = product(o, 2, o->rank);
  if (last > tokens) return wrong(call, "L", (double)last, 1, (double)tokens);
  for (int64_t b = 0; b < o->dim[0]; b++) {
    copy_row(o->data + b * last * width, a->data + (b * tokens + tokens - last) * width, last * width);
  }
  return RETC_OK;
}

static retc_status eval_gather(const retc_eval_call *call, retc_tensor *o) {
  const retc_tensor *table = call->inputs[0], *ids = call->inputs[1];
  int64_t count = retc_tensor_count(ids), width = table->dim[1];
  for (int64_t i = 0; i < count; i++) {
    double id = ids->data[i], last = (double)(table->dim[0] - 1);
    if (!(id >= 0 && id <= last && id == floor(id))) return wrong(call, "an id", id, 0, last);
    copy_row(o->data + i * width, table->data + (int64_t)id * width, width);
  }
  return RETC_OK;
}

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

static retc_status eval_rotate(const retc_eval_call *call, retc_tensor *o) {
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

static retc_status eval_positions(const retc_eval_call *call, retc_tensor *o) {
  int64_t position = 0;
  RETC_TRY(read_position(call, call->inputs[0], &position));
  for (int64_t t = 0; t < o->dim[0]; t++) o->data[t] = (double)position + (double)t;
  return RETC_OK;
}

/* Products and reductions. */

typedef struct axis {
  int64_t extent, a, b, o; /* strides; o is 0 for a summed axis */
} axis;

typedef struct loops {
  axis axes[2 * RETC_RANK_MAX];
  int count;
} loops;

static double dot(const double *restrict a, const double *restrict b, int64_t count) {
  double sums[4] = {0};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    sums[0] += a[i] * b[i];
    sums[1] += a[i + 1] * b[i + 1];
    sums[2] += a[i + 2] * b[i + 2];
    sums[3] += a[i + 3] * b[i + 3];
  }
  for (; i < count; i++) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void contract(const loops *nest, int depth, const double *restrict a, const double *restrict b,
                     double *restrict o) {
  if (depth == nest->count) {
    *o += *a * *b;
    return;
  }
  const axis x = nest->axes[depth];
  if (depth + 1 < nest->count) {
    for (int64_t i = 0; i < x.extent; i++) contract(nest, depth + 1, a + i * x.a, b + i * x.b, o + i * x.o);
  } else if (x.a == 1 && x.b == 1 && x.o == 0) {
    *o += dot(a, b, x.extent);
  } else {
    for (int64_t i = 0; i < x.extent; i++) o[i * x.o] += a[i * x.a] * b[i * x.b];
  }
}

static int64_t stride_of(const retc_tensor *tensor, int place) {
  return place < 0 ? 0 : product(tensor, place + 1, tensor->rank);
}

/* Innermost is a summed axis that both operands hold contiguously, else the output's last axis: the two shapes of a
 * loop that runs through memory. */
static retc_status eval_contract(const retc_eval_call *call, retc_tensor *o) {
  const retc_tensor *a = call->inputs[0], *b = call->inputs[1];
  retc_contraction spec;
  retc_contraction_parse(call->node->attributes.word, &spec);
  loops nest = {.count = spec.letter_count};
  int innermost = o->rank - 1;
  for (int i = 0; i < spec.letter_count; i++) {
    const struct retc_letter *letter = &spec.letters[i];
    nest.axes[i] = (axis){letter->a >= 0 ? a->dim[letter->a] : b->dim[letter->b], stride_of(a, letter->a),
                          stride_of(b, letter->b), stride_of(o, letter->out)};
    if (letter->out < 0 && nest.axes[i].a == 1 && nest.axes[i].b == 1) innermost = i;
  }
  if (innermost >= 0) {
    axis last = nest.axes[innermost];
    memmove(&nest.axes[innermost], &nest.axes[innermost + 1], sizeof last * (size_t)(nest.count - innermost - 1));
    nest.axes[nest.count - 1] = last;
  }
  contract(&nest, 0, a->data, b->data, o->data);
  return RETC_OK;
}

static retc_status eval_reduce(const retc_eval_call *call, retc_tensor *o) {
  const retc_tensor *a = call->inputs[0];
  int64_t rows = retc_tensor_count(o), width = a->dim[a->rank - 1];
  for (int64_t row = 0; row < rows; row++) {
    const double *x = a->data + row * width;
    double result = x[0];
    for (int64_t i = 1; i < width; i++) {
      result = call->node->op == RETC_OP_REDUCE_MAX ? (x[i] > result ? x[i] : result) : result + x[i];
    }
    o->data[row] = call->node->op == RETC_OP_REDUCE_MEAN ? result / (double)width : result;
  }
  return RETC_OK;
}

static retc_status eval_norm(const retc_eval_call *call, retc_tensor *o) {
  const double *a = call->inputs[0]->data, *weight = call->node->input_count == 2 ? call->inputs[1]->data : NULL;
  int64_t width = o->dim[o->rank - 1], rows = product(o, 0, o->rank - 1);
  for (int64_t row = 0; row < rows; row++) {
    const double *x = a + row * width;
    double scale = sqrt(dot(x, x, width) / (double)width + call->node->attributes.number);
    for (int64_t i = 0; i < width; i++) o->data[row * width + i] = x[i] / scale * (weight ? weight[i] : 1);
  }
  return RETC_OK;
}

static retc_status eval_layer_norm(const retc_eval_call *call, retc_tensor *o) {
  const double *weight = call->node->input_count > 1 ? call->inputs[1]->data : NULL;
  const double *bias = call->node->input_count > 2 ? call->inputs[2]->data : NULL;
  int64_t width = o->dim[o->rank - 1], rows = product(o, 0, o->rank - 1);
  for (int64_t row = 0; row < rows; row++) {
    const double *x = call->inputs[0]->data + row * width;
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < width; i++) mean += x[i] / (double)width;
    for (int64_t i = 0; i < width; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)width;
    double scale = sqrt(variance + call->node->attributes.number);
    for (int64_t i = 0; i < width; i++) {
      o->data[row * width + i] = (x[i] - mean) / scale * (weight ? weight[i] : 1) + (bias ? bias[i] : 0);
    }
  }
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
  int64_t touched = (g.offset + g.tokens) / chunk + ((g.offset + g.tokens) % chunk != 0);
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

static retc_status eval_chunk(const retc_eval_call *call, retc_tensor *o) {
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

static retc_status eval_unchunk(const retc_eval_call *call, retc_tensor *o) {
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

static retc_status eval_decay_mask(const retc_eval_call *call, retc_tensor *o) {
  int64_t chunk = call->node->attributes.integer[0];
  for (int64_t h = 0; h < o->dim[0]; h++) {
    for (int64_t i = 0; i < chunk; i++) {
      double *row = o->data + (h * chunk + i) * chunk;
      for (int64_t j = 0; j <= i; j++) row[j] = decay_power(call->inputs[0]->data[h], i - j);
    }
  }
  return RETC_OK;
}

static retc_status eval_decay_powers(const retc_eval_call *call, retc_tensor *o) {
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

static retc_status eval_scan(const retc_eval_call *call, retc_tensor *results) {
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

static retc_status eval_carry(const retc_eval_call *call, retc_tensor *o) {
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
static retc_status eval_flush(const retc_eval_call *call, retc_tensor *o) {
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

/* cos and sin of position * theta, [t,p] each, one behind the other. */
static void fill_angles(int64_t position, int64_t tokens, const retc_tensor *theta, double *cosine) {
  int64_t pairs = theta->dim[0];
  double *sine = cosine + tokens * pairs;
  for (int64_t i = 0; i < tokens * pairs; i++) {
    double angle = ((double)position + (double)(i / pairs)) * theta->data[i % pairs];
    cosine[i] = cos(angle);
    sine[i] = sin(angle);
  }
}

static retc_status eval_retention(const retc_eval_call *call, retc_tensor *results) {
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

static eval_function *const functions[RETC_OP_COUNT] = {
    [RETC_OP_RESHAPE] = eval_reshape,       [RETC_OP_REPEAT] = eval_repeat,
    [RETC_OP_TAIL] = eval_tail,             [RETC_OP_GATHER] = eval_gather,
    [RETC_OP_ROTATE] = eval_rotate,         [RETC_OP_POSITIONS] = eval_positions,
    [RETC_OP_CONTRACT] = eval_contract,     [RETC_OP_REDUCE_SUM] = eval_reduce,
    [RETC_OP_REDUCE_MEAN] = eval_reduce,    [RETC_OP_REDUCE_MAX] = eval_reduce,
    [RETC_OP_CHUNK] = eval_chunk,           [RETC_OP_UNCHUNK] = eval_unchunk,
    [RETC_OP_DECAY_MASK] = eval_decay_mask, [RETC_OP_DECAY_POWERS] = eval_decay_powers,
    [RETC_OP_SCAN] = eval_scan,             [RETC_OP_CARRY] = eval_carry,
    [RETC_OP_RMS_NORM] = eval_norm,         [RETC_OP_RETENTION] = eval_retention,
    [RETC_OP_FLUSH] = eval_flush,           [RETC_OP_SCORE_SUM] = eval_retention,
    [RETC_OP_STATE_PEAK] = eval_retention,  [RETC_OP_TRANSPOSE] = eval_transpose,
    [RETC_OP_LAYER_NORM] = eval_layer_norm,
};

retc_status retc_op_eval(const retc_eval_call *call, retc_tensor *results) {
  const retc_op op = call->node->op;
  if (retc_op_get_info(op)->traits & RETC_TRAIT_POINTWISE) return eval_pointwise(call, results);
  if (functions[op]) return functions[op](call, results);
  return retc_fail(call->diagnostics, RETC_INTERNAL, "%s cannot be evaluated", retc_op_get_info(op)->name);
}
