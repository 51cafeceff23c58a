#include "runtime/hip_compiler.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

extern char **environ;

const char *const retc_hip_compiler_options[RETC_HIP_COMPILER_OPTIONS] = {"-O3", "-std=c++17", "-ffp-contract=off"};

typedef struct files {
  char folder[64], source[80], object[80], log[80];
} files;

static retc_status make_files(files *f, const char *source, retc_diagnostics *diagnostics) {
  strcpy(f->folder, "/tmp/retc-hip.XXXXXX");
  if (!mkdtemp(f->folder)) return retc_fail(diagnostics, RETC_FAILED, "/tmp: no folder for hipcc's files");
  retc_text text = {0};
  const struct {
    char *path;
    const char *name;
  } all[] = {{f->source, "model.hip"}, {f->object, "model.co"}, {f->log, "log"}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    retc_text_clear(&text);
    retc_text_printf(&text, "%s/%s", f->folder, all[i].name);
    if (text.data) memcpy(all[i].path, text.data, text.length + 1);
  }
  retc_text_deinit(&text);
  return retc_file_write(f->source, source, strlen(source), diagnostics);
}

static void remove_files(const files *f) {
  unlink(f->source);
  unlink(f->object);
  unlink(f->log);
  rmdir(f->folder);
}

static const char *compiler(void) {
  const char *named = getenv("RETC_HIPCC");
  return named && *named ? named : "hipcc";
}

static bool describe_file(const char *folder, size_t length, const char *name, retc_text *text) {
  retc_text path;
  struct stat found;
  retc_text_init(&path);
  retc_text_printf(&path, "%.*s%s%s", (int)length, folder, length ? "/" : "", name);
  const bool is_there = path.data && stat(path.data, &found) == 0 && S_ISREG(found.st_mode);
  if (is_there) {
    retc_text_printf(text, "%s %lld %lld", path.data, (long long)found.st_size, (long long)found.st_mtime);
  }
  retc_text_deinit(&path);
  return is_there;
}

void retc_hip_compiler_describe(retc_text *text) {
  const char *name = compiler(), *folders = strchr(name, '/') ? NULL : getenv("PATH");
  if (!folders && describe_file("", 0, name, text)) return;
  for (const char *at = folders; at; at = at[strcspn(at, ":")] ? at + strcspn(at, ":") + 1 : NULL) {
    if (describe_file(at, strcspn(at, ":"), name, text)) return;
  }
  retc_text_add(text, name);
}

/* The exit status; 127 when there is no such program. */
static int run(const char *arch, const files *f) {
  char offload[64];
  snprintf(offload, sizeof offload, "--offload-arch=%s", arch);
  /* hipcc takes CUDA where that is installed, unless told otherwise. */
  const char *arguments[RETC_HIP_COMPILER_OPTIONS + 10] = {"env",   "HIP_PLATFORM=amd", compiler(),
                                                           offload, "--genco",          "--no-gpu-bundle-output"};
  int count = 6, status = 0;
  for (int i = 0; i < RETC_HIP_COMPILER_OPTIONS; i++) arguments[count++] = retc_hip_compiler_options[i];
  arguments[count++] = f->source;
  arguments[count++] = "-o";
  arguments[count++] = f->object;
  posix_spawn_file_actions_t actions;
  pid_t child;
  if (posix_spawn_file_actions_init(&actions) != 0) return 127;
  posix_spawn_file_actions_addopen(&actions, 1, f->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  int failed = posix_spawnp(&child, "env", &actions, NULL, (char *const *)arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed || waitpid(child, &status, 0) < 0 || !WIFEXITED(status)) return 127;
  return WEXITSTATUS(status);
}

static retc_status read_object(const char *path, retc_diagnostics *diagnostics, retc_hip_code *out_code) {
  retc_file file;
  RETC_TRY(retc_file_map(path, diagnostics, &file));
  out_code->size = file.size;
  out_code->data = malloc(file.size + 1);
  if (out_code->data && file.size) memcpy(out_code->data, file.data, file.size);
  retc_file_unmap(&file);
  return out_code->data ? RETC_OK : retc_fail(diagnostics, RETC_FAILED, "hip: memory refused");
}

static retc_status report_log(const char *arch, const char *name, const files *f, retc_diagnostics *diagnostics) {
  retc_hip_code log = {0};
  (void)read_object(f->log, diagnostics, &log);
  if (log.data) ((char *)log.data)[log.size] = 0;
  retc_fail(diagnostics, RETC_FAILED, "%s: %s makes no code for %s:\n%s", name, compiler(), arch,
            log.data ? (char *)log.data : "");
  free(log.data);
  return RETC_FAILED;
}

retc_status retc_hip_compile(const char *arch, const char *name, const char *source, retc_diagnostics *diagnostics,
                             retc_hip_code *out_code) {
  files f = {0};
  *out_code = (retc_hip_code){0};
  retc_status status = make_files(&f, source, diagnostics);
  if (status == RETC_OK) {
    int exit_status = run(arch, &f);
    if (exit_status == 0) {
      status = read_object(f.object, diagnostics, out_code);
    } else if (exit_status == 127) {
      status =
          retc_fail(diagnostics, RETC_FAILED, "hip: no compiler for %s: no hiprtc was asked, and no program %s was found", arch, compiler());
    } else {
      status = report_log(arch, name, &f, diagnostics);
    }
  }
  if (*f.folder) remove_files(&f);
  return status;
}
