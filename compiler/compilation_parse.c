#include <stdlib.h>
#include <string.h>

#include "compiler/compile.h"
#include "compiler/pass.h"
#include "compiler/plan_verify.h"
#include "compiler/replay.h"
#include "ir/lexer.h"

/* A step of an entry: kernels come later than the steps that name them. */
typedef struct call {
  size_t entry, step, offset;
  const char *kernel;
  int count;
} call;

typedef struct parser {
  retc_lexer lexer;
  retc_compilation *compilation;
  size_t line; /* of those that are neither graph nor kernel */
  bool chunk_given;
  const char *after; /* where the text names the pass it has been through; NULL: nowhere */
  RETC_VEC(call) calls;
  RETC_VEC(size_t) entry_offsets;
} parser;

#define fail(p, ...) retc_lexer_fail(&(p)->lexer, __VA_ARGS__)

/* ---- comments ---- */

static const char *keep(parser *p, const char *text) {
  return text ? retc_arena_strdup(&p->compilation->arena, text) : NULL;
}

/* A line ends: what was said before and behind it is noted. */
static void end_line(parser *p, const char *comment) {
  struct retc_line_notes notes = {p->line++, {keep(p, comment), keep(p, retc_lexer_take_remark(&p->lexer))}};
  if (notes.notes.comment || notes.notes.remark)
    RETC_VEC_PUSH(&p->compilation->arena, p->compilation->line_notes, notes);
}

/* ---- the line "program" ---- */

static retc_status read_pass(parser *p) {
  const char *names[64];
  size_t count = 0, index;
  for (; count < retc_pass_count() && count < sizeof names / sizeof *names; count++) {
    names[count] = retc_pass_get_info(count)->name;
  }
  p->after = retc_lexer_place(&p->lexer);
  RETC_TRY(retc_lexer_choose(&p->lexer, "pass", names, count, &index));
  p->compilation->passes_done = index + 1;
  return RETC_OK;
}

static retc_status read_fact(parser *p, const char *name, int64_t low, int64_t *out_value) {
  const char *start = retc_lexer_place(&p->lexer);
  RETC_TRY(retc_lexer_read_integer(&p->lexer, out_value));
  if (*out_value >= low && *out_value <= INT32_MAX) return RETC_OK;
  return fail(p, start, "%s is expected to be %lld to %d", name, (long long)low, INT32_MAX);
}

static retc_status read_facts(parser *p) {
  retc_program_facts *facts = &p->compilation->facts;
  retc_replay *replay = &p->compilation->replay;
  static const char *const names[] = {"after", "vocabulary", "chunk", "bos", "eos", "run", "cpu", "machine"};
  bool given[sizeof names / sizeof *names] = {false};
  const char *comment = retc_lexer_take_comment(&p->lexer);
  if (!retc_lexer_accept_word(&p->lexer, "program")) {
    p->lexer.comment = comment; /* it belongs to what comes instead */
    p->line++;
    return RETC_OK;
  }
  for (;;) {
    const char *start = p->lexer.at;
    while (p->lexer.at < p->lexer.end && (*p->lexer.at == ' ' || *p->lexer.at == '\t')) p->lexer.at++;
    if (p->lexer.at == p->lexer.end || *p->lexer.at == '\n' || *p->lexer.at == '\r' || *p->lexer.at == '#') break;
    size_t index;
    start = p->lexer.at;
    RETC_TRY(retc_lexer_choose(&p->lexer, "fact of a program", names, sizeof names / sizeof *names, &index));
    if (given[index]) return fail(p, start, "%s is given twice", names[index]);
    given[index] = true;
    RETC_TRY(retc_lexer_expect(&p->lexer, '='));
    switch (index) {
      case 0: RETC_TRY(read_pass(p)); break;
      case 1: RETC_TRY(read_fact(p, names[index], 1, &facts->vocabulary_size)); break;
      case 2: RETC_TRY(read_fact(p, names[index], 1, &facts->chunk_length)); break;
      case 3: RETC_TRY(read_fact(p, names[index], 0, &facts->bos_token)); break;
      case 4: RETC_TRY(read_fact(p, names[index], 0, &facts->eos_token)); break;
      case 5: RETC_TRY(retc_replay_read_run(&p->lexer, replay)); break;
      case 6:
        RETC_TRY(retc_lexer_read_word(&p->lexer, "the name of a CPU", &replay->cpu));
        replay->cpu = keep(p, replay->cpu);
        break;
      default: RETC_TRY(retc_replay_read_machine(&p->lexer, replay)); break;
    }
  }
  p->chunk_given = given[2];
  end_line(p, comment);
  return RETC_OK;
}

