#include <string.h>

#include "compiler/anchors.h"
#include "compiler/fuse.h"
#include "compiler/gpu_contract.h"

/* Nodes of a region, so that neither its expressions nor its parameters grow without bound. */
enum { REGION_SIZE_MAX = 48 };

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

bool retc_fuse_is_rounding(const retc_node *node) {
  const retc_dtype dtype = node->type.dtype;
  return node->op == RETC_OP_CAST && (dtype == RETC_DTYPE_F16 || dtype == RETC_DTYPE_BF16 || dtype == RETC_DTYPE_I32);
}

/* ---- retention: the nodes that belong to one, by what they do there ---- */

uint32_t retc_growth_state_update(const retc_fuse_state *s, uint32_t node) {
  if (!s->claim[node] || node_at(s, node)->op != RETC_OP_CONTRACT) return 0;
  uint32_t first = s->uses.starts[node];
  bool updates = s->uses.starts[node + 1] == first + 1 && node_at(s, s->uses.users[first])->op == RETC_OP_SCAN;
  return updates ? s->claim[node] : 0;
}

uint32_t retc_growth_cross_product(const retc_fuse_state *s, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_CONTRACT && has_operand(s, node, RETC_OP_SCAN) ? s->claim[node] : 0;
}

uint32_t retc_growth_decay_mask(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  bool product = (op == RETC_OP_CONTRACT && has_operand(s, node, RETC_OP_DECAY_POWERS)) ||
                 (op == RETC_OP_MUL && has_operand(s, node, RETC_OP_DECAY_MASK));
  return product ? s->claim[node] : 0;
}

uint32_t retc_growth_masked_product(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  return op == RETC_OP_CONTRACT || op == RETC_OP_ADD ? s->claim[node] : 0;
}

uint32_t retc_growth_row_measures(const retc_fuse_state *s, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  bool measure = op == RETC_OP_ABS || op == RETC_OP_REDUCE_MAX || op == RETC_OP_RESHAPE || op == RETC_OP_REPEAT;
  return measure ? s->claim[node] : 0;
}

uint32_t retc_growth_chunk_boundary(const retc_fuse_state *s, uint32_t node) { return s->claim[node]; }

uint32_t retc_growth_scan_end(const retc_fuse_state *s, uint32_t node) {
  if (node_at(s, node)->op != RETC_OP_PART) return 0;
  const uint32_t whole = node_at(s, node)->inputs[0].index;
  return in_anchor(s, whole, "scan") ? s->home[whole] : 0;
}

/* ---- epilogues ---- */

static bool reaches(const retc_fuse_state *s, uint32_t node, uint32_t region, bool *seen);

static bool inputs_reach(const retc_fuse_state *s, uint32_t node, uint32_t region, bool *seen) {
  const retc_node *n = node_at(s, node);
  for (int i = 0; i < n->input_count; i++) {
    if (reaches(s, n->inputs[i].index, region, seen)) return true;
  }
  return false;
}

/* Whether anything of the region has to be there before `node` is: a region is computed as a whole. */
static bool reaches(const retc_fuse_state *s, uint32_t node, uint32_t region, bool *seen) {
  if (s->home[node] == region) return true;
  if (seen[node]) return false;
  seen[node] = true;
  if (!s->home[node]) return inputs_reach(s, node, region, seen);
  const retc_fuse_region *home = &s->regions.items[s->home[node]];
  for (size_t i = 0; i < home->nodes.count; i++) {
    seen[home->nodes.items[i]] = true;
    if (inputs_reach(s, home->nodes.items[i], region, seen)) return true;
  }
  return false;
}

static bool is_independent(const retc_fuse_state *s, uint32_t node, uint32_t region) {
  return !reaches(s, node, region, RETC_NEW_ARRAY(s->arena, bool, s->graph->nodes.count));
}

/* Several products in one launch: a block has columns of all of them when they are equally wide, so that what is made
 * of two is made where both are. Matrix instructions on bf16 and f16 take two so. */
static bool is_paired(const retc_fuse_state *s, const retc_fuse_region *region) {
  const retc_node *first = node_at(s, region->node);
  const bool in_f32 = retc_gpu_matrix_type(s->graph, first, s->profile) == RETC_DTYPE_F32;
  const retc_shape *shape = &first->type.shape;
  for (size_t i = 0; i < region->nodes.count; i++) {
    if (!retc_shape_equal(&node_at(s, region->nodes.items[i])->type.shape, shape)) return false;
  }
  return region->products == 2 || (region->products == 4 && in_f32);
}

