#include <string.h>

#include "ir/graph.h"

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The letters at the start of *text, each once; -1 when that does not hold. */
static int take_letters(const char **text, char letters[RETC_RANK_MAX]) {
  int count = 0;
  for (; is_letter(**text); (*text)++) {
    if (count == RETC_RANK_MAX || memchr(letters, **text, (size_t)count)) return -1;
    letters[count++] = **text;
  }
  return count;
}

static bool take(const char **text, const char *expected) {
  size_t length = strlen(expected);
  if (strncmp(*text, expected, length) != 0) return false;
  *text += length;
  return true;
}

static int place_of(char letter, const char *letters, int count) {
  const char *found = memchr(letters, letter, (size_t)count);
  return found ? (int)(found - letters) : -1;
}

bool retc_contraction_parse(const char *spec, retc_contraction *out_contraction) {
  /* The operands a and b, then the output. */
  static const char *const separators[3] = {",", "->", ""};
  char letters[3][RETC_RANK_MAX];
  int counts[3];
  for (int i = 0; i < 3; i++) {
    counts[i] = take_letters(&spec, letters[i]);
    if (counts[i] < 0 || !take(&spec, separators[i])) return false;
  }
  if (*spec) return false;

  static const int order[3] = {2, 0, 1};
  retc_contraction contraction = {0};
  char seen[2 * RETC_RANK_MAX];
  for (int i = 0; i < 3; i++) {
    const int from = order[i];
    for (int k = 0; k < counts[from]; k++) {
      char letter = letters[from][k];
      if (place_of(letter, seen, contraction.letter_count) >= 0) continue;
      struct retc_letter entry = {letter, place_of(letter, letters[0], counts[0]),
                                  place_of(letter, letters[1], counts[1]), place_of(letter, letters[2], counts[2])};
      if (entry.a < 0 && entry.b < 0) return false;
      seen[contraction.letter_count] = letter;
      contraction.letters[contraction.letter_count++] = entry;
    }
  }
  *out_contraction = contraction;
  return true;
}
