#include <string.h>

#include "ir/kernel.h"
#include "ir/kernel_walk.h"

enum { BLOCKS_MAX = sizeof(((retc_writer *)0)->block) / sizeof(retc_block *) };

void retc_writer_init(retc_writer *w, retc_kernel *kernel) {
  *w = (retc_writer){.kernel = kernel};
  w->block[0] = &kernel->body;
}

/* Blocks nested deeper than the writer can follow are flattened into the last one. */
static retc_block *innermost(retc_writer *w) { return w->block[w->depth < BLOCKS_MAX ? w->depth : BLOCKS_MAX - 1]; }

retc_statement *retc_writer_add(retc_writer *w, retc_statement_kind kind) {
  retc_arena *arena = &w->kernel->arena;
  retc_statement *statement = RETC_NEW(arena, retc_statement);
  statement->kind = kind;
  statement->comment = w->comment;
  statement->remark = w->remark ? w->remark : w->standing_remark;
  w->comment = w->remark = NULL;
  RETC_VEC_PUSH(arena, innermost(w)->statements, statement);
  return statement;
}

void retc_writer_open(retc_writer *w, retc_block *block) {
  w->depth++;
  if (w->depth < BLOCKS_MAX) w->block[w->depth] = block;
}

/* Most names differ in their first letter. */
static bool is_same(const char *a, const char *b) { return *a == *b && !strcmp(a, b); }

