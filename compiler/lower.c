/* Regions to kernels and steps. Two regions with the same nodes, types, constants and schedule, whatever they read,
 * share one kernel: so all layers of a model do. It stands after schedule; memory is planned after it, when the steps
 * are known. */
#include "compiler/lower.h"

#include <string.h>

#include "compiler/anchors.h"

typedef struct known_kernel {
  const char *key;
  int kernel;
  retc_operand *constants;
  size_t constant_count;
} known_kernel;

typedef struct lower_state {
  const retc_pass_context *cx;
  retc_arena *arena;
  retc_plan *plan;
  RETC_VEC(known_kernel) known;
  const retc_graph *graph;
  retc_uses uses;
  int *buffer_of; /* plan buffer of each value of the graph, -1: none */
} lower_state;

/* ---- operands ---- */

bool retc_lower_is_panel(const retc_graph *graph, retc_value weight) {
  const retc_node *node = retc_graph_node(graph, weight);
  if (node->op != RETC_OP_INPUT || strcmp(node->attributes.word, "weight")) return false;
  const retc_anchor *contract = retc_anchor_find("contract");
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *user = &graph->nodes.items[i];
    if (user->op != RETC_OP_CONTRACT || user->inputs[1].index != weight.index) continue;
    if (contract->matches(graph, user)) return true;
  }
  return false;
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
         retc_dim_parse(node->name, strlen(node->name), out_name);
}

static bool is_result(const lower_state *s, const retc_lowering *l, uint32_t node) {
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    if (l->graph->nodes.items[s->uses.users[u]].region.index != l->region.index) return true;
  }
  for (size_t i = 0; i < l->graph->outputs.count; i++) {
    if (l->graph->outputs.items[i].value.index == node) return true;
  }
  return false;
}

/* The state input that `result` replaces, or none. */
static retc_value replaced_state(const retc_graph *graph, retc_value result) {
  for (size_t i = 0; i < graph->outputs.count; i++) {
    if (graph->outputs.items[i].value.index != result.index) continue;
    return retc_graph_find_input(graph, graph->outputs.items[i].name);
  }
  return (retc_value){0};
}

static void collect(const lower_state *s, retc_lowering *l) {
  for (uint32_t i = 1; i < l->graph->nodes.count; i++) {
    const retc_node *node = &l->graph->nodes.items[i];
    if (node->region.index != l->region.index) continue;
    for (int k = 0; k < node->input_count; k++) {
      retc_value in = node->inputs[k];
      retc_dim_name scalar;
      if (retc_lower_is_inside(l, in) || retc_lower_is_scalar(retc_lower_node(l, in), &scalar)) continue;
      if (find_operand(l, in)) continue;
      RETC_VEC_PUSH(l->arena, l->operands, ((retc_operand){.value = in}));
    }
    if (is_result(s, l, i)) RETC_VEC_PUSH(l->arena, l->results, ((retc_value){i}));
  }
  for (size_t i = 0; i < l->results.count; i++) {
    retc_value result = l->results.items[i], state = replaced_state(l->graph, result);
    retc_operand *operand = find_operand(l, state);
    if (operand) operand->replaced_by = result;
    else RETC_VEC_PUSH(l->arena, l->operands, ((retc_operand){.value = result}));
  }
}

/* ---- equal regions ---- */

static size_t operand_number(const retc_lowering *l, retc_value value) {
  const retc_operand *operand = find_operand(l, value);
  return operand ? (size_t)(operand - l->operands.items) : (size_t)-1;
}

static void print_node(const retc_lowering *l, uint32_t index, uint32_t first, retc_text *out_text) {
  const retc_node *node = &l->graph->nodes.items[index];
  retc_text_printf(out_text, "%s", retc_op_get_info(node->op)->name);
  for (int k = 0; k < node->input_count; k++) {
    retc_value in = node->inputs[k];
    retc_dim_name scalar;
    if (retc_lower_is_inside(l, in)) retc_text_printf(out_text, " %u", in.index - first);
    else if (retc_lower_is_scalar(retc_lower_node(l, in), &scalar)) retc_text_printf(out_text, " %s", retc_dim_text(scalar));
    else retc_text_printf(out_text, " o%zu", operand_number(l, in));
  }
  const retc_attributes *a = &node->attributes;
  retc_text_printf(out_text, " %lld %lld %lld %a %s", (long long)a->integer[0], (long long)a->integer[1],
                   (long long)a->integer[2], a->number, a->word ? a->word : "");
  for (size_t i = 0; i < a->dense_count; i++) retc_text_printf(out_text, " %a", a->dense[i]);
  retc_text_add(out_text, " : ");
  retc_type_print(&node->type, out_text);
  retc_text_add(out_text, "\n");
}

