#include <string.h>

#include "compiler/main/html/html.h"

void retc_html_strings_init(retc_html_strings *strings, retc_arena *arena) {
  *strings = (retc_html_strings){.arena = arena, .slot_count = 1024};
  strings->slots = RETC_NEW_ARRAY(arena, size_t, strings->slot_count);
}

static uint64_t hash(const char *text, size_t length) {
  uint64_t h = 1469598103934665603u;
  for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
  return h ^ h >> 29;
}

static size_t *find(const retc_html_strings *strings, const char *text, size_t length) {
  size_t at = hash(text, length) & (strings->slot_count - 1);
  for (; strings->slots[at]; at = (at + 1) & (strings->slot_count - 1)) {
    const char *known = strings->items.items[strings->slots[at] - 1];
    if (!strncmp(known, text, length) && !known[length]) break;
  }
  return &strings->slots[at];
}

static void grow(retc_html_strings *strings) {
  strings->slot_count *= 2;
  strings->slots = RETC_NEW_ARRAY(strings->arena, size_t, strings->slot_count);
  for (size_t i = 0; i < strings->items.count; i++) {
    *find(strings, strings->items.items[i], strlen(strings->items.items[i])) = i + 1;
  }
}

size_t retc_html_strings_add(retc_html_strings *strings, const char *text, size_t length) {
  size_t *slot = find(strings, text, length);
  if (*slot) return *slot - 1;
  RETC_VEC_PUSH(strings->arena, strings->items, retc_arena_strndup(strings->arena, text, length));
  *slot = strings->items.count;
  if (2 * strings->items.count > strings->slot_count) grow(strings);
  return strings->items.count - 1;
}

void retc_html_strings_print(const retc_html_strings *strings, retc_text *out_text) {
  retc_text_add(out_text, "[");
  for (size_t i = 0; i < strings->items.count; i++) {
    retc_text_add(out_text, i ? ",\n" : "\n");
    retc_html_print_string(strings->items.items[i], strlen(strings->items.items[i]), out_text);
  }
  retc_text_add(out_text, "]");
}

/* How many bytes the character of UTF-8 at `at` has; 0: it is none. */
static size_t character_length(const char *at, size_t left) {
  const unsigned char *b = (const unsigned char *)at;
  size_t length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
  if (length > left) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((b[i] & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
  const bool beyond = (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf4 && b[1] > 0x8f);
  return overlong || beyond ? 0 : length;
}

void retc_html_print_string(const char *text, size_t length, retc_text *out_text) {
  static const char escaped[] = "<>&\"\\\x7f";
  retc_text_add(out_text, "\"");
  for (size_t at = 0, plain; at < length; at += plain) {
    for (plain = 0; at + plain < length;) {
      const char c = text[at + plain];
      if ((unsigned char)c < 0x20 || strchr(escaped, c)) break;
      size_t bytes = character_length(text + at + plain, length - at - plain);
      if (!bytes) break;
      plain += bytes;
    }
    retc_text_append(out_text, text + at, plain);
    if (at + plain == length) break;
    const unsigned char c = (unsigned char)text[at + plain++];
    if (c == '"' || c == '\\') retc_text_printf(out_text, "\\%c", c);
    else retc_text_printf(out_text, "\\u%04x", c < 0x80 ? c : 0xfffdu);
    at += plain;
    plain = 0;
  }
  retc_text_add(out_text, "\"");
}

void retc_html_print_escaped(const char *text, retc_text *out_text) {
  for (size_t left = strlen(text), bytes; left; text += bytes, left -= bytes) {
    bytes = character_length(text, left);
    if (!bytes) retc_text_add(out_text, "\xef\xbf\xbd");
    else if (*text == '<') retc_text_add(out_text, "&lt;");
    else if (*text == '>') retc_text_add(out_text, "&gt;");
    else if (*text == '&') retc_text_add(out_text, "&amp;");
    else if (*text == '"') retc_text_add(out_text, "&quot;");
    else retc_text_append(out_text, text, bytes);
    if (!bytes) bytes = 1;
  }
}