/* ---- buffers ---- */

static retc_status unknown(parser *p, const char *at, const char *name, const char *what) {
  const retc_plan *plan = p->compilation->plan;
  RETC_VEC(const char *) names = {0};
  for (size_t i = 0; i < plan->buffers.count; i++) {
    RETC_VEC_PUSH(&p->lexer.arena, names, plan->buffers.items[i].name);
  }
  return retc_lexer_unknown(&p->lexer, at, name, what, names.items, names.count);
}

static retc_status read_buffer_name(parser *p, int *out_buffer) {
  const char *start = retc_lexer_place(&p->lexer), *name;
  RETC_TRY(retc_lexer_read_word(&p->lexer, "the name of a buffer", &name));
  *out_buffer = retc_plan_find_buffer(p->compilation->plan, name);
  return *out_buffer >= 0 ? RETC_OK : unknown(p, start, name, "buffer");
}

static retc_status read_element(parser *p, retc_dtype dtype, void *data, size_t index) {
  if (retc_dtype_is_float(dtype)) {
    double number;
    RETC_TRY(retc_lexer_read_number(&p->lexer, &number));
    retc_dtype_store(dtype, data, index, number);
    return RETC_OK;
  }
  const char *start = retc_lexer_place(&p->lexer);
  int64_t integer, least = dtype == RETC_DTYPE_I32 ? INT32_MIN : dtype == RETC_DTYPE_BOOL ? 0 : INT64_MIN;
  int64_t most = dtype == RETC_DTYPE_I32 ? INT32_MAX : dtype == RETC_DTYPE_BOOL ? 1 : INT64_MAX;
  RETC_TRY(retc_lexer_read_integer(&p->lexer, &integer));
  if (integer < least || integer > most) return fail(p, start, "%s cannot hold this number", retc_dtype_name(dtype));
  if (dtype == RETC_DTYPE_I64) ((int64_t *)data)[index] = integer;
  else retc_dtype_store(dtype, data, index, (double)integer);
  return RETC_OK;
}

static retc_status read_elements(parser *p, retc_plan_buffer *buffer) {
  enum { ELEMENTS_MAX = 1 << 28 };
  const retc_dims none = {{0}};
  const char *start = retc_lexer_place(&p->lexer);
  for (int i = 0; i < buffer->shape.rank; i++) {
    if (retc_dim_is_named(buffer->shape.dim[i])) return fail(p, start, "a constant has no named dimensions");
  }
  int64_t count = retc_shape_count(&buffer->shape, &none);
  RETC_TRY(retc_lexer_expect(&p->lexer, '='));
  RETC_TRY(retc_lexer_expect(&p->lexer, '['));
  /* Every element takes a digit and a comma at least. */
  if (count < 1 || count > ELEMENTS_MAX || count > (p->lexer.end - p->lexer.at) / 2 + 1) {
    return fail(p, start, "expected as many numbers as the shape has elements");
  }
  void *data = retc_arena_alloc(&p->compilation->plan->arena, (size_t)count * retc_dtype_size(buffer->dtype));
  for (int64_t i = 0; i < count; i++) {
    if (i && !retc_lexer_accept(&p->lexer, ',')) {
      return fail(p, p->lexer.at, "%lld number%s, the shape has %lld elements", (long long)i, &"s"[i == 1],
                  (long long)count);
    }
    RETC_TRY(read_element(p, buffer->dtype, data, (size_t)i));
  }
  if (retc_lexer_peek(&p->lexer) == ',') {
    return fail(p, p->lexer.at, "more numbers than the %lld elements of the shape", (long long)count);
  }
  buffer->constant = data;
  return retc_lexer_expect(&p->lexer, ']');
}

