#include "ir/kernel_math.h"

#include <math.h>

/* Expressions of one dtype, written before the statement that wants them. */
typedef struct calculator {
  retc_writer *w;
  retc_dtype dtype;
} calculator;

static retc_expr number(const calculator *c, double value) { return retc_expr_number(c->w->kernel, c->dtype, value); }

static retc_expr unary(const calculator *c, retc_kernel_op op, retc_expr a) {
  return retc_expr_unary(c->w->kernel, op, a);
}

static retc_expr binary(const calculator *c, retc_kernel_op op, retc_expr a, retc_expr b) {
  return retc_expr_binary(c->w->kernel, op, a, b);
}

static retc_expr add(const calculator *c, retc_expr a, retc_expr b) { return binary(c, RETC_KERNEL_OP_ADD, a, b); }
static retc_expr subtract(const calculator *c, retc_expr a, retc_expr b) { return binary(c, RETC_KERNEL_OP_SUB, a, b); }
static retc_expr multiply(const calculator *c, retc_expr a, retc_expr b) { return binary(c, RETC_KERNEL_OP_MUL, a, b); }

static retc_expr fused(const calculator *c, retc_expr a, retc_expr b, retc_expr d) {
  return retc_expr_ternary(c->w->kernel, RETC_KERNEL_OP_FMA, a, b, d);
}

static retc_expr choose(const calculator *c, retc_expr condition, retc_expr a, retc_expr b) {
  return retc_expr_ternary(c->w->kernel, RETC_KERNEL_OP_SELECT, condition, a, b);
}

/* What is used more than once gets a name, unless it has one. */
static retc_expr let(const calculator *c, const char *name, retc_expr value) {
  retc_kernel_op op = retc_kernel_expr(c->w->kernel, value)->op;
  if (op == RETC_KERNEL_OP_VARIABLE || op == RETC_KERNEL_OP_CONST) return value;
  return retc_write_let(c->w, name, value);
}

/* coefficients[0] + coefficients[1] x + ... */
static retc_expr polynomial(const calculator *c, const double *coefficients, size_t count, retc_expr x) {
  retc_expr sum = number(c, coefficients[count - 1]);
  for (size_t i = count - 1; i-- > 0;) sum = fused(c, sum, x, number(c, coefficients[i]));
  return sum;
}
#define POLYNOMIAL(c, coefficients, x) polynomial(c, coefficients, sizeof(coefficients) / sizeof(double), x)

/* a b rounded to an integer: adding 1.5 2^m, m the bits of the mantissa, leaves no room for a fraction. */
static retc_expr rounded_product(const calculator *c, retc_expr a, double b) {
  retc_expr large = number(c, c->dtype == RETC_DTYPE_F64 ? 0x1.8p52 : 0x1.8p23);
  return subtract(c, fused(c, a, number(c, b), large), large);
}

/* a, or NaN when x is. */
static retc_expr keep_nan(const calculator *c, retc_expr x, retc_expr a) {
  return choose(c, binary(c, RETC_KERNEL_OP_EQUAL, x, x), a, x);
}

/* (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2 */
static const double exp_f32[] = {0x1p-1,         0x1.555556p-3,  0x1.5554e8p-5,
                                 0x1.1110ep-7,   0x1.6d43bp-10,  0x1.a1256cp-13};
static const double exp_f64[] = {0x1.0000000000001p-1,  0x1.5555555555556p-3,  0x1.5555555553d37p-5,
                                 0x1.11111111109a6p-7,  0x1.6c16c1789d1d7p-10, 0x1.a01a01a7cebcdp-13,
                                 0x1.a019b8ca26fcfp-16, 0x1.71de0d85293b8p-19, 0x1.2891d4ffbb0f9p-22,
                                 0x1.af390ba7e6f47p-26};

/* log((1 + s) / (1 - s)) = 2 s + s z P(z), z = s^2, for |s| <= 3 - 2 sqrt 2 */
static const double log_f64[] = {0x1.5555555555555p-1, 0x1.9999999999a38p-2, 0x1.2492492476cccp-2,
                                 0x1.c71c720159177p-3, 0x1.745cf9048dd95p-3, 0x1.3b1c355a8f7a2p-3,
                                 0x1.0fbe95d716020p-3, 0x1.0c039c49989c6p-3};

/* x = 2^k m with sqrt(1/2) <= m <= sqrt 2, in f64; the first part of ln 2 has so few bits that its product with k is
 * exact. With f = m - 1 the logarithm of m is f - (f^2/2 - s (f^2/2 + z P(z))), s = f / (2 + f): f is exact and the
 * rest small. */
