/* Regions to kernels and steps. Two regions with the same nodes, types, constants and schedule, whatever they read,
 * share one kernel: so all layers of a model do. It stands after schedule; memory is planned after it, when the steps
 * are known. */
#include "compiler/lower.h"

#include <string.h>

#include "compiler/anchors.h"
#include "compiler/gpu.h"
#include "compiler/grid.h"
#include "compiler/in_place.h"
#include "compiler/lower_plan.h"
#include "ir/kernel_walk.h"
#include "ir/lexer.h"

typedef struct known_kernel {
  const char *key;
  size_t key_size;
  int kernel;
  retc_operand *constants;
  size_t constant_count;
} known_kernel;

typedef struct lower_state {
  const retc_pass_context *cx;
  retc_arena *arena;
  retc_plan_writer plan;
  RETC_VEC(known_kernel) known;
  retc_text key; /* of the region at hand */
  RETC_VEC(struct packed_weight {
    const char *name;
    retc_weight_layout layout;
  }) packed;
  const retc_graph *graph;
  retc_uses uses;
  retc_members members;
  const retc_weight_layout *layouts; /* of each value */
  const retc_dtype *stored_as;
  const bool *is_output;  /* of each value */
} lower_state;

/* ---- operands ---- */

retc_weight_layout retc_lower_layout(const retc_lowering *l, retc_value weight) { return l->layouts[weight.index]; }

static retc_status add_packed(lower_state *s, const retc_graph *graph, retc_value value, retc_weight_layout layout) {
  const retc_node *weight = retc_graph_node(graph, value);
  for (size_t i = 0; i < s->packed.count; i++) {
    const struct packed_weight *known = &s->packed.items[i];
    if (strcmp(known->name, weight->name)) continue;
    if (known->layout == layout) return RETC_OK;
    return retc_fail(s->cx->diagnostics, RETC_INVALID, "graph %s: %%%s: products of different kinds read this weight",
                     graph->name, weight->name);
  }
  RETC_VEC_PUSH(s->arena, s->packed, ((struct packed_weight){weight->name, layout}));
  return RETC_OK;
}

/* The weights that products of any entry read in panels, by name. */
static retc_status find_panels(lower_state *s) {
  static const char anchor[] = "contract";
  const retc_compilation *compilation = s->cx->compilation;
  for (size_t g = 0; g < compilation->graphs.count; g++) {
    const retc_graph *graph = compilation->graphs.items[g];
    const retc_uses uses = retc_graph_uses(graph, s->arena);
    for (size_t i = 1; i < graph->nodes.count; i++) {
      const retc_node *node = &graph->nodes.items[i];
      if (!node->region.index || strcmp(retc_graph_region(graph, node->region)->anchor, anchor)) continue;
      if (!retc_anchor_find(anchor)->matches(graph, &uses, node)) continue;
      if (compilation->profile.wave) { /* lanes of a GPU read along the rows of a weight */
        const retc_dtype dtype = retc_graph_node(graph, node->inputs[1])->type.dtype;
        if (dtype == RETC_DTYPE_I4) RETC_TRY(add_packed(s, graph, node->inputs[1], RETC_LAYOUT_ROWS));
        continue;
      }
      RETC_TRY(add_packed(s, graph, node->inputs[1], retc_contract_layout(graph, node)));
      if (node->input_count == 3) RETC_TRY(add_packed(s, graph, node->inputs[2], RETC_LAYOUT_PANEL));
    }
  }
  return RETC_OK;
}

/* Of each value of the graph at hand. */
static const retc_weight_layout *mark_layouts(lower_state *s) {
  retc_weight_layout *layouts = RETC_NEW_ARRAY(s->arena, retc_weight_layout, s->graph->nodes.count);
  for (size_t i = 0; i < s->packed.count; i++) {
    retc_value weight = retc_graph_find_input(s->graph, s->packed.items[i].name);
    if (!weight.index || strcmp(retc_graph_node(s->graph, weight)->attributes.word, "weight")) continue;
    layouts[weight.index] = s->packed.items[i].layout;
  }
  return layouts;
}

static retc_operand *find_operand(const retc_lowering *l, retc_value value) {
  for (size_t i = 0; i < l->operands.count; i++) {
    retc_operand *operand = &l->operands.items[i];
    if (!value.index) break;
    if (operand->value.index == value.index || operand->replaced_by.index == value.index) return operand;
  }
  return NULL;
}

