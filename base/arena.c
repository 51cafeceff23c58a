#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first block is small, since many arenas hold little. */
enum { FIRST_BYTES = 4 * 1024, BLOCK_BYTES = 64 * 1024, ALIGNMENT = _Alignof(max_align_t) };

typedef struct retc_arena_block {
  struct retc_arena_block *previous;
  size_t used, size;
  _Alignas(max_align_t) char data[];
} block;

void retc_arena_init(retc_arena *arena) { arena->last = NULL; }

void retc_arena_deinit(retc_arena *arena) {
  for (block *it = arena->last, *previous; it; it = previous) {
    previous = it->previous;
    free(it);
  }
  arena->last = NULL;
}

static block *block_create(size_t size) {
  if (size > SIZE_MAX - sizeof(block)) return NULL;
  block *made = calloc(1, sizeof(block) + size);
  if (made) made->size = size;
  return made;
}

/* A large request gets a block to itself behind the current one, whose rest stays in use. */
static void *alloc_alone(retc_arena *arena, size_t size) {
  block *made = block_create(size);
  if (!made) return NULL;
  made->used = size;
  block **link = arena->last ? &arena->last->previous : &arena->last;
  made->previous = *link;
  *link = made;
  return made->data;
}

void *retc_arena_alloc(retc_arena *arena, size_t size) {
  if (size > SIZE_MAX - ALIGNMENT) return NULL;
  size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  if (size > BLOCK_BYTES / 4) return alloc_alone(arena, size);
  if (!arena->last || arena->last->size - arena->last->used < size) {
    size_t bytes = arena->last ? 4 * arena->last->size : FIRST_BYTES;
    if (bytes > BLOCK_BYTES) bytes = BLOCK_BYTES;
    block *made = block_create(bytes < size ? BLOCK_BYTES : bytes);
    if (!made) return NULL;
    made->previous = arena->last;
    arena->last = made;
  }
  void *memory = arena->last->data + arena->last->used;
  arena->last->used += size;
  return memory;
}

char *retc_arena_strdup(retc_arena *arena, const char *text) { return retc_arena_strndup(arena, text, strlen(text)); }

char *retc_arena_strndup(retc_arena *arena, const char *text, size_t length) {
  size_t size = strnlen(text, length);
  char *copy = retc_arena_alloc(arena, size + 1);
  if (copy) memcpy(copy, text, size);
  return copy;
}

char *retc_arena_printf(retc_arena *arena, const char *format, ...) {
  char brief[128]; /* most are, and need no second printing */
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length = vsnprintf(brief, sizeof brief, format, arguments);
  char *text = length < 0 ? NULL : retc_arena_alloc(arena, (size_t)length + 1);
  if (text && (size_t)length < sizeof brief) memcpy(text, brief, (size_t)length + 1);
  else if (text) vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  va_end(arguments);
  return text;
}

void *retc_arena_grow(retc_arena *arena, const void *items, size_t count, size_t *capacity, size_t item_size) {
  size_t larger = *capacity ? 2 * *capacity : 8;
  if (larger < *capacity || larger > SIZE_MAX / item_size) return NULL;
  void *grown = retc_arena_alloc(arena, larger * item_size);
  if (!grown) return NULL;
  if (count) memcpy(grown, items, count * item_size);
  *capacity = larger;
  return grown;
}
