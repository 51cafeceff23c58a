/* The second half of fuse: regions in an order, and the graph written in it.
 *
 * A region comes after those whose values it reads. One that replaces a state where it lies comes after all others that
 * read the state. Where that cannot be, or where the region itself reads the state at other places than it writes, the
 * new value is stored like any other, and a copy at the end replaces the state. */
#include <string.h>

#include "compiler/fuse.h"
#include "compiler/in_place.h"

typedef struct replacement {
  uint32_t state, value; /* nodes */
  uint32_t region;       /* that computes the value */
  bool in_place;
  const char *output;
} replacement;

typedef struct edge {
  uint32_t region;
  int replacement; /* that asks for this order; -1: a value is read */
} edge;

/* What a region reads, itself or in what it computes for itself. */
typedef struct reads {
  RETC_VEC(uint32_t) regions;
  RETC_VEC(uint32_t) states;
} reads;

typedef struct writer {
  retc_fuse_state *s;
  retc_diagnostics *diagnostics;
  reads *reads; /* of each region */
  const uint32_t *first, *next; /* the nodes of each region: the first one, and of each node the next; 0: none */
  RETC_VEC(replacement) replacements;
  RETC_VEC(uint32_t) order;
  RETC_VEC(edge) path;  /* the regions being ordered, each with what led to it */
  uint8_t *progress;    /* of each region: 0 not yet, 1 on the path, 2 ordered */
  /* of the graph being written: */
  retc_builder builder;
  retc_value *stored;   /* new value of leaves and of nodes with a home */
  retc_value *copied;   /* new value within the region being written */
  uint32_t *copied_in;  /* that region */
} writer;

static const retc_node *node_at(const writer *w, uint32_t node) { return &w->s->graph->nodes.items[node]; }

static bool is_leaf(const writer *w, uint32_t node) {
  return retc_op_get_info(node_at(w, node)->op)->traits & RETC_TRAIT_LEAF;
}

/* A source of the region's retention is copied into it, wherever it is stored besides. */
static bool is_own_source(const writer *w, uint32_t region, uint32_t node) {
  const retc_retention *retention = w->s->regions.items[region].retention;
  for (int i = 0; retention && i < retention->source_count; i++) {
    if (retention->sources[i].index == node) return true;
  }
  return false;
}

static bool is_read(const writer *w, uint32_t region, uint32_t node) {
  return w->s->home[node] && w->s->home[node] != region && !is_own_source(w, region, node);
}

/* ---- what regions read ---- */

static void collect_reads(writer *w, uint32_t region, uint32_t node, uint32_t *seen) {
  const retc_node *n = node_at(w, node);
  for (int k = 0; k < n->input_count; k++) {
    const uint32_t in = n->inputs[k].index;
    if (seen[in] == region) continue;
    seen[in] = region;
    if (retc_graph_is_state(w->s->graph, n->inputs[k])) {
      RETC_VEC_PUSH(w->s->arena, w->reads[region].states, in);
    } else if (is_leaf(w, in)) {
      continue;
    } else if (is_read(w, region, in)) {
      RETC_VEC_PUSH(w->s->arena, w->reads[region].regions, w->s->home[in]);
    } else if (w->s->home[in] != region) {
      collect_reads(w, region, in, seen);
    }
  }
}

static void find_reads(writer *w) {
  const size_t count = w->s->graph->nodes.count, regions = w->s->regions.count;
  uint32_t *seen = RETC_NEW_ARRAY(w->s->arena, uint32_t, count);
  uint32_t *first = RETC_NEW_ARRAY(w->s->arena, uint32_t, regions),
           *next = RETC_NEW_ARRAY(w->s->arena, uint32_t, count);
  w->first = first;
  w->next = next;
  w->reads = RETC_NEW_ARRAY(w->s->arena, reads, regions);
  for (uint32_t i = (uint32_t)count; i-- > 1;) { /* the nodes of each region, in order */
    next[i] = first[w->s->home[i]];
    first[w->s->home[i]] = i;
  }
  for (uint32_t r = 1; r < regions; r++) {
    for (uint32_t i = first[r]; i; i = next[i]) collect_reads(w, r, i, seen);
  }
}

