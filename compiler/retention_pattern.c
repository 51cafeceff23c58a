#include "compiler/retention_pattern.h"

#include <string.h>

typedef struct finder {
  const retc_graph *graph;
  const retc_uses *uses;
  int64_t chunk;
  retc_retention *r;
} finder;

static const retc_node *node_at(const finder *f, retc_value value) { return retc_graph_node(f->graph, value); }

/* What the kernel's constants and private tiles may take. */
enum { CONSTANTS_MAX = 1 << 26, TILE_MAX = 1 << 30 };

static bool add(retc_value *list, int *count, retc_value value) {
  for (int i = 0; i < *count; i++) {
    if (list[i].index == value.index) return true;
  }
  if (*count == RETC_RETENTION_NODES_MAX) return false;
  list[(*count)++] = value;
  return true;
}

static bool take_member(finder *f, retc_value value) { return add(f->r->members, &f->r->member_count, value); }

static bool take_source(finder *f, retc_value value) { return add(f->r->sources, &f->r->source_count, value); }

/* A member that is this product; its operands. */
static bool take_product(finder *f, retc_value value, const char *spec, retc_value *out_a, retc_value *out_b) {
  const retc_node *node = node_at(f, value);
  if (node->op != RETC_OP_CONTRACT || strcmp(node->attributes.word, spec)) return false;
  *out_a = node->inputs[0];
  *out_b = node->inputs[1];
  return take_member(f, value);
}

/* A member that is this operation on two operands, one of which is of the other operation: which comes first is open.
 */
static bool take_pair(finder *f, retc_value value, retc_op op, retc_op second, retc_value *out_a, retc_value *out_b) {
  const retc_node *node = node_at(f, value);
  if (node->op != op) return false;
  const int which = node_at(f, node->inputs[1])->op == second ? 1 : 0;
  if (node_at(f, node->inputs[which])->op != second) return false;
  *out_a = node->inputs[1 - which];
  *out_b = node->inputs[which];
  return take_member(f, value);
}

static bool is_chunked(const finder *f, const retc_node *node, retc_value position) {
  return node->attributes.integer[0] == f->chunk && position.index == f->r->position.index;
}

/* Rows on the grid, of the pending ones too when `pending`; heads that read one key/value head repeat it. */
static bool take_rows(finder *f, retc_value value, bool pending) {
  const retc_node *node = node_at(f, value);
  if (!take_source(f, value)) return false;
  if (node->op == RETC_OP_REPEAT) {
    if (node->attributes.integer[0] != 3 || !pending || !take_source(f, node->inputs[0])) return false;
    node = node_at(f, node->inputs[0]);
  }
  if (node->op != RETC_OP_CHUNK || node->input_count != (pending ? 3 : 2)) return false;
  return is_chunked(f, node, node->inputs[1]);
}

/* e^((first + step i) log_decay), i < count. */
static bool take_powers(finder *f, retc_value value, int64_t count, int64_t first, int64_t step) {
  const retc_node *node = node_at(f, value);
  const int64_t *a = node->attributes.integer;
  if (node->op != RETC_OP_DECAY_POWERS || a[0] != count || a[1] != first || (count > 1 && a[2] != step)) return false;
  return node->inputs[0].index == f->r->log_decay.index && take_source(f, value);
}

static bool is_filled_with_ones(const finder *f, retc_value value) {
  const retc_node *node = node_at(f, value);
  for (size_t i = 0; i < node->attributes.dense_count; i++) {
    if (node->attributes.dense[i] != 1) return false;
  }
  return node->op == RETC_OP_CONST;
}

/* ---- users ---- */

static size_t count_users(const finder *f, retc_value value) {
  return f->uses->starts[value.index + 1] - f->uses->starts[value.index];
}

/* The user of the value that is this operation; none when there is none or are several. */
static retc_value find_user(const finder *f, retc_value value, retc_op op) {
  retc_value found = {0};
  for (uint32_t u = f->uses->starts[value.index]; u < f->uses->starts[value.index + 1]; u++) {
    const uint32_t user = f->uses->users[u];
    if (f->graph->nodes.items[user].op != op || user == found.index) continue;
    if (found.index) return (retc_value){0};
    found.index = user;
  }
  return found;
}

static retc_value find_product(const finder *f, retc_value value, const char *spec) {
  retc_value found = {0};
  for (uint32_t u = f->uses->starts[value.index]; u < f->uses->starts[value.index + 1]; u++) {
    const retc_node *user = &f->graph->nodes.items[f->uses->users[u]];
    if (user->op == RETC_OP_CONTRACT && !strcmp(user->attributes.word, spec)) found.index = f->uses->users[u];
  }
  return found;
}

static bool is_output(const finder *f, retc_value value) {
  for (size_t i = 0; i < f->graph->outputs.count; i++) {
    if (f->graph->outputs.items[i].value.index == value.index) return true;
  }
  return false;
}

