#include "compiler/network_build.h"
#include "runtime/quantize.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define B RETC_NAMED(B)
#define T RETC_NAMED(T)

void retc_network_explain(retc_network *network, retc_arena *arena, const char *what, const char *source,
                          const char *chosen, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, chosen);
  vsnprintf(text, sizeof text, chosen, arguments);
  va_end(arguments);
  retc_network_note note = {retc_arena_strdup(arena, what), retc_arena_strdup(arena, text),
                            retc_arena_strdup(arena, source)};
  RETC_VEC_PUSH(arena, network->notes, note);
}

retc_shape retc_shape_of(int rank, const retc_dim *dims) {
  retc_shape shape = {.rank = rank};
  memcpy(shape.dim, dims, sizeof(retc_dim) * (size_t)rank);
  return shape;
}

static void set_origin(retc_network_builder *nb, int64_t layer, const char *part) {
  nb->builder.origin =
      layer < 0 ? part : retc_arena_printf(&nb->builder.graph->arena, "layers.%lld.%s", (long long)layer, part);
}

static retc_value weight(retc_network_builder *nb, const retc_network_tensor *tensor) {
  retc_shape shape = retc_shape_of(tensor->rank, tensor->dim);
  const retc_arithmetic *arithmetic = &nb->network->arithmetic;
  const retc_dtype dtype = tensor->rank == 2 && arithmetic->converts ? arithmetic->dtype : tensor->dtype;
  return retc_build_input(&nb->builder, "weight", tensor->name, dtype, &shape);
}

/* A matrix of integers and its scales: inputs that loading makes of the tensor. */
static retc_value product_of_integers(retc_network_builder *nb, retc_op op, retc_value x,
                                      const retc_network_tensor *tensor) {
  retc_builder *b = &nb->builder;
  const int bits = nb->network->arithmetic.bits;
  const int64_t group = bits == 4 ? RETC_GROUP_INT4 : RETC_GROUP_INT8;
  const retc_shape shape = retc_shape_of(tensor->rank, tensor->dim);
  const retc_shape scales = RETC_SHAPE(tensor->dim[0], retc_group_count(tensor->dim[1], group));
  const char *name = retc_arena_printf(&b->graph->arena, "%s.int%d", tensor->name, bits);
  const char *scale = retc_arena_printf(&b->graph->arena, "%s.scale", name);
  retc_value inputs[3] = {x, retc_build_input(b, "weight", name, bits == 4 ? RETC_DTYPE_I4 : RETC_DTYPE_I8, &shape),
                          retc_build_input(b, "weight", scale, RETC_DTYPE_F16, &scales)};
  retc_attributes attributes = {.integer = {group}};
  return retc_graph_add(b, op, inputs, 3, NULL, &attributes);
}

static retc_value product_of(retc_network_builder *nb, retc_value x, const retc_network_tensor *tensor) {
  switch (nb->network->arithmetic.math) {
    case RETC_PRODUCT_INT8: return product_of_integers(nb, RETC_OP_CONTRACT_INT8, x, tensor);
    case RETC_PRODUCT_BF16: {
      retc_value inputs[2] = {x, weight(nb, tensor)};
      retc_attributes attributes = {.word = nb->options.has_tiles ? "tiles" : "pairs"};
      return retc_graph_add(&nb->builder, RETC_OP_CONTRACT_BF16, inputs, 2, NULL, &attributes);
    }
    default:
      if (nb->network->arithmetic.bits) return product_of_integers(nb, RETC_OP_CONTRACT_SCALED, x, tensor);
      return retc_build_contract(&nb->builder, "btk,nk->btn", x, weight(nb, tensor));
  }
}

static retc_value scaled(retc_network_builder *nb, retc_value x, double scale) {
  if (scale == 1) return x;
  return retc_build_binary(&nb->builder, RETC_OP_MUL, x, retc_build_number(&nb->builder, RETC_DTYPE_F32, scale));
}

static retc_value linear(retc_network_builder *nb, retc_value x, const retc_network_linear *tensors) {
  retc_value y = product_of(nb, x, &tensors->weight);
  if (!tensors->bias.name) return y;
  return retc_build_binary(&nb->builder, RETC_OP_ADD, y, weight(nb, &tensors->bias));
}

static retc_value norm(retc_network_builder *nb, retc_value x, const retc_network_norm *n) {
  if (n->kind == RETC_NORM_NONE) return x;
  retc_value inputs[3] = {x, {0}, {0}};
  int count = 1;
  if (n->weight.name) inputs[count++] = weight(nb, &n->weight);
  if (n->weight.name && n->bias.name) inputs[count++] = weight(nb, &n->bias);
  retc_attributes attributes = {.number = n->eps};
  retc_op op = n->kind == RETC_NORM_RMS ? RETC_OP_RMS_NORM : RETC_OP_LAYER_NORM;
  return retc_graph_add(&nb->builder, op, inputs, count, NULL, &attributes);
}