static void print_operand(const retc_lowering *l, const retc_operand *operand, retc_text *out_text) {
  retc_type_print(&retc_lower_node(l, operand->value)->type, out_text);
  retc_text_printf(out_text, "%s%s%s\n", retc_lower_is_panel(l->graph, operand->value) ? " panel" : "",
                   operand->replaced_by.index ? " replaced" : "",
                   retc_lower_is_inside(l, operand->value) ? " result" : "");
}

static const char *region_key(const retc_lowering *l) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "%s", region->anchor);
  for (int i = 0; i < region->schedule_count; i++) {
    retc_text_printf(&text, " %s=%lld", region->schedule[i].name, (long long)region->schedule[i].value);
  }
  retc_text_add(&text, "\n");
  for (size_t i = 0; i < l->operands.count; i++) print_operand(l, &l->operands.items[i], &text);
  uint32_t first = 0;
  for (uint32_t i = 1; i < l->graph->nodes.count; i++) {
    if (l->graph->nodes.items[i].region.index != l->region.index) continue;
    if (!first) first = i;
    print_node(l, i, first, &text);
  }
  const char *key = retc_arena_strndup(l->arena, text.data, text.length);
  retc_text_deinit(&text);
  return key;
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

/* A readable C identifier out of a value's name: its last parts. */
static const char *buffer_name(const retc_lowering *l, retc_value value, size_t number) {
  const retc_node *node = retc_lower_node(l, value);
  if (retc_lower_is_inside(l, value)) return number ? "result" : "out";
  if (node->op != RETC_OP_INPUT) return "in";
  const char *dot = strrchr(node->name, '.');
  if (!strcmp(node->attributes.word, "state")) return retc_arena_strndup(l->arena, node->name, (size_t)(dot - node->name));
  return strcmp(node->attributes.word, "weight") ? node->name : "weight";
}

static void add_parameters(retc_lowering *l) {
  for (size_t i = 0; i < l->operands.count; i++) {
    retc_operand *operand = &l->operands.items[i];
    const retc_node *node = retc_lower_node(l, operand->value);
    unsigned access = retc_lower_is_inside(l, operand->value) ? RETC_ACCESS_WRITE : RETC_ACCESS_READ;
    if (operand->replaced_by.index) access |= RETC_ACCESS_WRITE;
    retc_shape shape = node->type.shape;
    if (retc_lower_is_panel(l->graph, operand->value)) {
      shape = (retc_shape){.rank = 3, .dim = {(shape.dim[0] + RETC_PANEL - 1) / RETC_PANEL, shape.dim[1], RETC_PANEL}};
    }
    operand->buffer = retc_write_parameter(&l->writer, buffer_name(l, operand->value, i), node->type.dtype, &shape, access);
  }
}

static void describe_kernel(retc_kernel *kernel, const retc_region *region) {
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "%s; folded:", region->anchor);
  for (size_t i = 0; i < region->folded.count; i++) retc_text_printf(&text, " %s", region->folded.items[i]);
  kernel->comment = retc_arena_strndup(&kernel->arena, text.data, text.length);
  retc_text_deinit(&text);
}

static void describe_in_plan(lower_state *s, const retc_kernel *kernel) {
  retc_signature signature = retc_kernel_signature(kernel);
  retc_plan_kernel described = {.name = retc_arena_strdup(&s->plan->arena, kernel->name),
                                .buffer_count = signature.buffer_count,
                                .dim_count = signature.dim_count,
                                .scratch_bytes = signature.scratch_bytes};
  memcpy(described.dims, signature.dims, sizeof described.dims);
  RETC_VEC_PUSH(&s->plan->arena, s->plan->kernels, described);
}

