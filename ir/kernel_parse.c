#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ir/kernel.h"
#include "ir/kernel_walk.h"
#include "ir/lexer.h"

/* A name means one thing in a whole kernel, so there is one list. */
typedef struct symbol {
  const char *name;
  retc_variable variable;
  retc_buffer_id buffer; /* the other is none */
  retc_dtype dtype;      /* of a variable */
} symbol;

typedef struct parser {
  retc_lexer *lexer;
  retc_kernel *kernel;
  RETC_VEC(symbol) symbols;
  /* So that no text exhausts a stack: blocks within blocks, brackets within brackets, and how high the tree of each
   * expression is, which bounds the brackets that it is printed with. */
  int blocks, brackets;
  RETC_VEC(int) heights;
} parser;

enum { DEPTH_MAX = 1000 };

#define fail(p, ...) retc_lexer_fail((p)->lexer, __VA_ARGS__)

/* ---- names ---- */

static const symbol *find_symbol(const parser *p, const char *name) {
  for (size_t i = p->symbols.count; i-- > 0;) {
    if (!strcmp(p->symbols.items[i].name, name)) return &p->symbols.items[i];
  }
  return NULL;
}

static retc_status unknown(parser *p, const char *at, const char *name, const char *what) {
  RETC_VEC(const char *) names = {0};
  for (size_t i = 0; i < p->symbols.count; i++) RETC_VEC_PUSH(&p->lexer->arena, names, p->symbols.items[i].name);
  for (int i = 0; i < RETC_KERNEL_OP_COUNT; i++) {
    const retc_kernel_op_info *info = retc_kernel_op_get_info((retc_kernel_op)i);
    if (info->form == RETC_FORM_call) RETC_VEC_PUSH(&p->lexer->arena, names, info->name);
  }
  return retc_lexer_unknown(p->lexer, at, name, what, names.items, names.count);
}

static retc_status read_new_name(parser *p, const char *what, const char **out_name) {
  const char *start = retc_lexer_place(p->lexer), *name;
  RETC_TRY(retc_lexer_read_word(p->lexer, what, &name));
  for (const char *c = name; *c; c++) {
    if (!retc_char_is_word(*c) || *c == '.' || *c == '~' || retc_char_is_digit(*name)) {
      return fail(p, start, "expected a name of letters, digits and '_'");
    }
  }
  if (!*name) return fail(p, start, "expected a name");
  if (retc_kernel_word_is_reserved(name)) return fail(p, start, "%s has a meaning of its own here", name);
  if (find_symbol(p, name)) return fail(p, start, "%s is defined twice", name);
  *out_name = retc_arena_strdup(&p->kernel->arena, name);
  return RETC_OK;
}

static retc_variable add_variable(parser *p, const char *name, retc_dtype dtype) {
  retc_variable variable = {(uint32_t)p->kernel->variables.count};
  RETC_VEC_PUSH(&p->kernel->arena, p->kernel->variables, name);
  RETC_VEC_PUSH(&p->lexer->arena, p->symbols, ((symbol){.name = name, .variable = variable, .dtype = dtype}));
  return variable;
}

static retc_buffer_id add_buffer(parser *p, retc_buffer buffer) {
  retc_buffer_id id = {(uint32_t)p->kernel->buffers.count};
  RETC_VEC_PUSH(&p->kernel->arena, p->kernel->buffers, buffer);
  RETC_VEC_PUSH(&p->lexer->arena, p->symbols, ((symbol){.name = buffer.name, .buffer = id}));
  return id;
}

/* ---- expressions ---- */

static retc_status read_expr(parser *p, int level, retc_expr *out_expr);

static retc_status deeper(parser *p, int *depth) {
  return ++*depth > DEPTH_MAX ? fail(p, p->lexer->at, "nested deeper than %d", DEPTH_MAX) : RETC_OK;
}

static int height_of(const parser *p, retc_expr expr) { return p->heights.items[expr.index]; }

static retc_expr add(parser *p, retc_expr_node node) {
  int below = 0, rank = node.op == RETC_KERNEL_OP_LOAD ? retc_kernel_buffer(p->kernel, node.buffer)->shape.rank : 0;
  for (int i = 0; i < retc_kernel_op_get_info(node.op)->inputs; i++) {
    if (height_of(p, node.inputs[i]) > below) below = height_of(p, node.inputs[i]);
  }
  for (int axis = 0; axis < rank; axis++) {
    if (height_of(p, node.indices[axis]) > below) below = height_of(p, node.indices[axis]);
  }
  retc_expr expr = retc_kernel_add_expr(p->kernel, node);
  while (p->heights.count <= expr.index) RETC_VEC_PUSH(&p->lexer->arena, p->heights, below + 1);
  return expr;
}

