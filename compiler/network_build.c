#include <string.h>

#include "compiler/network.h"

/* State inputs of a layer, and their names. */
typedef struct layer_states {
  const char *names[3];
  retc_value values[3]; /* S, pending_k, pending_v */
} layer_states;

typedef struct network_builder {
  const retc_network *network;
  retc_builder builder;
  int64_t chunk_length;
  retc_value position, theta, log_decay;
} network_builder;

static retc_shape shape_of(int rank, const retc_dim *dims) {
  retc_shape shape = {.rank = rank};
  memcpy(shape.dim, dims, sizeof(retc_dim) * (size_t)rank);
  return shape;
}
#define SHAPE(...) shape_of((int)(sizeof((retc_dim[]){__VA_ARGS__}) / sizeof(retc_dim)), (retc_dim[]){__VA_ARGS__})
#define B RETC_NAMED(B)
#define T RETC_NAMED(T)

static void set_origin(network_builder *nb, int64_t layer, const char *part) {
  nb->builder.origin = layer < 0 ? part
                                 : retc_arena_printf(&nb->builder.graph->arena, "layers.%lld.%s", (long long)layer, part);
}

static retc_value weight(network_builder *nb, const retc_network_tensor *tensor) {
  retc_shape shape = shape_of(tensor->rank, tensor->dim);
  return retc_build_input(&nb->builder, "weight", tensor->name, tensor->dtype, &shape);
}

static retc_value linear(network_builder *nb, retc_value x, const retc_network_tensor *tensor) {
  return retc_build_contract(&nb->builder, "btk,nk->btn", x, weight(nb, tensor));
}

static retc_value norm(network_builder *nb, retc_value x, const retc_network_tensor *tensor) {
  retc_value inputs[2] = {x, {0}};
  if (tensor->name) inputs[1] = weight(nb, tensor);
  retc_attributes attributes = {.number = nb->network->norm_eps};
  return retc_graph_add(&nb->builder, RETC_OP_RMS_NORM, inputs, tensor->name ? 2 : 1, NULL, &attributes);
}

static retc_value split_heads(network_builder *nb, retc_value x, int64_t heads, int64_t width) {
  retc_shape shape = SHAPE(B, T, heads, width);
  return retc_build_reshape(&nb->builder, x, &shape);
}

static layer_states build_states(network_builder *nb, int64_t layer) {
  const retc_network *network = nb->network;
  retc_shape shapes[3] = {
      SHAPE(B, network->heads, network->key_width, network->value_width),
      SHAPE(B, nb->chunk_length, network->key_value_heads, network->key_width),
      SHAPE(B, nb->chunk_length, network->key_value_heads, network->value_width),
  };
  static const char *const names[3] = {"S", "pending_k", "pending_v"};
  layer_states states;
  for (int i = 0; i < 3; i++) {
    states.names[i] = retc_arena_printf(&nb->builder.graph->arena, "%s.%lld", names[i], (long long)layer);
    states.values[i] = retc_build_input(&nb->builder, "state", states.names[i], RETC_DTYPE_F32, &shapes[i]);
  }
  return states;
}

/* q, k: feature map, and the scale on q. Both before the rotation, with which they commute up to rounding. */
static retc_value build_query_or_key(network_builder *nb, retc_value y, const retc_network_tensor *tensor, double scale) {
  retc_value x = linear(nb, y, tensor);
  if (nb->network->feature_map != RETC_OP_INPUT) x = retc_build_unary(&nb->builder, nb->network->feature_map, x);
  if (scale == 1) return x;
  return retc_build_binary(&nb->builder, RETC_OP_MUL, x, retc_build_number(&nb->builder, RETC_DTYPE_F32, scale));
}

static retc_value build_retention(network_builder *nb, retc_value y, int64_t index) {
  const retc_network *network = nb->network;
  const retc_network_layer *layer = &network->layer[index];
  set_origin(nb, index, "query");
  retc_value q = build_query_or_key(nb, y, &layer->query, network->query_scale);
  q = split_heads(nb, q, network->heads, network->key_width);
  set_origin(nb, index, "key");
  retc_value k = build_query_or_key(nb, y, &layer->key, 1);
  k = split_heads(nb, k, network->key_value_heads, network->key_width);
  set_origin(nb, index, "value");
  retc_value v = split_heads(nb, linear(nb, y, &layer->value), network->key_value_heads, network->value_width);
  set_origin(nb, index, "retention");
  layer_states states = build_states(nb, index);
  retc_value inputs[9] = {q,           k, v, nb->log_decay, nb->theta, nb->position, states.values[0], states.values[1],
                          states.values[2]};
  retc_attributes attributes = {.integer = {nb->chunk_length}, .word = network->rotation_pairs};
  retc_value o = retc_graph_add(&nb->builder, RETC_OP_RETENTION, inputs, 9, NULL, &attributes);
  for (int i = 0; i < 3; i++) {
    retc_graph_add_output(nb->builder.graph, states.names[i], retc_build_part(&nb->builder, o, i + 1));
  }
  set_origin(nb, index, "head_norm");
  retc_shape flat = SHAPE(B, T, network->heads * network->value_width);
  retc_value u = retc_build_reshape(&nb->builder, norm(nb, o, &layer->head_norm), &flat);
  if (!network->output_gate) return u;
  set_origin(nb, index, "gate");
  retc_value gate = retc_build_unary(&nb->builder, network->gate_activation, linear(nb, y, &layer->gate));
  return retc_build_binary(&nb->builder, RETC_OP_MUL, u, gate);
}

