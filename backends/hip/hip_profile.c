#include "backends/hip/hip_profile.h"

#include <stdbool.h>
#include <string.h>

static const retc_hip_profile profiles[] = {
#define RETC_HIP_PROFILE(arch, card, wave, units, simds, waves, registers, shared, clock, bandwidth, f32, m32, m16) \
  {#arch, card, wave, units, simds, waves, registers, shared, clock * 1e9, bandwidth * 1e9, \
   f32 * 1e9 * clock * units, m32 * 1e9 * clock * units, m16 * 1e9 * clock * units},
#include "backends/hip/hip_profiles.def"
#undef RETC_HIP_PROFILE
};
_Static_assert(sizeof profiles / sizeof profiles[0] == RETC_HIP_PROFILE_COUNT, "a row is missing");

const retc_hip_profile *retc_hip_profile_at(size_t index) { return &profiles[index]; }

static size_t find(const char *name, size_t length) {
  size_t i = 0;
  while (i < RETC_HIP_PROFILE_COUNT && (strlen(profiles[i].arch) != length || strncmp(profiles[i].arch, name, length)))
    i++;
  return i;
}

/* Letters in which the names differ, place by place. */
static size_t distance(const char *a, const char *b, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length || *b; i++) {
    count += i >= length || a[i] != *b;
    if (*b) b++;
  }
  return count;
}

static retc_status refuse(const char *name, size_t length, retc_diagnostics *diagnostics) {
  size_t best = 0;
  for (size_t i = 1; i < RETC_HIP_PROFILE_COUNT; i++) {
    if (distance(name, profiles[i].arch, length) < distance(name, profiles[best].arch, length)) best = i;
  }
  return retc_fail(diagnostics, RETC_INVALID, "--arch: '%.*s' is none of gfx90a, gfx942, gfx1100, gfx1201; nearest: %s",
                   (int)length, name, profiles[best].arch);
}

retc_status retc_hip_targets_parse(const char *list, retc_diagnostics *diagnostics, retc_hip_targets *out_targets) {
  bool wanted[RETC_HIP_PROFILE_COUNT] = {false};
  for (const char *at = list; at;) {
    const size_t length = strcspn(at, ","), found = find(at, length);
    if (found == RETC_HIP_PROFILE_COUNT) return refuse(at, length, diagnostics);
    wanted[found] = true;
    at = at[length] ? at + length + 1 : NULL;
  }
  *out_targets = (retc_hip_targets){.count = 0};
  for (size_t i = 0; i < RETC_HIP_PROFILE_COUNT; i++) {
    if (wanted[i] || !list) out_targets->items[out_targets->count++] = &profiles[i];
  }
  return RETC_OK;
}

retc_target_profile retc_hip_targets_profile(const retc_hip_targets *targets) {
  /* Sizes for the loops that are made as for a CPU: 64 lanes, tiles in a quarter of a block's shared memory. */
  retc_target_profile profile = {.name = "hip", .vector_bytes = 256, .vector_registers = 16, .l1_bytes = 16384,
                                 .l2_bytes = RETC_HIP_BLOCK_SHARED, .wave = 64, .shared_bytes = RETC_HIP_BLOCK_SHARED};
  if (targets->count == 1) profile.name = targets->items[0]->arch;
  for (size_t i = 0; i < targets->count; i++) {
    const retc_hip_profile *gpu = targets->items[i];
    if (gpu->wave < profile.wave) profile.wave = gpu->wave;
    if (gpu->units > profile.units) profile.units = gpu->units;
    profile.has_matrix_f32 |= gpu->matrix_f32 > 0;
  }
  return profile;
}
