/* Fragments: matrices in the registers of waves. One whose first axis has W iterations lies in an array over a wave's
 * turns, of which there are as many as the waves of a block want for W, then over the other axes, then over 16 x 16
 * parts. */
#include <inttypes.h>
#include <stdio.h>

#include "backends/hip/hip_private.h"

bool hip_has_fragments(const hip_emitter *e, const retc_block *block) {
  for (size_t i = 0; i < block->statements.count; i++) {
    const retc_statement *s = block->statements.items[i];
    if (s->kind == RETC_STATEMENT_FOR && s->loop == RETC_LOOP_ELEMENT) return true;
    if (s->kind == RETC_STATEMENT_MMA && retc_kernel_buffer(e->kernel, s->c.buffer)->scope == RETC_SCOPE_FRAGMENT)
      return true;
    if (hip_has_fragments(e, &s->body) || hip_has_fragments(e, &s->other)) return true;
  }
  return false;
}

void hip_declare_fragment(hip_emitter *e, const retc_buffer *buffer, int depth) {
  const int rank = buffer->shape.rank;
  retc_text_printf(e->text, "%*sretc_fragment ", 2 * depth, "");
  hip_print_name(e, buffer->name);
  retc_text_printf(e->text, "[%" PRId64 " * RETC_WAVE / %" PRId64 "]", buffer->shape.dim[0], e->launch.block);
  for (int axis = 1; axis < rank; axis++) {
    retc_text_printf(e->text, "[%" PRId64 "]", buffer->shape.dim[axis] / (axis < rank - 2 ? 1 : RETC_FRAGMENT_SIDE));
  }
  retc_text_add(e->text, ";\n");
}

void hip_print_fragment_part(hip_emitter *e, retc_buffer_id id, const retc_expr *indices) {
  retc_text_add(e->text, "[retc_turn]");
  for (int axis = 1; axis < retc_kernel_buffer(e->kernel, id)->shape.rank - 2; axis++) {
    retc_text_add(e->text, "[");
    hip_print_top(e, indices[axis]);
    retc_text_add(e->text, "]");
  }
}

void hip_emit_fragment_waves(hip_emitter *e, const retc_statement *s, int depth) {
  const retc_expr_node *high = retc_kernel_expr(e->kernel, s->high);
  if (e->launch.block % (RETC_FRAGMENT_WAVES * 32)) e->refused = "fragments in a block of this size";
  retc_text_printf(e->text,
                   "#pragma unroll\n%*sfor (int retc_turn = 0; retc_turn < %" PRId64 " * RETC_WAVE / %" PRId64
                   "; retc_turn++) {\n",
                   2 * depth, "", high->integer, e->launch.block);
  char index[96];
  snprintf(index, sizeof index, "retc_turn * (%" PRId64 " / RETC_WAVE) + retc_wave()", e->launch.block);
  hip_declare_index(e, s, index, depth + 1);
  e->in_wave = true;
  hip_emit_block(e, &s->body, depth + 1);
  e->in_wave = false;
  hip_end_block(e, &s->body, depth);
}

/* The inner loop of two writes all of both. */
void hip_emit_elements(hip_emitter *e, const retc_statement *s, int depth) {
  if (!e->element_rows) {
    e->element_rows = s;
    hip_emit_block(e, &s->body, depth);
    e->element_rows = NULL;
    return;
  }
  const retc_statement *loops[] = {e->element_rows, s};
  const bool placed = e->used_variables[loops[0]->variable.index] || e->used_variables[loops[1]->variable.index];
  if (placed)
    retc_text_printf(e->text, "%*s{\n%*sconst int retc_own = retc_lane();\n", 2 * depth, "", 2 * depth + 2, "");
  depth += placed;
  static const char *const names[] = {"retc_i", "retc_l"};
  for (int i = 0; i < 2; i++) {
    const int64_t parts = retc_kernel_expr(e->kernel, loops[i]->high)->integer / RETC_FRAGMENT_SIDE;
    retc_text_printf(e->text, "#pragma unroll\n%*sfor (int %s = 0; %s < %" PRId64 "; %s++) {\n", 2 * (depth + i), "",
                     names[i], names[i], parts, names[i]);
  }
  retc_text_printf(e->text, "#pragma unroll\n%*sfor (int retc_s = 0; retc_s < RETC_SUMS; retc_s++) {\n",
                   2 * (depth + 2), "");
  hip_declare_index(e, loops[0], "16 * retc_i + retc_fragment_row(retc_s, retc_own)", depth + 3);
  hip_declare_index(e, loops[1], "16 * retc_l + retc_fragment_column(retc_s, retc_own)", depth + 3);
  hip_emit_block(e, &s->body, depth + 3);
  for (int i = 2; i >= -placed; i--) retc_text_printf(e->text, "%*s}\n", 2 * (depth + i), "");
}
