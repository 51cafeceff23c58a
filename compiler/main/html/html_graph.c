/* The picture of a graph: operations are boxes; inputs, weights, states and constants stand in the boxes that read
 * them, outputs in those that compute them. Regions and the repeated layer are frames. */
#include <string.h>

#include "compiler/main/html/html.h"

enum { LINE_HEIGHT = 15, MARGIN = 7, NAME_MAX = 30, TITLE_LINE = 14 };
static const double character = 6.65; /* of the page's font, in pixels */

typedef struct drawer {
  const retc_graph *graph;
  retc_html_strings *strings;
  retc_arena *arena;
  retc_html_layers layers;
  retc_html_picture picture;
  size_t *box;     /* of each node + 1; 0: none */
  int *frame;      /* of each region + 1 */
  int layer_frame; /* -1: none */
  size_t *longest; /* of each node: characters of its name, in whichever layer */
  retc_text *text;
} drawer;

static bool is_leaf(const retc_node *node) { return retc_op_get_info(node->op)->traits & RETC_TRAIT_LEAF; }

static bool is_drawn(const drawer *d, uint32_t i) {
  return d->layers.repeats[i] == i && !is_leaf(&d->graph->nodes.items[i]);
}

static size_t intern(const drawer *d, const char *text) {
  return retc_html_strings_add(d->strings, text, strlen(text));
}

/* "contract btk,nk->btn" */
static const char *operation_text(const drawer *d, const retc_node *node) {
  const char *name = retc_op_get_info(node->op)->name;
  const char *word = node->attributes.word;
  if (node->op == RETC_OP_PART)
    return retc_arena_printf(d->arena, "%s %lld", name, (long long)node->attributes.integer[0]);
  return word && *word ? retc_arena_printf(d->arena, "%s %s", name, word) : name;
}

static const char *type_text(const drawer *d, const retc_node *node) {
  retc_text text;
  retc_text_init(&text);
  retc_type_print(&node->type, &text);
  const char *copy = retc_arena_strdup(d->arena, text.data ? text.data : "");
  retc_text_deinit(&text);
  return copy;
}

static size_t shown_length(const char *name) {
  const size_t length = strlen(name);
  return length < NAME_MAX ? length : NAME_MAX;
}

static void measure_names(drawer *d) {
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    const size_t length = shown_length(d->graph->nodes.items[i].name);
    size_t *longest = &d->longest[d->layers.repeats[i]];
    if (length > *longest) *longest = length;
  }
}

/* ---- frames ---- */

static int add_frame(drawer *d, int parent, const char *first, const char *second) {
  const size_t a = strlen(first), b = strlen(second);
  retc_html_cluster cluster = {.parent = parent, .title_width = character * (double)(a > b ? a : b) + 2 * MARGIN,
                               .title_height = TITLE_LINE * (b ? 2 : 1) + MARGIN};
  if (cluster.title_width > 300) cluster.title_width = 300;
  RETC_VEC_PUSH(d->arena, d->picture.clusters, cluster);
  return (int)d->picture.clusters.count - 1;
}

static const char *folded_text(const drawer *d, const retc_region *region) {
  retc_text text;
  retc_text_init(&text);
  for (size_t i = 0; i < region->folded.count; i++) {
    retc_text_printf(&text, "%s%s", i ? ", " : "", region->folded.items[i]);
  }
  const char *copy = retc_arena_strdup(d->arena, text.data ? text.data : "");
  retc_text_deinit(&text);
  return copy;
}

static void add_frames(drawer *d) {
  d->layer_frame = d->layers.count > 1 ? add_frame(d, -1, "layer 00 of 00, all alike", "") : -1;
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    const uint32_t region = d->graph->nodes.items[i].region.index;
    if (!region || d->frame[region] || d->layers.repeats[i] != i) continue;
    const retc_region *r = retc_graph_region(d->graph, (retc_region_id){region});
    d->frame[region] = 1 + add_frame(d, d->layers.layer[i] >= 0 ? d->layer_frame : -1, r->name, folded_text(d, r));
  }
}

static int frame_of(const drawer *d, uint32_t i) {
  const uint32_t region = d->graph->nodes.items[i].region.index;
  if (region) return d->frame[region] - 1;
  return d->layers.layer[i] >= 0 ? d->layer_frame : -1;
}

/* ---- boxes and edges ---- */