static retc_status read_slot(parser *p, retc_plan_buffer *buffer) {
  enum { SLOTS_MAX = 1 << 20 };
  retc_plan *plan = p->compilation->plan;
  const char *start = retc_lexer_place(&p->lexer);
  int64_t slot;
  RETC_TRY(retc_lexer_read_integer(&p->lexer, &slot));
  if (slot < 0 || slot >= SLOTS_MAX) return fail(p, start, "a slot is a number from 0 to %d", SLOTS_MAX - 1);
  while ((int64_t)plan->slots.count <= slot) RETC_VEC_PUSH(&plan->arena, plan->slots, ((retc_plan_slot){{0}}));
  buffer->slot = (int)slot;
  RETC_VEC_PUSH(&plan->arena, plan->slots.items[slot].buffers, (int)plan->buffers.count);
  return RETC_OK;
}

static retc_status read_size(parser *p, int64_t low, int64_t *out_value) {
  const char *start = retc_lexer_place(&p->lexer);
  RETC_TRY(retc_lexer_read_integer(&p->lexer, out_value));
  return *out_value >= low ? RETC_OK : fail(p, start, "expected at least %lld", (long long)low);
}

static retc_status read_buffer(parser *p, const char *comment) {
  retc_lexer *lexer = &p->lexer;
  retc_plan *plan = p->compilation->plan;
  retc_plan_buffer buffer = {.slot = -1};
  const char *start = retc_lexer_place(lexer), *kinds[RETC_PLAN_KIND_COUNT];
  size_t kind;
  RETC_TRY(retc_lexer_read_word(lexer, "the name of a buffer", &buffer.name));
  if (retc_plan_find_buffer(plan, buffer.name) >= 0) return fail(p, start, "buffer %s is defined twice", buffer.name);
  buffer.name = retc_arena_strdup(&plan->arena, buffer.name);
  RETC_TRY(retc_lexer_expect(lexer, ':'));
  for (int i = 0; i < RETC_PLAN_KIND_COUNT; i++) kinds[i] = retc_plan_buffer_kind_name((retc_plan_buffer_kind)i);
  RETC_TRY(retc_lexer_choose(lexer, "kind of buffer", kinds, RETC_PLAN_KIND_COUNT, &kind));
  buffer.kind = (retc_plan_buffer_kind)kind;
  RETC_TRY(retc_lexer_read_type(lexer, &buffer.dtype, &buffer.shape));
  const char *place = retc_lexer_place(lexer);
  for (int layout = RETC_LAYOUT_PANEL; layout < RETC_LAYOUT_COUNT; layout++) {
    if (!retc_lexer_accept_word(lexer, retc_weight_layout_name((retc_weight_layout)layout))) continue;
    if (buffer.kind != RETC_PLAN_WEIGHT) return fail(p, place, "only a weight lies in panels");
    if (buffer.shape.rank != 2) return fail(p, start, "a weight in panels has two axes");
    if (!retc_weight_layout_holds((retc_weight_layout)layout, buffer.dtype)) {
      return fail(p, place, "a weight of %s does not lie in %s", retc_dtype_name(buffer.dtype),
                  retc_weight_layout_name((retc_weight_layout)layout));
    }
    buffer.layout = (retc_weight_layout)layout;
    break;
  }
  const bool may_have_limit = buffer.kind == RETC_PLAN_INPUT || (buffer.kind == RETC_PLAN_SCRATCH && buffer.shape.rank);
  if (may_have_limit && retc_lexer_accept_word(lexer, "below")) {
    RETC_TRY(read_size(p, 1, &buffer.limit));
  }
  place = retc_lexer_place(lexer);
  if (retc_lexer_accept_word(lexer, "slot")) {
    bool has_slot = buffer.kind == RETC_PLAN_SCRATCH || buffer.kind == RETC_PLAN_OUTPUT;
    if (!has_slot) return fail(p, place, "only scratch and output buffers have slots");
    RETC_TRY(read_slot(p, &buffer));
  }
  if (buffer.kind == RETC_PLAN_CONSTANT) RETC_TRY(read_elements(p, &buffer));
  RETC_VEC_PUSH(&plan->arena, plan->buffers, buffer);
  end_line(p, comment);
  return RETC_OK;
}

