#include "ir/graph_eval.h"

#include <stdlib.h>
#include <string.h>

#include "ir/graph_eval_ops.h"
#include "ir/graph_internal.h"

int64_t retc_tensor_count(const retc_tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->rank; i++) count *= tensor->dim[i];
  return count;
}

retc_status retc_tensor_init(retc_tensor *tensor, const retc_shape *shape, const retc_dims *dims,
                             retc_diagnostics *diagnostics) {
  *tensor = (retc_tensor){.rank = shape->rank};
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    int64_t dim = tensor->dim[i] = retc_dim_value(shape->dim[i], dims);
    if (dim < 0) return retc_fail(diagnostics, RETC_INVALID, "a tensor has an axis of size %lld", (long long)dim);
    if (dim > 0 && count > INT64_MAX / (int64_t)sizeof(double) / dim) {
      return retc_fail(diagnostics, RETC_FAILED, "a tensor has too many elements for this machine");
    }
    count *= dim;
  }
  tensor->data = calloc(count ? (size_t)count : 1, sizeof(double));
  if (tensor->data) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "memory for %lld numbers refused", (long long)count);
}

void retc_tensor_deinit(retc_tensor *tensor) {
  free(tensor->data);
  *tensor = (retc_tensor){0};
}

/* A node's results while somebody needs them. */
typedef struct value {
  retc_tensor results[RETC_PARTS_MAX];
  bool lent;     /* by the caller: not ours to free */
  uint32_t uses; /* by nodes and outputs still to come; 0: not needed at all, or no longer */
} value;

typedef struct evaluation {
  const retc_graph *graph;
  const retc_dims *dims;
  retc_eval_input input;
  void *user;
  retc_diagnostics *diagnostics;
  value *values;
} evaluation;

static void clear_value(value *v) {
  for (int i = 0; i < RETC_PARTS_MAX; i++) {
    if (v->lent) v->results[i] = (retc_tensor){0};
    retc_tensor_deinit(&v->results[i]);
  }
}

static void release(evaluation *ev, retc_value used) {
  value *v = &ev->values[used.index];
  if (--v->uses == 0) clear_value(v);
}

/* Counts the uses that lead to an output. */
static void count_uses(evaluation *ev) {
  const retc_graph *graph = ev->graph;
  for (size_t i = 0; i < graph->outputs.count; i++) ev->values[graph->outputs.items[i].value.index].uses++;
  for (size_t i = graph->nodes.count; i-- > 1;) {
    const retc_node *node = &graph->nodes.items[i];
    for (int k = 0; k < node->input_count && ev->values[i].uses; k++) ev->values[node->inputs[k].index].uses++;
  }
}

static retc_status eval_input(evaluation *ev, const retc_node *node, value *v) {
  const retc_tensor *given = NULL;
  if (!ev->input(ev->user, node->name, &node->type, ev->dims, &given)) {
    return retc_fail(ev->diagnostics, RETC_INVALID, "input %s is not given", node->name);
  }
  bool fits = given->rank == node->type.shape.rank;
  for (int i = 0; fits && i < given->rank; i++) {
    fits = given->dim[i] == retc_dim_value(node->type.shape.dim[i], ev->dims);
  }
  v->results[0] = *given;
  v->lent = true;
  if (fits) return RETC_OK;
  retc_text type;
  retc_text_init(&type);
  retc_type_print(&node->type, &type);
  retc_status status = retc_fail(ev->diagnostics, RETC_INVALID, "input %s: what is given has another shape than %s",
                                 node->name, type.data);
  retc_text_deinit(&type);
  return status;
}

static void fill(const retc_node *node, retc_tensor *tensor) {
  int64_t count = retc_tensor_count(tensor);
  for (int64_t i = 0; i < count; i++) tensor->data[i] = retc_constant_at(node, (size_t)i);
}

static void copy(const retc_tensor *from, retc_tensor *to) {
  memcpy(to->data, from->data, sizeof *to->data * (size_t)retc_tensor_count(to));
}

static retc_status eval_node(evaluation *ev, const retc_node *node, value *v) {
  if (node->op == RETC_OP_INPUT) return eval_input(ev, node, v);
  retc_eval_call call = {.graph = ev->graph, .node = node, .dims = ev->dims, .diagnostics = ev->diagnostics};
  for (int i = 0; i < node->input_count; i++) call.inputs[i] = &ev->values[node->inputs[i].index].results[0];
  RETC_TRY(retc_tensor_init(&v->results[0], &node->type.shape, ev->dims, ev->diagnostics));
  if (node->op == RETC_OP_CONST) {
    fill(node, &v->results[0]);
    return RETC_OK;
  }
  if (node->op == RETC_OP_PART) {
    copy(&ev->values[node->inputs[0].index].results[node->attributes.integer[0]], &v->results[0]);
    return RETC_OK;
  }
  for (int i = 1; i < RETC_PARTS_MAX; i++) {
    int input = retc_part_input(node->op, i);
    if (input < 0) break;
    const retc_shape *shape = &retc_graph_node(ev->graph, node->inputs[input])->type.shape;
    RETC_TRY(retc_tensor_init(&v->results[i], shape, ev->dims, ev->diagnostics));
  }
  return retc_op_eval(&call, v->results);
}

static retc_status eval_nodes(evaluation *ev) {
  for (size_t i = 1; i < ev->graph->nodes.count; i++) {
    const retc_node *node = &ev->graph->nodes.items[i];
    if (!ev->values[i].uses) continue;
    RETC_TRY(eval_node(ev, node, &ev->values[i]));
    for (int k = 0; k < node->input_count; k++) release(ev, node->inputs[k]);
  }
  return RETC_OK;
}

static retc_status copy_outputs(evaluation *ev, retc_tensor *out_outputs) {
  for (size_t i = 0; i < ev->graph->outputs.count; i++) {
    retc_value from = ev->graph->outputs.items[i].value;
    const retc_shape *shape = &retc_graph_node(ev->graph, from)->type.shape;
    RETC_TRY(retc_tensor_init(&out_outputs[i], shape, ev->dims, ev->diagnostics));
    copy(&ev->values[from.index].results[0], &out_outputs[i]);
    release(ev, from);
  }
  return RETC_OK;
}

retc_status retc_graph_eval(const retc_graph *graph, const retc_dims *dims, retc_eval_input input, void *user,
                            retc_diagnostics *diagnostics, retc_tensor *out_outputs) {
  for (size_t i = 0; i < graph->outputs.count; i++) out_outputs[i] = (retc_tensor){0};
  evaluation ev = {graph, dims, input, user, diagnostics, calloc(graph->nodes.count, sizeof *ev.values)};
  if (!ev.values) return retc_fail(diagnostics, RETC_FAILED, "memory for %zu values refused", graph->nodes.count);
  count_uses(&ev);
  retc_status status = eval_nodes(&ev);
  if (status == RETC_OK) status = copy_outputs(&ev, out_outputs);
  for (size_t i = 0; i < graph->nodes.count; i++) clear_value(&ev.values[i]);
  free(ev.values);
  for (size_t i = 0; status != RETC_OK && i < graph->outputs.count; i++) retc_tensor_deinit(&out_outputs[i]);
  return status;
}
