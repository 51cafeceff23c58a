#include "compiler/cost.h"

#include <string.h>

#include "compiler/gpu.h"
#include "compiler/retention_pattern.h"

typedef struct counter {
  const retc_graph *graph;
  const retc_plan *plan;
  const retc_plan_entry *entry;
  const retc_plan_step *step;
  const retc_dims *dims;
  retc_region_id region;
  retc_uses uses;
  retc_cost *cost;
  const retc_dtype *stored_as; /* of each value */
} counter;

double retc_cost_bytes(const retc_cost *cost) { return cost->weight_bytes + cost->state_bytes + cost->row_bytes; }

retc_dims retc_cost_dims(const retc_plan_entry *entry, int64_t batch, int64_t tokens, int64_t position, int64_t last) {
  retc_dims dims = {{0}};
  const int64_t chunk = entry->chunk_length ? entry->chunk_length : 1;
  dims.value[RETC_DIM_B] = batch;
  dims.value[RETC_DIM_T] = tokens;
  dims.value[RETC_DIM_L] = last;
  dims.value[RETC_DIM_P] = position;
  dims.value[RETC_DIM_E] = RETC_NO_END;
  dims.value[RETC_DIM_N] = retc_chunk_count(entry->grid_start >= 0 ? entry->grid_start : position, tokens, chunk);
  return dims;
}

static int64_t size_of(const counter *c, retc_dim dim) { return retc_dim_value(dim, c->dims); }

static double count_elements(const counter *c, const retc_shape *shape) {
  double count = 1;
  for (int i = 0; i < shape->rank; i++) count *= (double)size_of(c, shape->dim[i]);
  return count;
}

static double count_bytes(const counter *c, uint32_t value) {
  const retc_dtype dtype = c->stored_as[value];
  const double size = dtype == RETC_DTYPE_I4 ? 0.5 : (double)retc_dtype_size(dtype);
  return count_elements(c, &c->graph->nodes.items[value].type.shape) * size;
}

/* ---- FLOP ---- */

/* 2 times the extents of all letters. */
static double product_flop(const counter *c, const retc_node *node) {
  retc_contraction parsed;
  double flop = 2;
  if (!retc_contraction_parse(node->attributes.word, &parsed)) return 0;
  for (int i = 0; i < parsed.letter_count; i++) {
    const struct retc_letter *letter = &parsed.letters[i];
    const retc_value from = node->inputs[letter->a >= 0 ? 0 : 1];
    const int axis = letter->a >= 0 ? letter->a : letter->b;
    flop *= (double)size_of(c, retc_graph_node(c->graph, from)->type.shape.dim[axis]);
  }
  return flop;
}

static double rows_flop(const counter *c, const retc_node *node) {
  const retc_shape *a = &retc_graph_node(c->graph, node->inputs[0])->type.shape;
  return 2 * count_elements(c, &node->type.shape) * (double)size_of(c, a->dim[a->rank - 1]);
}

/* The position that the grid's first row of this call stands at, and the chunk's length. */
static int64_t grid_position(const counter *c) {
  return c->entry->grid_start >= 0 ? c->entry->grid_start : c->dims->value[RETC_DIM_P];
}

static int64_t completed_chunks(const counter *c, int64_t chunk) {
  const int64_t from = grid_position(c);
  return (from + c->dims->value[RETC_DIM_T]) / chunk - from / chunk;
}

/* Sum of i + 1 over the rows i that the call's tokens have in their chunks. */
static double count_pairs(const counter *c, int64_t chunk) {
  const int64_t from = grid_position(c), to = from + c->dims->value[RETC_DIM_T];
  const double whole = (double)chunk * ((double)chunk + 1) / 2;
  const double first = (double)(from % chunk), last = (double)(to % chunk);
  return (double)(to / chunk - from / chunk) * whole + last * (last + 1) / 2 - first * (first + 1) / 2;
}