static void find_replacements(writer *w) {
  const retc_graph *graph = w->s->graph;
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_output *output = &graph->outputs.items[i];
    const retc_value state = retc_graph_find_input(graph, output->name);
    if (!retc_graph_is_state(graph, state) || state.index == output->value.index) continue;
    replacement r = {state.index, output->value.index, w->s->home[output->value.index], true, output->name};
    RETC_VEC_PUSH(w->s->arena, w->replacements, r);
  }
}

/* ---- the order ---- */

static bool reads_state(const writer *w, uint32_t region, uint32_t state) {
  for (size_t i = 0; i < w->reads[region].states.count; i++) {
    if (w->reads[region].states.items[i] == state) return true;
  }
  return false;
}

/* The path leads back to `region`. A replacement on the way is given up; false when there is none. */
static bool break_cycle(writer *w, uint32_t region, int replacement_asked) {
  int given_up = replacement_asked;
  for (size_t i = w->path.count; i-- > 0 && given_up < 0 && w->path.items[i].region != region;) {
    given_up = w->path.items[i].replacement;
  }
  if (given_up < 0) return false;
  w->replacements.items[given_up].in_place = false;
  return true;
}

/* *out_again: the order has to be made anew. */
static retc_status order_region(writer *w, uint32_t region, int asked, bool *out_again) {
  if (w->progress[region] == 2 || *out_again) return RETC_OK;
  if (w->progress[region] == 1) {
    *out_again = break_cycle(w, region, asked);
    if (*out_again) return RETC_OK;
    return retc_fail(w->diagnostics, RETC_INTERNAL, "fuse: a cycle of regions through %s",
                     w->s->regions.items[region].anchor);
  }
  w->progress[region] = 1;
  RETC_VEC_PUSH(w->s->arena, w->path, ((edge){region, asked}));
  for (size_t i = 0; i < w->reads[region].regions.count; i++) {
    RETC_TRY(order_region(w, w->reads[region].regions.items[i], -1, out_again));
  }
  for (size_t i = 0; i < w->replacements.count; i++) {
    const replacement *r = &w->replacements.items[i];
    if (r->region != region || !r->in_place) continue;
    for (uint32_t reader = 1; reader < w->s->regions.count; reader++) {
      if (reader != region && reads_state(w, reader, r->state)) RETC_TRY(order_region(w, reader, (int)i, out_again));
    }
  }
  w->path.count--;
  w->progress[region] = 2;
  RETC_VEC_PUSH(w->s->arena, w->order, region);
  return RETC_OK;
}

/* As in the description, as far as can be: what a layer keeps for the next call is written beside the layer, so that
 * its rows need not be held until the end. */
static retc_status order_regions(writer *w) {
  for (bool again = true; again;) {
    again = false;
    w->order.count = w->path.count = 0;
    memset(w->progress, 0, w->s->regions.count);
    for (uint32_t i = 1; i < w->s->graph->nodes.count && !again; i++) {
      const uint32_t region = w->s->home[i];
      if (region && w->s->regions.items[region].node == i) RETC_TRY(order_region(w, region, -1, &again));
    }
  }
  return RETC_OK;
}

/* ---- writing ---- */

static retc_value copy_node(writer *w, uint32_t region, uint32_t node) {
  retc_fuse_state *s = w->s;
  const retc_node *old = node_at(w, node);
  if (old->op == RETC_OP_INPUT || is_read(w, region, node)) return w->stored[node];
  if (w->copied_in[node] == region) return w->copied[node];
  retc_value inputs[RETC_OP_INPUTS_MAX];
  for (int k = 0; k < old->input_count; k++) {
    uint32_t in = old->inputs[k].index;
    inputs[k] = copy_node(w, region, in);
    if (is_leaf(w, in) || s->home[in] == region || is_read(w, region, in)) continue;
    int row = retc_fuse_find_prologue(s, node, in);
    if (row >= 0) s->regions.items[region].acted[row] = true;
  }
  retc_value value = retc_graph_clone_node(&w->builder, old, inputs);
  w->copied[node] = value;
  w->copied_in[node] = region;
  if (s->home[node] == region) w->stored[node] = value;
  return value;
}

static const char *region_name(writer *w, const char *origin, const char *anchor) {
  const char *base = retc_arena_printf(w->s->arena, "%s.%s", origin ? origin : "graph", anchor), *name = base;
  const retc_graph *graph = w->builder.graph;
  for (int number = 2; retc_graph_find_region(graph, name).index; number++) {
    name = retc_arena_printf(w->s->arena, "%s.%d", base, number);
  }
  return name;
}

