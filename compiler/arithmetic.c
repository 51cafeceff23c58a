#include "compiler/network.h"

static const struct {
  const char *name;
  retc_arithmetic means; /* with the math that goes with the weights */
} weight_types[] = {
    {"f32", {RETC_PRODUCT_F32, true, RETC_DTYPE_F32, 0}},   {"f16", {RETC_PRODUCT_F32, true, RETC_DTYPE_F16, 0}},
    {"bf16", {RETC_PRODUCT_F32, true, RETC_DTYPE_BF16, 0}}, {"int8", {RETC_PRODUCT_INT8, false, RETC_DTYPE_I8, 8}},
    {"int4", {RETC_PRODUCT_INT8, false, RETC_DTYPE_I4, 4}},
};
enum { WEIGHT_TYPE_COUNT = sizeof weight_types / sizeof weight_types[0] };

static const char *const maths[] = {"f32", "bf16", "int8"};
enum { MATH_COUNT = sizeof maths / sizeof maths[0] };

/* Any weights are numbers of f32; a product of bf16 is made of bf16, and one of integers of integers. */
static bool go_together(const retc_arithmetic *weights, retc_math_kind math) {
  switch (math) {
    case RETC_PRODUCT_INT8: return weights->bits != 0;
    case RETC_PRODUCT_BF16: return weights->dtype == RETC_DTYPE_BF16;
    default: return true;
  }
}

retc_status retc_network_choose(retc_network *network, retc_arena *arena, const char *weights, const char *math,
                                retc_diagnostics *diagnostics) {
  const char *names[WEIGHT_TYPE_COUNT];
  for (size_t i = 0; i < WEIGHT_TYPE_COUNT; i++) names[i] = weight_types[i].name;
  size_t type = 0, kind = 0;
  if (weights) RETC_TRY(retc_choose("weights", weights, names, WEIGHT_TYPE_COUNT, diagnostics, &type));
  if (math) RETC_TRY(retc_choose("math", math, maths, MATH_COUNT, diagnostics, &kind));
  if (!weights && !math) return RETC_OK;
  retc_arithmetic chosen = weight_types[type].means;
  if (!weights && kind == RETC_PRODUCT_F32) chosen = (retc_arithmetic){.math = RETC_PRODUCT_F32};
  if (!weights && kind == RETC_PRODUCT_BF16) chosen = weight_types[2].means;
  if (!weights && kind == RETC_PRODUCT_INT8) chosen = weight_types[3].means;
  if (math) {
    if (!go_together(&chosen, (retc_math_kind)kind)) {
      return retc_fail(diagnostics, RETC_INVALID,
                       "weights %s and math %s do not go together, expected math f32, bf16 with "
                       "weights bf16, or int8 with weights int8 or int4",
                       weights ? weights : "as stored", math);
    }
    chosen.math = (retc_math_kind)kind;
  }
  network->arithmetic = chosen;
  const char *stored = retc_dtype_name(network->embedding.dtype);
  const char *kept = chosen.bits == 8   ? "int8"
                     : chosen.bits == 4 ? "int4"
                     : chosen.converts  ? retc_dtype_name(chosen.dtype)
                                        : stored;
  retc_network_explain(network, arena, "weight matrices in memory", weights ? "--weights" : "--math", "%s", kept);
  retc_network_explain(network, arena, "math of their products", math ? "--math" : "--weights", "%s",
                       maths[chosen.math]);
  return RETC_OK;
}
