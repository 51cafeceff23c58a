/* hiprtc. */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "library.h"

struct _hiprtcProgram {
  char *source, *name, *log;
  void *code;
  size_t code_size;
};

/* Code with checks and without is different code: who keeps code objects asks for the version of the compiler. */
hiprtcResult hiprtcVersion(int *major, int *minor) {
  *major = 5;
  *minor = emulator_get_settings()->checks ? 2 : 1;
  return HIPRTC_SUCCESS;
}

const char *hiprtcGetErrorString(hiprtcResult result) {
  switch (result) {
    case HIPRTC_SUCCESS: return "HIPRTC_SUCCESS";
    case HIPRTC_ERROR_OUT_OF_MEMORY: return "HIPRTC_ERROR_OUT_OF_MEMORY";
    case HIPRTC_ERROR_INVALID_INPUT: return "HIPRTC_ERROR_INVALID_INPUT";
    case HIPRTC_ERROR_INVALID_OPTION: return "HIPRTC_ERROR_INVALID_OPTION";
    case HIPRTC_ERROR_COMPILATION: return "HIPRTC_ERROR_COMPILATION";
    default: return "HIPRTC_ERROR_UNKNOWN";
  }
}

hiprtcResult hiprtcCreateProgram(hiprtcProgram *program, const char *source, const char *name, int header_count,
                                 const char **headers, const char **include_names) {
  (void)headers, (void)include_names;
  if (header_count || !source) return HIPRTC_ERROR_INVALID_INPUT;
  *program = calloc(1, sizeof **program);
  if (!*program) return HIPRTC_ERROR_OUT_OF_MEMORY;
  (*program)->source = strdup(source);
  (*program)->name = strdup(name ? name : "program");
  return (*program)->source && (*program)->name ? HIPRTC_SUCCESS : HIPRTC_ERROR_OUT_OF_MEMORY;
}

hiprtcResult hiprtcCompileProgram(hiprtcProgram program, int option_count, const char **options) {
  static const char arch_option[] = "--offload-arch=";
  const char *arch = emulator_get_settings()->arch;
  const char **defines = calloc((size_t)option_count + 1, sizeof *defines);
  size_t define_count = 0;
  if (!defines) return HIPRTC_ERROR_OUT_OF_MEMORY;
  for (int i = 0; i < option_count; i++) {
    if (strncmp(options[i], arch_option, sizeof arch_option - 1) == 0) arch = options[i] + sizeof arch_option - 1;
    if (strncmp(options[i], "-D", 2) == 0) defines[define_count++] = options[i];
  }
  char *plain = strdup(arch);
  if (plain) plain[strcspn(plain, ":")] = 0; /* without :sramecc+:xnack- */
  if (plain) {
    program->code = emulator_compile(program->source, program->name, plain, defines, define_count, &program->code_size,
                                     &program->log);
  }
  free(plain);
  free(defines);
  return program->code ? HIPRTC_SUCCESS : HIPRTC_ERROR_COMPILATION;
}

hiprtcResult hiprtcGetProgramLogSize(hiprtcProgram program, size_t *size) {
  *size = (program->log ? strlen(program->log) : 0) + 1;
  return HIPRTC_SUCCESS;
}

hiprtcResult hiprtcGetProgramLog(hiprtcProgram program, char *log) {
  strcpy(log, program->log ? program->log : "");
  return HIPRTC_SUCCESS;
}

hiprtcResult hiprtcGetCodeSize(hiprtcProgram program, size_t *size) {
  *size = program->code_size;
  return program->code ? HIPRTC_SUCCESS : HIPRTC_ERROR_INVALID_INPUT;
}

hiprtcResult hiprtcGetCode(hiprtcProgram program, char *code) {
  if (!program->code) return HIPRTC_ERROR_INVALID_INPUT;
  memcpy(code, program->code, program->code_size);
  return HIPRTC_SUCCESS;
}

hiprtcResult hiprtcDestroyProgram(hiprtcProgram *program) {
  free((*program)->source);
  free((*program)->name);
  free((*program)->log);
  free((*program)->code);
  free(*program);
  *program = NULL;
  return HIPRTC_SUCCESS;
}
