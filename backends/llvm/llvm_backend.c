#include "backends/llvm/llvm_backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "backends/llvm/llvm_private.h"
#include "runtime/threads.h"
#include "runtime/tiles.h"

/* Loops come out of the emitter in their final shape, so what is left is to promote private buffers to registers, to
 * share subexpressions and to move what does not change out of loops. GVN, and combining instructions once more behind
 * it, take a quarter of the time to code and change its loops by one instruction in a thousand. */
static const char pipeline[] =
  "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,"
  "loop-mssa(licm),early-cse<memssa>,simplifycfg,adce)";

typedef struct cpu_row {
  const char *architecture, *name;
  int64_t vector_bytes, registers, l1_kib, l2_kib;
  const char *dots;
} cpu_row;

static const cpu_row cpus[] = {
#define RETC_LLVM_CPU(...) {__VA_ARGS__},
#include "backends/llvm/llvm_cpus.def"
#undef RETC_LLVM_CPU
};
enum { CPU_COUNT = sizeof cpus / sizeof cpus[0] };

static bool is_of(const cpu_row *row, const char *triple) {
  return !strncmp(triple, row->architecture, strlen(row->architecture));
}

/* A name says nothing of how many cores there are. */
enum { NAMED_CORES = 4 };

static void take_row(retc_target_profile *profile, const cpu_row *row) {
  *profile = (retc_target_profile){.name = row->name,
                                   .vector_bytes = row->vector_bytes,
                                   .vector_registers = row->registers,
                                   .l1_bytes = row->l1_kib * 1024,
                                   .l2_bytes = row->l2_kib * 1024,
                                   .cores = NAMED_CORES,
                                   .dots = row->dots};
}

static int64_t cache_bytes(int name, int64_t fallback) {
  long found = sysconf(name);
  return found > 0 ? found : fallback;
}

static void target_deinit(retc_llvm_target *target) {
  LLVMDisposeMessage(target->triple);
  LLVMDisposeMessage(target->cpu);
  LLVMDisposeMessage(target->features);
}

/* The row of the CPU's name; else of the level that its features reach, the first rows of an architecture. */
static const cpu_row *find_host_row(const retc_llvm_target *target) {
  for (size_t i = 0; i < CPU_COUNT; i++) {
    if (is_of(&cpus[i], target->triple) && !strcmp(cpus[i].name, target->cpu)) return &cpus[i];
  }
  const char *f = target->features;
  const int level = strstr(f, "+avx512f") ? 4 : strstr(f, "+avx2") ? 3 : strstr(f, "+sse4.2") ? 2 : 1;
  for (size_t i = 0; i < CPU_COUNT; i++) {
    const bool is_level = i + 1 == (size_t)level || strcmp(cpus[i].architecture, "x86_64");
    if (is_of(&cpus[i], target->triple) && is_level) return &cpus[i];
  }
  return NULL;
}

static const char tile_dots[] = "int8, bf16, AMX tiles", wide_dots[] = "int8, bf16";

static const char *name_dots(const char *features, bool has_tiles) {
  if (has_tiles) return tile_dots;
  if (strstr(features, "+avx512bf16")) return wide_dots;
  return strstr(features, "+avx512vnni") || strstr(features, "+avxvnni") ? "int8" : "none";
}

static bool has(const retc_llvm_target *target, const char *feature) {
  return strstr(target->features, feature) != NULL;
}

static void find_dots(retc_llvm_target *target) {
  retc_target_profile *profile = &target->profile;
  const bool is_x86 = !strncmp(target->triple, "x86_64", 6), is_wide = profile->vector_bytes == 64;
  profile->has_multiply_add = is_x86 && (profile->vector_bytes == 16 || has(target, is_wide ? "+avx512bw" : "+avx2"));
  profile->has_dot_int8 = is_wide ? has(target, "+avx512vnni") && has(target, "+avx512vl") : has(target, "+avxvnni,");
  profile->has_dot_bf16 = is_wide && has(target, "+avx512bf16") && has(target, "+avx512vl");
}

static bool has_tiles(const retc_llvm_target *target) {
  return has(target, "+amx-tile") && has(target, "+amx-bf16") && has(target, "+amx-int8") && retc_tiles_permit();
}

static char *host_cpu, *host_features;