retc_buffer_id retc_lower_buffer(const retc_lowering *l, retc_value value) {
  const retc_operand *operand = find_operand(l, value);
  return operand ? operand->buffer : (retc_buffer_id){0};
}

bool retc_lower_is_scalar(const retc_node *node, retc_dim_name *out_name) {
  return node->op == RETC_OP_INPUT && node->type.shape.rank == 0 && node->type.dtype == RETC_DTYPE_I64 &&
         !strcmp(node->attributes.word, "input") && retc_dim_parse(node->name, strlen(node->name), out_name);
}

static bool is_result(const lower_state *s, const retc_lowering *l, uint32_t node) {
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    if (l->graph->nodes.items[s->uses.users[u]].region.index != l->region.index) return true;
  }
  return s->is_output[node];
}

static void collect_operands(retc_lowering *l, const retc_node *node) {
  for (int k = 0; k < node->input_count; k++) {
    retc_value in = node->inputs[k];
    retc_dim_name scalar;
    if (retc_lower_is_inside(l, in) || retc_lower_is_scalar(retc_lower_node(l, in), &scalar)) continue;
    if (!find_operand(l, in)) RETC_VEC_PUSH(l->arena, l->operands, ((retc_operand){.value = in}));
  }
}

static retc_status collect(const lower_state *s, retc_lowering *l) {
  for (uint32_t m = s->members.starts[l->region.index]; m < s->members.starts[l->region.index + 1]; m++) {
    const uint32_t i = s->members.nodes[m];
    collect_operands(l, &l->graph->nodes.items[i]);
    if (is_result(s, l, i)) RETC_VEC_PUSH(l->arena, l->results, ((retc_value){i}));
  }
  if (!l->results.count) return retc_lower_refuse(l, l->anchor, "nothing that this region computes is used");
  for (size_t i = 0; i < l->results.count; i++) {
    retc_value result = l->results.items[i], state = {0};
    if (s->is_output[result.index]) state = retc_graph_find_replaced(l->graph, result);
    retc_operand *operand = state.index ? find_operand(l, state) : NULL;
    if (operand && !retc_in_place_is_safe(l->graph, &s->members, &s->uses, result, state)) {
      return retc_lower_refuse(l, result,
                               "the state that it replaces is read at other places of this region; store it, "
                               "and replace the state by a copy");
    }
    if (operand) operand->replaced_by = result;
    else RETC_VEC_PUSH(l->arena, l->operands, ((retc_operand){.value = result}));
  }
  return RETC_OK;
}

/* ---- equal regions ---- */

static size_t operand_number(const retc_lowering *l, retc_value value) {
  const retc_operand *operand = find_operand(l, value);
  return operand ? (size_t)(operand - l->operands.items) : (size_t)-1;
}

/* A key is bytes that only say what the region is when they are read in order; nobody reads them. */
static void add_number(retc_text *key, int64_t number) { retc_text_append(key, (const char *)&number, sizeof number); }

static void add_word(retc_text *key, const char *word) {
  retc_text_append(key, word ? word : "", word ? strlen(word) + 1 : 1);
}

static void add_type(retc_text *key, const retc_type *type) {
  add_number(key, type->dtype);
  add_number(key, type->shape.rank);
  for (int i = 0; i < type->shape.rank; i++) add_number(key, type->shape.dim[i]);
}

enum { KEY_INSIDE, KEY_SCALAR, KEY_OPERAND };

static void add_node(const retc_lowering *l, uint32_t index, uint32_t first, retc_text *key) {
  const retc_node *node = &l->graph->nodes.items[index];
  add_number(key, node->op);
  add_number(key, node->input_count);
  for (int k = 0; k < node->input_count; k++) {
    retc_value in = node->inputs[k];
    retc_dim_name scalar = (retc_dim_name)0;
    const bool inside = retc_lower_is_inside(l, in);
    const bool is_scalar = !inside && retc_lower_is_scalar(retc_lower_node(l, in), &scalar);
    add_number(key, inside ? KEY_INSIDE : is_scalar ? KEY_SCALAR : KEY_OPERAND);
    add_number(key, inside      ? (int64_t)(in.index - first)
                    : is_scalar ? (int64_t)scalar
                                : (int64_t)operand_number(l, in));
  }
  const retc_attributes *a = &node->attributes;
  for (int i = 0; i < RETC_OP_INTS_MAX; i++) add_number(key, a->integer[i]);
  retc_text_append(key, (const char *)&a->number, sizeof a->number);
  add_word(key, a->word);
  add_number(key, (int64_t)a->dense_count);
  if (a->dense_count) retc_text_append(key, (const char *)a->dense, a->dense_count * sizeof *a->dense);
  add_type(key, &node->type);
}

