#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/hip/hip_private.h"
#include "ir/kernel_walk.h"
#include "ir/lexer.h"

/* ---- what is used ---- */

static void mark_indices(hip_emitter *e, retc_buffer_id id, const retc_expr *indices);

static void mark_expr(void *user, retc_expr expr) {
  hip_emitter *e = user;
  if (!expr.index) return;
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  if (node->op == RETC_KERNEL_OP_VARIABLE) e->used_variables[node->variable.index] = true;
  for (int i = 0; i < 3; i++) mark_expr(e, node->inputs[i]);
  if (node->op == RETC_KERNEL_OP_LOAD) mark_indices(e, node->buffer, node->indices);
}

/* Of a fragment's element only the middle of the indices is written. */
static void mark_indices(hip_emitter *e, retc_buffer_id id, const retc_expr *indices) {
  const retc_buffer *buffer = retc_kernel_buffer(e->kernel, id);
  const bool fragment = buffer->scope == RETC_SCOPE_FRAGMENT;
  for (int axis = fragment; axis < buffer->shape.rank - (fragment ? 2 : 0); axis++) mark_expr(e, indices[axis]);
}

/* Backwards, so that a let is used before it is reached. */
static void mark_block(hip_emitter *e, const retc_block *block) {
  for (size_t i = block->statements.count; i-- > 0;) {
    const retc_statement *s = block->statements.items[i];
    mark_block(e, &s->body);
    mark_block(e, &s->other);
    if (s->kind == RETC_STATEMENT_LET && !e->used_variables[s->variable.index]) continue;
    if (s->kind == RETC_STATEMENT_STORE) {
      mark_expr(e, s->value);
      mark_indices(e, s->buffer, s->indices);
    } else {
      retc_statement_visit_exprs(e->kernel, s, mark_expr, e);
    }
  }
}

/* ---- statements ---- */

static void indent(hip_emitter *e, int depth) { retc_text_printf(e->text, "%*s", 2 * depth, ""); }

static void print_comment(hip_emitter *e, const char *comment, int depth) {
  while (comment) {
    const char *end = strchr(comment, '\n');
    const size_t length = end ? (size_t)(end - comment) : strlen(comment);
    indent(e, depth);
    retc_text_add(e->text, length ? "// " : "//");
    retc_text_append(e->text, comment, length);
    /* A line that ends in a backslash would go on. */
    retc_text_add(e->text, length && comment[length - 1] == '\\' ? " .\n" : "\n");
    comment = end ? end + 1 : NULL;
  }
}

static void end_line(hip_emitter *e, const retc_statement *s) {
  if (s->remark && *s->remark) retc_text_printf(e->text, "  // %s", s->remark);
  retc_text_add(e->text, "\n");
}

static const char *variable_name(const hip_emitter *e, retc_variable variable) {
  return e->kernel->variables.items[variable.index];
}

void hip_end_block(hip_emitter *e, const retc_block *block, int depth) {
  print_comment(e, block->end_comment, depth + 1);
  indent(e, depth);
  retc_text_add(e->text, "}\n");
}

static bool is_constant(const hip_emitter *e, retc_expr expr, int64_t *out_value) {
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  *out_value = node->integer;
  return node->op == RETC_KERNEL_OP_CONST;
}

/* `const int64_t name = low + index * step;` */
void hip_declare_index(hip_emitter *e, const retc_statement *s, const char *index, int depth) {
  int64_t low;
  if (!e->used_variables[s->variable.index]) return;
  indent(e, depth);
  retc_text_add(e->text, "const int64_t ");
  hip_print_name(e, variable_name(e, s->variable));
  retc_text_add(e->text, " = ");
  if (!is_constant(e, s->low, &low) || low) {
    hip_print_expr(e, s->low);
    retc_text_add(e->text, " + ");
  }
  retc_text_printf(e->text, "int64_t(%s)", index);
  if (s->step != 1) retc_text_printf(e->text, " * %" PRId64, s->step);
  retc_text_add(e->text, ";\n");
}

static void emit_grid(hip_emitter *e, const retc_statement *s, int depth) {
  static const char *const axes[] = {"blockIdx.x", "blockIdx.y", "blockIdx.z"};
  int axis = 0;
  while (axis < e->launch.grid_count && e->launch.grid[axis] != s) axis++;
  if (axis == e->launch.grid_count) e->refused = "a loop of a grid within others than its own";
  else hip_declare_index(e, s, axes[axis], depth);
  hip_emit_block(e, &s->body, depth);
}

