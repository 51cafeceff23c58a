/* The products of a launch: which they are, which of them a block or a lane has, and what is made of their sums. */
#include <string.h>

#include "compiler/gpu_contract.h"

bool retc_gpu_products_match(const retc_graph *graph, const retc_node *a, const retc_node *b) {
  bool match = a->op == b->op && a->inputs[0].index == b->inputs[0].index &&
               a->attributes.integer[0] == b->attributes.integer[0];
  for (int i = 1; i < a->input_count && match; i++) {
    match = retc_graph_node(graph, a->inputs[i])->type.dtype == retc_graph_node(graph, b->inputs[i])->type.dtype;
  }
  return match;
}

int retc_gpu_products_list(const retc_graph *graph, const retc_node *product,
                           const retc_node *out_products[RETC_GPU_PRODUCTS_MAX]) {
  int count = 0;
  for (size_t i = 1; i < graph->nodes.count && count < RETC_GPU_PRODUCTS_MAX; i++) {
    const retc_node *node = &graph->nodes.items[i];
    if (node->region.index != product->region.index || !retc_anchor_contract_matches(graph, NULL, node)) continue;
    out_products[count++] = node;
  }
  return count;
}

/* The type that a product by matrix instructions rounds the value to, as its rows; f32: none does, or not only such. */
static retc_dtype read_as(const retc_graph *graph, const retc_node *user, uint32_t value, uint32_t region) {
  const retc_region *of = retc_graph_region(graph, user->region);
  const bool reads = user->region.index && user->region.index != region && strcmp(of->anchor, "contract") == 0 &&
                     retc_anchor_contract_matches(graph, NULL, user) && user->inputs[0].index == value;
  return reads && !retc_schedule_get(of, "blas", 0) ? retc_gpu_scheduled_math(of) : RETC_DTYPE_F32;
}

static retc_dtype stored_type(const retc_graph *graph, const retc_uses *uses, uint32_t value) {
  const retc_node *node = &graph->nodes.items[value];
  const char *anchor = node->region.index ? retc_graph_region(graph, node->region)->anchor : "";
  const bool may = strcmp(anchor, "reduce") == 0 || strcmp(anchor, "contract") == 0 || strcmp(anchor, "pointwise") == 0;
  retc_dtype common = RETC_DTYPE_F32;
  for (uint32_t u = uses->starts[value]; u < uses->starts[value + 1]; u++) {
    const retc_dtype own = read_as(graph, &graph->nodes.items[uses->users[u]], value, node->region.index);
    if (u > uses->starts[value] && own != common) return node->type.dtype;
    common = own;
  }
  return may && node->type.dtype == RETC_DTYPE_F32 ? common : node->type.dtype;
}

const retc_dtype *retc_gpu_stored_types(const retc_graph *graph, const retc_uses *uses, retc_arena *arena) {
  retc_dtype *types = RETC_NEW_ARRAY(arena, retc_dtype, graph->nodes.count);
  for (uint32_t i = 1; i < graph->nodes.count; i++) types[i] = stored_type(graph, uses, i);
  for (size_t i = 0; i < graph->outputs.count; i++) {
    const retc_value value = graph->outputs.items[i].value;
    types[value.index] = retc_graph_node(graph, value)->type.dtype;
  }
  return types;
}

/* Whether the value is made of product p. */
static bool is_made_of(retc_lowering *l, const retc_gpu_products *of, retc_value value, int p) {
  const retc_node *node = retc_lower_node(l, value);
  bool made = value.index == of->items[p].value.index;
  for (int i = 0; i < node->input_count && retc_lower_is_inside(l, value); i++) {
    made = made || is_made_of(l, of, node->inputs[i], p);
  }
  return made;
}

