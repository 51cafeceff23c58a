/* What is known of the GPUs of hip_profiles.def. */
#ifndef RETC_BACKENDS_HIP_PROFILE_H
#define RETC_BACKENDS_HIP_PROFILE_H

#include "backends/target.h"
#include "base/status.h"

typedef struct retc_hip_profile {
  const char *arch, *card; /* "gfx942", "MI300X" */
  int64_t wave, units, simds, waves, registers, shared;
  double clock;     /* Hz */
  double bandwidth; /* bytes a second */
  double vector, matrix_f32, matrix_half; /* operations a second of the whole card */
} retc_hip_profile;

enum { RETC_HIP_PROFILE_COUNT = 4, RETC_HIP_BLOCK_SHARED = 65536 };

const retc_hip_profile *retc_hip_profile_at(size_t index);

/* The architectures of a list "gfx90a,gfx1100", each once, in the order of the table; NULL: all. RETC_INVALID with the
 * nearest name. */
typedef struct retc_hip_targets {
  const retc_hip_profile *items[RETC_HIP_PROFILE_COUNT];
  size_t count;
} retc_hip_targets;
retc_status retc_hip_targets_parse(const char *list, retc_diagnostics *diagnostics, retc_hip_targets *out_targets);

/* What lowering may count on, whichever of them it runs on. */
retc_target_profile retc_hip_targets_profile(const retc_hip_targets *targets);

#endif
