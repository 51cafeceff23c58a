/* Composite operations into primitives. Retention of chunk length C on the absolute grid, per head with decay g:
 *   o_n     = g^(i+1) S_b^T q_n + sum_{j<=i} g^(i-j) (q_n . k_j) v_j        i = n mod C, b = floor(n / C)
 *   S_(b+1) = g^C S_b + sum_j g^(C-1-j) k_j v_j^T
 * written over all chunks of the call at once, with one scan that carries the state from chunk to chunk. C = 1 is the
 * recurrent form, C >= T the parallel one. */

#include "compiler/pass.h"
#include "compiler/rewrite.h"

static retc_value rsqrt_of(retc_builder *b, retc_value mean_square, const retc_node *norm) {
  retc_value eps = retc_build_number(b, norm->type.dtype, norm->attributes.number);
  return retc_build_unary(b, RETC_OP_RSQRT, retc_build_binary(b, RETC_OP_ADD, mean_square, eps));
}

static void expand_norm(retc_rewrite *rw, uint32_t index) {
  const retc_node *old = &rw->in->nodes.items[index];
  retc_builder *b = &rw->builder;
  retc_value x = rw->map[old->inputs[0].index];
  if (old->op == RETC_OP_LAYER_NORM) {
    x = retc_build_binary(b, RETC_OP_SUB, x, retc_build_unary(b, RETC_OP_REDUCE_MEAN, x));
  }
  retc_value mean = retc_build_unary(b, RETC_OP_REDUCE_MEAN, retc_build_binary(b, RETC_OP_MUL, x, x));
  retc_value y = retc_build_binary(b, RETC_OP_MUL, x, rsqrt_of(b, mean, old));
  if (old->input_count > 1) y = retc_build_binary(b, RETC_OP_MUL, y, rw->map[old->inputs[1].index]);
  if (old->input_count > 2) y = retc_build_binary(b, RETC_OP_ADD, y, rw->map[old->inputs[2].index]);
  rw->map[index] = y;
}

/* Shifted by the largest, so that no power overflows. */
static void expand_softmax(retc_rewrite *rw, uint32_t index) {
  const retc_node *old = &rw->in->nodes.items[index];
  retc_builder *b = &rw->builder;
  retc_value x = rw->map[old->inputs[0].index];
  x = retc_build_binary(b, RETC_OP_SUB, x, retc_build_unary(b, RETC_OP_REDUCE_MAX, x));
  retc_value power = retc_build_unary(b, RETC_OP_EXP, x), sum = retc_build_unary(b, RETC_OP_REDUCE_SUM, power);
  rw->map[index] = old->op == RETC_OP_SOFTMAX
                       ? retc_build_binary(b, RETC_OP_DIV, power, sum)
                       : retc_build_binary(b, RETC_OP_SUB, x, retc_build_unary(b, RETC_OP_LOG, sum));
}

typedef struct retention {
  retc_value q, k, v, log_decay, theta, position, state, pending_k, pending_v;
  int64_t chunk, heads, key_value_heads;
  const char *pairs;
  retc_value masked, states; /* on the grid: decayed scores, the state at the start of each chunk */
  retc_value o, new_state, new_pending_k, new_pending_v;
} retention;

static retc_value rotate(retc_builder *b, const retention *r, retc_value x, retc_value cosine, retc_value sine) {
  retc_value inputs[3] = {x, cosine, sine};
  retc_attributes attributes = {.word = r->pairs};
  return retc_graph_add(b, RETC_OP_ROTATE, inputs, 3, NULL, &attributes);
}

/* The angles of this call's positions, reduced and rounded to f32 only after cos and sin. */
static void expand_rotation(retc_builder *b, retention *r) {
  retc_shape column = {.rank = 2, .dim = {RETC_NAMED(T), 1}};
  retc_value position = retc_build_unary(b, RETC_OP_POSITIONS, r->position);
  retc_value angle = retc_build_binary(b, RETC_OP_MUL, retc_build_reshape(b, position, &column), r->theta);
  retc_value cosine = retc_build_cast(b, retc_build_unary(b, RETC_OP_COS, angle), RETC_DTYPE_F32);
  retc_value sine = retc_build_cast(b, retc_build_unary(b, RETC_OP_SIN, angle), RETC_DTYPE_F32);
  r->q = rotate(b, r, r->q, cosine, sine);
  r->k = rotate(b, r, r->k, cosine, sine);
}