static bool is_result(const finder *f, retc_value value) {
  const retc_retention *r = f->r;
  return value.index == r->output.index || value.index == r->end.index || value.index == r->score_sum.index ||
         value.index == r->state_peak.index;
}

static bool is_member(const finder *f, uint32_t value) {
  for (int i = 0; i < f->r->member_count; i++) {
    if (f->r->members[i].index == value) return true;
  }
  return false;
}

/* Nobody else wants what the kernel keeps to itself. */
static bool is_closed(const finder *f) {
  for (int i = 0; i < f->r->member_count; i++) {
    const retc_value member = f->r->members[i];
    if (is_result(f, member)) continue;
    if (is_output(f, member)) return false;
    for (uint32_t u = f->uses->starts[member.index]; u < f->uses->starts[member.index + 1]; u++) {
      if (!is_member(f, f->uses->users[u])) return false;
    }
  }
  return true;
}

/* ---- pieces ---- */

/* The row's way off the grid; a member and a result. */
static bool take_unchunk(finder *f, retc_value value, retc_value *out_result) {
  *out_result = find_user(f, value, RETC_OP_UNCHUNK);
  if (!out_result->index) return false;
  const retc_node *node = node_at(f, *out_result);
  return is_chunked(f, node, node->inputs[1]) && take_member(f, *out_result);
}

/* g^C state + sum_j g^(C-1-j) k_j v_j^T */
static bool take_update(finder *f) {
  const retc_node *scan = node_at(f, f->r->scan);
  retc_value decayed, powers;
  if (!take_product(f, scan->inputs[0], "bnjhk,bnjhv->bnhkv", &decayed, &f->r->v_rows)) return false;
  if (!take_product(f, decayed, "bnjhk,hj->bnjhk", &f->r->k_rows, &powers)) return false;
  f->r->update = scan->inputs[0];
  f->r->decayed = decayed;
  const retc_node *rates = node_at(f, powers);
  if (rates->op != RETC_OP_DECAY_POWERS) return false;
  f->r->log_decay = rates->inputs[0];
  if (!take_powers(f, powers, f->chunk, f->chunk - 1, -1)) return false;
  if (!take_powers(f, scan->inputs[1], 1, f->chunk, 0)) return false;
  return take_rows(f, f->r->k_rows, true) && take_rows(f, f->r->v_rows, true);
}

/* g^(i+1) S^T q_i + sum_{j <= i} g^(i-j) (q_i . k_j) v_j; *out_masked: the decayed scores. */
static bool take_output(finder *f, retc_value *out_masked) {
  retc_value cross = find_product(f, f->r->scan, "bnihk,bnhkv->bnihv"), states, powers, inner, values, scores, mask,
             rows;
  if (!cross.index || !take_product(f, cross, "bnihk,bnhkv->bnihv", &f->r->q_rows, &states)) return false;
  if (states.index != f->r->scan.index || !take_rows(f, f->r->q_rows, false)) return false;
  retc_value scaled = find_user(f, cross, RETC_OP_CONTRACT);
  if (!scaled.index || !take_product(f, scaled, "bnihv,hi->bnihv", &cross, &powers)) return false;
  if (!take_powers(f, powers, f->chunk, 1, 1)) return false;
  retc_value sum = find_user(f, scaled, RETC_OP_ADD);
  if (!sum.index || !take_member(f, sum)) return false;
  const retc_node *added = node_at(f, sum);
  inner = added->inputs[added->inputs[0].index == scaled.index ? 1 : 0];
  if (!take_product(f, inner, "bnhij,bnjhv->bnihv", out_masked, &values) || values.index != f->r->v_rows.index)
    return false;
  if (!take_pair(f, *out_masked, RETC_OP_MUL, RETC_OP_DECAY_MASK, &scores, &mask)) return false;
  const retc_node *decays = node_at(f, mask);
  if (decays->inputs[0].index != f->r->log_decay.index || decays->attributes.integer[0] != f->chunk) return false;
  if (!take_source(f, mask) || !take_product(f, scores, "bnihk,bnjhk->bnhij", &rows, &values)) return false;
  if (rows.index != f->r->q_rows.index || values.index != f->r->k_rows.index) return false;
  f->r->cross = cross, f->r->crossed = scaled, f->r->sum = sum, f->r->inner = inner;
  f->r->masked = *out_masked, f->r->scores = scores, f->r->mask = mask;
  return take_unchunk(f, sum, &f->r->output);
}

