/* The probes of bench_probes.def: code that does nothing but reach a limit of the CPU or of its memory. */
#ifndef RETC_BENCH_PROBES_H
#define RETC_BENCH_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum retc_probe_kind {
  RETC_PROBE_FMA_F32,  /* multiplications and additions of f32 */
  RETC_PROBE_DOT_BF16, /* the same of bf16, added up in f32 */
  RETC_PROBE_DOT_INT8, /* the same of int8, added up in int32 */
  RETC_PROBE_TILE_BF16, RETC_PROBE_TILE_INT8, /* the same by tiles (AMX) */
  RETC_PROBE_READ,     /* bytes */
  RETC_PROBE_KIND_COUNT
} retc_probe_kind;

/* What one thread works on. */
typedef struct retc_probe_part {
  int64_t rounds;     /* of arithmetic */
  const char *memory; /* to be read once, all of it; 64-byte aligned */
  int64_t bytes;      /* a multiple of 1024 */
} retc_probe_part;

typedef struct retc_probe {
  retc_probe_kind kind;
  const char *name;
  double (*run)(const retc_probe_part *part);
} retc_probe;

enum { RETC_PROBES_MAX = 64 };
/* The probe number `index` that this CPU has; false behind the last. */
bool retc_probe_at(size_t index, retc_probe *out_probe);

#endif
