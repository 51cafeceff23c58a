/* Boxes, edges and frames placed by Graphviz's "dot". Sizes are set here, so it needs no fonts; coordinates are points
 * there, counted from below, and taken for pixels. */
#include <graphviz/gvc.h>
#include <string.h>

#include "compiler/main/html/html.h"

static const double points_per_inch = 72;
enum { FRAME_MARGIN = 8 };

typedef struct layout {
  retc_html_picture *picture;
  Agraph_t *graph;
  Agraph_t **clusters;
  Agnode_t **nodes;
  Agedge_t **edges;
} layout;

bool retc_html_layout_is_there(void) { return true; }

/* The library keeps words of its own; what it is given is not changed. */
static void set(void *object, const char *name, const char *value) {
  agsafeset(object, (char *)name, (char *)value, (char *)"");
}

static void set_number(layout *l, void *object, const char *name, double value) {
  set(object, name, retc_arena_printf(l->picture->arena, "%.4f", value));
}

static Agraph_t *parent(const layout *l, int cluster) { return cluster < 0 ? l->graph : l->clusters[cluster]; }

static void add_cluster(layout *l, size_t i) {
  const retc_html_cluster *c = &l->picture->clusters.items[i];
  retc_arena *arena = l->picture->arena;
  l->clusters[i] = agsubg(parent(l, c->parent), retc_arena_printf(arena, "cluster_%zu", i), 1);
  const char *title = retc_arena_printf(
      arena, "<TABLE FIXEDSIZE=\"TRUE\" BORDER=\"0\" WIDTH=\"%.0f\" HEIGHT=\"%.0f\"><TR><TD></TD></TR></TABLE>",
      c->title_width, c->title_height);
  char *html = agstrdup_html(l->graph, (char *)title);
  agsafeset(l->clusters[i], (char *)"label", html, (char *)"");
  agstrfree(l->graph, html);
  set_number(l, l->clusters[i], "margin", FRAME_MARGIN);
}

static void add_node(layout *l, size_t i) {
  const retc_html_box *box = &l->picture->boxes.items[i];
  l->nodes[i] = agnode(parent(l, box->cluster), retc_arena_printf(l->picture->arena, "n%zu", i), 1);
  set_number(l, l->nodes[i], "width", box->width / points_per_inch);
  set_number(l, l->nodes[i], "height", box->height / points_per_inch);
}

static void add_edge(layout *l, size_t i) {
  const retc_html_edge *edge = &l->picture->edges.items[i];
  l->edges[i] = agedge(l->graph, l->nodes[edge->from], l->nodes[edge->to],
                       retc_arena_printf(l->picture->arena, "e%zu", i), 1);
  if (edge->back) set(l->edges[i], "constraint", "false");
}

static void build(layout *l) {
  retc_html_picture *p = l->picture;
  agattr(l->graph, AGRAPH, (char *)"rankdir", (char *)"TB");
  agattr(l->graph, AGRAPH, (char *)"nodesep", (char *)"0.15");
  agattr(l->graph, AGRAPH, (char *)"ranksep", (char *)"0.3");
  agattr(l->graph, AGRAPH, (char *)"nslimit", (char *)"2");
  agattr(l->graph, AGRAPH, (char *)"mclimit", (char *)"0.5");
  agattr(l->graph, AGNODE, (char *)"shape", (char *)"box");
  agattr(l->graph, AGNODE, (char *)"fixedsize", (char *)"true");
  agattr(l->graph, AGNODE, (char *)"label", (char *)"");
  for (size_t i = 0; i < p->clusters.count; i++) add_cluster(l, i);
  for (size_t i = 0; i < p->boxes.count; i++) add_node(l, i);
  for (size_t i = 0; i < p->edges.count; i++) add_edge(l, i);
}

static void take_edge(retc_html_picture *p, retc_html_edge *edge, Agedge_t *from) {
  const splines *spline = ED_spl(from);
  if (!spline || !spline->size) return;
  const bezier *curve = &spline->list[0];
  for (size_t k = 0; k < (size_t)curve->size; k++) {
    RETC_VEC_PUSH(p->arena, edge->points, curve->list[k].x);
    RETC_VEC_PUSH(p->arena, edge->points, p->height - curve->list[k].y);
  }
  if (!curve->eflag) return;
  RETC_VEC_PUSH(p->arena, edge->points, curve->ep.x);
  RETC_VEC_PUSH(p->arena, edge->points, p->height - curve->ep.y);
}

static void take(layout *l) {
  retc_html_picture *p = l->picture;
  const boxf all = GD_bb(l->graph);
  p->width = all.UR.x;
  p->height = all.UR.y;
  for (size_t i = 0; i < p->boxes.count; i++) {
    p->boxes.items[i].x = ND_coord(l->nodes[i]).x;
    p->boxes.items[i].y = p->height - ND_coord(l->nodes[i]).y;
  }
  for (size_t i = 0; i < p->edges.count; i++) take_edge(p, &p->edges.items[i], l->edges[i]);
  for (size_t i = 0; i < p->clusters.count; i++) {
    const boxf box = GD_bb(l->clusters[i]);
    p->clusters.items[i].x = box.LL.x;
    p->clusters.items[i].y = p->height - box.UR.y;
    p->clusters.items[i].width = box.UR.x - box.LL.x;
    p->clusters.items[i].height = box.UR.y - box.LL.y;
  }
}

/* What it has to say besides failing is nothing that a user can help. */
static int keep_quiet(char *message) {
  (void)message;
  return 0;
}

retc_status retc_html_layout(retc_html_picture *picture, retc_diagnostics *diagnostics) {
  char name[] = "program", engine[] = "dot";
  GVC_t *context = gvContext();
  if (!context) return retc_fail(diagnostics, RETC_FAILED, "Graphviz cannot be started");
  agseterrf(keep_quiet);
  layout l = {.picture = picture, .graph = agopen(name, Agdirected, NULL)};
  l.clusters = RETC_NEW_ARRAY(picture->arena, Agraph_t *, picture->clusters.count + 1);
  l.nodes = RETC_NEW_ARRAY(picture->arena, Agnode_t *, picture->boxes.count + 1);
  l.edges = RETC_NEW_ARRAY(picture->arena, Agedge_t *, picture->edges.count + 1);
  build(&l);
  retc_status status = RETC_OK;
  if (gvLayout(context, l.graph, engine)) {
    status = retc_fail(diagnostics, RETC_FAILED, "Graphviz: the graph cannot be laid out%s%s",
                       aglasterr() ? ": " : "", aglasterr() ? aglasterr() : "");
  } else {
    take(&l);
    gvFreeLayout(context, l.graph);
  }
  agclose(l.graph);
  gvFreeContext(context);
  return status;
}