/* sum_j |score[i,j]|, when somebody asks for it. */
static bool take_score_sum(finder *f, retc_value masked) {
  retc_value size = find_user(f, masked, RETC_OP_ABS), ones, operand;
  if (!size.index) return true;
  retc_value sum = find_user(f, size, RETC_OP_CONTRACT);
  if (!take_member(f, size) || !sum.index || !take_product(f, sum, "bnhij,j->bnih", &operand, &ones)) return false;
  retc_value column = find_user(f, sum, RETC_OP_RESHAPE);
  if (operand.index != size.index || !is_filled_with_ones(f, ones) || !column.index || !take_member(f, column))
    return false;
  return take_unchunk(f, column, &f->r->score_sum);
}

/* max_v sum_k |S[k,v]| of each chunk's first state, repeated for its rows, when somebody asks for it. */
static bool take_state_peak(finder *f) {
  retc_value size = find_user(f, f->r->scan, RETC_OP_ABS), ones, operand;
  if (!size.index) return true;
  retc_value sum = find_user(f, size, RETC_OP_CONTRACT);
  if (!take_member(f, size) || !sum.index || !take_product(f, sum, "bnhkv,k->bnhv", &operand, &ones)) return false;
  retc_value peak = find_user(f, sum, RETC_OP_REDUCE_MAX);
  if (operand.index != size.index || !is_filled_with_ones(f, ones) || !peak.index || !take_member(f, peak))
    return false;
  retc_value row = find_user(f, peak, RETC_OP_RESHAPE);
  if (!row.index || !take_member(f, row)) return false;
  const retc_node *shaped = node_at(f, row);
  if (shaped->type.shape.rank != 5 || shaped->type.shape.dim[2] != 1) return false;
  if (f->chunk > 1) {
    row = find_user(f, row, RETC_OP_REPEAT);
    if (!row.index || !take_member(f, row)) return false;
    const int64_t *a = node_at(f, row)->attributes.integer;
    if (a[0] != 2 || a[1] != f->chunk) return false;
  }
  return take_unchunk(f, row, &f->r->state_peak);
}

static const retc_node *chunk_of(const finder *f, retc_value rows) {
  const retc_node *node = node_at(f, rows);
  return node->op == RETC_OP_REPEAT ? node_at(f, node->inputs[0]) : node;
}

/* Behind changes of shape there is memory, not a number that fills it. */
static bool is_memory(const finder *f, retc_value value) {
  while (node_at(f, value)->op == RETC_OP_RESHAPE) value = node_at(f, value)->inputs[0];
  return node_at(f, value)->op != RETC_OP_CONST;
}

/* Values lie in memory as the kernel reads them; sizes are constant and such that tiles fit. */
static bool is_covered(const finder *f) {
  const retc_node *q = chunk_of(f, f->r->q_rows), *k = chunk_of(f, f->r->k_rows), *v = chunk_of(f, f->r->v_rows);
  const retc_node *scan = node_at(f, f->r->scan);
  const retc_shape *state = &node_at(f, scan->inputs[2])->type.shape;
  const int64_t heads = state->dim[1], keys = state->dim[2], values = state->dim[3];
  const int64_t key_heads = k->type.shape.dim[3], wide = f->chunk > keys ? f->chunk : keys;
  for (int i = 1; i < 4; i++) {
    if (retc_dim_is_named(state->dim[i])) return false;
  }
  if (retc_dim_is_named(key_heads) || v->type.shape.dim[3] != key_heads || q->type.shape.dim[3] != heads) return false;
  if (node_at(f, f->r->log_decay)->op != RETC_OP_CONST || f->chunk >= CONSTANTS_MAX / heads) return false;
  if (f->chunk > TILE_MAX / wide || values > TILE_MAX / wide) return false;
  if (node_at(f, v->inputs[0])->op == RETC_OP_ROTATE || !is_memory(f, v->inputs[0])) return false;
  return is_memory(f, v->inputs[2]) && is_memory(f, k->inputs[2]);
}

bool retc_retention_find(const retc_graph *graph, const retc_uses *uses, retc_value scan,
                         retc_retention *out_retention) {
  const retc_node *node = retc_graph_node(graph, scan);
  if (node->op != RETC_OP_SCAN) return false;
  *out_retention = (retc_retention){.scan = scan, .position = node->inputs[3], .start = node->inputs[2]};
  finder f = {graph, uses, node->attributes.integer[0], out_retention};
  retc_value masked;
  if (!take_member(&f, scan) || !take_update(&f) || !take_output(&f, &masked)) return false;
  out_retention->end = find_user(&f, scan, RETC_OP_PART);
  if (out_retention->end.index && (node_at(&f, out_retention->end)->attributes.integer[0] != 1 ||
                                   !take_member(&f, out_retention->end))) {
    return false;
  }
  if (!take_score_sum(&f, masked) || !take_state_peak(&f)) return false;
  return is_closed(&f) && is_covered(&f) &&
         count_users(&f, out_retention->output) + is_output(&f, out_retention->output) > 0;
}
