#include "runtime/hip_code.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/code_cache.h"

extern char **environ;

/* What the text is compiled with, beside the architecture: it relies on no contraction. */
static const char *const options[] = {"-O3", "-std=c++17", "-ffp-contract=off"};
enum { OPTIONS = sizeof options / sizeof *options };

typedef struct code {
  void *data; /* malloc'ed */
  size_t size;
} code;

/* ---- hiprtc ---- */

static retc_status refused(const char *name, const char *compiler, const char *words, retc_diagnostics *diagnostics) {
  return retc_fail(diagnostics, RETC_INTERNAL, "%s: %s refused the HIP source:\n%s", name, compiler, words);
}

static retc_status take_log(const retc_hip_library *library, hiprtcProgram program, const char *name,
                            hiprtcResult result, retc_diagnostics *diagnostics) {
  size_t size = 0;
  char *log = NULL;
  if (library->hiprtcGetProgramLogSize(program, &size) == HIPRTC_SUCCESS) log = calloc(1, size + 1);
  if (log && library->hiprtcGetProgramLog(program, log) != HIPRTC_SUCCESS) *log = 0;
  retc_status status =
      refused(name, "hiprtc", log && *log ? log : library->hiprtcGetErrorString(result), diagnostics);
  free(log);
  return status;
}

static retc_status take_code(const retc_hip_library *library, hiprtcProgram program, retc_diagnostics *diagnostics,
                             code *out_code) {
  hiprtcResult result = library->hiprtcGetCodeSize(program, &out_code->size);
  if (result == HIPRTC_SUCCESS) out_code->data = malloc(out_code->size + 1);
  if (result == HIPRTC_SUCCESS && !out_code->data) return retc_fail(diagnostics, RETC_FAILED, "hip: memory refused");
  if (result == HIPRTC_SUCCESS) result = library->hiprtcGetCode(program, out_code->data);
  if (result == HIPRTC_SUCCESS) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "hip: hiprtc gives no code: %s", library->hiprtcGetErrorString(result));
}

static retc_status build_by_hiprtc(const retc_hip_device *device, const char *name, const char *source,
                                   retc_diagnostics *diagnostics, code *out_code) {
  const retc_hip_library *library = &device->library;
  hiprtcProgram program = NULL;
  char arch[sizeof device->arch + sizeof "--offload-arch="] = "--offload-arch=";
  const char *arguments[OPTIONS + 1] = {arch};
  strcat(arch, device->arch);
  for (int i = 0; i < OPTIONS; i++) arguments[i + 1] = options[i];
  hiprtcResult result = library->hiprtcCreateProgram(&program, source, name, 0, NULL, NULL);
  if (result != HIPRTC_SUCCESS) {
    return retc_fail(diagnostics, RETC_FAILED, "hip: hiprtc does not start: %s", library->hiprtcGetErrorString(result));
  }
  result = library->hiprtcCompileProgram(program, OPTIONS + 1, arguments);
  retc_status status = result == HIPRTC_SUCCESS ? take_code(library, program, diagnostics, out_code)
                                                : take_log(library, program, name, result, diagnostics);
  library->hiprtcDestroyProgram(&program);
  return status;
}

/* ---- hipcc ---- */

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

