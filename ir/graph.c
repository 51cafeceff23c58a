#include "ir/graph.h"

#include <stdlib.h>
#include <string.h>

#include "ir/graph_internal.h"

enum {
  POINTWISE = RETC_TRAIT_POINTWISE,
  INDEXING = RETC_TRAIT_INDEXING,
  COMMUTES = RETC_TRAIT_COMMUTES,
  LEAF = RETC_TRAIT_LEAF,
  COMPOSITE = RETC_TRAIT_COMPOSITE,
  MULTIPLE = RETC_TRAIT_MULTIPLE,
};

static const retc_op_info infos[RETC_OP_COUNT] = {
#define RETC_OP(NAME, text, minimum, maximum, op_traits, rule, attribute_list, means) \
  {text, minimum, maximum, op_traits, #rule, attribute_list, means},
#include "ir/graph_ops.def"
#undef RETC_OP
};

/* By content, see write_key; by name. */
struct retc_graph_index {
  retc_table nodes, names, regions;
  retc_table copies, region_copies; /* of names: the number that the last copy of a name got */
  retc_text key;                    /* of the node being added */
};

const retc_op_info *retc_op_get_info(retc_op op) {
  return &infos[op];
}

bool retc_op_parse(const char *text, size_t length, retc_op *out_op) {
  for (int i = 0; i < RETC_OP_COUNT; i++) {
    if (strlen(infos[i].name) != length || memcmp(infos[i].name, text, length) != 0) continue;
    *out_op = (retc_op)i;
    return true;
  }
  return false;
}

retc_attribute_walk retc_attribute_walk_start(retc_op op) {
  return (retc_attribute_walk){.next = infos[op].attributes, .integer = -1};
}

bool retc_attribute_walk_next(retc_attribute_walk *walk) {
  if (!*walk->next) return false;
  size_t length = strcspn(walk->next, " ");
  walk->kind = walk->next[0];
  walk->name = length > 2 ? walk->next + 2 : "";
  walk->name_length = length > 2 ? (int)length - 2 : 0;
  if (walk->kind == 'i') walk->integer++;
  walk->next += length + (walk->next[length] == ' ');
  return true;
}

int retc_part_input(retc_op op, int64_t index) {
  if (op == RETC_OP_SCAN && index == 1) return 2;
  if (op == RETC_OP_RETENTION && index >= 1 && index <= 3) return 5 + (int)index;
  return -1;
}

bool retc_name_is_number(const char *name) { return *name >= '0' && *name <= '9'; }

retc_graph *retc_graph_create(const char *name) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_graph *graph = RETC_NEW(&arena, retc_graph);
  graph->arena = arena;
  graph->name = retc_arena_strdup(&graph->arena, name);
  graph->index = RETC_NEW(&graph->arena, struct retc_graph_index);
  RETC_VEC_PUSH(&graph->arena, graph->nodes, (retc_node){0});
  RETC_VEC_PUSH(&graph->arena, graph->regions, (retc_region){0});
  graph->next_number = 1;
  return graph;
}

static const char *copy_text(retc_graph *graph, const char *text) {
  return text ? retc_arena_strdup(&graph->arena, text) : NULL;
}

retc_notes retc_notes_copy(retc_graph *graph, const retc_notes *notes) {
  return (retc_notes){copy_text(graph, notes->comment), copy_text(graph, notes->remark)};
}

retc_graph *retc_graph_create_next(const retc_graph *in) {
  retc_graph *graph = retc_graph_create(in->name);
  graph->notes = retc_notes_copy(graph, &in->notes);
  graph->end_comment = copy_text(graph, in->end_comment);
  graph->next_number = in->next_number;
  const size_t count = in->nodes.count + in->nodes.count / 8 + 8;
  retc_node *nodes = RETC_NEW_ARRAY(&graph->arena, retc_node, count);
  nodes[0] = graph->nodes.items[0];
  graph->nodes.items = nodes;
  graph->nodes.capacity = count;
  retc_table_reserve(&graph->arena, &graph->index->nodes, count);
  retc_table_reserve(&graph->arena, &graph->index->names, count);
  return graph;
}

