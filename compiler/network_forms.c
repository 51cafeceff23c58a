/* Normalisers and states of the forms. With S_m = 1 + g + ... + g^(m-1) everything here is a product of plain retention
 * with functions of position, computed in float64 and rounded once:
 *   S_m = (1 - g^m) / (1 - g), and m where g is 1. */
#include <math.h>

#include "compiler/network_build.h"

#define B RETC_NAMED(B)
#define T RETC_NAMED(T)

static retc_value number(retc_network_builder *nb, double value) {
  return retc_build_number(&nb->builder, RETC_DTYPE_F64, value);
}
static retc_value add(retc_network_builder *nb, retc_value a, retc_value b) {
  return retc_build_binary(&nb->builder, RETC_OP_ADD, a, b);
}
static retc_value sub(retc_network_builder *nb, retc_value a, retc_value b) {
  return retc_build_binary(&nb->builder, RETC_OP_SUB, a, b);
}
static retc_value mul(retc_network_builder *nb, retc_value a, retc_value b) {
  return retc_build_binary(&nb->builder, RETC_OP_MUL, a, b);
}
static retc_value divide(retc_network_builder *nb, retc_value a, retc_value b) {
  return retc_build_binary(&nb->builder, RETC_OP_DIV, a, b);
}
static retc_value at_least(retc_network_builder *nb, retc_value a, retc_dtype dtype, double least) {
  return retc_build_binary(&nb->builder, RETC_OP_MAX, a, retc_build_number(&nb->builder, dtype, least));
}
static retc_value reshape(retc_network_builder *nb, retc_value a, retc_shape shape) {
  return retc_build_reshape(&nb->builder, a, &shape);
}
static retc_value rounded(retc_network_builder *nb, retc_value a) {
  return retc_build_cast(&nb->builder, a, RETC_DTYPE_F32);
}

/* One number a head. */
static retc_value per_head(retc_network_builder *nb, double (*function)(double log_decay, double count), double count) {
  retc_shape shape = RETC_SHAPE(nb->network->heads);
  double *values = RETC_NEW_ARRAY(&nb->builder.graph->arena, double, nb->network->heads);
  for (int64_t h = 0; h < nb->network->heads; h++) values[h] = function(nb->network->log_decay[h], count);
  return retc_build_dense(&nb->builder, RETC_DTYPE_F64, &shape, values, (size_t)nb->network->heads);
}
static double inverse_loss(double log_decay, double count) {
  (void)count;
  return log_decay == 0 ? 0 : -1 / expm1(log_decay);
}
static double keeps_all(double log_decay, double count) {
  (void)count;
  return log_decay == 0;
}
static double decay_sum(double log_decay, double count) {
  return log_decay == 0 ? count : expm1(count * log_decay) / expm1(log_decay);
}

/* S_count for counts[.., 1]: f64[.., H]. */
static retc_value decay_sums(retc_network_builder *nb, retc_value counts) {
  retc_value power = retc_build_unary(&nb->builder, RETC_OP_EXP, mul(nb, counts, nb->log_decay));
  retc_value lossy = mul(nb, sub(nb, number(nb, 1), power), per_head(nb, inverse_loss, 0));
  bool any = false;
  for (int64_t h = 0; h < nb->network->heads; h++) any = any || nb->network->log_decay[h] == 0;
  return any ? add(nb, lossy, mul(nb, counts, per_head(nb, keeps_all, 0))) : lossy;
}

/* a mod chunk of a whole f64 a >= 0. */
static retc_value mod_chunk(retc_network_builder *nb, retc_value a) {
  retc_value chunk = number(nb, (double)nb->options.chunk_length);
  return sub(nb, a, mul(nb, chunk, retc_build_unary(&nb->builder, RETC_OP_FLOOR, divide(nb, a, chunk))));
}

static retc_value padding(retc_network_builder *nb) {
  retc_shape rows = RETC_SHAPE(B);
  retc_value pads = retc_build_input(&nb->builder, "input", "pads", RETC_DTYPE_I64, &rows);
  return reshape(nb, retc_build_cast(&nb->builder, pads, RETC_DTYPE_F64), RETC_SHAPE(B, 1));
}

