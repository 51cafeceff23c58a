/* What exp, log, sin, cos, tanh and erf of f32 and f64 mean: arithmetic, free of branches, so that every target, every
 * vector width and the interpreter compute the same bits. The pass `math` writes it into kernels.
 *
 *   exp  f32 within 1.5 ulp, f64 within 2 ulp; gradual underflow, overflow to inf
 *   log  f64 within 1.5 ulp, subnormal numbers too; f32 by way of f64
 *   tanh  f64 within 8 ulp; f32 by way of f64
 *   sin, cos  f64 within 1e-13 for |a| <= 1e7; f32 by way of f64
 *   erf  f64 within 1e-14, relative 1e-14 for |a| < 1; f32 by way of f64
 * NaN gives NaN. */
#ifndef RETC_IR_KERNEL_MATH_H
#define RETC_IR_KERNEL_MATH_H

#include "ir/kernel.h"

/* Whether there is anything to expand. */
bool retc_kernel_has_math(const retc_kernel *kernel);
/* A new kernel; NULL when memory is refused. */
retc_kernel *retc_kernel_expand_math(const retc_kernel *in);

#endif
