#include <stdlib.h>
#include <string.h>

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>

#include "backends/llvm/llvm_private.h"

/* The object file that emit_object gives, linked into this process. */
typedef struct jit {
  retc_executable executable; /* first: what the runtime holds */
  LLVMOrcLLJITRef lljit;
  size_t count;
  struct {
    char *name;
    void *address;
  } *functions;
  retc_text complaints;
} jit;

static void *jit_find(retc_executable *executable, const char *name) {
  const jit *it = (const jit *)executable;
  for (size_t i = 0; i < it->count; i++)
    if (!strcmp(it->functions[i].name, name)) return it->functions[i].address;
  return NULL;
}

static void jit_destroy(retc_executable *executable) {
  jit *it = (jit *)executable;
  if (it->lljit) LLVMConsumeError(LLVMOrcDisposeLLJIT(it->lljit));
  for (size_t i = 0; i < it->count; i++) free(it->functions[i].name);
  free(it->functions);
  retc_text_deinit(&it->complaints);
  free(it);
}

/* Takes the error. */
static retc_status check(LLVMErrorRef error, const jit *it, retc_diagnostics *diagnostics) {
  if (!error) return RETC_OK;
  char *text = LLVMGetErrorMessage(error);
  retc_status status = retc_fail(diagnostics, RETC_INTERNAL, "LLVM: %s%s%s", text, it->complaints.length ? ": " : "",
                                 it->complaints.length ? it->complaints.data : "");
  LLVMDisposeErrorMessage(text);
  return status;
}

static void hear(void *user, LLVMErrorRef error) {
  retc_text *complaints = user;
  char *text = LLVMGetErrorMessage(error);
  retc_text_printf(complaints, "%s%s", complaints->length ? "; " : "", text);
  LLVMDisposeErrorMessage(text);
}

/* The process lends what code for a CPU may need of libc: memset, and fmaf where there is no such instruction. */
static retc_status link_objects(jit *it, const retc_llvm_object *objects, size_t count, retc_diagnostics *diagnostics) {
  RETC_TRY(check(LLVMOrcCreateLLJIT(&it->lljit, LLVMOrcCreateLLJITBuilder()), it, diagnostics));
  LLVMOrcExecutionSessionSetErrorReporter(LLVMOrcLLJITGetExecutionSession(it->lljit), hear, &it->complaints);
  LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(it->lljit);
  LLVMOrcDefinitionGeneratorRef process = NULL;
  RETC_TRY(check(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
                   &process, LLVMOrcLLJITGetGlobalPrefix(it->lljit), NULL, NULL), it, diagnostics));
  LLVMOrcJITDylibAddGenerator(library, process);
  for (size_t i = 0; i < count; i++) {
    LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(objects[i].data, objects[i].size, "retc");
    RETC_TRY(check(LLVMOrcLLJITAddObjectFile(it->lljit, library, copy), it, diagnostics));
  }
  return RETC_OK;
}

static retc_status fill(jit *it, const char *const *names, size_t count, retc_diagnostics *diagnostics) {
  it->functions = calloc(count ? count : 1, sizeof *it->functions);
  if (!it->functions) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  for (size_t i = 0; i < count; i++) {
    it->functions[i].name = strdup(names[i]);
    if (!it->functions[i].name) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
    it->count++;
    LLVMOrcExecutorAddress address = 0;
    RETC_TRY(check(LLVMOrcLLJITLookup(it->lljit, &address, it->functions[i].name), it, diagnostics));
    it->functions[i].address = (void *)(uintptr_t)address;
  }
  return RETC_OK;
}

retc_status retc_llvm_link(const retc_llvm_object *objects, size_t object_count, const char *const *names,
                           size_t name_count, retc_diagnostics *diagnostics, retc_executable **out_executable) {
  if (LLVMInitializeNativeTarget() || LLVMInitializeNativeAsmPrinter())
    return retc_fail(diagnostics, RETC_FAILED, "LLVM has no code generator for this machine");
  jit *it = calloc(1, sizeof *it);
  if (!it) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  it->executable = (retc_executable){jit_find, jit_destroy};
  retc_status status = link_objects(it, objects, object_count, diagnostics);
  if (status == RETC_OK) status = fill(it, names, name_count, diagnostics);
  if (status == RETC_OK) {
    *out_executable = &it->executable;
  } else {
    jit_destroy(&it->executable);
  }
  return status;
}

retc_status retc_llvm_load(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_executable **out_executable) {
  LLVMMemoryBufferRef object;
  RETC_TRY(retc_llvm_module_object(module, diagnostics, &object));
  const retc_llvm_object one = {LLVMGetBufferStart(object), LLVMGetBufferSize(object)};
  return retc_llvm_link(&one, 1, (const char *const *)module->kernel_names, module->kernel_count, diagnostics,
                        out_executable);
}
