#ifndef RETC_BASE_TABLE_H
#define RETC_BASE_TABLE_H

#include <stdint.h>

#include "base/arena.h"

/* From byte strings to numbers > 0. On an arena; keys are copied. */
typedef struct retc_table {
  struct retc_table_slot {
    const void *key; /* NULL: a free slot */
    uint64_t hash;
    size_t length;
    uint32_t value; /* 0: forgotten */
  } *slots;
  size_t count, capacity;
} retc_table;

/* 0 when there is none. */
uint32_t retc_table_find(const retc_table *table, const void *key, size_t length);
/* Adds, or replaces the value of an equal key. */
void retc_table_put(retc_arena *arena, retc_table *table, const void *key, size_t length, uint32_t value);
void retc_table_forget(retc_table *table, const void *key, size_t length);

#endif
