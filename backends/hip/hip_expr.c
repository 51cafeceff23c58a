#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "backends/hip/hip_private.h"

const char *hip_value_type(retc_dtype dtype) {
  switch (dtype) {
    case RETC_DTYPE_F64: return "double";
    case RETC_DTYPE_I64:
    case RETC_DTYPE_I32:
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4:
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2: return "int64_t";
    case RETC_DTYPE_BOOL: return "bool";
    default: return "float";
  }
}

const char *hip_memory_type(retc_dtype dtype) {
  switch (dtype) {
    case RETC_DTYPE_F64: return "double";
    case RETC_DTYPE_F32: return "float";
    case RETC_DTYPE_I64: return "int64_t";
    case RETC_DTYPE_I32: return "int32_t";
    case RETC_DTYPE_BF16: return "retc_bf16";
    case RETC_DTYPE_F16: return "retc_f16";
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4: return "int8_t";
    default: return "uint8_t";
  }
}

/* Of one byte, read as i64. */
static bool is_byte(retc_dtype dtype) {
  return dtype == RETC_DTYPE_I8 || dtype == RETC_DTYPE_I4 || dtype == RETC_DTYPE_U8 || dtype == RETC_DTYPE_U4X2;
}

bool hip_is_narrow(retc_dtype dtype) { return dtype == RETC_DTYPE_BF16 || dtype == RETC_DTYPE_F16 || is_byte(dtype); }

void hip_print_name(hip_emitter *e, const char *name) {
  static const char *const words[] = {
      "alignas",  "alignof",   "and",      "asm",       "auto",     "bitand",   "bitor",     "bool",    "break",
      "case",     "catch",     "char",     "class",     "compl",    "const",    "continue",  "default", "delete",
      "do",       "double",    "dim3",     "enum",      "explicit", "export",   "extern",    "float",   "friend",
      "goto",     "half",      "inline",   "int",       "long",     "mutable",  "namespace", "new",     "not",
      "operator", "or",        "private",  "protected", "public",   "register", "return",    "short",   "signed",
      "sizeof",   "static",    "struct",   "switch",    "template", "this",     "throw",     "try",     "typedef",
      "typename", "union",     "unsigned", "using",     "virtual",  "void",     "volatile",  "while",   "xor",
      "warpSize", "threadIdx", "blockIdx", "blockDim",  "gridDim",  "main",     "nullptr"};
  retc_text_add(e->text, name);
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (!strcmp(name, words[i])) retc_text_add(e->text, "_");
  }
  if (!strncmp(name, "retc_", 5) || !strncmp(name, "RETC_", 5) || !strncmp(name, "__", 2)) retc_text_add(e->text, "_");
}

static void print_integer(hip_emitter *e, int64_t value) {
  if (value == INT64_MIN) retc_text_add(e->text, "INT64_MIN");
  else if (value > INT32_MAX || value < -INT32_MAX) retc_text_printf(e->text, "INT64_C(%" PRId64 ")", value);
  else if (value < 0) retc_text_printf(e->text, "(%" PRId64 ")", value);
  else retc_text_printf(e->text, "%" PRId64, value);
}

static void print_real(hip_emitter *e, retc_dtype dtype, double value) {
  const char *suffix = dtype == RETC_DTYPE_F32 ? "f" : "";
  if (isnan(value)) {
    retc_text_printf(e->text, "__builtin_nan%s(\"\")", suffix);
  } else if (isinf(value)) {
    retc_text_printf(e->text, value < 0 ? "(-__builtin_huge_val%s())" : "__builtin_huge_val%s()", suffix);
  } else {
    if (signbit(value)) retc_text_add(e->text, "(");
    retc_text_number(e->text, value);
    retc_text_printf(e->text, signbit(value) ? "%s)" : "%s", suffix);
  }
}

static void print_dim(hip_emitter *e, retc_dim dim) {
  if (retc_dim_is_named(dim)) {
    retc_text_add(e->text, retc_dim_text((retc_dim_name)~dim));
    e->used_dims[~dim] = true;
  } else {
    print_integer(e, dim);
  }
}

static bool is_zero(const retc_kernel *kernel, retc_expr expr) {
  const retc_expr_node *node = retc_kernel_expr(kernel, expr);
  return node->op == RETC_KERNEL_OP_CONST && node->integer == 0;
}

typedef struct offset {
  retc_expr expr;
  const char *more; /* added to it, or NULL */
} offset;

static void print_offset(hip_emitter *e, offset at) {
  const bool plain = at.more && is_zero(e->kernel, at.expr);
  if (at.more && !plain) retc_text_add(e->text, "(");
  if (!plain) hip_print_expr(e, at.expr);
  if (at.more && !plain) retc_text_add(e->text, " + ");
  if (at.more) retc_text_add(e->text, at.more);
  if (at.more && !plain) retc_text_add(e->text, ")");
}

