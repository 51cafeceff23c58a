/* What program.c makes and run.c uses; for these two files only. */
#ifndef RETC_RUNTIME_PROGRAM_TYPES_H
#define RETC_RUNTIME_PROGRAM_TYPES_H

#include <ffi.h>

#include "runtime/program.h"

/* A kernel ready to be called: pointers, dimensions, then scratch, thread and threads. */
typedef struct retc_launch {
  void (*function)(void);
  ffi_cif cif;
  ffi_type **types; /* [argument_count] */
  int argument_count;
} retc_launch;

struct retc_program {
  const retc_plan *plan;
  const retc_weights *weights;
  retc_team *team;
  retc_launch *launches;  /* one a kernel of the plan */
  int argument_room;      /* the most that a kernel has */
  int64_t scratch_bytes;  /* the most that a kernel wants, per thread */
};

#endif