static retc_value add_chunked(retc_builder *b, retc_op op, const retention *r, const retc_value *inputs, int count) {
  retc_attributes attributes = {.integer = {r->chunk}};
  return retc_graph_add(b, op, inputs, count, NULL, &attributes);
}

static retc_value powers(retc_builder *b, const retention *r, int64_t count, int64_t first, int64_t step) {
  retc_attributes attributes = {.integer = {count, first, step}};
  return retc_graph_add(b, RETC_OP_DECAY_POWERS, &r->log_decay, 1, NULL, &attributes);
}

/* Every query head its own copy of the key/value head it reads. */
static retc_value repeat_heads(retc_builder *b, const retention *r, retc_value x) {
  if (r->heads == r->key_value_heads) return x;
  retc_attributes attributes = {.integer = {3, r->heads / r->key_value_heads}};
  return retc_graph_add(b, RETC_OP_REPEAT, &x, 1, NULL, &attributes);
}

static void expand_chunks(retc_builder *b, retention *r) {
  retc_value q = add_chunked(b, RETC_OP_CHUNK, r, (retc_value[]){r->q, r->position}, 2);
  retc_value rows_k = add_chunked(b, RETC_OP_CHUNK, r, (retc_value[]){r->k, r->position, r->pending_k}, 3);
  retc_value rows_v = add_chunked(b, RETC_OP_CHUNK, r, (retc_value[]){r->v, r->position, r->pending_v}, 3);
  retc_value k = repeat_heads(b, r, rows_k), v = repeat_heads(b, r, rows_v);

  retc_value mask = add_chunked(b, RETC_OP_DECAY_MASK, r, &r->log_decay, 1);
  retc_value scores = retc_build_contract(b, "bnihk,bnjhk->bnhij", q, k);
  retc_value masked = retc_build_binary(b, RETC_OP_MUL, scores, mask);
  retc_value inner = retc_build_contract(b, "bnhij,bnjhv->bnihv", masked, v);

  retc_value to_end = powers(b, r, r->chunk, r->chunk - 1, -1);
  retc_value decayed = retc_build_contract(b, "bnjhk,hj->bnjhk", k, to_end);
  retc_value update = retc_build_contract(b, "bnjhk,bnjhv->bnhkv", decayed, v);
  retc_value whole = powers(b, r, 1, r->chunk, 0);
  retc_value states = add_chunked(b, RETC_OP_SCAN, r, (retc_value[]){update, whole, r->state, r->position}, 4);

  retc_value cross = retc_build_contract(b, "bnihk,bnhkv->bnihv", q, states);
  cross = retc_build_contract(b, "bnihv,hi->bnihv", cross, powers(b, r, r->chunk, 1, 1));
  retc_value sum = retc_build_binary(b, RETC_OP_ADD, cross, inner);
  r->o = add_chunked(b, RETC_OP_UNCHUNK, r, (retc_value[]){sum, r->position}, 2);
  r->new_state = retc_build_part(b, states, 1);
  r->new_pending_k = add_chunked(b, RETC_OP_CARRY, r, (retc_value[]){rows_k, r->pending_k, r->position}, 3);
  r->new_pending_v = add_chunked(b, RETC_OP_CARRY, r, (retc_value[]){rows_v, r->pending_v, r->position}, 3);
  r->masked = masked;
  r->states = states;
}

static retc_value ones(retc_builder *b, int64_t count) {
  const double one = 1;
  retc_shape shape = {.rank = 1, .dim = {count}};
  return retc_build_dense(b, RETC_DTYPE_F32, &shape, &one, 1);
}

static retc_value from_grid(retc_builder *b, const retention *r, retc_value x) {
  return add_chunked(b, RETC_OP_UNCHUNK, r, (retc_value[]){x, r->position}, 2);
}