/* ---- entries ---- */

static retc_status read_step(parser *p, retc_plan_entry *entry) {
  enum { BUFFERS_MAX = 256 };
  retc_lexer *lexer = &p->lexer;
  retc_plan *plan = p->compilation->plan;
  int buffers[BUFFERS_MAX];
  const char *region = NULL;
  call c = {.entry = plan->entries.count, .step = entry->steps.count,
            .offset = (size_t)(retc_lexer_place(lexer) - lexer->text)};
  RETC_TRY(retc_lexer_read_word(lexer, "the name of a kernel", &c.kernel));
  RETC_TRY(retc_lexer_expect(lexer, '('));
  if (!retc_lexer_accept(lexer, ')')) {
    do {
      if (c.count == BUFFERS_MAX) return fail(p, lexer->at, "expected at most %d buffers", BUFFERS_MAX);
      RETC_TRY(read_buffer_name(p, &buffers[c.count]));
      c.count++;
    } while (retc_lexer_accept(lexer, ','));
    RETC_TRY(retc_lexer_expect(lexer, ')'));
  }
  if (retc_lexer_accept(lexer, '@')) RETC_TRY(retc_lexer_read_word(lexer, "the name of a region", &region));
  int *copy = RETC_NEW_ARRAY(&plan->arena, int, c.count + 1);
  memcpy(copy, buffers, sizeof *copy * (size_t)c.count);
  retc_plan_step step = {-1, copy, region ? retc_arena_strdup(&plan->arena, region) : NULL};
  RETC_VEC_PUSH(&plan->arena, entry->steps, step);
  RETC_VEC_PUSH(&lexer->arena, p->calls, c);
  return RETC_OK;
}

static retc_status read_output(parser *p, retc_plan_entry *entry) {
  const char *start = retc_lexer_place(&p->lexer);
  retc_plan_output output;
  RETC_TRY(retc_lexer_read_word(&p->lexer, "the name of an output", &output.name));
  for (size_t i = 0; i < entry->outputs.count; i++) {
    if (!strcmp(entry->outputs.items[i].name, output.name)) {
      return fail(p, start, "output %s is defined twice", output.name);
    }
  }
  RETC_TRY(retc_lexer_expect(&p->lexer, '='));
  RETC_TRY(read_buffer_name(p, &output.buffer));
  output.name = retc_arena_strdup(&p->compilation->plan->arena, output.name);
  RETC_VEC_PUSH(&p->compilation->plan->arena, entry->outputs, output);
  return RETC_OK;
}

static retc_status read_entry(parser *p, const char *comment) {
  retc_lexer *lexer = &p->lexer;
  retc_plan *plan = p->compilation->plan;
  retc_plan_entry entry = {0};
  const char *start = retc_lexer_place(lexer);
  RETC_VEC_PUSH(&lexer->arena, p->entry_offsets, (size_t)(start - lexer->text));
  RETC_TRY(retc_lexer_read_word(lexer, "the name of an entry", &entry.name));
  if (retc_plan_find_entry(plan, entry.name) >= 0) return fail(p, start, "entry %s is defined twice", entry.name);
  entry.name = retc_arena_strdup(&plan->arena, entry.name);
  entry.grid_start = -1;
  if (retc_lexer_accept_word(lexer, "chunk")) {
    RETC_TRY(read_size(p, 1, &entry.chunk_length));
    if (retc_lexer_accept_word(lexer, "from")) RETC_TRY(read_size(p, 0, &entry.grid_start));
  }
  RETC_TRY(retc_lexer_expect(lexer, '{'));
  end_line(p, comment);
  for (;;) {
    comment = retc_lexer_take_comment(lexer);
    if (retc_lexer_accept(lexer, '}')) break;
    if (retc_lexer_accept_word(lexer, "output")) {
      RETC_TRY(read_output(p, &entry));
    } else if (entry.outputs.count) {
      return fail(p, lexer->at, "expected \"output\" or '}'");
    } else {
      RETC_TRY(read_step(p, &entry));
    }
    end_line(p, comment);
  }
  end_line(p, comment);
  RETC_VEC_PUSH(&plan->arena, plan->entries, entry);
  return RETC_OK;
}

