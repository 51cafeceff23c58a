#include "ir/lexer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 120 };

void retc_lexer_init(retc_lexer *lexer, const char *text, size_t length, const char *file_name,
                     retc_diagnostics *diagnostics) {
  if (!length) text = ""; /* an empty file may come as NULL */
  *lexer = (retc_lexer){.text = text, .end = text + length, .at = text, .file_name = file_name,
                        .diagnostics = diagnostics};
  retc_arena_init(&lexer->arena);
}

void retc_lexer_deinit(retc_lexer *lexer) { retc_arena_deinit(&lexer->arena); }

/* Of a very long line only what is around the place. */
retc_status retc_text_fail(const char *text, size_t length, const char *file_name, size_t offset,
                           retc_diagnostics *diagnostics, const char *message) {
  size_t line = 1;
  const char *start = text, *at = text + offset, *end = at;
  for (const char *c = text; c < at; c++) {
    if (*c != '\n') continue;
    line++;
    start = c + 1;
  }
  while (end < text + length && *end != '\n') end++;
  size_t column = (size_t)(at - start);
  size_t skipped = column < SHOWN_MAX ? 0 : column - SHOWN_MAX / 2, count = (size_t)(end - start) - skipped;
  char shown[SHOWN_MAX + 1];
  if (count > SHOWN_MAX) count = SHOWN_MAX;
  for (size_t i = 0; i < count; i++) {
    unsigned char c = (unsigned char)start[skipped + i];
    shown[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
  }
  shown[count] = 0;
  return retc_fail(diagnostics, RETC_INVALID, "%s:%zu:%zu: %s\n%s\n%*s^", file_name, line, column + 1, message, shown,
                   (int)(column - skipped), "");
}

retc_status retc_lexer_fail(const retc_lexer *lexer, const char *at, const char *format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return retc_text_fail(lexer->text, (size_t)(lexer->end - lexer->text), lexer->file_name, (size_t)(at - lexer->text),
                        lexer->diagnostics, message);
}

/* ---- blanks and comments ---- */

bool retc_char_is_digit(char c) { return c >= '0' && c <= '9'; }

bool retc_char_is_word_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

bool retc_char_is_word(char c) { return retc_char_is_word_start(c) || retc_char_is_digit(c) || c == '.' || c == '~'; }

/* A word that is followed by "..", as in a range of a loop, ends before it. */
static bool word_goes_on(const retc_lexer *lexer, const char *at) {
  if (at >= lexer->end || !retc_char_is_word(*at)) return false;
  return *at != '.' || at + 1 >= lexer->end || at[1] != '.';
}

/* The text of the comment that begins at lexer->at, without "# " and the blanks at its end. Control characters, 0 among
 * them, count as blanks. */
static const char *read_comment(retc_lexer *lexer) {
  const char *start = ++lexer->at;
  while (lexer->at < lexer->end && *lexer->at != '\n') lexer->at++;
  if (start < lexer->at && *start == ' ') start++;
  size_t length = (size_t)(lexer->at - start);
  char *comment = retc_arena_alloc(&lexer->arena, length + 1);
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)start[i];
    comment[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
  }
  while (length && comment[length - 1] == ' ') length--;
  comment[length] = 0;
  return comment;
}

/* Lines are kept apart by '\n', empty ones too; remarks by ' '. */
static const char *join(retc_lexer *lexer, const char *first, const char *second, char between) {
  if (!first || !second) return first ? first : second;
  if (between == ' ' && (!*first || !*second)) return *first ? first : second;
  return retc_arena_printf(&lexer->arena, "%s%c%s", first, between, second);
}