static double retention_flop(const counter *c, const retc_retention *found) {
  const retc_node *scan = retc_graph_node(c->graph, found->scan);
  const retc_shape *state = &retc_graph_node(c->graph, found->start)->type.shape; /* b, h, k, v */
  const int64_t chunk = scan->attributes.integer[0];
  const double heads = (double)size_of(c, state->dim[0]) * (double)size_of(c, state->dim[1]);
  const double keys = (double)size_of(c, state->dim[2]), values = (double)size_of(c, state->dim[3]);
  const double tokens = (double)c->dims->value[RETC_DIM_T];
  const double update = (double)completed_chunks(c, chunk) * (double)chunk * keys * values;
  return 2 * heads * ((keys + values) * count_pairs(c, chunk) + tokens * keys * values + update);
}

static double flush_flop(const counter *c, const retc_node *node) {
  const retc_shape *state = &node->type.shape;
  return 2 * count_elements(c, state) * (double)(c->dims->value[RETC_DIM_P] % node->attributes.integer[0]);
}

static void count_flop(counter *c) {
  retc_retention found;
  for (uint32_t i = 1; i < c->graph->nodes.count; i++) {
    if (c->graph->nodes.items[i].region.index != c->region.index) continue;
    if (!retc_retention_find(c->graph, &c->uses, (retc_value){i}, &found)) continue;
    c->cost->flop += retention_flop(c, &found); /* everything else in its region belongs to it */
    return;
  }
  for (uint32_t i = 1; i < c->graph->nodes.count; i++) {
    const retc_node *node = &c->graph->nodes.items[i];
    if (node->region.index != c->region.index) continue;
    if (node->op == RETC_OP_CONTRACT) c->cost->flop += product_flop(c, node);
    if (node->op == RETC_OP_CONTRACT_BF16 || node->op == RETC_OP_CONTRACT_INT8 || node->op == RETC_OP_CONTRACT_SCALED) {
      c->cost->flop += rows_flop(c, node);
    }
    if (node->op == RETC_OP_FLUSH) c->cost->flop += flush_flop(c, node);
  }
}

/* ---- bytes ---- */

/* The rows that this call adds to those of the unfinished chunk. */
static int64_t carried_rows(const counter *c, int64_t chunk) {
  const int64_t tokens = c->dims->value[RETC_DIM_T], last = (grid_position(c) + tokens - 1) % chunk + 1;
  return last < tokens ? last : tokens;
}

/* The bytes of a value outside that a node of the region reads of it. */
static double read_bytes(const counter *c, const retc_node *reader, int input) {
  const uint32_t value = reader->inputs[input].index;
  const double row = (double)retc_dtype_size(c->stored_as[value]), all = count_bytes(c, value);
  const bool pending =
      (reader->op == RETC_OP_CHUNK && input == 2) || (reader->op == RETC_OP_FLUSH && (input == 1 || input == 2));
  if (reader->op == RETC_OP_GATHER && input == 0) {
    const double taken = count_elements(c, &reader->type.shape) * row;
    return taken < all ? taken : all;
  }
  if (reader->op == RETC_OP_TAIL) return count_elements(c, &reader->type.shape) * row;
  if (pending) {
    const int64_t chunk = reader->attributes.integer[0];
    return all / (double)chunk * (double)(c->dims->value[RETC_DIM_P] % chunk);
  }
  return all;
}

/* A region that keeps rows for the next call reads no others than those. */
static double carried_bytes(const counter *c, uint32_t value, const retc_node *carry) {
  const retc_node *node = &c->graph->nodes.items[value];
  if (retc_graph_is_state(c->graph, (retc_value){value})) return 0;
  bool rows = false;
  for (int i = 0; i < node->type.shape.rank; i++) rows = rows || node->type.shape.dim[i] == RETC_NAMED(T);
  const double share = (double)carried_rows(c, carry->attributes.integer[0]) / (double)c->dims->value[RETC_DIM_T];
  return count_bytes(c, value) * (rows ? share : 1);
}