/* What of a node lies on its graph's arena. */
static retc_node copy_node(retc_graph *graph, const retc_node *old) {
  retc_node node = *old;
  node.name = copy_text(graph, old->name);
  node.origin = copy_text(graph, old->origin);
  node.notes = retc_notes_copy(graph, &old->notes);
  node.attributes.word = copy_text(graph, old->attributes.word);
  if (!old->attributes.dense_count) return node;
  double *dense = RETC_NEW_ARRAY(&graph->arena, double, old->attributes.dense_count);
  memcpy(dense, old->attributes.dense, sizeof *dense * old->attributes.dense_count);
  node.attributes.dense = dense;
  return node;
}

retc_graph *retc_graph_copy(const retc_graph *in) {
  retc_graph *graph = retc_graph_create_next(in);
  for (uint32_t i = 1; i < in->nodes.count; i++) {
    const retc_node node = copy_node(graph, &in->nodes.items[i]);
    RETC_VEC_PUSH(&graph->arena, graph->nodes, node);
    retc_table_lend(&graph->arena, &graph->index->names, node.name, strlen(node.name), i);
  }
  for (uint32_t r = 1; r < in->regions.count; r++) {
    const retc_region *region = &in->regions.items[r];
    retc_region *copy =
        retc_graph_region_mutable(graph, retc_graph_add_region(graph, region->name, region->anchor));
    for (size_t i = 0; i < region->folded.count; i++) {
      RETC_VEC_PUSH(&graph->arena, copy->folded, copy_text(graph, region->folded.items[i]));
    }
    copy->notes = retc_notes_copy(graph, &region->notes);
    copy->end_comment = copy_text(graph, region->end_comment);
  }
  for (size_t i = 0; i < in->outputs.count; i++) {
    const retc_output *output = &in->outputs.items[i];
    retc_graph_add_output(graph, output->name, output->value);
    graph->outputs.items[i].notes = retc_notes_copy(graph, &output->notes);
  }
  return graph;
}

void retc_graph_destroy(retc_graph *graph) {
  if (!graph) return;
  retc_text_deinit(&graph->index->key);
  /* The graph itself lies on the arena. */
  retc_arena arena = graph->arena;
  retc_arena_deinit(&arena);
}

const retc_node *retc_graph_node(const retc_graph *graph, retc_value value) {
  return &graph->nodes.items[value.index];
}

const retc_region *retc_graph_region(const retc_graph *graph, retc_region_id region) {
  return &graph->regions.items[region.index];
}

retc_region *retc_graph_region_mutable(retc_graph *graph, retc_region_id region) {
  return &graph->regions.items[region.index];
}

retc_value retc_graph_find_input(const retc_graph *graph, const char *name) {
  retc_value found = {retc_table_find(&graph->index->names, name, strlen(name))};
  return graph->nodes.items[found.index].op == RETC_OP_INPUT ? found : (retc_value){0};
}

retc_region_id retc_graph_find_region(const retc_graph *graph, const char *name) {
  return (retc_region_id){retc_table_find(&graph->index->regions, name, strlen(name))};
}

size_t retc_name_base_length(const char *name) { return strcspn(name, "~"); }

/* `name`, or the next of base~1, base~2, ... that the table lacks. */
static const char *make_unique(retc_graph *graph, const retc_table *table, retc_table *copies, const char *name) {
  const char *unique = retc_arena_strdup(&graph->arena, name);
  if (!retc_table_find(table, unique, strlen(unique))) return unique;
  const size_t base = retc_name_base_length(name);
  uint32_t number = retc_table_find(copies, name, base);
  do {
    unique = retc_arena_printf(&graph->arena, "%.*s~%u", (int)base, name, ++number);
  } while (retc_table_find(table, unique, strlen(unique)));
  retc_table_put(&graph->arena, copies, name, base, number);
  return unique;
}

static void name_node(retc_graph *graph, retc_value value, const char *name) {
  retc_node *node = &graph->nodes.items[value.index];
  node->name = make_unique(graph, &graph->index->names, &graph->index->copies, name);
  retc_table_lend(&graph->arena, &graph->index->names, node->name, strlen(node->name), value.index);
  if (!retc_name_is_number(name)) return;
  uint32_t number = (uint32_t)strtoul(name, NULL, 10);
  if (number >= graph->next_number) graph->next_number = number + 1;
}

void retc_graph_set_name(retc_graph *graph, retc_value value, const char *name) {
  if (value.index && retc_name_is_number(graph->nodes.items[value.index].name)) name_node(graph, value, name);
}

