#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph.h"
#include "ir/graph_internal.h"

typedef struct parser {
  const char *text, *end, *at;
  const char *file_name;
  retc_diagnostics *diagnostics;
  retc_arena arena; /* for what is needed during parsing only */
  retc_builder builder;
  retc_diagnostics reason; /* the builder's */
  retc_table values;       /* by label */
  retc_table regions, outputs;
} parser;

enum { NUMBER_LENGTH_MAX = 63, SHOWN_MAX = 120 };

/* `file:line:column: message`, the line, a caret. Of a very long line only what is around the place. */
__attribute__((format(printf, 3, 4))) static retc_status fail(parser *p, const char *at, const char *format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);

  size_t line = 1;
  const char *start = p->text, *end = at;
  for (const char *c = p->text; c < at; c++) {
    if (*c != '\n') continue;
    line++;
    start = c + 1;
  }
  while (end < p->end && *end != '\n') end++;
  size_t column = (size_t)(at - start);
  size_t skipped = column < SHOWN_MAX ? 0 : column - SHOWN_MAX / 2, length = (size_t)(end - start) - skipped;
  char shown[SHOWN_MAX + 1];
  if (length > SHOWN_MAX) length = SHOWN_MAX;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)start[skipped + i];
    shown[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
  }
  shown[length] = 0;
  return retc_fail(p->diagnostics, RETC_INVALID, "%s:%zu:%zu: %s\n%s\n%*s^", p->file_name, line, column + 1, message,
                   shown, (int)(column - skipped), "");
}

/* Characters. */

static void skip_blanks(parser *p) {
  for (; p->at < p->end; p->at++) {
    if (*p->at == '#') {
      while (p->at < p->end && *p->at != '\n') p->at++;
      if (p->at == p->end) return;
    } else if (!memchr(" \t\r\n", *p->at, 4)) {
      return;
    }
  }
}

/* The next character that is not blank, 0 at the end. */
static char peek(parser *p) {
  skip_blanks(p);
  return p->at < p->end ? *p->at : 0;
}

static bool accept(parser *p, char c) {
  if (peek(p) != c || p->at == p->end) return false;
  p->at++;
  return true;
}

static retc_status expect(parser *p, char c) {
  return accept(p, c) ? RETC_OK : fail(p, p->at, "expected '%c'", c);
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_word_start(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_word(char c) {
  return is_word_start(c) || is_digit(c) || c == '.';
}

/* Words, numbers. */

static int hex_value(char c) {
  static const char digits[] = "0123456789abcdef";
  const char *found = c ? strchr(digits, c) : NULL;
  return found ? (int)(found - digits) : -1;
}

static retc_status read_quoted(parser *p, char **out_word) {
  const char *start = p->at++;
  const char *close = p->at;
  for (; close < p->end && *close != '"' && *close != '\n'; close++) {
    if (*close == '\\' && close + 1 < p->end) close++;
  }
  if (close == p->end || *close != '"') return fail(p, start, "this string has no end on its line");
  char *word = retc_arena_alloc(&p->arena, (size_t)(close - p->at) + 1);
  size_t length = 0;
  while (p->at < close) {
    char c = *p->at++;
    if ((unsigned char)c < 0x20 || c == 0x7f) return fail(p, p->at - 1, "a control character is written \\xHH");
    if (c == '\\') {
      const char *escape = p->at - 1;
      c = *p->at++;
      if (c == 'x' && close - p->at >= 2) {
        int high = hex_value(p->at[0]), low = hex_value(p->at[1]);
        if (high < 0 || low < 0 || high + low == 0) return fail(p, escape, "expected \\x01 to \\xff");
        c = (char)(16 * high + low);
        p->at += 2;
      } else if (c != '"' && c != '\\') {
        return fail(p, escape, "expected \\\", \\\\ or \\xHH");
      }
    }
    word[length++] = c;
  }
  word[length] = 0;
  p->at = close + 1;
  *out_word = word;
  return RETC_OK;
}

static retc_status read_word(parser *p, const char *what, char **out_word) {
  char first = peek(p);
  if (first == '"') return read_quoted(p, out_word);
  if (!is_word_start(first)) return fail(p, p->at, "expected %s", what);
  const char *start = p->at;
  while (p->at < p->end && is_word(*p->at)) p->at++;
  *out_word = retc_arena_strndup(&p->arena, start, (size_t)(p->at - start));
  return RETC_OK;
}

/* Whether the word comes next and, if so, takes it. */
static bool accept_word(parser *p, const char *word) {
  size_t length = strlen(word);
  skip_blanks(p);
  if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length) != 0) return false;
  if (p->at + length < p->end && is_word(p->at[length])) return false;
  p->at += length;
  return true;
}

