#include <string.h>

#include "backends/llvm/llvm_private.h"
#include "ir/kernel_walk.h"

LLVMValueRef retc_llvm_integer(retc_llvm_emitter *e, int64_t value) {
  return LLVMConstInt(LLVMInt64TypeInContext(e->context), (unsigned long long)value, true);
}

static LLVMTypeRef vector_of(LLVMTypeRef element, unsigned lanes) {
  return lanes > 1 ? LLVMVectorType(element, lanes) : element;
}

static LLVMTypeRef integer_type(retc_llvm_emitter *e, unsigned bits, unsigned lanes) {
  return vector_of(LLVMIntTypeInContext(e->context, bits), lanes);
}

/* Of a value. */
LLVMTypeRef retc_llvm_type(retc_llvm_emitter *e, retc_dtype dtype, unsigned lanes) {
  switch (dtype) {
    case RETC_DTYPE_F64: return vector_of(LLVMDoubleTypeInContext(e->context), lanes);
    case RETC_DTYPE_F32: return vector_of(LLVMFloatTypeInContext(e->context), lanes);
    case RETC_DTYPE_BOOL: return integer_type(e, 1, lanes);
    default: return integer_type(e, 64, lanes);
  }
}

/* Of a buffer's elements. */
static LLVMTypeRef memory_type(retc_llvm_emitter *e, retc_dtype dtype, unsigned lanes) {
  switch (dtype) {
    case RETC_DTYPE_F16: return vector_of(LLVMHalfTypeInContext(e->context), lanes);
    case RETC_DTYPE_BF16: return integer_type(e, 16, lanes);
    case RETC_DTYPE_I32: return integer_type(e, 32, lanes);
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4:
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2:
    case RETC_DTYPE_BOOL: return integer_type(e, 8, lanes);
    default: return retc_llvm_type(e, dtype, lanes);
  }
}

LLVMValueRef retc_llvm_splat(retc_llvm_emitter *e, LLVMValueRef scalar, unsigned lanes) {
  if (lanes <= 1) return scalar;
  LLVMValueRef zero = LLVMConstInt(LLVMInt32TypeInContext(e->context), 0, false);
  LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), lanes);
  LLVMValueRef first = LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), scalar, zero, "");
  LLVMValueRef mask = LLVMConstNull(LLVMVectorType(LLVMInt32TypeInContext(e->context), lanes));
  return LLVMBuildShuffleVector(e->builder, first, LLVMGetPoison(type), mask, "");
}

static LLVMValueRef lane_number(retc_llvm_emitter *e, unsigned lane) {
  return LLVMConstInt(LLVMInt32TypeInContext(e->context), lane, false);
}

/* (0, 1, 2, ...) */
static LLVMValueRef lane_numbers(retc_llvm_emitter *e) {
  LLVMValueRef numbers[64];
  for (unsigned lane = 0; lane < e->lanes; lane++) numbers[lane] = retc_llvm_integer(e, lane);
  return LLVMConstVector(numbers, e->lanes);
}

LLVMValueRef retc_llvm_spread(retc_llvm_emitter *e, retc_llvm_value value) {
  if (value.vector) return value.vector;
  LLVMValueRef same = retc_llvm_splat(e, value.scalar, e->lanes);
  if (!value.step) return same;
  LLVMValueRef steps = retc_llvm_splat(e, value.step, e->lanes);
  return LLVMBuildAdd(e->builder, same, LLVMBuildMul(e->builder, lane_numbers(e), steps, ""), "");
}

static LLVMValueRef call_overloaded(retc_llvm_emitter *e, const char *intrinsic, LLVMTypeRef *types,
                                    unsigned type_count, LLVMValueRef *arguments, unsigned count) {
  unsigned id = LLVMLookupIntrinsicID(intrinsic, strlen(intrinsic));
  LLVMValueRef function = LLVMGetIntrinsicDeclaration(e->module, id, types, type_count);
  LLVMTypeRef signature = LLVMIntrinsicGetType(e->context, id, types, type_count);
  return LLVMBuildCall2(e->builder, signature, function, arguments, count, "");
}