static retc_expr write_log(const calculator *c, retc_expr x) {
  const double smallest = 0x1p-1022;
  x = let(c, "log_x", x);
  retc_expr is_tiny = let(c, "log_tiny", binary(c, RETC_KERNEL_OP_LESS, x, number(c, smallest)));
  retc_expr a = choose(c, is_tiny, multiply(c, x, number(c, 0x1p54)), x);
  a = binary(c, RETC_KERNEL_OP_MIN, a, number(c, 0x1.fffffffffffffp1023));
  a = let(c, "log_a", binary(c, RETC_KERNEL_OP_MAX, a, number(c, smallest)));
  retc_expr k = let(c, "log_exponent", unary(c, RETC_KERNEL_OP_EXPONENT, a));
  retc_expr half = let(c, "log_half", unary(c, RETC_KERNEL_OP_FLOOR, multiply(c, k, number(c, 0.5))));
  retc_expr m = multiply(c, a, unary(c, RETC_KERNEL_OP_POW2, unary(c, RETC_KERNEL_OP_NEG, half)));
  m = let(c, "log_m", multiply(c, m, unary(c, RETC_KERNEL_OP_POW2, subtract(c, half, k))));
  retc_expr is_large = let(c, "log_large", binary(c, RETC_KERNEL_OP_LESS, number(c, 0x1.6a09e667f3bcdp+0), m));
  k = choose(c, is_large, add(c, k, number(c, 1)), k);
  k = let(c, "log_k", choose(c, is_tiny, subtract(c, k, number(c, 54)), k));
  retc_expr f = choose(c, is_large, multiply(c, m, number(c, 0.5)), m);
  f = let(c, "log_f", subtract(c, f, number(c, 1)));
  retc_expr s = let(c, "log_s", binary(c, RETC_KERNEL_OP_DIV, f, add(c, number(c, 2), f)));
  retc_expr z = let(c, "log_z", multiply(c, s, s));
  retc_expr square = let(c, "log_square", multiply(c, multiply(c, number(c, 0.5), f), f));
  retc_expr rest = add(c, square, multiply(c, z, POLYNOMIAL(c, log_f64, z)));
  rest = fused(c, s, rest, multiply(c, k, number(c, 0x1.a39ef35793c76p-33)));
  rest = subtract(c, subtract(c, square, rest), f);
  retc_expr value = subtract(c, multiply(c, k, number(c, 0x1.62e42fee00000p-1)), rest);
  value = choose(c, binary(c, RETC_KERNEL_OP_EQUAL, x, number(c, (double)INFINITY)), x, value);
  value = choose(c, binary(c, RETC_KERNEL_OP_EQUAL, x, number(c, 0)), number(c, (double)-INFINITY), value);
  value = choose(c, binary(c, RETC_KERNEL_OP_LESS, x, number(c, 0)), number(c, (double)NAN), value);
  return keep_nan(c, x, value);
}

/* e^x = 2^k e^r, r = x - k ln 2. ln 2 has two parts; the product with the first is exact within the fma. 2^k is applied
 * in two factors, so that the ends of the range are reached by one rounding. */
static retc_expr write_exp(const calculator *c, retc_expr x) {
  bool wide = c->dtype == RETC_DTYPE_F64;
  x = let(c, "exp_x", x);
  retc_expr bounded = binary(c, RETC_KERNEL_OP_MIN, x, number(c, wide ? 710 : 89));
  bounded = let(c, "exp_bounded", binary(c, RETC_KERNEL_OP_MAX, bounded, number(c, wide ? -746 : -104)));
  retc_expr k = let(c, "exp_k", rounded_product(c, bounded, 0x1.71547652b82fep+0));
  retc_expr r = fused(c, k, number(c, wide ? -0x1.62e42fefa39efp-1 : -0x1.62e43p-1), bounded);
  r = let(c, "exp_r", fused(c, k, number(c, wide ? -0x1.abc9e3b39803fp-56 : 0x1.05c61p-29), r));
  retc_expr q = wide ? POLYNOMIAL(c, exp_f64, r) : POLYNOMIAL(c, exp_f32, r);
  retc_expr p = add(c, fused(c, multiply(c, r, r), q, r), number(c, 1));
  retc_expr half = let(c, "exp_half", rounded_product(c, k, 0.5));
  p = multiply(c, p, unary(c, RETC_KERNEL_OP_POW2, half));
  p = multiply(c, p, unary(c, RETC_KERNEL_OP_POW2, subtract(c, k, half)));
  return keep_nan(c, x, p);
}

