/* The checkpoint reader. An input is taken as a whole file; as the header of one, with its length before it and data
 * behind it; and as the index of two shards. */
#include <string.h>

#include "runtime/safetensors.h"
#include "tests/fuzz/fuzz.h"

enum { DATA_BYTES = 4 << 20 };

static const char *const shards[] = {"a.safetensors", "b.safetensors"};

/* Shard s holds "shared" and three tensors of its own, <s>0 .. <s>2. */
static void write_shard(const char *name) {
  const float data[8] = {0};
  char names[3][3];
  retc_tensor_to_write tensors[4] = {{"shared", RETC_DTYPE_F32, 1, {8}, data}};
  for (int i = 0; i < 3; i++) {
    names[i][0] = name[0];
    names[i][1] = (char)('0' + i);
    names[i][2] = 0;
    tensors[i + 1] = (retc_tensor_to_write){names[i], RETC_DTYPE_F16, i, {2, 2}, data};
  }
  char path[256];
  strcpy(stpcpy(path, "index/"), name);
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  if (retc_safetensors_write(fuzz_path(path), tensors, 4, &diagnostics) != RETC_OK) fuzz_fail("no shard");
  retc_diagnostics_deinit(&diagnostics);
}

int LLVMFuzzerInitialize(int *count, char ***words) {
  (void)count, (void)words;
  fuzz_directory_create();
  fuzz_directory_add("index");
  for (int i = 0; i < 2; i++) write_shard(shards[i]);
  return 0;
}

/* Names rise, counts are products, and the first and last byte can be read. */
static void check_tensors(const retc_checkpoint *checkpoint) {
  const char *last = NULL;
  for (size_t i = 0; i < retc_checkpoint_count(checkpoint); i++) {
    const retc_stored_tensor *tensor = retc_checkpoint_at(checkpoint, i);
    if (last && strcmp(last, tensor->name) >= 0) fuzz_fail("names out of order");
    if (retc_checkpoint_find(checkpoint, tensor->name) != tensor) fuzz_fail("a tensor is not found by its name");
    int64_t count = 1;
    for (int k = 0; k < tensor->rank; k++) count *= tensor->dim[k];
    if (count != tensor->count) fuzz_fail("a count is not the product of the shape");
    volatile uint8_t sum = 0;
    const uint8_t *bytes = tensor->data;
    size_t size = (size_t)tensor->count * retc_dtype_size(tensor->dtype);
    if (size) sum = (uint8_t)(bytes[0] + bytes[size - 1]);
    (void)sum;
    last = tensor->name;
  }
}

typedef retc_status opener(const char *path, retc_diagnostics *diagnostics, retc_checkpoint **out_checkpoint);

static void open_with(opener *open, const char *path) {
  retc_diagnostics diagnostics;
  retc_diagnostics_init(&diagnostics);
  retc_checkpoint *checkpoint = NULL;
  retc_status status = open(path, &diagnostics, &checkpoint);
  bool said = *retc_diagnostics_text(&diagnostics) != 0;
  if (status == RETC_OK) {
    if (said) fuzz_fail("words without a refusal");
    check_tensors(checkpoint);
  } else if (status == RETC_INTERNAL || !said || checkpoint) {
    fuzz_fail("a refusal without words, or with a checkpoint");
  }
  retc_checkpoint_destroy(checkpoint);
  retc_diagnostics_deinit(&diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)size >> (8 * i));
  fuzz_write("file", "", 0, data, size, 0);
  open_with(retc_checkpoint_open_file, fuzz_path("file"));
  fuzz_write("header", length, sizeof length, data, size, DATA_BYTES);
  open_with(retc_checkpoint_open_file, fuzz_path("header"));
  fuzz_write("index/model.safetensors.index.json", "", 0, data, size, 0);
  open_with(retc_checkpoint_open_directory, fuzz_path("index"));
  return 0;
}
