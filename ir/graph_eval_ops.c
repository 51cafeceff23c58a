#include "ir/graph_eval_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph_internal.h"

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
  enum { MOST = 3 };
  const int count = call->node->input_count;
  int64_t width = o->rank ? o->dim[o->rank - 1] : 1, rows = product(o, 0, o->rank - 1);
  for (int64_t row = 0; row < rows; row++) {
    const double *from[MOST] = {0};
    int64_t step[MOST] = {0};
    for (int i = 0; i < count; i++) from[i] = broadcast_row(call->inputs[i], o, row, &step[i]);
    for (int64_t x = 0; x < width; x++) {
      double in[MOST] = {0};
      for (int i = 0; i < count; i++) in[i] = from[i][x * step[i]];
      o->data[row * width + x] = retc_pointwise_eval(call->node, in);
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

static retc_status eval_slice(const retc_eval_call *call, retc_tensor *o) {
  const int64_t *attributes = call->node->attributes.integer;
  const int axis = (int)attributes[0];
  const retc_tensor *a = call->inputs[0];
  int64_t outer = product(o, 0, axis), count = o->dim[axis], width = product(o, axis + 1, o->rank);
  for (int64_t row = 0; row < outer * count; row++) {
    int64_t from = row / count * a->dim[axis] + attributes[1] + row % count * attributes[3];
    copy_row(o->data + row * width, a->data + from * width, width);
  }
  return RETC_OK;
}

static retc_status eval_concat(const retc_eval_call *call, retc_tensor *o) {
  const int axis = (int)call->node->attributes.integer[0];
  int64_t outer = product(o, 0, axis), width = product(o, axis, o->rank), behind = 0;
  for (int i = 0; i < call->node->input_count; i++) {
    int64_t own = product(call->inputs[i], axis, o->rank);
    for (int64_t row = 0; row < outer; row++) {
      copy_row(o->data + row * width + behind, call->inputs[i]->data + row * own, own);
    }
    behind += own;
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
  int64_t count = retc_tensor_count(ids), width = product(table, 1, table->rank), last = table->dim[0] - 1;
  const bool given = retc_graph_find_given(call->graph, call->node->inputs[1]).index != 0;
  if (last < 0 && count) return wrong(call, "the rows of the table", 0, 1, INFINITY);
  for (int64_t i = 0; i < count; i++) {
    double id = ids->data[i];
    const bool fits = id >= 0 && id <= (double)last && id == floor(id);
    if (given && !fits) return wrong(call, "an id", id, 0, (double)last);
    int64_t row = id > 0 ? id < (double)last ? (int64_t)id : last : 0;
    copy_row(o->data + i * width, table->data + row * width, width);
  }
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

/* o[row,n] = sum_k left[row,k] w[n,k] scale(n,k). */
static retc_status eval_rows(const retc_eval_call *call, retc_tensor *o, int64_t group,
                             void (*round_row)(const double *row, int64_t width, double *out_row)) {
  const retc_tensor *a = call->inputs[0], *w = call->inputs[1], *scale = group ? call->inputs[2] : NULL;
  const int64_t width = a->dim[a->rank - 1], columns = w->dim[0], rows = width ? retc_tensor_count(a) / width : 0;
  double *left = malloc((size_t)width * sizeof *left + 1);
  if (!left)
    return retc_fail(call->diagnostics, RETC_FAILED, "a row of %lld numbers: memory refused", (long long)width);
  for (int64_t row = 0; row < rows; row++) {
    round_row(a->data + row * width, width, left);
    for (int64_t n = 0; n < columns; n++) {
      double sum = 0;
      for (int64_t k = 0; k < width; k++) {
        double factor = scale ? scale->data[n * scale->dim[1] + k / group] : 1;
        sum += left[k] * w->data[n * width + k] * factor;
      }
      o->data[row * columns + n] = sum;
    }
  }
  free(left);
  return RETC_OK;
}

static void round_to_bf16(const double *row, int64_t width, double *out_row) {
  for (int64_t k = 0; k < width; k++) {
    uint16_t bits = retc_f32_to_bf16((float)row[k]);
    out_row[k] = (double)retc_bf16_to_f32(bits);
  }
}

/* Back in the units of the row. */
static void round_to_int8(const double *row, int64_t width, double *out_row) {
  double most = 0;
  for (int64_t k = 0; k < width; k++) most = fabs(row[k]) > most ? fabs(row[k]) : most;
  for (int64_t k = 0; k < width; k++) {
    out_row[k] = most > 0 ? floor(row[k] * (127 / most) + 0.5) * (most / 127) : 0;
  }
}

static void keep(const double *row, int64_t width, double *out_row) {
  memcpy(out_row, row, (size_t)width * sizeof *row);
}

static retc_status eval_contract_bf16(const retc_eval_call *call, retc_tensor *o) {
  return eval_rows(call, o, 0, round_to_bf16);
}

static retc_status eval_contract_int8(const retc_eval_call *call, retc_tensor *o) {
  return eval_rows(call, o, call->node->attributes.integer[0], round_to_int8);
}

static retc_status eval_contract_scaled(const retc_eval_call *call, retc_tensor *o) {
  return eval_rows(call, o, call->node->attributes.integer[0], keep);
}

static double combine(retc_op op, double a, double b) {
  switch (op) {
    case RETC_OP_REDUCE_MAX: return b > a ? b : a;
    case RETC_OP_REDUCE_MIN: return b < a ? b : a;
    default: return a + b;
  }
}

static retc_status eval_reduce(const retc_eval_call *call, retc_tensor *o) {
  const retc_op op = call->node->op;
  const retc_tensor *a = call->inputs[0];
  int64_t rows = retc_tensor_count(o), width = a->dim[a->rank - 1];
  for (int64_t row = 0; row < rows; row++) {
    double result = op == RETC_OP_REDUCE_MAX ? -INFINITY : op == RETC_OP_REDUCE_MIN ? INFINITY : 0;
    for (int64_t i = 0; i < width; i++) result = combine(op, result, a->data[row * width + i]);
    o->data[row] = op == RETC_OP_REDUCE_MEAN ? result / (double)width : result;
  }
  return RETC_OK;
}

static retc_status eval_softmax(const retc_eval_call *call, retc_tensor *o) {
  int64_t width = o->dim[o->rank - 1], rows = product(o, 0, o->rank - 1);
  for (int64_t row = 0; row < rows; row++) {
    const double *x = call->inputs[0]->data + row * width;
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < width; i++) most = x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < width; i++) sum += exp(x[i] - most);
    for (int64_t i = 0; i < width; i++) {
      const bool logarithm = call->node->op == RETC_OP_LOG_SOFTMAX;
      o->data[row * width + i] = logarithm ? x[i] - most - log(sum) : exp(x[i] - most) / sum;
    }
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

static retc_eval_function *const functions[RETC_OP_COUNT] = {
    [RETC_OP_RESHAPE] = eval_reshape,
    [RETC_OP_REPEAT] = eval_repeat,
    [RETC_OP_TAIL] = eval_tail,
    [RETC_OP_GATHER] = eval_gather,
    [RETC_OP_ROTATE] = retc_eval_rotate,
    [RETC_OP_POSITIONS] = retc_eval_positions,
    [RETC_OP_CONTRACT] = eval_contract,
    [RETC_OP_CONTRACT_BF16] = eval_contract_bf16,
    [RETC_OP_CONTRACT_SCALED] = eval_contract_scaled,
    [RETC_OP_CONTRACT_INT8] = eval_contract_int8,
    [RETC_OP_REDUCE_SUM] = eval_reduce,
    [RETC_OP_REDUCE_MEAN] = eval_reduce,
    [RETC_OP_REDUCE_MAX] = eval_reduce,
    [RETC_OP_CHUNK] = retc_eval_chunk,
    [RETC_OP_UNCHUNK] = retc_eval_unchunk,
    [RETC_OP_DECAY_MASK] = retc_eval_decay_mask,
    [RETC_OP_DECAY_POWERS] = retc_eval_decay_powers,
    [RETC_OP_SCAN] = retc_eval_scan,
    [RETC_OP_CARRY] = retc_eval_carry,
    [RETC_OP_RMS_NORM] = eval_norm,
    [RETC_OP_RETENTION] = retc_eval_retention,
    [RETC_OP_FLUSH] = retc_eval_flush,
    [RETC_OP_SCORE_SUM] = retc_eval_retention,
    [RETC_OP_STATE_PEAK] = retc_eval_retention,
    [RETC_OP_TRANSPOSE] = eval_transpose,
    [RETC_OP_LAYER_NORM] = eval_layer_norm,
    [RETC_OP_SLICE] = eval_slice,
    [RETC_OP_CONCAT] = eval_concat,
    [RETC_OP_REDUCE_MIN] = eval_reduce,
    [RETC_OP_SOFTMAX] = eval_softmax,
    [RETC_OP_LOG_SOFTMAX] = eval_softmax,
};

retc_status retc_op_eval(const retc_eval_call *call, retc_tensor *results) {
  const retc_op op = call->node->op;
  if (retc_op_get_info(op)->traits & RETC_TRAIT_POINTWISE) return eval_pointwise(call, results);
  if (functions[op]) return functions[op](call, results);
  return retc_fail(call->diagnostics, RETC_INTERNAL, "%s cannot be evaluated", retc_op_get_info(op)->name);
}