static void skip_blanks(retc_lexer *lexer) {
  bool new_line = lexer->at == lexer->text;
  const char *start = lexer->at;
  while (lexer->at < lexer->end && memchr(" \t\r\n#", *lexer->at, 5)) {
    if (*lexer->at != '#') {
      new_line = new_line || *lexer->at == '\n';
      lexer->at++;
    } else if (new_line) {
      lexer->comment = join(lexer, lexer->comment, read_comment(lexer), '\n');
    } else {
      lexer->remark = join(lexer, lexer->remark, read_comment(lexer), ' ');
    }
  }
  if (lexer->at > start) {
    lexer->blank = start;
    lexer->blank_end = lexer->at;
  }
}

/* Where something is missing: at the end of a line that ended too early, not at what the next one begins with. */
static const char *find_gap(retc_lexer *lexer) {
  skip_blanks(lexer);
  const char *blank = lexer->blank;
  if (lexer->blank_end != lexer->at || blank == lexer->text) return lexer->at;
  return memchr(blank, '\n', (size_t)(lexer->at - blank)) ? blank : lexer->at;
}

/* A remark that nothing has taken, behind a '}' perhaps, becomes a line of its own. */
const char *retc_lexer_take_comment(retc_lexer *lexer) {
  skip_blanks(lexer);
  const char *comment = join(lexer, lexer->remark, lexer->comment, '\n');
  lexer->comment = lexer->remark = NULL;
  return comment;
}

const char *retc_lexer_take_remark(retc_lexer *lexer) {
  const char *at = lexer->at;
  while (at < lexer->end && (*at == ' ' || *at == '\t')) at++;
  if (at < lexer->end && *at == '#' && at > lexer->text && at[-1] != '\n') {
    lexer->at = at;
    lexer->remark = join(lexer, lexer->remark, read_comment(lexer), ' ');
  }
  const char *remark = lexer->remark;
  lexer->remark = NULL;
  return remark;
}

char retc_lexer_peek(retc_lexer *lexer) {
  skip_blanks(lexer);
  return lexer->at < lexer->end ? *lexer->at : 0;
}

const char *retc_lexer_place(retc_lexer *lexer) {
  skip_blanks(lexer);
  return lexer->at;
}

bool retc_lexer_accept(retc_lexer *lexer, char c) {
  if (retc_lexer_peek(lexer) != c || lexer->at == lexer->end) return false;
  lexer->at++;
  return true;
}

retc_status retc_lexer_expect(retc_lexer *lexer, char c) {
  return retc_lexer_accept(lexer, c) ? RETC_OK : retc_lexer_fail(lexer, find_gap(lexer), "expected '%c'", c);
}

bool retc_lexer_accept_text(retc_lexer *lexer, const char *text) {
  size_t length = strlen(text);
  skip_blanks(lexer);
  if ((size_t)(lexer->end - lexer->at) < length || memcmp(lexer->at, text, length) != 0) return false;
  lexer->at += length;
  return true;
}

bool retc_lexer_accept_word(retc_lexer *lexer, const char *word) {
  size_t length = strlen(word);
  skip_blanks(lexer);
  if ((size_t)(lexer->end - lexer->at) < length || memcmp(lexer->at, word, length) != 0) return false;
  if (word_goes_on(lexer, lexer->at + length)) return false;
  lexer->at += length;
  return true;
}

retc_status retc_lexer_expect_word(retc_lexer *lexer, const char *word) {
  if (retc_lexer_accept_word(lexer, word)) return RETC_OK;
  return retc_lexer_fail(lexer, find_gap(lexer), "expected \"%s\"", word);
}

/* ---- words ---- */

static int hex_value(char c) {
  static const char digits[] = "0123456789abcdef";
  const char *found = c ? strchr(digits, c) : NULL;
  return found ? (int)(found - digits) : -1;
}