LLVMValueRef retc_llvm_call_plain(retc_llvm_emitter *e, const char *intrinsic, LLVMValueRef *arguments,
                                  unsigned count) {
  return call_overloaded(e, intrinsic, NULL, 0, arguments, count);
}

LLVMValueRef retc_llvm_call(retc_llvm_emitter *e, const char *intrinsic, LLVMValueRef *arguments, unsigned count) {
  LLVMTypeRef type = LLVMTypeOf(arguments[0]);
  return call_overloaded(e, intrinsic, &type, 1, arguments, count);
}

/* sum and product keep the affine form, so that addresses stay scalar. */
static retc_llvm_value add_values(retc_llvm_emitter *e, retc_llvm_value a, retc_llvm_value b, bool minus) {
  LLVMValueRef (*build)(LLVMBuilderRef, LLVMValueRef, LLVMValueRef, const char *) = minus ? LLVMBuildSub : LLVMBuildAdd;
  if (a.vector || b.vector)
    return (retc_llvm_value){.vector = build(e->builder, retc_llvm_spread(e, a), retc_llvm_spread(e, b), "")};
  retc_llvm_value sum = {.scalar = build(e->builder, a.scalar, b.scalar, ""), .step = a.step};
  if (b.step) sum.step = build(e->builder, a.step ? a.step : retc_llvm_integer(e, 0), b.step, "");
  return sum;
}

static retc_llvm_value multiply_values(retc_llvm_emitter *e, retc_llvm_value a, retc_llvm_value b) {
  if (a.vector || b.vector || (a.step && b.step))
    return (retc_llvm_value){.vector = LLVMBuildMul(e->builder, retc_llvm_spread(e, a), retc_llvm_spread(e, b), "")};
  retc_llvm_value product = {.scalar = LLVMBuildMul(e->builder, a.scalar, b.scalar, "")};
  if (a.step) product.step = LLVMBuildMul(e->builder, a.step, b.scalar, "");
  if (b.step) product.step = LLVMBuildMul(e->builder, a.scalar, b.step, "");
  return product;
}

static LLVMValueRef extent(retc_llvm_emitter *e, retc_buffer_id buffer, int axis) {
  retc_dim dim = retc_kernel_buffer(e->kernel, buffer)->shape.dim[axis];
  return retc_dim_is_named(dim) ? e->dims[~dim] : retc_llvm_integer(e, dim);
}

LLVMValueRef retc_llvm_stride(retc_llvm_emitter *e, retc_buffer_id buffer, int axis) {
  LLVMValueRef stride = retc_llvm_integer(e, 1);
  for (int later = retc_kernel_buffer(e->kernel, buffer)->shape.rank - 1; later > axis; later--)
    stride = LLVMBuildMul(e->builder, extent(e, buffer, later), stride, "");
  return stride;
}

retc_llvm_value retc_llvm_element(retc_llvm_emitter *e, retc_buffer_id buffer, const retc_expr *indices) {
  retc_llvm_value element = {.scalar = retc_llvm_integer(e, 0)};
  for (int axis = 0; axis < retc_kernel_buffer(e->kernel, buffer)->shape.rank; axis++) {
    element = multiply_values(e, element, (retc_llvm_value){.scalar = extent(e, buffer, axis)});
    element = add_values(e, element, retc_llvm_emit_expr(e, indices[axis]), false);
  }
  return element;
}

LLVMValueRef retc_llvm_address(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element) {
  LLVMTypeRef type = memory_type(e, retc_kernel_buffer(e->kernel, buffer)->dtype, 1);
  return LLVMBuildInBoundsGEP2(e->builder, type, e->buffers[buffer.index], &element, 1, "");
}

