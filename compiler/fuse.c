/* Graph of primitives in, the same graph cut into regions out. Three steps: anchors open regions and the growth rows of
 * fusions.def extend them to a fixpoint; what is left is copied into its users when they all accept it (prologue rows),
 * else stored by a pointwise region of its own; regions are written in an order in which a state is replaced only after
 * everybody has read it. It stands after simplify, so that every use is a real one. */
#include "compiler/fuse.h"

#include <string.h>

#include "compiler/anchors.h"
#include "compiler/pass.h"

typedef struct growth_row {
  const char *name;
  retc_growth_match match;
} growth_row;
typedef struct prologue_row {
  const char *name;
  retc_prologue_accept accept;
} prologue_row;

#define RETC_PROLOGUE(name, meaning)
#define RETC_GROWTH(name, meaning) {#name, retc_growth_##name},
static const growth_row growths[] = {
#include "compiler/fusions.def"
};
#undef RETC_GROWTH
#undef RETC_PROLOGUE
#define RETC_GROWTH(name, meaning)
#define RETC_PROLOGUE(name, meaning) {#name, retc_prologue_##name},
static const prologue_row prologues[] = {
#include "compiler/fusions.def"
};
#undef RETC_GROWTH
#undef RETC_PROLOGUE
enum {
  growth_count = sizeof growths / sizeof growths[0],
  prologue_count = sizeof prologues / sizeof prologues[0]
};

static uint32_t open_region(retc_fuse_state *s, const char *anchor, uint32_t node) {
  retc_fuse_region region = {anchor, node, RETC_NEW_ARRAY(s->arena, bool, growth_count + prologue_count)};
  RETC_VEC_PUSH(s->arena, s->regions, region);
  return s->home[node] = (uint32_t)s->regions.count - 1;
}

/* The last anchor, pointwise, takes what no other region wants, and so opens nothing here. */
static void open_anchors(retc_fuse_state *s) {
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    for (size_t a = 0; a + 1 < retc_anchor_count(); a++) {
      if (!retc_anchor_at(a)->matches(s->graph, &s->graph->nodes.items[i])) continue;
      open_region(s, retc_anchor_at(a)->name, i);
      break;
    }
  }
}

static bool is_leaf(const retc_fuse_state *s, uint32_t node) {
  return retc_op_get_info(s->graph->nodes.items[node].op)->traits & RETC_TRAIT_LEAF;
}

static bool grow_once(retc_fuse_state *s) {
  bool changed = false;
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    for (size_t r = 0; r < growth_count && !s->home[i] && !is_leaf(s, i); r++) {
      s->home[i] = growths[r].match(s, i);
      if (!s->home[i]) continue;
      s->regions.items[s->home[i]].acted[r] = true;
      changed = true;
    }
  }
  return changed;
}

/* Whether a user computes this operand itself. */
static int find_prologue(const retc_fuse_state *s, uint32_t user, uint32_t node) {
  const retc_node *n = &s->graph->nodes.items[user];
  int found = -1;
  for (int k = 0; k < n->input_count; k++) {
    if (n->inputs[k].index != node) continue;
    found = -1;
    for (int r = 0; r < prologue_count && found < 0; r++) {
      if (prologues[r].accept(s, user, k, node)) found = r;
    }
    if (found < 0) return -1;
  }
  return found;
}

/* A value's rows that a chunk hands on unrotated are read by matrix products straight from memory. */
static bool wanted_direct(const retc_fuse_state *s, uint32_t node) {
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    uint32_t user = s->uses.users[u];
    retc_op op = s->graph->nodes.items[user].op;
    if (op == RETC_OP_CHUNK || (op == RETC_OP_RESHAPE && s->direct[user])) return true;
  }
  return false;
}

static void place_rest(retc_fuse_state *s) {
  for (uint32_t i = (uint32_t)s->graph->nodes.count; i-- > 1;) {
    if (s->home[i] || is_leaf(s, i)) continue;
    bool inlined = !s->is_output[i];
    s->direct[i] = wanted_direct(s, i);
    for (uint32_t u = s->uses.starts[i]; u < s->uses.starts[i + 1] && inlined; u++) {
      inlined = find_prologue(s, s->uses.users[u], i) >= 0;
    }
    if (!inlined) open_region(s, "pointwise", i);
  }
}

/* ---- writing the new graph ---- */

typedef struct writer {
  retc_fuse_state *s;
  retc_builder builder;
  retc_value *stored;   /* new value of leaves and of nodes with a home */
  retc_value *copied;   /* new value within the region being written */
  uint32_t *copied_in;  /* that region */
  uint8_t *region_state; /* 0 not yet, 1 being ordered, 2 written */
} writer;

static retc_status write_region(writer *w, uint32_t region);

static retc_value copy_node(writer *w, uint32_t region, uint32_t node) {
  retc_fuse_state *s = w->s;
  const retc_node *old = &s->graph->nodes.items[node];
  bool elsewhere = s->home[node] && s->home[node] != region;
  if (old->op == RETC_OP_INPUT || elsewhere) return w->stored[node];
  if (w->copied_in[node] == region) return w->copied[node];
  retc_value inputs[RETC_OP_INPUTS_MAX];
  for (int k = 0; k < old->input_count; k++) {
    inputs[k] = copy_node(w, region, old->inputs[k].index);
    uint32_t in = old->inputs[k].index;
    if (s->home[in] || is_leaf(s, in)) continue;
    s->regions.items[region].acted[growth_count + find_prologue(s, node, in)] = true;
  }
  retc_value value = retc_graph_clone_node(&w->builder, old, inputs);
  w->copied[node] = value;
  w->copied_in[node] = region;
  if (s->home[node] == region) w->stored[node] = value;
  return value;
}

