/* Code objects of the stand-in: shared libraries, loaded from memory. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

enum { CELL_BYTES = 8 /* memory.c's notes a byte of shared memory: 16 a granule of 2 */ };

static size_t image_size(const void *image) {
  const Elf64_Ehdr *header = image;
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_machine != EM_X86_64) return 0;
  return header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
}

/* The section of shared memory, and where the image ends. */
static void find_ranges(emulator_module *module, const char *image) {
  const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
  const Elf64_Phdr *segments = (const Elf64_Phdr *)(image + header->e_phoff);
  const Elf64_Shdr *sections = (const Elf64_Shdr *)(image + header->e_shoff);
  const char *names = image + sections[header->e_shstrndx].sh_offset;
  module->image_end = module->image_begin;
  for (int i = 0; i < header->e_phnum; i++) {
    char *end = module->image_begin + segments[i].p_vaddr + segments[i].p_memsz;
    if (segments[i].p_type == PT_LOAD && end > module->image_end) module->image_end = end;
  }
  for (int i = 0; i < header->e_shnum; i++) {
    if (strcmp(names + sections[i].sh_name, ".lds") != 0) continue;
    module->shared_begin = module->image_begin + sections[i].sh_addr;
    module->shared_end = module->shared_begin + sections[i].sh_size;
  }
}

static void find_arrays(emulator_module *module) {
  const size_t size = (size_t)(module->shared_end - module->shared_begin);
  module->shared_cells = calloc(size + 16, CELL_BYTES);
  if (!module->code->global_at(0)) return; /* compiled without checks */
  module->shared_inside = calloc(size / 8 + 1, 1);
  const emulator_global *global;
  for (size_t i = 0; (global = module->code->global_at(i)); i++) {
    if (global->begin < module->shared_begin || global->begin >= module->shared_end) continue;
    const size_t first = (size_t)(global->begin - module->shared_begin);
    for (size_t at = first; at < first + global->size; at++)
      module->shared_inside[at / 8] |= (unsigned char)(1u << at % 8);
  }
}

static bool load(emulator_module *module, const void *image, size_t size, const char **out_error) {
  char path[64];
  module->file = memfd_create("code object", MFD_CLOEXEC);
  if (module->file < 0 || write(module->file, image, size) != (ssize_t)size) {
    *out_error = "no memory for a copy of it";
    return false;
  }
  snprintf(path, sizeof path, "/proc/self/fd/%d", module->file);
  module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!module->handle) {
    *out_error = dlerror();
    return false;
  }
  module->code = dlsym(module->handle, "retc_emulator_code");
  struct link_map *map = NULL;
  if (!module->code || dlinfo(module->handle, RTLD_DI_LINKMAP, &map) != 0) {
    *out_error = "it is not one of the emulator's";
    return false;
  }
  module->image_begin = (char *)map->l_addr;
  return true;
}

emulator_module *emulator_module_load(const void *image, const char **out_error) {
  const size_t size = image_size(image);
  emulator_module *module = calloc(1, sizeof *module);
  *out_error = size ? "out of memory" : "it is not a library for this machine";
  if (!module) return NULL;
  module->file = -1;
  if (!size || !load(module, image, size, out_error)) {
    emulator_module_unload(module);
    return NULL;
  }
  find_ranges(module, image);
  find_arrays(module);
  module->code->services = &emulator_the_services;
  return module;
}

void emulator_module_unload(emulator_module *module) {
  if (module->handle) dlclose(module->handle);
  if (module->file >= 0) close(module->file);
  free(module->shared_cells);
  free(module->shared_inside);
  free(module);
}

const emulator_kernel *emulator_module_find(const emulator_module *module, const char *name) {
  const emulator_kernel *kernel = module->code->kernels;
  while (kernel && strcmp(kernel->name, name) != 0) kernel = kernel->next;
  return kernel;
}

void emulator_module_line(const emulator_module *module, const void *address, char *text, size_t size) {
  char command[256], found[512] = "";
  /* The instruction before the one that is returned to. */
  const size_t offset = (size_t)((const char *)address - module->image_begin) - 1;
  snprintf(command, sizeof command,
           "llvm-symbolizer-19 --obj=/proc/%d/fd/%d --functions=none --no-inlines --basenames 0x%zx 2>/dev/null",
           (int)getpid(), module->file, offset);
  FILE *pipe = popen(command, "r");
  if (!pipe) return;
  if (!fgets(found, sizeof found, pipe)) *found = 0;
  pclose(pipe);
  found[strcspn(found, "\n")] = 0;
  snprintf(text, size, "%s", *found == '?' ? "" : found);
}
