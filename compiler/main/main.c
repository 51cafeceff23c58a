#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "compiler/main/commands.h"

typedef struct command {
  const char *name, *summary;
  retc_status (*run)(int count, char **words, retc_diagnostics *diagnostics);
} command;

static const command commands[] = {
    {"run", "generate text, token by token", retc_run_command},
    {"eval", "logits and states of given tokens, or nats per token of a text", retc_eval_command},
    {"verify", "do the forms agree, compiled and interpreted, and by how much", retc_verify_command},
    {"bench", "how near to the limits of this machine a model runs", retc_bench_command},
    {"explain", "how a model description was read: choices, parameters, memory", retc_explain_command},
    {"dump", "print the program after any pass, LLVM IR or assembly", retc_dump_command},
    {"opt", "run passes on program text, check them, interpret it", retc_opt_command},
    {"compile", "write LLVM IR, assembly, object file and plan to a directory", retc_compile_command},
    {"ops", "list the operations and the passes", retc_ops_command},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_usage(retc_text *out_text) {
  retc_text_add(out_text, "usage: retc COMMAND [arguments]\nCompiles retention networks and runs them.\n\ncommands:\n");
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    retc_text_printf(out_text, "  %-10s %s\n", commands[i].name, commands[i].summary);
  }
  retc_text_add(out_text,
                "\nretc COMMAND --help lists the options of a command; retc --version prints the version.\n"
                "MODEL is a directory with config.json and *.safetensors, or a bare config.json.\n"
                "Exit status: 0 done; 1 the work failed; 2 the command or its input was wrong.\n");
}

static retc_status dispatch(int count, char **words, retc_diagnostics *diagnostics) {
  const char *names[COMMAND_COUNT];
  retc_text text;
  retc_text_init(&text);
  for (size_t i = 0; i < COMMAND_COUNT; i++) names[i] = commands[i].name;
  retc_status status = RETC_OK;
  if (count == 0) {
    print_usage(&text);
    fputs(text.data, stderr);
    status = RETC_INVALID;
  } else if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
    print_usage(&text);
    status = retc_output_write(text.data, text.length, diagnostics);
  } else if (strcmp(words[0], "--version") == 0) {
    retc_text_printf(&text, "retc %s\n", retc_version());
    status = retc_output_write(text.data, text.length, diagnostics);
  } else {
    size_t index;
    status = retc_choose("command", words[0], names, COMMAND_COUNT, diagnostics, &index);
    if (status == RETC_OK) status = commands[index].run(count - 1, words + 1, diagnostics);
  }
  retc_text_deinit(&text);
  return status;
}

int main(int count, char **words) {
  /* A reader that goes away is seen as a failed write, so that memory and files are let go in the ordinary way. */
  signal(SIGPIPE, SIG_IGN);
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_status status = dispatch(count > 0 ? count - 1 : 0, words + 1, &diagnostics);
  const char *message = retc_diagnostics_text(&diagnostics);
  if (status != RETC_OK && *message) fprintf(stderr, "retc: %s", message);
  retc_diagnostics_deinit(&diagnostics);
  return status == RETC_INTERNAL ? RETC_FAILED : (int)status;
}

retc_status retc_command_begin(const retc_syntax *syntax, int count, char **words, retc_diagnostics *diagnostics,
                               const char **out_positional, bool *out_help) {
  RETC_TRY(retc_arguments_parse(syntax, count, words, diagnostics, out_positional, out_help));
  if (!*out_help) return RETC_OK;
  retc_text text;
  retc_text_init(&text);
  retc_arguments_print_help(syntax, &text);
  retc_status status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  return status;
}