/* From e^(2a) - 1 where that is small, else 1 - 2 / (e^(2a) + 1), a = |x|; from 20 on tanh is 1 in f64. */
static retc_expr write_tanh(const calculator *c, retc_expr x) {
  x = let(c, "tanh_x", x);
  retc_expr a = binary(c, RETC_KERNEL_OP_MIN, unary(c, RETC_KERNEL_OP_ABS, x), number(c, 20));
  retc_expr r = let(c, "tanh_r", multiply(c, a, number(c, 2)));
  retc_expr less = let(c, "tanh_less", fused(c, multiply(c, r, r), POLYNOMIAL(c, exp_f64, r), r));
  retc_expr small = binary(c, RETC_KERNEL_OP_DIV, less, add(c, less, number(c, 2)));
  retc_expr grown = let(c, "tanh_grown", write_exp(c, r));
  retc_expr large = binary(c, RETC_KERNEL_OP_DIV, number(c, 2), add(c, grown, number(c, 1)));
  large = subtract(c, number(c, 1), large);
  retc_expr is_small = binary(c, RETC_KERNEL_OP_LESS, r, number(c, 0x1.62e42fefa39efp-2));
  retc_expr value = let(c, "tanh_value", choose(c, is_small, small, large));
  retc_expr is_negative = binary(c, RETC_KERNEL_OP_LESS, x, number(c, 0));
  return keep_nan(c, x, choose(c, is_negative, unary(c, RETC_KERNEL_OP_NEG, value), value));
}

/* (sin r - r) / r^3 and (cos r - 1 + r^2 / 2) / r^4 as polynomials of r^2, |r| <= pi / 4 */
static const double sin_f64[] = {-0x1.5555555555555p-3,  0x1.1111111110ba5p-7,  -0x1.a01a019e80693p-13,
                                 0x1.71de379252004p-19,  -0x1.ae60069e53ef1p-26, 0x1.5e098556d302ep-33};
static const double cos_f64[] = {0x1.5555555555555p-5,   -0x1.6c16c16c16960p-10, 0x1.a01a019f4d0edp-16,
                                 -0x1.27e4fa15bd814p-22, 0x1.1eeb66b683028p-29,  -0x1.907c0e63adbb6p-37};

/* sin(x + quarters pi / 2), by the nearest quarter turn: r = x - n pi / 2 is exact but for the last bits of pi. */
static retc_expr write_sine(const calculator *c, retc_expr x, double quarters) {
  x = let(c, "turn_x", x);
  retc_expr n = let(c, "turn_n", rounded_product(c, x, 0x1.45f306dc9c883p-1));
  retc_expr r = fused(c, n, number(c, -0x1.921fb54442d18p+0), x);
  r = let(c, "turn_r", fused(c, n, number(c, -0x1.1a62633145c07p-54), r));
  retc_expr z = let(c, "turn_z", multiply(c, r, r));
  retc_expr sine = fused(c, multiply(c, z, r), POLYNOMIAL(c, sin_f64, z), r);
  retc_expr cosine = fused(c, z, number(c, -0.5), number(c, 1));
  cosine = fused(c, multiply(c, z, z), POLYNOMIAL(c, cos_f64, z), cosine);

  retc_expr m = quarters == 0 ? n : let(c, "turn_m", add(c, n, number(c, quarters)));
  retc_expr turns = unary(c, RETC_KERNEL_OP_FLOOR, multiply(c, m, number(c, 0.25)));
  retc_expr quarter = let(c, "turn_quarter", fused(c, turns, number(c, -4), m));
  retc_expr half = let(c, "turn_half", unary(c, RETC_KERNEL_OP_FLOOR, multiply(c, quarter, number(c, 0.5))));
  retc_expr is_odd = binary(c, RETC_KERNEL_OP_EQUAL, fused(c, half, number(c, -2), quarter), number(c, 1));
  retc_expr value = let(c, "turn_value", choose(c, is_odd, cosine, sine));
  retc_expr is_lower = binary(c, RETC_KERNEL_OP_EQUAL, half, number(c, 1));
  return choose(c, is_lower, unary(c, RETC_KERNEL_OP_NEG, value), value);
}

/* erf a / a as a polynomial of a^2, 0 <= a <= 1; e^(a^2) (1 - erf a) of (a - 2) / (a + 2), 1 <= a <= 6 */
static const double erf_small[] = {0x1.20dd750429b6dp+0,   -0x1.812746b0379e6p-2,  0x1.ce2f21a042b30p-4,
                                   -0x1.b82ce31284e00p-6,  0x1.565bcd0dbaa38p-8,   -0x1.c02db3dac435fp-11,
                                   0x1.f9a321d5b8e1ep-14,  -0x1.f4d1e3183f7aep-17, 0x1.b9df224ca4b97p-20,
                                   -0x1.5f1ecb6f0764cp-23, 0x1.f7b4bf3b13964p-27,  -0x1.389d4f2641625p-30,
                                   0x1.05ffd737fb32ep-34};
