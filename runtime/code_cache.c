#include "runtime/code_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"

static const char magic[] = "retc code 1\n";

typedef struct cache_header {
  char magic[sizeof magic - 1];
  uint64_t key_size, code_size, checksum; /* of key and code */
} cache_header;

/* FNV-1a, eight bytes at a time and then the rest one by one. */
static uint64_t hash(uint64_t value, const void *data, size_t size) {
  const uint64_t prime = 0x100000001b3u;
  const unsigned char *bytes = data;
  for (; size >= sizeof value; size -= sizeof value, bytes += sizeof value) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    value = (value ^ word) * prime;
    value ^= value >> 29;
  }
  for (; size; size--) value = (value ^ *bytes++) * prime;
  return value;
}

static const uint64_t hash_start = 0xcbf29ce484222325u;

static uint64_t checksum(const void *key, size_t key_size, const void *code, size_t size) {
  return hash(hash(hash_start, key, key_size), code, size);
}

static bool folder(const char *kind, retc_text *path) {
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *wanted = getenv("RETC_CACHE");
  if (wanted && !strcmp(wanted, "off")) return false;
  if (base && *base == '/') retc_text_printf(path, "%s/retc/%s", base, kind);
  else if (home && *home == '/') retc_text_printf(path, "%s/.cache/retc/%s", home, kind);
  return path->length > 0;
}

static bool file_path(const char *kind, const char *key, size_t key_size, retc_text *path) {
  if (!folder(kind, path)) return false;
  retc_text_printf(path, "/%016" PRIx64, hash(hash_start, key, key_size));
  return path->data != NULL;
}

static bool matches(const retc_file *file, const char *key, size_t key_size) {
  cache_header header;
  if (file->size < sizeof header) return false;
  memcpy(&header, file->data, sizeof header);
  const size_t rest = file->size - sizeof header;
  const uint8_t *after = file->data + sizeof header;
  return memcmp(header.magic, magic, sizeof header.magic) == 0 && header.key_size == key_size && key_size <= rest &&
         header.code_size == rest - key_size && memcmp(after, key, key_size) == 0 &&
         header.checksum == checksum(after, key_size, after + key_size, rest - key_size);
}

bool retc_code_cache_find(const char *kind, const char *key, size_t key_size, void **out_code, size_t *out_size) {
  retc_diagnostics quiet;
  retc_text path;
  retc_file file = {0};
  bool found = false;
  retc_diagnostics_init(&quiet);
  retc_text_init(&path);
  if (file_path(kind, key, key_size, &path) && retc_file_map(path.data, &quiet, &file) == RETC_OK) {
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

void retc_code_cache_keep(const char *kind, const char *key, size_t key_size, const void *code, size_t size) {
  retc_diagnostics quiet;
  retc_text path;
  retc_file_writer writer;
  cache_header header = {.key_size = key_size, .code_size = size, .checksum = checksum(key, key_size, code, size)};
  memcpy(header.magic, magic, sizeof header.magic);
  retc_diagnostics_init(&quiet);
  retc_text_init(&path);
  if (file_path(kind, key, key_size, &path)) {
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