static bool has_barrier(const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_BARRIER || has_barrier(&s->body) || has_barrier(&s->other)) return true;
  }
  return false;
}

static void print_for(hip_emitter *e, const retc_statement *s, const char *start, const char *step) {
  const char *name = variable_name(e, s->variable);
  retc_text_add(e->text, "for (int64_t ");
  hip_print_name(e, name);
  retc_text_add(e->text, " = ");
  int64_t low;
  const bool from_zero = *start && is_constant(e, s->low, &low) && !low;
  if (!from_zero) hip_print_expr(e, s->low);
  retc_text_add(e->text, from_zero ? start + strlen(" + ") : start);
  retc_text_add(e->text, "; ");
  hip_print_name(e, name);
  retc_text_add(e->text, " < ");
  hip_print_expr(e, s->high);
  retc_text_add(e->text, "; ");
  hip_print_name(e, name);
  retc_text_printf(e->text, " += %s) {", step);
}

static void emit_lanes(hip_emitter *e, const retc_statement *s, int depth) {
  int64_t low = 0, high = 0;
  const bool constant = is_constant(e, s->low, &low) && is_constant(e, s->high, &high);
  const int64_t count = constant && high > low ? (high - low - 1) / s->step + 1 : 0;
  if (has_barrier(&s->body) && (!constant || count != e->launch.block)) e->refused = "a barrier in a part of the lanes";
  indent(e, depth);
  if (constant && count <= e->launch.block) {
    if (count == e->launch.block) retc_text_add(e->text, "{");
    else if (count == 1) retc_text_add(e->text, "if (threadIdx.x == 0) {");
    else retc_text_printf(e->text, "if (threadIdx.x < %" PRId64 ") {", count);
    end_line(e, s);
    hip_declare_index(e, s, "threadIdx.x", depth + 1);
  } else {
    char start[64], step[32];
    snprintf(start, sizeof start, s->step == 1 ? " + int64_t(threadIdx.x)" : " + int64_t(threadIdx.x) * %" PRId64,
             s->step);
    snprintf(step, sizeof step, "%" PRId64, s->step * e->launch.block);
    print_for(e, s, start, step);
    end_line(e, s);
  }
  hip_emit_block(e, &s->body, depth + 1);
  hip_end_block(e, &s->body, depth);
}

static void emit_waves(hip_emitter *e, const retc_statement *s, int depth) {
  if (hip_has_fragments(e, &s->body)) {
    hip_emit_fragment_waves(e, s, depth);
    return;
  }
  char start[96], more[96];
  const char *format =
      s->step == 1 ? " + int64_t(threadIdx.x / RETC_WAVE)" : " + int64_t(threadIdx.x / RETC_WAVE) * %" PRId64;
  snprintf(start, sizeof start, format, s->step);
  snprintf(more, sizeof more, "%" PRId64 " / RETC_WAVE", s->step * e->launch.block);
  indent(e, depth);
  retc_text_add(e->text, "#pragma unroll 1\n");
  indent(e, depth);
  print_for(e, s, start, more);
  end_line(e, s);
  e->in_wave = true;
  hip_emit_block(e, &s->body, depth + 1);
  e->in_wave = false;
  hip_end_block(e, &s->body, depth);
}

static bool has_loop(const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_FOR && s->loop != RETC_LOOP_UNROLL) return true;
    if (has_loop(&s->body) || has_loop(&s->other)) return true;
  }
  return false;
}

/* One element of all that is stored: nothing but the loads of its operands waits. */
static bool is_sum(const retc_block *block) {
  const retc_statement *s = block->statements.count == 1 ? block->statements.items[0] : NULL;
  return s && s->kind == RETC_STATEMENT_STORE;
}

/* What is to be unrolled is said by a loop within, and no more than that. */
static bool is_of_unrolled(const retc_block *block) {
  const retc_statement *s = block->statements.count == 1 ? block->statements.items[0] : NULL;
  return s && s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_UNROLL;
}