static retc_value expand_score_sum(retc_builder *b, const retention *r) {
  retc_value size = retc_build_unary(b, RETC_OP_ABS, r->masked);
  retc_value sum = retc_build_contract(b, "bnhij,j->bnih", size, ones(b, r->chunk));
  retc_shape column = {.rank = 5, .dim = {RETC_NAMED(B), RETC_NAMED(N), r->chunk, r->heads, 1}};
  return from_grid(b, r, retc_build_reshape(b, sum, &column));
}

static retc_value expand_state_peak(retc_builder *b, const retention *r) {
  retc_value size = retc_build_unary(b, RETC_OP_ABS, r->states);
  int64_t keys = retc_graph_node(b->graph, r->state)->type.shape.dim[2];
  retc_value sum = retc_build_contract(b, "bnhkv,k->bnhv", size, ones(b, keys));
  retc_value peak = retc_build_unary(b, RETC_OP_REDUCE_MAX, sum);
  retc_shape row = {.rank = 5, .dim = {RETC_NAMED(B), RETC_NAMED(N), 1, r->heads, 1}};
  retc_attributes every = {.integer = {2, r->chunk}};
  peak = retc_build_reshape(b, peak, &row);
  if (r->chunk > 1) peak = retc_graph_add(b, RETC_OP_REPEAT, &peak, 1, NULL, &every);
  return from_grid(b, r, peak);
}

static retention expand_retention(retc_rewrite *rw, uint32_t index) {
  const retc_node *old = &rw->in->nodes.items[index];
  retc_value in[9];
  for (int i = 0; i < 9; i++) in[i] = rw->map[old->inputs[i].index];
  retention r = {.q = in[0], .k = in[1], .v = in[2], .log_decay = in[3], .theta = in[4], .position = in[5],
                 .state = in[6], .pending_k = in[7], .pending_v = in[8]};
  r.chunk = old->attributes.integer[0];
  r.pairs = old->attributes.word;
  r.heads = retc_graph_node(rw->in, old->inputs[0])->type.shape.dim[2];
  r.key_value_heads = retc_graph_node(rw->in, old->inputs[1])->type.shape.dim[2];
  expand_rotation(&rw->builder, &r);
  expand_chunks(&rw->builder, &r);
  rw->map[index] = r.o;
  return r;
}

retc_status retc_expand(const retc_pass_context *cx, const retc_graph *in, retc_graph **out_graph) {
  retc_rewrite rw;
  retc_rewrite_init(&rw, in, cx->diagnostics);
  retention *expanded = RETC_NEW_ARRAY(&rw.builder.graph->arena, retention, in->nodes.count);
  for (uint32_t i = 1; i < in->nodes.count && rw.builder.status == RETC_OK; i++) {
    const retc_node *node = &in->nodes.items[i];
    rw.builder.origin = node->origin;
    if (node->op == RETC_OP_RMS_NORM || node->op == RETC_OP_LAYER_NORM) {
      expand_norm(&rw, i);
    } else if (node->op == RETC_OP_SOFTMAX || node->op == RETC_OP_LOG_SOFTMAX) {
      expand_softmax(&rw, i);
    } else if (node->op == RETC_OP_SCORE_SUM || node->op == RETC_OP_STATE_PEAK) {
      /* The grid's nodes are those of the retention with the same inputs: the builder finds them again. */
      const retention r = expand_retention(&rw, i);
      bool sum = node->op == RETC_OP_SCORE_SUM;
      rw.map[i] = sum ? expand_score_sum(&rw.builder, &r) : expand_state_peak(&rw.builder, &r);
    } else if (node->op == RETC_OP_RETENTION) {
      expanded[i] = expand_retention(&rw, i);
    } else if (node->op == RETC_OP_PART && expanded[node->inputs[0].index].chunk) {
      const retention *r = &expanded[node->inputs[0].index];
      const retc_value parts[4] = {r->o, r->new_state, r->new_pending_k, r->new_pending_v};
      rw.map[i] = parts[node->attributes.integer[0]];
    } else {
      retc_rewrite_copy(&rw, i);
    }
    retc_graph_inherit_name(rw.builder.graph, rw.map[i], node->name, in->next_number);
  }
  return retc_rewrite_finish(&rw, out_graph);
}
