#include "base/table.h"

#include <string.h>

/* Eight bytes at a time, each mixed in by a product of which both halves count. */
static uint32_t hash_of(const unsigned char *bytes, size_t length) {
  uint64_t hash = length, part;
  for (; length >= sizeof part; bytes += sizeof part, length -= sizeof part) {
    memcpy(&part, bytes, sizeof part);
    hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  part = 0;
  memcpy(&part, bytes, length);
  hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
  return (uint32_t)(hash >> 32);
}

/* The slot that holds the key, or the free one where it belongs. */
static struct retc_table_slot *find_slot(const retc_table *table, uint32_t hash, const void *key, size_t length) {
  size_t mask = table->capacity - 1, i = hash & mask;
  for (;; i = (i + 1) & mask) {
    struct retc_table_slot *slot = &table->slots[i];
    if (!slot->key) return slot;
    if (slot->hash == hash && slot->length == length && memcmp(slot->key, key, length) == 0) return slot;
  }
}

uint32_t retc_table_find(const retc_table *table, const void *key, size_t length) {
  return table->capacity ? find_slot(table, hash_of(key, length), key, length)->value : 0;
}

static void grow_table(retc_arena *arena, retc_table *table, size_t capacity) {
  retc_table larger = {.capacity = capacity, .count = table->count};
  larger.slots = RETC_NEW_ARRAY(arena, struct retc_table_slot, larger.capacity);
  for (size_t i = 0; i < table->capacity; i++) {
    const struct retc_table_slot *slot = &table->slots[i];
    if (slot->key) *find_slot(&larger, slot->hash, slot->key, slot->length) = *slot;
  }
  *table = larger;
}

void retc_table_reserve(retc_arena *arena, retc_table *table, size_t count) {
  if (4 * count <= 3 * table->capacity) return;
  size_t capacity = table->capacity ? 2 * table->capacity : 64;
  while (3 * capacity < 4 * count) capacity *= 2;
  grow_table(arena, table, capacity);
}

/* The slot of the key, whose own pointer it keeps when it is new. */
static struct retc_table_slot *put(retc_arena *arena, retc_table *table, const void *key, size_t length,
                                   uint32_t value) {
  retc_table_reserve(arena, table, table->count + 1);
  const uint32_t hash = hash_of(key, length);
  struct retc_table_slot *slot = find_slot(table, hash, key, length);
  if (!slot->key) {
    *slot = (struct retc_table_slot){.key = key, .hash = hash, .length = (uint32_t)length};
    table->count++;
  }
  slot->value = value;
  return slot;
}

void retc_table_put(retc_arena *arena, retc_table *table, const void *key, size_t length, uint32_t value) {
  struct retc_table_slot *slot = put(arena, table, key, length, value);
  if (slot->key != key) return;
  void *copy = retc_arena_alloc(arena, length + 1);
  memcpy(copy, key, length);
  slot->key = copy;
}

void retc_table_lend(retc_arena *arena, retc_table *table, const void *key, size_t length, uint32_t value) {
  (void)put(arena, table, key, length, value);
}

void retc_table_forget(retc_table *table, const void *key, size_t length) {
  if (table->capacity) find_slot(table, hash_of(key, length), key, length)->value = 0;
}