/* Tokens up to and with each position, padding not counted: f64[B,T]. */
static retc_value token_counts(retc_network_builder *nb) {
  retc_value position = retc_build_unary(&nb->builder, RETC_OP_POSITIONS, nb->position);
  retc_value count = reshape(nb, add(nb, position, number(nb, 1)), RETC_SHAPE(1, T));
  return at_least(nb, sub(nb, count, padding(nb)), RETC_DTYPE_F64, 0);
}

retc_value retc_network_build_mask(retc_network_builder *nb) {
  retc_value mask = retc_build_binary(&nb->builder, RETC_OP_MIN, token_counts(nb), number(nb, 1));
  return reshape(nb, rounded(nb, mask), RETC_SHAPE(B, T, 1, 1));
}

retc_value retc_network_build_end(retc_network_builder *nb, retc_value x) {
  if (nb->options.form != RETC_FORM_CHUNKWISE || nb->network->normaliser != RETC_NORMALISER_TORCHSCALE) return x;
  retc_shape scalar = {.rank = 0};
  retc_value end = retc_build_input(&nb->builder, "input", "E", RETC_DTYPE_I64, &scalar);
  retc_value position = retc_build_unary(&nb->builder, RETC_OP_POSITIONS, nb->position);
  retc_value left = sub(nb, retc_build_cast(&nb->builder, end, RETC_DTYPE_F64), position);
  retc_value inside =
      retc_build_binary(&nb->builder, RETC_OP_MIN, at_least(nb, left, RETC_DTYPE_F64, 0), number(nb, 1));
  return mul(nb, x, reshape(nb, rounded(nb, inside), RETC_SHAPE(T, 1)));
}

/* sqrt of the row sum of decays, f32[T,H,1], or [B,T,H,1] where padding makes rows differ. A row of padding alone has
 * no sum and o = 0; it is divided by 1. */
static retc_value row_roots(retc_network_builder *nb) {
  int64_t heads = nb->network->heads;
  bool local = nb->options.form == RETC_FORM_CHUNKWISE, padded = nb->options.padded && !local;
  retc_value counts;
  if (padded) {
    counts = reshape(nb, token_counts(nb), RETC_SHAPE(B, T, 1));
  } else {
    retc_value position = retc_build_unary(&nb->builder, RETC_OP_POSITIONS, nb->position);
    if (local) position = mod_chunk(nb, position);
    counts = reshape(nb, add(nb, position, number(nb, 1)), RETC_SHAPE(T, 1));
  }
  retc_value sums = at_least(nb, decay_sums(nb, counts), RETC_DTYPE_F64, 1);
  retc_value roots = rounded(nb, retc_build_unary(&nb->builder, RETC_OP_SQRT, sums));
  return reshape(nb, roots, padded ? RETC_SHAPE(B, T, heads, 1) : RETC_SHAPE(T, heads, 1));
}

retc_value retc_network_build_normaliser(retc_network_builder *nb, retc_value o, const retc_value *inputs,
                                         const retc_attributes *attributes) {
  if (nb->network->normaliser == RETC_NORMALISER_PLAIN) return o;
  retc_builder *b = &nb->builder;
  retc_value root = row_roots(nb);
  if (nb->options.form == RETC_FORM_SESSION || nb->options.form == RETC_FORM_RECURRENT) return divide(nb, o, root);
  retc_value sum = divide(nb, retc_graph_add(b, RETC_OP_SCORE_SUM, inputs, 9, NULL, attributes), root);
  retc_value scale = at_least(nb, sum, RETC_DTYPE_F32, 1);
  if (nb->options.form == RETC_FORM_PARALLEL) {
    scale = retc_build_binary(b, RETC_OP_MIN, scale, retc_build_number(b, RETC_DTYPE_F32, 50000));
  } else {
    retc_value whole = rounded(nb, per_head(nb, decay_sum, (double)nb->options.chunk_length));
    retc_value peak = retc_graph_add(b, RETC_OP_STATE_PEAK, inputs, 9, NULL, attributes);
    peak = divide(nb, peak, reshape(nb, whole, RETC_SHAPE(nb->network->heads, 1)));
    scale = retc_build_binary(b, RETC_OP_MAX, scale, peak);
  }
  return divide(nb, o, mul(nb, scale, root));
}