static retc_dtype dtype_of(const parser *p, retc_expr expr) { return retc_kernel_expr(p->kernel, expr)->dtype; }

static retc_expr add_op(parser *p, retc_kernel_op op, const retc_expr *inputs) {
  retc_expr_node node = {.op = op};
  const retc_kernel_op_info *info = retc_kernel_op_get_info(op);
  for (int i = 0; i < info->inputs; i++) node.inputs[i] = inputs[i];
  node.dtype = dtype_of(p, inputs[info->result == RETC_RESULT_select ? 1 : 0]);
  if (info->result == RETC_RESULT_truth) node.dtype = RETC_DTYPE_BOOL;
  return add(p, node);
}

/* 12 is i64; 1.0, 1e9, inf and nan are f32, with _f64 behind f64. */
static retc_status read_constant(parser *p, retc_expr *out_expr) {
  const char *start = retc_lexer_place(p->lexer);
  char digits[RETC_NUMERAL_MAX + 1], *end;
  RETC_TRY(retc_lexer_read_numeral(p->lexer, digits));
  errno = 0;
  long long integer = strtoll(digits, &end, 10);
  if (!*end && errno) return fail(p, start, "expected a whole number of 64 bits, found %s", digits);
  if (!*end) {
    *out_expr = add(p, (retc_expr_node){.op = RETC_KERNEL_OP_CONST, .dtype = RETC_DTYPE_I64, .integer = integer});
    return RETC_OK;
  }
  size_t length = strlen(digits);
  bool wide = length > 4 && !strcmp(digits + length - 4, "_f64");
  if (wide) digits[length - 4] = 0;
  double number;
  if (!retc_numeral_parse(digits, &number)) {
    return fail(p, start, "expected a number, found %s%s", digits, wide ? "_f64" : "");
  }
  if (!wide) number = (double)(float)number;
  *out_expr = add(p, (retc_expr_node){.op = RETC_KERNEL_OP_CONST, .dtype = wide ? RETC_DTYPE_F64 : RETC_DTYPE_F32,
                                      .number = number});
  return RETC_OK;
}

/* "[i,j]" behind the name of a buffer. */
static retc_status read_indices(parser *p, retc_buffer_id buffer, const retc_expr **out_indices) {
  int rank = retc_kernel_buffer(p->kernel, buffer)->shape.rank, count = 0;
  retc_expr *indices = RETC_NEW_ARRAY(&p->kernel->arena, retc_expr, RETC_RANK_MAX);
  const char *start = retc_lexer_place(p->lexer);
  RETC_TRY(retc_lexer_expect(p->lexer, '['));
  if (!retc_lexer_accept(p->lexer, ']')) {
    do {
      retc_expr index;
      RETC_TRY(read_expr(p, 0, &index));
      if (count < RETC_RANK_MAX) indices[count] = index;
      count++;
    } while (retc_lexer_accept(p->lexer, ','));
    RETC_TRY(retc_lexer_expect(p->lexer, ']'));
  }
  if (count != rank) {
    return fail(p, start, "%d ind%s, %s has %d ax%s", count, count == 1 ? "ex" : "ices",
                retc_kernel_buffer(p->kernel, buffer)->name, rank, rank == 1 ? "is" : "es");
  }
  *out_indices = indices;
  return RETC_OK;
}

