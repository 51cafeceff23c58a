/* hiprtc ARCH FILE: builds HIP text by the hiprtc of the library at hand as if there were a device of ARCH. Without
 * one, the built code is only kept in the cache, and loading it fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "runtime/hip_code.h"

int main(int count, char **words) {
  retc_diagnostics diagnostics;
  retc_hip_device device = {.name = "no device"};
  hipModule_t module;
  retc_file file;
  if (count != 3) return 2;
  retc_diagnostics_init(&diagnostics);
  snprintf(device.arch, sizeof device.arch, "%s", words[1]);
  retc_status status = retc_file_map(words[2], &diagnostics, &file);
  if (status == RETC_OK) {
    char *text = strndup((const char *)file.data, file.size);
    status = retc_hip_library_load(&diagnostics, &device.library);
    if (status == RETC_OK && text) status = retc_hip_code_load(&device, words[2], text, &diagnostics, &module);
    free(text);
    retc_file_unmap(&file);
  }
  fprintf(stderr, "%s", retc_diagnostics_text(&diagnostics));
  retc_diagnostics_deinit(&diagnostics);
  return (int)status;
}
