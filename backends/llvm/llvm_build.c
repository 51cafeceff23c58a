/* Kernels to code in memory: from the cache, or made by several threads, each with an LLVM context of its own. */
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <llvm-c/Core.h>

#include "backends/llvm/llvm_private.h"
#include "runtime/code_cache.h"
#include "runtime/tiles.h"

enum { PARTS_MAX = 16 };

typedef struct part {
  const retc_kernel **kernels;
  size_t count, weight;
  const retc_llvm_options *options;
  retc_text object;
  retc_diagnostics diagnostics;
  retc_status status;
} part;

static void *compile_part(void *argument) {
  part *p = argument;
  retc_llvm_module *module = NULL;
  p->status = retc_llvm_compile(p->kernels, p->count, p->options, &p->diagnostics, &module);
  if (p->status == RETC_OK) p->status = retc_llvm_emit_object(module, &p->diagnostics, &p->object);
  retc_llvm_module_destroy(module);
  return NULL;
}

/* ---- whether it can run here ---- */

static bool has_level(const char *cpu) {
#if defined(__x86_64__)
  if (!strcmp(cpu, "x86-64")) return true;
  if (!strcmp(cpu, "x86-64-v2")) return __builtin_cpu_supports("x86-64-v2");
  if (!strcmp(cpu, "x86-64-v3")) return __builtin_cpu_supports("x86-64-v3");
  if (!strcmp(cpu, "x86-64-v4")) return __builtin_cpu_supports("x86-64-v4");
#endif
  return !strcmp(cpu, "generic");
}

const char *retc_llvm_lesser_cpu(void) {
#if defined(__x86_64__)
  static const char *const levels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64"};
  size_t own = 0;
  while (!has_level(levels[own])) own++; /* every x86-64 CPU has the last */
  return own + 1 < sizeof levels / sizeof *levels ? levels[own + 1] : NULL;
#else
  return NULL;
#endif
}

/* Code for a CPU of another name may hold instructions that this one lacks, or that the system keeps from programs. */
static retc_status check_cpu(const retc_llvm_options *options, retc_diagnostics *diagnostics) {
  retc_llvm_cpu cpu;
  RETC_TRY(retc_llvm_read_cpu(options, diagnostics, &cpu));
  if (cpu.is_host || has_level(cpu.name)) return RETC_OK;
  const char *host, *features;
  retc_status status = RETC_OK;
  retc_llvm_host(&host, &features);
  if (strcmp(host, cpu.name)) {
    status = retc_fail(diagnostics, RETC_INVALID,
                       "code for CPU '%s' may not run on this one, expected host, %s, or a level that "
                       "it has, such as x86-64-v2",
                       cpu.name, host);
  }
  RETC_TRY(status);
  retc_target_profile profile;
  RETC_TRY(retc_llvm_profile(options, diagnostics, &profile));
  if (!profile.has_tiles || retc_tiles_permit()) return RETC_OK;
  return retc_fail(diagnostics, RETC_INVALID,
                   "code for CPU '%s' uses tiles (AMX), which this system refuses to this program, "
                   "expected host or %s,no-tiles",
                   cpu.name, cpu.name);
}

/* ---- the key ---- */

/* What the linker calls this program: it tells builds of one version apart. */
static int find_build(struct dl_phdr_info *info, size_t size, void *user) {
  static const char mark = 0;
  (void)size;
  bool ours = false;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + header->p_vaddr, here = (uintptr_t)&mark;
    ours = ours || (header->p_type == PT_LOAD && here >= start && here - start < header->p_memsz);
  }
  for (int i = 0; ours && i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *header = &info->dlpi_phdr[i];
    if (header->p_type != PT_NOTE) continue;
    const unsigned char *notes = (const unsigned char *)(uintptr_t)(info->dlpi_addr + header->p_vaddr);
    for (size_t k = 0; k < header->p_memsz; k++) retc_text_printf(user, "%02x", notes[k]);
  }
  return ours;
}

static retc_status describe_target(const retc_llvm_options *options, retc_diagnostics *diagnostics,
                                   retc_text *out_key) {
  unsigned major, minor, patch;
  retc_llvm_cpu cpu;
  retc_target_profile profile;
  RETC_TRY(retc_llvm_read_cpu(options, diagnostics, &cpu));
  RETC_TRY(retc_llvm_profile(options, diagnostics, &profile));
  LLVMGetVersion(&major, &minor, &patch);
  retc_text_printf(out_key, "retc %d, LLVM %u.%u.%u, build ", RETC_API_VERSION, major, minor, patch);
  (void)dl_iterate_phdr(find_build, out_key);
  const char *host, *features;
  retc_llvm_host(&host, &features);
  char *triple = LLVMGetDefaultTargetTriple();
  retc_text_printf(out_key, "\n%s, %s, %s, tiles %d\n", triple, cpu.is_host ? host : cpu.name,
                   cpu.is_host ? features : "", profile.has_tiles);
  LLVMDisposeMessage(triple);
  return RETC_OK;
}

/* ---- what is kept: how many objects, their sizes, the objects ---- */

static void pack(const part *parts, size_t count, retc_text *out_code) {
  uint64_t number = count;
  retc_text_append(out_code, (const char *)&number, sizeof number);
  for (size_t i = 0; i < count; i++) {
    number = parts[i].object.length;
    retc_text_append(out_code, (const char *)&number, sizeof number);
  }
  for (size_t i = 0; i < count; i++) retc_text_append(out_code, parts[i].object.data, parts[i].object.length);
}