static retc_status read_call(parser *p, const char *at, const char *name, retc_expr *out_expr) {
  retc_expr inputs[3] = {{0}};
  int count = 0;
  RETC_TRY(retc_lexer_expect(p->lexer, '('));
  do {
    retc_expr input;
    RETC_TRY(read_expr(p, 0, &input));
    if (count < 3) inputs[count] = input;
    count++;
  } while (retc_lexer_accept(p->lexer, ','));
  RETC_TRY(retc_lexer_expect(p->lexer, ')'));
  retc_dtype dtype;
  int wanted = 1;
  bool cast = retc_dtype_parse(name, strlen(name), &dtype);
  int op = RETC_KERNEL_OP_COUNT;
  if (!cast) {
    for (op = 0; op < RETC_KERNEL_OP_COUNT; op++) {
      const retc_kernel_op_info *info = retc_kernel_op_get_info((retc_kernel_op)op);
      if (info->form == RETC_FORM_call && !strcmp(info->name, name)) break;
    }
    if (op == RETC_KERNEL_OP_COUNT) return unknown(p, at, name, "operation");
    wanted = retc_kernel_op_get_info((retc_kernel_op)op)->inputs;
  }
  if (count != wanted) return fail(p, at, "%s of %d operand%s, expected %d", name, count, &"s"[count == 1], wanted);
  if (cast) {
    *out_expr = add(p, (retc_expr_node){.op = RETC_KERNEL_OP_CAST, .dtype = dtype, .inputs = {inputs[0]}});
  } else {
    *out_expr = add_op(p, (retc_kernel_op)op, inputs);
  }
  return RETC_OK;
}

static retc_status read_named(parser *p, retc_expr *out_expr) {
  const char *start = retc_lexer_place(p->lexer), *name;
  RETC_TRY(retc_lexer_read_word(p->lexer, "a value", &name));
  if (retc_lexer_peek(p->lexer) == '(') return read_call(p, start, name, out_expr);
  const symbol *known = find_symbol(p, name);
  if (known && known->buffer.index) {
    retc_expr_node node = {.op = RETC_KERNEL_OP_LOAD, .buffer = known->buffer};
    node.dtype = retc_buffer_value_dtype(retc_kernel_buffer(p->kernel, known->buffer));
    RETC_TRY(read_indices(p, node.buffer, &node.indices));
    *out_expr = add(p, node);
    return RETC_OK;
  }
  if (known) {
    *out_expr =
        add(p, (retc_expr_node){.op = RETC_KERNEL_OP_VARIABLE, .dtype = known->dtype, .variable = known->variable});
    return RETC_OK;
  }
  retc_dim_name dim;
  if (retc_dim_parse(name, strlen(name), &dim)) {
    *out_expr = add(p, (retc_expr_node){.op = RETC_KERNEL_OP_DIM, .dtype = RETC_DTYPE_I64, .integer = dim});
    return RETC_OK;
  }
  return unknown(p, start, name, "value defined before this");
}

static retc_status read_primary(parser *p, retc_expr *out_expr) {
  retc_lexer *lexer = p->lexer;
  char next = retc_lexer_peek(lexer);
  if (next == '(') {
    lexer->at++;
    RETC_TRY(read_expr(p, 0, out_expr));
    return retc_lexer_expect(lexer, ')');
  }
  bool truth = retc_lexer_accept_word(lexer, "true");
  if (truth || retc_lexer_accept_word(lexer, "false")) {
    *out_expr = add(p, (retc_expr_node){.op = RETC_KERNEL_OP_CONST, .dtype = RETC_DTYPE_BOOL, .integer = truth});
    return RETC_OK;
  }
  static const char *const numbers[] = {"inf", "nan", "inf_f64", "nan_f64"};
  const char *at = lexer->at;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    if (!retc_lexer_accept_word(lexer, numbers[i])) continue;
    lexer->at = at;
    return read_constant(p, out_expr);
  }
  if (retc_char_is_digit(next) || next == '-' || next == '+') return read_constant(p, out_expr);
  return read_named(p, out_expr);
}

/* The infix operation that comes next, when it binds at `level` (0 `and`, 1 comparisons, 2 sums, 3 products). "<="
 * before
 * "<". */
static bool accept_infix(parser *p, int level, retc_kernel_op *out_op) {
  static const struct {
    retc_kernel_op op;
    int level;
  } rows[] = {{RETC_KERNEL_OP_AND, 0},   {RETC_KERNEL_OP_LESS_EQUAL, 1}, {RETC_KERNEL_OP_LESS, 1},
              {RETC_KERNEL_OP_EQUAL, 1}, {RETC_KERNEL_OP_ADD, 2},        {RETC_KERNEL_OP_SUB, 2},
              {RETC_KERNEL_OP_MUL, 3},   {RETC_KERNEL_OP_DIV, 3},        {RETC_KERNEL_OP_MOD, 3}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const retc_kernel_op_info *info = retc_kernel_op_get_info(rows[i].op);
    if (rows[i].level != level || info->form != RETC_FORM_infix) continue;
    bool word = retc_char_is_word_start(info->name[0]);
    if (!(word ? retc_lexer_accept_word(p->lexer, info->name) : retc_lexer_accept_text(p->lexer, info->name))) continue;
    *out_op = rows[i].op;
    return true;
  }
  return false;
}

