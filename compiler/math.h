/* The kernel pass `math`: exp, sin, cos and erf of f32 and f64 become arithmetic, free of branches, so that every
 * target and every vector width computes the same bits.
 *
 *   exp  f32 within 1.5 ulp, f64 within 2 ulp; gradual underflow, overflow to inf
 *   sin, cos  f64 within 1e-13 for |a| <= 1e7; f32 by way of f64
 *   erf  f64 within 1e-14, relative 1e-14 for |a| < 1; f32 by way of f64
 * NaN gives NaN. */
#ifndef RETC_COMPILER_MATH_H
#define RETC_COMPILER_MATH_H

#include "ir/kernel.h"

/* A new kernel; NULL when memory is refused. */
retc_kernel *retc_math_expand(const retc_kernel *in);

#endif
