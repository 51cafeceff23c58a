#include "compiler/lower_plan.h"

#include <string.h>

void retc_plan_writer_begin(retc_plan_writer *writer, const retc_graph *graph, const retc_weight_layout *layouts,
                            const retc_dtype *stored_as) {
  writer->graph = graph;
  writer->layouts = layouts;
  writer->stored_as = stored_as;
  writer->buffer_of = RETC_NEW_ARRAY(writer->arena, int, graph->nodes.count);
  for (size_t i = 0; i < graph->nodes.count; i++) writer->buffer_of[i] = -1;
}

static int find_buffer(const retc_plan_writer *writer, const char *name) {
  return (int)retc_table_find(&writer->names, name, strlen(name)) - 1;
}

/* Under this name, or, when another kind of buffer has it, with a number behind it. */
static int add_buffer(retc_plan_writer *writer, retc_plan_buffer buffer) {
  const char *name = buffer.name;
  for (int i = 1; find_buffer(writer, name) >= 0; i++) {
    name = retc_arena_printf(writer->arena, "%s~%d", buffer.name, i);
  }
  buffer.name = retc_arena_strdup(&writer->plan->arena, name);
  buffer.slot = -1;
  RETC_VEC_PUSH(&writer->plan->arena, writer->plan->buffers, buffer);
  const uint32_t count = (uint32_t)writer->plan->buffers.count;
  retc_table_put(writer->arena, &writer->names, name, strlen(name), count);
  return (int)count - 1;
}

static int constant_buffer(retc_plan_writer *writer, const retc_operand *operand) {
  retc_plan *plan = writer->plan;
  retc_dims none = {{0}};
  size_t count = (size_t)retc_shape_count(&operand->shape, &none), bytes = count * retc_dtype_size(operand->dtype);
  void *data = retc_arena_alloc(&plan->arena, bytes);
  retc_dtype_convert(RETC_DTYPE_F64, operand->numbers, operand->dtype, data, count);
  for (size_t i = 0; i < plan->buffers.count; i++) {
    const retc_plan_buffer *known = &plan->buffers.items[i];
    bool same = known->kind == RETC_PLAN_CONSTANT && known->dtype == operand->dtype &&
                retc_shape_equal(&known->shape, &operand->shape);
    if (same && !memcmp(known->constant, data, bytes)) return (int)i;
  }
  const char *name = retc_arena_printf(writer->arena, "constant.%zu", plan->buffers.count);
  return add_buffer(writer, (retc_plan_buffer){.name = name, .kind = RETC_PLAN_CONSTANT, .dtype = operand->dtype,
                                               .shape = operand->shape, .constant = data});
}

static bool is_given(retc_plan_buffer_kind kind) {
  return kind == RETC_PLAN_INPUT || kind == RETC_PLAN_WEIGHT || kind == RETC_PLAN_STATE;
}

/* Rows of the smallest table that is read at the numbers this input holds; 0: none. */
static int64_t find_limit(const retc_graph *graph, retc_value input) {
  int64_t limit = 0;
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    if (node->op != RETC_OP_GATHER || retc_graph_find_given(graph, node->inputs[1]).index != input.index) continue;
    retc_dim rows = retc_graph_node(graph, node->inputs[0])->type.shape.dim[0];
    if (!retc_dim_is_named(rows) && (!limit || rows < limit)) limit = rows;
  }
  return limit;
}

static retc_status check_fixed(const retc_plan_writer *writer, const retc_node *node) {
  for (int i = 0; i < node->type.shape.rank; i++) {
    if (!retc_dim_is_named(node->type.shape.dim[i])) continue;
    return retc_fail(writer->diagnostics, RETC_INVALID, "graph %s: %%%s: axis %d of a weight has no constant size",
                     writer->graph->name, node->name, i);
  }
  return RETC_OK;
}

static retc_status differ(const retc_plan_writer *writer, const retc_node *node, const retc_plan_buffer *other) {
  retc_text own, before;
  retc_text_init(&own);
  retc_text_init(&before);
  retc_type_print(&node->type, &own);
  retc_type_print(&(retc_type){other->dtype, other->shape}, &before);
  retc_status status = retc_fail(writer->diagnostics, RETC_INVALID,
                                 "graph %s: %%%s: is %s %s here and %s %s in another "
                                 "graph of the program",
                                 writer->graph->name, node->name, node->attributes.word, own.data,
                                 retc_plan_buffer_kind_name(other->kind), before.data);
  retc_text_deinit(&own);
  retc_text_deinit(&before);
  return status;
}

