/* Texts as lines of the table of strings. */
#include <stdlib.h>
#include <string.h>

#include "compiler/main/html/html.h"

enum { SPACES_MAX = 63 };

typedef struct writer {
  retc_html_strings *strings;
  retc_text *lines;
  retc_text at; /* statements */
  bool any;
} writer;

static void add_line(writer *w, const char *line, size_t length, unsigned long statement) {
  size_t spaces = 0;
  while (spaces < length && spaces < SPACES_MAX && line[spaces] == ' ') spaces++;
  size_t number = retc_html_strings_add(w->strings, line + spaces, length - spaces);
  retc_text_printf(w->lines, "%s%zu", w->any ? "," : "", number * (SPACES_MAX + 1) + spaces);
  retc_text_printf(&w->at, "%s%lu", w->any ? "," : "", statement);
  w->any = true;
}

static const char *line_end(const char *line, const char *end) {
  const char *newline = memchr(line, '\n', (size_t)(end - line));
  return newline ? newline : end;
}

void retc_html_print_lines(retc_html_strings *strings, const char *text, size_t length, retc_text *out_text) {
  writer w = {.strings = strings, .lines = out_text};
  retc_text_add(out_text, "[");
  for (const char *line = text, *end = text + length, *stop; line < end; line = stop + 1) {
    stop = line_end(line, end);
    add_line(&w, line, (size_t)(stop - line), 0);
  }
  retc_text_add(out_text, "]");
  retc_text_deinit(&w.at);
}

static void begin(writer *w) { retc_text_add(w->lines, "{\"text\":["); }

static void finish(writer *w) {
  retc_text_printf(w->lines, "],\"at\":[%s]}", w->at.data ? w->at.data : "");
  retc_text_deinit(&w->at);
}

static bool begins(const char *line, const char *word) { return !strncmp(line, word, strlen(word)); }

/* ---- LLVM IR ---- */

/* Of each node of metadata the line of its DILocation, or 0. */
typedef struct locations {
  unsigned long *line;
  size_t count;
} locations;

static bool read_location(const char *line, size_t *out_node, unsigned long *out_line) {
  char *rest;
  if (line[0] != '!' || line[1] < '0' || line[1] > '9') return false;
  *out_node = strtoul(line + 1, &rest, 10);
  static const char *const words[] = {" = !DILocation(line: ", " = distinct !DILocation(line: "};
  for (int i = 0; i < 2; i++) {
    if (!begins(rest, words[i])) continue;
    *out_line = strtoul(rest + strlen(words[i]), NULL, 10);
    return true;
  }
  return false;
}

static locations read_locations(const char *text, retc_arena *arena) {
  locations l = {NULL, 0};
  for (int round = 0; round < 2; round++) {
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
      size_t node;
      unsigned long number;
      if (!read_location(line, &node, &number)) continue;
      if (!round && node >= l.count) l.count = node + 1;
      if (round) l.line[node] = number;
    }
    if (!round) l.line = RETC_NEW_ARRAY(arena, unsigned long, l.count);
  }
  return l;
}

/* Metadata behind an instruction is left out; what it says is *out_line. */
static size_t cut_location(const char *line, size_t length, const locations *l, unsigned long *out_line) {
  static const char word[] = "!dbg !";
  *out_line = 0;
  for (size_t at = length; at-- > sizeof word;) {
    if (line[at] != '!' || strncmp(line + at, word, sizeof word - 1)) continue;
    const char *number = line + at + sizeof word - 1;
    const size_t node = strtoul(number, NULL, 10), digits = strspn(number, "0123456789");
    if (node < l->count) *out_line = l->line[node];
    size_t cut = at;
    while (cut && (line[cut - 1] == ' ' || line[cut - 1] == ',')) cut--;
    return number + digits == line + length ? cut : 0;
  }
  return length;
}

void retc_html_print_llvm(retc_html_strings *strings, const char *text, retc_text *out_text) {
  writer w = {.strings = strings, .lines = out_text};
  retc_arena arena;
  retc_arena_init(&arena);
  const locations l = read_locations(text, &arena);
  begin(&w);
  for (const char *line = text, *end = text + strlen(text), *stop; line < end; line = stop + 1) {
    stop = line_end(line, end);
    unsigned long statement;
    const size_t length = (size_t)(stop - line), cut = cut_location(line, length, &l, &statement);
    if (*line == '!') continue;
    if (cut || !length) {
      add_line(&w, line, cut, statement);
      continue;
    }
    /* "define ... !dbg !7 {" */
    const char *mark = strstr(line, " !dbg !");
    char *whole = retc_arena_printf(&arena, "%.*s {", (int)(mark - line), line);
    add_line(&w, whole, strlen(whole), 0);
  }
  finish(&w);
  retc_arena_deinit(&arena);
}

/* ---- assembly ---- */

static bool is_left_out(const char *line) {
  static const char *const words[] = {"\t.loc\t", "\t.file\t", "\t.cfi_", ".Ltmp", ".Lfunc_begin"};
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    if (begins(line, words[i])) return true;
  }
  return false;
}

void retc_html_print_assembly(retc_html_strings *strings, const char *text, retc_text *out_text) {
  writer w = {.strings = strings, .lines = out_text};
  unsigned long statement = 0, file;
  begin(&w);
  for (const char *line = text, *end = text + strlen(text), *stop; line < end; line = stop + 1) {
    stop = line_end(line, end);
    if (begins(line, "\t.section\t.debug_")) break;
    if (begins(line, "\t.loc\t")) {
      char *rest;
      file = strtoul(line + 6, &rest, 10);
      statement = file ? strtoul(rest, NULL, 10) : 0;
    }
    if (is_left_out(line)) continue;
    const bool instruction = line[0] == '\t' && line[1] != '.';
    add_line(&w, line, (size_t)(stop - line), instruction ? statement : 0);
  }
  finish(&w);
}