static const double erf_large[] = {0x1.058671b52c776p-2,   -0x1.b57034efd3f69p-2,  0x1.eeea7dc8a7932p-3,
                                   -0x1.437f0b68c2dc0p-4,  0x1.e9471595c0b9dp-9,   0x1.ca95ed5c92a4bp-8,
                                   -0x1.bc25a2a5685b8p-11, -0x1.016b61e9c90a9p-10, 0x1.6d5bf00483674p-15,
                                   0x1.6dac8e32716eep-13,  0x1.ce18d5b499621p-16,  -0x1.cfd845cfda3f9p-16,
                                   -0x1.d8072f8b2af1ep-17, 0x1.e89749bb276c3p-20,  0x1.06de90fce20e3p-18};

/* From 6 on erf is 1 in f64. */
static retc_expr write_erf(const calculator *c, retc_expr x) {
  x = let(c, "erf_x", x);
  retc_expr magnitude = unary(c, RETC_KERNEL_OP_ABS, x);
  retc_expr a = let(c, "erf_a", binary(c, RETC_KERNEL_OP_MIN, magnitude, number(c, 6)));
  retc_expr z = let(c, "erf_z", multiply(c, a, a));
  retc_expr small = multiply(c, a, POLYNOMIAL(c, erf_small, z));
  retc_expr two = number(c, 2);
  retc_expr t = let(c, "erf_t", binary(c, RETC_KERNEL_OP_DIV, subtract(c, a, two), add(c, a, two)));
  retc_expr decay = write_exp(c, unary(c, RETC_KERNEL_OP_NEG, z));
  retc_expr large = fused(c, unary(c, RETC_KERNEL_OP_NEG, decay), POLYNOMIAL(c, erf_large, t), number(c, 1));
  retc_expr is_small = binary(c, RETC_KERNEL_OP_LESS, a, number(c, 1));
  retc_expr value = let(c, "erf_value", choose(c, is_small, small, large));
  retc_expr is_negative = binary(c, RETC_KERNEL_OP_LESS, x, number(c, 0));
  return keep_nan(c, x, choose(c, is_negative, unary(c, RETC_KERNEL_OP_NEG, value), value));
}

static bool is_math(retc_kernel_op op) {
  return op == RETC_KERNEL_OP_EXP || op == RETC_KERNEL_OP_LOG || op == RETC_KERNEL_OP_SIN || op == RETC_KERNEL_OP_COS ||
         op == RETC_KERNEL_OP_TANH || op == RETC_KERNEL_OP_ERF;
}

bool retc_kernel_has_math(const retc_kernel *kernel) {
  for (size_t i = 1; i < kernel->exprs.count; i++) {
    if (is_math(kernel->exprs.items[i].op)) return true;
  }
  return false;
}

/* f32 log, sin, cos, tanh and erf are the f64 ones, rounded. */
static retc_expr expand(void *user, retc_writer *w, const retc_expr_node *node, const retc_expr *inputs) {
  (void)user;
  if (!is_math(node->op)) return (retc_expr){0};
  const calculator same = {w, node->dtype}, wide = {w, RETC_DTYPE_F64};
  if (node->op == RETC_KERNEL_OP_EXP) return write_exp(&same, inputs[0]);
  retc_expr result = {0};
  switch (node->op) {
    case RETC_KERNEL_OP_LOG: result = write_log(&wide, retc_expr_cast(w->kernel, RETC_DTYPE_F64, inputs[0])); break;
    case RETC_KERNEL_OP_SIN: result = write_sine(&wide, retc_expr_cast(w->kernel, RETC_DTYPE_F64, inputs[0]), 0); break;
    case RETC_KERNEL_OP_COS: result = write_sine(&wide, retc_expr_cast(w->kernel, RETC_DTYPE_F64, inputs[0]), 1); break;
    case RETC_KERNEL_OP_TANH: result = write_tanh(&wide, retc_expr_cast(w->kernel, RETC_DTYPE_F64, inputs[0])); break;
    case RETC_KERNEL_OP_ERF: result = write_erf(&wide, retc_expr_cast(w->kernel, RETC_DTYPE_F64, inputs[0])); break;
    default: return result;
  }
  return retc_expr_cast(w->kernel, node->dtype, result);
}

retc_kernel *retc_kernel_expand_math(const retc_kernel *in) { return retc_kernel_rewrite(in, expand, NULL); }