static bool is_one(LLVMValueRef step) {
  return !step || (LLVMIsAConstantInt(step) && LLVMConstIntGetSExtValue(step) == 1);
}

/* Memory form to value form. bf16 is widened by its bits: exact, and the same on every CPU. */
static LLVMValueRef widen(retc_llvm_emitter *e, retc_dtype dtype, LLVMValueRef v, unsigned lanes) {
  LLVMTypeRef type = integer_type(e, 32, lanes);
  switch (dtype) {
    case RETC_DTYPE_BF16: {
      LLVMValueRef shift = retc_llvm_splat(e, LLVMConstInt(LLVMInt32TypeInContext(e->context), 16, false), lanes);
      LLVMValueRef bits = LLVMBuildShl(e->builder, LLVMBuildZExt(e->builder, v, type, ""), shift, "");
      return LLVMBuildBitCast(e->builder, bits, retc_llvm_type(e, RETC_DTYPE_F32, lanes), "");
    }
    case RETC_DTYPE_F16: return LLVMBuildFPExt(e->builder, v, retc_llvm_type(e, RETC_DTYPE_F32, lanes), "");
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4:
    case RETC_DTYPE_I32: return LLVMBuildSExt(e->builder, v, integer_type(e, 64, lanes), "");
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2: return LLVMBuildZExt(e->builder, v, integer_type(e, 64, lanes), "");
    case RETC_DTYPE_BOOL: return LLVMBuildICmp(e->builder, LLVMIntNE, v, LLVMConstNull(LLVMTypeOf(v)), "");
    default: return v;
  }
}

/* To nearest even by integer arithmetic: the CPUs' own conversions flush subnormal numbers. */
static LLVMValueRef round_to_bf16(retc_llvm_emitter *e, LLVMValueRef v, unsigned lanes) {
  LLVMBuilderRef b = e->builder;
  LLVMTypeRef scalar = LLVMInt32TypeInContext(e->context);
  LLVMValueRef shift = retc_llvm_splat(e, LLVMConstInt(scalar, 16, false), lanes);
  LLVMValueRef one = retc_llvm_splat(e, LLVMConstInt(scalar, 1, false), lanes);
  LLVMValueRef half = retc_llvm_splat(e, LLVMConstInt(scalar, 0x7fff, false), lanes);
  LLVMValueRef quiet = retc_llvm_splat(e, LLVMConstInt(scalar, 0x40, false), lanes);
  LLVMValueRef bits = LLVMBuildBitCast(b, v, integer_type(e, 32, lanes), "");
  LLVMValueRef upper = LLVMBuildLShr(b, bits, shift, "");
  LLVMValueRef bias = LLVMBuildAdd(b, LLVMBuildAnd(b, upper, one, ""), half, "");
  LLVMValueRef rounded = LLVMBuildLShr(b, LLVMBuildAdd(b, bits, bias, ""), shift, "");
  LLVMValueRef is_nan = LLVMBuildFCmp(b, LLVMRealUNO, v, v, "");
  LLVMValueRef result = LLVMBuildSelect(b, is_nan, LLVMBuildOr(b, upper, quiet, ""), rounded, "");
  return LLVMBuildTrunc(b, result, integer_type(e, 16, lanes), "");
}

static LLVMValueRef narrow(retc_llvm_emitter *e, retc_dtype dtype, LLVMValueRef v, unsigned lanes) {
  LLVMTypeRef type = memory_type(e, dtype, lanes);
  switch (dtype) {
    case RETC_DTYPE_BF16: return round_to_bf16(e, v, lanes);
    case RETC_DTYPE_F16: return LLVMBuildFPTrunc(e->builder, v, type, "");
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4:
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2:
    case RETC_DTYPE_I32: return LLVMBuildTrunc(e->builder, v, type, "");
    case RETC_DTYPE_BOOL: return LLVMBuildZExt(e->builder, v, type, "");
    default: return v;
  }
}