/* Compilers write loops of constant length out whole, whose loads then take all the registers there are. */
static void print_unrolling(hip_emitter *e, const retc_statement *s, int depth) {
  int64_t low = 0, high = 0;
  const bool constant = is_constant(e, s->low, &low) && is_constant(e, s->high, &high);
  const bool outer = has_barrier(&s->body) || has_loop(&s->body) || is_of_unrolled(&s->body);
  const bool sum = is_sum(&s->body);
  if (!outer && !sum && (!constant || high - low <= 4 * s->step)) return;
  indent(e, depth);
  retc_text_add(e->text, outer ? "#pragma unroll 1\n" : sum ? "#pragma unroll 16\n" : "#pragma unroll 4\n");
}

static void emit_for(hip_emitter *e, const retc_statement *s, int depth) {
  switch (s->loop) {
    case RETC_LOOP_GRID: emit_grid(e, s, depth); return;
    case RETC_LOOP_LANE: emit_lanes(e, s, depth); return;
    case RETC_LOOP_WAVE: emit_waves(e, s, depth); return;
    case RETC_LOOP_PARALLEL: e->refused = "a parallel loop, which is for CPUs"; return;
    case RETC_LOOP_ELEMENT: hip_emit_elements(e, s, depth); return;
    case RETC_LOOP_UNROLL:
      if (hip_emit_run(e, s, depth) || hip_emit_put(e, s, depth)) return;
      indent(e, depth);
      retc_text_add(e->text, "#pragma unroll\n");
      break;
    default:
      print_unrolling(e, s, depth);
  }
  indent(e, depth);
  char step[32];
  snprintf(step, sizeof step, "%" PRId64, s->step);
  print_for(e, s, "", step);
  end_line(e, s);
  if (s->loop == RETC_LOOP_SERIAL && has_barrier(&s->body) && hip_has_fragments(e, &s->body)) {
    /* Compilers would keep every place in memory that moves with the loop in a register of its own. */
    retc_text_printf(e->text, "%*sconst int64_t retc_same = retc_uniform(", 2 * depth + 2, "");
    hip_print_name(e, variable_name(e, s->variable));
    retc_text_printf(e->text, ");\n%*s{\n%*sconst int64_t ", 2 * depth + 2, "", 2 * depth + 4, "");
    hip_print_name(e, variable_name(e, s->variable));
    retc_text_add(e->text, " = retc_same;\n");
    hip_emit_block(e, &s->body, depth + 2);
    retc_text_printf(e->text, "%*s}\n", 2 * depth + 2, "");
  } else {
    hip_emit_block(e, &s->body, depth + 1);
  }
  hip_end_block(e, &s->body, depth);
}

static void emit_if(hip_emitter *e, const retc_statement *s, int depth) {
  indent(e, depth);
  retc_text_add(e->text, "if (");
  hip_print_top(e, s->value);
  retc_text_add(e->text, ") {");
  end_line(e, s);
  hip_emit_block(e, &s->body, depth + 1);
  if (s->other.statements.count) {
    print_comment(e, s->body.end_comment, depth + 1);
    indent(e, depth);
    retc_text_add(e->text, "} else {\n");
    hip_emit_block(e, &s->other, depth + 1);
    hip_end_block(e, &s->other, depth);
  } else {
    hip_end_block(e, &s->body, depth);
  }
}

static void emit_let(hip_emitter *e, const retc_statement *s, int depth) {
  indent(e, depth);
  retc_text_printf(e->text, "const %s ", hip_value_type(retc_kernel_expr(e->kernel, s->value)->dtype));
  hip_print_name(e, variable_name(e, s->variable));
  retc_text_add(e->text, " = ");
  hip_print_top(e, s->value);
  retc_text_add(e->text, ";");
  end_line(e, s);
}

/* An element of the same type, as it lies in memory. */
static bool is_copy(const hip_emitter *e, const retc_statement *s) {
  const retc_expr_node *value = retc_kernel_expr(e->kernel, s->value);
  const retc_dtype dtype = retc_kernel_buffer(e->kernel, s->buffer)->dtype;
  if (!hip_is_narrow(dtype)) return false;
  return value->op == RETC_KERNEL_OP_LOAD && retc_kernel_buffer(e->kernel, value->buffer)->dtype == dtype;
}

