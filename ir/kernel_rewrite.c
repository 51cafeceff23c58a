#include "ir/kernel.h"
#include "ir/kernel_walk.h"

typedef struct rewriter {
  const retc_kernel *in;
  retc_writer writer;
  retc_rewrite_expr replace;
  void *user;
  retc_arena arena;  /* of `map` and `seen` */
  retc_expr *map;    /* of each old expression: the new one */
  uint32_t *seen;    /* the statement for which `map` holds */
  uint32_t number;   /* of the statement being copied */
} rewriter;

static retc_expr copy_expr(rewriter *r, retc_expr expr);

static const retc_expr *copy_indices(rewriter *r, retc_buffer_id buffer, const retc_expr *indices) {
  if (!indices) return NULL;
  int rank = retc_kernel_buffer(r->in, buffer)->shape.rank;
  retc_expr *copy = RETC_NEW_ARRAY(&r->writer.kernel->arena, retc_expr, rank);
  for (int axis = 0; axis < rank; axis++) copy[axis] = copy_expr(r, indices[axis]);
  return copy;
}

static retc_expr copy_expr(rewriter *r, retc_expr expr) {
  if (!expr.index || r->seen[expr.index] == r->number) return r->map[expr.index];
  const retc_expr_node *old = retc_kernel_expr(r->in, expr);
  retc_expr_node node = *old;
  for (int i = 0; i < 3; i++) node.inputs[i] = copy_expr(r, old->inputs[i]);
  node.indices = copy_indices(r, old->buffer, old->indices);
  retc_expr copy = r->replace(r->user, &r->writer, &node, node.inputs);
  if (!copy.index) copy = retc_kernel_add_expr(r->writer.kernel, node);
  r->seen[expr.index] = r->number;
  r->map[expr.index] = copy;
  return copy;
}

static retc_view copy_view(rewriter *r, const retc_view *view) {
  return (retc_view){view->buffer, copy_indices(r, view->buffer, view->base), view->row_axis, view->column_axis};
}

static const char *copy_text(rewriter *r, const char *text) {
  return text ? retc_arena_strdup(&r->writer.kernel->arena, text) : NULL;
}

static void copy_block(rewriter *r, const retc_block *in, retc_block *out);

/* The values come first: what `replace` writes must stand before the statement. */
static void copy_statement(rewriter *r, const retc_statement *in) {
  r->number++;
  retc_statement copy = *in;
  copy.comment = copy_text(r, in->comment);
  copy.remark = r->writer.standing_remark = copy_text(r, in->remark);
  copy.low = copy_expr(r, in->low);
  copy.high = copy_expr(r, in->high);
  copy.value = copy_expr(r, in->value);
  copy.depth = copy_expr(r, in->depth);
  copy.row_count = copy_expr(r, in->row_count);
  copy.indices = copy_indices(r, in->buffer, in->indices);
  copy.c = copy_view(r, &in->c);
  copy.a = copy_view(r, &in->a);
  copy.b = copy_view(r, &in->b);
  copy.body = copy.other = (retc_block){0};
  retc_statement *out = retc_writer_add(&r->writer, in->kind);
  *out = copy;
  copy_block(r, &in->body, &out->body);
  copy_block(r, &in->other, &out->other);
}

static void copy_block(rewriter *r, const retc_block *in, retc_block *out) {
  out->end_comment = copy_text(r, in->end_comment);
  if (!in->statements.count) return;
  retc_writer_open(&r->writer, out);
  for (size_t i = 0; i < in->statements.count; i++) copy_statement(r, in->statements.items[i]);
  retc_write_end(&r->writer);
}

/* All names are taken over before anything is written, so that new ones avoid them. */
static void copy_names(const retc_kernel *in, retc_kernel *out) {
  for (size_t i = 1; i < in->buffers.count; i++) {
    retc_buffer buffer = in->buffers.items[i];
    buffer.name = retc_arena_strdup(&out->arena, buffer.name);
    RETC_VEC_PUSH(&out->arena, out->buffers, buffer);
  }
  for (size_t i = 1; i < in->variables.count; i++) {
    const char *name = retc_arena_strdup(&out->arena, in->variables.items[i]);
    RETC_VEC_PUSH(&out->arena, out->variables, name);
  }
  if (in->comment) out->comment = retc_arena_strdup(&out->arena, in->comment);
  if (in->remark) out->remark = retc_arena_strdup(&out->arena, in->remark);
  out->source = in->source;
  out->product = in->product;
}

retc_kernel *retc_kernel_rewrite(const retc_kernel *in, retc_rewrite_expr expr, void *user) {
  retc_kernel *out = retc_kernel_create(in->name);
  if (!out) return NULL;
  copy_names(in, out);
  rewriter r = {.in = in, .replace = expr, .user = user};
  retc_arena_init(&r.arena);
  retc_writer_init(&r.writer, out);
  r.map = RETC_NEW_ARRAY(&r.arena, retc_expr, in->exprs.count);
  r.seen = RETC_NEW_ARRAY(&r.arena, uint32_t, in->exprs.count);
  for (size_t i = 0; i < in->body.statements.count; i++) copy_statement(&r, in->body.statements.items[i]);
  out->body.end_comment = copy_text(&r, in->body.end_comment);
  retc_arena_deinit(&r.arena);
  return out;
}