static void add_operand(const retc_lowering *l, const retc_operand *operand, uint32_t first, retc_text *key) {
  add_type(key, &retc_lower_node(l, operand->value)->type);
  add_number(key, retc_lower_layout(l, operand->value));
  add_number(key, l->stored_as[operand->value.index]);
  add_number(key, retc_lower_is_inside(l, operand->value) ? (int64_t)(operand->value.index - first) : -1);
  add_number(key, operand->replaced_by.index ? (int64_t)(operand->replaced_by.index - first) : -1);
}

static void make_key(const lower_state *s, const retc_lowering *l, retc_text *key) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const uint32_t *nodes = s->members.nodes + s->members.starts[l->region.index];
  const uint32_t count = s->members.starts[l->region.index + 1] - s->members.starts[l->region.index];
  add_word(key, region->anchor);
  add_number(key, l->launch);
  for (int i = 0; i < region->schedule_count; i++) {
    add_word(key, region->schedule[i].name);
    add_number(key, region->schedule[i].value);
  }
  add_number(key, (int64_t)l->operands.count);
  for (size_t i = 0; i < l->operands.count; i++) add_operand(l, &l->operands.items[i], nodes[0], key);
  for (uint32_t m = 0; m < count; m++) add_node(l, nodes[m], nodes[0], key);
}

/* ---- kernels ---- */

retc_buffer_id retc_lower_constant(retc_lowering *l, const char *name, retc_dtype dtype, const retc_shape *shape,
                                   const double *numbers) {
  retc_dims none = {{0}};
  size_t bytes = sizeof(double) * (size_t)retc_shape_count(shape, &none);
  for (size_t i = 0; i < l->operands.count; i++) {
    const retc_operand *operand = &l->operands.items[i];
    bool same = operand->numbers && operand->dtype == dtype && retc_shape_equal(&operand->shape, shape);
    if (same && !memcmp(operand->numbers, numbers, bytes)) return operand->buffer;
  }
  double *copy = retc_arena_alloc(l->arena, bytes);
  memcpy(copy, numbers, bytes);
  retc_operand operand = {.dtype = dtype, .shape = *shape, .numbers = copy};
  operand.buffer = retc_write_parameter(&l->writer, name, dtype, shape, RETC_ACCESS_READ);
  RETC_VEC_PUSH(l->arena, l->operands, operand);
  return operand.buffer;
}

retc_buffer_id retc_lower_between(retc_lowering *l, const char *name, retc_dtype dtype, const retc_shape *shape,
                                  int64_t limit, unsigned access) {
  retc_operand operand = {.between = name, .dtype = dtype, .shape = *shape, .limit = limit};
  operand.buffer = retc_write_parameter(&l->writer, name, dtype, shape, access);
  RETC_VEC_PUSH(l->arena, l->operands, operand);
  return operand.buffer;
}

/* A readable C identifier: what an input is called up to its last dot, or the role of what has no name of its own. */
static const char *buffer_name(const retc_lowering *l, retc_value value, size_t number) {
  const retc_node *node = retc_lower_node(l, value);
  if (retc_lower_is_inside(l, value)) return number ? "result" : "out";
  if (node->op != RETC_OP_INPUT) return "in";
  if (!strcmp(node->attributes.word, "weight")) return "weight";
  const char *dot = strrchr(node->name, '.');
  char *name = retc_arena_strndup(l->arena, node->name, dot ? (size_t)(dot - node->name) : strlen(node->name));
  for (char *c = name; *c; c++) {
    bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_', digit = *c >= '0' && *c <= '9';
    if (!letter && !(digit && c > name)) *c = '_';
  }
  return *name ? name : "in";
}

static void add_parameters(retc_lowering *l) {
  for (size_t i = 0; i < l->operands.count; i++) {
    retc_operand *operand = &l->operands.items[i];
    const retc_node *node = retc_lower_node(l, operand->value);
    unsigned access = retc_lower_is_inside(l, operand->value) ? RETC_ACCESS_WRITE : RETC_ACCESS_READ;
    if (operand->replaced_by.index) access |= RETC_ACCESS_WRITE;
    const retc_weight_layout layout = retc_lower_layout(l, operand->value);
    const retc_shape shape = retc_weight_layout_shape(layout, &node->type.shape);
    const retc_dtype dtype = retc_weight_layout_dtype(layout, l->stored_as[operand->value.index]);
    operand->buffer = retc_write_parameter(&l->writer, buffer_name(l, operand->value, i), dtype, &shape, access);
  }
}