/* The characters of a number. */
static retc_status read_digits(parser *p, char digits[NUMBER_LENGTH_MAX + 1]) {
  skip_blanks(p);
  size_t length = 0;
  while (p->at + length < p->end && (is_word(p->at[length]) || p->at[length] == '-' || p->at[length] == '+')) {
    if (length == NUMBER_LENGTH_MAX) return fail(p, p->at, "this number is too long");
    digits[length] = p->at[length];
    length++;
  }
  digits[length] = 0;
  if (!length) return fail(p, p->at, "expected a number");
  return RETC_OK;
}

static retc_status read_integer(parser *p, int64_t *out_value) {
  char digits[NUMBER_LENGTH_MAX + 1], *end;
  RETC_TRY(read_digits(p, digits));
  errno = 0;
  long long value = strtoll(digits, &end, 10);
  if (*end || errno) return fail(p, p->at, "expected a whole number of 64 bits, found %s", digits);
  p->at += strlen(digits);
  *out_value = value;
  return RETC_OK;
}

static retc_status read_number(parser *p, double *out_value) {
  char digits[NUMBER_LENGTH_MAX + 1], *end;
  RETC_TRY(read_digits(p, digits));
  double value = strtod(digits, &end);
  if (*end) return fail(p, p->at, "expected a number, found %s", digits);
  p->at += strlen(digits);
  *out_value = value;
  return RETC_OK;
}

/* Types. */

static retc_status read_dim(parser *p, retc_dim *out_dim) {
  char next = peek(p);
  const char *start = p->at;
  if (!is_word_start(next)) {
    RETC_TRY(read_integer(p, out_dim));
    return *out_dim >= 0 ? RETC_OK : fail(p, start, "a dimension is not negative");
  }
  char *word;
  retc_dim_name name;
  RETC_TRY(read_word(p, "a dimension", &word));
  if (!retc_dim_parse(word, strlen(word), &name)) return fail(p, start, "%s is no dimension", word);
  *out_dim = ~(retc_dim)name;
  return RETC_OK;
}

static retc_status read_type(parser *p, retc_type *out_type) {
  skip_blanks(p);
  const char *start = p->at;
  char *word;
  RETC_TRY(read_word(p, "a type", &word));
  *out_type = (retc_type){0};
  if (!retc_dtype_parse(word, strlen(word), &out_type->dtype)) return fail(p, start, "%s is no element type", word);
  RETC_TRY(expect(p, '['));
  if (accept(p, ']')) return RETC_OK;
  do {
    if (out_type->shape.rank == RETC_RANK_MAX) return fail(p, p->at, "expected at most %d axes", RETC_RANK_MAX);
    RETC_TRY(read_dim(p, &out_type->shape.dim[out_type->shape.rank++]));
  } while (accept(p, ','));
  return expect(p, ']');
}

/* Values. */

/* A number is a label for this text only, so it is told apart from a name by its first byte. */
typedef struct label {
  const char *key;
  size_t length;
  bool is_number;
} label;

static retc_status read_label(parser *p, label *out_label) {
  RETC_TRY(expect(p, '%'));
  if (p->at < p->end && is_digit(*p->at)) {
    const char *start = p->at;
    while (p->at < p->end && is_digit(*p->at)) p->at++;
    char *key = retc_arena_alloc(&p->arena, (size_t)(p->at - start) + 2);
    memcpy(key + 1, start, (size_t)(p->at - start));
    *out_label = (label){key, (size_t)(p->at - start) + 1, true};
    return RETC_OK;
  }
  char *word;
  if (p->at == p->end || (*p->at != '"' && !is_word_start(*p->at))) return fail(p, p->at, "expected a name after '%%'");
  RETC_TRY(read_word(p, "a name", &word));
  *out_label = (label){word, strlen(word), false};
  return RETC_OK;
}

static const char *label_text(const label *name) {
  return name->key + name->is_number;
}

static retc_status read_value(parser *p, retc_value *out_value) {
  skip_blanks(p);
  const char *start = p->at;
  label name;
  RETC_TRY(read_label(p, &name));
  out_value->index = retc_table_find(&p->values, name.key, name.length);
  return out_value->index ? RETC_OK : fail(p, start, "%%%s is not defined before this", label_text(&name));
}

/* Nodes. */

static retc_status read_op(parser *p, retc_op *out_op) {
  skip_blanks(p);
  const char *start = p->at;
  char *word;
  RETC_TRY(read_word(p, "an operation", &word));
  if (retc_op_parse(word, strlen(word), out_op)) return RETC_OK;
  const char *names[RETC_OP_COUNT];
  for (int i = 0; i < RETC_OP_COUNT; i++) names[i] = retc_op_get_info((retc_op)i)->name;
  const char *nearest = retc_nearest(word, names, RETC_OP_COUNT);
  if (nearest) return fail(p, start, "%s is no operation, did you mean %s?", word, nearest);
  return fail(p, start, "%s is no operation", word);
}