/* Operations of one level in a row associate to the left. */
static retc_status read_expr(parser *p, int level, retc_expr *out_expr) {
  enum { LEVELS = 4 };
  if (level == LEVELS) {
    RETC_TRY(deeper(p, &p->brackets));
    RETC_TRY(read_primary(p, out_expr));
    p->brackets--;
    return height_of(p, *out_expr) > DEPTH_MAX ? fail(p, p->lexer->at, "nested deeper than %d", DEPTH_MAX) : RETC_OK;
  }
  RETC_TRY(read_expr(p, level + 1, out_expr));
  retc_kernel_op op;
  while (accept_infix(p, level, &op)) {
    retc_expr inputs[3] = {*out_expr};
    RETC_TRY(read_expr(p, level + 1, &inputs[1]));
    *out_expr = add_op(p, op, inputs);
    if (height_of(p, *out_expr) > DEPTH_MAX)
      return fail(p, p->lexer->at, "more than %d operations in a row", DEPTH_MAX);
  }
  return RETC_OK;
}

/* ---- statements ---- */

static retc_status read_block(parser *p, retc_block *block);

/* "{ ... }" with the remark behind '{' that belongs to the statement. */
static retc_status read_braces(parser *p, retc_block *block, const char **out_remark) {
  RETC_TRY(retc_lexer_expect(p->lexer, '{'));
  if (out_remark) *out_remark = retc_lexer_take_remark(p->lexer);
  RETC_TRY(deeper(p, &p->blocks));
  RETC_TRY(read_block(p, block));
  p->blocks--;
  const char *comment = retc_lexer_take_comment(p->lexer);
  if (comment) block->end_comment = retc_arena_strdup(&p->kernel->arena, comment);
  return retc_lexer_accept(p->lexer, '}') ? RETC_OK : fail(p, p->lexer->at, "expected a statement or '}'");
}

static retc_status read_for(parser *p, retc_statement *s, const char **out_remark) {
  const char *name;
  RETC_TRY(read_new_name(p, "the name of a loop variable", &name));
  RETC_TRY(retc_lexer_expect_word(p->lexer, "in"));
  RETC_TRY(read_expr(p, 0, &s->low));
  if (!retc_lexer_accept_text(p->lexer, "..")) return fail(p, p->lexer->at, "expected \"..\"");
  RETC_TRY(read_expr(p, 0, &s->high));
  s->step = 1;
  if (retc_lexer_accept_word(p->lexer, "step")) RETC_TRY(retc_lexer_read_integer(p->lexer, &s->step));
  s->loop = RETC_LOOP_SERIAL;
  if (retc_lexer_peek(p->lexer) != '{') {
    const char *names[RETC_LOOP_KIND_COUNT];
    size_t index;
    for (int i = 0; i < RETC_LOOP_KIND_COUNT; i++) names[i] = retc_loop_kind_name((retc_loop_kind)i);
    RETC_TRY(retc_lexer_choose(p->lexer, "kind of loop", names, RETC_LOOP_KIND_COUNT, &index));
    s->loop = (retc_loop_kind)index;
  }
  s->variable = add_variable(p, name, RETC_DTYPE_I64);
  return read_braces(p, &s->body, out_remark);
}

static retc_status read_if(parser *p, retc_statement *s, const char **out_remark) {
  RETC_TRY(read_expr(p, 0, &s->value));
  RETC_TRY(read_braces(p, &s->body, out_remark));
  return retc_lexer_accept_word(p->lexer, "else") ? read_braces(p, &s->other, NULL) : RETC_OK;
}

static retc_status read_let(parser *p, retc_statement *s) {
  const char *name;
  RETC_TRY(read_new_name(p, "the name of a value", &name));
  RETC_TRY(retc_lexer_expect(p->lexer, '='));
  RETC_TRY(read_expr(p, 0, &s->value));
  s->variable = add_variable(p, name, dtype_of(p, s->value));
  return RETC_OK;
}