/* Which graph values the buffers hold, for the first of the regions that share the kernel. */
static void describe_buffers(const retc_lowering *l, retc_text *out_text) {
  const char *separator = "";
  for (size_t i = 0; i < l->operands.count; i++) {
    const retc_operand *operand = &l->operands.items[i];
    if (!operand->value.index) continue;
    retc_text_printf(out_text, "%s%s = ", separator, retc_kernel_buffer(l->kernel, operand->buffer)->name);
    retc_value_print(l->graph, operand->value, out_text);
    if (operand->replaced_by.index) {
      retc_text_add(out_text, " -> ");
      retc_value_print(l->graph, operand->replaced_by, out_text);
    }
    separator = ", ";
  }
}

static void describe_kernel(const retc_lowering *l, const retc_region *region) {
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "%s, as in region ", region->anchor);
  retc_word_print(region->name, &text);
  for (size_t i = 0; i < region->folded.count; i++) {
    retc_text_printf(&text, "%s%s", i ? ", " : "; folded in: ", region->folded.items[i]);
  }
  retc_text_add(&text, "\n");
  describe_buffers(l, &text);
  l->kernel->comment = retc_arena_strndup(&l->kernel->arena, text.data, text.length);
  retc_text_deinit(&text);
}

static const uint32_t *count_uses(const retc_lowering *l) {
  uint32_t *uses = RETC_NEW_ARRAY(l->arena, uint32_t, l->graph->nodes.count);
  for (uint32_t i = 1; i < l->graph->nodes.count; i++) {
    const retc_node *node = &l->graph->nodes.items[i];
    if (node->region.index != l->region.index) continue;
    for (int k = 0; k < node->input_count; k++) uses[node->inputs[k].index]++;
  }
  return uses;
}

static retc_status check_tiles(retc_lowering *l) {
  for (size_t i = 1; i < l->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &l->kernel->buffers.items[i];
    if (buffer->scope == RETC_SCOPE_GLOBAL || retc_buffer_private_bytes(buffer) >= 0) continue;
    return retc_lower_refuse(l, l->anchor, "its tiles are too large for a machine");
  }
  return RETC_OK;
}

static retc_status map_to_gpu(retc_lowering *l) {
  retc_gpu_map(l->kernel);
  const int64_t bytes = retc_kernel_launch(l->kernel).shared_bytes, most = l->cx->compilation->profile.shared_bytes;
  if (bytes <= most) return RETC_OK;
  return retc_lower_refuse(l, l->anchor,
                           retc_arena_printf(l->arena,
                                             "its tiles take %lld bytes of shared memory, a block "
                                             "has at most %lld",
                                             (long long)bytes, (long long)most));
}

static retc_status make_kernel(lower_state *s, retc_lowering *l, const retc_text *key, known_kernel *out_known) {
  retc_compilation *compilation = s->cx->compilation;
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const char *name = retc_arena_printf(s->arena, "%s_%zu", region->anchor, compilation->kernels.count);
  size_t operand_count = l->operands.count;
  l->kernel = retc_kernel_create(name);
  RETC_VEC_PUSH(&compilation->arena, compilation->kernels, l->kernel);
  retc_writer_init(&l->writer, l->kernel);
  add_parameters(l);
  l->uses = count_uses(l);
  const retc_op op = retc_lower_node(l, l->anchor)->op;
  if (retc_lower_is_gpu(l) && (op == RETC_OP_CONTRACT_BF16 || op == RETC_OP_CONTRACT_INT8)) {
    return retc_lower_refuse(l, l->anchor,
                             "a GPU has its math from its schedule; expected --math f32, bf16 or f16, or a contract or "
                             "contract_scaled");
  }
  RETC_TRY(retc_lower_is_gpu(l) ? retc_anchor_find(region->anchor)->gpu_lower(l)
                                : retc_anchor_find(region->anchor)->lower(l));
  RETC_TRY(l->status);
  RETC_TRY(check_tiles(l));
  if (retc_lower_is_gpu(l)) RETC_TRY(map_to_gpu(l));
  describe_kernel(l, region);
  retc_plan_kernel described = retc_plan_describe_kernel(s->plan.plan, l->kernel);
  char *copy = retc_arena_alloc(s->arena, key->length);
  memcpy(copy, key->data, key->length);
  *out_known = (known_kernel){copy, key->length, (int)compilation->kernels.count - 1, l->operands.items + operand_count,
                              l->operands.count - operand_count};
  RETC_VEC_PUSH(s->arena, s->known, *out_known);
  RETC_VEC_PUSH(&s->plan.plan->arena, s->plan.plan->kernels, described);
  return RETC_OK;
}

