/* Graph of primitives in, the same graph cut into regions out. Three steps: anchors open regions and the growth rows of
 * fusions.def extend them to a fixpoint; what is left is copied into its users when they all accept it (prologue rows),
 * else stored by a pointwise region of its own; regions are written in an order in which a state is replaced only after
 * everybody has read it (fuse_write.c). It stands after simplify, so that every use is a real one. */
#include "compiler/fuse.h"

#include <string.h>

#include "compiler/anchors.h"
#include "compiler/gpu_contract.h"
#include "compiler/pass.h"

#define RETC_PROLOGUE(name, meaning)
#define RETC_GROWTH(name, meaning) retc_growth_##name,
static const retc_growth_match growths[] = {
#include "compiler/fusions.def"
};
#undef RETC_GROWTH
#undef RETC_PROLOGUE
#define RETC_GROWTH(name, meaning)
#define RETC_PROLOGUE(name, meaning) retc_prologue_##name,
static const retc_prologue_accept prologues[] = {
#include "compiler/fusions.def"
};
#undef RETC_GROWTH
#undef RETC_PROLOGUE
#define RETC_GROWTH(name, meaning) #name,
#define RETC_PROLOGUE(name, meaning) #name,
static const char *const names[] = {
#include "compiler/fusions.def"
};
#undef RETC_GROWTH
#undef RETC_PROLOGUE
enum {
  growth_count = sizeof growths / sizeof growths[0],
  prologue_count = sizeof prologues / sizeof prologues[0]
};

size_t retc_fusion_count(void) { return growth_count + prologue_count; }

const char *retc_fusion_name(size_t index) { return names[index]; }

static const retc_node *node_at(const retc_fuse_state *s, uint32_t node) { return &s->graph->nodes.items[node]; }

static bool is_leaf(const retc_fuse_state *s, uint32_t node) {
  return retc_op_get_info(node_at(s, node)->op)->traits & RETC_TRAIT_LEAF;
}

static void add_node(retc_fuse_state *s, uint32_t region, uint32_t node) {
  s->home[node] = region;
  s->regions.items[region].size++;
  RETC_VEC_PUSH(s->arena, s->regions.items[region].nodes, node);
}

static uint32_t open_region(retc_fuse_state *s, const char *anchor, uint32_t node) {
  retc_fuse_region region = {.anchor = anchor, .node = node, .products = 1,
                             .acted = RETC_NEW_ARRAY(s->arena, bool, retc_fusion_count())};
  RETC_VEC_PUSH(s->arena, s->regions, region);
  add_node(s, (uint32_t)s->regions.count - 1, node);
  return s->home[node];
}

/* Of more products of i4 in f32 a lane would need more registers than it has. */
static uint32_t products_most(const retc_fuse_state *s, const retc_node *product) {
  const bool in_f32 = retc_gpu_matrix_type(s->graph, product, s->profile) == RETC_DTYPE_F32;
  return in_f32 && node_at(s, product->inputs[1].index)->type.dtype == RETC_DTYPE_I4 ? 2 : RETC_GPU_PRODUCTS_MAX;
}

/* Products of the same rows with weights of one type: one launch of a GPU has blocks of all of them, where the same
 * instructions compute them. A vendor's BLAS computes one. */
static bool join_products(retc_fuse_state *s, uint32_t node) {
  const retc_node *n = node_at(s, node);
  if (!s->gpu || s->profile->blas || (n->op != RETC_OP_CONTRACT && n->op != RETC_OP_CONTRACT_SCALED)) return false;
  for (uint32_t r = 1; r < s->regions.count; r++) {
    retc_fuse_region *region = &s->regions.items[r];
    const retc_node *first = node_at(s, region->node);
    if (strcmp(region->anchor, "contract") != 0 || (uint32_t)region->products >= products_most(s, n)) continue;
    if (!retc_gpu_products_match(s->graph, first, n)) continue;
    if (retc_gpu_matrix_type(s->graph, first, s->profile) != retc_gpu_matrix_type(s->graph, n, s->profile)) continue;
    bool leaves = true;
    for (int i = 1; i < n->input_count; i++) {
      leaves = leaves && is_leaf(s, first->inputs[i].index) && is_leaf(s, n->inputs[i].index);
    }
    if (!leaves) continue;
    region->products++;
    add_node(s, r, node);
    return true;
  }
  return false;
}

/* Retentions come first: their nodes are nobody else's anchors. */
static void open_retentions(retc_fuse_state *s) {
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    retc_retention found;
    if (!retc_retention_find(s->graph, &s->uses, (retc_value){i}, &found)) continue;
    bool taken = false;
    for (int k = 0; k < found.member_count; k++) taken = taken || s->claim[found.members[k].index];
    if (taken) continue;
    uint32_t region = open_region(s, "retention", i);
    retc_retention *kept = RETC_NEW(s->arena, retc_retention);
    *kept = found;
    s->regions.items[region].retention = kept;
    for (int k = 0; k < found.member_count; k++) s->claim[found.members[k].index] = region;
    for (int k = 0; k < found.source_count; k++) s->is_source[found.sources[k].index] = true;
  }
}