static retc_status read_quoted(retc_lexer *lexer, const char **out_word) {
  const char *start = lexer->at++;
  const char *close = lexer->at;
  for (; close < lexer->end && *close != '"' && *close != '\n'; close++) {
    if (*close == '\\' && close + 1 < lexer->end) close++;
  }
  if (close == lexer->end || *close != '"') return retc_lexer_fail(lexer, start, "this string has no end on its line");
  char *word = retc_arena_alloc(&lexer->arena, (size_t)(close - lexer->at) + 1);
  size_t length = 0;
  while (lexer->at < close) {
    char c = *lexer->at++;
    if ((unsigned char)c < 0x20 || c == 0x7f) {
      return retc_lexer_fail(lexer, lexer->at - 1, "a control character is written \\xHH");
    }
    if (c == '\\') {
      const char *escape = lexer->at - 1;
      c = *lexer->at++;
      if (c == 'x' && close - lexer->at >= 2) {
        int high = hex_value(lexer->at[0]), low = hex_value(lexer->at[1]);
        if (high < 0 || low < 0 || high + low == 0) return retc_lexer_fail(lexer, escape, "expected \\x01 to \\xff");
        c = (char)(16 * high + low);
        lexer->at += 2;
      } else if (c != '"' && c != '\\') {
        return retc_lexer_fail(lexer, escape, "expected \\\", \\\\ or \\xHH");
      }
    }
    word[length++] = c;
  }
  word[length] = 0;
  lexer->at = close + 1;
  *out_word = word;
  return RETC_OK;
}

retc_status retc_lexer_read_word(retc_lexer *lexer, const char *what, const char **out_word) {
  char first = retc_lexer_peek(lexer);
  if (first == '"') return read_quoted(lexer, out_word);
  if (!retc_char_is_word_start(first)) return retc_lexer_fail(lexer, lexer->at, "expected %s", what);
  const char *start = lexer->at;
  while (word_goes_on(lexer, lexer->at)) lexer->at++;
  *out_word = retc_arena_strndup(&lexer->arena, start, (size_t)(lexer->at - start));
  return RETC_OK;
}

retc_status retc_lexer_unknown(const retc_lexer *lexer, const char *at, const char *name, const char *what,
                               const char *const *candidates, size_t count) {
  const char *nearest = strlen(name) > 1 ? retc_nearest(name, candidates, count) : NULL;
  if (nearest) return retc_lexer_fail(lexer, at, "%.200s is no %s, did you mean %.200s?", name, what, nearest);
  return retc_lexer_fail(lexer, at, "%.200s is no %s", name, what);
}

/* "a, b or c" */
static const char *list_words(retc_lexer *lexer, const char *const *words, size_t count) {
  const char *list = "";
  for (size_t i = 0; i < count; i++) {
    list = retc_arena_printf(&lexer->arena, "%s%s%s", list, !i ? "" : i + 1 < count ? ", " : " or ", words[i]);
  }
  return list;
}

retc_status retc_lexer_choose(retc_lexer *lexer, const char *what, const char *const *words, size_t count,
                              size_t *out_index) {
  enum { LISTED_MAX = 12 };
  const char first = retc_lexer_peek(lexer), *start = lexer->at, *word;
  const char *article = strchr("aeio", *what) ? "an" : "a";
  if (first != '"' && !retc_char_is_word_start(first)) {
    return retc_lexer_fail(lexer, find_gap(lexer), "expected %s %s", article, what);
  }
  RETC_TRY(retc_lexer_read_word(lexer, what, &word));
  for (size_t i = 0; i < count; i++) {
    if (strcmp(words[i], word)) continue;
    *out_index = i;
    return RETC_OK;
  }
  if (count > LISTED_MAX || (strlen(word) > 1 && retc_nearest(word, words, count))) {
    return retc_lexer_unknown(lexer, start, word, what, words, count);
  }
  return retc_lexer_fail(lexer, start, "%.200s is no %s, expected %s", word, what, list_words(lexer, words, count));
}

/* ---- numbers ---- */

/* A sign belongs to a number at its start and behind an exponent's e only. */
static bool number_goes_on(const retc_lexer *lexer, const char *start, const char *at) {
  if (at >= lexer->end) return false;
  if (*at == '-' || *at == '+') return at == start || at[-1] == 'e' || at[-1] == 'E';
  return *at != '~' && word_goes_on(lexer, at);
}

