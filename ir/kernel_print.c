#include <inttypes.h>
#include <string.h>

#include "ir/kernel.h"
#include "ir/kernel_walk.h"
#include "ir/lexer.h"

typedef struct printer {
  const retc_kernel *kernel;
  retc_text *text;
} printer;

static void print_expr(printer *p, retc_expr expr, retc_expr user, bool top);

/* An expression may only use earlier ones; a broken reference is printed as "?", so that the verifier can show it. */
static bool is_valid(const retc_kernel *kernel, retc_expr expr, retc_expr user) {
  return expr.index && expr.index < kernel->exprs.count && (!user.index || expr.index < user.index);
}

static const char *variable_name(const retc_kernel *kernel, retc_variable variable) {
  return variable.index && variable.index < kernel->variables.count ? kernel->variables.items[variable.index] : "?";
}

static void print_access(printer *p, retc_buffer_id id, const retc_expr *indices, retc_expr user) {
  if (!id.index || id.index >= p->kernel->buffers.count) {
    retc_text_add(p->text, "?[]");
    return;
  }
  const retc_buffer *buffer = retc_kernel_buffer(p->kernel, id);
  retc_text_printf(p->text, "%s[", buffer->name);
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    if (axis) retc_text_add(p->text, ",");
    print_expr(p, indices[axis], user, true);
  }
  retc_text_add(p->text, "]");
}

static void print_constant(printer *p, const retc_expr_node *node) {
  if (node->dtype == RETC_DTYPE_BOOL) {
    retc_text_add(p->text, node->integer ? "true" : "false");
  } else if (node->dtype == RETC_DTYPE_I64) {
    retc_text_printf(p->text, "%" PRId64, node->integer);
  } else {
    retc_text_number(p->text, node->number);
    if (node->dtype == RETC_DTYPE_F64) retc_text_add(p->text, "_f64");
  }
}

static void print_leaf(printer *p, retc_expr expr, const retc_expr_node *node) {
  switch (node->op) {
    case RETC_KERNEL_OP_CONST: print_constant(p, node); break;
    case RETC_KERNEL_OP_VARIABLE: retc_text_add(p->text, variable_name(p->kernel, node->variable)); break;
    case RETC_KERNEL_OP_DIM:
      retc_text_add(p->text, node->integer >= 0 && node->integer < RETC_DIM_COUNT
                               ? retc_dim_text((retc_dim_name)node->integer)
                               : "?");
      break;
    case RETC_KERNEL_OP_LOAD: print_access(p, node->buffer, node->indices, expr); break;
    default:
      retc_text_printf(p->text, "%s(", retc_dtype_name(node->dtype));
      print_expr(p, node->inputs[0], expr, true);
      retc_text_add(p->text, ")");
  }
}

static void print_expr(printer *p, retc_expr expr, retc_expr user, bool top) {
  if (!is_valid(p->kernel, expr, user)) {
    retc_text_add(p->text, "?");
    return;
  }
  const retc_expr_node *node = retc_kernel_expr(p->kernel, expr);
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  if (info->form == RETC_FORM_leaf) {
    print_leaf(p, expr, node);
  } else if (info->form == RETC_FORM_infix) {
    if (!top) retc_text_add(p->text, "(");
    print_expr(p, node->inputs[0], expr, false);
    retc_text_printf(p->text, " %s ", info->name);
    print_expr(p, node->inputs[1], expr, false);
    if (!top) retc_text_add(p->text, ")");
  } else {
    retc_text_printf(p->text, "%s(", info->name);
    for (int i = 0; i < info->inputs; i++) {
      if (i) retc_text_add(p->text, ", ");
      print_expr(p, node->inputs[i], expr, true);
    }
    retc_text_add(p->text, ")");
  }
}

void retc_kernel_print_expr(const retc_kernel *kernel, retc_expr expr, retc_text *out_text) {
  print_expr(&(printer){kernel, out_text}, expr, (retc_expr){0}, true);
}

static void print_value(printer *p, retc_expr expr, bool top) { print_expr(p, expr, (retc_expr){0}, top); }

static void print_view(printer *p, const retc_view *view) {
  print_access(p, view->buffer, view->base, (retc_expr){0});
  retc_text_printf(p->text, "(row %d, column %d)", view->row_axis, view->column_axis);
}

static void print_for(printer *p, const retc_statement *s) {
  retc_text_printf(p->text, "for %s in ", variable_name(p->kernel, s->variable));
  print_value(p, s->low, false);
  retc_text_add(p->text, "..");
  print_value(p, s->high, false);
  if (s->step != 1) retc_text_printf(p->text, " step %" PRId64, s->step);
  if (s->loop != RETC_LOOP_SERIAL) retc_text_printf(p->text, " %s", retc_loop_kind_name(s->loop));
}

