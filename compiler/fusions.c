#include <string.h>

#include "compiler/anchors.h"
#include "compiler/fuse.h"

static const retc_node *node_at(const retc_fuse_state *s, uint32_t node) { return &s->graph->nodes.items[node]; }

static unsigned traits(const retc_fuse_state *s, uint32_t node) {
  return retc_op_get_info(node_at(s, node)->op)->traits;
}

static bool in_anchor(const retc_fuse_state *s, uint32_t node, const char *anchor) {
  return s->home[node] && !strcmp(s->regions.items[s->home[node]].anchor, anchor);
}

static bool has_operand(const retc_fuse_state *s, uint32_t node, retc_op op) {
  const retc_node *n = node_at(s, node);
  for (int i = 0; i < n->input_count; i++) {
    if (node_at(s, n->inputs[i].index)->op == op) return true;
  }
  return false;
}

/* The retention region of a user or an operand of node, or 0. */
static uint32_t retention_beside(const retc_fuse_state *s, uint32_t node) {
  for (uint32_t u = s->uses.starts[node]; u < s->uses.starts[node + 1]; u++) {
    if (in_anchor(s, s->uses.users[u], "retention")) return s->home[s->uses.users[u]];
  }
  const retc_node *n = node_at(s, node);
  for (int i = 0; i < n->input_count; i++) {
    if (in_anchor(s, n->inputs[i].index, "retention")) return s->home[n->inputs[i].index];
  }
  return 0;
}

uint32_t retc_growth_state_update(const retc_fuse_state *s, uint32_t node) {
  if (node_at(s, node)->op != RETC_OP_CONTRACT) return 0;
  uint32_t first = s->uses.starts[node];
  if (s->uses.starts[node + 1] != first + 1 || node_at(s, s->uses.users[first])->op != RETC_OP_SCAN) return 0;
  return s->home[s->uses.users[first]];
}

uint32_t retc_growth_cross_product(const retc_fuse_state *s, uint32_t node) {
  bool reads = node_at(s, node)->op == RETC_OP_CONTRACT && has_operand(s, node, RETC_OP_SCAN);
  return reads ? retention_beside(s, node) : 0;
}

uint32_t retc_growth_decay_mask(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  bool product = (op == RETC_OP_CONTRACT && has_operand(s, node, RETC_OP_DECAY_POWERS)) ||
                 (op == RETC_OP_MUL && has_operand(s, node, RETC_OP_DECAY_MASK));
  return product ? retention_beside(s, node) : 0;
}

uint32_t retc_growth_masked_product(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  return (op == RETC_OP_CONTRACT || op == RETC_OP_ADD) && retc_is_on_grid(node_at(s, node)) ? retention_beside(s, node) : 0;
}

uint32_t retc_growth_row_measures(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  bool measure = op == RETC_OP_ABS || op == RETC_OP_REDUCE_MAX || op == RETC_OP_RESHAPE || op == RETC_OP_REPEAT;
  if (!measure || !retc_is_on_grid(node_at(s, node)) || !in_anchor(s, node_at(s, node)->inputs[0].index, "retention")) return 0;
  return s->home[node_at(s, node)->inputs[0].index];
}

uint32_t retc_growth_chunk_boundary(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  return op == RETC_OP_UNCHUNK || op == RETC_OP_PART ? retention_beside(s, node) : 0;
}

/* The region of the operand that `node` alone uses, when it is of this anchor and has node's shape. */
static uint32_t finishes(const retc_fuse_state *s, uint32_t node, const char *anchor) {
  const retc_node *n = node_at(s, node);
  for (int i = 0; i < n->input_count; i++) {
    uint32_t in = n->inputs[i].index;
    bool alone = s->uses.starts[in + 1] == s->uses.starts[in] + 1 && !s->is_output[in];
    if (alone && in_anchor(s, in, anchor) && retc_shape_equal(&node_at(s, in)->type.shape, &n->type.shape)) {
      return s->home[in];
    }
  }
  return 0;
}

uint32_t retc_growth_activation_epilogue(const retc_fuse_state *s, uint32_t node) {
  bool unary = (traits(s, node) & RETC_TRAIT_POINTWISE) && node_at(s, node)->input_count == 1;
  return unary ? finishes(s, node, "contract") : 0;
}

uint32_t retc_growth_gate_epilogue(const retc_fuse_state *s, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_MUL ? finishes(s, node, "contract") : 0;
}

uint32_t retc_growth_residual_epilogue(const retc_fuse_state *s, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_ADD ? finishes(s, node, "contract") : 0;
}

uint32_t retc_growth_statistic_epilogue(const retc_fuse_state *s, uint32_t node) {
  return traits(s, node) & RETC_TRAIT_POINTWISE ? finishes(s, node, "reduce") : 0;
}

/* ---- prologues ---- */

bool retc_prologue_chunk_rows(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  if (node_at(s, node)->op != RETC_OP_CHUNK) return false;
  if (in_anchor(s, user, "carry")) return operand == 0;
  return in_anchor(s, user, "retention") || node_at(s, user)->op == RETC_OP_REPEAT;
}

bool retc_prologue_head_repeat(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)operand;
  return node_at(s, node)->op == RETC_OP_REPEAT && in_anchor(s, user, "retention");
}

bool retc_prologue_rotation(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_ROTATE && node_at(s, user)->op == RETC_OP_CHUNK && operand == 0;
}

bool retc_prologue_decay_constants(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)operand;
  retc_op op = node_at(s, node)->op;
  return (op == RETC_OP_DECAY_MASK || op == RETC_OP_DECAY_POWERS) &&
         (in_anchor(s, user, "retention") || node_at(s, user)->op == RETC_OP_RESHAPE);
}

bool retc_prologue_view(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)user, (void)operand;
  return node_at(s, node)->op == RETC_OP_RESHAPE;
}

/* Operations cheap enough to be computed again by every user. A gather reads a row of a table, and what is rounded from
 * f64 is a table made of exp, sin or cos: they are stored once. */
static bool is_tree(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  if (op == RETC_OP_CAST && node_at(s, node_at(s, node)->inputs[0].index)->type.dtype == RETC_DTYPE_F64) return false;
  return (traits(s, node) & RETC_TRAIT_POINTWISE) || op == RETC_OP_TAIL || op == RETC_OP_POSITIONS;
}

bool retc_prologue_norm_prologue(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  return is_tree(s, node) && in_anchor(s, user, "contract") && node_at(s, user)->op == RETC_OP_CONTRACT && operand == 0;
}

bool retc_prologue_statistic_prologue(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)operand;
  return is_tree(s, node) && in_anchor(s, user, "reduce");
}

bool retc_prologue_pointwise_tree(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  if (!is_tree(s, node) || s->direct[node]) return false;
  if (node_at(s, user)->op == RETC_OP_ROTATE) return operand == 0;
  return is_tree(s, user) || node_at(s, user)->op == RETC_OP_RESHAPE;
}