void retc_graph_inherit_name(retc_graph *graph, retc_value value, const char *name, uint32_t first_new) {
  const char *own = graph->nodes.items[value.index].name;
  if (!value.index || !retc_name_is_number(own) || strtoul(own, NULL, 10) < first_new) return;
  if (retc_table_find(&graph->index->names, name, strlen(name))) return;
  retc_table_forget(&graph->index->names, own, strlen(own));
  name_node(graph, value, name);
}

/* The caller finds inputs by name, so an input gets the very name it asks for and another value gives it up. */
static void free_name(retc_graph *graph, const char *name) {
  retc_value holder = {retc_table_find(&graph->index->names, name, strlen(name))};
  if (!holder.index) return;
  name_node(graph, holder, name);
  retc_table_forget(&graph->index->names, name, strlen(name));
}

void retc_graph_add_output(retc_graph *graph, const char *name, retc_value value) {
  retc_output output = {.name = retc_arena_strdup(&graph->arena, name), .value = value};
  RETC_VEC_PUSH(&graph->arena, graph->outputs, output);
}

retc_region_id retc_graph_add_region(retc_graph *graph, const char *name, const char *anchor) {
  retc_region region = {.name = make_unique(graph, &graph->index->regions, &graph->index->region_copies, name),
                        .anchor = retc_arena_strdup(&graph->arena, anchor)};
  retc_region_id id = {(uint32_t)graph->regions.count};
  RETC_VEC_PUSH(&graph->arena, graph->regions, region);
  retc_table_lend(&graph->arena, &graph->index->regions, region.name, strlen(region.name), id.index);
  return id;
}

/* Those that the row has; what else the caller left in the structure does not tell two nodes apart. */
static retc_attributes pick_attributes(retc_op op, const retc_attributes *given) {
  retc_attributes picked = {0};
  if (!given) return picked;
  for (retc_attribute_walk walk = retc_attribute_walk_start(op); retc_attribute_walk_next(&walk);) {
    switch (walk.kind) {
      case 'i': picked.integer[walk.integer] = given->integer[walk.integer]; break;
      case 'f': picked.number = given->number; break;
      case 's': picked.word = given->word; break;
      default: picked.dense = given->dense, picked.dense_count = given->dense_count; break;
    }
  }
  return picked;
}

/* Two nodes are the same when their keys are: region, operation, inputs, attributes, type. */
static void write_key(const retc_node *node, retc_text *out_key) {
  const retc_attributes *attributes = &node->attributes;
  const uint32_t head[] = {(uint32_t)node->op, node->region.index, (uint32_t)node->input_count,
                           (uint32_t)node->type.dtype, (uint32_t)node->type.shape.rank,
                           attributes->dense_count != 0};
  retc_text_append(out_key, (const char *)head, sizeof head);
  retc_text_append(out_key, (const char *)node->inputs, sizeof *node->inputs * (size_t)node->input_count);
  retc_text_append(out_key, (const char *)node->type.shape.dim, sizeof(retc_dim) * (size_t)node->type.shape.rank);
  if (strchr(infos[node->op].attributes, ':')) {
    retc_text_append(out_key, (const char *)attributes->integer, sizeof attributes->integer);
    retc_text_append(out_key, (const char *)&attributes->number, sizeof attributes->number);
  }
  if (attributes->dense_count) {
    retc_text_append(out_key, (const char *)&attributes->dense_count, sizeof attributes->dense_count);
    retc_text_append(out_key, (const char *)attributes->dense, sizeof *attributes->dense * attributes->dense_count);
  }
  if (attributes->word) retc_text_add(out_key, attributes->word);
}

static retc_value append_node(retc_builder *builder, retc_node node) {
  retc_graph *graph = builder->graph;
  retc_attributes *attributes = &node.attributes;
  if (attributes->word) attributes->word = retc_arena_strdup(&graph->arena, attributes->word);
  if (attributes->dense_count) {
    double *copy = RETC_NEW_ARRAY(&graph->arena, double, attributes->dense_count);
    memcpy(copy, attributes->dense, sizeof *copy * attributes->dense_count);
    attributes->dense = copy;
  }
  if (builder->origin) node.origin = retc_arena_strdup(&graph->arena, builder->origin);
  retc_value value = {(uint32_t)graph->nodes.count};
  RETC_VEC_PUSH(&graph->arena, graph->nodes, node);
  name_node(graph, value, builder->name ? builder->name : retc_arena_printf(&graph->arena, "%u", graph->next_number));
  builder->name = NULL;
  return value;
}

