/* Dialects: the same network described by different upstreams, each with its own keys, defaults and mathematics.
 * A dialect recognises its configs and says what they mean as a retc_network. It does not touch graphs. */
#ifndef RETC_COMPILER_DIALECT_H
#define RETC_COMPILER_DIALECT_H

#include "compiler/config.h"
#include "compiler/network.h"
#include "runtime/safetensors.h"

typedef struct retc_dialect {
  const char *name;
  const char *keys; /* that decide, for the message when none fits */
  bool (*matches)(const retc_config *config);
  /* Fills a zeroed network on `arena`. `checkpoint` may be NULL (a bare config); tensor dtypes come from it if not. */
  retc_status (*import)(const retc_config *config, const retc_checkpoint *checkpoint, retc_arena *arena,
                        retc_diagnostics *diagnostics, retc_network *out_network);
} retc_dialect;

/* The one dialect that the config is written in. RETC_INVALID, with the list, when there is none or more than one. */
retc_status retc_dialect_find(const retc_config *config, retc_diagnostics *diagnostics,
                              const retc_dialect **out_dialect);

#define RETC_DIALECT(id, upstream, keys) \
  bool retc_dialect_##id##_matches(const retc_config *config); \
  retc_status retc_dialect_##id##_import(const retc_config *config, const retc_checkpoint *checkpoint, \
                                         retc_arena *arena, retc_diagnostics *diagnostics, retc_network *out_network);
#include "compiler/dialects.def"
#undef RETC_DIALECT

/* What dialects share. */

/* A tensor of the network: checked against the checkpoint (RETC_INVALID when missing or of another shape or not a
 * float type). A matrix keeps its stored dtype, a vector is f32 in memory; without a checkpoint a matrix has
 * `fallback`. columns 0: a vector. */
retc_status retc_dialect_tensor(const retc_checkpoint *checkpoint, const char *name, int64_t rows, int64_t columns,
                                retc_dtype fallback, retc_diagnostics *diagnostics, retc_network_tensor *out_tensor);
/* The dtype that "torch_dtype" (or "dtype") names; f32 when absent. */
retc_status retc_dialect_dtype(const retc_config *config, retc_diagnostics *diagnostics, retc_dtype *out_dtype);
/* ln(1 - 2^(-5-h)), h = 0 .. heads-1; 1 - 2^(-5-h) is rounded to f32 as upstream does, so it is 0 from h = 20 on. */
const double *retc_dialect_decay_powers_of_two(retc_arena *arena, int64_t heads);

#endif