static retc_value split_heads(retc_network_builder *nb, retc_value x, int64_t heads, int64_t width) {
  retc_shape shape = RETC_SHAPE(B, T, heads, width);
  return retc_build_reshape(&nb->builder, x, &shape);
}

retc_layer_states retc_network_build_states(retc_network_builder *nb, int64_t layer) {
  const retc_network *network = nb->network;
  int64_t chunk = nb->options.chunk_length;
  retc_shape shapes[3] = {
      RETC_SHAPE(B, network->heads, network->key_width, network->value_width),
      RETC_SHAPE(B, chunk, network->key_value_heads, network->key_width),
      RETC_SHAPE(B, chunk, network->key_value_heads, network->value_width),
  };
  static const char *const names[3] = {"S", "pending_k", "pending_v"};
  retc_layer_states states;
  for (int i = 0; i < 3; i++) {
    states.names[i] = retc_arena_printf(&nb->builder.graph->arena, "%s.%lld", names[i], (long long)layer);
    states.values[i] = retc_build_input(&nb->builder, "state", states.names[i], RETC_DTYPE_F32, &shapes[i]);
  }
  return states;
}

/* q, k: feature map and scale. Both before the rotation, with which the scale commutes up to rounding. */
static retc_value build_query_or_key(retc_network_builder *nb, retc_value y, const retc_network_linear *tensors,
                                     double scale, int64_t heads) {
  retc_value x = linear(nb, y, tensors);
  if (nb->network->feature_map != RETC_OP_INPUT) x = retc_build_unary(&nb->builder, nb->network->feature_map, x);
  return split_heads(nb, scaled(nb, x, scale), heads, nb->network->key_width);
}

static retc_value build_retention(retc_network_builder *nb, retc_value y, int64_t index) {
  const retc_network *network = nb->network;
  const retc_network_layer *layer = &network->layer[index];
  retc_builder *b = &nb->builder;
  set_origin(nb, index, "query");
  retc_value q = build_query_or_key(nb, y, &layer->query, network->query_scale, network->heads);
  set_origin(nb, index, "key");
  retc_value k = build_query_or_key(nb, y, &layer->key, network->key_scale, network->key_value_heads);
  set_origin(nb, index, "value");
  retc_value v = split_heads(nb, linear(nb, y, &layer->value), network->key_value_heads, network->value_width);
  set_origin(nb, index, "retention");
  if (nb->options.padded && nb->options.form != RETC_FORM_CHUNKWISE) {
    k = retc_build_binary(b, RETC_OP_MUL, k, retc_network_build_mask(nb));
  }
  retc_layer_states states = retc_network_build_states(nb, index);
  retc_shape pairs = RETC_SHAPE(network->key_width / 2);
  retc_value theta = retc_build_dense(b, RETC_DTYPE_F64, &pairs, layer->theta, (size_t)network->key_width / 2);
  retc_graph_set_name(b->graph, theta, "theta");
  retc_value inputs[9] = {q,     k, v, nb->log_decay, theta, nb->position, states.values[0], states.values[1],
                          states.values[2]};
  retc_attributes attributes = {.integer = {nb->options.chunk_length}, .word = network->rotation_pairs};
  retc_value o = retc_graph_add(b, RETC_OP_RETENTION, inputs, 9, NULL, &attributes);
  for (int i = 0; i < 3; i++) retc_graph_add_output(b->graph, states.names[i], retc_build_part(b, o, i + 1));
  o = retc_network_build_normaliser(nb, o, inputs, &attributes);

  set_origin(nb, index, "head_norm");
  retc_shape flat = RETC_SHAPE(B, T, network->heads * network->value_width);
  retc_value u = retc_build_reshape(b, norm(nb, o, &layer->head_norm), &flat);
  if (layer->gate.weight.name) {
    set_origin(nb, index, "gate");
    u = retc_build_binary(b, RETC_OP_MUL, u,
                          retc_build_unary(b, network->gate_activation, linear(nb, y, &layer->gate)));
  }
  set_origin(nb, index, "output");
  return linear(nb, u, &layer->output);
}

static retc_value build_feed_forward(retc_network_builder *nb, retc_value y, int64_t index) {
  const retc_network_layer *layer = &nb->network->layer[index];
  retc_builder *b = &nb->builder;
  set_origin(nb, index, "feed_up");
  retc_value inner = linear(nb, y, &layer->feed_up);
  if (layer->feed_gate.weight.name) {
    set_origin(nb, index, "feed_gate");
    retc_value gate = retc_build_unary(b, nb->network->activation, linear(nb, y, &layer->feed_gate));
    inner = retc_build_binary(b, RETC_OP_MUL, gate, inner);
  } else {
    inner = norm(nb, retc_build_unary(b, nb->network->activation, inner), &layer->inner_norm);
  }
  set_origin(nb, index, "feed_down");
  return linear(nb, inner, &layer->feed_down);
}