static void print_alloc(printer *p, retc_buffer_id id) {
  static const char *const scopes[] = {"global", "shared", "private", "fragment"};
  if (!id.index || id.index >= p->kernel->buffers.count) {
    retc_text_add(p->text, "alloc ?");
    return;
  }
  const retc_buffer *buffer = retc_kernel_buffer(p->kernel, id);
  retc_text_printf(p->text, "alloc %s: ", buffer->name);
  retc_typed_shape_print(buffer->dtype, &buffer->shape, p->text);
  retc_text_printf(p->text, " %s", scopes[buffer->scope]);
}

static void print_mma(printer *p, const retc_statement *s) {
  retc_text_add(p->text, "mma ");
  print_view(p, &s->c);
  retc_text_add(p->text, " += ");
  print_view(p, &s->a);
  retc_text_add(p->text, " * ");
  print_view(p, &s->b);
  retc_text_printf(p->text, " rows %" PRId64, s->rows);
  if (s->row_count.index) {
    retc_text_add(p->text, " of ");
    print_value(p, s->row_count, false);
  }
  retc_text_printf(p->text, " columns %" PRId64 " depth ", s->columns);
  print_value(p, s->depth, false);
  if (s->form != RETC_MMA_FMA) retc_text_printf(p->text, " %s", retc_mma_form_name(s->form));
}

static void print_head(printer *p, const retc_statement *s) {
  switch (s->kind) {
    case RETC_STATEMENT_FOR: print_for(p, s); break;
    case RETC_STATEMENT_IF:
      retc_text_add(p->text, "if ");
      print_value(p, s->value, true);
      break;
    case RETC_STATEMENT_LET:
      retc_text_printf(p->text, "let %s = ", variable_name(p->kernel, s->variable));
      print_value(p, s->value, true);
      break;
    case RETC_STATEMENT_STORE:
      print_access(p, s->buffer, s->indices, (retc_expr){0});
      retc_text_add(p->text, " = ");
      print_value(p, s->value, true);
      break;
    case RETC_STATEMENT_ALLOC: print_alloc(p, s->buffer); break;
    case RETC_STATEMENT_BARRIER: retc_text_add(p->text, "barrier"); break;
    case RETC_STATEMENT_MMA: print_mma(p, s); break;
  }
}

void retc_statement_print_head(const retc_kernel *kernel, const retc_statement *statement, retc_text *out_text) {
  print_head(&(printer){kernel, out_text}, statement);
}

/* The end of a block, before its '}' is printed. */
static void print_end(printer *p, const retc_block *block, int depth) {
  retc_comment_print(block->end_comment, 2 * depth + 2, p->text);
  retc_text_printf(p->text, "%*s", 2 * depth, "");
}

static void print_block(printer *p, const retc_block *block, int depth);

static void print_statement(printer *p, const retc_statement *s, int depth) {
  retc_comment_print(s->comment, 2 * depth, p->text);
  retc_text_printf(p->text, "%*s", 2 * depth, "");
  print_head(p, s);
  bool has_blocks = s->kind == RETC_STATEMENT_FOR || s->kind == RETC_STATEMENT_IF;
  if (has_blocks) retc_text_add(p->text, " {");
  retc_remark_print(s->remark, p->text);
  if (!has_blocks) return;
  print_block(p, &s->body, depth + 1);
  print_end(p, &s->body, depth);
  if (s->other.statements.count) {
    retc_text_add(p->text, "} else {\n");
    print_block(p, &s->other, depth + 1);
    print_end(p, &s->other, depth);
  }
  retc_text_add(p->text, "}\n");
}

static void print_block(printer *p, const retc_block *block, int depth) {
  for (size_t i = 0; i < block->statements.count; i++) print_statement(p, block->statements.items[i], depth);
}

static void print_parameters(printer *p) {
  static const char *const access[] = {"none", "read", "write", "update"};
  const char *separator = "";
  for (size_t i = 1; i < p->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &p->kernel->buffers.items[i];
    if (buffer->scope != RETC_SCOPE_GLOBAL) continue;
    retc_text_printf(p->text, "%s%s: %s ", separator, buffer->name, access[buffer->access & 3]);
    retc_typed_shape_print(buffer->dtype, &buffer->shape, p->text);
    separator = ", ";
  }
}

void retc_kernel_print(const retc_kernel *kernel, retc_text *out_text) {
  printer p = {kernel, out_text};
  retc_comment_print(kernel->comment, 0, out_text);
  retc_text_printf(out_text, "kernel %s(", kernel->name);
  print_parameters(&p);
  retc_text_add(out_text, kernel->product ? ") product {" : ") {");
  retc_remark_print(kernel->remark, out_text);
  print_block(&p, &kernel->body, 1);
  print_end(&p, &kernel->body, 0);
  retc_text_add(out_text, "}\n");
}