retc_value retc_graph_add(retc_builder *builder, retc_op op, const retc_value *inputs, int input_count,
                          const retc_type *type, const retc_attributes *attributes) {
  retc_graph *graph = builder->graph;
  retc_node node = {.op = op, .input_count = input_count, .region = builder->region};
  if (builder->status != RETC_OK) return (retc_value){0};
  builder->status =
      retc_graph_infer(graph, op, inputs, input_count, type, attributes, builder->diagnostics, &node.type);
  if (builder->status != RETC_OK) return (retc_value){0};

  node.attributes = pick_attributes(op, attributes);
  for (int i = 0; i < input_count; i++) node.inputs[i] = inputs[i];
  const bool reuse = !builder->keep && op != RETC_OP_INPUT;
  if (reuse) {
    const retc_value a = node.inputs[0], b = node.inputs[1];
    if ((infos[op].traits & RETC_TRAIT_COMMUTES) && b.index < a.index) {
      node.inputs[0] = b;
      node.inputs[1] = a;
    }
    retc_value folded = retc_graph_fold(builder, &node);
    if (folded.index || builder->status != RETC_OK) return folded;
  }
  retc_text *key = &graph->index->key;
  retc_text_clear(key);
  write_key(&node, key);
  retc_value value = {reuse ? retc_table_find(&graph->index->nodes, key->data, key->length) : 0};
  if (!value.index) {
    value = append_node(builder, node);
    retc_table_put(&graph->arena, &graph->index->nodes, key->data, key->length, value.index);
  }
  return value;
}

retc_value retc_build_input(retc_builder *builder, const char *kind, const char *name, retc_dtype dtype,
                            const retc_shape *shape) {
  const retc_type type = {dtype, *shape};
  const retc_attributes attributes = {.word = kind};
  if (builder->status != RETC_OK) return (retc_value){0};
  retc_value found = retc_graph_find_input(builder->graph, name);
  if (!found.index) {
    free_name(builder->graph, name);
    builder->name = name;
    return retc_graph_add(builder, RETC_OP_INPUT, NULL, 0, &type, &attributes);
  }
  const retc_node *node = retc_graph_node(builder->graph, found);
  const bool same = node->type.dtype == dtype && retc_shape_equal(&node->type.shape, shape) &&
                    strcmp(node->attributes.word, kind) == 0;
  if (same) return found;
  builder->status = retc_fail(builder->diagnostics, RETC_INVALID, "input: %s is there already, of another type or kind",
                              name);
  return (retc_value){0};
}

retc_value retc_build_dense(retc_builder *builder, retc_dtype dtype, const retc_shape *shape, const double *values,
                            size_t count) {
  const retc_type type = {dtype, *shape};
  const retc_attributes attributes = {.dense = values, .dense_count = count};
  return retc_graph_add(builder, RETC_OP_CONST, NULL, 0, &type, &attributes);
}

retc_value retc_build_number(retc_builder *builder, retc_dtype dtype, double value) {
  const retc_shape scalar = {.rank = 0};
  return retc_build_dense(builder, dtype, &scalar, &value, 1);
}

retc_value retc_build_unary(retc_builder *builder, retc_op op, retc_value a) {
  return retc_graph_add(builder, op, &a, 1, NULL, NULL);
}

retc_value retc_build_binary(retc_builder *builder, retc_op op, retc_value a, retc_value b) {
  return retc_graph_add(builder, op, (retc_value[]){a, b}, 2, NULL, NULL);
}

retc_value retc_build_reshape(retc_builder *builder, retc_value a, const retc_shape *shape) {
  const retc_type type = {.shape = *shape};
  return retc_graph_add(builder, RETC_OP_RESHAPE, &a, 1, &type, NULL);
}

retc_value retc_build_contract(retc_builder *builder, const char *spec, retc_value a, retc_value b) {
  const retc_attributes attributes = {.word = spec};
  return retc_graph_add(builder, RETC_OP_CONTRACT, (retc_value[]){a, b}, 2, NULL, &attributes);
}

