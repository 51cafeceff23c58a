#ifndef RETC_BASE_TABLE_H
#define RETC_BASE_TABLE_H

#include <stdint.h>

#include "base/arena.h"

/* From byte strings, below 4 GiB, to numbers > 0. On an arena. */
typedef struct retc_table {
  struct retc_table_slot {
    const void *key; /* NULL: a free slot */
    uint32_t hash, length;
    uint32_t value; /* 0: forgotten */
  } *slots;
  size_t count, capacity;
} retc_table;

/* 0 when there is none. */
uint32_t retc_table_find(const retc_table *table, const void *key, size_t length);
/* Adds, or replaces the value of an equal key. A new key is copied. */
void retc_table_put(retc_arena *arena, retc_table *table, const void *key, size_t length, uint32_t value);
/* The same, but a new key is borrowed for as long as the table is used. */
void retc_table_lend(retc_arena *arena, retc_table *table, const void *key, size_t length, uint32_t value);
/* Makes room for as many keys altogether. */
void retc_table_reserve(retc_arena *arena, retc_table *table, size_t count);
void retc_table_forget(retc_table *table, const void *key, size_t length);

#endif