/* Buffers may be mapped files: only the element's own alignment is sure. */
static LLVMValueRef load_memory(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, unsigned lanes) {
  retc_dtype dtype = retc_kernel_buffer(e->kernel, buffer)->dtype;
  LLVMValueRef address = retc_llvm_address(e, buffer, element);
  LLVMValueRef load = LLVMBuildLoad2(e->builder, memory_type(e, dtype, lanes), address, "");
  LLVMSetAlignment(load, (unsigned)retc_dtype_size(dtype));
  return load;
}

static void store_memory(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef value) {
  LLVMValueRef store = LLVMBuildStore(e->builder, value, retc_llvm_address(e, buffer, element));
  LLVMSetAlignment(store, (unsigned)retc_dtype_size(retc_kernel_buffer(e->kernel, buffer)->dtype));
}

/* The element of one lane: element + lane step, or the lane of a vector of elements. */
static LLVMValueRef lane_element(retc_llvm_emitter *e, LLVMValueRef element, LLVMValueRef step, unsigned lane) {
  if (LLVMGetTypeKind(LLVMTypeOf(element)) == LLVMVectorTypeKind)
    return LLVMBuildExtractElement(e->builder, element, lane_number(e, lane), "");
  LLVMValueRef offset = LLVMBuildMul(e->builder, step, retc_llvm_integer(e, lane), "");
  return LLVMBuildAdd(e->builder, element, offset, "");
}

/* In memory form. */
static LLVMValueRef gather(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                           unsigned lanes) {
  retc_dtype dtype = retc_kernel_buffer(e->kernel, buffer)->dtype;
  LLVMValueRef all = LLVMGetPoison(memory_type(e, dtype, lanes));
  for (unsigned lane = 0; lane < lanes; lane++) {
    LLVMValueRef one = load_memory(e, buffer, lane_element(e, element, step, lane), 1);
    all = LLVMBuildInsertElement(e->builder, all, one, lane_number(e, lane), "");
  }
  return all;
}

/* With the CPU's instruction for it: distances are constant and fit into 32 bits. */
static bool scatter_vector(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                           LLVMValueRef all, unsigned lanes) {
  const retc_dtype dtype = retc_kernel_buffer(e->kernel, buffer)->dtype;
  if (!step || !LLVMIsAConstantInt(step) || dtype != RETC_DTYPE_F32 || e->profile.vector_bytes < 64 || lanes < 8)
    return false;
  const int64_t distance = LLVMConstIntGetSExtValue(step);
  if (distance <= 0 || distance > INT32_MAX / 64) return false;
  LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context), element_type = memory_type(e, dtype, 1);
  LLVMValueRef offsets[64];
  for (unsigned lane = 0; lane < lanes; lane++)
    offsets[lane] = LLVMConstInt(i32, (unsigned long long)distance * lane, false);
  LLVMValueRef places = LLVMConstVector(offsets, lanes);
  LLVMValueRef addresses =
    LLVMBuildInBoundsGEP2(e->builder, element_type, retc_llvm_address(e, buffer, element), &places, 1, "");
  LLVMTypeRef types[2] = {LLVMTypeOf(all), LLVMTypeOf(addresses)};
  LLVMTypeRef truth = LLVMInt1TypeInContext(e->context);
  LLVMValueRef every = retc_llvm_splat(e, LLVMConstInt(truth, 1, false), lanes);
  LLVMValueRef arguments[4] = {all, addresses, LLVMConstInt(i32, retc_dtype_size(dtype), false), every};
  call_overloaded(e, "llvm.masked.scatter", types, 2, arguments, 4);
  return true;
}

static void scatter(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                    LLVMValueRef all, unsigned lanes) {
  if (scatter_vector(e, buffer, element, step, all, lanes)) return;
  for (unsigned lane = 0; lane < lanes; lane++) {
    LLVMValueRef one = LLVMBuildExtractElement(e->builder, all, lane_number(e, lane), "");
    store_memory(e, buffer, lane_element(e, element, step, lane), one);
  }
}