retc_value retc_build_part(retc_builder *builder, retc_value a, int64_t index) {
  const retc_attributes attributes = {.integer = {index}};
  return retc_graph_add(builder, RETC_OP_PART, &a, 1, NULL, &attributes);
}

retc_value retc_build_cast(retc_builder *builder, retc_value a, retc_dtype dtype) {
  const retc_attributes attributes = {.word = retc_dtype_name(dtype)};
  return retc_graph_add(builder, RETC_OP_CAST, &a, 1, NULL, &attributes);
}

retc_value retc_graph_clone_node(retc_builder *builder, const retc_node *node, const retc_value *inputs) {
  /* A copy, since `node` may lie in the array that grows. */
  const retc_node old = *node;
  const char *origin = builder->origin;
  builder->origin = old.origin;
  retc_value value;
  if (old.op == RETC_OP_INPUT) {
    value = retc_build_input(builder, old.attributes.word, old.name, old.type.dtype, &old.type.shape);
  } else {
    builder->name = old.name;
    value = retc_graph_add(builder, old.op, inputs, old.input_count, &old.type, &old.attributes);
    builder->name = NULL;
    if (value.index && !retc_name_is_number(old.name)) retc_graph_set_name(builder->graph, value, old.name);
  }
  builder->origin = origin;
  if (!value.index) return value;
  retc_notes *notes = &builder->graph->nodes.items[value.index].notes;
  if (!notes->comment && !notes->remark) *notes = retc_notes_copy(builder->graph, &old.notes);
  return value;
}

bool retc_graph_is_state(const retc_graph *graph, retc_value value) {
  const retc_node *node = retc_graph_node(graph, value);
  return value.index && node->op == RETC_OP_INPUT && !strcmp(node->attributes.word, "state");
}

retc_value retc_graph_find_replaced(const retc_graph *graph, retc_value value) {
  for (size_t i = 0; i < graph->outputs.count; i++) {
    if (graph->outputs.items[i].value.index != value.index) continue;
    retc_value state = retc_graph_find_input(graph, graph->outputs.items[i].name);
    if (retc_graph_is_state(graph, state)) return state;
  }
  return (retc_value){0};
}

retc_value retc_graph_find_given(const retc_graph *graph, retc_value value) {
  for (;;) {
    const retc_node *node = retc_graph_node(graph, value);
    switch (node->op) {
      case RETC_OP_INPUT: return value;
      case RETC_OP_RESHAPE:
      case RETC_OP_REPEAT:
      case RETC_OP_TRANSPOSE:
      case RETC_OP_COPY: value = node->inputs[0]; break;
      default: return (retc_value){0};
    }
  }
}

retc_uses retc_graph_uses(const retc_graph *graph, retc_arena *arena) {
  const size_t count = graph->nodes.count;
  uint32_t *starts = RETC_NEW_ARRAY(arena, uint32_t, count + 2);
  for (size_t i = 1; i < count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    for (int k = 0; k < node->input_count; k++) starts[node->inputs[k].index + 2]++;
  }
  for (size_t i = 2; i < count + 2; i++) starts[i] += starts[i - 1];
  /* starts[v + 1] is where v's users begin while they are filled in, and where they end afterwards. */
  uint32_t *users = RETC_NEW_ARRAY(arena, uint32_t, starts[count + 1] + 1);
  for (size_t i = 1; i < count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    for (int k = 0; k < node->input_count; k++) users[starts[node->inputs[k].index + 1]++] = (uint32_t)i;
  }
  return (retc_uses){starts, users};
}

retc_members retc_graph_members(const retc_graph *graph, retc_arena *arena) {
  const size_t regions = graph->regions.count + 1; /* nodes without one are in region 0 */
  uint32_t *starts = RETC_NEW_ARRAY(arena, uint32_t, regions + 2);
  uint32_t *nodes = RETC_NEW_ARRAY(arena, uint32_t, graph->nodes.count + 1);
  for (size_t i = 1; i < graph->nodes.count; i++) starts[graph->nodes.items[i].region.index + 2]++;
  for (size_t r = 2; r < regions + 2; r++) starts[r] += starts[r - 1];
  for (uint32_t i = 1; i < graph->nodes.count; i++) nodes[starts[graph->nodes.items[i].region.index + 1]++] = i;
  return (retc_members){starts, nodes};
}