static retc_status peek_numeral(retc_lexer *lexer, char digits[RETC_NUMERAL_MAX + 1]) {
  const char *start = retc_lexer_place(lexer), *at = start;
  for (; number_goes_on(lexer, start, at); at++) {
    if (at - start == RETC_NUMERAL_MAX) return retc_lexer_fail(lexer, start, "this number is too long");
    digits[at - start] = *at;
  }
  digits[at - start] = 0;
  return at > start ? RETC_OK : retc_lexer_fail(lexer, find_gap(lexer), "expected a number");
}

retc_status retc_lexer_read_numeral(retc_lexer *lexer, char digits[RETC_NUMERAL_MAX + 1]) {
  RETC_TRY(peek_numeral(lexer, digits));
  lexer->at += strlen(digits);
  return RETC_OK;
}

retc_status retc_lexer_read_integer(retc_lexer *lexer, int64_t *out_value) {
  char digits[RETC_NUMERAL_MAX + 1], *end;
  RETC_TRY(peek_numeral(lexer, digits));
  errno = 0;
  long long value = strtoll(digits, &end, 10);
  if (*end || errno) {
    return retc_lexer_fail(lexer, lexer->at, "expected a whole number of 64 bits, found %s", digits);
  }
  lexer->at += strlen(digits);
  *out_value = value;
  return RETC_OK;
}

/* strtod takes more: 0x1p3, infinity, nan(1). */
bool retc_numeral_parse(const char *digits, double *out_value) {
  const char *start = digits + (*digits == '-' || *digits == '+');
  char *end;
  *out_value = strtod(digits, &end);
  if (*end) return false;
  return !strcmp(start, "inf") || !strcmp(start, "nan") || strspn(start, "0123456789.eE+-") == strlen(start);
}

retc_status retc_lexer_read_number(retc_lexer *lexer, double *out_value) {
  char digits[RETC_NUMERAL_MAX + 1];
  double value;
  RETC_TRY(peek_numeral(lexer, digits));
  if (!retc_numeral_parse(digits, &value)) {
    return retc_lexer_fail(lexer, lexer->at, "expected a number, found %s", digits);
  }
  lexer->at += strlen(digits);
  *out_value = value;
  return RETC_OK;
}

retc_status retc_lexer_read_numbers(retc_lexer *lexer, const double **out_values, size_t *out_count) {
  RETC_VEC(double) numbers = {0};
  RETC_TRY(retc_lexer_expect(lexer, '['));
  do {
    double number = 0;
    RETC_TRY(retc_lexer_read_number(lexer, &number));
    RETC_VEC_PUSH(&lexer->arena, numbers, number);
  } while (retc_lexer_accept(lexer, ','));
  *out_values = numbers.items;
  *out_count = numbers.count;
  return retc_lexer_expect(lexer, ']');
}

/* ---- types ---- */

/* The scalars among the names are the size of no axis. */
static retc_status read_dim(retc_lexer *lexer, retc_dim *out_dim) {
  const char *start = retc_lexer_place(lexer);
  char first = retc_lexer_peek(lexer);
  if (retc_char_is_digit(first) || first == '-' || first == '+') {
    RETC_TRY(retc_lexer_read_integer(lexer, out_dim));
    return *out_dim >= 0 ? RETC_OK : retc_lexer_fail(lexer, start, "a dimension is not negative");
  }
  const char *names[RETC_DIM_COUNT];
  retc_dim dims[RETC_DIM_COUNT];
  size_t count = 0, index;
  for (int i = 0; i < RETC_DIM_COUNT; i++) {
    if (!retc_dim_is_axis((retc_dim_name)i)) continue;
    dims[count] = ~(retc_dim)i;
    names[count++] = retc_dim_text((retc_dim_name)i);
  }
  RETC_TRY(retc_lexer_choose(lexer, "dimension", names, count, &index));
  *out_dim = dims[index];
  return RETC_OK;
}