static const retc_node *find_carry(const counter *c) {
  for (uint32_t i = 1; i < c->graph->nodes.count; i++) {
    const retc_node *node = &c->graph->nodes.items[i];
    if (node->region.index == c->region.index && node->op == RETC_OP_CARRY) return node;
  }
  return NULL;
}

/* What any node of the region reads of it: the most that one does. */
static double most_read(const counter *c, uint32_t value) {
  double most = 0;
  for (uint32_t u = c->uses.starts[value]; u < c->uses.starts[value + 1]; u++) {
    const retc_node *reader = &c->graph->nodes.items[c->uses.users[u]];
    for (int k = 0; k < reader->input_count && reader->region.index == c->region.index; k++) {
      if (reader->inputs[k].index != value) continue;
      const double bytes = read_bytes(c, reader, k);
      if (bytes > most) most = bytes;
    }
  }
  return most;
}

/* What a result's store moves: a state is replaced when a chunk is complete, pending rows get those of this call. */
static double written_bytes(const counter *c, uint32_t value) {
  const retc_node *node = &c->graph->nodes.items[value];
  const double all = count_bytes(c, value);
  if (node->op == RETC_OP_PART && retc_graph_node(c->graph, node->inputs[0])->op == RETC_OP_SCAN) {
    return completed_chunks(c, retc_graph_node(c->graph, node->inputs[0])->attributes.integer[0]) ? all : 0;
  }
  if (node->op != RETC_OP_CARRY) return all;
  const int64_t chunk = node->attributes.integer[0];
  return all / (double)chunk * (double)carried_rows(c, chunk);
}

static bool is_result(const counter *c, uint32_t value) {
  for (uint32_t u = c->uses.starts[value]; u < c->uses.starts[value + 1]; u++) {
    if (c->graph->nodes.items[c->uses.users[u]].region.index != c->region.index) return true;
  }
  for (size_t i = 0; i < c->graph->outputs.count; i++) {
    if (c->graph->outputs.items[i].value.index == value) return true;
  }
  return false;
}

static void count_graph_bytes(counter *c) {
  const retc_node *carry = find_carry(c);
  for (uint32_t i = 1; i < c->graph->nodes.count; i++) {
    const retc_node *node = &c->graph->nodes.items[i];
    if (node->region.index == c->region.index) {
      if (!is_result(c, i)) continue;
      *(retc_graph_find_replaced(c->graph, (retc_value){i}).index ? &c->cost->state_bytes : &c->cost->row_bytes) +=
          written_bytes(c, i);
      continue;
    }
    if (!node->type.shape.rank || node->op == RETC_OP_CONST) continue; /* part of the code or of constants */
    const char *kind = node->op == RETC_OP_INPUT ? node->attributes.word : "";
    if (!strcmp(kind, "weight")) continue; /* the plan knows how they lie in memory */
    const double most = most_read(c, i);
    *(strcmp(kind, "state") ? &c->cost->row_bytes : &c->cost->state_bytes) +=
        carry && most > 0 ? carried_bytes(c, i, carry) : most;
  }
}

/* The value of a weight that is read as a table; none when it is read otherwise, too. */
static bool is_table(const counter *c, const char *name, retc_value *out_value) {
  *out_value = retc_graph_find_input(c->graph, name);
  if (!out_value->index) return false;
  for (uint32_t u = c->uses.starts[out_value->index]; u < c->uses.starts[out_value->index + 1]; u++) {
    const retc_node *reader = &c->graph->nodes.items[c->uses.users[u]];
    if (reader->region.index == c->region.index && reader->op != RETC_OP_GATHER) return false;
  }
  return true;
}

