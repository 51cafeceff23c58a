/* Weights of integers on a GPU: i8 as it is, i4 two a byte, and scales, all along the rows of the weight. */
#include "compiler/gpu_contract.h"

int64_t retc_gpu_chunk(const retc_node *product) {
  return product->op == RETC_OP_CONTRACT_SCALED ? 16 : RETC_GPU_F32_CHUNK;
}

int retc_gpu_integers(retc_lowering *l, retc_buffer_id codes, const retc_expr *at, retc_expr out_numbers[2]) {
  retc_expr number = retc_expr_cast(l->kernel, RETC_DTYPE_F32, retc_load(l, codes, at)), eight = retc_f32(l, 8);
  out_numbers[0] = number;
  if (retc_kernel_buffer(l->kernel, codes)->dtype != RETC_DTYPE_U4X2) return 1;
  /* Halves are taken apart as f32, which is exact. */
  retc_expr byte = retc_let(l, "byte", number), upper = retc_mul(l, byte, retc_f32(l, 0.0625));
  upper = retc_let(l, "upper", retc_expr_unary(l->kernel, RETC_KERNEL_OP_FLOOR, upper));
  out_numbers[0] = retc_sub(l, retc_fma(l, upper, retc_f32(l, -16), byte), eight);
  out_numbers[1] = retc_sub(l, upper, eight);
  return 2;
}

retc_expr retc_gpu_weight(retc_lowering *l, const retc_node *product, retc_expr column, retc_expr k) {
  const retc_buffer_id weight = retc_lower_buffer(l, product->inputs[1]);
  retc_expr at[2] = {column, k}, two = retc_int(l, 2), numbers[2];
  if (product->op != RETC_OP_CONTRACT_SCALED) return retc_load(l, weight, at);
  const bool halves = retc_kernel_buffer(l->kernel, weight)->dtype == RETC_DTYPE_U4X2;
  if (halves) at[1] = retc_div(l, k, two);
  retc_gpu_integers(l, weight, at, numbers);
  if (halves) numbers[0] = retc_select(l, retc_equal(l, retc_mod(l, k, two), retc_int(l, 0)), numbers[0], numbers[1]);
  at[1] = retc_div(l, k, retc_int(l, product->attributes.integer[0]));
  return retc_mul(l, numbers[0], retc_load(l, retc_lower_buffer(l, product->inputs[2]), at));
}
