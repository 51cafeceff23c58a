/* A layer is what comes from "PREFIX.NUMBER...." of the model description. What several layers use, or feeds only such
 * values, belongs to none: constants, tables of angles. Layers are equal when their nodes are, one by one. */
#include <stdlib.h>
#include <string.h>

#include "compiler/anchors.h"
#include "compiler/main/html/html.h"

enum { LAYERS_MAX = 1 << 16 };

typedef struct finder {
  const retc_graph *graph;
  retc_arena *arena;
  retc_html_layers *out;
  retc_uses uses;
  uint32_t *unit;   /* of each node: the first node of its region, or itself */
  int *place;       /* of each node in its layer */
  bool *shared;     /* of each unit */
} finder;

/* "layers.3.query": 3, and the prefix's length; -1: no layer. */
static int read_layer(const char *origin, size_t *out_prefix) {
  for (const char *c = origin; c && *c; c++) {
    char *end;
    if (*c != '.' || c[1] < '0' || c[1] > '9') continue;
    const unsigned long number = strtoul(c + 1, &end, 10);
    if ((*end && *end != '.') || number >= LAYERS_MAX) continue;
    *out_prefix = (size_t)(c - origin);
    return (int)number;
  }
  return -1;
}

/* The layer that the model gives to a node; of a region, to its anchor. */
static void read_layers(finder *f) {
  const size_t count = f->graph->nodes.count;
  uint32_t *first = RETC_NEW_ARRAY(f->arena, uint32_t, f->graph->regions.count + 1);
  for (uint32_t i = 1; i < count; i++) {
    const uint32_t region = f->graph->nodes.items[i].region.index;
    if (region && !first[region]) first[region] = i;
    f->unit[i] = region ? first[region] : i;
  }
  for (uint32_t i = 1; i < count; i++) {
    const retc_node *node = &f->graph->nodes.items[i];
    size_t length = 0;
    f->out->layer[i] = -1;
    if (f->unit[i] != i) {
      f->out->layer[i] = f->out->layer[f->unit[i]];
      continue;
    }
    const retc_value anchor = node->region.index ? retc_anchor_node(f->graph, node->region) : (retc_value){i};
    const char *origin = retc_graph_node(f->graph, anchor.index ? anchor : (retc_value){i})->origin;
    const int layer = read_layer(origin, &length);
    if (layer < 0) continue;
    if (!f->out->prefix) f->out->prefix = retc_arena_strndup(f->arena, origin, length);
    const bool same = strlen(f->out->prefix) == length && !strncmp(origin, f->out->prefix, length);
    f->out->layer[i] = same ? layer : -1;
  }
}

static bool is_leaf(const retc_node *node) { return retc_op_get_info(node->op)->traits & RETC_TRAIT_LEAF; }

/* Whether the users of a node show that several layers share it. */
static bool is_shared(const finder *f, uint32_t node, bool *out_used, bool *out_all_shared) {
  const int own = f->out->layer[node];
  for (uint32_t u = f->uses.starts[node]; u < f->uses.starts[node + 1]; u++) {
    const uint32_t user = f->uses.users[u];
    if (f->unit[user] == f->unit[node]) continue;
    const int layer = f->out->layer[user];
    *out_used = true;
    if (!f->shared[f->unit[user]]) *out_all_shared = false;
    if (layer >= 0 && layer != own && (layer != own + 1 || is_leaf(&f->graph->nodes.items[node]))) return true;
  }
  return false;
}

static void take_out(finder *f, uint32_t unit) {
  f->shared[unit] = true;
  for (uint32_t i = unit; i < f->graph->nodes.count; i++) {
    if (f->unit[i] == unit) f->out->layer[i] = -1;
  }
}

static void take_out_shared(finder *f) {
  const uint32_t count = (uint32_t)f->graph->nodes.count;
  for (bool again = true; again;) {
    again = false;
    for (uint32_t unit = count; --unit;) {
      if (f->unit[unit] != unit || f->out->layer[unit] < 0 || f->shared[unit]) continue;
      bool used = false, all = true, shared = false;
      const uint32_t region = f->graph->nodes.items[unit].region.index;
      for (uint32_t i = unit; i < count && !shared && (i == unit || region); i++) {
        if (f->unit[i] == unit) shared = is_shared(f, i, &used, &all);
        else if (i > unit && f->graph->nodes.items[i].region.index != region) break;
      }
      if (!shared && !(used && all)) continue;
      take_out(f, unit);
      again = true;
    }
  }
}

static bool same_attributes(const retc_node *a, const retc_node *b) {
  const retc_attributes *x = &a->attributes, *y = &b->attributes;
  if (memcmp(x->integer, y->integer, sizeof x->integer) || x->number != y->number) return false;
  if (!x->word != !y->word || (x->word && strcmp(x->word, y->word)) || x->dense_count != y->dense_count) return false;
  return !x->dense_count || !memcmp(x->dense, y->dense, sizeof(double) * x->dense_count);
}

static bool same_region(const finder *f, const retc_node *a, const retc_node *b) {
  if (!a->region.index != !b->region.index) return false;
  if (!a->region.index) return true;
  const retc_region *x = retc_graph_region(f->graph, a->region), *y = retc_graph_region(f->graph, b->region);
  return !strcmp(x->anchor, y->anchor) && x->folded.count == y->folded.count && x->schedule_count == y->schedule_count;
}