/* Regions that this one reads, directly or through what is copied into it, come first. */
static retc_status write_sources(writer *w, uint32_t region, uint32_t node) {
  retc_fuse_state *s = w->s;
  const retc_node *old = &s->graph->nodes.items[node];
  for (int k = 0; k < old->input_count; k++) {
    uint32_t in = old->inputs[k].index;
    if (is_leaf(s, in)) continue;
    if (!s->home[in]) {
      RETC_TRY(write_sources(w, region, in));
    } else if (s->home[in] != region) {
      RETC_TRY(write_region(w, s->home[in]));
    }
  }
  return RETC_OK;
}

static retc_status write_readers(writer *w, uint32_t region, uint32_t node, uint32_t self) {
  retc_fuse_state *s = w->s;
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    uint32_t user = s->uses.users[u];
    if (s->home[user] && s->home[user] != region) RETC_TRY(write_region(w, s->home[user]));
    if (!s->home[user] && user != self) RETC_TRY(write_readers(w, region, user, self));
  }
  return RETC_OK;
}

/* Regions that read a state which this one replaces come first. */
static retc_status write_state_readers(writer *w, uint32_t region) {
  const retc_graph *graph = w->s->graph;
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    retc_value state = retc_graph_find_input(graph, output->name);
    if (!state.index || w->s->home[output->value.index] != region) continue;
    RETC_TRY(write_readers(w, region, state.index, output->value.index));
  }
  return RETC_OK;
}

static const char *region_name(writer *w, uint32_t region) {
  const retc_fuse_region *r = &w->s->regions.items[region];
  const char *origin = w->s->graph->nodes.items[r->node].origin;
  const char *base = retc_arena_printf(w->s->arena, "%s.%s", origin ? origin : "graph", r->anchor), *name = base;
  const retc_graph *graph = w->builder.graph;
  for (int number = 2;; number++) {
    bool taken = false;
    for (size_t i = 1; i < graph->regions.count; i++) taken = taken || !strcmp(graph->regions.items[i].name, name);
    if (!taken) return name;
    name = retc_arena_printf(w->s->arena, "%s.%d", base, number);
  }
}

static retc_status write_region(writer *w, uint32_t region) {
  retc_fuse_state *s = w->s;
  if (w->region_state[region] == 2) return RETC_OK;
  if (w->region_state[region] == 1) {
    return retc_fail(w->builder.diagnostics, RETC_INTERNAL, "fuse: a cycle of regions through %s",
                     s->regions.items[region].anchor);
  }
  w->region_state[region] = 1;
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    if (s->home[i] == region) RETC_TRY(write_sources(w, region, i));
  }
  RETC_TRY(write_state_readers(w, region));
  const retc_fuse_region *r = &s->regions.items[region];
  w->builder.region = retc_graph_add_region(w->builder.graph, region_name(w, region), r->anchor);
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    if (s->home[i] == region) copy_node(w, region, i);
  }
  retc_region *written = retc_graph_region_mutable(w->builder.graph, w->builder.region);
  for (size_t f = 0; f < growth_count + prologue_count; f++) {
    if (!r->acted[f]) continue;
    RETC_VEC_PUSH(&w->builder.graph->arena, written->folded,
                  f < growth_count ? growths[f].name : prologues[f - growth_count].name);
  }
  w->region_state[region] = 2;
  return w->builder.status;
}

static retc_status write_graph(retc_fuse_state *s, retc_diagnostics *diagnostics, retc_graph **out_graph) {
  size_t count = s->graph->nodes.count;
  writer w = {.s = s, .builder = {.graph = retc_graph_create(s->graph->name), .diagnostics = diagnostics}};
  w.stored = RETC_NEW_ARRAY(s->arena, retc_value, count);
  w.copied = RETC_NEW_ARRAY(s->arena, retc_value, count);
  w.copied_in = RETC_NEW_ARRAY(s->arena, uint32_t, count);
  w.region_state = RETC_NEW_ARRAY(s->arena, uint8_t, s->regions.count);
  for (uint32_t i = 1; i < count; i++) {
    const retc_node *node = &s->graph->nodes.items[i];
    if (node->op == RETC_OP_INPUT) w.stored[i] = retc_graph_clone_node(&w.builder, node, NULL);
  }
  retc_status status = w.builder.status;
  for (uint32_t r = 1; r < s->regions.count && status == RETC_OK; r++) status = write_region(&w, r);
  for (size_t i = 0; i < s->graph->outputs.count && status == RETC_OK; i++) {
    const retc_output *output = &s->graph->outputs.items[i];
    retc_graph_add_output(w.builder.graph, output->name, w.stored[output->value.index]);
  }
  if (status != RETC_OK) {
    retc_graph_destroy(w.builder.graph);
    return status;
  }
  *out_graph = w.builder.graph;
  return RETC_OK;
}

retc_status retc_fuse(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  retc_arena arena;
  retc_arena_init(&arena);
  retc_fuse_state s = {.graph = in, .arena = &arena, .uses = retc_graph_uses(in, &arena)};
  s.is_output = RETC_NEW_ARRAY(&arena, bool, in->nodes.count);
  s.home = RETC_NEW_ARRAY(&arena, uint32_t, in->nodes.count);
  s.direct = RETC_NEW_ARRAY(&arena, bool, in->nodes.count);
  RETC_VEC_PUSH(&arena, s.regions, ((retc_fuse_region){0}));
  for (size_t i = 0; i < in->outputs.count; i++) s.is_output[in->outputs.items[i].value.index] = true;
  open_anchors(&s);
  while (grow_once(&s)) continue;
  place_rest(&s);
  retc_status status = write_graph(&s, cx->diagnostics, out_graph);
  retc_arena_deinit(&arena);
  return status;
}