static retc_value build_layer(network_builder *nb, retc_value x, int64_t index) {
  const retc_network_layer *layer = &nb->network->layer[index];
  set_origin(nb, index, "retention_norm");
  retc_value u = build_retention(nb, norm(nb, x, &layer->retention_norm), index);
  set_origin(nb, index, "output");
  x = retc_build_binary(&nb->builder, RETC_OP_ADD, x, linear(nb, u, &layer->output));
  set_origin(nb, index, "feed_norm");
  retc_value y = norm(nb, x, &layer->feed_norm);
  set_origin(nb, index, "feed_up");
  retc_value up = linear(nb, y, &layer->feed_up);
  set_origin(nb, index, "feed_gate");
  retc_value gate = retc_build_unary(&nb->builder, nb->network->activation, linear(nb, y, &layer->feed_gate));
  retc_value inner = retc_build_binary(&nb->builder, RETC_OP_MUL, gate, up);
  set_origin(nb, index, "feed_down");
  return retc_build_binary(&nb->builder, RETC_OP_ADD, x, linear(nb, inner, &layer->feed_down));
}

static void init(network_builder *nb, const retc_network *network, int64_t chunk_length, const char *name,
                 retc_diagnostics *diagnostics) {
  *nb = (network_builder){.network = network, .chunk_length = chunk_length};
  nb->builder = (retc_builder){.graph = retc_graph_create(name), .diagnostics = diagnostics};
  retc_shape scalar = {.rank = 0}, heads = SHAPE(network->heads), pairs = SHAPE(network->key_width / 2);
  nb->position = retc_build_input(&nb->builder, "input", "P", RETC_DTYPE_I64, &scalar);
  nb->log_decay =
      retc_build_dense(&nb->builder, RETC_DTYPE_F64, &heads, network->log_decay, (size_t)network->heads);
  nb->theta =
      retc_build_dense(&nb->builder, RETC_DTYPE_F64, &pairs, network->theta, (size_t)network->key_width / 2);
  retc_graph_set_name(nb->builder.graph, nb->log_decay, "log_decay");
  retc_graph_set_name(nb->builder.graph, nb->theta, "theta");
}

static retc_status finish(network_builder *nb, retc_graph **out_graph) {
  if (nb->builder.status != RETC_OK) {
    retc_graph_destroy(nb->builder.graph);
    return nb->builder.status;
  }
  *out_graph = nb->builder.graph;
  return RETC_OK;
}

static retc_status build_step(const retc_network *network, int64_t chunk_length, retc_diagnostics *diagnostics,
                              retc_graph **out_graph) {
  network_builder nb;
  init(&nb, network, chunk_length, "step", diagnostics);
  set_origin(&nb, -1, "embedding");
  retc_shape shape = SHAPE(B, T);
  retc_value tokens = retc_build_input(&nb.builder, "input", "tokens", RETC_DTYPE_I64, &shape);
  retc_value inputs[2] = {weight(&nb, &network->embedding), tokens};
  retc_value x = retc_graph_add(&nb.builder, RETC_OP_GATHER, inputs, 2, NULL, NULL);
  for (int64_t i = 0; i < network->layers; i++) x = build_layer(&nb, x, i);
  set_origin(&nb, -1, "final_norm");
  x = norm(&nb, retc_build_unary(&nb.builder, RETC_OP_TAIL, x), &network->final_norm);
  set_origin(&nb, -1, "head");
  retc_graph_add_output(nb.builder.graph, "logits", linear(&nb, x, &network->head));
  return finish(&nb, out_graph);
}

static retc_status build_state(const retc_network *network, int64_t chunk_length, retc_diagnostics *diagnostics,
                               retc_graph **out_graph) {
  network_builder nb;
  init(&nb, network, chunk_length, "state", diagnostics);
  for (int64_t i = 0; i < network->layers; i++) {
    set_origin(&nb, i, "state");
    layer_states states = build_states(&nb, i);
    retc_value inputs[5] = {states.values[0], states.values[1], states.values[2], nb.log_decay, nb.position};
    retc_attributes attributes = {.integer = {chunk_length}};
    retc_value state = retc_graph_add(&nb.builder, RETC_OP_FLUSH, inputs, 5, NULL, &attributes);
    const char *name = retc_arena_printf(&nb.builder.graph->arena, "state_%lld", (long long)i);
    retc_graph_add_output(nb.builder.graph, name, state);
  }
  return finish(&nb, out_graph);
}

retc_status retc_network_build(const retc_network *network, int64_t chunk_length, retc_diagnostics *diagnostics,
                               retc_graph **out_step, retc_graph **out_state) {
  RETC_TRY(build_step(network, chunk_length, diagnostics, out_step));
  retc_status status = build_state(network, chunk_length, diagnostics, out_state);
  if (status != RETC_OK) retc_graph_destroy(*out_step);
  return status;
}