static void add_box(drawer *d, uint32_t i) {
  const retc_node *node = &d->graph->nodes.items[i];
  size_t widest = strlen(operation_text(d, node)), lines = 2;
  const size_t second = d->longest[i] + 2 + strlen(type_text(d, node));
  if (second > widest) widest = second;
  for (int k = 0; k < node->input_count; k++) {
    const retc_node *input = retc_graph_node(d->graph, node->inputs[k]);
    if (!is_leaf(input)) continue;
    const size_t length = d->longest[node->inputs[k].index] + 2;
    if (length > widest) widest = length;
    lines++;
  }
  for (size_t k = 0; k < d->graph->outputs.count; k++) {
    if (d->graph->outputs.items[k].value.index != i) continue;
    const size_t length = shown_length(d->graph->outputs.items[k].name) + 2;
    if (length > widest) widest = length;
    lines++;
  }
  retc_html_box box = {.width = character * (double)widest + 2 * MARGIN,
                       .height = LINE_HEIGHT * (double)lines + MARGIN, .cluster = frame_of(d, i)};
  RETC_VEC_PUSH(d->arena, d->picture.boxes, box);
  d->box[i] = d->picture.boxes.count;
}

static void add_edge(drawer *d, uint32_t from, uint32_t to, bool back) {
  if (is_leaf(&d->graph->nodes.items[from])) return;
  const retc_html_edge edge = {.from = d->box[from] - 1, .to = d->box[to] - 1, .back = back};
  if (back && edge.from == edge.to) return;
  for (size_t i = d->picture.edges.count; i-- > 0;) {
    const retc_html_edge *known = &d->picture.edges.items[i];
    if (known->from == edge.from && known->to == edge.to) return;
  }
  RETC_VEC_PUSH(d->arena, d->picture.edges, edge);
}

static void add_edges(drawer *d) {
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    const retc_node *node = &d->graph->nodes.items[i];
    const int layer = d->layers.layer[i];
    if (is_leaf(node) || (layer > 1)) continue;
    for (int k = 0; k < node->input_count; k++) {
      const uint32_t from = node->inputs[k].index;
      const bool back = layer == 1 && d->layers.layer[from] == 0;
      if (layer < 1 || back) add_edge(d, d->layers.repeats[from], d->layers.repeats[i], back);
    }
  }
}

/* ---- JSON ---- */

static void print_chips(const drawer *d, uint32_t i) {
  const retc_node *node = &d->graph->nodes.items[i];
  const char *separator = "";
  retc_text_add(d->text, ",[");
  for (int k = 0; k < node->input_count; k++) {
    const retc_node *input = retc_graph_node(d->graph, node->inputs[k]);
    if (!is_leaf(input)) continue;
    const char *kind = input->op == RETC_OP_INPUT ? input->attributes.word : "const";
    retc_text_printf(d->text, "%s[%zu,%zu,%zu,%u]", separator, intern(d, kind), intern(d, input->name),
                     intern(d, type_text(d, input)), (unsigned)node->inputs[k].index);
    separator = ",";
  }
  for (size_t k = 0; k < d->graph->outputs.count; k++) {
    if (d->graph->outputs.items[k].value.index != i) continue;
    /* Of a state that it replaces, perhaps: then layers have their own. */
    const char *name = d->graph->outputs.items[k].name;
    retc_text_printf(d->text, "%s[%zu,%zu,%zu,%u]", separator, intern(d, "output"), intern(d, name), intern(d, ""),
                     (unsigned)retc_graph_find_input(d->graph, name).index);
    separator = ",";
  }
  retc_text_add(d->text, "]");
}

static void print_boxes(const drawer *d) {
  const char *separator = "\n";
  retc_text_add(d->text, ",\"boxes\":[");
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    if (!d->box[i]) continue;
    const retc_node *node = &d->graph->nodes.items[i];
    const retc_html_box *box = &d->picture.boxes.items[d->box[i] - 1];
    retc_text_printf(d->text, "%s[%u,%zu,%zu,%zu,%zu,%.0f,%.0f,%.0f,%.0f,%d,%d", separator, (unsigned)i,
                     intern(d, node->name), intern(d, operation_text(d, node)), intern(d, type_text(d, node)),
                     intern(d, node->origin ? node->origin : ""), box->x, box->y, box->width, box->height,
                     d->layers.count > 1 && d->layers.layer[i] == 0, box->cluster);
    print_chips(d, i);
    retc_text_add(d->text, "]");
    separator = ",\n";
  }
  retc_text_add(d->text, "]");
}

static void print_edges(const drawer *d) {
  retc_text_add(d->text, ",\"edges\":[");
  for (size_t i = 0; i < d->picture.edges.count; i++) {
    const retc_html_edge *edge = &d->picture.edges.items[i];
    retc_text_printf(d->text, "%s[%zu,%zu,%d,[", i ? ",\n" : "\n", edge->from, edge->to, edge->back);
    for (size_t k = 0; k < edge->points.count; k++) {
      retc_text_printf(d->text, "%s%.0f", k ? "," : "", edge->points.items[k]);
    }
    retc_text_add(d->text, "]]");
  }
  retc_text_add(d->text, "]");
}