typedef retc_value build_branch(retc_network_builder *nb, retc_value y, int64_t index);

/* One half of a layer: the branch, its norm where norm_place says, and the residual. */
static retc_value build_block(retc_network_builder *nb, retc_value x, int64_t index, const char *name,
                              const retc_network_norm *n, build_branch *branch) {
  retc_norm_place place = nb->network->norm_place;
  retc_value residual = scaled(nb, x, nb->network->residual_scale), y = x;
  set_origin(nb, index, name);
  if (place == RETC_PLACE_BEFORE) y = norm(nb, x, n);
  y = branch(nb, y, index);
  if (place == RETC_PLACE_BRANCH) {
    set_origin(nb, index, name);
    y = norm(nb, y, n);
  }
  retc_value sum = retc_build_binary(&nb->builder, RETC_OP_ADD, residual, y);
  if (place != RETC_PLACE_AFTER) return sum;
  set_origin(nb, index, name);
  return norm(nb, sum, n);
}

void retc_network_builder_init(retc_network_builder *nb, const retc_network *network,
                               const retc_network_options *options, const char *name, retc_diagnostics *diagnostics) {
  *nb = (retc_network_builder){.network = network, .options = *options};
  nb->builder = (retc_builder){.graph = retc_graph_create(name), .diagnostics = diagnostics};
  retc_shape scalar = {.rank = 0}, heads = RETC_SHAPE(network->heads);
  nb->position = retc_build_input(&nb->builder, "input", "P", RETC_DTYPE_I64, &scalar);
  nb->log_decay = retc_build_dense(&nb->builder, RETC_DTYPE_F64, &heads, network->log_decay, (size_t)network->heads);
  retc_graph_set_name(nb->builder.graph, nb->log_decay, "log_decay");
}

static retc_status finish(retc_network_builder *nb, retc_graph **out_graph) {
  if (nb->builder.status != RETC_OK) {
    retc_graph_destroy(nb->builder.graph);
    return nb->builder.status;
  }
  *out_graph = nb->builder.graph;
  return RETC_OK;
}

static void build_step(retc_network_builder *nb) {
  const retc_network *network = nb->network;
  set_origin(nb, -1, "embedding");
  retc_shape shape = RETC_SHAPE(B, T);
  retc_value tokens = retc_build_input(&nb->builder, "input", "tokens", RETC_DTYPE_I64, &shape);
  retc_value inputs[2] = {weight(nb, &network->embedding), tokens};
  retc_value x = retc_graph_add(&nb->builder, RETC_OP_GATHER, inputs, 2, NULL, NULL);
  x = norm(nb, scaled(nb, x, network->embedding_scale), &network->embedding_norm);
  x = retc_network_build_end(nb, x);
  for (int64_t i = 0; i < network->layers; i++) {
    const retc_network_layer *layer = &network->layer[i];
    x = build_block(nb, x, i, "retention_norm", &layer->retention_norm, build_retention);
    x = build_block(nb, x, i, "feed_norm", &layer->feed_norm, build_feed_forward);
  }
  set_origin(nb, -1, "final_norm");
  x = norm(nb, retc_build_unary(&nb->builder, RETC_OP_TAIL, x), &network->final_norm);
  set_origin(nb, -1, "head");
  retc_graph_add_output(nb->builder.graph, "logits", linear(nb, x, &network->head));
}

static void build_state(retc_network_builder *nb) {
  for (int64_t i = 0; i < nb->network->layers; i++) {
    set_origin(nb, i, "state");
    retc_layer_states states = retc_network_build_states(nb, i);
    retc_value inputs[5] = {states.values[0], states.values[1], states.values[2], nb->log_decay, nb->position};
    retc_attributes attributes = {.integer = {nb->options.chunk_length}};
    retc_value state = retc_graph_add(&nb->builder, RETC_OP_FLUSH, inputs, 5, NULL, &attributes);
    retc_network_build_upstream_state(nb, i, state);
  }
}

retc_status retc_network_build(const retc_network *network, const retc_network_options *options,
                               retc_diagnostics *diagnostics, retc_graph **out_step, retc_graph **out_state) {
  retc_network_builder nb;
  retc_network_builder_init(&nb, network, options, "step", diagnostics);
  build_step(&nb);
  RETC_TRY(finish(&nb, out_step));
  retc_network_builder_init(&nb, network, options, "state", diagnostics);
  build_state(&nb);
  retc_status status = finish(&nb, out_state);
  if (status != RETC_OK) retc_graph_destroy(*out_step);
  return status;
}
