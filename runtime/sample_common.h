/* Choosing a token from logits: what the host and the kernel of a GPU share word for word, so that both choose the same.
 * Every order of sums gives the same, for weights are integers. This text is C and HIP alike: RETC_DEVICE begins a
 * function, retc_bits and retc_float go between a float and its bits. */

/* A token's place among all, in 55 bits: of two keys the larger one is the likelier token's, of equal logits the lower
 * token's. What is no number comes before all. */
#define RETC_SAMPLE_TOKEN_BITS 23
#define RETC_SAMPLE_NO_NUMBER 0xffffffffu
RETC_DEVICE uint64_t retc_sample_key(float logit, int64_t token) {
  const uint32_t bits = retc_bits(logit + 0.0f); /* of 0 and -0 the same */
  const uint32_t order = logit != logit ? RETC_SAMPLE_NO_NUMBER : bits >> 31 ? ~bits : bits | 0x80000000u;
  return (uint64_t)order << RETC_SAMPLE_TOKEN_BITS | ((1 << RETC_SAMPLE_TOKEN_BITS) - 1 - (uint64_t)token);
}
RETC_DEVICE int64_t retc_sample_token_of(uint64_t key) {
  const uint64_t last = (1 << RETC_SAMPLE_TOKEN_BITS) - 1;
  return (int64_t)(last - (key & last));
}
RETC_DEVICE int retc_sample_is_number(uint64_t key) { return key >> RETC_SAMPLE_TOKEN_BITS != RETC_SAMPLE_NO_NUMBER; }

/* 2^40 e^((logit - largest) / temperature), towards zero; the sum of all tokens' is below 2^64. Of infinite logits the
 * largest have 2^40, too. e^x = 2^k e^r with the polynomial of ir/kernel_math.c; hosts are slow at fma. */
RETC_DEVICE uint64_t retc_sample_weight(float logit, float largest, float temperature) {
  if (logit == largest) return (uint64_t)1 << 40;
  const float x = (logit - largest) / temperature;
  if (!(x > -29.0f)) return 0;
  const float k = (x * 0x1.715476p+0f + 0x1.8p23f) - 0x1.8p23f;
  const float r = (x - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f; /* the first product is exact */
  float q = 0x1.a1256cp-13f * r + 0x1.6d43bp-10f;
  q = q * r + 0x1.1110ep-7f;
  q = q * r + 0x1.5554e8p-5f;
  q = q * r + 0x1.555556p-3f;
  q = q * r + 0.5f;
  return (uint64_t)(int64_t)((r * r * q + r + 1.0f) * retc_float((uint32_t)(127 + 40 + (int32_t)k) << 23));
}

/* That share of a sum of weights, 0 to 1, rounded up, at least 1. */
RETC_DEVICE uint64_t retc_sample_target(double share, uint64_t total) {
  const double part = share * (double)total;
  uint64_t target = (uint64_t)part;
  target += (double)target < part;
  return target < 1 ? 1 : target > total ? total : target;
}

/* Uniform in [0, 1), draw `index` of `seed`: splitmix64 as a function of its counter. */
RETC_DEVICE uint64_t retc_sample_mix(uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
  return bits ^ bits >> 31;
}
RETC_DEVICE double retc_sample_uniform(uint64_t seed, uint64_t index) {
  const uint64_t golden = 0x9e3779b97f4a7c15u;
  return (double)(retc_sample_mix(retc_sample_mix(seed + golden) + (index + 1) * golden) >> 11) * 0x1p-53;
}
