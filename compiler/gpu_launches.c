/* What schedules for GPUs say that more than one kind of region has: the type of matrix instructions, and the launches. */
#include <string.h>

#include "compiler/gpu_contract.h"
#include "compiler/gpu_retention.h"

retc_dtype retc_gpu_wanted_math(const retc_target_profile *profile) {
  static const retc_dtype types[] = {
      [RETC_MATH_F32] = RETC_DTYPE_F32, [RETC_MATH_BF16] = RETC_DTYPE_BF16, [RETC_MATH_F16] = RETC_DTYPE_F16};
  return types[profile->math];
}

void retc_gpu_set_math(retc_region *region, retc_dtype math) {
  retc_schedule_set(region, math == RETC_DTYPE_BF16 ? "bf16" : "f16", 1);
}

retc_dtype retc_gpu_scheduled_math(const retc_region *region) {
  if (retc_schedule_get(region, "bf16", 0)) return RETC_DTYPE_BF16;
  return retc_schedule_get(region, "f16", 0) ? RETC_DTYPE_F16 : RETC_DTYPE_F32;
}

int retc_gpu_launches(retc_lowering *l) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  if (strcmp(region->anchor, "contract") == 0) {
    if (retc_gpu_scheduled_math(region) != RETC_DTYPE_F32) return retc_gpu_matrix_launches(l);
    return retc_schedule_get(region, "many", 0) ? 2 : 1;
  }
  retc_gpu_retention described;
  if (strcmp(region->anchor, "retention") || !retc_gpu_retention_describe(l, &described)) return 1;
  return retc_gpu_retention_math(l, &described) == RETC_DTYPE_F32 ? 2 : retc_gpu_retention_matrix_launches(l);
}

bool retc_gpu_launch_makes(retc_lowering *l, retc_value result) {
  const retc_launch_part part = retc_gpu_launch_part(l);
  if (part == RETC_LAUNCH_ROWS || part == RETC_LAUNCH_PRODUCT) return false;
  const bool is_retention = strcmp(retc_graph_region(l->graph, l->region)->anchor, "retention") == 0;
  return !is_retention || retc_gpu_retention_makes(l, result);
}