static retc_status make_kernel(lower_state *s, retc_lowering *l, const char *key, known_kernel *out_known) {
  retc_compilation *compilation = s->cx->compilation;
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const char *name = retc_arena_printf(s->arena, "%s_%zu", region->anchor, compilation->kernels.count);
  size_t operand_count = l->operands.count;
  l->kernel = retc_kernel_create(name);
  RETC_VEC_PUSH(&compilation->arena, compilation->kernels, l->kernel);
  retc_writer_init(&l->writer, l->kernel);
  add_parameters(l);
  const retc_anchor *anchor = retc_anchor_find(region->anchor);
  RETC_TRY(anchor->lower(l));
  describe_kernel(l->kernel, region);
  *out_known = (known_kernel){key, (int)compilation->kernels.count - 1, l->operands.items + operand_count,
                              l->operands.count - operand_count};
  RETC_VEC_PUSH(s->arena, s->known, *out_known);
  describe_in_plan(s, l->kernel);
  return RETC_OK;
}

static retc_status find_kernel(lower_state *s, retc_lowering *l, known_kernel *out_known) {
  const char *key = region_key(l);
  for (size_t i = 0; i < s->known.count; i++) {
    if (strcmp(s->known.items[i].key, key)) continue;
    *out_known = s->known.items[i];
    for (size_t c = 0; c < out_known->constant_count; c++) RETC_VEC_PUSH(l->arena, l->operands, out_known->constants[c]);
    return RETC_OK;
  }
  return make_kernel(s, l, key, out_known);
}

/* ---- the plan's buffers and steps ---- */

static int add_buffer(lower_state *s, retc_plan_buffer buffer) {
  buffer.name = retc_arena_strdup(&s->plan->arena, buffer.name);
  buffer.slot = -1;
  RETC_VEC_PUSH(&s->plan->arena, s->plan->buffers, buffer);
  return (int)s->plan->buffers.count - 1;
}

static int constant_buffer(lower_state *s, const retc_operand *operand) {
  retc_dims none = {{0}};
  size_t count = (size_t)retc_shape_count(&operand->shape, &none), bytes = count * retc_dtype_size(operand->dtype);
  void *data = retc_arena_alloc(&s->plan->arena, bytes);
  retc_dtype_convert(RETC_DTYPE_F64, operand->numbers, operand->dtype, data, count);
  for (size_t i = 0; i < s->plan->buffers.count; i++) {
    const retc_plan_buffer *known = &s->plan->buffers.items[i];
    bool same = known->kind == RETC_PLAN_CONSTANT && known->dtype == operand->dtype &&
                retc_shape_equal(&known->shape, &operand->shape);
    if (same && !memcmp(known->constant, data, bytes)) return (int)i;
  }
  const char *name = retc_arena_printf(s->arena, "constant.%zu", s->plan->buffers.count);
  return add_buffer(s, (retc_plan_buffer){.name = name, .kind = RETC_PLAN_CONSTANT, .dtype = operand->dtype,
                                          .shape = operand->shape, .constant = data});
}

static int input_buffer(lower_state *s, retc_value value) {
  const retc_node *node = retc_graph_node(s->graph, value);
  int known = retc_plan_find_buffer(s->plan, node->name);
  if (known >= 0) return known;
  const char *kind = node->attributes.word;
  retc_plan_buffer buffer = {.name = node->name, .kind = RETC_PLAN_INPUT, .dtype = node->type.dtype,
                             .shape = node->type.shape};
  if (!strcmp(kind, "weight")) buffer.kind = RETC_PLAN_WEIGHT;
  if (!strcmp(kind, "state")) buffer.kind = RETC_PLAN_STATE;
  if (retc_lower_is_panel(s->graph, value)) buffer.layout = RETC_LAYOUT_PANEL;
  return add_buffer(s, buffer);
}

