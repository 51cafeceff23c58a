#include <math.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"

/* Folding a constant makes its elements one by one; a larger one is left to the program. */
enum { ELEMENTS_MAX = 1 << 16, POINTWISE_INPUTS_MAX = 3 };

static const double sqrt_half = 0.70710678118654752440;

double retc_dtype_round(retc_dtype dtype, double value) {
  uint64_t bits = 0;
  retc_dtype_store(dtype, &bits, 0, value);
  return retc_dtype_load(dtype, &bits, 0);
}

double retc_constant_at(const retc_node *node, size_t index) {
  const retc_dtype dtype = node->type.dtype;
  const double value = node->attributes.dense[node->attributes.dense_count == 1 ? 0 : index];
  return dtype == RETC_DTYPE_F16 || dtype == RETC_DTYPE_BF16 ? retc_dtype_round(dtype, value) : value;
}

double retc_pointwise_eval(const retc_node *node, const double *in) {
  const double a = in[0], b = node->input_count > 1 ? in[1] : 0;
  switch (node->op) {
    case RETC_OP_ADD: return a + b;
    case RETC_OP_SUB: return a - b;
    case RETC_OP_MUL: return a * b;
    case RETC_OP_DIV: return a / b;
    case RETC_OP_MIN: return a < b ? a : b;
    case RETC_OP_MAX: return a > b ? a : b;
    case RETC_OP_POW: return pow(a, b);
    case RETC_OP_NEG: return -a;
    case RETC_OP_ABS: return fabs(a);
    case RETC_OP_SQRT: return sqrt(a);
    case RETC_OP_RSQRT: return 1 / sqrt(a);
    case RETC_OP_FLOOR: return floor(a);
    case RETC_OP_EXP: return exp(a);
    case RETC_OP_LOG: return log(a);
    case RETC_OP_SIN: return sin(a);
    case RETC_OP_COS: return cos(a);
    case RETC_OP_TANH: return tanh(a);
    case RETC_OP_SIGMOID: return 1 / (1 + exp(-a));
    case RETC_OP_RELU: return a > 0 ? a : 0;
    case RETC_OP_SILU: return a / (1 + exp(-a));
    case RETC_OP_GELU: return a * (1 + erf(a * sqrt_half)) / 2;
    case RETC_OP_LESS: return a < b;
    case RETC_OP_LESS_EQUAL: return a <= b;
    case RETC_OP_EQUAL: return a == b;
    case RETC_OP_AND: return a != 0 && b != 0;
    case RETC_OP_OR: return a != 0 || b != 0;
    case RETC_OP_NOT: return a == 0;
    case RETC_OP_SELECT: return a != 0 ? b : in[2];
    case RETC_OP_COPY: return a;
    case RETC_OP_CAST: return retc_dtype_round(node->type.dtype, a);
    default: return NAN;
  }
}

static bool is_filled_with(const retc_graph *graph, retc_value value, double number) {
  const retc_node *node = retc_graph_node(graph, value);
  if (node->op != RETC_OP_CONST) return false;
  for (size_t i = 0; i < node->attributes.dense_count; i++) {
    if (retc_constant_at(node, i) != number) return false;
  }
  return true;
}

static bool has_type(const retc_graph *graph, retc_value value, const retc_type *type) {
  const retc_type *own = &retc_graph_node(graph, value)->type;
  return own->dtype == type->dtype && retc_shape_equal(&own->shape, &type->shape);
}

/* x op neutral = x, and neutral op x = x when the operation commutes. */
static retc_value fold_neutral(const retc_graph *graph, const retc_node *node) {
  static const struct {
    retc_op op;
    double neutral;
  } rows[] = {{RETC_OP_ADD, 0}, {RETC_OP_SUB, 0}, {RETC_OP_MUL, 1}, {RETC_OP_DIV, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].op != node->op) continue;
    const bool commutes = retc_op_get_info(node->op)->traits & RETC_TRAIT_COMMUTES;
    for (int side = commutes ? 0 : 1; side < 2; side++) {
      retc_value kept = node->inputs[1 - side];
      if (is_filled_with(graph, node->inputs[side], rows[i].neutral) && has_type(graph, kept, &node->type)) return kept;
    }
  }
  return (retc_value){0};
}

