#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"
#include "ir/lexer.h"

typedef struct parser {
  retc_lexer *lexer;
  retc_builder builder;
  retc_diagnostics reason; /* the builder's */
  retc_table values, regions, outputs;
} parser;

#define fail(p, ...) retc_lexer_fail((p)->lexer, __VA_ARGS__)

/* Values. */

enum { NUMBER_DIGITS_MAX = 9 };

/* "%97", "%97~2", "%theta", "%\"a name\"": without the '%'. */
static retc_status read_label(parser *p, const char **out_name) {
  retc_lexer *lexer = p->lexer;
  RETC_TRY(retc_lexer_expect(lexer, '%'));
  const char *start = lexer->at;
  while (lexer->at < lexer->end && retc_char_is_digit(*lexer->at)) lexer->at++;
  if (lexer->at == start) {
    bool word = start < lexer->end && (*start == '"' || retc_char_is_word_start(*start));
    if (!word) return fail(p, start, "expected a name after '%%'");
    RETC_TRY(retc_lexer_read_word(lexer, "a name", out_name));
    if (!**out_name) return fail(p, start, "expected a name");
    if (retc_name_is_number(*out_name)) return fail(p, start, "a name does not begin with a digit");
    return RETC_OK;
  }
  if (lexer->at - start > NUMBER_DIGITS_MAX || (*start == '0' && lexer->at - start > 1)) {
    return fail(p, start, "expected a number of at most %d digits without leading zeros", NUMBER_DIGITS_MAX);
  }
  if (lexer->at < lexer->end && *lexer->at == '~') {
    const char *copy = ++lexer->at;
    while (lexer->at < lexer->end && retc_char_is_digit(*lexer->at)) lexer->at++;
    if (lexer->at == copy) return fail(p, copy, "expected a number after '~'");
  }
  if (lexer->at < lexer->end && retc_char_is_word(*lexer->at))
    return fail(p, lexer->at, "expected the end of the number");
  *out_name = retc_arena_strndup(&lexer->arena, start, (size_t)(lexer->at - start));
  return RETC_OK;
}

/* The word names of the values before this, for a suggestion. */
static retc_status undefined(parser *p, const char *at, const char *name) {
  const retc_graph *graph = p->builder.graph;
  RETC_VEC(const char *) names = {0};
  for (size_t i = 1; i < graph->nodes.count && !retc_name_is_number(name); i++) {
    RETC_VEC_PUSH(&p->lexer->arena, names, graph->nodes.items[i].name);
  }
  const char *nearest = strlen(name) < 3 ? NULL : retc_nearest(name, names.items, names.count);
  if (nearest) {
    return fail(p, at, "%%%.200s is not defined before this, did you mean %%%.200s?", name, nearest);
  }
  return fail(p, at, "%%%.200s is not defined before this", name);
}

static retc_status read_value(parser *p, retc_value *out_value) {
  const char *start = retc_lexer_place(p->lexer), *name;
  RETC_TRY(read_label(p, &name));
  out_value->index = retc_table_find(&p->values, name, strlen(name));
  return out_value->index ? RETC_OK : undefined(p, start, name);
}

/* Nodes. */

static retc_status read_op(parser *p, retc_op *out_op) {
  const char *names[RETC_OP_COUNT];
  size_t index;
  for (int i = 0; i < RETC_OP_COUNT; i++) names[i] = retc_op_get_info((retc_op)i)->name;
  RETC_TRY(retc_lexer_choose(p->lexer, "operation", names, RETC_OP_COUNT, &index));
  *out_op = (retc_op)index;
  return RETC_OK;
}