/* ---- what the steps call ---- */

static void describe_kernels(retc_compilation *compilation) {
  retc_plan *plan = compilation->plan;
  for (size_t i = 0; i < compilation->kernels.count; i++) {
    retc_plan_kernel kernel = retc_plan_describe_kernel(plan, compilation->kernels.items[i]);
    RETC_VEC_PUSH(&plan->arena, plan->kernels, kernel);
  }
}

static retc_status check_argument(parser *p, const call *c, const retc_plan_buffer *buffer,
                                  const retc_buffer *parameter) {
  retc_shape shape = retc_plan_buffer_memory_shape(buffer);
  const retc_dtype dtype = retc_weight_layout_dtype(buffer->layout, buffer->dtype);
  if (dtype == parameter->dtype && retc_shape_equal(&shape, &parameter->shape)) return RETC_OK;
  retc_text given, wanted;
  retc_text_init(&given);
  retc_text_init(&wanted);
  retc_typed_shape_print(dtype, &shape, &given);
  retc_typed_shape_print(parameter->dtype, &parameter->shape, &wanted);
  retc_status status = fail(p, p->lexer.text + c->offset, "%s: buffer %.100s is %s in memory, parameter %s is %s",
                            c->kernel, buffer->name, given.data, parameter->name, wanted.data);
  retc_text_deinit(&given);
  retc_text_deinit(&wanted);
  return status;
}

static retc_status resolve(parser *p, const call *c) {
  const retc_compilation *compilation = p->compilation;
  retc_plan *plan = compilation->plan;
  const char *at = p->lexer.text + c->offset;
  RETC_VEC(const char *) names = {0};
  size_t k = 0;
  for (; k < plan->kernels.count && strcmp(plan->kernels.items[k].name, c->kernel); k++) {
    RETC_VEC_PUSH(&p->lexer.arena, names, plan->kernels.items[k].name);
  }
  if (k == plan->kernels.count) return retc_lexer_unknown(&p->lexer, at, c->kernel, "kernel", names.items, names.count);
  retc_plan_step *step = &plan->entries.items[c->entry].steps.items[c->step];
  step->kernel = (int)k;
  if (c->count != plan->kernels.items[k].buffer_count) {
    return fail(p, at, "%s of %d buffer%s, expected %d", c->kernel, c->count, &"s"[c->count == 1],
                plan->kernels.items[k].buffer_count);
  }
  const retc_kernel *kernel = compilation->kernels.items[k];
  int argument = 0;
  for (size_t i = 1; i < kernel->buffers.count; i++) {
    const retc_buffer *parameter = &kernel->buffers.items[i];
    if (parameter->scope != RETC_SCOPE_GLOBAL) continue;
    RETC_TRY(check_argument(p, c, &plan->buffers.items[step->buffers[argument++]], parameter));
  }
  return RETC_OK;
}

/* ---- the whole ---- */

static retc_status read_kernel(parser *p) {
  retc_compilation *compilation = p->compilation;
  const char *start = p->lexer.at;
  retc_kernel *kernel;
  RETC_TRY(retc_kernel_read(&p->lexer, &kernel));
  RETC_VEC_PUSH(&compilation->arena, compilation->kernels, kernel);
  for (size_t i = 0; i + 1 < compilation->kernels.count; i++) {
    if (!strcmp(compilation->kernels.items[i]->name, kernel->name)) {
      return fail(p, start, "kernel %s is defined twice", kernel->name);
    }
  }
  return RETC_OK;
}

static retc_status read_graph(parser *p) {
  retc_compilation *compilation = p->compilation;
  const char *start = p->lexer.at;
  retc_graph *graph;
  RETC_TRY(retc_graph_read(&p->lexer, &graph));
  RETC_VEC_PUSH(&compilation->arena, compilation->graphs, graph);
  for (size_t i = 0; i + 1 < compilation->graphs.count; i++) {
    if (!strcmp(compilation->graphs.items[i]->name, graph->name)) {
      return fail(p, start, "graph %s is defined twice", graph->name);
    }
  }
  return RETC_OK;
}

