/* What program.c makes and run*.c use; for these files only. */
#ifndef RETC_RUNTIME_PROGRAM_TYPES_H
#define RETC_RUNTIME_PROGRAM_TYPES_H

#include <ffi.h>

#include "runtime/hip_device.h"
#include "runtime/program.h"
#include "runtime/step_groups.h"

/* A kernel ready to be called: pointers, dimensions, then scratch, thread and threads. */
typedef struct retc_launch {
  void (*function)(void);
  ffi_cif cif;
  ffi_type **types; /* [argument_count] */
  int argument_count;
} retc_launch;

struct retc_program {
  const retc_plan *plan;
  void *const *fixed;       /* one a plan buffer: weights and constants */
  retc_team *team;          /* CPU */
  retc_launch *launches;    /* CPU: one a kernel of the plan */
  retc_step_groups *groups; /* CPU: one an entry of the plan */
  int argument_room;        /* CPU: the most that a kernel has */
  int64_t scratch_bytes;    /* CPU: the most that a kernel wants, per thread */
  retc_hip_device *gpu;     /* where buffers lie and kernels run; NULL: in this process */
  hipFunction_t *functions; /* GPU: one a kernel of the plan */
  hipFunction_t sampler;    /* GPU: chooses tokens; NULL: the code has none */
  void **gpu_weights;       /* GPU: owned, what `fixed` is */
};

/* Whether the plan makes sense and `weights` has what it wants, else RETC_INTERNAL. */
retc_status retc_program_check(const retc_plan *plan, const retc_weights *weights, retc_diagnostics *diagnostics);

typedef struct retc_hip_run retc_hip_run;

/* How tokens are chosen behind a step, on a GPU. */
typedef struct retc_run_draw {
  const retc_sampling *options; /* as they were read */
  uint64_t index;
} retc_run_draw;

struct retc_run {
  const retc_program *program;
  retc_dims most;   /* what no call exceeds; B is that of every call */
  int64_t position; /* of steps */
  int64_t end;      /* dimension E of steps */
  retc_dims dims;   /* of the last call */
  int last_entry;   /* that ran; -1: none */
  void **addresses; /* one a plan buffer; an input's is the caller's memory (on a GPU: a copy's), during a call */
  void **states;    /* one a plan buffer; owned; NULL for those that are not states */
  void **slots;     /* owned */
  void *tokens;     /* owned; i64[B,T] of a step, without gaps */
  void *pads;       /* owned; i64[B] */
  void *private_memory; /* owned; per thread the kernels' scratch, then room for the arguments of one call */
  retc_run_span *spans; /* of the caller; NULL: not wanted */
  const retc_run_draw *draw; /* of the call at hand; NULL: none */
  int64_t private_bytes;  /* per thread */
  int64_t argument_offset;
  retc_hip_run *gpu; /* owned; NULL: in this process */
};

#endif
