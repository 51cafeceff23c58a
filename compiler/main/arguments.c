#include "compiler/main/arguments.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 32 };

retc_status retc_arguments_parse_integer(const char *what, const char *text, int64_t low, int64_t high,
                                         retc_diagnostics *diagnostics, int64_t *out_value) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  /* strtoll also takes leading blanks and a plus sign. */
  bool plain = (text[0] >= '0' && text[0] <= '9') || text[0] == '-';
  if (!plain || *end || errno || value < low || value > high) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: found \"%s\", expected a whole number in %lld..%lld", what, text,
                     (long long)low, (long long)high);
  }
  *out_value = value;
  return RETC_OK;
}

static retc_status parse_number(const char *what, const char *text, double low, double high,
                                retc_diagnostics *diagnostics, double *out_value) {
  char *end;
  double value = strtod(text, &end);
  bool plain = text[0] && strspn(text, "0123456789+-.eE") == strlen(text);
  if (!plain || *end || !isfinite(value) || value < low || value > high) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: found \"%s\", expected a number in %g..%g", what, text, low, high);
  }
  *out_value = value;
  return RETC_OK;
}

retc_status retc_arguments_parse_list(const char *what, const char *text, int64_t low, int64_t high,
                                      retc_diagnostics *diagnostics, int64_t **out_values, int64_t *out_count) {
  size_t commas = 0;
  for (const char *c = text; *c; c++) commas += *c == ',';
  char *copy = strdup(text);
  int64_t *values = malloc((commas + 1) * sizeof *values);
  retc_status status = copy && values ? RETC_OK : retc_fail(diagnostics, RETC_FAILED, "%s: memory refused", what);
  char *rest = copy;
  for (size_t i = 0; i <= commas && status == RETC_OK; i++) {
    status = retc_arguments_parse_integer(what, strsep(&rest, ","), low, high, diagnostics, &values[i]);
  }
  free(copy);
  if (status != RETC_OK) {
    free(values);
    return status;
  }
  *out_values = values;
  *out_count = (int64_t)commas + 1;
  return RETC_OK;
}

static retc_status unknown(const retc_syntax *syntax, const char *word, int length, retc_diagnostics *diagnostics) {
  const char *names[OPTIONS_MAX + 1] = {"help"};
  size_t count = 1;
  for (size_t i = 0; i < syntax->option_count; i++) names[count++] = syntax->options[i].name;
  char *name = strndup(word + strspn(word, "-"), (size_t)length - strspn(word, "-"));
  const char *nearest = name ? retc_nearest(name, names, count) : NULL;
  free(name);
  if (nearest) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: unknown option %.*s, did you mean --%s?", syntax->command,
                     length, word, nearest);
  }
  return retc_fail(diagnostics, RETC_INVALID, "%s: unknown option %.*s, see retc %s --help", syntax->command,
                   length, word, syntax->command);
}

/* The option that `word` names; *out_value is what the word itself holds as its value, NULL when it holds none. */
static const retc_option *find(const retc_syntax *syntax, const char *word, const char **out_value) {
  bool is_long = word[1] == '-';
  size_t length = is_long ? strcspn(word + 2, "=") : 1;
  const char *behind = word + (is_long ? 2 : 1) + length;
  *out_value = !*behind ? NULL : is_long ? behind + 1 : behind;
  for (size_t i = 0; i < syntax->option_count; i++) {
    const retc_option *option = &syntax->options[i];
    if (is_long && strlen(option->name) == length && memcmp(option->name, word + 2, length) == 0) return option;
    /* A flag has no value to hold, so -nx is not a form of it. */
    if (!is_long && option->letter == word[1] && (option->word || !*out_value)) return option;
  }
  return NULL;
}

