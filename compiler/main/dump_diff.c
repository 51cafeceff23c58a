/* The two texts go into a directory of their own, which only this user can look into, and "diff -u" compares them. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "compiler/main/dump.h"

extern char **environ;

typedef struct comparison {
  retc_arena arena;
  const char *directory; /* NULL: not made */
  const char *names[2], *paths[2];
  retc_text found; /* what diff says */
} comparison;

/* Which pass was the last is known, and no change: the line "program" says nothing of it. */
static retc_status write_side(comparison *c, int side, const retc_text *text, retc_diagnostics *diagnostics) {
  static const char said[] = "program after=";
  const char *line = text->data;
  while (line && strncmp(line, said, sizeof said - 1)) {
    line = strchr(line, '\n');
    if (line) line++;
  }
  retc_text copy;
  retc_text_init(&copy);
  retc_text_append(&copy, text->data, line ? (size_t)(line - text->data) : text->length);
  if (line) {
    const char *pass = line + sizeof said - 1;
    retc_text_add(&copy, "program");
    retc_text_add(&copy, pass + strcspn(pass, " \n"));
  }
  retc_status status = retc_file_write(c->paths[side], copy.data, copy.length, diagnostics);
  retc_text_deinit(&copy);
  return status;
}

static retc_status make_directory(comparison *c, retc_diagnostics *diagnostics) {
  const char *parent = getenv("TMPDIR");
  char *pattern = retc_arena_printf(&c->arena, "%s/retc-diff-XXXXXX", parent && *parent ? parent : "/tmp");
  c->directory = mkdtemp(pattern);
  if (!c->directory) {
    return retc_fail(diagnostics, RETC_FAILED, "%s: no temporary directory can be made: %s", pattern, strerror(errno));
  }
  for (int i = 0; i < 2; i++) c->paths[i] = retc_arena_printf(&c->arena, "%s/%s", c->directory, c->names[i]);
  return RETC_OK;
}

static retc_status read_all(int descriptor, retc_text *out_text, retc_diagnostics *diagnostics) {
  char block[65536];
  for (;;) {
    ssize_t size = read(descriptor, block, sizeof block);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return retc_fail(diagnostics, RETC_FAILED, "diff: its output cannot be read: %s", strerror(errno));
    if (size == 0) return RETC_OK;
    retc_text_append(out_text, block, (size_t)size);
  }
}

/* Starts diff with its output going to `output`. */
static retc_status start(const comparison *c, int output, retc_diagnostics *diagnostics, pid_t *out_process) {
  char program[] = "diff", option[] = "-u";
  char *words[] = {program, option, (char *)c->paths[0], (char *)c->paths[1], NULL};
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  if (!error) {
    error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (!error) error = posix_spawnp(out_process, program, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
  }
  if (!error) return RETC_OK;
  if (error == ENOENT) {
    return retc_fail(diagnostics, RETC_FAILED, "dump: --diff needs the program diff, and there is none on the PATH");
  }
  return retc_fail(diagnostics, RETC_FAILED, "dump: --diff: the program diff cannot be started: %s", strerror(error));
}

/* 0: the same, 1: they differ, else it has failed. */
static retc_status finish(pid_t process, retc_diagnostics *diagnostics) {
  int result;
  while (waitpid(process, &result, 0) < 0) {
    if (errno != EINTR) return retc_fail(diagnostics, RETC_FAILED, "diff: %s", strerror(errno));
  }
  if (WIFEXITED(result) && WEXITSTATUS(result) <= 1) return RETC_OK;
  if (WIFEXITED(result) && WEXITSTATUS(result) == 127) {
    return retc_fail(diagnostics, RETC_FAILED, "dump: --diff needs the program diff, which cannot be started");
  }
  return retc_fail(diagnostics, RETC_FAILED, "dump: --diff: the program diff has failed");
}

static retc_status run_diff(comparison *c, retc_diagnostics *diagnostics) {
  int ends[2];
  pid_t process;
  if (pipe2(ends, O_CLOEXEC) != 0) return retc_fail(diagnostics, RETC_FAILED, "diff: no pipe: %s", strerror(errno));
  retc_status status = start(c, ends[1], diagnostics, &process);
  close(ends[1]);
  if (status == RETC_OK) {
    status = read_all(ends[0], &c->found, diagnostics);
    retc_status end = finish(process, diagnostics);
    if (status == RETC_OK) status = end;
  }
  close(ends[0]);
  return status;
}

/* The first two lines, which would name the directory and the time, name the stages. */
static retc_status print(const comparison *c, retc_diagnostics *diagnostics) {
  if (!c->found.length) return RETC_OK;
  retc_text text;
  retc_text_init(&text);
  retc_text_printf(&text, "--- %s\n+++ %s\n", c->names[0], c->names[1]);
  const char *rest = c->found.data;
  for (int i = 0; i < 2 && rest; i++) {
    rest = strchr(rest, '\n');
    if (rest) rest++;
  }
  if (rest) retc_text_add(&text, rest);
  retc_status status = retc_output_write(text.data, text.length, diagnostics);
  retc_text_deinit(&text);
  return status;
}

static retc_status compare(retc_dump_stages *stages, const retc_dump_stage *const sides[2],
                           retc_diagnostics *diagnostics) {
  comparison c = {.directory = NULL};
  retc_arena_init(&c.arena);
  for (int i = 0; i < 2; i++) c.names[i] = retc_dump_stage_name(stages, sides[i]);
  retc_status status = make_directory(&c, diagnostics);
  for (int i = 0; i < 2 && status == RETC_OK; i++) status = write_side(&c, i, &sides[i]->text, diagnostics);
  if (status == RETC_OK) status = run_diff(&c, diagnostics);
  for (int i = 0; i < 2 && c.directory; i++) unlink(c.paths[i]);
  if (c.directory) rmdir(c.directory);
  if (status == RETC_OK) status = print(&c, diagnostics);
  retc_text_deinit(&c.found);
  retc_arena_deinit(&c.arena);
  return status;
}

retc_status retc_dump_diff(const char *model, const retc_dump_options *options, retc_diagnostics *diagnostics) {
  retc_dump_stages stages = {0};
  const retc_dump_stage *sides[2] = {NULL, NULL};
  retc_status status = retc_dump_stages_init(&stages, model, options, options->diff[1], diagnostics);
  for (int i = 0; i < 2 && status == RETC_OK; i++) {
    size_t pass = retc_pass_find(options->diff[i]);
    for (size_t k = 0; k < stages.list.count; k++) {
      if (stages.list.items[k].pass == pass) sides[i] = &stages.list.items[k];
    }
    if (!sides[i]) {
      status = retc_dump_refuse(&stages.build, stages.list.items[0].pass, options->diff[i], diagnostics);
    }
  }
  if (status == RETC_OK) status = compare(&stages, sides, diagnostics);
  retc_dump_stages_deinit(&stages);
  return status;
}
