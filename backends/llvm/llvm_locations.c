#include <string.h>

#include "backends/llvm/llvm_private.h"

static const char file_name[] = "retc", folder[] = ".";

static LLVMMetadataRef make_file(retc_llvm_emitter *e) {
  return LLVMDIBuilderCreateFile(e->debug, file_name, sizeof file_name - 1, folder, sizeof folder - 1);
}

void retc_llvm_locations_init(retc_llvm_emitter *e) {
  static const char flag[] = "Debug Info Version";
  LLVMValueRef version = LLVMConstInt(LLVMInt32TypeInContext(e->context), LLVMDebugMetadataVersion(), false);
  LLVMAddModuleFlag(e->module, LLVMModuleFlagBehaviorWarning, flag, sizeof flag - 1, LLVMValueAsMetadata(version));
  e->debug = LLVMCreateDIBuilder(e->module);
  e->unit = LLVMDIBuilderCreateCompileUnit(e->debug, LLVMDWARFSourceLanguageC11, make_file(e), "retc", 4, true, "", 0,
                                           0, "", 0, LLVMDWARFEmissionLineTablesOnly, 0, false, false, "", 0, "", 0);
}

void retc_llvm_locations_begin(retc_llvm_emitter *e) {
  LLVMMetadataRef file = make_file(e);
  LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(e->debug, file, NULL, 0, LLVMDIFlagZero);
  const char *name = e->kernel->name;
  e->scope = LLVMDIBuilderCreateFunction(e->debug, e->unit, name, strlen(name), "", 0, file, 0, type, false, true, 0,
                                         LLVMDIFlagZero, true);
  LLVMSetSubprogram(e->function, e->scope);
  LLVMSetCurrentDebugLocation2(e->builder, NULL);
}

void retc_llvm_locate(retc_llvm_emitter *e) {
  if (!e->debug) return;
  LLVMMetadataRef location =
    e->line ? LLVMDIBuilderCreateDebugLocation(e->context, e->line, 0, e->scope, NULL) : NULL;
  LLVMSetCurrentDebugLocation2(e->builder, location);
}

void retc_llvm_locations_finish(retc_llvm_emitter *e) {
  LLVMDIBuilderFinalize(e->debug);
  LLVMDisposeDIBuilder(e->debug);
}