static void read_host(void) {
  host_cpu = LLVMGetHostCPUName();
  host_features = LLVMGetHostCPUFeatures();
}

/* Read once, since a virtual machine is asked for each of the many words that a CPU describes itself by. */
void retc_llvm_host(const char **out_cpu, const char **out_features) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, read_host);
  *out_cpu = host_cpu;
  *out_features = host_features;
}

/* The features count, not the name: a system may keep the CPU's widest registers from programs. */
static void target_init_host(retc_llvm_target *target, bool no_tiles) {
  static const cpu_row unknown = {"", "unknown", 16, 32, 32, 512, "none"};
  const char *cpu, *features;
  retc_llvm_host(&cpu, &features);
  target->cpu = LLVMCreateMessage(cpu);
  target->features = LLVMCreateMessage(features);
  retc_target_profile *profile = &target->profile;
  const cpu_row *row = find_host_row(target);
  take_row(profile, row ? row : &unknown);
  if (!strncmp(target->triple, "x86_64", 6)) {
    profile->has_tiles = !no_tiles && has_tiles(target);
    profile->vector_bytes = strstr(target->features, "+avx512f") ? 64 : strstr(target->features, "+avx") ? 32 : 16;
    profile->vector_registers = profile->vector_bytes < 64 ? 16 : 32;
    profile->dots = name_dots(target->features, profile->has_tiles);
  }
  profile->l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, profile->l1_bytes);
  profile->l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, profile->l2_bytes);
  profile->cores = retc_team_default_size();
  find_dots(target);
}

static retc_status target_init_named(retc_llvm_target *target, const char *cpu, bool no_tiles,
                                     retc_diagnostics *diagnostics) {
  const char *names[CPU_COUNT];
  size_t count = 0;
  for (size_t i = 0; i < CPU_COUNT; i++) {
    if (!is_of(&cpus[i], target->triple)) continue;
    names[count++] = cpus[i].name;
    if (strcmp(cpu, cpus[i].name)) continue;
    target->cpu = LLVMCreateMessage(cpu);
    target->features = LLVMCreateMessage("");
    take_row(&target->profile, &cpus[i]);
    const bool is_x86 = !strcmp(cpus[i].architecture, "x86_64"),
               is_old = !strcmp(cpu, "sandybridge") || !strcmp(cpu, "ivybridge");
    target->profile.has_multiply_add = is_x86 && !is_old;
    target->profile.has_dot_int8 = is_x86 && strstr(cpus[i].dots, "int8");
    target->profile.has_dot_bf16 = is_x86 && strstr(cpus[i].dots, "bf16");
    target->profile.has_tiles = !no_tiles && !strcmp(cpus[i].dots, tile_dots);
    if (no_tiles && !strcmp(cpus[i].dots, tile_dots)) target->profile.dots = wide_dots;
    return RETC_OK;
  }
  if (!count) return retc_fail(diagnostics, RETC_INVALID, "CPU '%s' is not known for %s", cpu, target->triple);
  const char *nearest = retc_nearest(cpu, names, count);
  return retc_fail(diagnostics, RETC_INVALID, "CPU '%s' is not known%s%s%s", cpu, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "");
}

retc_status retc_llvm_read_cpu(const retc_llvm_options *options, retc_diagnostics *diagnostics,
                               retc_llvm_cpu *out_cpu) {
  const char *text = options && options->cpu ? options->cpu : "host", *comma = strchr(text, ',');
  const size_t length = comma ? (size_t)(comma - text) : strlen(text);
  *out_cpu = (retc_llvm_cpu){.no_tiles = comma != NULL};
  if (comma && strcmp(comma, ",no-tiles") != 0) {
    return retc_fail(diagnostics, RETC_INVALID, "CPU '%s': found '%s', expected ',no-tiles' or nothing behind the name",
                     text, comma);
  }
  if (length >= sizeof out_cpu->name)
    return retc_fail(diagnostics, RETC_INVALID, "CPU '%.*s' is not known", (int)length, text);
  memcpy(out_cpu->name, text, length);
  out_cpu->is_host = !strcmp(out_cpu->name, "host");
  return RETC_OK;
}