static retc_status assign(const retc_syntax *syntax, const retc_option *option, const char *value,
                          retc_diagnostics *diagnostics) {
  char what[80];
  snprintf(what, sizeof what, "%s: --%s", syntax->command, option->name);
  switch (option->kind) {
    case RETC_OPTION_FLAG:
      if (value) return retc_fail(diagnostics, RETC_INVALID, "%s: found \"%s\", expected no value", what, value);
      *(bool *)option->target = true;
      return RETC_OK;
    case RETC_OPTION_TEXT:
    case RETC_OPTION_PAIR:
      *(const char **)option->target = value;
      return RETC_OK;
    case RETC_OPTION_INTEGER:
      return retc_arguments_parse_integer(what, value, (int64_t)option->low, (int64_t)option->high, diagnostics,
                                          option->target);
    case RETC_OPTION_NUMBER:
      return parse_number(what, value, option->low, option->high, diagnostics, option->target);
  }
  return RETC_OK;
}

/* The value of an option is no question. */
static bool asks_for_help(const retc_syntax *syntax, int count, char **words) {
  for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
    const char *word = words[i], *value;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return true;
    const retc_option *option = word[0] == '-' && word[1] ? find(syntax, word, &value) : NULL;
    if (option && option->word && !value) i++;
    if (option && option->kind == RETC_OPTION_PAIR) i++;
  }
  return false;
}

/* One option with its value; *at moves to the last word used. */
static retc_status take_option(const retc_syntax *syntax, int count, char **words, int *at, bool *given,
                               retc_diagnostics *diagnostics) {
  const char *word = words[*at], *value;
  const retc_option *option = find(syntax, word, &value);
  if (!option) return unknown(syntax, word, (int)strcspn(word, "="), diagnostics);
  if (given[option - syntax->options]) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: --%s is given twice", syntax->command, option->name);
  }
  given[option - syntax->options] = true;
  if (option->word && !value) {
    if (*at + 1 == count) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: --%s has no value, expected --%s %s", syntax->command,
                       option->name, option->name, option->word);
    }
    value = words[++*at];
  }
  if (option->kind == RETC_OPTION_PAIR) {
    if (*at + 1 == count) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: --%s has one value, expected --%s %s", syntax->command,
                       option->name, option->name, option->word);
    }
    ((const char **)option->target)[1] = words[++*at];
  }
  return assign(syntax, option, value, diagnostics);
}

retc_status retc_arguments_parse(const retc_syntax *syntax, int count, char **words, retc_diagnostics *diagnostics,
                                 const char **out_positional, bool *out_help) {
  const char *positional = NULL;
  bool given[OPTIONS_MAX] = {false};
  bool only_positional = false;
  *out_help = asks_for_help(syntax, count, words);
  if (*out_help) return RETC_OK;
  for (int i = 0; i < count; i++) {
    const char *word = words[i];
    if (!only_positional && strcmp(word, "--") == 0) {
      only_positional = true;
    } else if (!only_positional && word[0] == '-' && word[1]) {
      RETC_TRY(take_option(syntax, count, words, &i, given, diagnostics));
    } else if (!syntax->positional || positional) {
      return retc_fail(diagnostics, RETC_INVALID, "%s: unexpected argument \"%s\", see retc %s --help",
                       syntax->command, word, syntax->command);
    } else {
      positional = word;
    }
  }
  if (syntax->positional && !positional) {
    return retc_fail(diagnostics, RETC_INVALID, "%s: no %s given, see retc %s --help", syntax->command,
                     syntax->positional, syntax->command);
  }
  *out_positional = positional;
  return RETC_OK;
}

void retc_arguments_print_help(const retc_syntax *syntax, retc_text *out_text) {
  retc_text_printf(out_text, "usage: retc %s%s%s [options]\n%s\n\noptions:\n", syntax->command,
                   syntax->positional ? " " : "", syntax->positional ? syntax->positional : "", syntax->summary);
  for (size_t i = 0; i < syntax->option_count; i++) {
    const retc_option *option = &syntax->options[i];
    char form[64];
    char letter[] = {'-', option->letter, ',', ' ', 0};
    snprintf(form, sizeof form, "%s--%s%s%s", option->letter ? letter : "", option->name, option->word ? " " : "",
             option->word ? option->word : "");
    retc_text_printf(out_text, "  %-26s %s\n", form, option->help);
  }
  retc_text_printf(out_text, "  %-26s %s\n", "-h, --help", "this text");
}