static retc_status read_alloc(parser *p, retc_statement *s) {
  static const char *const scopes[] = {"shared", "private", "fragment"};
  retc_buffer buffer = {.access = RETC_ACCESS_READ | RETC_ACCESS_WRITE};
  size_t scope;
  RETC_TRY(read_new_name(p, "the name of a buffer", &buffer.name));
  RETC_TRY(retc_lexer_expect(p->lexer, ':'));
  RETC_TRY(retc_lexer_read_type(p->lexer, &buffer.dtype, &buffer.shape));
  RETC_TRY(retc_lexer_choose(p->lexer, "scope", scopes, 3, &scope));
  buffer.scope = (retc_scope)(RETC_SCOPE_SHARED + scope);
  s->buffer = add_buffer(p, buffer);
  return RETC_OK;
}

static retc_status read_buffer(parser *p, const char *what, retc_buffer_id *out_buffer) {
  const char *start = retc_lexer_place(p->lexer), *name;
  RETC_TRY(retc_lexer_read_word(p->lexer, retc_arena_printf(&p->lexer->arena, "a %s", what), &name));
  const symbol *known = find_symbol(p, name);
  if (!known || !known->buffer.index) return unknown(p, start, name, what);
  *out_buffer = known->buffer;
  return RETC_OK;
}

/* c[0,0](row 0, column 1) */
static retc_status read_view(parser *p, retc_view *out_view) {
  int64_t row, column;
  RETC_TRY(read_buffer(p, "buffer", &out_view->buffer));
  RETC_TRY(read_indices(p, out_view->buffer, &out_view->base));
  RETC_TRY(retc_lexer_expect(p->lexer, '('));
  RETC_TRY(retc_lexer_expect_word(p->lexer, "row"));
  const char *start = retc_lexer_place(p->lexer);
  RETC_TRY(retc_lexer_read_integer(p->lexer, &row));
  RETC_TRY(retc_lexer_expect(p->lexer, ','));
  RETC_TRY(retc_lexer_expect_word(p->lexer, "column"));
  RETC_TRY(retc_lexer_read_integer(p->lexer, &column));
  if (row < 0 || column < 0 || row >= RETC_RANK_MAX || column >= RETC_RANK_MAX) {
    return fail(p, start, "expected axes from 0 to %d", RETC_RANK_MAX - 1);
  }
  out_view->row_axis = (int)row;
  out_view->column_axis = (int)column;
  return retc_lexer_expect(p->lexer, ')');
}

static retc_status read_mma(parser *p, retc_statement *s) {
  RETC_TRY(read_view(p, &s->c));
  if (!retc_lexer_accept_text(p->lexer, "+=")) return fail(p, p->lexer->at, "expected \"+=\"");
  RETC_TRY(read_view(p, &s->a));
  RETC_TRY(retc_lexer_expect(p->lexer, '*'));
  RETC_TRY(read_view(p, &s->b));
  RETC_TRY(retc_lexer_expect_word(p->lexer, "rows"));
  RETC_TRY(retc_lexer_read_integer(p->lexer, &s->rows));
  if (retc_lexer_accept_word(p->lexer, "of")) RETC_TRY(read_expr(p, 0, &s->row_count));
  RETC_TRY(retc_lexer_expect_word(p->lexer, "columns"));
  RETC_TRY(retc_lexer_read_integer(p->lexer, &s->columns));
  RETC_TRY(retc_lexer_expect_word(p->lexer, "depth"));
  RETC_TRY(read_expr(p, 0, &s->depth));
  for (int form = RETC_MMA_PAIRS; form < RETC_MMA_FORM_COUNT; form++) {
    if (retc_lexer_accept_word(p->lexer, retc_mma_form_name((retc_mma_form)form))) s->form = (retc_mma_form)form;
  }
  return RETC_OK;
}

static retc_status read_store(parser *p, retc_statement *s) {
  RETC_TRY(read_buffer(p, "statement or buffer", &s->buffer));
  RETC_TRY(read_indices(p, s->buffer, &s->indices));
  RETC_TRY(retc_lexer_expect(p->lexer, '='));
  return read_expr(p, 0, &s->value);
}