/* The exit status; 127 when there is no hipcc. */
static int run_hipcc(const retc_hip_device *device, const files *f) {
  char arch[sizeof device->arch + sizeof "--offload-arch="] = "--offload-arch=";
  strcat(arch, device->arch);
  /* hipcc takes CUDA where that is installed, unless told otherwise. */
  const char *arguments[OPTIONS + 10] = {"env", "HIP_PLATFORM=amd", "hipcc", arch, "--genco", "--no-gpu-bundle-output"};
  int count = 6, status = 0;
  for (int i = 0; i < OPTIONS; i++) arguments[count++] = options[i];
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

static retc_status read_object(const char *path, retc_diagnostics *diagnostics, code *out_code) {
  retc_file file;
  RETC_TRY(retc_file_map(path, diagnostics, &file));
  out_code->size = file.size;
  out_code->data = malloc(file.size + 1);
  if (out_code->data && file.size) memcpy(out_code->data, file.data, file.size);
  retc_file_unmap(&file);
  return out_code->data ? RETC_OK : retc_fail(diagnostics, RETC_FAILED, "hip: memory refused");
}

static retc_status report_log(const char *name, const files *f, retc_diagnostics *diagnostics) {
  code log = {0};
  (void)read_object(f->log, diagnostics, &log);
  if (log.data) ((char *)log.data)[log.size] = 0;
  retc_status status = refused(name, "hipcc", log.data ? log.data : "", diagnostics);
  free(log.data);
  return status;
}

static retc_status build_by_hipcc(const retc_hip_device *device, const char *name, const char *source,
                                  retc_diagnostics *diagnostics, code *out_code) {
  files f = {0};
  retc_status status = make_files(&f, source, diagnostics);
  if (status == RETC_OK) {
    int exit_status = run_hipcc(device, &f);
    if (exit_status == 0) {
      status = read_object(f.object, diagnostics, out_code);
    } else if (exit_status == 127) {
      status = retc_fail(diagnostics, RETC_FAILED,
                         "hip: no compiler for %s: neither hiprtc nor a program hipcc was found", device->arch);
    } else {
      status = report_log(name, &f, diagnostics);
    }
  }
  if (*f.folder) remove_files(&f);
  return status;
}

/* ---- loading ---- */

/* Everything that the code depends on. */
static void print_key(const retc_hip_device *device, const char *source, retc_text *key) {
  int version = 0, major = 0, minor = 0;
  const retc_hip_library *library = &device->library;
  library->hipRuntimeGetVersion(&version);
  if (library->has_hiprtc) library->hiprtcVersion(&major, &minor);
  retc_text_printf(key, "%s hip %d %s %d.%d", device->arch, version, library->has_hiprtc ? "hiprtc" : "hipcc", major,
                   minor);
  for (int i = 0; i < OPTIONS; i++) retc_text_printf(key, " %s", options[i]);
  retc_text_printf(key, "\n%s", source);
}

static retc_status load(retc_hip_device *device, const char *name, const void *image, retc_diagnostics *diagnostics,
                        hipModule_t *out_module) {
  hipError_t error = device->library.hipModuleLoadData(out_module, image);
  if (error == hipSuccess) return RETC_OK;
  return retc_fail(diagnostics, RETC_FAILED, "%s: hip: loading code for %s: %s (%s)", name, device->arch,
                   device->library.hipGetErrorName(error), device->library.hipGetErrorString(error));
}

static retc_status build(retc_hip_device *device, const char *name, const char *source, retc_diagnostics *diagnostics,
                         code *out_code) {
  if (device->library.has_hiprtc) return build_by_hiprtc(device, name, source, diagnostics, out_code);
  return build_by_hipcc(device, name, source, diagnostics, out_code);
}

retc_status retc_hip_code_load(retc_hip_device *device, const char *name, const char *source,
                               retc_diagnostics *diagnostics, hipModule_t *out_module) {
  retc_text key;
  code built = {0};
  *out_module = NULL;
  retc_text_init(&key);
  print_key(device, source, &key);
  retc_status status = RETC_OK;
  if (!retc_code_cache_find("hip", key.data, key.length, &built.data, &built.size)) {
    status = build(device, name, source, diagnostics, &built);
    if (status == RETC_OK) retc_code_cache_keep("hip", key.data, key.length, built.data, built.size);
  }
  if (status == RETC_OK) status = load(device, name, built.data, diagnostics, out_module);
  free(built.data);
  retc_text_deinit(&key);
  return status;
}

void retc_hip_code_unload(retc_hip_device *device, hipModule_t module) {
  if (module) device->library.hipModuleUnload(module);
}

retc_status retc_hip_code_load_image(retc_hip_device *device, const char *name, const char *arch, const void *image,
                                     retc_diagnostics *diagnostics, hipModule_t *out_module) {
  *out_module = NULL;
  if (strcmp(arch, device->arch) == 0) return load(device, name, image, diagnostics, out_module);
  return retc_fail(diagnostics, RETC_FAILED, "%s: code for %s, but the device is a %s (%s)", name, arch, device->arch,
                   device->name);
}

retc_status retc_hip_code_find(retc_hip_device *device, hipModule_t module, const char *kernel,
                               retc_diagnostics *diagnostics, hipFunction_t *out_function) {
  hipError_t error = device->library.hipModuleGetFunction(out_function, module, kernel);
  if (error == hipSuccess) return RETC_OK;
  return retc_fail(diagnostics, RETC_INTERNAL, "hip: kernel '%s' is not in the compiled code: %s (%s)", kernel,
                   device->library.hipGetErrorName(error), device->library.hipGetErrorString(error));
}