LLVMValueRef retc_llvm_load_sums(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                                 unsigned lanes) {
  return lanes > 1 && !is_one(step) ? gather(e, buffer, element, step, lanes) : load_memory(e, buffer, element, lanes);
}

void retc_llvm_store_sums(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                          LLVMValueRef value, unsigned lanes) {
  if (lanes > 1 && !is_one(step)) scatter(e, buffer, element, step, value, lanes);
  else store_memory(e, buffer, element, value);
}

LLVMValueRef retc_llvm_load_elements(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element,
                                     LLVMValueRef step, unsigned lanes) {
  retc_dtype dtype = retc_kernel_buffer(e->kernel, buffer)->dtype;
  return widen(e, dtype, retc_llvm_load_sums(e, buffer, element, step, lanes), lanes);
}

void retc_llvm_store_elements(retc_llvm_emitter *e, retc_buffer_id buffer, LLVMValueRef element, LLVMValueRef step,
                              LLVMValueRef value, unsigned lanes) {
  retc_dtype dtype = retc_kernel_buffer(e->kernel, buffer)->dtype;
  retc_llvm_store_sums(e, buffer, element, step, narrow(e, dtype, value, lanes), lanes);
}

static retc_llvm_value emit_load(retc_llvm_emitter *e, const retc_expr_node *node) {
  retc_llvm_value element = retc_llvm_element(e, node->buffer, node->indices);
  if (element.vector)
    return (retc_llvm_value){.vector = widen(e, retc_kernel_buffer(e->kernel, node->buffer)->dtype,
                                             gather(e, node->buffer, element.vector, NULL, e->lanes), e->lanes)};
  if (element.step)
    return (retc_llvm_value){
      .vector = retc_llvm_load_elements(e, node->buffer, element.scalar, element.step, e->lanes)};
  return (retc_llvm_value){.scalar = retc_llvm_load_elements(e, node->buffer, element.scalar, NULL, 1)};
}

void retc_llvm_emit_store(retc_llvm_emitter *e, const retc_statement *s) {
  retc_llvm_value element = retc_llvm_element(e, s->buffer, s->indices);
  LLVMValueRef value = retc_llvm_spread(e, retc_llvm_emit_expr(e, s->value));
  if (element.vector) {
    retc_dtype dtype = retc_kernel_buffer(e->kernel, s->buffer)->dtype;
    scatter(e, s->buffer, element.vector, NULL, narrow(e, dtype, value, e->lanes), e->lanes);
  } else if (element.step) {
    retc_llvm_store_elements(e, s->buffer, element.scalar, element.step, value, e->lanes);
  } else { /* one place for all lanes: the last one's value stays */
    if (e->lanes > 1) value = LLVMBuildExtractElement(e->builder, value, lane_number(e, e->lanes - 1), "");
    retc_llvm_store_elements(e, s->buffer, element.scalar, NULL, value, 1);
  }
}

/* Towards zero and saturating, NaN to 0, as llvm.fptosi.sat, which LLVM does lane by lane: what the plain conversion is
 * not defined for is kept from it. */
