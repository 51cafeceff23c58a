/* Scans of states that are no retention: a task is one row of the state, [b,h,k], which walks along the chunks with its
 * value channels in lanes. */
#include "compiler/anchors.h"

bool retc_anchor_scan_matches(const retc_graph *graph, const retc_uses *uses, const retc_node *node) {
  (void)uses;
  (void)graph;
  return node->op == RETC_OP_SCAN;
}

void retc_anchor_scan_schedule(const retc_graph *graph, const retc_node *node, const retc_target_profile *profile,
                               retc_region *region) {
  (void)graph, (void)node, (void)profile, (void)region;
}

enum { LANES = 64 };

typedef struct scan {
  retc_lowering *l;
  const retc_node *node;
  retc_value states, end;   /* results: at the start of each chunk, after the last complete one; or none */
  retc_index at[4];         /* b, h, k, v */
  retc_expr count, finished; /* lanes; chunks that this call completes */
  retc_buffer_id state;
} scan;

static retc_status find_results(scan *s) {
  retc_lowering *l = s->l;
  for (size_t i = 0; i < l->results.count; i++) {
    retc_value result = l->results.items[i];
    const retc_node *node = retc_lower_node(l, result);
    if (result.index == l->anchor.index) s->states = result;
    else if (node->op == RETC_OP_PART && node->attributes.integer[0] == 1 && !s->end.index) s->end = result;
    else return retc_lower_refuse(l, result, "a scan's region gives the scan's results alone");
  }
  return RETC_OK;
}

/* A loop over the lanes, with their index in at[3]. */
static retc_expr begin_lanes(scan *s) {
  retc_lowering *l = s->l;
  retc_expr lane = retc_write_for(&l->writer, "lane", RETC_LOOP_VECTOR, retc_int(l, 0), s->count, 1);
  s->at[3].lane = lane;
  return lane;
}

static void write_chunk(scan *s, retc_expr n) {
  retc_lowering *l = s->l;
  retc_writer *w = &l->writer;
  retc_index grid[5] = {s->at[0], retc_at(n), s->at[1], s->at[2], s->at[3]};
  if (s->states.index) {
    retc_expr lane = begin_lanes(s);
    grid[4] = s->at[3];
    retc_lower_note(l, l->anchor);
    retc_lower_store(l, s->states, grid, retc_load(l, s->state, &lane));
    retc_write_end(w);
  }
  retc_write_if(w, retc_less(l, n, s->finished));
  retc_index rate[2] = {s->at[1], retc_at(retc_int(l, 0))};
  retc_expr decay = retc_write_let(w, "decay", retc_lower_value(l, s->node->inputs[1], rate));
  retc_expr lane = begin_lanes(s);
  grid[4] = s->at[3];
  retc_expr update = retc_lower_value(l, s->node->inputs[0], grid);
  retc_lower_note(l, l->anchor);
  retc_write_store(w, s->state, &lane, retc_fma(l, decay, retc_load(l, s->state, &lane), update));
  retc_write_end(w);
  retc_write_end(w);
}

static void write_columns(scan *s) {
  retc_lowering *l = s->l;
  retc_writer *w = &l->writer;
  s->state = retc_write_alloc(w, "state", RETC_SCOPE_PRIVATE, RETC_DTYPE_F32, 1, (int64_t[]){LANES});
  retc_expr lane = begin_lanes(s);
  retc_write_store(w, s->state, &lane, retc_lower_value(l, s->node->inputs[2], s->at));
  retc_write_end(w);
  write_chunk(s, retc_write_for(w, "n", RETC_LOOP_SERIAL, retc_int(l, 0), retc_dim_expr(l, RETC_NAMED(N)), 1));
  retc_write_end(w);
  if (!s->end.index) return;
  lane = begin_lanes(s);
  retc_lower_note(l, s->end);
  retc_lower_store(l, s->end, s->at, retc_load(l, s->state, &lane));
  retc_write_end(w);
}

retc_status retc_anchor_scan_lower(retc_lowering *l) {
  retc_writer *w = &l->writer;
  scan s = {.l = l, .node = retc_lower_node(l, l->anchor)};
  RETC_TRY(find_results(&s));
  const retc_shape *shape = &retc_lower_node(l, s.node->inputs[2])->type.shape;
  retc_expr zero = retc_int(l, 0), chunk = retc_int(l, s.node->attributes.integer[0]), count = retc_int(l, LANES);
  retc_expr rows = retc_lower_row_count(l, shape, 3), width = retc_dim_expr(l, shape->dim[3]);
  retc_expr row = retc_write_for(w, "row", RETC_LOOP_PARALLEL, zero, rows, 1);
  retc_lower_row(l, shape, 3, row, s.at);
  retc_expr pending = retc_mod(l, retc_lower_value(l, s.node->inputs[3], NULL), chunk);
  s.finished = retc_div(l, retc_add(l, pending, retc_dim_expr(l, RETC_NAMED(T))), chunk);
  s.finished = retc_write_let(w, "finished", s.finished);
  retc_expr base = retc_write_for(w, "v", RETC_LOOP_SERIAL, zero, width, LANES);
  s.count = retc_write_let(w, "lanes", retc_min(l, count, retc_sub(l, width, base)));
  s.at[3] = (retc_index){base, {0}, LANES};
  write_columns(&s);
  retc_write_end(w);
  retc_write_end(w);
  return l->status;
}
