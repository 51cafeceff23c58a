/* Bump allocation with one free. Blocks are zeroed. Not thread safe.
 * What is allocated here is the compiler's small data; memory whose size a user's file decides (weights, buffers,
 * tensors) is taken with malloc or mmap by its owner, who reports failure. */
#ifndef RETC_BASE_ARENA_H
#define RETC_BASE_ARENA_H

#include <stddef.h>

typedef struct retc_arena {
  struct retc_arena_block *last;
} retc_arena;

void retc_arena_init(retc_arena *arena);
void retc_arena_deinit(retc_arena *arena);

/* Zeroed memory aligned for any type, alive until deinit. When the system refuses memory this and the
 * functions below return NULL. Compiler code does not survive that; sizes that a user decides are bounded before. */
void *retc_arena_alloc(retc_arena *arena, size_t size);
char *retc_arena_strdup(retc_arena *arena, const char *text);
char *retc_arena_strndup(retc_arena *arena, const char *text, size_t length);
char *retc_arena_printf(retc_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define RETC_NEW(arena, type) ((type *)retc_arena_alloc((arena), sizeof(type)))
#define RETC_NEW_ARRAY(arena, type, count) ((type *)retc_arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* A growable array on an arena: RETC_VEC(int) v = {0}; RETC_VEC_PUSH(arena, v, 3); v.items[0]; v.count.
 * Growing moves the items; the old ones stay until the arena goes. */
#define RETC_VEC(type) \
  struct { \
    type *items; \
    size_t count, capacity; \
  }
#define RETC_VEC_PUSH(arena, vec, item) \
  ((vec).count == (vec).capacity \
       ? (void)((vec).items = \
                    retc_arena_grow((arena), (vec).items, (vec).count, &(vec).capacity, sizeof *(vec).items)) \
       : (void)0, \
   (vec).items[(vec).count++] = (item))
void *retc_arena_grow(retc_arena *arena, const void *items, size_t count, size_t *capacity, size_t item_size);

#endif