static retc_status target_init(retc_llvm_target *target, const retc_llvm_options *options,
                               retc_diagnostics *diagnostics) {
  retc_llvm_cpu cpu;
  *target = (retc_llvm_target){.cpu = NULL};
  RETC_TRY(retc_llvm_read_cpu(options, diagnostics, &cpu));
  if (LLVMInitializeNativeTarget() || LLVMInitializeNativeAsmPrinter())
    return retc_fail(diagnostics, RETC_FAILED, "LLVM has no code generator for this machine");
  target->triple = LLVMGetDefaultTargetTriple();
  if (cpu.is_host) {
    target_init_host(target, cpu.no_tiles);
    return RETC_OK;
  }
  retc_status status = target_init_named(target, cpu.name, cpu.no_tiles, diagnostics);
  if (status != RETC_OK) target_deinit(target);
  return status;
}

retc_status retc_llvm_profile(const retc_llvm_options *options, retc_diagnostics *diagnostics,
                              retc_target_profile *out_profile) {
  retc_llvm_target target;
  RETC_TRY(target_init(&target, options, diagnostics));
  *out_profile = target.profile;
  target_deinit(&target);
  return RETC_OK;
}

/* LLVM's default handler prints and exits. */
static void hear(LLVMDiagnosticInfoRef info, void *user) {
  retc_llvm_module *module = user;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) return;
  char *text = LLVMGetDiagInfoDescription(info);
  retc_text_printf(&module->complaints, "%s%s", module->complaints.length ? "; " : "", text);
  LLVMDisposeMessage(text);
}

static retc_status check_complaints(retc_llvm_module *module, retc_diagnostics *diagnostics) {
  if (!module->complaints.length) return RETC_OK;
  retc_status status = retc_fail(diagnostics, RETC_INTERNAL, "LLVM: %s", module->complaints.data);
  retc_text_clear(&module->complaints);
  return status;
}

