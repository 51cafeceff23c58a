/* json FILE: every leaf of a JSON text as a line "path kind value", kind being number, string, true, false or null. */
#include <jansson.h>
#include <stdio.h>

static void print(const char *path, const json_t *value) {
  char below[512];
  const char *key;
  json_t *item;
  size_t index;
  switch (json_typeof(value)) {
    case JSON_OBJECT:
      json_object_foreach((json_t *)value, key, item) {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
        print(below, item);
      }
      break;
    case JSON_ARRAY:
      json_array_foreach(value, index, item) {
        snprintf(below, sizeof below, "%s.%zu", path, index);
        print(below, item);
      }
      break;
    case JSON_STRING: printf("%s string %s\n", path, json_string_value(value)); break;
    case JSON_INTEGER:
    case JSON_REAL: printf("%s number %.9g\n", path, json_number_value(value)); break;
    case JSON_TRUE: printf("%s true\n", path); break;
    case JSON_FALSE: printf("%s false\n", path); break;
    case JSON_NULL: printf("%s null\n", path); break;
  }
}

int main(int count, char **words) {
  json_error_t error;
  json_t *root = count == 2 ? json_load_file(words[1], JSON_REJECT_DUPLICATES, &error) : NULL;
  if (!root) {
    fprintf(stderr, "json: %s\n", count == 2 ? error.text : "usage: json FILE");
    return 1;
  }
  print("", root);
  json_decref(root);
  return 0;
}