static void emit_store(hip_emitter *e, const retc_statement *s, int depth) {
  const retc_dtype dtype = retc_kernel_buffer(e->kernel, s->buffer)->dtype;
  indent(e, depth);
  hip_print_element(e, s->buffer, s->indices);
  retc_text_add(e->text, " = ");
  if (is_copy(e, s)) {
    const retc_expr_node *value = retc_kernel_expr(e->kernel, s->value);
    hip_print_element(e, value->buffer, value->indices);
    retc_text_add(e->text, ";");
    end_line(e, s);
    return;
  }
  if (dtype == RETC_DTYPE_BF16) retc_text_add(e->text, "retc_to_bf16(");
  if (dtype == RETC_DTYPE_F16) retc_text_add(e->text, "retc_to_f16(");
  if (dtype == RETC_DTYPE_I32) retc_text_add(e->text, "int32_t(");
  hip_print_top(e, s->value);
  if (dtype == RETC_DTYPE_BF16 || dtype == RETC_DTYPE_F16 || dtype == RETC_DTYPE_I32) retc_text_add(e->text, ")");
  retc_text_add(e->text, ";");
  end_line(e, s);
}

static void declare_buffer(hip_emitter *e, const retc_buffer *buffer, const char *storage, int depth) {
  const bool packed = e->packed[buffer - e->kernel->buffers.items];
  indent(e, depth);
  retc_text_add(e->text, storage);
  if (packed)
    hip_print_run_type(e, buffer);
  else
    retc_text_add(e->text, hip_memory_type(buffer->dtype));
  retc_text_add(e->text, " ");
  hip_print_name(e, buffer->name);
  for (int axis = 0; axis < buffer->shape.rank - packed; axis++)
    retc_text_printf(e->text, "[%" PRId64 "]", buffer->shape.dim[axis]);
  if (!buffer->shape.rank) retc_text_add(e->text, "[1]");
  retc_text_add(e->text, ";\n");
}

/* Of one lane: plain loops. */
static void emit_mma(hip_emitter *e, const retc_statement *s, int depth) {
  indent(e, depth);
  retc_text_printf(e->text, "for (int64_t mma_i = 0; mma_i < %" PRId64 "; mma_i++)", s->rows);
  end_line(e, s);
  indent(e, depth + 1);
  retc_text_printf(e->text, "for (int64_t mma_l = 0; mma_l < %" PRId64 "; mma_l++)\n", s->columns);
  indent(e, depth + 2);
  retc_text_add(e->text, "for (int64_t mma_x = 0; mma_x < ");
  hip_print_expr(e, s->depth);
  retc_text_add(e->text, "; mma_x++)\n");
  indent(e, depth + 3);
  hip_print_view_element(e, &s->c, "mma_i", "mma_l");
  retc_text_add(e->text, " = fmaf(");
  hip_print_view_element(e, &s->a, "mma_i", "mma_x");
  retc_text_add(e->text, ", ");
  hip_print_view_element(e, &s->b, "mma_x", "mma_l");
  retc_text_add(e->text, ", ");
  hip_print_view_element(e, &s->c, "mma_i", "mma_l");
  retc_text_add(e->text, ");\n");
}

static void emit_statement(hip_emitter *e, const retc_statement *s, int depth) {
  if (s->kind == RETC_STATEMENT_LET && !e->used_variables[s->variable.index]) return;
  print_comment(e, s->comment, depth);
  if (s->kind == RETC_STATEMENT_FOR || s->kind == RETC_STATEMENT_LET) e->definitions[s->variable.index] = s;
  switch (s->kind) {
    case RETC_STATEMENT_FOR: emit_for(e, s, depth); break;
    case RETC_STATEMENT_IF: emit_if(e, s, depth); break;
    case RETC_STATEMENT_LET: emit_let(e, s, depth); break;
    case RETC_STATEMENT_STORE: emit_store(e, s, depth); break;
    case RETC_STATEMENT_ALLOC: {
      const retc_buffer *buffer = retc_kernel_buffer(e->kernel, s->buffer);
      if (buffer->scope == RETC_SCOPE_PRIVATE) declare_buffer(e, buffer, "", depth);
      if (buffer->scope == RETC_SCOPE_FRAGMENT) hip_declare_fragment(e, buffer, depth);
      break; /* shared ones stand at the top */
    }
    case RETC_STATEMENT_BARRIER:
      indent(e, depth);
      retc_text_add(e->text, "__syncthreads();\n");
      break;
    case RETC_STATEMENT_MMA:
      if (e->in_wave) hip_emit_wave_mma(e, s, depth);
      else emit_mma(e, s, depth);
      break;
  }
}

