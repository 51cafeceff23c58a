/* Dialects: the same network described by different upstreams, each with its own keys, defaults and mathematics.
 * A dialect recognises its configs and says what they mean as a retc_network. It does not touch graphs. */
#ifndef RETC_COMPILER_DIALECT_H
#define RETC_COMPILER_DIALECT_H

#include "compiler/config.h"
#include "compiler/network.h"
#include "runtime/safetensors.h"

/* One import under way. */
typedef struct retc_import {
  const retc_config *config;
  const retc_checkpoint *checkpoint; /* NULL: a bare config */
  retc_arena *arena;
  retc_diagnostics *diagnostics;
  retc_dtype matrix_dtype; /* of matrices without a checkpoint */
  const char *missing;     /* the first tensor that the checkpoint lacks */
  RETC_VEC(const char *) wanted; /* tensors asked for */
} retc_import;

typedef struct retc_dialect {
  const char *name;
  const char *keys; /* that decide, for the message when none fits */
  bool (*matches)(const retc_config *config);
  /* Fills a network that holds the defaults of retc_dialect_import, with its notes. */
  retc_status (*import)(retc_import *in, retc_network *network);
} retc_dialect;

/* Reads the config in the one dialect that it is written in. `checkpoint` may be NULL; if not, every tensor of the
 * network is in it. RETC_INVALID with one message; when no dialect fits, or two do, with the list of them.
 * What the network points to is on `arena`. */
retc_status retc_dialect_import(const retc_config *config, const retc_checkpoint *checkpoint, retc_arena *arena,
                                retc_diagnostics *diagnostics, retc_network *out_network);

#define RETC_DIALECT(id, upstream, keys) \
  bool retc_dialect_##id##_matches(const retc_config *config); \
  retc_status retc_dialect_##id##_import(retc_import *in, retc_network *network);
#include "compiler/dialects.def"
#undef RETC_DIALECT

/* What dialects share (dialect_parts.c). */

enum { RETC_SIZE_MAX = 1 << 20, RETC_LAYERS_MAX = 4096, RETC_VOCABULARY_MAX = 1 << 24 };

/* An integer from `minimum` up to RETC_SIZE_MAX. */
retc_status retc_import_size(const retc_import *in, const char *key, int64_t minimum, int64_t fallback,
                             int64_t *out_value);
retc_status retc_import_truth(const retc_import *in, const char *key, bool fallback, bool *out_value);
/* "bos_token_id" and "eos_token_id". */
retc_status retc_import_text_tokens(const retc_import *in, int64_t bos, int64_t eos, retc_network *network);
/* "swish", "gelu" or "relu"; `fallback` is one of the three. */
retc_status retc_import_activation(const retc_import *in, const char *key, const char *fallback, retc_op *out_op);
/* "swish", "gelu", ...: the word for an activation. */
const char *retc_activation_word(retc_op op);
/* total / heads, which must be a multiple of `multiple`; `total_key` and `heads_key` are for the message. */
retc_status retc_import_head_width(const retc_import *in, const char *total_key, int64_t total, const char *heads_key,
                                   int64_t heads, int64_t multiple, int64_t *out_width);

/* A tensor of the network: RETC_INVALID when the checkpoint has it in another shape or not as a float type; a missing
 * one is reported at the end of the import. A matrix keeps its stored dtype, a vector is f32 in memory. columns 0: a
 * vector. */
retc_status retc_import_tensor(retc_import *in, const char *name, int64_t rows, int64_t columns,
                               retc_network_tensor *out_tensor);
/* NAME.weight [rows, columns] and, where `bias`, NAME.bias [rows]. `name` is a printf format. */
retc_status retc_import_linear(retc_import *in, int64_t rows, int64_t columns, bool bias,
                               retc_network_linear *out_linear, const char *name, ...)
    __attribute__((format(printf, 6, 7)));
/* NAME.weight [width] and, for a layer norm, NAME.bias [width]. */
retc_status retc_import_norm(retc_import *in, retc_norm_kind kind, double eps, int64_t width,
                             retc_network_norm *out_norm, const char *name, ...)
    __attribute__((format(printf, 6, 7)));
/* The numbers of a vector that need not be there; NULL when the checkpoint lacks it. */
retc_status retc_import_buffer(retc_import *in, const char *name, int64_t count, const double **out_values);

/* theta[j] of the buffer `name` [key_width], which holds each angle twice; without it 10000^(-j / (K/2 - 1)), the same
 * array in every layer that gives it in `shared` (NULL at first). */
retc_status retc_import_angles(retc_import *in, const char *name, int64_t key_width, const double **shared,
                               const double **out_theta);

/* ln(1 - 2^(-5-h)), h = 0 .. heads-1; 1 - 2^(-5-h) is rounded to f32 as upstream does, so it is 0 from h = 20 on. */
const double *retc_decay_powers_of_two(retc_arena *arena, int64_t heads);
/* ln(1 - e^x), x evenly from ln 1/32 to ln 1/512. */
const double *retc_decay_linspace(retc_arena *arena, int64_t heads);

/* For retc_network_explain: "KEY", or "default of KEY" when the config leaves it out. */
const char *retc_import_source(const retc_import *in, const char *key);

#endif