/* Of one product everything may be finished. Of several, what does not need the others. */
static bool may_finish(const retc_fuse_state *s, const retc_node *n, int operand, uint32_t region) {
  const retc_fuse_region *of = &s->regions.items[region];
  for (int i = 0; i < n->input_count && of->products > 1; i++) {
    const uint32_t other = n->inputs[i].index;
    if (i == operand || is_independent(s, other, region)) continue;
    if (s->home[other] != region || !is_paired(s, of)) return false;
  }
  return true;
}

/* The region of the operand that `node` alone uses, when it is of this anchor and has node's shape. */
static uint32_t finishes(const retc_fuse_state *s, uint32_t node, const char *anchor) {
  const retc_node *n = node_at(s, node);
  if (n->op == RETC_OP_COPY) return 0;
  for (int i = 0; i < n->input_count; i++) {
    uint32_t in = n->inputs[i].index;
    bool alone = s->uses.starts[in + 1] == s->uses.starts[in] + 1 && !s->is_output[in];
    if (!alone || !in_anchor(s, in, anchor) || retc_fuse_is_rounding(node_at(s, in))) continue;
    if (s->regions.items[s->home[in]].size >= REGION_SIZE_MAX) continue;
    if (!retc_shape_equal(&node_at(s, in)->type.shape, &n->type.shape)) continue;
    if (may_finish(s, n, i, s->home[in])) return s->home[in];
  }
  return 0;
}

static uint32_t finishes_product(const retc_fuse_state *s, uint32_t node) {
  uint32_t region = finishes(s, node, "contract");
  return region ? region : finishes(s, node, "product");
}

uint32_t retc_growth_activation_epilogue(const retc_fuse_state *s, uint32_t node) {
  bool unary = (traits(s, node) & RETC_TRAIT_POINTWISE) && node_at(s, node)->input_count == 1;
  return unary ? finishes_product(s, node) : 0;
}

uint32_t retc_growth_gate_epilogue(const retc_fuse_state *s, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_MUL ? finishes_product(s, node) : 0;
}

uint32_t retc_growth_residual_epilogue(const retc_fuse_state *s, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_ADD ? finishes_product(s, node) : 0;
}

uint32_t retc_growth_statistic_epilogue(const retc_fuse_state *s, uint32_t node) {
  return traits(s, node) & RETC_TRAIT_POINTWISE ? finishes(s, node, "reduce") : 0;
}

/* ---- rows finished by the reduction that has read them ---- */

/* The region of a reduction whose rows the operand has: its result, one number a row, or what it has made of the row.
 */
static uint32_t finished_rows(const retc_fuse_state *s, uint32_t operand, const retc_shape **out_rows) {
  const bool view = node_at(s, operand)->op == RETC_OP_RESHAPE && !s->home[operand];
  const uint32_t node = view ? node_at(s, operand)->inputs[0].index : operand;
  if (!in_anchor(s, node, "reduce")) return 0;
  const retc_node *anchor = node_at(s, s->regions.items[s->home[node]].node);
  const retc_shape *rows = &node_at(s, anchor->inputs[0].index)->type.shape, *own = &node_at(s, node)->type.shape;
  const bool number = retc_shape_equal(own, &anchor->type.shape);
  if (view && (number || s->uses.starts[operand + 1] != s->uses.starts[operand] + 1)) return 0;
  *out_rows = view ? &node_at(s, operand)->type.shape : rows;
  return s->regions.items[s->home[node]].size < REGION_SIZE_MAX && (number || retc_shape_equal(own, rows))
             ? s->home[node]
             : 0;
}

/* A row that others read besides is stored for them, and its rest is theirs. */
static bool is_read_by_one(const retc_fuse_state *s, uint32_t node) {
  return s->uses.starts[node + 1] == s->uses.starts[node] + 1 && !s->is_output[node];
}

uint32_t retc_growth_row_epilogue(const retc_fuse_state *s, uint32_t node) {
  const retc_node *n = node_at(s, node);
  if (!s->gpu || !(traits(s, node) & RETC_TRAIT_POINTWISE) || n->input_count != 2 || retc_fuse_is_rounding(n)) return 0;
  for (int i = 0; i < 2; i++) {
    const uint32_t operand = n->inputs[i].index, other = n->inputs[1 - i].index;
    const retc_shape *rows = NULL;
    const uint32_t region = finished_rows(s, operand, &rows);
    if (!region || !retc_shape_equal(&n->type.shape, rows) || n->type.dtype != RETC_DTYPE_F32) continue;
    if (retc_dim_is_named(
            node_at(s, node_at(s, s->regions.items[region].node)->inputs[0].index)->type.shape.dim[rows->rank - 1]))
      continue;
    if (!is_read_by_one(s, operand) || !is_independent(s, other, region)) continue;
    return region;
  }
  return 0;
}