static retc_status load_packed(const char *code, const retc_kernel *const *kernels, size_t count,
                               retc_diagnostics *diagnostics, retc_executable **out_executable) {
  uint64_t objects, size;
  retc_llvm_object list[PARTS_MAX];
  memcpy(&objects, code, sizeof objects);
  const char *at = code + sizeof objects * (1 + objects);
  for (uint64_t i = 0; i < objects; i++) {
    memcpy(&size, code + sizeof size * (1 + i), sizeof size);
    list[i] = (retc_llvm_object){at, size};
    at += size;
  }
  const char **names = calloc(count + 1, sizeof *names);
  if (!names) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  for (size_t i = 0; i < count; i++) names[i] = kernels[i]->name;
  retc_status status = retc_llvm_link(list, objects, names, count, diagnostics, out_executable);
  free(names);
  return status;
}

/* ---- parts ---- */

static size_t part_count(size_t kernels) {
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  size_t parts = cpus < 1 ? 1 : cpus > PARTS_MAX ? PARTS_MAX : (size_t)cpus;
  return kernels < parts ? (kernels ? kernels : 1) : parts;
}

/* The heaviest kernel left goes to the lightest part. The weight is the size of the text. */
static void share_out(const retc_kernel *const *kernels, size_t *weights, size_t count, part *parts,
                      size_t part_number) {
  for (size_t done = 0; done < count; done++) {
    size_t heaviest = 0, lightest = 0;
    for (size_t i = 0; i < count; i++) heaviest = weights[i] > weights[heaviest] ? i : heaviest;
    for (size_t i = 1; i < part_number; i++) lightest = parts[i].weight < parts[lightest].weight ? i : lightest;
    part *p = &parts[lightest];
    p->kernels[p->count++] = kernels[heaviest];
    p->weight += weights[heaviest];
    weights[heaviest] = 0;
  }
}

static retc_status compile_parts(part *parts, size_t count, retc_diagnostics *diagnostics) {
  pthread_t threads[PARTS_MAX];
  bool started[PARTS_MAX] = {false};
  for (size_t i = 1; i < count; i++) started[i] = pthread_create(&threads[i], NULL, compile_part, &parts[i]) == 0;
  compile_part(&parts[0]);
  for (size_t i = 1; i < count; i++) {
    if (started[i]) pthread_join(threads[i], NULL);
    else compile_part(&parts[i]);
  }
  for (size_t i = 0; i < count; i++) {
    if (parts[i].status == RETC_OK) continue;
    const char *text = retc_diagnostics_text(&parts[i].diagnostics);
    const size_t length = strlen(text);
    return retc_fail(diagnostics, parts[i].status, "%.*s", (int)(length ? length - 1 : 0), text);
  }
  return RETC_OK;
}

static retc_status compile_all(const retc_kernel *const *kernels, size_t *weights, size_t count,
                               const retc_llvm_options *options, retc_diagnostics *diagnostics, retc_text *out_code) {
  part parts[PARTS_MAX] = {{0}};
  const size_t number = part_count(count);
  const retc_kernel **room = calloc(number * (count + 1), sizeof *room);
  if (!room) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  for (size_t i = 0; i < number; i++) parts[i] = (part){.kernels = room + i * (count + 1), .options = options};
  share_out(kernels, weights, count, parts, number);
  retc_status status = compile_parts(parts, number, diagnostics);
  if (status == RETC_OK) pack(parts, number, out_code);
  for (size_t i = 0; i < number; i++) {
    retc_text_deinit(&parts[i].object);
    retc_diagnostics_deinit(&parts[i].diagnostics);
  }
  free(room);
  return status;
}

static retc_status build(const retc_kernel *const *kernels, size_t *weights, size_t count,
                         const retc_llvm_options *options, retc_diagnostics *diagnostics, retc_text *key,
                         retc_executable **out_executable) {
  RETC_TRY(describe_target(options, diagnostics, key));
  for (size_t i = 0; i < count; i++) {
    const size_t before = key->length;
    retc_kernel_print(kernels[i], key);
    weights[i] = key->length - before + 1;
  }
  void *kept = NULL;
  size_t size = 0;
  if (retc_code_cache_find("cpu", key->data, key->length, &kept, &size)) {
    retc_status status = load_packed(kept, kernels, count, diagnostics, out_executable);
    free(kept);
    return status;
  }
  retc_text code;
  retc_text_init(&code);
  retc_status status = compile_all(kernels, weights, count, options, diagnostics, &code);
  if (status == RETC_OK) retc_code_cache_keep("cpu", key->data, key->length, code.data, code.length);
  if (status == RETC_OK) status = load_packed(code.data, kernels, count, diagnostics, out_executable);
  retc_text_deinit(&code);
  return status;
}

retc_status retc_llvm_build(const retc_kernel *const *kernels, size_t count, const retc_llvm_options *options,
                            retc_diagnostics *diagnostics, retc_executable **out_executable) {
  RETC_TRY(check_cpu(options, diagnostics));
  size_t *weights = calloc(count + 1, sizeof *weights);
  if (!weights) return retc_fail(diagnostics, RETC_FAILED, "out of memory");
  retc_text key;
  retc_text_init(&key);
  retc_status status = build(kernels, weights, count, options, diagnostics, &key, out_executable);
  retc_text_deinit(&key);
  free(weights);
  return status;
}