static retc_status create_machine(retc_llvm_module *module, retc_diagnostics *diagnostics) {
  LLVMTargetRef target;
  char *message = NULL;
  if (LLVMGetTargetFromTriple(module->target.triple, &target, &message)) {
    retc_status status = retc_fail(diagnostics, RETC_FAILED, "LLVM: %s", message);
    LLVMDisposeMessage(message);
    return status;
  }
  module->machine =
    LLVMCreateTargetMachine(target, module->target.triple, module->target.cpu, module->target.features,
                            LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
  if (!module->machine) return retc_fail(diagnostics, RETC_FAILED, "LLVM has no machine for %s", module->target.triple);
  LLVMSetTarget(module->module, module->target.triple);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(module->machine);
  LLVMSetModuleDataLayout(module->module, layout);
  LLVMDisposeTargetData(layout);
  return RETC_OK;
}

static retc_status emit_kernels(retc_llvm_module *module, const retc_kernel *const *kernels, bool locations,
                                retc_diagnostics *diagnostics) {
  retc_llvm_emitter e = {.context = module->context, .module = module->module};
  e.builder = LLVMCreateBuilderInContext(module->context);
  if (locations) retc_llvm_locations_init(&e);
  retc_status status = RETC_OK;
  for (size_t i = 0; i < module->kernel_count && status == RETC_OK; i++) {
    if (LLVMGetNamedFunction(module->module, kernels[i]->name)) {
      status = retc_fail(diagnostics, RETC_INTERNAL, "two kernels are called %s", kernels[i]->name);
    } else {
      status = retc_kernel_verify(kernels[i], diagnostics);
    }
    if (status == RETC_OK) status = retc_llvm_emit_kernel(&e, kernels[i], &module->target, diagnostics);
  }
  if (locations) retc_llvm_locations_finish(&e);
  LLVMDisposeBuilder(e.builder);
  return status;
}

static retc_status optimise(retc_llvm_module *module, retc_diagnostics *diagnostics) {
  char *message = NULL;
  bool broken = LLVMVerifyModule(module->module, LLVMReturnStatusAction, &message);
  retc_status status = broken ? retc_fail(diagnostics, RETC_INTERNAL, "LLVM: %s", message) : RETC_OK;
  LLVMDisposeMessage(message);
  RETC_TRY(status);
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(module->module, pipeline, module->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (error) {
    char *text = LLVMGetErrorMessage(error);
    status = retc_fail(diagnostics, RETC_INTERNAL, "LLVM: %s", text);
    LLVMDisposeErrorMessage(text);
    return status;
  }
  return check_complaints(module, diagnostics);
}

static retc_status build(retc_llvm_module *module, const retc_kernel *const *kernels, size_t count,
                         const retc_llvm_options *options, retc_diagnostics *diagnostics) {
  RETC_TRY(target_init(&module->target, options, diagnostics));
  module->context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(module->context, hear, module);
  module->module = LLVMModuleCreateWithNameInContext("retc", module->context);
  module->kernel_names = calloc(count ? count : 1, sizeof *module->kernel_names);
  if (!module->kernel_names) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  module->kernel_count = count;
  for (size_t i = 0; i < count; i++) {
    module->kernel_names[i] = strdup(kernels[i]->name);
    if (!module->kernel_names[i]) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  }
  RETC_TRY(create_machine(module, diagnostics));
  RETC_TRY(emit_kernels(module, kernels, options && options->locations, diagnostics));
  return optimise(module, diagnostics);
}

retc_status retc_llvm_compile(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                              retc_diagnostics *diagnostics, retc_llvm_module **out_module) {
  retc_llvm_module *module = calloc(1, sizeof *module);
  if (!module) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  retc_status status = build(module, kernels, count, options, diagnostics);
  if (status == RETC_OK) {
    *out_module = module;
  } else {
    retc_llvm_module_destroy(module);
  }
  return status;
}

void retc_llvm_module_destroy(retc_llvm_module *module) {
  if (!module) return;
  if (module->object) LLVMDisposeMemoryBuffer(module->object);
  if (module->machine) LLVMDisposeTargetMachine(module->machine);
  if (module->module) LLVMDisposeModule(module->module);
  if (module->context) LLVMContextDispose(module->context);
  if (module->context) target_deinit(&module->target);
  for (size_t i = 0; i < module->kernel_count; i++) free(module->kernel_names[i]);
  free(module->kernel_names);
  retc_text_deinit(&module->complaints);
  free(module);
}

retc_status retc_llvm_emit_ir(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_text *out_text) {
  (void)diagnostics;
  char *text = LLVMPrintModuleToString(module->module);
  retc_text_add(out_text, text);
  LLVMDisposeMessage(text);
  return RETC_OK;
}

/* Code generation changes the module it works on, so it gets a copy. */
static retc_status generate(retc_llvm_module *module, LLVMCodeGenFileType type, retc_diagnostics *diagnostics,
                            LLVMMemoryBufferRef *out_buffer) {
  LLVMModuleRef copy = LLVMCloneModule(module->module);
  char *message = NULL;
  bool failed = LLVMTargetMachineEmitToMemoryBuffer(module->machine, copy, type, &message, out_buffer);
  LLVMDisposeModule(copy);
  if (failed) {
    retc_status status = retc_fail(diagnostics, RETC_INTERNAL, "LLVM: %s", message);
    LLVMDisposeMessage(message);
    return status;
  }
  retc_status status = check_complaints(module, diagnostics);
  if (status != RETC_OK) LLVMDisposeMemoryBuffer(*out_buffer);
  return status;
}

retc_status retc_llvm_module_object(retc_llvm_module *module, retc_diagnostics *diagnostics,
                                    LLVMMemoryBufferRef *out_object) {
  if (!module->object) {
    LLVMMemoryBufferRef made;
    RETC_TRY(generate(module, LLVMObjectFile, diagnostics, &made));
    module->object = made;
  }
  *out_object = module->object;
  return RETC_OK;
}

retc_status retc_llvm_emit_assembly(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_text *out_text) {
  LLVMMemoryBufferRef buffer;
  RETC_TRY(generate(module, LLVMAssemblyFile, diagnostics, &buffer));
  retc_text_append(out_text, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
  LLVMDisposeMemoryBuffer(buffer);
  return RETC_OK;
}

retc_status retc_llvm_emit_object(retc_llvm_module *module, retc_diagnostics *diagnostics, retc_text *out_bytes) {
  LLVMMemoryBufferRef object;
  RETC_TRY(retc_llvm_module_object(module, diagnostics, &object));
  retc_text_append(out_bytes, LLVMGetBufferStart(object), LLVMGetBufferSize(object));
  return RETC_OK;
}
