/* Products in wave loops: by matrix instructions where the operands lie as these want them, else element by element. */
#include <inttypes.h>

#include "backends/hip/hip_private.h"

enum { TILE = 16, ALIGNED = 8 /* elements of two bytes: 16 bytes */ };

bool hip_is_aligned(const hip_emitter *e, retc_expr expr, int64_t by) {
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  switch (node->op) {
    case RETC_KERNEL_OP_CONST: return node->integer % by == 0;
    case RETC_KERNEL_OP_ADD:
    case RETC_KERNEL_OP_MIN:
    case RETC_KERNEL_OP_MAX:
    case RETC_KERNEL_OP_SUB: return hip_is_aligned(e, node->inputs[0], by) && hip_is_aligned(e, node->inputs[1], by);
    case RETC_KERNEL_OP_MUL: return hip_is_aligned(e, node->inputs[0], by) || hip_is_aligned(e, node->inputs[1], by);
    case RETC_KERNEL_OP_VARIABLE: {
      const retc_statement *s = e->definitions[node->variable.index];
      if (!s) return false;
      if (s->kind == RETC_STATEMENT_LET) return hip_is_aligned(e, s->value, by);
      return s->step % by == 0 && hip_is_aligned(e, s->low, by);
    }
    default: return false;
  }
}

int64_t hip_stride_of(const retc_buffer *buffer, int axis) {
  int64_t stride = 1;
  for (int k = axis + 1; k < buffer->shape.rank; k++) {
    if (retc_dim_is_named(buffer->shape.dim[k])) return 0;
    stride *= buffer->shape.dim[k];
  }
  return stride;
}

/* Rows along `rows`, elements of a row one behind the other, each row of halves at a multiple of 16 bytes. Steps along the
 * axes before `first` are multiples of those along it. */
static bool has_rows(const hip_emitter *e, const retc_view *view, int first, int rows, int along) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, view->buffer);
  const int64_t stride = hip_stride_of(buffer, rows), by = buffer->dtype == RETC_DTYPE_F32 ? 1 : ALIGNED;
  if (along != buffer->shape.rank - 1 || !stride) return false;
  if (by > 1 && !hip_is_aligned(e, view->base[along], by)) return false;
  for (int axis = first; axis < along; axis++) {
    const int64_t own = hip_stride_of(buffer, axis);
    if (!own || own % by) return false;
  }
  return true;
}

static bool is_half(retc_dtype dtype) { return dtype == RETC_DTYPE_BF16 || dtype == RETC_DTYPE_F16; }

static bool operands_suit(const hip_emitter *e, const retc_statement *s) {
  const retc_buffer *a = retc_kernel_buffer(e->kernel, s->a.buffer), *b = retc_kernel_buffer(e->kernel, s->b.buffer);
  const bool fits = a->dtype == b->dtype && (is_half(a->dtype) || a->dtype == RETC_DTYPE_F32);
  return fits && has_rows(e, &s->a, s->row_count.index ? s->a.row_axis : 0, s->a.row_axis, s->a.column_axis) &&
         has_rows(e, &s->b, 0, s->b.column_axis, s->b.row_axis);
}

static bool suits(const hip_emitter *e, const retc_statement *s) {
  const retc_buffer *c = retc_kernel_buffer(e->kernel, s->c.buffer);
  return operands_suit(e, s) && is_half(retc_kernel_buffer(e->kernel, s->a.buffer)->dtype) && s->rows % TILE == 0 &&
         s->columns % TILE == 0 && s->c.column_axis == c->shape.rank - 1;
}

static void print_matrix(hip_emitter *e, const retc_view *view, int rows) {
  retc_text_add(e->text, "&");
  hip_print_element(e, view->buffer, view->base);
  retc_text_printf(e->text, ", %" PRId64 ", ", hip_stride_of(retc_kernel_buffer(e->kernel, view->buffer), rows));
}

static void print_plain(hip_emitter *e, const retc_statement *s, int depth) {
  const int indent = 2 * depth;
  retc_text_printf(e->text,
                   "%*sfor (int64_t mma_e = threadIdx.x %% RETC_WAVE; mma_e < %" PRId64 "; mma_e += RETC_WAVE) {\n",
                   indent, "", s->rows * s->columns);
  retc_text_printf(e->text, "%*sconst int64_t mma_i = mma_e / %" PRId64 ", mma_l = mma_e %% %" PRId64 ";\n", indent + 2,
                   "", s->columns, s->columns);
  retc_text_printf(e->text, "%*sfloat mma_sum = ", indent + 2, "");
  hip_print_view_element(e, &s->c, "mma_i", "mma_l");
  retc_text_printf(e->text, ";\n%*sfor (int64_t mma_x = 0; mma_x < ", indent + 2, "");
  hip_print_expr(e, s->depth);
  retc_text_printf(e->text, "; mma_x++) {\n%*smma_sum = fmaf(", indent + 4, "");
  hip_print_view_element(e, &s->a, "mma_i", "mma_x");
  retc_text_add(e->text, ", ");
  hip_print_view_element(e, &s->b, "mma_x", "mma_l");
  retc_text_printf(e->text, ", mma_sum);\n%*s}\n%*s", indent + 2, "", indent + 2, "");
  hip_print_view_element(e, &s->c, "mma_i", "mma_l");
  retc_text_printf(e->text, " = mma_sum;\n%*s}\n", indent, "");
}

static void print_operands(hip_emitter *e, const retc_statement *s) {
  print_matrix(e, &s->a, s->a.row_axis);
  print_matrix(e, &s->b, s->b.column_axis);
  hip_print_top(e, s->depth);
  if (s->row_count.index) {
    retc_text_add(e->text, ", ");
    hip_print_top(e, s->row_count);
  }
  retc_text_printf(e->text, s->remark && *s->remark ? ");  // %s\n" : ");\n", s->remark);
}

void hip_emit_wave_mma(hip_emitter *e, const retc_statement *s, int depth) {
  if (retc_kernel_buffer(e->kernel, s->c.buffer)->scope == RETC_SCOPE_FRAGMENT) {
    if (!operands_suit(e, s)) e->refused = "a product into a fragment of operands that no matrix instruction reads";
    retc_text_printf(e->text, "%*sretc_multiply(", 2 * depth, "");
    hip_print_name(e, retc_kernel_buffer(e->kernel, s->c.buffer)->name);
    hip_print_fragment_part(e, s->c.buffer, s->c.base);
    retc_text_add(e->text, ", ");
    print_operands(e, s);
    return;
  }
  if (!suits(e, s)) {
    print_plain(e, s, depth);
    return;
  }
  retc_text_printf(e->text, "%*sretc_mma<%" PRId64 ", %" PRId64 ">(", 2 * depth, "", s->rows / TILE, s->columns / TILE);
  print_matrix(e, &s->c, s->c.row_axis);
  print_operands(e, s);
}
