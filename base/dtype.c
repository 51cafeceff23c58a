#include "base/dtype.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *name, *file_name;
  size_t size;
} infos[] = {
#define RETC_DTYPE(NAME, text, file_name, bytes, meaning) {text, file_name, bytes},
#include "base/dtypes.def"
#undef RETC_DTYPE
};

const char *retc_dtype_name(retc_dtype dtype) { return infos[dtype].name; }

const char *retc_dtype_file_name(retc_dtype dtype) { return infos[dtype].file_name; }

size_t retc_dtype_size(retc_dtype dtype) { return infos[dtype].size; }

bool retc_dtype_is_float(retc_dtype dtype) {
  return dtype == RETC_DTYPE_F64 || dtype == RETC_DTYPE_F32 || dtype == RETC_DTYPE_F16 || dtype == RETC_DTYPE_BF16;
}

bool retc_dtype_parse(const char *text, size_t length, retc_dtype *out_dtype) {
  for (int i = 0; i < RETC_DTYPE_COUNT; i++) {
    if (strlen(infos[i].name) != length || memcmp(infos[i].name, text, length) != 0) continue;
    *out_dtype = (retc_dtype)i;
    return true;
  }
  return false;
}

bool retc_dtype_parse_file_name(const char *text, retc_dtype *out_dtype) {
  for (int i = 0; i < RETC_DTYPE_COUNT; i++) {
    if (strcmp(infos[i].file_name, text) != 0) continue;
    *out_dtype = (retc_dtype)i;
    return true;
  }
  return false;
}

/* A 16-bit float: sign, exponent with this bias, fraction. */
typedef struct half_format {
  int bias, fraction;
} half_format;
static const half_format f16 = {15, 10}, bf16 = {127, 7};

/* Rounds once, straight from double: going through float would round twice. */
static uint16_t narrow(double value, half_format format) {
  unsigned sign = signbit(value) ? 0x8000u : 0;
  unsigned infinity = (0x7fffu >> format.fraction) << format.fraction;
  if (isnan(value)) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    unsigned payload = (unsigned)(bits >> (52 - format.fraction)) & ((1u << format.fraction) - 1);
    return (uint16_t)(sign | infinity | (1u << (format.fraction - 1)) | payload);
  }
  double magnitude = fabs(value);
  if (magnitude >= ldexp(1.0, format.bias + 1)) return (uint16_t)(sign | infinity);
  int exponent = magnitude == 0 ? 1 - format.bias : ilogb(magnitude);
  if (exponent < 1 - format.bias) exponent = 1 - format.bias;
  /* In units of the last place the leading one of a normal number is 2^fraction, which adds the missing 1 to the
   * exponent field; so does the carry of rounding up, as far as infinity. */
  unsigned units = (unsigned)rint(ldexp(magnitude, format.fraction - exponent));
  return (uint16_t)(sign | (((unsigned)(exponent + format.bias - 1) << format.fraction) + units));
}

float retc_bf16_to_f32(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

float retc_f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 0) {
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  uint32_t wide = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t retc_f32_to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

uint16_t retc_f32_to_f16(float value) { return narrow((double)value, f16); }

/* Towards zero; what does not fit becomes the nearest bound, NaN becomes 0. */
static int64_t integer_of(double value, int64_t low, int64_t high) {
  if (isnan(value)) return 0;
  if (value <= (double)low) return low;
  return value >= (double)high ? high : (int64_t)value;
}

#define READ(type, name) \
  type name; \
  memcpy(&name, (const char *)array + index * sizeof name, sizeof name)

double retc_dtype_load(retc_dtype dtype, const void *array, size_t index) {
  switch (dtype) {
    case RETC_DTYPE_F64: { READ(double, value); return value; }
    case RETC_DTYPE_F32: { READ(float, value); return (double)value; }
    case RETC_DTYPE_F16: { READ(uint16_t, bits); return (double)retc_f16_to_f32(bits); }
    case RETC_DTYPE_BF16: { READ(uint16_t, bits); return (double)retc_bf16_to_f32(bits); }
    case RETC_DTYPE_I64: { READ(int64_t, value); return (double)value; }
    case RETC_DTYPE_I32: { READ(int32_t, value); return (double)value; }
    case RETC_DTYPE_I8:
    case RETC_DTYPE_I4: { READ(int8_t, value); return (double)value; }
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2: { READ(uint8_t, value); return (double)value; }
    case RETC_DTYPE_BOOL: { READ(uint8_t, value); return value != 0; }
    case RETC_DTYPE_COUNT: break;
  }
  return 0;
}

#define WRITE(type, expression) \
  do { \
    type item = (type)(expression); \
    memcpy((char *)array + index * sizeof item, &item, sizeof item); \
  } while (0)

void retc_dtype_store(retc_dtype dtype, void *array, size_t index, double value) {
  switch (dtype) {
    case RETC_DTYPE_F64: WRITE(double, value); break;
    case RETC_DTYPE_F32: WRITE(float, value); break;
    case RETC_DTYPE_F16: WRITE(uint16_t, narrow(value, f16)); break;
    case RETC_DTYPE_BF16: WRITE(uint16_t, narrow(value, bf16)); break;
    case RETC_DTYPE_I64: WRITE(int64_t, integer_of(value, INT64_MIN, INT64_MAX)); break;
    case RETC_DTYPE_I32: WRITE(int32_t, integer_of(value, INT32_MIN, INT32_MAX)); break;
    case RETC_DTYPE_I8: WRITE(int8_t, integer_of(value, INT8_MIN, INT8_MAX)); break;
    case RETC_DTYPE_I4: WRITE(int8_t, integer_of(value, -8, 7)); break;
    case RETC_DTYPE_U8:
    case RETC_DTYPE_U4X2: WRITE(uint8_t, integer_of(value, 0, UINT8_MAX)); break;
    case RETC_DTYPE_BOOL: WRITE(uint8_t, value != 0); break;
    case RETC_DTYPE_COUNT: break;
  }
}

void retc_dtype_convert(retc_dtype from, const void *source, retc_dtype to, void *target, size_t count) {
  if (from == to) {
    if (count) memcpy(target, source, count * retc_dtype_size(from));
    return;
  }
  for (size_t i = 0; i < count; i++) retc_dtype_store(to, target, i, retc_dtype_load(from, source, i));
}
