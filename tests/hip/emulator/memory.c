/* Device memory, and the check of every access of a kernel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device.h"

/* Allocations lie in one range of addresses, each behind the last and a page apart, its end at the end of a page. */
enum { PAGE = 4096, ALIGNMENT = 16 };
static const size_t ARENA = (size_t)16 << 30;

typedef struct allocation {
  char *begin;
  size_t size, first_page, pages;
} allocation;

static char *arena;
static uint32_t *page_owner; /* index into allocations, 0: none */
static allocation *allocations;
static size_t allocation_count, allocation_room, live_count, used, next_page = 1;

/* Who touched a granule last, writing and reading. */
typedef struct cell {
  uint32_t time;
  uint16_t thread;
  uint8_t bytes;  /* of the granule, a bit each */
  uint8_t others; /* of reads: OTHERS_* */
} cell;
typedef struct cells {
  cell write, read;
} cells;
enum { OTHERS_NONE, OTHERS_OF_WAVE, OTHERS_OF_BLOCK, OTHERS_OF_GRID };
enum { DEVICE_GRANULE = 4, SHARED_GRANULE = 2 };
static cells *device_cells;

static void *reserve(size_t size, int protection) {
  void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static bool prepare(void) {
  if (arena) return true;
  char *range = reserve(ARENA, PROT_NONE);
  page_owner = reserve(ARENA / PAGE * sizeof *page_owner, PROT_READ | PROT_WRITE);
  device_cells = reserve(ARENA / DEVICE_GRANULE * sizeof *device_cells, PROT_READ | PROT_WRITE);
  if (!range || !page_owner || !device_cells) return false;
  arena = range;
  allocation_count = 1;
  return true;
}

/* Addresses are used again only when all of them have been used. */
static size_t find_pages(size_t pages) {
  for (int round = 0; round < 2; round++) {
    size_t run = 0;
    for (size_t page = next_page; page < ARENA / PAGE; page++) {
      run = page_owner[page] ? 0 : run + 1;
      if (run == pages + 1) return page - pages;
    }
    next_page = 1;
  }
  return 0;
}

static uint32_t add_allocation(void) {
  if (allocation_count >= allocation_room) {
    allocation_room = allocation_room ? 2 * allocation_room : 256;
    allocations = realloc(allocations, allocation_room * sizeof *allocations);
    if (!allocations) abort();
  }
  return (uint32_t)allocation_count++;
}

void *emulator_memory_alloc(size_t size) {
  if (size > emulator_get_settings()->memory_limit - used || !prepare()) return NULL;
  size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, pages = (rounded + PAGE - 1) / PAGE;
  if (pages == 0) pages = 1;
  size_t first = find_pages(pages);
  if (!first || mprotect(arena + first * PAGE, pages * PAGE, PROT_READ | PROT_WRITE)) return NULL;
  uint32_t index = add_allocation();
  allocations[index] = (allocation){arena + (first + pages) * PAGE - rounded, size, first, pages};
  for (size_t page = first; page < first + pages; page++) page_owner[page] = index;
  memset(arena + first * PAGE, 0xff, pages * PAGE);
  next_page = first + pages + 1;
  used += size;
  live_count++;
  return allocations[index].begin;
}

static const allocation *find(const void *address) {
  size_t offset = (size_t)((const char *)address - arena);
  if (!arena || offset >= ARENA) return NULL;
  uint32_t owner = page_owner[offset / PAGE];
  return owner ? &allocations[owner] : NULL;
}

bool emulator_memory_free(void *memory) {
  const allocation *a = find(memory);
  if (!a || a->begin != memory) return false;
  char *pages = arena + a->first_page * PAGE;
  madvise(pages, a->pages * PAGE, MADV_DONTNEED);
  mprotect(pages, a->pages * PAGE, PROT_NONE);
  for (size_t page = a->first_page; page < a->first_page + a->pages; page++) page_owner[page] = 0;
  used -= a->size;
  live_count--;
  return true;
}

static bool holds(const allocation *a, const void *memory, size_t size) {
  size_t offset = (size_t)((const char *)memory - a->begin);
  return offset <= a->size && size <= a->size - offset;
}

bool emulator_memory_holds(const void *memory, size_t size) {
  const allocation *a = find(memory);
  return a && holds(a, memory, size);
}

size_t emulator_memory_used(void) { return used; }
size_t emulator_memory_count(void) { return live_count; }

void emulator_memory_describe(const void *address, char *text, size_t size) {
  const char *at = address;
  const allocation *a = find(at);
  for (int back = 1; !a && back < 16; back++) a = find(at - back * PAGE); /* a little behind one */
  if (!a && find(at + PAGE)) a = find(at + PAGE);
  if (!a) {
    snprintf(text, size, "at %p, which is no memory of the device", address);
  } else if (at < a->begin) {
    snprintf(text, size, "%zu bytes before a device allocation of %zu bytes", (size_t)(a->begin - at), a->size);
  } else {
    snprintf(text, size, "at byte %zu of a device allocation of %zu bytes", (size_t)(at - a->begin), a->size);
  }
}

/* ---- races ---- */

static int wave_of(const cell *c) { return c->thread / emulator_get_settings()->wave_size; }

/* Whether what the cell tells happened before what the thread that runs does now. */
static bool is_ordered(const cell *c) {
  if (c->time < emulator_now.barrier_time && c->time >= emulator_now.block_time) return true;
  if (c->time < emulator_now.launch_time) return true;
  if (c->time < emulator_now.block_time) return false;
  if (c->others >= OTHERS_OF_BLOCK) return false;
  if (wave_of(c) != emulator_now.wave) return false;
  if (c->time < emulator_now.wave_time[emulator_now.wave]) return true;
  return c->thread == emulator_now.thread && c->others == OTHERS_NONE;
}

/* Reads that no write of this thread's can be in conflict with any more are forgotten. */
static bool is_over(const cell *read) {
  if (read->time < emulator_now.launch_time) return true;
  if (read->others == OTHERS_OF_GRID || read->time < emulator_now.block_time) return false;
  if (read->time < emulator_now.barrier_time) return true;
  return read->others <= OTHERS_OF_WAVE && wave_of(read) == emulator_now.wave &&
         read->time < emulator_now.wave_time[emulator_now.wave];
}

static void note_read(cell *read, uint8_t bytes) {
  uint8_t others = OTHERS_NONE;
  if (!is_over(read)) {
    if (read->time < emulator_now.block_time) others = OTHERS_OF_GRID;
    else if (wave_of(read) != emulator_now.wave) others = OTHERS_OF_BLOCK;
    else if (read->thread != emulator_now.thread) others = OTHERS_OF_WAVE;
    if (others < read->others) others = read->others;
    bytes |= read->bytes;
  }
  *read = (cell){emulator_now.time, (uint16_t)emulator_now.thread, bytes, others};
}

static bool is_race(const cells *c, uint8_t bytes, emulator_access access, const cell **out_other) {
  *out_other = &c->write;
  if (c->write.time && (c->write.bytes & bytes) && !is_ordered(&c->write)) return true;
  *out_other = &c->read;
  if (access == EMULATOR_READ || !c->read.time || !(c->read.bytes & bytes)) return false;
  if (c->read.others == OTHERS_OF_GRID && c->read.time >= emulator_now.launch_time) return true;
  return !is_ordered(&c->read);
}

/* Cells of shared memory belong to one block at a time: what another block left there is over. */
static void forget_other_blocks(cells *c) {
  if (c->write.time < emulator_now.block_time) c->write.time = 0;
  if (c->read.time < emulator_now.block_time) c->read.time = 0;
}

static void check_races(cells *first, size_t offset, size_t size, size_t granule, bool shared, emulator_access access,
                        const char *what, const void *caller) {
  for (size_t g = offset / granule; g * granule < offset + size; g++) {
    uint8_t bytes = 0;
    for (size_t i = 0; i < granule; i++) {
      if (g * granule + i >= offset && g * granule + i < offset + size) bytes |= (uint8_t)(1u << i);
    }
    cells *c = &first[g];
    const cell *other;
    if (shared) forget_other_blocks(c);
    if (is_race(c, bytes, access, &other)) {
      bool elsewhere = other->time < emulator_now.block_time || other->others == OTHERS_OF_GRID;
      emulator_fail(caller, "a race: it %s what %s %d %s, %s, without a barrier between",
                    access == EMULATOR_READ ? "reads" : "writes",
                    elsewhere ? "another block's thread" : "thread", other->thread,
                    other == &c->write ? "wrote" : "read", what);
    }
    if (access == EMULATOR_READ) {
      note_read(&c->read, bytes);
    } else {
      if (c->write.time == emulator_now.time && c->write.thread == emulator_now.thread) bytes |= c->write.bytes;
      c->write = (cell){emulator_now.time, (uint16_t)emulator_now.thread, bytes, OTHERS_NONE};
    }
  }
}

/* ---- every access ---- */

static const char *verb(emulator_access access) {
  return access == EMULATOR_READ ? "reads" : access == EMULATOR_WRITE ? "writes" : "changes";
}

static void check_shared(const emulator_module *module, const char *address, size_t size, emulator_access access,
                         const void *caller) {
  size_t offset = (size_t)(address - module->shared_begin);
  for (size_t i = offset; i < offset + size && module->shared_inside; i++) {
    if (i < (size_t)(module->shared_end - module->shared_begin) && (module->shared_inside[i / 8] >> i % 8 & 1))
      continue;
    emulator_fail(caller, "%s %zu bytes of which some lie behind an array of shared memory", verb(access), size);
  }
  if (access != EMULATOR_ATOMIC) {
    check_races(module->shared_cells, offset, size, SHARED_GRANULE, true, access, "in shared memory", caller);
  }
}

static void check_device(const char *address, size_t size, emulator_access access, const void *caller) {
  const allocation *a = find(address);
  if (!a || !holds(a, address, size)) {
    char text[128];
    emulator_memory_describe(address, text, sizeof text);
    emulator_fail(caller, "%s %zu bytes %s", verb(access), size, text);
  }
  if (access != EMULATOR_ATOMIC) {
    check_races(device_cells, (size_t)(address - arena), size, DEVICE_GRANULE, false, access, "in device memory",
                caller);
  }
}

void emulator_check(const void *address, size_t size, emulator_access access, const void *caller) {
  const char *at = address;
  if (!emulator_now.inside) return; /* the code object's constructors */
  if (at >= emulator_now.stack_begin && at < emulator_now.stack_end) return;
  const char *services = (const char *)&emulator_the_services;
  if (at >= services && at < services + sizeof emulator_the_services) return;
  const emulator_module *module = emulator_now.launch->function->module;
  if (arena && (size_t)(at - arena) < ARENA) {
    check_device(at, size, access, caller);
  } else if (at >= module->shared_begin && at < module->shared_end) {
    check_shared(module, at, size, access, caller);
  } else if (at < module->image_begin || at >= module->image_end) {
    emulator_fail(caller, "%s %zu bytes at %p, which is no memory of the device", verb(access), size, address);
  }
}