static LLVMValueRef truncate_lanes(retc_llvm_emitter *e, retc_dtype from, LLVMValueRef v, unsigned lanes) {
  LLVMBuilderRef b = e->builder;
  LLVMTypeRef real = retc_llvm_type(e, from, 1), type = retc_llvm_type(e, RETC_DTYPE_I64, lanes);
  LLVMValueRef least = retc_llvm_splat(e, LLVMConstReal(real, -0x1p63), lanes);
  LLVMValueRef most =
      retc_llvm_splat(e, LLVMConstReal(real, from == RETC_DTYPE_F64 ? 0x1.fffffffffffffp62 : 0x1.fffffep62), lanes);
  LLVMValueRef too_large = LLVMBuildFCmp(b, LLVMRealOGT, v, most, ""),
               is_number = LLVMBuildFCmp(b, LLVMRealORD, v, v, "");
  LLVMValueRef safe = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOLT, v, least, ""), least, v, "");
  safe = LLVMBuildSelect(b, too_large, most, safe, "");
  safe = LLVMBuildSelect(b, is_number, safe, LLVMConstNull(LLVMTypeOf(v)), "");
  LLVMValueRef largest = retc_llvm_splat(e, retc_llvm_integer(e, INT64_MAX), lanes);
  return LLVMBuildSelect(b, too_large, largest, LLVMBuildFPToSI(b, safe, type, ""), "");
}

static LLVMValueRef convert(retc_llvm_emitter *e, retc_dtype from, retc_dtype to, LLVMValueRef v, unsigned lanes) {
  LLVMTypeRef type = retc_llvm_type(e, to, lanes);
  if (from == to) return v;
  if (from == RETC_DTYPE_BOOL) {
    return to == RETC_DTYPE_I64 ? LLVMBuildZExt(e->builder, v, type, "") : LLVMBuildUIToFP(e->builder, v, type, "");
  }
  if (from == RETC_DTYPE_I64) return LLVMBuildSIToFP(e->builder, v, type, "");
  if (to == RETC_DTYPE_I64 && lanes > 1) return truncate_lanes(e, from, v, lanes);
  if (to == RETC_DTYPE_I64) {
    LLVMTypeRef types[] = {type, LLVMTypeOf(v)};
    return call_overloaded(e, "llvm.fptosi.sat", types, 2, &v, 1);
  }
  return to == RETC_DTYPE_F64 ? LLVMBuildFPExt(e->builder, v, type, "") : LLVMBuildFPTrunc(e->builder, v, type, "");
}

/* Adding 1.5 2^m, m the bits of the mantissa, puts the integer a into the low bits; they become the exponent. */
static LLVMValueRef power_of_two(retc_llvm_emitter *e, retc_dtype dtype, LLVMValueRef a, unsigned lanes) {
  bool wide = dtype == RETC_DTYPE_F64;
  unsigned bits = wide ? 64 : 32, mantissa = wide ? 52 : 23, bias = wide ? 1023 : 127;
  LLVMTypeRef real = retc_llvm_type(e, dtype, lanes), integer = LLVMIntTypeInContext(e->context, bits);
  LLVMValueRef large = LLVMConstReal(retc_llvm_type(e, dtype, 1), wide ? 0x1.8p52 : 0x1.8p23);
  LLVMValueRef sum = LLVMBuildFAdd(e->builder, a, retc_llvm_splat(e, large, lanes), "");
  LLVMValueRef low = LLVMBuildBitCast(e->builder, sum, vector_of(integer, lanes), "");
  LLVMValueRef biased =
    LLVMBuildAdd(e->builder, low, retc_llvm_splat(e, LLVMConstInt(integer, bias, false), lanes), "");
  LLVMValueRef exponent =
    LLVMBuildShl(e->builder, biased, retc_llvm_splat(e, LLVMConstInt(integer, mantissa, false), lanes), "");
  return LLVMBuildBitCast(e->builder, exponent, real, "");
}

