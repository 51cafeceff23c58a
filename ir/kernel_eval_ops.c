#include <math.h>
#include <string.h>

#include "ir/kernel_eval_internal.h"

/* Wraps, as the machine does. */
static int64_t add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t subtract(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t multiply(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

/* 2^a put together from bits: adding 1.5 2^m, m the bits of the mantissa, leaves the integer a in the low ones. */
static float pow2_f32(float a) {
  float sum = a + 0x1.8p23f, result;
  uint32_t bits;
  memcpy(&bits, &sum, sizeof bits);
  bits = (bits + 127) << 23;
  memcpy(&result, &bits, sizeof result);
  return result;
}

static double pow2_f64(double a) {
  double sum = a + 0x1.8p52, result;
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  bits = (bits + 1023) << 52;
  memcpy(&result, &bits, sizeof result);
  return result;
}

/* The exponent field; of a normal number > 0 that is floor(log2 a). */
static float exponent_f32(float a) {
  uint32_t bits;
  memcpy(&bits, &a, sizeof bits);
  return (float)((int32_t)(bits >> 23) - 127);
}

static double exponent_f64(double a) {
  uint64_t bits;
  memcpy(&bits, &a, sizeof bits);
  return (double)((int32_t)(bits >> 52) - 1023);
}

/* Towards zero; what does not fit becomes the nearest bound, NaN becomes 0. */
static int64_t truncate(double a) {
  if (isnan(a)) return 0;
  if (a >= 0x1p63) return INT64_MAX;
  return a <= -0x1p63 ? INT64_MIN : (int64_t)a;
}

/* From f32, f64, i64 or bool to f32, f64 or i64. */
static retc_scalar convert(retc_dtype from, retc_dtype to, retc_scalar a) {
  switch (to) {
    case RETC_DTYPE_F32:
      if (from == RETC_DTYPE_F64) return (retc_scalar){.f32 = (float)a.f64};
      return from == RETC_DTYPE_F32 ? a : (retc_scalar){.f32 = (float)a.i64};
    case RETC_DTYPE_F64:
      if (from == RETC_DTYPE_F32) return (retc_scalar){.f64 = (double)a.f32};
      return from == RETC_DTYPE_F64 ? a : (retc_scalar){.f64 = (double)a.i64};
    default:
      if (from == RETC_DTYPE_F32) return (retc_scalar){.i64 = truncate((double)a.f32)};
      return from == RETC_DTYPE_F64 ? (retc_scalar){.i64 = truncate(a.f64)} : a;
  }
}

static retc_status divide(retc_interpreter *in, const char *what, int64_t a, int64_t b, int64_t *out_value) {
  if (a < 0 || b <= 0)
    return retc_interpreter_fail(in, "%lld %s %lld, expected a number of at least 0 and one of at least 1",
                                 (long long)a, what, (long long)b);
  *out_value = *what == '/' ? a / b : a % b;
  return RETC_OK;
}

/* A row of the table for f32 and f64, with `x`, `y`, `z` of that type; for i64 too. */
#define CASE(op, NAME, field, value) \
  case RETC_CODE(RETC_KERNEL_OP_##op, RETC_DTYPE_##NAME): target->field = (value); break;
#define X(field) in->slots[o->inputs[0]].field
#define Y(field) in->slots[o->inputs[1]].field
#define Z(field) in->slots[o->inputs[2]].field
#define INFIX(op, sign) \
  CASE(op, F32, f32, X(f32) sign Y(f32)) \
  CASE(op, F64, f64, X(f64) sign Y(f64))
#define COMPARE(op, sign) \
  CASE(op, F32, i64, X(f32) sign Y(f32)) \
  CASE(op, F64, i64, X(f64) sign Y(f64)) \
  CASE(op, I64, i64, X(i64) sign Y(i64))
#define CHOOSE(op, sign) \
  CASE(op, F32, f32, X(f32) sign Y(f32) ? X(f32) : Y(f32)) \
  CASE(op, F64, f64, X(f64) sign Y(f64) ? X(f64) : Y(f64)) \
  CASE(op, I64, i64, X(i64) sign Y(i64) ? X(i64) : Y(i64))
#define UNARY(op, of_f32, of_f64) \
  CASE(op, F32, f32, of_f32(X(f32))) \
  CASE(op, F64, f64, of_f64(X(f64)))
#define CASES(op) \
  case RETC_CODE(RETC_KERNEL_OP_##op, RETC_DTYPE_F32): \
  case RETC_CODE(RETC_KERNEL_OP_##op, RETC_DTYPE_F64): \
  case RETC_CODE(RETC_KERNEL_OP_##op, RETC_DTYPE_I64): \
  case RETC_CODE(RETC_KERNEL_OP_##op, RETC_DTYPE_BOOL)

static inline retc_status compute_one(retc_interpreter *in, const retc_operation *o) {
  retc_scalar *target = &in->slots[o->target];
  switch (o->code) {
    INFIX(ADD, +)
    INFIX(SUB, -)
    INFIX(MUL, *)
    INFIX(DIV, /)
    CASE(ADD, I64, i64, add(X(i64), Y(i64)))
    CASE(SUB, I64, i64, subtract(X(i64), Y(i64)))
    CASE(MUL, I64, i64, multiply(X(i64), Y(i64)))
    case RETC_CODE(RETC_KERNEL_OP_DIV, RETC_DTYPE_I64): return divide(in, "/", X(i64), Y(i64), &target->i64);
    case RETC_CODE(RETC_KERNEL_OP_MOD, RETC_DTYPE_I64): return divide(in, "%", X(i64), Y(i64), &target->i64);
    CASE(FMA, F32, f32, fmaf(X(f32), Y(f32), Z(f32)))
    CASE(FMA, F64, f64, fma(X(f64), Y(f64), Z(f64)))
    UNARY(NEG, -, -)
    CASE(NEG, I64, i64, subtract(0, X(i64)))
    UNARY(ABS, fabsf, fabs)
    CASE(ABS, I64, i64, X(i64) < 0 ? subtract(0, X(i64)) : X(i64))
    CHOOSE(MIN, <)
    CHOOSE(MAX, >)
    UNARY(SQRT, sqrtf, sqrt)
    UNARY(FLOOR, floorf, floor)
    UNARY(POW2, pow2_f32, pow2_f64)
    UNARY(EXPONENT, exponent_f32, exponent_f64)
    COMPARE(LESS, <)
    COMPARE(LESS_EQUAL, <=)
    COMPARE(EQUAL, ==)
    CASE(AND, BOOL, i64, X(i64) & Y(i64))
    CASES(SELECT): *target = X(i64) ? in->slots[o->inputs[1]] : in->slots[o->inputs[2]]; break;
    CASES(CAST): *target = convert((retc_dtype)(o->code % RETC_DTYPE_COUNT), o->dtype, in->slots[o->inputs[0]]); break;
    default:
      if (!o->place.cell) return retc_interpreter_fail(in, "an operation without a meaning here");
      return retc_interpreter_load(in, &o->place, target);
  }
  return RETC_OK;
}

retc_status retc_interpreter_compute(retc_interpreter *in, const retc_prepared *p) {
  for (size_t i = 0; i < p->operations.count; i++) RETC_TRY(compute_one(in, &p->operations.items[i]));
  return RETC_OK;
}
