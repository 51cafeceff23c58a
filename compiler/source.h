/* A model on disk, read and understood but not compiled: its description, its checkpoint, and the network they mean.
 * MODEL is a directory with config.json and *.safetensors, or a bare config.json (no weights). */
#ifndef RETC_COMPILER_SOURCE_H
#define RETC_COMPILER_SOURCE_H

#include "compiler/network.h"
#include "runtime/safetensors.h"

typedef struct retc_source {
  retc_arena arena;
  const char *path;            /* as given */
  retc_checkpoint *checkpoint; /* NULL: a bare config */
  retc_network network;
} retc_source;

/* Reads and checks everything: keys, sizes, every tensor the network needs. RETC_INVALID with one message. */
retc_status retc_source_open(const char *path, retc_diagnostics *diagnostics, retc_source **out_source);
void retc_source_destroy(retc_source *source);

#endif