static void count_weight_bytes(counter *c) {
  const int count = c->plan->kernels.items[c->step->kernel].buffer_count;
  for (int i = 0; i < count; i++) {
    const retc_plan_buffer *buffer = &c->plan->buffers.items[c->step->buffers[i]];
    if (buffer->kind != RETC_PLAN_WEIGHT && buffer->kind != RETC_PLAN_CONSTANT) continue;
    retc_value table;
    if (buffer->kind == RETC_PLAN_WEIGHT && is_table(c, buffer->name, &table)) {
      c->cost->weight_bytes += most_read(c, table.index);
    } else {
      c->cost->weight_bytes +=
          (double)retc_plan_buffer_elements(buffer, c->dims) * (double)retc_dtype_size(buffer->dtype);
    }
  }
}

/* ---- steps ---- */

static const retc_graph *find_graph(const retc_compilation *compilation, const char *name) {
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    if (!strcmp(compilation->graphs.items[i]->name, name)) return compilation->graphs.items[i];
  }
  return NULL;
}

static retc_region_id find_region(const retc_graph *graph, const char *name) {
  for (uint32_t i = 1; i < graph->regions.count; i++) {
    if (!strcmp(graph->regions.items[i].name, name)) return (retc_region_id){i};
  }
  return (retc_region_id){0};
}

/* A call leaves most launches of a region without blocks. */
static bool is_left_out(const counter *c, const retc_plan_step *step) {
  const retc_plan_kernel *kernel = &c->plan->kernels.items[step->kernel];
  bool empty = false;
  for (int i = 0; i < 3 && retc_plan_kernel_is_launch(kernel); i++) {
    empty |= retc_plan_number_value(&kernel->grid[i], c->dims) == 0;
  }
  return empty;
}

/* A region that several launches have blocks of is counted once: with its product, where that is a launch of its own,
 * and those that write its rows and read its sums with it; else with the last one. */
static bool is_counted_with_another(const counter *c, const retc_plan_step *step) {
  if (!step->region || c->plan->kernels.items[step->kernel].product) return false;
  for (size_t i = 0; i < c->entry->steps.count; i++) {
    const retc_plan_step *other = &c->entry->steps.items[i];
    if (other == step || !other->region || strcmp(other->region, step->region) || is_left_out(c, other)) continue;
    if (c->plan->kernels.items[other->kernel].product || other > step) return true;
  }
  return false;
}

static bool count_step(counter *c, const retc_plan_step *step) {
  if (is_left_out(c, step) || is_counted_with_another(c, step)) return true;
  c->step = step;
  c->region = find_region(c->graph, step->region ? step->region : "");
  if (!c->region.index) return false;
  count_flop(c);
  count_graph_bytes(c);
  count_weight_bytes(c);
  return true;
}

static bool count_steps(const retc_compilation *compilation, size_t entry, size_t first, size_t end,
                        const retc_dims *dims, retc_cost *out_cost) {
  const retc_plan_entry *run = &compilation->plan->entries.items[entry];
  retc_arena arena;
  *out_cost = (retc_cost){0};
  counter c = {find_graph(compilation, run->name), compilation->plan, run, NULL, dims, {0}, {0}, out_cost, NULL};
  if (!c.graph) return false;
  retc_arena_init(&arena);
  c.uses = retc_graph_uses(c.graph, &arena);
  c.stored_as = retc_gpu_stored_types(c.graph, &c.uses, &arena);
  bool known = true;
  for (size_t i = first; i < end && known; i++) known = count_step(&c, &run->steps.items[i]);
  retc_arena_deinit(&arena);
  return known;
}

bool retc_cost_of_step(const retc_compilation *compilation, size_t entry, size_t step, const retc_dims *dims,
                       retc_cost *out_cost) {
  return count_steps(compilation, entry, step, step + 1, dims, out_cost);
}

bool retc_cost_of_entry(const retc_compilation *compilation, size_t entry, const retc_dims *dims, retc_cost *out_cost) {
  return count_steps(compilation, entry, 0, compilation->plan->entries.items[entry].steps.count, dims, out_cost);
}
