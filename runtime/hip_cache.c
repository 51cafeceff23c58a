#include "runtime/hip_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

static const char magic[] = "retc hip code 1\n";

typedef struct cache_header {
  char magic[sizeof magic - 1];
  uint64_t key_size, code_size;
} cache_header;

static uint64_t hash(const char *data, size_t size) {
  uint64_t value = 0xcbf29ce484222325u;
  for (size_t i = 0; i < size; i++) value = (value ^ (unsigned char)data[i]) * 0x100000001b3u;
  return value;
}

static bool folder(retc_text *path) {
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *use = getenv("RETC_CACHE");
  if (use && strcmp(use, "off") == 0) return false;
  if (base && *base == '/') retc_text_printf(path, "%s/retc/hip", base);
  else if (home && *home == '/') retc_text_printf(path, "%s/.cache/retc/hip", home);
  return path->length > 0;
}

static bool file_path(const char *key, size_t key_size, retc_text *path) {
  if (!folder(path)) return false;
  retc_text_printf(path, "/%016" PRIx64 ".co", hash(key, key_size));
  return path->data != NULL;
}

static bool matches(const retc_file *file, const char *key, size_t key_size) {
  cache_header header;
  if (file->size < sizeof header) return false;
  memcpy(&header, file->data, sizeof header);
  const size_t rest = file->size - sizeof header;
  return memcmp(header.magic, magic, sizeof header.magic) == 0 && header.key_size == key_size && key_size <= rest &&
         header.code_size == rest - key_size && memcmp(file->data + sizeof header, key, key_size) == 0;
}

bool retc_hip_cache_find(const char *key, size_t key_size, void **out_code, size_t *out_size) {
  retc_diagnostics quiet;
  retc_text path;
  retc_file file = {0};
  bool found = false;
  retc_diagnostics_init(&quiet);
  retc_text_init(&path);
  if (file_path(key, key_size, &path) && retc_file_map(path.data, &quiet, &file) == RETC_OK) {
    if (matches(&file, key, key_size)) {
      const size_t before = sizeof(cache_header) + key_size;
      *out_size = file.size - before;
      *out_code = malloc(*out_size + 1);
      found = *out_code != NULL;
      if (found) memcpy(*out_code, file.data + before, *out_size);
    }
    retc_file_unmap(&file);
  }
  retc_text_deinit(&path);
  retc_diagnostics_deinit(&quiet);
  return found;
}

static void make_folders(char *path) {
  for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(path, 0700);
    *slash = '/';
  }
}

void retc_hip_cache_keep(const char *key, size_t key_size, const void *code, size_t size) {
  retc_diagnostics quiet;
  retc_text path;
  retc_file_writer writer;
  cache_header header = {.key_size = key_size, .code_size = size};
  memcpy(header.magic, magic, sizeof header.magic);
  retc_diagnostics_init(&quiet);
  retc_text_init(&path);
  if (file_path(key, key_size, &path)) {
    make_folders(path.data);
    if (retc_file_writer_init(&writer, path.data, &quiet) == RETC_OK) {
      if (retc_file_writer_write(&writer, &header, sizeof header, &quiet) == RETC_OK &&
          retc_file_writer_write(&writer, key, key_size, &quiet) == RETC_OK &&
          retc_file_writer_write(&writer, code, size, &quiet) == RETC_OK) {
        (void)retc_file_writer_commit(&writer, &quiet);
      }
      retc_file_writer_deinit(&writer);
    }
  }
  retc_text_deinit(&path);
  retc_diagnostics_deinit(&quiet);
}