static retc_status read_attributes(parser *p, retc_op op, retc_attributes *out_attributes) {
  retc_lexer *lexer = p->lexer;
  *out_attributes = (retc_attributes){0};
  for (retc_attribute_walk walk = retc_attribute_walk_start(op); retc_attribute_walk_next(&walk);) {
    if (walk.kind == 'd') {
      RETC_TRY(retc_lexer_read_numbers(lexer, &out_attributes->dense, &out_attributes->dense_count));
      continue;
    }
    const char *name = retc_arena_strndup(&lexer->arena, walk.name, (size_t)walk.name_length);
    if (!retc_lexer_accept_word(lexer, name)) {
      return fail(p, lexer->at, "%s: expected %s=", retc_op_get_info(op)->name, name);
    }
    RETC_TRY(retc_lexer_expect(lexer, '='));
    if (walk.kind == 'i') RETC_TRY(retc_lexer_read_integer(lexer, &out_attributes->integer[walk.integer]));
    if (walk.kind == 'f') RETC_TRY(retc_lexer_read_number(lexer, &out_attributes->number));
    if (walk.kind == 's') RETC_TRY(retc_lexer_read_word(lexer, "a word", &out_attributes->word));
  }
  return RETC_OK;
}

/* The ':' before the type; perhaps there is an attribute too many in its place. */
static retc_status expect_type(parser *p, retc_op op) {
  const retc_op_info *info = retc_op_get_info(op);
  const char *start = retc_lexer_place(p->lexer), *end = start;
  while (end < p->lexer->end && retc_char_is_word(*end)) end++;
  if (end > start && end < p->lexer->end && *end == '=') {
    return fail(p, start, "%s has no %sattribute %.*s", info->name, *info->attributes ? "further " : "",
                (int)(end - start < 200 ? end - start : 200), start);
  }
  return retc_lexer_expect(p->lexer, ':');
}

static retc_status read_inputs(parser *p, retc_value inputs[RETC_OP_INPUTS_MAX], int *out_count) {
  *out_count = 0;
  if (retc_lexer_peek(p->lexer) != '%') return RETC_OK;
  do {
    retc_lexer_peek(p->lexer);
    if (*out_count == RETC_OP_INPUTS_MAX)
      return fail(p, p->lexer->at, "expected at most %d inputs", RETC_OP_INPUTS_MAX);
    RETC_TRY(read_value(p, &inputs[(*out_count)++]));
  } while (retc_lexer_accept(p->lexer, ','));
  return RETC_OK;
}

static retc_notes take_notes(parser *p, const char *comment) {
  retc_notes notes = {comment, retc_lexer_take_remark(p->lexer)};
  return retc_notes_copy(p->builder.graph, &notes);
}

static retc_status check_type(parser *p, const char *at, retc_op op, retc_value value, const retc_type *written) {
  const retc_type *made = &retc_graph_node(p->builder.graph, value)->type;
  if (made->dtype == written->dtype && retc_shape_equal(&made->shape, &written->shape)) return RETC_OK;
  retc_text text;
  retc_text_init(&text);
  retc_type_print(made, &text);
  retc_status status = fail(p, at, "%s makes %s of its inputs", retc_op_get_info(op)->name, text.data);
  retc_text_deinit(&text);
  return status;
}

static retc_status parse_node(parser *p) {
  retc_lexer *lexer = p->lexer;
  const char *comment = retc_lexer_take_comment(lexer), *start = lexer->at, *name, *origin = NULL;
  RETC_TRY(read_label(p, &name));
  if (retc_table_find(&p->values, name, strlen(name))) return fail(p, start, "%%%s is defined twice", name);
  RETC_TRY(retc_lexer_expect(lexer, '='));
  const char *operation = retc_lexer_place(lexer);
  retc_op op;
  retc_value inputs[RETC_OP_INPUTS_MAX];
  int input_count;
  retc_attributes attributes;
  retc_type type;
  RETC_TRY(read_op(p, &op));
  RETC_TRY(read_inputs(p, inputs, &input_count));
  RETC_TRY(read_attributes(p, op, &attributes));
  RETC_TRY(expect_type(p, op));
  const char *written = retc_lexer_place(lexer);
  RETC_TRY(retc_lexer_read_type(lexer, &type.dtype, &type.shape));
  if (retc_lexer_accept(lexer, '@')) RETC_TRY(retc_lexer_read_word(lexer, "an origin", &origin));
  if (op == RETC_OP_INPUT && retc_name_is_number(name)) return fail(p, start, "an input needs a name");

  p->builder.origin = origin;
  p->builder.name = name;
  retc_value value = retc_graph_add(&p->builder, op, inputs, input_count, &type, &attributes);
  if (p->builder.status != RETC_OK) {
    const char *reason = retc_diagnostics_text(&p->reason);
    return fail(p, operation, "%.*s", (int)strcspn(reason, "\n"), reason);
  }
  RETC_TRY(check_type(p, written, op, value, &type));
  p->builder.graph->nodes.items[value.index].notes = take_notes(p, comment);
  retc_table_put(&lexer->arena, &p->values, name, strlen(name), value.index);
  return RETC_OK;
}