/* Of two transposes. */
static bool same_axes(const retc_node *a, const retc_node *b) {
  const int64_t *x = a->attributes.integer, *y = b->attributes.integer;
  return (x[0] == y[0] && x[1] == y[1]) || (x[0] == y[1] && x[1] == y[0]);
}

/* Operations that give back their input, or their input's. */
static retc_value fold_identity(retc_builder *builder, const retc_node *node) {
  const retc_value none = {0}, a = node->inputs[0];
  const retc_node *input = retc_graph_node(builder->graph, a);
  switch (node->op) {
    case RETC_OP_NEG: return input->op == RETC_OP_NEG ? input->inputs[0] : none;
    case RETC_OP_CAST: return has_type(builder->graph, a, &node->type) ? a : none;
    case RETC_OP_REPEAT: return node->attributes.integer[1] == 1 ? a : none;
    case RETC_OP_SLICE: return has_type(builder->graph, a, &node->type) ? a : none;
    case RETC_OP_TRANSPOSE:
      if (node->attributes.integer[0] == node->attributes.integer[1]) return a;
      return input->op == RETC_OP_TRANSPOSE && same_axes(node, input) ? input->inputs[0] : none;
    case RETC_OP_PART: return node->attributes.integer[0] == 0 ? a : none;
    case RETC_OP_RESHAPE:
      if (has_type(builder->graph, a, &node->type)) return a;
      return input->op == RETC_OP_RESHAPE ? retc_build_reshape(builder, input->inputs[0], &node->type.shape) : none;
    default: return none;
  }
}

/* The element of `from` that element `index` of `to` is made of. */
static size_t broadcast_index(const retc_shape *from, const retc_shape *to, size_t index) {
  size_t found = 0, stride = 1;
  for (int i = 1; i <= from->rank; i++) {
    size_t extent = (size_t)to->dim[to->rank - i], own = (size_t)from->dim[from->rank - i];
    if (own != 1) found += index % extent * stride;
    stride *= own;
    index /= extent;
  }
  return found;
}

/* How many numbers the result of constants has: one when each is one number, else one for each element; 0 when these
 * are unknown or too many. */
static size_t count_elements(const retc_graph *graph, const retc_node *node) {
  bool single = true;
  for (int i = 0; i < node->input_count; i++) {
    single = single && retc_graph_node(graph, node->inputs[i])->attributes.dense_count == 1;
  }
  if (single) return 1;
  int64_t count = 1;
  for (int i = 0; i < node->type.shape.rank; i++) {
    if (retc_dim_is_named(node->type.shape.dim[i])) return 0;
    count *= node->type.shape.dim[i];
  }
  return count <= ELEMENTS_MAX ? (size_t)count : 0;
}

static retc_value fold_constants(retc_builder *builder, const retc_node *node) {
  retc_graph *graph = builder->graph;
  const retc_node *inputs[POINTWISE_INPUTS_MAX] = {0};
  for (int i = 0; i < node->input_count; i++) {
    inputs[i] = retc_graph_node(graph, node->inputs[i]);
    if (inputs[i]->op != RETC_OP_CONST) return (retc_value){0};
  }
  size_t count = count_elements(graph, node);
  if (!count) return (retc_value){0};
  double *values = RETC_NEW_ARRAY(&graph->arena, double, count);
  for (size_t x = 0; x < count; x++) {
    double operands[POINTWISE_INPUTS_MAX] = {0};
    for (int i = 0; i < node->input_count; i++) {
      size_t at = 0;
      if (inputs[i]->attributes.dense_count > 1) at = broadcast_index(&inputs[i]->type.shape, &node->type.shape, x);
      operands[i] = retc_constant_at(inputs[i], at);
    }
    values[x] = retc_dtype_round(node->type.dtype, retc_pointwise_eval(node, operands));
  }
  return retc_build_dense(builder, node->type.dtype, &node->type.shape, values, count);
}

retc_value retc_graph_fold(retc_builder *builder, const retc_node *node) {
  if (node->input_count == 0) return (retc_value){0};
  retc_value folded = {0};
  if ((retc_op_get_info(node->op)->traits & RETC_TRAIT_POINTWISE) && node->op != RETC_OP_COPY) {
    folded = fold_constants(builder, node);
    if (!folded.index) folded = fold_neutral(builder->graph, node);
  }
  return folded.index ? folded : fold_identity(builder, node);
}