static retc_status find_kernel(lower_state *s, retc_lowering *l, known_kernel *out_known) {
  retc_text *key = &s->key;
  retc_text_clear(key);
  make_key(s, l, key);
  size_t found = 0;
  while (found < s->known.count && (s->known.items[found].key_size != key->length ||
                                    memcmp(s->known.items[found].key, key->data, key->length))) {
    found++;
  }
  if (found == s->known.count) return make_kernel(s, l, key, out_known);
  *out_known = s->known.items[found];
  for (size_t c = 0; c < out_known->constant_count; c++) {
    RETC_VEC_PUSH(l->arena, l->operands, out_known->constants[c]);
  }
  return RETC_OK;
}

/* ---- entries ---- */

/* Marks what is read from outside the region for `value`; of the product what the launch multiplies by, if it does. */
static void mark_read(const retc_lowering *l, retc_launch_part part, retc_value value, bool *read) {
  if (read[value.index]) return;
  read[value.index] = true;
  if (!retc_lower_is_inside(l, value)) return;
  const retc_node *node = retc_lower_node(l, value);
  const bool is_product = retc_anchor_contract_matches(l->graph, NULL, node);
  for (int k = is_product ? 1 : 0; k < node->input_count && !(is_product && part == RETC_LAUNCH_RESULTS); k++) {
    mark_read(l, part, node->inputs[k], read);
  }
}

/* A launch of several has those results that it makes, since the first that is given a buffer is taken to write it
 * (runtime/plan.h), and around a product what it needs for them. */
static void keep_operands(retc_lowering *l) {
  const retc_launch_part part = retc_gpu_launch_part(l);
  bool *read = RETC_NEW_ARRAY(l->arena, bool, l->graph->nodes.count);
  bool *made = RETC_NEW_ARRAY(l->arena, bool, l->graph->nodes.count);
  size_t kept = 0;
  for (size_t i = 0; i < l->results.count; i++) {
    const retc_value result = l->results.items[i];
    made[result.index] = retc_gpu_launch_makes(l, result);
    if (made[result.index]) mark_read(l, part, result, read);
  }
  if (part == RETC_LAUNCH_ROWS) mark_read(l, part, retc_lower_node(l, l->anchor)->inputs[0], read);
  if (part == RETC_LAUNCH_PRODUCT) mark_read(l, part, l->anchor, read);
  for (size_t i = 0; i < l->operands.count; i++) {
    retc_operand operand = l->operands.items[i];
    if (!made[operand.replaced_by.index]) operand.replaced_by = (retc_value){0};
    const bool inside = retc_lower_is_inside(l, operand.value), whole = part == RETC_LAUNCH_WHOLE;
    if (inside ? made[operand.value.index] : whole || read[operand.value.index] || operand.replaced_by.index)
      l->operands.items[kept++] = operand;
  }
  l->operands.count = kept;
  for (size_t i = kept = 0; i < l->results.count; i++) {
    if (made[l->results.items[i].index]) l->results.items[kept++] = l->results.items[i];
  }
  l->results.count = kept;
}

static retc_status lower_launch(lower_state *s, retc_region_id id, int launch, retc_plan_entry *entry,
                                int *out_launches) {
  const retc_region *region = retc_graph_region(s->graph, id);
  retc_lowering l = {.cx = s->cx, .graph = s->graph, .region = id, .launch = launch, .arena = s->arena,
                     .layouts = s->layouts, .stored_as = s->stored_as};
  l.anchor = retc_anchor_member(s->graph, &s->members, &s->uses, id);
  if (!l.anchor.index) {
    return retc_fail(s->cx->diagnostics, RETC_INVALID,
                     "graph %s: region %s has nothing in it that a region '%s' is built "
                     "around",
                     s->graph->name, region->name, region->anchor);
  }
  RETC_TRY(collect(s, &l));
  *out_launches = retc_lower_is_gpu(&l) ? retc_gpu_launches(&l) : 1;
  if (*out_launches > 1) keep_operands(&l);
  known_kernel kernel;
  RETC_TRY(find_kernel(s, &l, &kernel));
  retc_arena *arena = &s->plan.plan->arena;
  int *buffers = RETC_NEW_ARRAY(arena, int, l.operands.count);
  for (size_t i = 0; i < l.operands.count; i++) {
    buffers[i] = retc_plan_writer_operand(&s->plan, l.anchor, &l.operands.items[i]);
  }
  retc_plan_step step = {kernel.kernel, buffers, retc_arena_strdup(arena, region->name)};
  RETC_VEC_PUSH(arena, entry->steps, step);
  return RETC_OK;
}