/* ---- prologues ---- */

bool retc_prologue_chunk_rows(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  if (node_at(s, node)->op != RETC_OP_CHUNK) return false;
  if (in_anchor(s, user, "carry")) return operand == 0;
  return s->is_source[node] && (s->claim[user] || s->is_source[user]);
}

bool retc_prologue_head_repeat(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)operand;
  return node_at(s, node)->op == RETC_OP_REPEAT && s->is_source[node] && s->claim[user];
}

/* A chunk that is stored besides reads rows that are rotated already. */
bool retc_prologue_rotation(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  return node_at(s, node)->op == RETC_OP_ROTATE && node_at(s, user)->op == RETC_OP_CHUNK && operand == 0 &&
         !s->home[user];
}

static bool reads_views(const retc_fuse_state *s, uint32_t user) {
  switch (node_at(s, user)->op) {
    case RETC_OP_CONTRACT: return in_anchor(s, user, "product");
    case RETC_OP_SCAN: return in_anchor(s, user, "scan");
    case RETC_OP_GATHER:
    case RETC_OP_FLUSH: return true;
    default: return false;
  }
}

/* Operations whose elements are each read once, at the index that they are wanted at. */
static bool reads_elements(const retc_fuse_state *s, uint32_t user, int operand) {
  switch (node_at(s, user)->op) {
    case RETC_OP_ROTATE:
    case RETC_OP_CARRY: return operand == 0;
    case RETC_OP_SCAN: return in_anchor(s, user, "scan") && operand == 0;
    case RETC_OP_CONCAT:
    case RETC_OP_UNCHUNK:
    case RETC_OP_COPY: return !s->claim[user];
    default: return false;
  }
}

/* Operations cheap enough to be computed again by every user. A gather reads a row of a table, and what is rounded from
 * f64 is a table made of exp, sin or cos: they are stored once. A copy is there to be stored. */
static bool is_tree(const retc_fuse_state *s, uint32_t node) {
  const retc_node *n = node_at(s, node);
  switch (n->op) {
    case RETC_OP_COPY: return false;
    case RETC_OP_CAST:
      return !retc_fuse_is_rounding(n) && node_at(s, n->inputs[0].index)->type.dtype != RETC_DTYPE_F64;
    case RETC_OP_TAIL:
    case RETC_OP_POSITIONS:
    case RETC_OP_TRANSPOSE:
    case RETC_OP_SLICE: return true;
    case RETC_OP_REPEAT: return !s->is_source[node] && !s->claim[node];
    default: return traits(s, node) & RETC_TRAIT_POINTWISE;
  }
}

/* Whether the user is an expression or has one where it reads the operand. */
static bool is_expression(const retc_fuse_state *s, uint32_t user, int operand) {
  if (s->claim[user]) return false;
  return is_tree(s, user) || node_at(s, user)->op == RETC_OP_RESHAPE || reads_elements(s, user, operand);
}

bool retc_prologue_decay_constants(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  retc_op op = node_at(s, node)->op;
  if (op != RETC_OP_DECAY_MASK && op != RETC_OP_DECAY_POWERS) return false;
  if (s->claim[user]) return s->is_source[node];
  bool constant = node_at(s, node_at(s, node)->inputs[0].index)->op == RETC_OP_CONST;
  return constant && (is_expression(s, user, operand) || reads_views(s, user));
}

bool retc_prologue_view(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)user, (void)operand;
  return node_at(s, node)->op == RETC_OP_RESHAPE && !s->claim[node];
}

bool retc_prologue_index_view(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)operand;
  retc_op op = node_at(s, node)->op;
  bool view = op == RETC_OP_TRANSPOSE || op == RETC_OP_SLICE || op == RETC_OP_REPEAT;
  return view && is_tree(s, node) && !s->direct[node] && reads_views(s, user);
}

bool retc_prologue_norm_prologue(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  const retc_op op = node_at(s, user)->op;
  const bool product = op == RETC_OP_CONTRACT || op == RETC_OP_CONTRACT_BF16 || op == RETC_OP_CONTRACT_INT8 ||
                       op == RETC_OP_CONTRACT_SCALED;
  return is_tree(s, node) && in_anchor(s, user, "contract") && product && operand == 0;
}

bool retc_prologue_statistic_prologue(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  (void)operand;
  return is_tree(s, node) && in_anchor(s, user, "reduce");
}

bool retc_prologue_pointwise_tree(const retc_fuse_state *s, uint32_t user, int operand, uint32_t node) {
  return is_tree(s, node) && !s->direct[node] && is_expression(s, user, operand);
}