static retc_status read_dense(parser *p, retc_attributes *out_attributes) {
  RETC_VEC(double) numbers = {0};
  RETC_TRY(expect(p, '['));
  do {
    double number = 0;
    RETC_TRY(read_number(p, &number));
    RETC_VEC_PUSH(&p->arena, numbers, number);
  } while (accept(p, ','));
  out_attributes->dense = numbers.items;
  out_attributes->dense_count = numbers.count;
  return expect(p, ']');
}

static retc_status read_attributes(parser *p, retc_op op, retc_attributes *out_attributes) {
  *out_attributes = (retc_attributes){0};
  for (retc_attribute_walk walk = retc_attribute_walk_start(op); retc_attribute_walk_next(&walk);) {
    if (walk.kind == 'd') {
      RETC_TRY(read_dense(p, out_attributes));
      continue;
    }
    const char *name = retc_arena_strndup(&p->arena, walk.name, (size_t)walk.name_length);
    if (!accept_word(p, name)) return fail(p, p->at, "%s: expected %s=", retc_op_get_info(op)->name, name);
    RETC_TRY(expect(p, '='));
    if (walk.kind == 'i') RETC_TRY(read_integer(p, &out_attributes->integer[walk.integer]));
    if (walk.kind == 'f') RETC_TRY(read_number(p, &out_attributes->number));
    if (walk.kind == 's') {
      char *word;
      RETC_TRY(read_word(p, "a word", &word));
      out_attributes->word = word;
    }
  }
  return RETC_OK;
}

static retc_status read_inputs(parser *p, retc_value inputs[RETC_OP_INPUTS_MAX], int *out_count) {
  *out_count = 0;
  if (peek(p) != '%') return RETC_OK;
  do {
    skip_blanks(p);
    if (*out_count == RETC_OP_INPUTS_MAX) return fail(p, p->at, "expected at most %d inputs", RETC_OP_INPUTS_MAX);
    RETC_TRY(read_value(p, &inputs[(*out_count)++]));
  } while (accept(p, ','));
  return RETC_OK;
}

static retc_status define(parser *p, const char *at, const label *name, retc_value value) {
  if (retc_graph_node(p->builder.graph, value)->op == RETC_OP_INPUT && name->is_number) {
    return fail(p, at, "an input needs a name");
  }
  if (!name->is_number) retc_graph_set_name(p->builder.graph, value, name->key);
  retc_table_put(&p->arena, &p->values, name->key, name->length, value.index);
  return RETC_OK;
}

static retc_status parse_node(parser *p) {
  const char *start = p->at;
  label name;
  RETC_TRY(read_label(p, &name));
  if (retc_table_find(&p->values, name.key, name.length)) {
    return fail(p, start, "%%%s is defined twice", label_text(&name));
  }
  RETC_TRY(expect(p, '='));
  skip_blanks(p);
  const char *operation = p->at;
  retc_op op;
  retc_value inputs[RETC_OP_INPUTS_MAX];
  int input_count;
  retc_attributes attributes;
  retc_type type;
  RETC_TRY(read_op(p, &op));
  RETC_TRY(read_inputs(p, inputs, &input_count));
  RETC_TRY(read_attributes(p, op, &attributes));
  RETC_TRY(expect(p, ':'));
  skip_blanks(p);
  const char *written = p->at;
  RETC_TRY(read_type(p, &type));
  char *origin = NULL;
  if (accept(p, '@')) RETC_TRY(read_word(p, "an origin", &origin));

  p->builder.origin = origin;
  retc_value value = retc_graph_add(&p->builder, op, inputs, input_count, &type, &attributes);
  if (p->builder.status != RETC_OK) {
    const char *reason = retc_diagnostics_text(&p->reason);
    return fail(p, operation, "%.*s", (int)strcspn(reason, "\n"), reason);
  }
  const retc_type *made = &retc_graph_node(p->builder.graph, value)->type;
  if (made->dtype != type.dtype || !retc_shape_equal(&made->shape, &type.shape)) {
    retc_text text;
    retc_text_init(&text);
    retc_type_print(made, &text);
    retc_status status = fail(p, written, "%s makes %s of its inputs", retc_op_get_info(op)->name, text.data);
    retc_text_deinit(&text);
    return status;
  }
  return define(p, start, &name, value);
}

/* Regions, outputs, the whole. */

static retc_status read_folded(parser *p, retc_region_id id) {
  RETC_TRY(expect(p, '='));
  RETC_TRY(expect(p, '['));
  do {
    char *word;
    RETC_TRY(read_word(p, "the name of a fusion", &word));
    retc_graph *graph = p->builder.graph;
    retc_region *region = retc_graph_region_mutable(graph, id);
    RETC_VEC_PUSH(&graph->arena, region->folded, retc_arena_strdup(&graph->arena, word));
  } while (accept(p, ','));
  return expect(p, ']');
}