/* Global buffers are flat: ((i0 * d1 + i1) * d2 + i2); leading zeros are left out. */
static void print_flat(hip_emitter *e, const retc_shape *shape, const offset *at) {
  int first = 0;
  while (first + 1 < shape->rank && !at[first].more && is_zero(e->kernel, at[first].expr)) first++;
  retc_text_add(e->text, "[");
  int last = shape->rank - 1; /* the axis that closes no parenthesis */
  while (last > first && shape->dim[last] == 1) last--;
  for (int axis = first + 1; axis < last; axis++) retc_text_add(e->text, shape->dim[axis] == 1 ? "" : "(");
  for (int axis = first; axis < shape->rank; axis++) {
    if (axis > first && shape->dim[axis] == 1) continue; /* its index is 0 */
    if (axis > first) {
      retc_text_add(e->text, " * ");
      print_dim(e, shape->dim[axis]);
      const bool none = !at[axis].more && is_zero(e->kernel, at[axis].expr);
      if (!none) retc_text_add(e->text, " + ");
      if (!none) print_offset(e, at[axis]);
      if (axis < last) retc_text_add(e->text, ")");
    } else {
      print_offset(e, at[axis]);
    }
  }
  if (!shape->rank) retc_text_add(e->text, "0");
  retc_text_add(e->text, "]");
}

static void print_at(hip_emitter *e, retc_buffer_id id, const offset *at) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, id);
  e->used_buffers[id.index] = true;
  hip_print_name(e, buffer->name);
  if (buffer->scope == RETC_SCOPE_FRAGMENT) {
    retc_expr indices[RETC_RANK_MAX];
    for (int axis = 0; axis < buffer->shape.rank; axis++) indices[axis] = at[axis].expr;
    hip_print_fragment_part(e, id, indices);
    retc_text_add(e->text, "[retc_i][retc_l][retc_s]");
    return;
  }
  if (buffer->scope == RETC_SCOPE_GLOBAL || !buffer->shape.rank) {
    print_flat(e, &buffer->shape, at);
    return;
  }
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    retc_text_add(e->text, "[");
    if (at[axis].more) print_offset(e, at[axis]);
    else hip_print_top(e, at[axis].expr);
    retc_text_add(e->text, "]");
  }
}

void hip_print_element(hip_emitter *e, retc_buffer_id buffer, const retc_expr *indices) {
  offset at[RETC_RANK_MAX];
  for (int axis = 0; axis < retc_kernel_buffer(e->kernel, buffer)->shape.rank; axis++)
    at[axis] = (offset){indices[axis], NULL};
  print_at(e, buffer, at);
}

void hip_print_view_element(hip_emitter *e, const retc_view *view, const char *row, const char *column) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, view->buffer);
  offset at[RETC_RANK_MAX];
  for (int axis = 0; axis < buffer->shape.rank; axis++) {
    at[axis] = (offset){view->base[axis], axis == view->row_axis ? row : axis == view->column_axis ? column : NULL};
  }
  hip_begin_widened(e, buffer->dtype);
  print_at(e, view->buffer, at);
  hip_end_widened(e, buffer->dtype);
}

void hip_begin_widened(hip_emitter *e, retc_dtype dtype) {
  if (dtype == RETC_DTYPE_BF16) retc_text_add(e->text, "retc_from_bf16(");
  if (dtype == RETC_DTYPE_F16) retc_text_add(e->text, "retc_from_f16(");
  if (dtype == RETC_DTYPE_I32 || is_byte(dtype)) retc_text_add(e->text, "int64_t(");
  if (dtype == RETC_DTYPE_BOOL) retc_text_add(e->text, "(");
}

void hip_end_widened(hip_emitter *e, retc_dtype dtype) {
  if (dtype == RETC_DTYPE_BOOL) retc_text_add(e->text, " != 0)");
  if (dtype == RETC_DTYPE_I32 || hip_is_narrow(dtype)) retc_text_add(e->text, ")");
}

static void print_cast(hip_emitter *e, const retc_expr_node *node) {
  const bool truncates = node->dtype == RETC_DTYPE_I64 &&
                         retc_kernel_expr(e->kernel, node->inputs[0])->dtype != RETC_DTYPE_I64;
  const retc_expr_node *from = retc_kernel_expr(e->kernel, node->inputs[0]);
  const bool truth = from->dtype == RETC_DTYPE_BOOL;
  if (node->dtype == RETC_DTYPE_F32 && from->op == RETC_KERNEL_OP_LOAD &&
      is_byte(retc_kernel_buffer(e->kernel, from->buffer)->dtype)) {
    /* Without a detour by 64 bits, which compilers do not see through. */
    retc_text_add(e->text, "float(");
    hip_print_element(e, from->buffer, from->indices);
    retc_text_add(e->text, ")");
    return;
  }
  retc_text_printf(e->text, "%s(", truncates && !truth ? "retc_truncate" : hip_value_type(node->dtype));
  hip_print_top(e, node->inputs[0]);
  retc_text_add(e->text, ")");
}