static int result_buffer(lower_state *s, const retc_region *region, retc_value value) {
  const retc_node *node = retc_graph_node(s->graph, value);
  retc_plan_buffer buffer = {.kind = RETC_PLAN_SCRATCH, .dtype = node->type.dtype, .shape = node->type.shape};
  buffer.name = retc_arena_printf(s->arena, "%s.%s.%u", s->graph->name, region->name, value.index);
  for (size_t i = 0; i < s->graph->outputs.count; i++) {
    const retc_output *output = &s->graph->outputs.items[i];
    if (output->value.index != value.index) continue;
    retc_value state = retc_graph_find_input(s->graph, output->name);
    if (state.index) return input_buffer(s, state);
    buffer.kind = RETC_PLAN_OUTPUT;
    buffer.name = output->name;
    break; /* other names of the same value are names of the same buffer */
  }
  return add_buffer(s, buffer);
}

static int operand_buffer(lower_state *s, const retc_region *region, const retc_operand *operand) {
  if (!operand->value.index) return constant_buffer(s, operand);
  int *known = &s->buffer_of[operand->value.index];
  if (*known < 0) {
    bool input = retc_graph_node(s->graph, operand->value)->op == RETC_OP_INPUT;
    *known = input ? input_buffer(s, operand->value) : result_buffer(s, region, operand->value);
  }
  if (operand->replaced_by.index) s->buffer_of[operand->replaced_by.index] = *known;
  return *known;
}

static retc_status lower_region(lower_state *s, retc_region_id id, retc_plan_entry *entry) {
  const retc_region *region = retc_graph_region(s->graph, id);
  retc_lowering l = {.cx = s->cx, .graph = s->graph, .region = id, .arena = s->arena};
  l.anchor = retc_anchor_node(s->graph, id);
  if (!l.anchor.index) {
    return retc_fail(s->cx->diagnostics, RETC_INTERNAL, "lower: region %s has no %s in it", region->name, region->anchor);
  }
  collect(s, &l);
  known_kernel kernel;
  RETC_TRY(find_kernel(s, &l, &kernel));
  int *buffers = RETC_NEW_ARRAY(&s->plan->arena, int, l.operands.count);
  for (size_t i = 0; i < l.operands.count; i++) buffers[i] = operand_buffer(s, region, &l.operands.items[i]);
  retc_plan_step step = {kernel.kernel, buffers, retc_arena_strdup(&s->plan->arena, region->name)};
  RETC_VEC_PUSH(&s->plan->arena, entry->steps, step);
  return RETC_OK;
}

static retc_status lower_graph(lower_state *s, const retc_graph *graph) {
  retc_plan_entry entry = {.name = retc_arena_strdup(&s->plan->arena, graph->name)};
  s->graph = graph;
  s->uses = retc_graph_uses(graph, s->arena);
  s->buffer_of = RETC_NEW_ARRAY(s->arena, int, graph->nodes.count);
  for (size_t i = 0; i < graph->nodes.count; i++) s->buffer_of[i] = -1;
  for (uint32_t r = 1; r < graph->regions.count; r++) RETC_TRY(lower_region(s, (retc_region_id){r}, &entry));
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    int buffer = s->buffer_of[output->value.index];
    if (buffer < 0 || s->plan->buffers.items[buffer].kind != RETC_PLAN_OUTPUT) continue;
    retc_plan_output named = {retc_arena_strdup(&s->plan->arena, output->name), buffer};
    RETC_VEC_PUSH(&s->plan->arena, entry.outputs, named);
  }
  RETC_VEC_PUSH(&s->plan->arena, s->plan->entries, entry);
  return RETC_OK;
}

retc_status retc_lower(const retc_pass_context *cx) {
  retc_compilation *compilation = cx->compilation;
  retc_arena arena;
  retc_arena_init(&arena);
  retc_plan *plan = retc_plan_create();
  compilation->plan = plan;
  plan->vocabulary_size = cx->network->vocabulary_size;
  plan->chunk_length = cx->build.chunk_length;
  plan->bos_token = cx->network->bos_token;
  plan->eos_token = cx->network->eos_token;
  lower_state s = {.cx = cx, .arena = &arena, .plan = plan};
  retc_status status = RETC_OK;
  for (size_t i = 0; i < compilation->graphs.count && status == RETC_OK; i++) {
    status = lower_graph(&s, compilation->graphs.items[i]);
  }
  retc_arena_deinit(&arena);
  return status;
}