/* The exponent field of a normal number > 0. */
static LLVMValueRef exponent_of(retc_llvm_emitter *e, retc_dtype dtype, LLVMValueRef a, unsigned lanes) {
  bool wide = dtype == RETC_DTYPE_F64;
  unsigned bits = wide ? 64 : 32, mantissa = wide ? 52 : 23, bias = wide ? 1023 : 127;
  LLVMTypeRef integer = LLVMIntTypeInContext(e->context, bits), narrow_type = integer_type(e, 32, lanes);
  LLVMValueRef field = LLVMBuildBitCast(e->builder, a, vector_of(integer, lanes), "");
  LLVMValueRef shift = retc_llvm_splat(e, LLVMConstInt(integer, mantissa, false), lanes);
  field = LLVMBuildLShr(e->builder, field, shift, "");
  if (wide) field = LLVMBuildTrunc(e->builder, field, narrow_type, "");
  LLVMValueRef none = LLVMConstInt(LLVMInt32TypeInContext(e->context), bias, false);
  field = LLVMBuildSub(e->builder, field, retc_llvm_splat(e, none, lanes), "");
  return LLVMBuildSIToFP(e->builder, field, retc_llvm_type(e, dtype, lanes), "");
}

static LLVMValueRef compare(retc_llvm_emitter *e, bool real, LLVMRealPredicate reals, LLVMIntPredicate integers,
                            LLVMValueRef *v) {
  return real ? LLVMBuildFCmp(e->builder, reals, v[0], v[1], "") : LLVMBuildICmp(e->builder, integers, v[0], v[1], "");
}

static LLVMValueRef magnitude(retc_llvm_emitter *e, bool real, LLVMValueRef *v) {
  if (real) return retc_llvm_call(e, "llvm.fabs", v, 1);
  LLVMValueRef negative = LLVMBuildICmp(e->builder, LLVMIntSLT, v[0], LLVMConstNull(LLVMTypeOf(v[0])), "");
  return LLVMBuildSelect(e->builder, negative, LLVMBuildNeg(e->builder, v[0], ""), v[0], "");
}

/* One operation on inputs `v` of dtype `dtype`, all scalars or all vectors. */
static LLVMValueRef emit_op(retc_llvm_emitter *e, retc_kernel_op op, retc_dtype dtype, LLVMValueRef *v,
                            unsigned lanes) {
  LLVMBuilderRef b = e->builder;
  bool real = dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F64;
  switch (op) {
    case RETC_KERNEL_OP_ADD: return real ? LLVMBuildFAdd(b, v[0], v[1], "") : LLVMBuildAdd(b, v[0], v[1], "");
    case RETC_KERNEL_OP_SUB: return real ? LLVMBuildFSub(b, v[0], v[1], "") : LLVMBuildSub(b, v[0], v[1], "");
    case RETC_KERNEL_OP_MUL: return real ? LLVMBuildFMul(b, v[0], v[1], "") : LLVMBuildMul(b, v[0], v[1], "");
    case RETC_KERNEL_OP_DIV: return real ? LLVMBuildFDiv(b, v[0], v[1], "") : LLVMBuildUDiv(b, v[0], v[1], "");
    case RETC_KERNEL_OP_MOD: return LLVMBuildURem(b, v[0], v[1], "");
    case RETC_KERNEL_OP_FMA: return retc_llvm_call(e, "llvm.fma", v, 3);
    case RETC_KERNEL_OP_NEG: return real ? LLVMBuildFNeg(b, v[0], "") : LLVMBuildNeg(b, v[0], "");
    case RETC_KERNEL_OP_ABS: return magnitude(e, real, v);
    case RETC_KERNEL_OP_MIN: return LLVMBuildSelect(b, compare(e, real, LLVMRealOLT, LLVMIntSLT, v), v[0], v[1], "");
    case RETC_KERNEL_OP_MAX: return LLVMBuildSelect(b, compare(e, real, LLVMRealOGT, LLVMIntSGT, v), v[0], v[1], "");
    case RETC_KERNEL_OP_SQRT: return retc_llvm_call(e, "llvm.sqrt", v, 1);
    case RETC_KERNEL_OP_FLOOR: return retc_llvm_call(e, "llvm.floor", v, 1);
    case RETC_KERNEL_OP_POW2: return power_of_two(e, dtype, v[0], lanes);
    case RETC_KERNEL_OP_EXPONENT: return exponent_of(e, dtype, v[0], lanes);
    case RETC_KERNEL_OP_LESS: return compare(e, real, LLVMRealOLT, LLVMIntSLT, v);
    case RETC_KERNEL_OP_LESS_EQUAL: return compare(e, real, LLVMRealOLE, LLVMIntSLE, v);
    case RETC_KERNEL_OP_EQUAL: return compare(e, real, LLVMRealOEQ, LLVMIntEQ, v);
    case RETC_KERNEL_OP_AND: return LLVMBuildAnd(b, v[0], v[1], "");
    case RETC_KERNEL_OP_SELECT: return LLVMBuildSelect(b, v[0], v[1], v[2], "");
    default:
      e->refused = retc_kernel_op_get_info(op)->name;
      return LLVMGetPoison(LLVMTypeOf(v[0]));
  }
}