static void write_region(writer *w, uint32_t region) {
  retc_fuse_state *s = w->s;
  const retc_fuse_region *r = &s->regions.items[region];
  retc_graph *graph = w->builder.graph;
  w->builder.region = retc_graph_add_region(graph, region_name(w, node_at(w, r->node)->origin, r->anchor), r->anchor);
  for (uint32_t i = w->first[region]; i; i = w->next[i]) copy_node(w, region, i);
  retc_region *written = retc_graph_region_mutable(graph, w->builder.region);
  for (size_t f = 0; f < retc_fusion_count(); f++) {
    if (r->acted[f]) RETC_VEC_PUSH(&graph->arena, written->folded, retc_fusion_name(f));
  }
}

/* The copy that takes the state's place. */
static retc_value write_replacement(writer *w, const replacement *r) {
  static const char anchor[] = "pointwise";
  const retc_node *node = node_at(w, r->value);
  retc_value from = w->stored[r->value];
  w->builder.region = retc_graph_add_region(w->builder.graph, region_name(w, node->origin, anchor), anchor);
  w->builder.origin = node->origin;
  retc_value copy = retc_graph_add(&w->builder, RETC_OP_COPY, &from, 1, NULL, NULL);
  w->builder.origin = NULL;
  if (copy.index) retc_graph_set_name(w->builder.graph, copy, node->name);
  return copy;
}

static void write_outputs(writer *w) {
  const retc_graph *graph = w->s->graph;
  for (size_t i = 0; i < graph->outputs.count && w->builder.status == RETC_OK; i++) {
    const retc_output *output = &graph->outputs.items[i];
    retc_value value = w->stored[output->value.index];
    for (size_t r = 0; r < w->replacements.count; r++) {
      const replacement *own = &w->replacements.items[r];
      if (!own->in_place && !strcmp(own->output, output->name)) value = write_replacement(w, own);
    }
    retc_graph_add_output(w->builder.graph, output->name, value);
  }
}

static retc_status write_graph(writer *w, retc_graph **out_graph) {
  retc_fuse_state *s = w->s;
  const size_t count = s->graph->nodes.count;
  w->builder = (retc_builder){.graph = retc_graph_create_next(s->graph), .diagnostics = w->diagnostics};
  w->stored = RETC_NEW_ARRAY(s->arena, retc_value, count);
  w->copied = RETC_NEW_ARRAY(s->arena, retc_value, count);
  w->copied_in = RETC_NEW_ARRAY(s->arena, uint32_t, count);
  for (uint32_t i = 1; i < count; i++) {
    if (node_at(w, i)->op == RETC_OP_INPUT) w->stored[i] = retc_graph_clone_node(&w->builder, node_at(w, i), NULL);
  }
  for (size_t i = 0; i < w->order.count && w->builder.status == RETC_OK; i++) write_region(w, w->order.items[i]);
  write_outputs(w);
  if (w->builder.status != RETC_OK) {
    retc_graph_destroy(w->builder.graph);
    return w->builder.status;
  }
  *out_graph = w->builder.graph;
  return RETC_OK;
}

/* Gives up the replacements whose region reads the state at other places. */
static bool check_replacements(writer *w, const retc_graph *written) {
  bool fine = true;
  const retc_members members = retc_graph_members(written, w->s->arena);
  const retc_uses uses = retc_graph_uses(written, w->s->arena);
  for (size_t i = 0; i < w->replacements.count; i++) {
    replacement *r = &w->replacements.items[i];
    if (!r->in_place) continue;
    const retc_value state = retc_graph_find_input(written, r->output), value = w->stored[r->value];
    r->in_place = retc_in_place_is_safe(written, &members, &uses, value, state);
    fine = fine && r->in_place;
  }
  return fine;
}

retc_status retc_fuse_write(retc_fuse_state *s, retc_diagnostics *diagnostics, retc_graph **out_graph) {
  writer w = {.s = s, .diagnostics = diagnostics, .progress = RETC_NEW_ARRAY(s->arena, uint8_t, s->regions.count)};
  find_reads(&w);
  find_replacements(&w);
  for (;;) {
    retc_graph *written = NULL;
    RETC_TRY(order_regions(&w));
    RETC_TRY(write_graph(&w, &written));
    if (check_replacements(&w, written)) {
      *out_graph = written;
      return RETC_OK;
    }
    retc_graph_destroy(written);
  }
}
