#include "compiler/main/reproducer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "retc.h"

/* The program with the request to run the stage that failed. */
static void print_program(const retc_failure *failure, retc_text *out_text) {
  retc_compilation asking = *failure->compilation;
  size_t pass = retc_pass_find(failure->stage);
  retc_replay_code code = strcmp(failure->stage, "hip") ? RETC_REPLAY_LLVM : RETC_REPLAY_HIP;
  asking.replay = (retc_replay){.code = pass == retc_pass_count() ? code : RETC_REPLAY_NO_CODE,
                                .cpu = failure->options->cpu,
                                .has_machine = true,
                                .machine = failure->compilation->profile};
  /* What import made is wrong as it is read. */
  if (pass > 0 && pass < retc_pass_count()) asking.replay.passes[asking.replay.pass_count++] = pass;
  retc_compilation_print(&asking, out_text);
}

/* FNV-1a */
static uint64_t hash(const retc_text *text) {
  uint64_t value = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < text->length; i++) value = (value ^ (unsigned char)text->data[i]) * UINT64_C(0x100000001b3);
  return value;
}

/* As a shell takes it for one word. */
static void print_word(const char *word, retc_text *out_text) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-+,:=@%";
  if (*word && *word != '-' && strspn(word, plain) == strlen(word)) {
    retc_text_add(out_text, word);
    return;
  }
  retc_text_add(out_text, "'");
  for (; *word; word++) {
    if (*word == '\'') retc_text_add(out_text, "'\\''");
    else retc_text_append(out_text, word, 1);
  }
  retc_text_add(out_text, "'");
}

/* Each line as a comment. */
static void print_lines(const char *lines, const char *indent, retc_text *out_text) {
  for (size_t length; *lines; lines += length + (lines[length] != 0)) {
    length = strcspn(lines, "\n");
    retc_text_printf(out_text, "# %s%.*s\n", indent, (int)length, lines);
  }
}

static void print_head(const retc_failure *failure, const char *command, const char *message, retc_text *out_text) {
  static const char *const forms[] = {[RETC_FORM_SESSION] = "session", [RETC_FORM_RECURRENT] = "recurrent",
                                      [RETC_FORM_PARALLEL] = "parallel", [RETC_FORM_CHUNKWISE] = "chunkwise"};
  const retc_compile_options *options = failure->options;
  const char *machine = failure->compilation->profile.name;
  retc_text_printf(out_text, "# retc %s failed at %s, which is an error in retc. To repeat it:\n", retc_version(),
                   failure->stage);
  print_lines(command, "  ", out_text);
  retc_text_add(out_text, "# It said:\n");
  print_lines(message, "  ", out_text);
  retc_text_printf(out_text, "# It worked with: form %s, padding %s, ", forms[options->form],
                   options->padded ? "yes" : "no");
  if (options->chunk_length) retc_text_printf(out_text, "chunk length %" PRId64, options->chunk_length);
  else retc_text_add(out_text, "the model's chunk length");
  retc_text_printf(out_text, ", %s %s%s\n", failure->compilation->profile.wave ? "GPU" : "CPU",
                   machine ? machine : "unknown",
                   options->cpu || failure->compilation->profile.wave ? "" : " (this machine's)");
}

void retc_reproducer_write(void *user, const retc_failure *failure, retc_diagnostics *diagnostics) {
  (void)user;
  bool lowered = retc_compilation_is_lowered(failure->compilation);
  if (!lowered && !failure->compilation->graphs.count) return; /* import made nothing */
  const char *directory = getenv("RETC_REPRODUCER_DIR");
  retc_text program, path, command, file;
  retc_text_init(&program);
  retc_text_init(&path);
  retc_text_init(&command);
  retc_text_init(&file);
  print_program(failure, &program);
  if (directory && *directory) retc_text_printf(&path, "%s/", directory);
  retc_text_printf(&path, "retc-reproducer-%s-%016" PRIx64 ".%s", failure->stage, hash(&program),
                   lowered ? "kernel" : "graph");
  retc_text_add(&command, "retc opt ");
  print_word(path.data, &command);
  print_head(failure, command.data, retc_diagnostics_text(diagnostics), &file);
  retc_text_append(&file, program.data, program.length);
  if (retc_file_write(path.data, file.data, file.length, diagnostics) == RETC_OK) {
    retc_fail(diagnostics, RETC_INTERNAL, "this is an error in retc; %s repeats it: %s", path.data, command.data);
  }
  retc_text_deinit(&program);
  retc_text_deinit(&path);
  retc_text_deinit(&command);
  retc_text_deinit(&file);
}