/* ---- upstream's states ---- */

static void add_layer_output(retc_network_builder *nb, const char *name, int64_t layer, retc_value value) {
  retc_graph *graph = nb->builder.graph;
  retc_graph_add_output(graph, retc_arena_printf(&graph->arena, "%s_%lld", name, (long long)layer), value);
}

/* Of the recurrent and parallel forms: S^T / sqrt(sigma) and sigma = S_P. */
static void build_scaled_state(retc_network_builder *nb, int64_t layer, retc_value state) {
  int64_t heads = nb->network->heads;
  bool syncdoth = nb->network->state_layout == RETC_STATE_SYNCDOTH;
  bool rows = nb->options.padded || (syncdoth && nb->options.form != RETC_FORM_PARALLEL);
  retc_value count = reshape(nb, retc_build_cast(&nb->builder, nb->position, RETC_DTYPE_F64), RETC_SHAPE(1));
  if (rows) count = at_least(nb, sub(nb, count, padding(nb)), RETC_DTYPE_F64, 0);
  retc_value sigma = decay_sums(nb, count);
  retc_value root = retc_build_unary(&nb->builder, RETC_OP_SQRT, at_least(nb, sigma, RETC_DTYPE_F64, 1));
  root = reshape(nb, rounded(nb, root), rows ? RETC_SHAPE(B, heads, 1, 1) : RETC_SHAPE(heads, 1, 1));
  add_layer_output(nb, "state", layer, divide(nb, state, root));
  retc_value scale = rounded(nb, sigma);
  if (syncdoth) scale = reshape(nb, scale, rows ? RETC_SHAPE(B, heads, 1, 1) : RETC_SHAPE(1, heads, 1, 1));
  add_layer_output(nb, "scale", layer, scale);
}

/* Of the chunkwise form, P being a multiple of the chunk length (the caller has filled the last chunk up with zero
 * vectors): R = S^T / S_C; the scale is z of R (torchscale) or the row sum over the filled length (syncdoth). */
static void build_chunkwise_state(retc_network_builder *nb, int64_t layer, retc_value state) {
  retc_builder *b = &nb->builder;
  int64_t heads = nb->network->heads;
  double chunk = (double)nb->options.chunk_length;
  retc_value count = reshape(nb, retc_build_cast(b, nb->position, RETC_DTYPE_F64), RETC_SHAPE(1));
  retc_value whole = rounded(nb, per_head(nb, decay_sum, chunk));
  retc_value r = divide(nb, state, reshape(nb, whole, RETC_SHAPE(heads, 1, 1)));
  add_layer_output(nb, "state", layer, r);
  retc_value scale;
  if (nb->network->state_layout == RETC_STATE_SYNCDOTH) {
    scale = reshape(nb, rounded(nb, decay_sums(nb, count)), RETC_SHAPE(1, heads, 1, 1));
  } else {
    scale = retc_build_unary(b, RETC_OP_REDUCE_SUM, retc_build_unary(b, RETC_OP_ABS, r));
    scale = reshape(nb, scale, RETC_SHAPE(B, heads, nb->network->value_width));
    scale = at_least(nb, retc_build_unary(b, RETC_OP_REDUCE_MAX, scale), RETC_DTYPE_F32, 1);
    scale = reshape(nb, scale, RETC_SHAPE(B, heads));
  }
  add_layer_output(nb, "scale", layer, scale);
}

void retc_network_build_upstream_state(retc_network_builder *nb, int64_t layer, retc_value state) {
  if (nb->network->state_layout == RETC_STATE_KEY_VALUE) {
    add_layer_output(nb, "state", layer, state);
    return;
  }
  retc_attributes attributes = {.integer = {2, 3}};
  state = retc_graph_add(&nb->builder, RETC_OP_TRANSPOSE, &state, 1, NULL, &attributes);
  if (nb->options.form == RETC_FORM_CHUNKWISE) build_chunkwise_state(nb, layer, state);
  else build_scaled_state(nb, layer, state);
}