/* Regions, outputs, the whole. */

static retc_status read_folded(parser *p, retc_region_id id) {
  RETC_TRY(retc_lexer_expect(p->lexer, '='));
  RETC_TRY(retc_lexer_expect(p->lexer, '['));
  do {
    const char *word;
    RETC_TRY(retc_lexer_read_word(p->lexer, "the name of a fusion", &word));
    retc_graph *graph = p->builder.graph;
    retc_region *region = retc_graph_region_mutable(graph, id);
    RETC_VEC_PUSH(&graph->arena, region->folded, retc_arena_strdup(&graph->arena, word));
  } while (retc_lexer_accept(p->lexer, ','));
  return retc_lexer_expect(p->lexer, ']');
}

static retc_status read_schedule(parser *p, retc_region_id id) {
  RETC_TRY(retc_lexer_expect(p->lexer, '='));
  RETC_TRY(retc_lexer_expect(p->lexer, '['));
  retc_region *region = retc_graph_region_mutable(p->builder.graph, id);
  do {
    const char *word;
    struct retc_region_schedule *entry = &region->schedule[region->schedule_count];
    retc_lexer_peek(p->lexer);
    if (region->schedule_count == RETC_SCHEDULE_MAX)
      return fail(p, p->lexer->at, "expected at most %d sizes", RETC_SCHEDULE_MAX);
    RETC_TRY(retc_lexer_read_word(p->lexer, "the name of a size", &word));
    entry->name = retc_arena_strdup(&p->builder.graph->arena, word);
    region->schedule_count++;
    RETC_TRY(retc_lexer_expect(p->lexer, '='));
    RETC_TRY(retc_lexer_read_integer(p->lexer, &entry->value));
  } while (retc_lexer_accept(p->lexer, ','));
  return retc_lexer_expect(p->lexer, ']');
}

static retc_status parse_region(parser *p, const char *comment) {
  retc_lexer *lexer = p->lexer;
  const char *name, *anchor, *start = retc_lexer_place(lexer);
  RETC_TRY(retc_lexer_read_word(lexer, "the name of a region", &name));
  if (retc_table_find(&p->regions, name, strlen(name))) return fail(p, start, "region %s is defined twice", name);
  RETC_TRY(retc_lexer_read_word(lexer, "an anchor", &anchor));
  retc_region_id id = retc_graph_add_region(p->builder.graph, name, anchor);
  retc_table_put(&lexer->arena, &p->regions, name, strlen(name), id.index);
  if (retc_lexer_accept_word(lexer, "folded")) RETC_TRY(read_folded(p, id));
  if (retc_lexer_accept_word(lexer, "schedule")) RETC_TRY(read_schedule(p, id));
  RETC_TRY(retc_lexer_expect(lexer, '{'));
  retc_graph_region_mutable(p->builder.graph, id)->notes = take_notes(p, comment);
  if (retc_lexer_peek(lexer) == '}') return fail(p, lexer->at, "region %s is empty", name);
  p->builder.region = id;
  while (retc_lexer_peek(lexer) == '%') RETC_TRY(parse_node(p));
  p->builder.region = (retc_region_id){0};
  retc_notes end = {retc_lexer_take_comment(lexer), NULL};
  retc_graph_region_mutable(p->builder.graph, id)->end_comment = retc_notes_copy(p->builder.graph, &end).comment;
  return retc_lexer_accept(lexer, '}') ? RETC_OK : fail(p, lexer->at, "expected a value or '}'");
}