static retc_status find(retc_lowering *l, retc_gpu_products *products) {
  for (uint32_t i = 1; i < l->graph->nodes.count; i++) {
    const retc_node *node = &l->graph->nodes.items[i];
    if (node->region.index != l->region.index || !retc_anchor_contract_matches(l->graph, NULL, node)) continue;
    if (products->count == RETC_GPU_PRODUCTS_MAX ||
        !retc_gpu_products_match(l->graph, retc_lower_node(l, l->anchor), node)) {
      return retc_lower_refuse(l, (retc_value){i},
                               "products share a region when they are at most four, of the same rows, with "
                               "weights of one type and depth");
    }
    products->items[products->count++] =
        (retc_gpu_product){.value = {i},
                           .columns = retc_lower_node(l, node->inputs[1])->type.shape.dim[0],
                           .weight = retc_lower_buffer(l, node->inputs[1]),
                           .scale = retc_lower_buffer(l, node->inputs[node->input_count - 1])};
  }
  return RETC_OK;
}

static retc_status find_paired(retc_lowering *l, retc_gpu_products *products) {
  for (size_t i = 0; i < l->results.count; i++) {
    int of = 0;
    for (int p = 0; p < products->count; p++) of += is_made_of(l, products, l->results.items[i], p);
    products->paired |= of > 1;
  }
  bool equal = products->count == 1 || products->count == 2 || products->count == 4;
  for (int p = 1; p < products->count; p++) equal &= products->items[p].columns == products->items[0].columns;
  if (!products->paired || equal) return RETC_OK;
  return retc_lower_refuse(l, l->anchor,
                           "something is made of several products, which are two or four of one shape then");
}

retc_status retc_gpu_products_find(retc_lowering *l, retc_gpu_products *out_products) {
  *out_products = (retc_gpu_products){0};
  RETC_TRY(find(l, out_products));
  return find_paired(l, out_products);
}

void retc_gpu_products_place(retc_gpu_products *products, int64_t columns) {
  int64_t end = 0;
  for (int p = 0; p < products->count; p++) {
    retc_gpu_product *of = &products->items[p];
    of->start = products->paired ? 0 : end;
    end = of->end = of->start + (of->columns + columns - 1) / columns * columns;
  }
}

void retc_gpu_product_begin(retc_lowering *l, const retc_gpu_products *products, int p, retc_expr at, int64_t own) {
  if (products->count == 1) return;
  if (p) retc_write_else(&l->writer);
  if (p + 1 == products->count) return;
  const int64_t end = products->paired ? (p + 1) * own : products->items[p].end;
  retc_write_if(&l->writer, retc_less(l, at, retc_int(l, end)));
}

void retc_gpu_product_end(retc_lowering *l, const retc_gpu_products *products) { retc_end(l, products->count - 1); }

void retc_gpu_product_store(retc_lowering *l, const retc_gpu_products *products, int p, retc_expr row, retc_expr column,
                            const retc_expr *totals) {
  const retc_node *node = retc_lower_node(l, l->anchor);
  const int rank = node->type.shape.rank - 1;
  retc_value values[RETC_GPU_PRODUCTS_MAX];
  for (int i = 0; i < products->count; i++) values[i] = products->items[i].value;
  l->also = values;
  l->also_as = totals;
  l->also_count = products->count;
  retc_index at[RETC_RANK_MAX];
  retc_lower_row(l, &node->type.shape, rank, row, at);
  at[rank] = retc_at(column);
  for (size_t i = 0; i < l->results.count; i++) {
    const retc_value result = l->results.items[i];
    if (!products->paired && !is_made_of(l, products, result, p)) continue;
    if (!retc_shape_equal(&retc_lower_node(l, result)->type.shape, &retc_lower_node(l, values[p])->type.shape)) {
      retc_lower_refuse(l, result, "a result of this region is expected to have the shape of what it is built around");
      continue;
    }
    l->stored = result;
    retc_lower_store(l, result, at, retc_lower_value(l, result, at));
    l->stored = (retc_value){0};
  }
  l->also_count = 0;
}