retc_status retc_lexer_read_type(retc_lexer *lexer, retc_dtype *out_dtype, retc_shape *out_shape) {
  const char *names[RETC_DTYPE_COUNT];
  size_t index;
  for (int i = 0; i < RETC_DTYPE_COUNT; i++) names[i] = retc_dtype_name((retc_dtype)i);
  RETC_TRY(retc_lexer_choose(lexer, "element type", names, RETC_DTYPE_COUNT, &index));
  *out_dtype = (retc_dtype)index;
  *out_shape = (retc_shape){0};
  RETC_TRY(retc_lexer_expect(lexer, '['));
  if (retc_lexer_accept(lexer, ']')) return RETC_OK;
  do {
    if (out_shape->rank == RETC_RANK_MAX) {
      return retc_lexer_fail(lexer, lexer->at, "expected at most %d axes", RETC_RANK_MAX);
    }
    RETC_TRY(read_dim(lexer, &out_shape->dim[out_shape->rank++]));
  } while (retc_lexer_accept(lexer, ','));
  return retc_lexer_expect(lexer, ']');
}

/* ---- printing ---- */

bool retc_word_is_plain(const char *word) {
  if (!retc_char_is_word_start(*word)) return false;
  for (const char *c = word; *c; c++) {
    if (!retc_char_is_word(*c) || (*c == '.' && c[1] == '.')) return false;
  }
  return true;
}

void retc_quoted_print(const char *word, retc_text *out_text) {
  retc_text_add(out_text, "\"");
  for (; *word; word++) {
    unsigned char c = (unsigned char)*word;
    if (c == '"' || c == '\\') {
      retc_text_printf(out_text, "\\%c", c);
    } else if (c < 0x20 || c == 0x7f) {
      retc_text_printf(out_text, "\\x%02x", c);
    } else {
      retc_text_append(out_text, word, 1);
    }
  }
  retc_text_add(out_text, "\"");
}

void retc_word_print(const char *word, retc_text *out_text) {
  if (retc_word_is_plain(word)) {
    retc_text_add(out_text, word);
  } else {
    retc_quoted_print(word, out_text);
  }
}

void retc_numbers_print(const double *values, size_t count, retc_text *out_text) {
  retc_text_add(out_text, "[");
  for (size_t i = 0; i < count; i++) {
    if (i) retc_text_add(out_text, ", ");
    retc_text_number(out_text, values[i]);
  }
  retc_text_add(out_text, "]");
}

void retc_typed_shape_print(retc_dtype dtype, const retc_shape *shape, retc_text *out_text) {
  retc_text_printf(out_text, "%s[", retc_dtype_name(dtype));
  for (int i = 0; i < shape->rank; i++) {
    retc_dim dim = shape->dim[i];
    if (i) retc_text_add(out_text, ",");
    if (retc_dim_is_named(dim)) {
      retc_text_add(out_text, retc_dim_text((retc_dim_name)~dim));
    } else {
      retc_text_printf(out_text, "%lld", (long long)dim);
    }
  }
  retc_text_add(out_text, "]");
}

void retc_comment_print(const char *comment, int indent, retc_text *out_text) {
  while (comment) {
    const char *end = strchr(comment, '\n');
    size_t length = end ? (size_t)(end - comment) : strlen(comment);
    retc_text_printf(out_text, "%*s%s", indent, "", length ? "# " : "#");
    retc_text_append(out_text, comment, length);
    retc_text_add(out_text, "\n");
    comment = end ? end + 1 : NULL;
  }
}

void retc_remark_print(const char *remark, retc_text *out_text) {
  if (remark) retc_text_printf(out_text, *remark ? "  # %s" : "  #", remark);
  retc_text_add(out_text, "\n");
}
