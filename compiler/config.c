#include "compiler/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct retc_config {
  char *path;
  json_t *root;
  json_t *read;   /* an object whose keys are those asked for */
  json_t *unread; /* an array of names */
};

retc_status retc_config_open(const char *path, retc_diagnostics *diagnostics, retc_config **out_config) {
  retc_file file;
  RETC_TRY(retc_file_map(path, diagnostics, &file));
  json_error_t error;
  json_t *root = json_loadb(file.data ? (const char *)file.data : "", file.size, JSON_REJECT_DUPLICATES, &error);
  retc_file_unmap(&file);
  if (!root) {
    return retc_fail(diagnostics, RETC_INVALID, "%s:%d:%d: not valid JSON: %s", path, error.line, error.column,
                     error.text);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return retc_fail(diagnostics, RETC_INVALID, "%s: expected a JSON object with the model's settings", path);
  }
  retc_config *config = calloc(1, sizeof *config);
  if (!config) {
    json_decref(root);
    return retc_fail(diagnostics, RETC_FAILED, "%s: out of memory", path);
  }
  *config = (retc_config){strdup(path), root, json_object(), json_array()};
  if (!config->path || !config->read || !config->unread) {
    retc_config_destroy(config);
    return retc_fail(diagnostics, RETC_FAILED, "%s: out of memory", path);
  }
  *out_config = config;
  return RETC_OK;
}

void retc_config_destroy(retc_config *config) {
  if (!config) return;
  json_decref(config->root);
  json_decref(config->read);
  json_decref(config->unread);
  free(config->path);
  free(config);
}

const char *retc_config_path(const retc_config *config) { return config->path; }

static json_t *find(const retc_config *config, const char *key) {
  json_object_set_new(config->read, key, json_true());
  json_t *value = json_object_get(config->root, key);
  return json_is_null(value) ? NULL : value;
}

bool retc_config_is_null(const retc_config *config, const char *key) {
  return !find(config, key) && json_object_get(config->root, key);
}

const char *retc_config_unread(const retc_config *config, size_t index) {
  const char *key;
  json_t *value;
  if (index == 0) {
    json_array_clear(config->unread);
    json_object_foreach(config->root, key, value) {
      if (!json_object_get(config->read, key)) json_array_append_new(config->unread, json_string(key));
    }
  }
  return json_string_value(json_array_get(config->unread, index));
}

bool retc_config_has(const retc_config *config, const char *key) { return find(config, key) != NULL; }

void retc_config_describe(const retc_config *config, const char *key, retc_text *out_text) {
  char *found = json_dumps(json_object_get(config->root, key), JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
  retc_text_printf(out_text, "%s is %.60s%s", key, found ? found : "absent", found && strlen(found) > 60 ? "..." : "");
  free(found);
}

retc_status retc_config_refuse(const retc_config *config, const char *key, const char *problem,
                               retc_diagnostics *diagnostics) {
  retc_text found;
  retc_text_init(&found);
  retc_config_describe(config, key, &found);
  retc_status status = retc_fail(diagnostics, RETC_INVALID, "%s: %s, %s", config->path, found.data ? found.data : key,
                                 problem);
  retc_text_deinit(&found);
  return status;
}

static retc_status refuse_range(const retc_config *config, const char *key, const char *what, double minimum,
                                double maximum, retc_diagnostics *diagnostics) {
  retc_text problem;
  retc_text_init(&problem);
  retc_text_printf(&problem, "expected %s from %.10g to %.10g", what, minimum, maximum);
  retc_status status = retc_config_refuse(config, key, problem.data, diagnostics);
  retc_text_deinit(&problem);
  return status;
}

retc_status retc_config_require(const retc_config *config, const char *key, retc_diagnostics *diagnostics) {
  if (find(config, key)) return RETC_OK;
  size_t count = json_object_size(config->root), i = 0;
  const char **keys = calloc(count + 1, sizeof *keys);
  const char *name;
  json_t *value;
  if (keys) json_object_foreach(config->root, name, value) keys[i++] = name;
  const char *near = keys ? retc_nearest(key, keys, i) : NULL;
  retc_status status =
      near && strcmp(near, key)
          ? retc_fail(diagnostics, RETC_INVALID, "%s: %s is missing; did you mean it by %s?", config->path, key, near)
          : retc_fail(diagnostics, RETC_INVALID, "%s: %s is missing", config->path, key);
  free(keys);
  return status;
}

retc_status retc_config_integer(const retc_config *config, const char *key, int64_t minimum, int64_t maximum,
                                int64_t fallback, retc_diagnostics *diagnostics, int64_t *out_value) {
  json_t *value = find(config, key);
  *out_value = fallback;
  if (!value) return RETC_OK;
  if (!json_is_integer(value) || json_integer_value(value) < minimum || json_integer_value(value) > maximum) {
    return refuse_range(config, key, "an integer", (double)minimum, (double)maximum, diagnostics);
  }
  *out_value = json_integer_value(value);
  return RETC_OK;
}

retc_status retc_config_number(const retc_config *config, const char *key, double minimum, double maximum,
                               double fallback, retc_diagnostics *diagnostics, double *out_value) {
  json_t *value = find(config, key);
  *out_value = fallback;
  if (!value) return RETC_OK;
  if (!json_is_number(value) || !(json_number_value(value) >= minimum && json_number_value(value) <= maximum)) {
    return refuse_range(config, key, "a number", minimum, maximum, diagnostics);
  }
  *out_value = json_number_value(value);
  return RETC_OK;
}

retc_status retc_config_truth(const retc_config *config, const char *key, bool fallback, retc_diagnostics *diagnostics,
                              bool *out_value) {
  json_t *value = find(config, key);
  *out_value = fallback;
  if (!value) return RETC_OK;
  if (!json_is_boolean(value)) return retc_config_refuse(config, key, "expected true or false", diagnostics);
  *out_value = json_is_true(value);
  return RETC_OK;
}

retc_status retc_config_word(const retc_config *config, const char *key, const char *const *words, int count,
                             int fallback, retc_diagnostics *diagnostics, int *out_index) {
  json_t *value = find(config, key);
  *out_index = fallback;
  if (!value) return RETC_OK;
  const char *found = json_string_value(value);
  for (int i = 0; found && i < count; i++) {
    if (!strcmp(words[i], found)) {
      *out_index = i;
      return RETC_OK;
    }
  }
  const char *near = found ? retc_nearest(found, words, (size_t)count) : NULL;
  retc_text problem;
  retc_text_init(&problem);
  retc_text_add(&problem, "expected one of:");
  for (int i = 0; i < count; i++) retc_text_printf(&problem, "%s %s", i ? "," : "", words[i]);
  if (near) retc_text_printf(&problem, "; did you mean %s?", near);
  retc_status status = retc_config_refuse(config, key, problem.data, diagnostics);
  retc_text_deinit(&problem);
  return status;
}

const char *retc_config_text(const retc_config *config, const char *key) {
  return json_string_value(find(config, key));
}

bool retc_config_lists(const retc_config *config, const char *key, const char *word) {
  json_t *array = find(config, key), *item;
  size_t i;
  json_array_foreach(array, i, item) {
    if (json_is_string(item) && !strcmp(json_string_value(item), word)) return true;
  }
  return false;
}