static retc_status lower_region(lower_state *s, retc_region_id id, retc_plan_entry *entry) {
  int launches = 1;
  for (int i = 0; i < launches; i++) RETC_TRY(lower_launch(s, id, i, entry, &launches));
  return RETC_OK;
}

/* What the passes before promise, of a graph that may have been written by hand. */
static retc_status check_graph(const retc_pass_context *cx, const retc_graph *graph) {
  for (uint32_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    unsigned traits = retc_op_get_info(node->op)->traits;
    const char *problem = NULL;
    if (traits & RETC_TRAIT_COMPOSITE) problem = "a composite operation, which the pass expand writes as others";
    else if (!(traits & RETC_TRAIT_LEAF) && !node->region.index)
      problem = "belongs to no region, which the pass fuse makes";
    if (!problem) continue;
    return retc_fail(cx->diagnostics, RETC_INVALID, "graph %s: %%%s: %s: %s", graph->name, node->name,
                     retc_op_get_info(node->op)->name, problem);
  }
  return retc_in_place_check_order(graph, cx->diagnostics);
}

static void begin_graph(lower_state *s, const retc_graph *graph) {
  s->graph = graph;
  s->uses = retc_graph_uses(graph, s->arena);
  s->layouts = mark_layouts(s);
  s->stored_as = retc_gpu_stored_types(graph, &s->uses, s->arena);
  retc_plan_writer_begin(&s->plan, graph, s->layouts, s->stored_as);
}

static retc_status lower_graph(lower_state *s, const retc_graph *graph) {
  retc_plan_entry entry = {.name = retc_arena_strdup(&s->plan.plan->arena, graph->name)};
  begin_graph(s, graph);
  s->members = retc_graph_members(graph, s->arena);
  bool *is_output = RETC_NEW_ARRAY(s->arena, bool, graph->nodes.count);
  for (size_t i = 0; i < graph->outputs.count; i++) is_output[graph->outputs.items[i].value.index] = true;
  s->is_output = is_output;
  RETC_TRY(retc_plan_writer_inputs(&s->plan));
  RETC_TRY(retc_grid_find(graph, s->cx->diagnostics, &entry.chunk_length, &entry.grid_start));
  for (uint32_t r = 1; r < graph->regions.count; r++) RETC_TRY(lower_region(s, (retc_region_id){r}, &entry));
  RETC_TRY(retc_plan_writer_outputs(&s->plan, &entry));
  RETC_VEC_PUSH(&s->plan.plan->arena, s->plan.plan->entries, entry);
  return RETC_OK;
}

static retc_status lower_graphs(lower_state *s) {
  const retc_compilation *compilation = s->cx->compilation;
  for (size_t i = 0; i < compilation->graphs.count; i++) RETC_TRY(check_graph(s->cx, compilation->graphs.items[i]));
  RETC_TRY(find_panels(s));
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    begin_graph(s, compilation->graphs.items[i]);
    RETC_TRY(retc_plan_writer_inputs(&s->plan));
  }
  for (size_t i = 0; i < compilation->graphs.count; i++) RETC_TRY(lower_graph(s, compilation->graphs.items[i]));
  return RETC_OK;
}

retc_status retc_lower(const retc_pass_context *cx) {
  retc_compilation *compilation = cx->compilation;
  retc_arena arena;
  retc_arena_init(&arena);
  retc_plan *plan = retc_plan_create();
  compilation->plan = plan;
  plan->vocabulary_size = compilation->facts.vocabulary_size;
  plan->chunk_length = compilation->facts.chunk_length;
  plan->bos_token = compilation->facts.bos_token;
  plan->eos_token = compilation->facts.eos_token;
  lower_state s = {.cx = cx, .arena = &arena, .plan = {.plan = plan, .arena = &arena, .diagnostics = cx->diagnostics}};
  retc_status status = lower_graphs(&s);
  retc_text_deinit(&s.key);
  retc_arena_deinit(&arena);
  return status;
}