/* The last anchor, pointwise, takes what no other region wants, and so opens nothing here. */
static void open_anchors(retc_fuse_state *s) {
  open_retentions(s);
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    for (size_t a = 0; a + 1 < retc_anchor_count() && !s->claim[i]; a++) {
      const retc_anchor *anchor = retc_anchor_at(a);
      if (!strcmp(anchor->name, "retention") || !strcmp(anchor->name, "rotate")) continue;
      if (!anchor->matches(s->graph, &s->uses, node_at(s, i))) continue;
      if (strcmp(anchor->name, "contract") != 0 || !join_products(s, i)) open_region(s, anchor->name, i);
      break;
    }
  }
}

static bool grow_once(retc_fuse_state *s) {
  bool changed = false;
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    for (size_t r = 0; r < growth_count && !s->home[i] && !is_leaf(s, i); r++) {
      const uint32_t region = growths[r](s, i);
      if (!region) continue;
      s->regions.items[region].acted[r] = true;
      add_node(s, region, i);
      changed = true;
    }
  }
  return changed;
}

int retc_fuse_find_prologue(const retc_fuse_state *s, uint32_t user, uint32_t node) {
  const retc_node *n = node_at(s, user);
  int found = -1;
  if (retc_fuse_is_rounding(node_at(s, node))) return -1;
  for (int k = 0; k < n->input_count; k++) {
    if (n->inputs[k].index != node) continue;
    found = -1;
    for (int r = 0; r < prologue_count && found < 0; r++) {
      if (prologues[r](s, user, k, node)) found = growth_count + r;
    }
    if (found < 0) return -1;
  }
  return found;
}

/* A value's rows that a chunk hands on unrotated are read by matrix products straight from memory. */
static bool wanted_direct(const retc_fuse_state *s, uint32_t node) {
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    uint32_t user = s->uses.users[u];
    retc_op op = node_at(s, user)->op;
    if (op == RETC_OP_CHUNK || (op == RETC_OP_RESHAPE && s->direct[user])) return true;
  }
  return false;
}

/* What is read at other indices, and not by one user alone, would be computed again and again along a chain. */
static bool is_read_elsewhere(const retc_fuse_state *s, uint32_t node) {
  if (s->uses.starts[node + 1] - s->uses.starts[node] < 2 || s->is_source[node]) return false;
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    switch (node_at(s, s->uses.users[u])->op) {
      case RETC_OP_TRANSPOSE:
      case RETC_OP_SLICE:
      case RETC_OP_REPEAT:
      case RETC_OP_CONCAT: return true;
      default: break;
    }
  }
  return false;
}

/* A rotation that nobody computes for himself has loops of its own. */
static void store(retc_fuse_state *s, uint32_t node) {
  open_region(s, node_at(s, node)->op == RETC_OP_ROTATE ? "rotate" : "pointwise", node);
}

static void place_rest(retc_fuse_state *s) {
  for (uint32_t i = (uint32_t)s->graph->nodes.count; i-- > 1;) {
    if (s->home[i] || is_leaf(s, i)) continue;
    bool inlined = !s->is_output[i] && !is_read_elsewhere(s, i);
    s->direct[i] = wanted_direct(s, i);
    for (uint32_t u = s->uses.starts[i]; u < s->uses.starts[i + 1] && inlined; u++) {
      inlined = retc_fuse_find_prologue(s, s->uses.users[u], i) >= 0;
    }
    if (!inlined) store(s, i);
  }
}

/* Expressions and regions of bounded size: a value that would make its user's larger is stored. What a retention reads
 * through stays with it. */
enum { TREE_MAX = 96, REGION_MAX = 192 };

static bool is_inlined(const retc_fuse_state *s, uint32_t node) { return !s->home[node] && !is_leaf(s, node); }

static bool is_storable(const retc_fuse_state *s, uint32_t node) {
  const retc_op op = node_at(s, node)->op;
  return is_inlined(s, node) && !s->is_source[node] && op != RETC_OP_ROTATE && op != RETC_OP_CHUNK;
}

/* Nodes and operands of the expression that a node is. */
static int measure(const retc_fuse_state *s, uint32_t node, const int *sizes) {
  const retc_node *n = node_at(s, node);
  int size = 1;
  for (int k = 0; k < n->input_count; k++) {
    uint32_t in = n->inputs[k].index;
    size += is_inlined(s, in) ? sizes[in] : 1;
  }
  return size;
}

