/* What program.c makes and run*.c use; for these files only. */
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

struct retc_run {
  const retc_program *program;
  retc_dims most;   /* what no call exceeds; B is that of every call */
  int64_t position; /* of steps */
  int64_t end;      /* dimension E of steps */
  retc_dims dims;   /* of the last call */
  int last_entry;   /* that ran; -1: none */
  void **addresses; /* one a plan buffer; an input's is the caller's memory, during a call */
  void **states;    /* one a plan buffer; owned; NULL for those that are not states */
  void **slots;     /* owned */
  void *tokens;     /* owned; i64[B,T] of a step, without gaps */
  void *pads;       /* owned; i64[B] */
  void *private_memory; /* owned; per thread the kernels' scratch, then room for the arguments of one call */
  int64_t private_bytes;  /* per thread */
  int64_t argument_offset;
};

#endif
