#include "ir/kernel.h"

#include <stdlib.h>

#include "ir/kernel_walk.h"

static const retc_kernel_op_info op_infos[] = {
#define RETC_KERNEL_OP(NAME, text, inputs, result, form, meaning) \
  {text, inputs, RETC_RESULT_##result, RETC_FORM_##form, meaning},
#include "ir/kernel_ops.def"
#undef RETC_KERNEL_OP
};

static const char *const loop_kind_names[] = {
  [RETC_LOOP_SERIAL] = "serial",     [RETC_LOOP_VECTOR] = "vector", [RETC_LOOP_UNROLL] = "unroll",
  [RETC_LOOP_PARALLEL] = "parallel", [RETC_LOOP_GRID] = "grid",     [RETC_LOOP_LANE] = "lane",
  [RETC_LOOP_WAVE] = "wave",         [RETC_LOOP_ELEMENT] = "element",
};

const retc_kernel_op_info *retc_kernel_op_get_info(retc_kernel_op op) { return &op_infos[op]; }

const char *retc_loop_kind_name(retc_loop_kind kind) { return loop_kind_names[kind]; }

/* Index 0 of the three tables means "none"; a zeroed entry stands there. */
retc_kernel *retc_kernel_create(const char *name) {
  retc_kernel *kernel = calloc(1, sizeof *kernel);
  if (!kernel) return NULL;
  retc_arena_init(&kernel->arena);
  kernel->name = retc_arena_strdup(&kernel->arena, name);
  RETC_VEC_PUSH(&kernel->arena, kernel->buffers, (retc_buffer){.name = ""});
  RETC_VEC_PUSH(&kernel->arena, kernel->variables, "");
  RETC_VEC_PUSH(&kernel->arena, kernel->exprs, (retc_expr_node){0});
  return kernel;
}

void retc_kernel_destroy(retc_kernel *kernel) {
  if (!kernel) return;
  retc_arena_deinit(&kernel->arena);
  free(kernel);
}

const retc_expr_node *retc_kernel_expr(const retc_kernel *kernel, retc_expr expr) {
  return &kernel->exprs.items[expr.index];
}

const retc_buffer *retc_kernel_buffer(const retc_kernel *kernel, retc_buffer_id buffer) {
  return &kernel->buffers.items[buffer.index];
}

void retc_statement_visit_exprs(const retc_kernel *kernel, const retc_statement *s,
                                void (*visit)(void *user, retc_expr expr), void *user) {
  const retc_expr direct[] = {s->low, s->high, s->value, s->depth, s->row_count};
  for (int i = 0; i < 5; i++)
    if (direct[i].index) visit(user, direct[i]);
  const struct {
    retc_buffer_id buffer;
    const retc_expr *indices;
  } lists[] = {{s->buffer, s->indices}, {s->c.buffer, s->c.base}, {s->a.buffer, s->a.base}, {s->b.buffer, s->b.base}};
  for (int i = 0; i < 4; i++) {
    if (!lists[i].indices) continue;
    int rank = retc_kernel_buffer(kernel, lists[i].buffer)->shape.rank;
    for (int axis = 0; axis < rank; axis++) visit(user, lists[i].indices[axis]);
  }
}

typedef struct dim_search {
  const retc_kernel *kernel;
  bool *seen; /* of each expression */
  bool used[RETC_DIM_COUNT];
} dim_search;

static void search_expr(void *user, retc_expr expr) {
  dim_search *search = user;
  if (!expr.index || search->seen[expr.index]) return;
  search->seen[expr.index] = true;
  const retc_expr_node *node = retc_kernel_expr(search->kernel, expr);
  if (node->op == RETC_KERNEL_OP_DIM) search->used[node->integer] = true;
  for (int i = 0; i < 3; i++) search_expr(search, node->inputs[i]);
  if (node->op != RETC_KERNEL_OP_LOAD) return;
  int rank = retc_kernel_buffer(search->kernel, node->buffer)->shape.rank;
  for (int axis = 0; axis < rank; axis++) search_expr(search, node->indices[axis]);
}

static void search_block(dim_search *search, const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    retc_statement_visit_exprs(search->kernel, s, search_expr, search);
    search_block(search, &s->body);
    search_block(search, &s->other);
  }
}

int64_t retc_buffer_private_bytes(const retc_buffer *buffer) {
  int64_t count = 1;
  int64_t limit = INT64_C(1) << 40;
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    retc_dim extent = buffer->shape.dim[axis];
    if (extent < 0 || (extent > 0 && count > limit / extent)) return -1;
    count *= extent;
  }
  return (count * (int64_t)retc_dtype_size(buffer->dtype) + 63) / 64 * 64;
}

/* A dimension is used when a statement reaches it or the shape of a parameter names it: both are in the text, and a
 * rewrite of the values keeps both. */
retc_signature retc_kernel_signature(const retc_kernel *kernel) {
  retc_signature signature = {0};
  dim_search search = {.kernel = kernel, .seen = calloc(kernel->exprs.count, sizeof(bool))};
  if (search.seen) search_block(&search, &kernel->body);
  free(search.seen);
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *buffer = &kernel->buffers.items[i];
    if (buffer->scope == RETC_SCOPE_PRIVATE) signature.scratch_bytes += retc_buffer_private_bytes(buffer);
    if (buffer->scope != RETC_SCOPE_GLOBAL) continue;
    signature.buffer_count++;
    for (int axis = 0; axis < buffer->shape.rank; axis++)
      if (retc_dim_is_named(buffer->shape.dim[axis])) search.used[~buffer->shape.dim[axis]] = true;
  }
  for (int name = 0; name < RETC_DIM_COUNT; name++)
    if (search.used[name]) signature.dims[signature.dim_count++] = (retc_dim_name)name;
  return signature;
}

uint32_t retc_block_count(const retc_block *block) {
  uint32_t count = (uint32_t)block->statements.count;
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    count += retc_block_count(&s->body) + retc_block_count(&s->other);
  }
  return count;
}