static bool comes(parser *p, const char *word) {
  const char *at = retc_lexer_place(&p->lexer);
  bool found = retc_lexer_accept_word(&p->lexer, word);
  p->lexer.at = at;
  return found;
}

static retc_status read_kernels(parser *p) {
  retc_compilation *compilation = p->compilation;
  retc_plan *plan = retc_plan_create();
  if (!plan) return retc_fail(p->lexer.diagnostics, RETC_FAILED, "program: out of memory");
  compilation->plan = plan;
  for (;;) {
    const char *comment = retc_lexer_take_comment(&p->lexer);
    if (!plan->entries.count && retc_lexer_accept_word(&p->lexer, "buffer")) {
      RETC_TRY(read_buffer(p, comment));
    } else if (retc_lexer_accept_word(&p->lexer, "entry")) {
      RETC_TRY(read_entry(p, comment));
    } else {
      p->lexer.comment = comment; /* it belongs to what comes instead */
      break;
    }
  }
  while (comes(p, "kernel")) RETC_TRY(read_kernel(p));
  describe_kernels(compilation);
  for (size_t i = 0; i < p->calls.count; i++) RETC_TRY(resolve(p, &p->calls.items[i]));
  plan->vocabulary_size = compilation->facts.vocabulary_size;
  plan->chunk_length = compilation->facts.chunk_length;
  plan->bos_token = compilation->facts.bos_token;
  plan->eos_token = compilation->facts.eos_token;
  if (plan->buffers.count || plan->entries.count) return RETC_OK;
  retc_plan_destroy(plan); /* kernels alone */
  compilation->plan = NULL;
  return RETC_OK;
}

/* The chunk grid is one for a whole program: the dimension N counts its chunks. What the line "program" does not say,
 * the operations do. */
static retc_status check_chunks(parser *p) {
  retc_compilation *compilation = p->compilation;
  const char *first = NULL;
  for (size_t g = 0; g < compilation->graphs.count; g++) {
    const retc_graph *graph = compilation->graphs.items[g];
    for (size_t i = 1; i < graph->nodes.count; i++) {
      const retc_node *node = &graph->nodes.items[i];
      if (strncmp(retc_op_get_info(node->op)->attributes, "i:chunk", strlen("i:chunk"))) continue;
      int64_t chunk = node->attributes.integer[0];
      if (!p->chunk_given && !first) {
        compilation->facts.chunk_length = chunk;
        first = node->name;
      }
      if (chunk == compilation->facts.chunk_length) continue;
      return fail(p, p->lexer.text, "%%%.100s of graph %.100s has chunk=%lld, %s%.100s has chunk=%lld", node->name,
                  graph->name, (long long)chunk, first ? "%" : "the ", first ? first : "program",
                  (long long)compilation->facts.chunk_length);
    }
  }
  return RETC_OK;
}

/* "after" must fit what the text consists of. */
static retc_status check_level(parser *p) {
  retc_compilation *compilation = p->compilation;
  size_t lower = retc_pass_find("lower");
  bool lowered = !compilation->graphs.count;
  if (!compilation->passes_done) compilation->passes_done = lowered ? lower + 1 : 1;
  if (lowered == (compilation->passes_done > lower)) return RETC_OK;
  return fail(p, p->after, "the program consists of %s, as it does %s pass lower", lowered ? "kernels" : "graphs",
              lowered ? "after" : "before");
}

/* What may come at the end of what has been read. */
static const char *goes_on_with(const parser *p) {
  const retc_compilation *compilation = p->compilation;
  if (compilation->graphs.count) return "\"graph\"";
  if (compilation->kernels.count) return "\"kernel\"";
  return compilation->plan->entries.count ? "\"entry\", \"kernel\"" : "\"buffer\", \"entry\", \"kernel\"";
}