/* What node `b` of one layer reads is what `a` of the layer before reads. The first layer reads what was before all. */
static bool same_input(const finder *f, uint32_t a, uint32_t b, int layer, bool first) {
  const int la = f->out->layer[a], lb = f->out->layer[b];
  if (lb == layer) return la == layer - 1 && f->place[a] == f->place[b];
  if (lb < 0) return a == b;
  if (lb != layer - 1) return false;
  return first ? la < layer - 1 : la == layer - 2 && f->place[a] == f->place[b];
}

/* The builder puts the operands of what commutes into an order of its own. */
static bool same_inputs(const finder *f, const retc_node *x, const retc_node *y, int layer, bool first) {
  const bool may_swap = x->input_count == 2 && retc_op_get_info(x->op)->traits & RETC_TRAIT_COMMUTES;
  for (int swap = 0; swap <= may_swap; swap++) {
    bool same = true;
    for (int k = 0; k < x->input_count && same; k++) {
      same = same_input(f, x->inputs[swap ? 1 - k : k].index, y->inputs[k].index, layer, first);
    }
    if (same) return true;
  }
  return false;
}

static bool same_layer(const finder *f, int layer, bool first) {
  if (f->out->nodes[layer].count != f->out->nodes[layer - 1].count) return false;
  for (size_t i = 0; i < f->out->nodes[layer].count; i++) {
    const uint32_t a = f->out->nodes[layer - 1].items[i], b = f->out->nodes[layer].items[i];
    const retc_node *x = &f->graph->nodes.items[a], *y = &f->graph->nodes.items[b];
    const bool same = x->op == y->op && x->type.dtype == y->type.dtype && x->input_count == y->input_count &&
                      retc_shape_equal(&x->type.shape, &y->type.shape) && same_attributes(x, y) && same_region(f, x, y);
    if (!same) return false;
    if (!same_inputs(f, x, y, layer, first)) return false;
  }
  return f->out->nodes[layer].count > 0;
}

typedef struct sorted {
  const char *key; /* the region's name without that of the layer; "": none */
  uint32_t node;
} sorted;

static int compare(const void *a, const void *b) {
  const sorted *x = a, *y = b;
  const int order = strcmp(x->key, y->key);
  return order ? order : (x->node > y->node) - (x->node < y->node);
}

/* Regions of equal layers need not follow each other in the same order. */
static void sort_layer(finder *f, int layer) {
  const size_t count = f->out->nodes[layer].count;
  sorted *list = RETC_NEW_ARRAY(f->arena, sorted, count + 1);
  for (size_t i = 0; i < count; i++) {
    const retc_node *node = &f->graph->nodes.items[f->out->nodes[layer].items[i]];
    size_t prefix = 0;
    const char *name = node->region.index ? retc_graph_region(f->graph, node->region)->name : "";
    if (read_layer(name, &prefix) >= 0) name += prefix + 1 + strspn(name + prefix + 1, "0123456789");
    list[i] = (sorted){name, f->out->nodes[layer].items[i]};
  }
  qsort(list, count, sizeof *list, compare);
  for (size_t i = 0; i < count; i++) {
    f->out->nodes[layer].items[i] = list[i].node;
    f->place[list[i].node] = (int)i;
  }
}

/* The layers from the first one on that all later ones are like. */
static void fold(finder *f, int layer_count) {
  retc_html_layers *out = f->out;
  int first = layer_count - 1;
  while (first > 0 && same_layer(f, first, false)) first--;
  if (first > 0 && same_layer(f, first, true)) first--;
  out->count = layer_count - first;
  out->first = first;
  if (out->count < 2) return;
  out->nodes += first;
  for (uint32_t i = 1; i < f->graph->nodes.count; i++)
    out->layer[i] = out->layer[i] < first ? -1 : out->layer[i] - first;
  for (int layer = 1; layer < out->count; layer++) {
    for (size_t i = 0; i < out->nodes[layer].count; i++) {
      out->repeats[out->nodes[layer].items[i]] = out->nodes[0].items[i];
    }
  }
}

void retc_html_layers_find(const retc_graph *graph, retc_arena *arena, retc_html_layers *out_layers) {
  const size_t count = graph->nodes.count;
  *out_layers = (retc_html_layers){.layer = RETC_NEW_ARRAY(arena, int, count + 1),
                                   .repeats = RETC_NEW_ARRAY(arena, uint32_t, count + 1)};
  finder f = {graph, arena, out_layers, retc_graph_uses(graph, arena), RETC_NEW_ARRAY(arena, uint32_t, count + 1),
              RETC_NEW_ARRAY(arena, int, count + 1), RETC_NEW_ARRAY(arena, bool, count + 1)};
  read_layers(&f);
  take_out_shared(&f);
  int layer_count = 0;
  for (uint32_t i = 1; i < count; i++) {
    out_layers->repeats[i] = i;
    if (out_layers->layer[i] >= layer_count) layer_count = out_layers->layer[i] + 1;
  }
  out_layers->nodes = retc_arena_alloc(arena, sizeof *out_layers->nodes * (size_t)(layer_count + 1));
  for (uint32_t i = 1; i < count; i++) {
    const int layer = out_layers->layer[i];
    if (layer < 0) continue;
    RETC_VEC_PUSH(arena, out_layers->nodes[layer], i);
  }
  for (int layer = 0; layer < layer_count; layer++) sort_layer(&f, layer);
  if (layer_count) fold(&f, layer_count);
}