static void print_leaf(hip_emitter *e, const retc_expr_node *node) {
  switch (node->op) {
    case RETC_KERNEL_OP_CONST:
      if (node->dtype == RETC_DTYPE_BOOL) retc_text_add(e->text, node->integer ? "true" : "false");
      else if (node->dtype == RETC_DTYPE_I64) print_integer(e, node->integer);
      else print_real(e, node->dtype, node->number);
      break;
    case RETC_KERNEL_OP_VARIABLE: hip_print_name(e, e->kernel->variables.items[node->variable.index]); break;
    case RETC_KERNEL_OP_DIM: print_dim(e, ~node->integer); break;
    case RETC_KERNEL_OP_LOAD: {
      const retc_dtype dtype = retc_kernel_buffer(e->kernel, node->buffer)->dtype;
      hip_begin_widened(e, dtype);
      hip_print_element(e, node->buffer, node->indices);
      hip_end_widened(e, dtype);
      break;
    }
    default: print_cast(e, node);
  }
}

/* The function that an operation is, by the type it works on; NULL: it is an operator. */
static const char *function_of(retc_kernel_op op, retc_dtype dtype) {
  const bool narrow = dtype == RETC_DTYPE_F32;
  switch (op) {
    case RETC_KERNEL_OP_FMA: return narrow ? "fmaf" : "fma";
    case RETC_KERNEL_OP_ABS: return dtype == RETC_DTYPE_I64 ? "retc_abs" : narrow ? "fabsf" : "fabs";
    case RETC_KERNEL_OP_MIN: return "retc_min";
    case RETC_KERNEL_OP_MAX: return "retc_max";
    case RETC_KERNEL_OP_SQRT: return narrow ? "sqrtf" : "sqrt";
    case RETC_KERNEL_OP_FLOOR: return narrow ? "floorf" : "floor";
    case RETC_KERNEL_OP_POW2: return "retc_pow2";
    case RETC_KERNEL_OP_EXPONENT: return "retc_exponent";
    default: return NULL;
  }
}

static void print_call(hip_emitter *e, const retc_expr_node *node) {
  if (node->op == RETC_KERNEL_OP_SELECT || node->op == RETC_KERNEL_OP_NEG) {
    const bool neg = node->op == RETC_KERNEL_OP_NEG;
    retc_text_add(e->text, neg ? "(-" : "(");
    hip_print_expr(e, node->inputs[0]);
    for (int i = 1; !neg && i < 3; i++) {
      retc_text_add(e->text, i == 1 ? " ? " : " : ");
      hip_print_expr(e, node->inputs[i]);
    }
    retc_text_add(e->text, ")");
    return;
  }
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  const char *function = function_of(node->op, retc_kernel_expr(e->kernel, node->inputs[0])->dtype);
  const bool overloaded = node->op == RETC_KERNEL_OP_MIN || node->op == RETC_KERNEL_OP_MAX;
  if (!function) e->refused = info->name;
  retc_text_printf(e->text, "%s(", function ? function : "?");
  for (int i = 0; i < info->inputs; i++) {
    const retc_expr_node *input = retc_kernel_expr(e->kernel, node->inputs[i]);
    const bool typed = overloaded && input->op == RETC_KERNEL_OP_CONST && input->dtype == RETC_DTYPE_I64;
    if (i) retc_text_add(e->text, ", ");
    if (typed) retc_text_add(e->text, "int64_t(");
    hip_print_top(e, node->inputs[i]);
    if (typed) retc_text_add(e->text, ")");
  }
  retc_text_add(e->text, ")");
}

void hip_print_top(hip_emitter *e, retc_expr expr) {
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  if (info->form != RETC_FORM_infix) {
    hip_print_expr(e, expr);
    return;
  }
  hip_print_expr(e, node->inputs[0]);
  retc_text_printf(e->text, " %s ", node->op == RETC_KERNEL_OP_AND ? "&&" : info->name);
  hip_print_expr(e, node->inputs[1]);
}

void hip_print_expr(hip_emitter *e, retc_expr expr) {
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  if (info->form == RETC_FORM_leaf) {
    print_leaf(e, node);
  } else if (info->form == RETC_FORM_call) {
    print_call(e, node);
  } else {
    retc_text_add(e->text, "(");
    hip_print_top(e, expr);
    retc_text_add(e->text, ")");
  }
}