/* Stores the largest operand of the region's nodes; false when none is left. */
static bool shrink_region(retc_fuse_state *s, uint32_t region, const int *sizes) {
  uint32_t largest = 0;
  for (uint32_t i = 1; i < s->graph->nodes.count; i++) {
    const retc_node *node = node_at(s, i);
    for (int k = 0; k < node->input_count && s->home[i] == region; k++) {
      uint32_t in = node->inputs[k].index;
      if (is_storable(s, in) && sizes[in] > (largest ? sizes[largest] : 2)) largest = in;
    }
  }
  if (largest) store(s, largest);
  return largest != 0;
}

static void limit_expressions(retc_fuse_state *s) {
  const size_t count = s->graph->nodes.count;
  int *sizes = RETC_NEW_ARRAY(s->arena, int, count);
  for (uint32_t i = 1; i < count; i++) {
    sizes[i] = measure(s, i, sizes);
    if (sizes[i] > TREE_MAX && is_storable(s, i)) store(s, i);
  }
  int *totals =
      RETC_NEW_ARRAY(s->arena, int, count + 1); /* of each region; storing makes more of them, but small ones */
  const size_t regions = s->regions.count;
  for (uint32_t i = 1; i < count; i++) {
    if (s->home[i] && s->home[i] < regions) totals[s->home[i]] += measure(s, i, sizes);
  }
  for (uint32_t r = 1; r < regions; r++) {
    bool large = totals[r] > REGION_MAX;
    while (large && shrink_region(s, r, sizes)) {
      int total = 0;
      for (uint32_t i = 1; i < count; i++) total += s->home[i] == r ? measure(s, i, sizes) : 0;
      large = total > REGION_MAX;
    }
  }
}

/* Only what an output needs, every output a value of its own, no composite operation. */
static bool is_simple(const retc_graph *graph, retc_arena *arena) {
  bool *needed = RETC_NEW_ARRAY(arena, bool, graph->nodes.count);
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    const retc_node *node = retc_graph_node(graph, output->value);
    retc_value named = retc_graph_find_input(graph, output->name);
    bool state = retc_graph_is_state(graph, named);
    if (state && named.index == output->value.index) continue;
    if (retc_op_get_info(node->op)->traits & RETC_TRAIT_LEAF) return false;
    if (state && retc_graph_find_replaced(graph, output->value).index != named.index) return false;
    needed[output->value.index] = true;
  }
  for (size_t i = graph->nodes.count; i-- > 1;) {
    const retc_node *node = &graph->nodes.items[i];
    if (!needed[i] && node->op != RETC_OP_INPUT) return false;
    for (int k = 0; k < node->input_count; k++) needed[node->inputs[k].index] = true;
  }
  return true;
}

static retc_status check_primitive(const retc_graph *graph, retc_diagnostics *diagnostics) {
  for (size_t i = 1; i < graph->nodes.count; i++) {
    const retc_node *node = &graph->nodes.items[i];
    if (!(retc_op_get_info(node->op)->traits & RETC_TRAIT_COMPOSITE)) continue;
    return retc_fail(diagnostics, RETC_INVALID,
                     "graph %s: %%%s: %s is a composite operation, which the pass expand writes "
                     "as others",
                     graph->name, node->name, retc_op_get_info(node->op)->name);
  }
  return RETC_OK;
}

static retc_status fuse(const retc_pass_context *cx, const retc_graph *in, retc_arena *arena, retc_graph **out_graph) {
  const size_t count = in->nodes.count;
  retc_fuse_state s = {.graph = in, .arena = arena, .uses = retc_graph_uses(in, arena),
                       .gpu = cx->compilation->profile.wave > 0, .profile = &cx->compilation->profile};
  s.is_output = RETC_NEW_ARRAY(arena, bool, count);
  s.home = RETC_NEW_ARRAY(arena, uint32_t, count);
  s.claim = RETC_NEW_ARRAY(arena, uint32_t, count);
  s.is_source = RETC_NEW_ARRAY(arena, bool, count);
  s.direct = RETC_NEW_ARRAY(arena, bool, count);
  RETC_VEC_PUSH(arena, s.regions, ((retc_fuse_region){0}));
  for (size_t i = 0; i < in->outputs.count; i++) s.is_output[in->outputs.items[i].value.index] = true;
  open_anchors(&s);
  while (grow_once(&s)) continue;
  place_rest(&s);
  limit_expressions(&s);
  return retc_fuse_write(&s, cx->diagnostics, out_graph);
}

retc_status retc_fuse(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  RETC_TRY(check_primitive(in, cx->diagnostics));
  retc_arena arena;
  retc_arena_init(&arena);
  retc_graph *simple = NULL;
  retc_status status = RETC_OK;
  if (!is_simple(in, &arena)) status = retc_simplify(cx, in, &simple);
  if (status == RETC_OK) status = fuse(cx, simple ? simple : in, &arena, out_graph);
  retc_graph_destroy(simple);
  retc_arena_deinit(&arena);
  return status;
}
