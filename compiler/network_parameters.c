#include "compiler/network_parameters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct list {
  retc_arena *arena;
  RETC_VEC(retc_network_parameter) items;
} list;

static void add(list *l, const retc_network_tensor *tensor, retc_parameter_role role) {
  const retc_network_parameter parameter = {tensor, role};
  if (tensor->name) RETC_VEC_PUSH(l->arena, l->items, parameter);
}

static void add_norm(list *l, const retc_network_norm *norm) {
  add(l, &norm->weight, RETC_PARAMETER_SCALE);
  add(l, &norm->bias, RETC_PARAMETER_BIAS);
}

static void add_linear(list *l, const retc_network_linear *linear) {
  add(l, &linear->weight, RETC_PARAMETER_MATRIX);
  add(l, &linear->bias, RETC_PARAMETER_BIAS);
}

static void add_layer(list *l, const retc_network_layer *layer) {
  const retc_network_norm *norms[] = {&layer->retention_norm, &layer->head_norm, &layer->feed_norm,
                                      &layer->inner_norm};
  const retc_network_linear *linears[] = {&layer->query,  &layer->key,       &layer->value,   &layer->gate,
                                          &layer->output, &layer->feed_gate, &layer->feed_up, &layer->feed_down};
  for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++) add_norm(l, norms[i]);
  for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) add_linear(l, linears[i]);
}

/* An embedding that is the output's matrix, too, comes first. */
static int compare(const void *a, const void *b) {
  const retc_network_parameter *x = a, *y = b;
  int order = strcmp(x->tensor->name, y->tensor->name);
  return order ? order : (int)x->role - (int)y->role;
}

size_t retc_network_parameters(const retc_network *network, retc_arena *arena,
                               const retc_network_parameter **out_parameters) {
  list l = {.arena = arena};
  add(&l, &network->embedding, RETC_PARAMETER_EMBEDDING);
  add_norm(&l, &network->embedding_norm);
  add_norm(&l, &network->final_norm);
  add_linear(&l, &network->head);
  for (int64_t i = 0; i < network->layers; i++) add_layer(&l, &network->layer[i]);
  qsort(l.items.items, l.items.count, sizeof *l.items.items, compare);
  size_t count = 0;
  for (size_t i = 0; i < l.items.count; i++) {
    if (count && !strcmp(l.items.items[i].tensor->name, l.items.items[count - 1].tensor->name)) continue;
    l.items.items[count++] = l.items.items[i];
  }
  *out_parameters = l.items.items;
  return count;
}

int64_t retc_network_tensor_elements(const retc_network_tensor *tensor) {
  return tensor->rank == 2 ? tensor->dim[0] * tensor->dim[1] : tensor->dim[0];
}

static retc_random_numbers numbers_of(const retc_network *network, const retc_network_parameter *parameter) {
  const double unit = sqrt(3); /* uniform in +-sqrt(3) has variance 1 */
  retc_random_numbers numbers = {0};
  switch (parameter->role) {
    case RETC_PARAMETER_EMBEDDING: numbers.spread = (float)(unit / network->embedding_scale); break;
    case RETC_PARAMETER_MATRIX: numbers.spread = (float)(unit / sqrt((double)parameter->tensor->dim[1])); break;
    case RETC_PARAMETER_BIAS: numbers.spread = 0.1f; break;
    case RETC_PARAMETER_SCALE: numbers.mean = 1; break;
  }
  if (parameter->role != RETC_PARAMETER_EMBEDDING || !network->head.weight.name) return numbers;
  if (!strcmp(network->head.weight.name, parameter->tensor->name)) {
    numbers.spread = (float)(unit / sqrt((double)parameter->tensor->dim[1]));
  }
  return numbers;
}

retc_status retc_network_randomize(const retc_network *network, const char *path, uint64_t seed,
                                   retc_diagnostics *diagnostics, retc_checkpoint **out_checkpoint) {
  retc_arena arena;
  retc_arena_init(&arena);
  const retc_network_parameter *parameters;
  size_t count = retc_network_parameters(network, &arena, &parameters);
  retc_stored_tensor *tensors = RETC_NEW_ARRAY(&arena, retc_stored_tensor, count + 1);
  for (size_t i = 0; i < count; i++) {
    const retc_network_tensor *tensor = parameters[i].tensor;
    tensors[i] = (retc_stored_tensor){.name = tensor->name, .dtype = tensor->dtype, .rank = tensor->rank,
                                      .dim = {tensor->dim[0], tensor->rank == 2 ? tensor->dim[1] : 0},
                                      .random = numbers_of(network, &parameters[i])};
  }
  retc_status status = retc_checkpoint_create_random(path, tensors, count, seed, diagnostics, out_checkpoint);
  retc_arena_deinit(&arena);
  return status;
}