/* The step, or the entry, of the text. */
static const char *find_place(const parser *p, const retc_plan_place *place) {
  for (size_t i = 0; i < p->calls.count && place->step >= 0; i++) {
    const call *c = &p->calls.items[i];
    if (c->entry == (size_t)place->entry && c->step == (size_t)place->step) return p->lexer.text + c->offset;
  }
  return p->lexer.text + p->entry_offsets.items[place->entry];
}

static retc_status verify_plan(parser *p) {
  const retc_compilation *compilation = p->compilation;
  retc_diagnostics found;
  retc_plan_place place = {0, -1};
  retc_diagnostics_init(&found);
  retc_status status = retc_plan_verify(compilation->plan, (const retc_kernel *const *)compilation->kernels.items,
                                        compilation->kernels.count, &found, &place);
  const char *message = retc_diagnostics_text(&found);
  if (status != RETC_OK) status = fail(p, find_place(p, &place), "%.*s", (int)strcspn(message, "\n"), message);
  retc_diagnostics_deinit(&found);
  return status;
}

/* What is wrong with a text is its writer's error. The parser has seen to what graphs promise, kernels know their
 * lines. */
static retc_status verify(parser *p) {
  const retc_compilation *compilation = p->compilation;
  retc_diagnostics *diagnostics = p->lexer.diagnostics;
  for (size_t i = 0; i < compilation->kernels.count; i++) {
    RETC_TRY(retc_kernel_verify(compilation->kernels.items[i], diagnostics));
  }
  if (compilation->plan) return verify_plan(p);
  for (size_t i = 0; i < compilation->graphs.count; i++) {
    if (retc_graph_verify(compilation->graphs.items[i], diagnostics) == RETC_OK) continue;
    return retc_fail(diagnostics, RETC_INVALID, "%s: graph %s is wrong", p->lexer.file_name,
                     compilation->graphs.items[i]->name);
  }
  return RETC_OK;
}

static retc_status parse(parser *p) {
  RETC_TRY(read_facts(p));
  if (comes(p, "graph")) {
    while (comes(p, "graph")) RETC_TRY(read_graph(p));
  } else if (comes(p, "kernel") || comes(p, "buffer") || comes(p, "entry")) {
    RETC_TRY(read_kernels(p));
  } else {
    return fail(p, p->lexer.at, "expected \"graph\", \"buffer\", \"entry\" or \"kernel\"");
  }
  p->compilation->end_comment = keep(p, retc_lexer_take_comment(&p->lexer));
  if (retc_lexer_peek(&p->lexer)) return fail(p, p->lexer.at, "expected %s or nothing more", goes_on_with(p));
  RETC_TRY(check_level(p));
  RETC_TRY(check_chunks(p));
  return verify(p);
}

retc_status retc_compilation_parse(const char *text, size_t length, const char *file_name,
                                   retc_diagnostics *diagnostics, retc_compilation **out_compilation) {
  retc_compilation *compilation = calloc(1, sizeof *compilation);
  if (!compilation) return retc_fail(diagnostics, RETC_FAILED, "%s: out of memory", file_name);
  retc_arena_init(&compilation->arena);
  compilation->facts = (retc_program_facts){.chunk_length = 1, .bos_token = -1, .eos_token = -1};
  parser p = {.compilation = compilation};
  char *copy = retc_arena_alloc(&compilation->arena, length + 1);
  memcpy(copy, text, length);
  const char *name = retc_arena_strdup(&compilation->arena, file_name);
  retc_lexer_init(&p.lexer, copy, length, name, diagnostics);
  retc_status status = parse(&p);
  retc_lexer_deinit(&p.lexer);
  if (status != RETC_OK) {
    retc_compilation_destroy(compilation);
    return status;
  }
  *out_compilation = compilation;
  return RETC_OK;
}

bool retc_compilation_is_text(const char *text, size_t length) {
  static const char *const words[] = {"program", "graph", "kernel", "buffer", "entry"};
  retc_diagnostics unused;
  retc_diagnostics_init(&unused);
  parser p = {0};
  retc_lexer_init(&p.lexer, text, length, "", &unused);
  bool found = false;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) found = found || comes(&p, words[i]);
  retc_lexer_deinit(&p.lexer);
  retc_diagnostics_deinit(&unused);
  return found;
}