static void print_frame(const drawer *d, const retc_html_cluster *frame, uint32_t region, const char *separator) {
  retc_text_printf(d->text, "%s[%.0f,%.0f,%.0f,%.0f", separator, frame->x, frame->y, frame->width, frame->height);
  if (!region) {
    retc_text_add(d->text, "]");
    return;
  }
  const retc_region *r = retc_graph_region(d->graph, (retc_region_id){region});
  retc_text schedule;
  retc_text_init(&schedule);
  for (int i = 0; i < r->schedule_count; i++) {
    retc_text_printf(&schedule, "%s%s=%lld", i ? ", " : "", r->schedule[i].name, (long long)r->schedule[i].value);
  }
  retc_text_printf(d->text, ",%zu,%zu,%zu,%zu]", intern(d, r->name), intern(d, r->anchor), intern(d, folded_text(d, r)),
                   intern(d, schedule.data ? schedule.data : ""));
  retc_text_deinit(&schedule);
}

static void print_frames(const drawer *d) {
  const char *separator = "\n";
  retc_text_add(d->text, ",\"frames\":[");
  if (d->layer_frame >= 0) {
    print_frame(d, &d->picture.clusters.items[d->layer_frame], 0, separator);
    separator = ",\n";
  }
  uint32_t *region_of = RETC_NEW_ARRAY(d->arena, uint32_t, d->picture.clusters.count);
  for (uint32_t r = 1; r < d->graph->regions.count; r++) {
    if (d->frame[r]) region_of[d->frame[r] - 1] = r;
  }
  for (size_t i = d->layer_frame >= 0 ? 1 : 0; i < d->picture.clusters.count; i++, separator = ",\n") {
    print_frame(d, &d->picture.clusters.items[i], region_of[i], separator);
  }
  retc_text_add(d->text, "]");
}

/* Names of the nodes of every layer, so that one picture stands for all: places in the first layer's list. */
static void print_layers(const drawer *d) {
  retc_text_printf(d->text, ",\"layers\":{\"count\":%d,\"first\":%lld,\"prefix\":%zu,\"nodes\":[", d->layers.count,
                   (long long)d->layers.first, intern(d, d->layers.prefix ? d->layers.prefix : ""));
  for (size_t i = 0; d->layers.count > 1 && i < d->layers.nodes[0].count; i++) {
    retc_text_printf(d->text, "%s%u", i ? "," : "", (unsigned)d->layers.nodes[0].items[i]);
  }
  retc_text_add(d->text, "],\"names\":[");
  for (int layer = 0; d->layers.count > 1 && layer < d->layers.count; layer++) {
    retc_text_add(d->text, layer ? ",\n[" : "\n[");
    for (size_t i = 0; i < d->layers.nodes[layer].count; i++) {
      const retc_node *node = &d->graph->nodes.items[d->layers.nodes[layer].items[i]];
      retc_text_printf(d->text, "%s%zu", i ? "," : "", intern(d, node->name));
    }
    retc_text_add(d->text, "]");
  }
  retc_text_add(d->text, "]}");
}

static retc_status draw(drawer *d, retc_diagnostics *diagnostics) {
  retc_html_layers_find(d->graph, d->arena, &d->layers);
  measure_names(d);
  add_frames(d);
  for (uint32_t i = 1; i < d->graph->nodes.count; i++) {
    if (is_drawn(d, i)) add_box(d, i);
  }
  add_edges(d);
  const bool is_there = retc_html_layout_is_there();
  if (is_there) RETC_TRY(retc_html_layout(&d->picture, diagnostics));
  retc_text_printf(d->text, "{\"name\":%zu,\"width\":%.0f,\"height\":%.0f", intern(d, d->graph->name), d->picture.width,
                   d->picture.height);
  print_layers(d);
  if (is_there) {
    print_boxes(d);
    print_edges(d);
    print_frames(d);
  }
  retc_text_add(d->text, "}");
  return RETC_OK;
}

retc_status retc_html_print_graph(const retc_graph *graph, retc_html_strings *strings, retc_diagnostics *diagnostics,
                                  retc_text *out_text) {
  retc_arena arena;
  retc_arena_init(&arena);
  drawer d = {.graph = graph, .strings = strings, .arena = &arena, .picture = {.arena = &arena}, .text = out_text};
  d.box = RETC_NEW_ARRAY(&arena, size_t, graph->nodes.count + 1);
  d.longest = RETC_NEW_ARRAY(&arena, size_t, graph->nodes.count + 1);
  d.frame = RETC_NEW_ARRAY(&arena, int, graph->regions.count + 1);
  retc_status status = draw(&d, diagnostics);
  retc_arena_deinit(&arena);
  return status;
}