void hip_emit_block(hip_emitter *e, const retc_block *block, int depth) {
  for (size_t i = 0; i < block->statements.count; i++) emit_statement(e, block->statements.items[i], depth);
}

/* ---- kernels ---- */

/* Registers of a lane that fragments take. */
static int64_t fragment_registers(const hip_emitter *e) {
  int64_t count = 0;
  for (size_t i = 1; i < e->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &e->kernel->buffers.items[i];
    int64_t elements = buffer->scope == RETC_SCOPE_FRAGMENT ? 1 : 0;
    for (int axis = 0; axis < buffer->shape.rank && elements; axis++) elements *= buffer->shape.dim[axis];
    count += elements / e->launch.block;
  }
  return count;
}

/* Where fragments leave room for it, several blocks are to share a unit: some read while another one multiplies. */
static void print_bounds(hip_emitter *e) {
  enum { MOST_OF_TWO = 64, MOST_OF_FOUR = 8 };
  const int64_t registers = fragment_registers(e);
  const bool two = registers && registers <= MOST_OF_TWO, four = two && registers <= MOST_OF_FOUR;
  const char *shared = four ? " RETC_BLOCKS(4)" : two ? " RETC_BLOCKS(2)" : "";
  retc_text_printf(e->text, "__launch_bounds__(%" PRId64 "%s)", e->launch.block, shared);
}

static void print_signature(hip_emitter *e) {
  const retc_signature signature = retc_kernel_signature(e->kernel);
  const char *separator = "\n    ";
  retc_text_add(e->text, "extern \"C\" __global__ void ");
  print_bounds(e);
  retc_text_printf(e->text, " %s(", e->kernel->name);
  for (size_t i = 1; i < e->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &e->kernel->buffers.items[i];
    if (buffer->scope != RETC_SCOPE_GLOBAL) continue;
    retc_text_printf(e->text, "%s%s%s *__restrict__ ", separator, buffer->access & RETC_ACCESS_WRITE ? "" : "const ",
                     hip_memory_type(buffer->dtype));
    hip_print_name(e, buffer->name);
    separator = ",\n    ";
  }
  for (int i = 0; i < signature.dim_count; i++, separator = ", ") {
    retc_text_printf(e->text, "%sint64_t %s", separator, retc_dim_text(signature.dims[i]));
  }
  retc_text_add(e->text, ") {\n");
}

/* Buffers begin at multiples of 16 bytes, so what a lane reads of a row comes in one load. */
static void print_alignment(hip_emitter *e) {
  for (size_t i = 1; i < e->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &e->kernel->buffers.items[i];
    if (buffer->scope != RETC_SCOPE_GLOBAL || !(buffer->access & RETC_ACCESS_READ) || buffer->shape.rank < 2) continue;
    if (retc_dim_is_named(buffer->shape.dim[buffer->shape.rank - 1])) continue;
    retc_text_add(e->text, "  ");
    hip_print_name(e, buffer->name);
    retc_text_add(e->text, " = retc_aligned(");
    hip_print_name(e, buffer->name);
    retc_text_add(e->text, ");\n");
  }
}

/* Compilers warn of parameters that nothing uses. */
static void print_unused(hip_emitter *e) {
  const retc_signature signature = retc_kernel_signature(e->kernel);
  for (size_t i = 1; i < e->kernel->buffers.count; i++) {
    if (e->kernel->buffers.items[i].scope != RETC_SCOPE_GLOBAL || e->used_buffers[i]) continue;
    retc_text_add(e->text, "  (void)");
    hip_print_name(e, e->kernel->buffers.items[i].name);
    retc_text_add(e->text, ";\n");
  }
  for (int i = 0; i < signature.dim_count; i++) {
    if (!e->used_dims[signature.dims[i]]) retc_text_printf(e->text, "  (void)%s;\n", retc_dim_text(signature.dims[i]));
  }
}