static retc_status read_schedule(parser *p, retc_region_id id) {
  RETC_TRY(expect(p, '='));
  RETC_TRY(expect(p, '['));
  retc_region *region = retc_graph_region_mutable(p->builder.graph, id);
  const int most = (int)(sizeof region->schedule / sizeof *region->schedule);
  do {
    char *word;
    struct retc_region_schedule *entry = &region->schedule[region->schedule_count];
    skip_blanks(p);
    if (region->schedule_count == most) return fail(p, p->at, "expected at most %d sizes", most);
    RETC_TRY(read_word(p, "the name of a size", &word));
    entry->name = retc_arena_strdup(&p->builder.graph->arena, word);
    region->schedule_count++;
    RETC_TRY(expect(p, '='));
    RETC_TRY(read_integer(p, &entry->value));
  } while (accept(p, ','));
  return expect(p, ']');
}

static retc_status parse_region(parser *p) {
  char *name, *anchor;
  skip_blanks(p);
  const char *start = p->at;
  RETC_TRY(read_word(p, "the name of a region", &name));
  if (retc_table_find(&p->regions, name, strlen(name))) return fail(p, start, "region %s is defined twice", name);
  RETC_TRY(read_word(p, "an anchor", &anchor));
  retc_region_id id = retc_graph_add_region(p->builder.graph, name, anchor);
  retc_table_put(&p->arena, &p->regions, name, strlen(name), id.index);
  if (accept_word(p, "folded")) RETC_TRY(read_folded(p, id));
  if (accept_word(p, "schedule")) RETC_TRY(read_schedule(p, id));
  RETC_TRY(expect(p, '{'));
  if (peek(p) == '}') return fail(p, p->at, "region %s is empty", name);
  p->builder.region = id;
  while (peek(p) == '%') RETC_TRY(parse_node(p));
  p->builder.region = (retc_region_id){0};
  return accept(p, '}') ? RETC_OK : fail(p, p->at, "expected a value or '}'");
}

static retc_status parse_output(parser *p) {
  const retc_graph *graph = p->builder.graph;
  char *name;
  retc_value value;
  skip_blanks(p);
  const char *start = p->at;
  RETC_TRY(read_word(p, "the name of an output", &name));
  if (retc_table_find(&p->outputs, name, strlen(name))) return fail(p, start, "output %s is defined twice", name);
  RETC_TRY(expect(p, '='));
  RETC_TRY(read_value(p, &value));
  const retc_node *input = retc_graph_node(graph, retc_graph_find_input(graph, name));
  if (input->name && strcmp(input->attributes.word, "state") == 0) {
    const retc_type *type = &retc_graph_node(graph, value)->type;
    if (type->dtype != input->type.dtype || !retc_shape_equal(&type->shape, &input->type.shape)) {
      return fail(p, start, "output %s has another type than the state it replaces", name);
    }
  }
  retc_table_put(&p->arena, &p->outputs, name, strlen(name), 1);
  retc_graph_add_output(p->builder.graph, name, value);
  return RETC_OK;
}

static retc_status parse_graph(parser *p) {
  char *name;
  if (!accept_word(p, "graph")) return fail(p, p->at, "expected \"graph\"");
  RETC_TRY(read_word(p, "the name of the graph", &name));
  p->builder.graph = retc_graph_create(name);
  RETC_TRY(expect(p, '{'));
  for (;;) {
    if (peek(p) == '%') {
      RETC_TRY(parse_node(p));
    } else if (accept_word(p, "region")) {
      RETC_TRY(parse_region(p));
    } else {
      break;
    }
  }
  while (accept_word(p, "output")) RETC_TRY(parse_output(p));
  if (!accept(p, '}')) {
    return fail(p, p->at, "expected %s\"output\" or '}'", p->outputs.count ? "" : "a value, \"region\", ");
  }
  skip_blanks(p);
  return p->at == p->end ? RETC_OK : fail(p, p->at, "expected nothing after the graph");
}

retc_status retc_graph_parse(const char *text, size_t length, const char *file_name, retc_diagnostics *diagnostics,
                             retc_graph **out_graph) {
  parser p = {.text = text, .end = text + length, .at = text, .file_name = file_name, .diagnostics = diagnostics};
  retc_arena_init(&p.arena);
  retc_diagnostics_init(&p.reason);
  p.builder = (retc_builder){.diagnostics = &p.reason, .keep = true};
  retc_status status = parse_graph(&p);
  retc_diagnostics_deinit(&p.reason);
  retc_arena_deinit(&p.arena);
  if (status == RETC_OK) {
    *out_graph = p.builder.graph;
  } else {
    retc_graph_destroy(p.builder.graph);
  }
  return status;
}