bool retc_kernel_word_is_reserved(const char *name) {
  static const char *const words[] = {"kernel",  "for",     "in",       "step",    "if",     "else",   "let",
                                      "alloc",   "mma",     "row",      "rows",    "depth",  "true",   "column",
                                      "columns", "barrier", "inf",      "false",   "nan",    "read",   "write",
                                      "inf_f64", "nan_f64", "update",   "none",    "global", "shared", "private",
                                      "pairs",   "tiles",   "integers", "fragment"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (is_same(name, words[i])) return true;
  for (int op = 0; op < RETC_KERNEL_OP_COUNT; op++)
    if (is_same(name, retc_kernel_op_get_info((retc_kernel_op)op)->name)) return true;
  for (int kind = 0; kind < RETC_LOOP_KIND_COUNT; kind++)
    if (is_same(name, retc_loop_kind_name((retc_loop_kind)kind))) return true;
  retc_dtype dtype;
  retc_dim_name dim;
  return retc_dtype_parse(name, strlen(name), &dtype) || retc_dim_parse(name, strlen(name), &dim);
}

static bool is_taken(const retc_kernel *kernel, const char *name) {
  for (size_t i = 1; i < kernel->variables.count; i++)
    if (is_same(name, kernel->variables.items[i])) return true;
  for (size_t i = 1; i < kernel->buffers.count; i++)
    if (is_same(name, kernel->buffers.items[i].name)) return true;
  return retc_kernel_word_is_reserved(name);
}

/* In text a name stands for one thing in the whole kernel: the second "i" becomes "i_1". */
static const char *unique_name(retc_kernel *kernel, const char *name) {
  const char *unique = retc_arena_strdup(&kernel->arena, name);
  for (int suffix = 1; is_taken(kernel, unique); suffix++)
    unique = retc_arena_printf(&kernel->arena, "%s_%d", name, suffix);
  return unique;
}

static retc_expr add_variable(retc_writer *w, const char *name, retc_dtype dtype) {
  retc_variable variable = {(uint32_t)w->kernel->variables.count};
  const char *unique = unique_name(w->kernel, name);
  RETC_VEC_PUSH(&w->kernel->arena, w->kernel->variables, unique);
  return retc_kernel_add_expr(w->kernel,
                              (retc_expr_node){.op = RETC_KERNEL_OP_VARIABLE, .dtype = dtype, .variable = variable});
}

static retc_buffer_id add_buffer(retc_writer *w, retc_buffer buffer) {
  retc_buffer_id id = {(uint32_t)w->kernel->buffers.count};
  buffer.name = unique_name(w->kernel, buffer.name);
  RETC_VEC_PUSH(&w->kernel->arena, w->kernel->buffers, buffer);
  return id;
}

retc_buffer_id retc_write_parameter(retc_writer *w, const char *name, retc_dtype dtype, const retc_shape *shape,
                                    unsigned access) {
  return add_buffer(w, (retc_buffer){name, dtype, *shape, RETC_SCOPE_GLOBAL, access});
}

retc_buffer_id retc_write_alloc(retc_writer *w, const char *name, retc_scope scope, retc_dtype dtype, int rank,
                                const int64_t *extents) {
  retc_buffer buffer = {name, dtype, {.rank = rank}, scope, RETC_ACCESS_READ | RETC_ACCESS_WRITE};
  for (int axis = 0; axis < rank; axis++) buffer.shape.dim[axis] = extents[axis];
  retc_buffer_id id = add_buffer(w, buffer);
  retc_writer_add(w, RETC_STATEMENT_ALLOC)->buffer = id;
  return id;
}

static const retc_expr *copy_indices(retc_kernel *kernel, retc_buffer_id buffer, const retc_expr *indices) {
  int rank = retc_kernel_buffer(kernel, buffer)->shape.rank;
  retc_expr *copy = RETC_NEW_ARRAY(&kernel->arena, retc_expr, rank);
  for (int axis = 0; axis < rank; axis++) copy[axis] = indices[axis];
  return copy;
}

retc_expr retc_write_for(retc_writer *w, const char *name, retc_loop_kind kind, retc_expr low, retc_expr high,
                         int64_t step) {
  retc_statement *loop = retc_writer_add(w, RETC_STATEMENT_FOR);
  retc_expr variable = add_variable(w, name, RETC_DTYPE_I64);
  loop->variable = retc_kernel_expr(w->kernel, variable)->variable;
  loop->loop = kind;
  loop->low = low;
  loop->high = high;
  loop->step = step;
  retc_writer_open(w, &loop->body);
  return variable;
}

void retc_write_if(retc_writer *w, retc_expr condition) {
  retc_statement *branch = retc_writer_add(w, RETC_STATEMENT_IF);
  branch->value = condition;
  retc_writer_open(w, &branch->body);
}

void retc_write_else(retc_writer *w) {
  retc_write_end(w);
  retc_block *parent = innermost(w);
  retc_writer_open(w, &parent->statements.items[parent->statements.count - 1]->other);
}

void retc_write_end(retc_writer *w) {
  if (w->depth > 0) w->depth--;
}

retc_expr retc_write_let(retc_writer *w, const char *name, retc_expr value) {
  retc_statement *let = retc_writer_add(w, RETC_STATEMENT_LET);
  retc_expr variable = add_variable(w, name, retc_kernel_expr(w->kernel, value)->dtype);
  let->variable = retc_kernel_expr(w->kernel, variable)->variable;
  let->value = value;
  return variable;
}

void retc_write_store(retc_writer *w, retc_buffer_id buffer, const retc_expr *indices, retc_expr value) {
  retc_statement *store = retc_writer_add(w, RETC_STATEMENT_STORE);
  store->buffer = buffer;
  store->indices = copy_indices(w->kernel, buffer, indices);
  store->value = value;
}

void retc_write_barrier(retc_writer *w) { retc_writer_add(w, RETC_STATEMENT_BARRIER); }

retc_view retc_write_view(retc_writer *w, retc_buffer_id buffer, const retc_expr *base, int row_axis, int column_axis) {
  return (retc_view){buffer, copy_indices(w->kernel, buffer, base), row_axis, column_axis};
}

static const char *const form_names[] = {"", "pairs", "tiles", "integers"};

const char *retc_mma_form_name(retc_mma_form form) { return form_names[form]; }

int64_t retc_mma_pack(retc_mma_form form, retc_dtype b) {
  switch (form) {
    case RETC_MMA_PAIRS:
    case RETC_MMA_TILES: return 2;
    case RETC_MMA_INTEGERS: return b == RETC_DTYPE_U4X2 ? 8 : 4;
    default: return 1;
  }
}

int64_t retc_mma_step(retc_mma_form form, retc_dtype b) {
  return form == RETC_MMA_TILES ? RETC_TILE_DEPTH : retc_mma_pack(form, b);
}

void retc_write_mma(retc_writer *w, retc_view c, retc_view a, retc_view b, int64_t rows, int64_t columns,
                    retc_expr depth) {
  retc_write_mma_form(w, RETC_MMA_FMA, c, a, b, rows, columns, depth);
}

void retc_write_mma_of(retc_writer *w, retc_view c, retc_view a, retc_view b, int64_t rows, retc_expr row_count,
                       int64_t columns, retc_expr depth) {
  retc_write_mma(w, c, a, b, rows, columns, depth);
  retc_block *block = innermost(w);
  block->statements.items[block->statements.count - 1]->row_count = row_count;
}

void retc_write_mma_form(retc_writer *w, retc_mma_form form, retc_view c, retc_view a, retc_view b, int64_t rows,
                         int64_t columns, retc_expr depth) {
  retc_statement *mma = retc_writer_add(w, RETC_STATEMENT_MMA);
  mma->form = form;
  mma->c = c;
  mma->a = a;
  mma->b = b;
  mma->rows = rows;
  mma->columns = columns;
  mma->depth = depth;
}

/* Whether `remark` has the value as one of its words. */
static bool mentions(const char *remark, const char *value) {
  size_t length = strlen(value);
  for (const char *at = remark; (at = strstr(at, value)); at++) {
    bool starts = at == remark || at[-1] == ' ', ends = !at[length] || at[length] == ' ';
    if (starts && ends) return true;
  }
  return false;
}

void retc_write_computed(retc_writer *w, const char *value) {
  if (w->remark && mentions(w->remark, value)) return;
  w->remark = w->remark ? retc_arena_printf(&w->kernel->arena, "%s %s", w->remark, value)
                        : retc_arena_strdup(&w->kernel->arena, value);
}

void retc_write_comment(retc_writer *w, const char *comment) {
  w->comment = retc_arena_strdup(&w->kernel->arena, comment);
}

retc_expr retc_kernel_add_expr(retc_kernel *kernel, retc_expr_node node) {
  retc_expr expr = {(uint32_t)kernel->exprs.count};
  RETC_VEC_PUSH(&kernel->arena, kernel->exprs, node);
  return expr;
}

retc_expr retc_expr_integer(retc_kernel *kernel, int64_t value) {
  return retc_kernel_add_expr(
    kernel, (retc_expr_node){.op = RETC_KERNEL_OP_CONST, .dtype = RETC_DTYPE_I64, .integer = value});
}

retc_expr retc_expr_number(retc_kernel *kernel, retc_dtype dtype, double value) {
  double rounded = dtype == RETC_DTYPE_F32 ? (double)(float)value : value;
  return retc_kernel_add_expr(kernel,
                              (retc_expr_node){.op = RETC_KERNEL_OP_CONST, .dtype = dtype, .number = rounded});
}

retc_expr retc_expr_dim(retc_kernel *kernel, retc_dim dim) {
  if (!retc_dim_is_named(dim)) return retc_expr_integer(kernel, dim);
  return retc_kernel_add_expr(kernel,
                              (retc_expr_node){.op = RETC_KERNEL_OP_DIM, .dtype = RETC_DTYPE_I64, .integer = ~dim});
}

retc_dtype retc_buffer_value_dtype(const retc_buffer *buffer) {
  switch (buffer->dtype) {
    case RETC_DTYPE_F16:
    case RETC_DTYPE_BF16: return RETC_DTYPE_F32;
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4:
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2:
    case RETC_DTYPE_I32: return RETC_DTYPE_I64;
    default: return buffer->dtype;
  }
}

retc_expr retc_expr_load(retc_kernel *kernel, retc_buffer_id buffer, const retc_expr *indices) {
  return retc_kernel_add_expr(kernel, (retc_expr_node){
                                        .op = RETC_KERNEL_OP_LOAD,
                                        .dtype = retc_buffer_value_dtype(retc_kernel_buffer(kernel, buffer)),
                                        .buffer = buffer,
                                        .indices = copy_indices(kernel, buffer, indices),
                                      });
}

retc_expr retc_expr_cast(retc_kernel *kernel, retc_dtype dtype, retc_expr a) {
  if (retc_kernel_expr(kernel, a)->dtype == dtype) return a;
  return retc_kernel_add_expr(kernel, (retc_expr_node){.op = RETC_KERNEL_OP_CAST, .dtype = dtype, .inputs = {a}});
}

/* Unsigned, so that a wrap is defined. */
static bool fold_constants(retc_kernel_op op, int64_t a, int64_t b, int64_t *out_value) {
  uint64_t x = (uint64_t)a, y = (uint64_t)b;
  bool divides = a >= 0 && b > 0;
  switch (op) {
    case RETC_KERNEL_OP_ADD: *out_value = (int64_t)(x + y); return true;
    case RETC_KERNEL_OP_SUB: *out_value = (int64_t)(x - y); return true;
    case RETC_KERNEL_OP_MUL: *out_value = (int64_t)(x * y); return true;
    case RETC_KERNEL_OP_DIV: *out_value = divides ? a / b : 0; return divides;
    case RETC_KERNEL_OP_MOD: *out_value = divides ? a % b : 0; return divides;
    case RETC_KERNEL_OP_MIN: *out_value = a < b ? a : b; return true;
    case RETC_KERNEL_OP_MAX: *out_value = a > b ? a : b; return true;
    default: return false;
  }
}

static bool is_integer(const retc_kernel *kernel, retc_expr expr, int64_t value) {
  const retc_expr_node *node = retc_kernel_expr(kernel, expr);
  return node->op == RETC_KERNEL_OP_CONST && node->dtype == RETC_DTYPE_I64 && node->integer == value;
}

/* The expression that a binary operation on i64 folds to, or none. */
static retc_expr fold(retc_kernel *kernel, retc_kernel_op op, retc_expr a, retc_expr b) {
  const retc_expr none = {0};
  const retc_expr_node *x = retc_kernel_expr(kernel, a), *y = retc_kernel_expr(kernel, b);
  if (x->dtype != RETC_DTYPE_I64 || y->dtype != RETC_DTYPE_I64) return none;
  int64_t value;
  if (x->op == RETC_KERNEL_OP_CONST && y->op == RETC_KERNEL_OP_CONST)
    return fold_constants(op, x->integer, y->integer, &value) ? retc_expr_integer(kernel, value) : none;
  switch (op) {
    case RETC_KERNEL_OP_ADD:
      if (is_integer(kernel, b, 0)) return a;
      return is_integer(kernel, a, 0) ? b : none;
    case RETC_KERNEL_OP_SUB: return is_integer(kernel, b, 0) ? a : none;
    case RETC_KERNEL_OP_MUL:
      if (is_integer(kernel, b, 1) || is_integer(kernel, a, 0)) return a;
      return is_integer(kernel, a, 1) || is_integer(kernel, b, 0) ? b : none;
    case RETC_KERNEL_OP_DIV: return is_integer(kernel, b, 1) ? a : none;
    case RETC_KERNEL_OP_MOD: return is_integer(kernel, b, 1) ? retc_expr_integer(kernel, 0) : none;
    default: return none;
  }
}

retc_expr retc_expr_op(retc_kernel *kernel, retc_kernel_op op, const retc_expr *inputs) {
  const retc_kernel_op_info *info = retc_kernel_op_get_info(op);
  if (info->inputs == 2) {
    retc_expr folded = fold(kernel, op, inputs[0], inputs[1]);
    if (folded.index) return folded;
  }
  retc_expr_node node = {.op = op};
  for (int i = 0; i < info->inputs; i++) node.inputs[i] = inputs[i];
  node.dtype = info->result == RETC_RESULT_truth
                 ? RETC_DTYPE_BOOL
                 : retc_kernel_expr(kernel, inputs[info->result == RETC_RESULT_select])->dtype;
  return retc_kernel_add_expr(kernel, node);
}

retc_expr retc_expr_unary(retc_kernel *kernel, retc_kernel_op op, retc_expr a) {
  return retc_expr_op(kernel, op, (retc_expr[]){a});
}

retc_expr retc_expr_binary(retc_kernel *kernel, retc_kernel_op op, retc_expr a, retc_expr b) {
  return retc_expr_op(kernel, op, (retc_expr[]){a, b});
}

retc_expr retc_expr_ternary(retc_kernel *kernel, retc_kernel_op op, retc_expr a, retc_expr b, retc_expr c) {
  return retc_expr_op(kernel, op, (retc_expr[]){a, b, c});
}