static retc_status input_buffer(retc_plan_writer *writer, retc_value value, int *out_buffer) {
  const retc_node *node = retc_graph_node(writer->graph, value);
  const char *kind = node->attributes.word;
  retc_plan_buffer buffer = {.name = node->name, .kind = RETC_PLAN_INPUT, .dtype = node->type.dtype,
                             .shape = node->type.shape};
  if (!strcmp(kind, "weight")) buffer.kind = RETC_PLAN_WEIGHT;
  if (!strcmp(kind, "state")) buffer.kind = RETC_PLAN_STATE;
  if (buffer.kind == RETC_PLAN_WEIGHT) RETC_TRY(check_fixed(writer, node));
  if (buffer.kind == RETC_PLAN_INPUT) buffer.limit = find_limit(writer->graph, value);
  buffer.layout = writer->layouts[value.index];
  int known = find_buffer(writer, node->name);
  if (known < 0 || !is_given(writer->plan->buffers.items[known].kind)) {
    *out_buffer = add_buffer(writer, buffer);
    return RETC_OK;
  }
  retc_plan_buffer *other = &writer->plan->buffers.items[known];
  bool same =
      other->kind == buffer.kind && other->dtype == buffer.dtype && retc_shape_equal(&other->shape, &buffer.shape);
  if (!same) return differ(writer, node, other);
  if (buffer.limit && (!other->limit || buffer.limit < other->limit)) other->limit = buffer.limit;
  *out_buffer = known;
  return RETC_OK;
}

retc_status retc_plan_writer_inputs(retc_plan_writer *writer) {
  for (uint32_t i = 1; i < writer->graph->nodes.count; i++) {
    const retc_node *node = &writer->graph->nodes.items[i];
    retc_dim_name scalar;
    if (node->op != RETC_OP_INPUT || retc_lower_is_scalar(node, &scalar)) continue;
    RETC_TRY(input_buffer(writer, (retc_value){i}, &writer->buffer_of[i]));
  }
  return RETC_OK;
}

static int result_buffer(retc_plan_writer *writer, retc_value value) {
  const retc_graph *graph = writer->graph;
  const retc_node *node = retc_graph_node(graph, value);
  retc_value state = retc_graph_find_replaced(graph, value);
  if (state.index) return writer->buffer_of[state.index];
  const retc_dtype dtype = writer->stored_as[value.index];
  retc_plan_buffer buffer = {.kind = RETC_PLAN_SCRATCH, .dtype = dtype, .shape = node->type.shape};
  buffer.name = retc_arena_printf(writer->arena, "%s.%s", graph->name, node->name);
  for (size_t i = 0; i < graph->outputs.count; i++) {
    if (graph->outputs.items[i].value.index != value.index) continue;
    buffer.kind = RETC_PLAN_OUTPUT;
    buffer.name = graph->outputs.items[i].name;
    break; /* other names of the same value are names of the same buffer */
  }
  return add_buffer(writer, buffer);
}

static int between_buffer(retc_plan_writer *writer, retc_value anchor, const retc_operand *operand) {
  const char *name = retc_arena_printf(writer->arena, "%s.%s.%s", writer->graph->name,
                                       retc_graph_node(writer->graph, anchor)->name, operand->between);
  const int known = find_buffer(writer, name);
  if (known >= 0) return known;
  return add_buffer(writer, (retc_plan_buffer){.name = name, .kind = RETC_PLAN_SCRATCH, .dtype = operand->dtype,
                                               .shape = operand->shape, .limit = operand->limit});
}

int retc_plan_writer_operand(retc_plan_writer *writer, retc_value anchor, const retc_operand *operand) {
  if (operand->between) return between_buffer(writer, anchor, operand);
  if (!operand->value.index) return constant_buffer(writer, operand);
  int *known = &writer->buffer_of[operand->value.index];
  if (*known < 0) *known = result_buffer(writer, operand->value);
  if (operand->replaced_by.index) writer->buffer_of[operand->replaced_by.index] = *known;
  return *known;
}

retc_status retc_plan_writer_outputs(retc_plan_writer *writer, retc_plan_entry *entry) {
  const retc_graph *graph = writer->graph;
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    const int buffer = writer->buffer_of[output->value.index];
    const bool leaf = retc_op_get_info(retc_graph_node(graph, output->value)->op)->traits & RETC_TRAIT_LEAF;
    if (buffer < 0 || (leaf && !retc_graph_is_state(graph, output->value))) {
      return retc_fail(writer->diagnostics, RETC_INVALID,
                       "graph %s: output %s: %%%s is not computed; the pass simplify "
                       "makes a copy of it",
                       graph->name, output->name, retc_graph_node(graph, output->value)->name);
    }
    retc_plan_output named = {retc_arena_strdup(&writer->plan->arena, output->name), buffer};
    RETC_VEC_PUSH(&writer->plan->arena, entry->outputs, named);
  }
  return RETC_OK;
}
