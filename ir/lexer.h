/* Reading program text: words, numbers, types, comments. What the parsers of graphs, kernels and programs share.
 *
 * A comment reaches from '#' to the end of its line. On lines of its own it belongs to what comes next
 * (retc_lexer_take_comment); behind something on the same line it is that thing's remark (retc_lexer_take_remark). Both
 * are kept and printed again. Functions that return retc_status fail with RETC_INVALID: "file:line:column: message",
 * the line, a caret. */
#ifndef RETC_IR_LEXER_H
#define RETC_IR_LEXER_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/shape.h"
#include "base/status.h"
#include "base/text.h"

typedef struct retc_lexer {
  const char *text, *end, *at;
  const char *file_name;
  retc_diagnostics *diagnostics;
  retc_arena arena;    /* of words and comments; ended by deinit */
  const char *comment; /* on lines of their own since the last take, joined by newlines; NULL: none */
  const char *remark;  /* behind something on its line, likewise */
  const char *blank, *blank_end; /* the blanks and comments skipped last */
} retc_lexer;

/* Everything is borrowed until deinit. */
void retc_lexer_init(retc_lexer *lexer, const char *text, size_t length, const char *file_name,
                     retc_diagnostics *diagnostics);
void retc_lexer_deinit(retc_lexer *lexer);

/* Complains about the place `at` of the text. */
retc_status retc_lexer_fail(const retc_lexer *lexer, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of any text: used when a place is remembered for longer than a lexer lives. */
retc_status retc_text_fail(const char *text, size_t length, const char *file_name, size_t offset,
                           retc_diagnostics *diagnostics, const char *message);

/* The next character that is neither blank nor in a comment, 0 at the end. lexer->at stands on it. */
char retc_lexer_peek(retc_lexer *lexer);
/* Where the next thing begins. */
const char *retc_lexer_place(retc_lexer *lexer);
bool retc_lexer_accept(retc_lexer *lexer, char c);
retc_status retc_lexer_expect(retc_lexer *lexer, char c);
/* Whether these very characters come next ("..", "+="); if so, takes them. */
bool retc_lexer_accept_text(retc_lexer *lexer, const char *text);
/* Whether the word comes next, whole; if so, takes it. */
bool retc_lexer_accept_word(retc_lexer *lexer, const char *word);
retc_status retc_lexer_expect_word(retc_lexer *lexer, const char *word);

/* A plain or quoted word on the lexer's arena. `what` completes "expected ...". */
retc_status retc_lexer_read_word(retc_lexer *lexer, const char *what, const char **out_word);
/* Fails at `at`: "NAME is no WHAT, did you mean ...?"; a single letter is no misspelt word. */
retc_status retc_lexer_unknown(const retc_lexer *lexer, const char *at, const char *name, const char *what,
                               const char *const *candidates, size_t count);
/* One of `words`; `what` without its article. A word that is near none of a few gets them all. */
retc_status retc_lexer_choose(retc_lexer *lexer, const char *what, const char *const *words, size_t count,
                              size_t *out_index);
retc_status retc_lexer_read_integer(retc_lexer *lexer, int64_t *out_value);
/* The characters of a number, whatever they mean. */
enum { RETC_NUMERAL_MAX = 63 };
retc_status retc_lexer_read_numeral(retc_lexer *lexer, char out_digits[RETC_NUMERAL_MAX + 1]);
retc_status retc_lexer_read_number(retc_lexer *lexer, double *out_value);
/* A decimal number, inf or nan, with a sign or without; whether `digits` is one. */
bool retc_numeral_parse(const char *digits, double *out_value);
/* "[1.0, 2.0]", on the lexer's arena. */
retc_status retc_lexer_read_numbers(retc_lexer *lexer, const double **out_values, size_t *out_count);
/* f32[B,T,256] */
retc_status retc_lexer_read_type(retc_lexer *lexer, retc_dtype *out_dtype, retc_shape *out_shape);

/* The comment lines read since the last take, those directly before what comes next included; NULL: none. On the
 * lexer's arena. */
const char *retc_lexer_take_comment(retc_lexer *lexer);
/* Comments behind what has been read since the last take, up to the end of this line; NULL: none. */
const char *retc_lexer_take_remark(retc_lexer *lexer);

/* Printing, the other direction. A word is printed plain when it is made of letters, digits, '_', '.' and '~' and
 * begins with a letter or '_', else quoted. */
bool retc_word_is_plain(const char *word);
void retc_word_print(const char *word, retc_text *out_text);
void retc_quoted_print(const char *word, retc_text *out_text);
void retc_numbers_print(const double *values, size_t count, retc_text *out_text);
void retc_typed_shape_print(retc_dtype dtype, const retc_shape *shape, retc_text *out_text);
/* Lines of a comment, each "# ..." behind `indent` spaces; nothing for NULL. */
void retc_comment_print(const char *comment, int indent, retc_text *out_text);
/* "  # ..." when there is one, and the end of the line. */
void retc_remark_print(const char *remark, retc_text *out_text);

bool retc_char_is_digit(char c);
bool retc_char_is_word_start(char c);
bool retc_char_is_word(char c);

#endif
