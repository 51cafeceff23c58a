/* Program text: a line "program", then graphs, or the plan's buffers and entries and the kernels they run. */
#include <inttypes.h>
#include <string.h>

#include "compiler/compile.h"
#include "compiler/replay.h"
#include "ir/lexer.h"

typedef struct printer {
  const retc_compilation *compilation;
  retc_text *text;
  size_t line; /* of those that are neither graph nor kernel */
} printer;

static const retc_notes *find_notes(const printer *p) {
  for (size_t i = 0; i < p->compilation->line_notes.count; i++) {
    if (p->compilation->line_notes.items[i].line == p->line) return &p->compilation->line_notes.items[i].notes;
  }
  return NULL;
}

static void print_comment(printer *p, int indent) {
  const retc_notes *notes = find_notes(p);
  retc_comment_print(notes ? notes->comment : NULL, indent, p->text);
}

static void begin_line(printer *p, int indent) {
  print_comment(p, indent);
  retc_text_printf(p->text, "%*s", indent, "");
}

static void end_line(printer *p) {
  const retc_notes *notes = find_notes(p);
  retc_remark_print(notes ? notes->remark : NULL, p->text);
  p->line++;
}

static void print_elements(printer *p, const retc_plan_buffer *buffer) {
  const retc_dims none = {{0}};
  int64_t count = retc_plan_buffer_elements(buffer, &none);
  retc_text_add(p->text, " = [");
  for (int64_t i = 0; i < count; i++) {
    if (i) retc_text_add(p->text, ", ");
    if (buffer->dtype == RETC_DTYPE_I64) {
      retc_text_printf(p->text, "%" PRId64, ((const int64_t *)buffer->constant)[i]);
    } else if (!retc_dtype_is_float(buffer->dtype)) {
      retc_text_printf(p->text, "%d", (int)retc_dtype_load(buffer->dtype, buffer->constant, (size_t)i));
    } else {
      retc_text_number(p->text, retc_dtype_load(buffer->dtype, buffer->constant, (size_t)i));
    }
  }
  retc_text_add(p->text, "]");
}

static void print_buffer(printer *p, const retc_plan_buffer *buffer) {
  begin_line(p, 0);
  retc_text_add(p->text, "buffer ");
  retc_word_print(buffer->name, p->text);
  retc_text_printf(p->text, ": %s ", retc_plan_buffer_kind_name(buffer->kind));
  retc_typed_shape_print(buffer->dtype, &buffer->shape, p->text);
  if (buffer->layout) retc_text_printf(p->text, " %s", retc_weight_layout_name(buffer->layout));
  if (buffer->limit) retc_text_printf(p->text, " below %" PRId64, buffer->limit);
  bool has_slot = buffer->kind == RETC_PLAN_SCRATCH || buffer->kind == RETC_PLAN_OUTPUT;
  if (has_slot && buffer->slot >= 0) retc_text_printf(p->text, " slot %d", buffer->slot);
  if (buffer->kind == RETC_PLAN_CONSTANT) print_elements(p, buffer);
  end_line(p);
}

static void print_step(printer *p, const retc_plan_step *step) {
  const retc_plan *plan = p->compilation->plan;
  const retc_plan_kernel *kernel = &plan->kernels.items[step->kernel];
  begin_line(p, 2);
  retc_text_printf(p->text, "%s(", kernel->name);
  for (int i = 0; i < kernel->buffer_count; i++) {
    if (i) retc_text_add(p->text, ", ");
    retc_word_print(plan->buffers.items[step->buffers[i]].name, p->text);
  }
  retc_text_add(p->text, ")");
  if (step->region) {
    retc_text_add(p->text, " @");
    retc_quoted_print(step->region, p->text);
  }
  end_line(p);
}

static void print_entry(printer *p, const retc_plan_entry *entry) {
  begin_line(p, 0);
  retc_text_add(p->text, "entry ");
  retc_word_print(entry->name, p->text);
  if (entry->chunk_length) retc_text_printf(p->text, " chunk %" PRId64, entry->chunk_length);
  if (entry->chunk_length && entry->grid_start >= 0) retc_text_printf(p->text, " from %" PRId64, entry->grid_start);
  retc_text_add(p->text, " {");
  end_line(p);
  for (size_t i = 0; i < entry->steps.count; i++) print_step(p, &entry->steps.items[i]);
  for (size_t i = 0; i < entry->outputs.count; i++) {
    begin_line(p, 2);
    retc_text_add(p->text, "output ");
    retc_word_print(entry->outputs.items[i].name, p->text);
    retc_text_add(p->text, " = ");
    retc_word_print(p->compilation->plan->buffers.items[entry->outputs.items[i].buffer].name, p->text);
    end_line(p);
  }
  print_comment(p, 2);
  retc_text_add(p->text, "}");
  end_line(p);
}

static void print_kernels(printer *p) {
  const retc_compilation *compilation = p->compilation;
  const retc_plan *plan = compilation->plan;
  const char *blank = "";
  for (size_t i = 0; plan && i < plan->buffers.count; i++, blank = "\n") print_buffer(p, &plan->buffers.items[i]);
  for (size_t i = 0; plan && i < plan->entries.count; i++, blank = "\n") {
    retc_text_add(p->text, blank);
    print_entry(p, &plan->entries.items[i]);
  }
  for (size_t i = 0; i < compilation->kernels.count; i++, blank = "\n") {
    retc_text_add(p->text, blank);
    retc_kernel_print(compilation->kernels.items[i], p->text);
  }
}

static void print_body(printer *p) {
  const retc_compilation *compilation = p->compilation;
  if (retc_compilation_is_lowered(compilation)) {
    print_kernels(p);
  } else {
    for (size_t i = 0; i < compilation->graphs.count; i++) {
      if (i) retc_text_add(p->text, "\n");
      retc_graph_print(compilation->graphs.items[i], p->text);
    }
  }
  retc_comment_print(compilation->end_comment, 0, p->text);
}

/* What an ordinary program has is not written. */
static void print_facts(printer *p) {
  const retc_compilation *compilation = p->compilation;
  const retc_program_facts *facts = &compilation->facts;
  begin_line(p, 0);
  retc_text_add(p->text, "program");
  if (compilation->passes_done) {
    retc_text_printf(p->text, " after=%s", retc_pass_get_info(compilation->passes_done - 1)->name);
  }
  if (facts->vocabulary_size) retc_text_printf(p->text, " vocabulary=%" PRId64, facts->vocabulary_size);
  if (facts->chunk_length > 1) retc_text_printf(p->text, " chunk=%" PRId64, facts->chunk_length);
  if (facts->bos_token >= 0) retc_text_printf(p->text, " bos=%" PRId64, facts->bos_token);
  if (facts->eos_token >= 0) retc_text_printf(p->text, " eos=%" PRId64, facts->eos_token);
  retc_replay_print(&compilation->replay, p->text);
  end_line(p);
  retc_text_add(p->text, "\n");
}

void retc_compilation_print(const retc_compilation *compilation, retc_text *out_text) {
  printer p = {.compilation = compilation, .text = out_text};
  print_facts(&p);
  print_body(&p);
}

void retc_compilation_print_body(const retc_compilation *compilation, retc_text *out_text) {
  printer p = {.compilation = compilation, .text = out_text, .line = 1};
  print_body(&p);
}

void retc_compilation_print_kernel(const retc_compilation *compilation, size_t kernel, retc_text *out_text) {
  printer p = {.compilation = compilation, .text = out_text};
  print_facts(&p);
  retc_kernel_print(compilation->kernels.items[kernel], out_text);
}