static retc_status read_statement(parser *p, retc_block *block) {
  static const struct {
    const char *word;
    retc_statement_kind kind;
  } rows[] = {{"for", RETC_STATEMENT_FOR},     {"if", RETC_STATEMENT_IF},           {"let", RETC_STATEMENT_LET},
              {"alloc", RETC_STATEMENT_ALLOC}, {"barrier", RETC_STATEMENT_BARRIER}, {"mma", RETC_STATEMENT_MMA}};
  retc_lexer *lexer = p->lexer;
  const char *comment = retc_lexer_take_comment(lexer), *remark = NULL;
  retc_statement *s = RETC_NEW(&p->kernel->arena, retc_statement);
  s->kind = RETC_STATEMENT_STORE;
  s->offset = (size_t)(lexer->at - lexer->text);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0] && s->kind == RETC_STATEMENT_STORE; i++) {
    if (retc_lexer_accept_word(lexer, rows[i].word)) s->kind = rows[i].kind;
  }
  switch (s->kind) {
    case RETC_STATEMENT_FOR: RETC_TRY(read_for(p, s, &remark)); break;
    case RETC_STATEMENT_IF: RETC_TRY(read_if(p, s, &remark)); break;
    case RETC_STATEMENT_LET: RETC_TRY(read_let(p, s)); break;
    case RETC_STATEMENT_STORE: RETC_TRY(read_store(p, s)); break;
    case RETC_STATEMENT_ALLOC: RETC_TRY(read_alloc(p, s)); break;
    case RETC_STATEMENT_MMA: RETC_TRY(read_mma(p, s)); break;
    case RETC_STATEMENT_BARRIER: break;
  }
  if (s->kind != RETC_STATEMENT_FOR && s->kind != RETC_STATEMENT_IF) remark = retc_lexer_take_remark(lexer);
  if (comment) s->comment = retc_arena_strdup(&p->kernel->arena, comment);
  if (remark) s->remark = retc_arena_strdup(&p->kernel->arena, remark);
  RETC_VEC_PUSH(&p->kernel->arena, block->statements, s);
  return RETC_OK;
}

static retc_status read_block(parser *p, retc_block *block) {
  for (char next; (next = retc_lexer_peek(p->lexer)) && next != '}';) RETC_TRY(read_statement(p, block));
  return RETC_OK;
}

/* ---- the whole ---- */

static retc_status read_parameters(parser *p) {
  static const char *const accesses[] = {"none", "read", "write", "update"};
  RETC_TRY(retc_lexer_expect(p->lexer, '('));
  if (retc_lexer_accept(p->lexer, ')')) return RETC_OK;
  do {
    retc_buffer buffer = {.scope = RETC_SCOPE_GLOBAL};
    size_t access;
    RETC_TRY(read_new_name(p, "the name of a parameter", &buffer.name));
    RETC_TRY(retc_lexer_expect(p->lexer, ':'));
    RETC_TRY(retc_lexer_choose(p->lexer, "access", accesses, 4, &access));
    buffer.access = (unsigned)access;
    RETC_TRY(retc_lexer_read_type(p->lexer, &buffer.dtype, &buffer.shape));
    add_buffer(p, buffer);
  } while (retc_lexer_accept(p->lexer, ','));
  return retc_lexer_expect(p->lexer, ')');
}

static retc_status read_kernel(parser *p) {
  retc_lexer *lexer = p->lexer;
  const char *comment = retc_lexer_take_comment(lexer), *name, *remark;
  RETC_TRY(retc_lexer_expect_word(lexer, "kernel"));
  const char *start = retc_lexer_place(lexer);
  RETC_TRY(retc_lexer_read_word(lexer, "the name of the kernel", &name));
  if (!*name || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") != strlen(name)) {
    return fail(p, start, "the name of a kernel is a C identifier");
  }
  p->kernel = retc_kernel_create(name);
  if (!p->kernel) return retc_fail(lexer->diagnostics, RETC_FAILED, "kernel %s: out of memory", name);
  p->kernel->source = (retc_kernel_source){lexer->file_name, lexer->text, (size_t)(lexer->end - lexer->text)};
  RETC_TRY(read_parameters(p));
  p->kernel->product = retc_lexer_accept_word(lexer, "product");
  RETC_TRY(read_braces(p, &p->kernel->body, &remark));
  if (comment) p->kernel->comment = retc_arena_strdup(&p->kernel->arena, comment);
  if (remark) p->kernel->remark = retc_arena_strdup(&p->kernel->arena, remark);
  return RETC_OK;
}

retc_status retc_kernel_read(retc_lexer *lexer, retc_kernel **out_kernel) {
  parser p = {.lexer = lexer};
  retc_status status = read_kernel(&p);
  if (status == RETC_OK) {
    *out_kernel = p.kernel;
  } else {
    retc_kernel_destroy(p.kernel);
  }
  return status;
}