static retc_llvm_value emit_inner(retc_llvm_emitter *e, const retc_expr_node *node) {
  const retc_kernel_op_info *info = retc_kernel_op_get_info(node->op);
  retc_llvm_value inputs[3] = {{0}};
  bool varies = false;
  for (int i = 0; i < info->inputs; i++) {
    inputs[i] = retc_llvm_emit_expr(e, node->inputs[i]);
    varies |= inputs[i].vector || inputs[i].step;
  }
  bool integers = node->dtype == RETC_DTYPE_I64;
  if (integers && node->op == RETC_KERNEL_OP_ADD) return add_values(e, inputs[0], inputs[1], false);
  if (integers && node->op == RETC_KERNEL_OP_SUB) return add_values(e, inputs[0], inputs[1], true);
  if (integers && node->op == RETC_KERNEL_OP_MUL) return multiply_values(e, inputs[0], inputs[1]);
  unsigned lanes = varies ? e->lanes : 1;
  LLVMValueRef v[3] = {0};
  for (int i = 0; i < info->inputs; i++) v[i] = varies ? retc_llvm_spread(e, inputs[i]) : inputs[i].scalar;
  retc_dtype dtype = retc_kernel_expr(e->kernel, node->inputs[0])->dtype;
  LLVMValueRef result = node->op == RETC_KERNEL_OP_CAST ? convert(e, dtype, node->dtype, v[0], lanes)
                                                        : emit_op(e, node->op, dtype, v, lanes);
  return varies ? (retc_llvm_value){.vector = result} : (retc_llvm_value){.scalar = result};
}

static retc_llvm_value emit_constant(retc_llvm_emitter *e, const retc_expr_node *node) {
  LLVMTypeRef type = retc_llvm_type(e, node->dtype, 1);
  return (retc_llvm_value){.scalar = retc_dtype_is_float(node->dtype)
                                       ? LLVMConstReal(type, node->number)
                                       : LLVMConstInt(type, (unsigned long long)node->integer, true)};
}

/* Shared expressions are emitted once a statement. */
retc_llvm_value retc_llvm_emit_expr(retc_llvm_emitter *e, retc_expr expr) {
  if (e->seen[expr.index] == e->number) return e->values[expr.index];
  const retc_expr_node *node = retc_kernel_expr(e->kernel, expr);
  retc_llvm_value value;
  switch (node->op) {
    case RETC_KERNEL_OP_CONST: value = emit_constant(e, node); break;
    case RETC_KERNEL_OP_VARIABLE: value = e->variables[node->variable.index]; break;
    case RETC_KERNEL_OP_DIM: value = (retc_llvm_value){.scalar = e->dims[node->integer]}; break;
    case RETC_KERNEL_OP_LOAD: value = emit_load(e, node); break;
    default: value = emit_inner(e, node);
  }
  e->seen[expr.index] = e->number;
  e->values[expr.index] = value;
  return value;
}

LLVMValueRef retc_llvm_emit_scalar(retc_llvm_emitter *e, retc_expr expr) {
  return retc_llvm_emit_expr(e, expr).scalar;
}
