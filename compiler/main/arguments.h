/* The command line: a command declares its syntax as a table with the places where values go. The parser fills them and
 * `--help` prints the same table. */
#ifndef RETC_MAIN_ARGUMENTS_H
#define RETC_MAIN_ARGUMENTS_H

#include "base/status.h"
#include "base/text.h"

typedef enum retc_option_kind {
  RETC_OPTION_FLAG,    /* bool *target */
  RETC_OPTION_TEXT,    /* const char **target */
  RETC_OPTION_PAIR,    /* const char *target[2]: two words, --name A B or --name=A B */
  RETC_OPTION_INTEGER, /* int64_t *target, low <= value <= high */
  RETC_OPTION_NUMBER,  /* double *target, low <= value <= high */
} retc_option_kind;

typedef struct retc_option {
  const char *name; /* without the dashes */
  char letter;      /* of the short form; 0: none */
  const char *word; /* what the value is called in help, "A B" for a pair; NULL for a flag */
  const char *help;
  retc_option_kind kind;
  void *target; /* keeps its value, the default, when the option is not given */
  double low, high;
} retc_option;

/* Options are written --name VALUE, --name=VALUE, -l VALUE or -lVALUE, in any place; all behind -- is positional. */
typedef struct retc_syntax {
  const char *command;
  const char *summary;
  const char *positional; /* the one positional argument, "MODEL"; NULL: none */
  const retc_option *options;
  size_t option_count;
} retc_syntax;

/* `words` are those behind the command's name. *out_help: --help was asked for, and nothing else was done.
 * RETC_INVALID: an unknown or repeated option, a missing or malformed value, too few or too many words. */
retc_status retc_arguments_parse(const retc_syntax *syntax, int count, char **words, retc_diagnostics *diagnostics,
                                 const char **out_positional, bool *out_help);
void retc_arguments_print_help(const retc_syntax *syntax, retc_text *out_text);

/* The whole of `text` as a number in low..high; `what` names it in the message. */
retc_status retc_arguments_parse_integer(const char *what, const char *text, int64_t low, int64_t high,
                                         retc_diagnostics *diagnostics, int64_t *out_value);
/* "1,2,3", each in low..high. *out_values is the caller's to free. */
retc_status retc_arguments_parse_list(const char *what, const char *text, int64_t low, int64_t high,
                                      retc_diagnostics *diagnostics, int64_t **out_values, int64_t *out_count);

#endif