static retc_status parse_output(parser *p, const char *comment) {
  retc_lexer *lexer = p->lexer;
  const retc_graph *graph = p->builder.graph;
  const char *name, *start = retc_lexer_place(lexer);
  retc_value value;
  RETC_TRY(retc_lexer_read_word(lexer, "the name of an output", &name));
  if (retc_table_find(&p->outputs, name, strlen(name))) return fail(p, start, "output %s is defined twice", name);
  RETC_TRY(retc_lexer_expect(lexer, '='));
  RETC_TRY(read_value(p, &value));
  const retc_node *input = retc_graph_node(graph, retc_graph_find_input(graph, name));
  if (input->name && strcmp(input->attributes.word, "state") == 0) {
    const retc_type *type = &retc_graph_node(graph, value)->type;
    if (type->dtype != input->type.dtype || !retc_shape_equal(&type->shape, &input->type.shape)) {
      return fail(p, start, "output %s has another type than the state it replaces", name);
    }
  }
  retc_table_put(&lexer->arena, &p->outputs, name, strlen(name), 1);
  retc_graph_add_output(p->builder.graph, name, value);
  p->builder.graph->outputs.items[graph->outputs.count - 1].notes = take_notes(p, comment);
  return RETC_OK;
}

static retc_status parse_graph(parser *p) {
  retc_lexer *lexer = p->lexer;
  const char *comment = retc_lexer_take_comment(lexer), *name;
  RETC_TRY(retc_lexer_expect_word(lexer, "graph"));
  RETC_TRY(retc_lexer_read_word(lexer, "the name of the graph", &name));
  p->builder.graph = retc_graph_create(name);
  RETC_TRY(retc_lexer_expect(lexer, '{'));
  p->builder.graph->notes = take_notes(p, comment);
  for (;;) {
    if (p->outputs.count == 0 && retc_lexer_peek(lexer) == '%') {
      RETC_TRY(parse_node(p));
      continue;
    }
    comment = retc_lexer_take_comment(lexer);
    if (p->outputs.count == 0 && retc_lexer_accept_word(lexer, "region")) {
      RETC_TRY(parse_region(p, comment));
    } else if (retc_lexer_accept_word(lexer, "output")) {
      RETC_TRY(parse_output(p, comment));
    } else {
      break;
    }
  }
  retc_notes end = {comment, NULL};
  p->builder.graph->end_comment = retc_notes_copy(p->builder.graph, &end).comment;
  if (retc_lexer_accept(lexer, '}')) return RETC_OK;
  return fail(p, lexer->at, "expected %s\"output\" or '}'", p->outputs.count ? "" : "a value, \"region\", ");
}

retc_status retc_graph_read(retc_lexer *lexer, retc_graph **out_graph) {
  parser p = {.lexer = lexer};
  retc_diagnostics_init(&p.reason);
  p.builder = (retc_builder){.diagnostics = &p.reason, .keep = true};
  retc_status status = parse_graph(&p);
  retc_diagnostics_deinit(&p.reason);
  if (status == RETC_OK) {
    *out_graph = p.builder.graph;
  } else {
    retc_graph_destroy(p.builder.graph);
  }
  return status;
}

retc_status retc_graph_parse(const char *text, size_t length, const char *file_name, retc_diagnostics *diagnostics,
                             retc_graph **out_graph) {
  retc_lexer lexer;
  retc_lexer_init(&lexer, text, length, file_name, diagnostics);
  retc_status status = retc_graph_read(&lexer, out_graph);
  if (status == RETC_OK && retc_lexer_peek(&lexer)) {
    status = retc_lexer_fail(&lexer, lexer.at, "expected nothing after the graph");
    retc_graph_destroy(*out_graph);
  }
  retc_lexer_deinit(&lexer);
  return status;
}