static void print_kernel(hip_emitter *e, retc_text *out_text) {
  retc_text body;
  retc_text_init(&body);
  e->text = &body;
  mark_block(e, &e->kernel->body);
  hip_find_packed(e);
  hip_emit_block(e, &e->kernel->body, 1);
  e->text = out_text;
  print_comment(e, e->kernel->comment, 0);
  print_signature(e);
  for (size_t i = 1; i < e->kernel->buffers.count; i++) {
    const retc_buffer *buffer = &e->kernel->buffers.items[i];
    if (buffer->scope == RETC_SCOPE_SHARED) declare_buffer(e, buffer, "alignas(16) __shared__ ", 1);
  }
  print_alignment(e);
  retc_text_append(out_text, body.data, body.length);
  print_unused(e);
  print_comment(e, e->kernel->body.end_comment, 1);
  retc_text_add(out_text, "}\n");
  retc_text_deinit(&body);
}

retc_status retc_hip_emit_kernel(const retc_kernel *kernel, retc_diagnostics *diagnostics, retc_text *out_text) {
  hip_emitter e = {.kernel = kernel, .launch = retc_kernel_launch(kernel)};
  if (!e.launch.grid_count) {
    return retc_fail(diagnostics, RETC_INVALID, "kernel %s: is made for a CPU; expected lets and the loops of a grid",
                     kernel->name);
  }
  e.used_variables = calloc(kernel->variables.count, sizeof(bool));
  e.used_buffers = calloc(kernel->buffers.count, sizeof(bool));
  e.packed = calloc(kernel->buffers.count, sizeof(bool));
  e.definitions = calloc(kernel->variables.count, sizeof *e.definitions);
  if (e.used_variables && e.used_buffers && e.packed && e.definitions) print_kernel(&e, out_text);
  else e.refused = "more than there is memory for";
  free(e.used_variables);
  free(e.used_buffers);
  free(e.packed);
  free(e.definitions);
  if (!e.refused) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID, "kernel %s: HIP cannot express %s here", kernel->name, e.refused);
}

/* ---- the text ---- */

static void print_numbers(const retc_plan_number numbers[3], retc_text *text) {
  for (int i = 0; i < 3; i++) {
    if (i) retc_text_add(text, ", ");
    retc_plan_number_print(&numbers[i], text);
  }
}

static void print_step(const retc_plan *plan, const retc_plan_step *step, retc_text *text) {
  const retc_plan_kernel *kernel = &plan->kernels.items[step->kernel];
  retc_text_printf(text, "//   %s<<<(", kernel->name);
  print_numbers(kernel->grid, text);
  retc_text_add(text, "), (");
  print_numbers(kernel->block, text);
  retc_text_add(text, ")>>>(");
  for (int i = 0; i < kernel->buffer_count; i++) {
    if (i) retc_text_add(text, ", ");
    retc_word_print(plan->buffers.items[step->buffers[i]].name, text);
  }
  for (int i = 0; i < kernel->dim_count; i++) {
    retc_text_printf(text, "%s%s", i || kernel->buffer_count ? ", " : "", retc_dim_text(kernel->dims[i]));
  }
  retc_text_add(text, ")\n");
}

static void print_launches(const retc_plan *plan, retc_text *text) {
  for (size_t i = 0; i < plan->entries.count; i++) {
    const retc_plan_entry *entry = &plan->entries.items[i];
    retc_text_printf(text, "\n// Launches of %s: kernel<<<grid, block>>>(arguments).\n", entry->name);
    for (size_t k = 0; k < entry->steps.count; k++) print_step(plan, &entry->steps.items[k], text);
  }
  if (retc_plan_find_logits(plan) < 0) return;
  retc_text_add(text, "\n// Behind a step that tokens are chosen of.\n"
                      "//   retc_sample<<<(B), (1024)>>>(logits, tokens, count, temperature, top_p, top_k, seed, index)\n");
}

retc_status retc_hip_emit(const retc_kernel *const *kernels, size_t count, const retc_plan *plan,
                          retc_diagnostics *diagnostics, retc_text *out_text) {
  for (size_t i = 0; retc_hip_prelude[i]; i++) retc_text_add(out_text, retc_hip_prelude[i]);
  for (size_t i = 0; i < count; i++) {
    retc_text_add(out_text, "\n");
    RETC_TRY(retc_hip_emit_kernel(kernels[i], diagnostics, out_text));
  }
  if (plan && retc_plan_find_logits(plan) >= 0) {
    retc_text_add(out_text, "\n// ---- choosing tokens ----\n\n");
    retc_text_add(out_text, retc_hip_sample);
  }
  if (plan) print_launches(plan, out_text);
  return RETC_OK;
}
