
/* Keys have 5 digits of 11 bits. */
#define RETC_SAMPLE_DIGIT_BITS 11
#define RETC_SAMPLE_DIGITS 5

/* What a block has of the row that it chooses from. */
struct retc_sample_row {
  const float *logits;
  int64_t count;
  float largest, temperature;
};
struct retc_sample_memory {
  unsigned long long bins[1 << RETC_SAMPLE_DIGIT_BITS], waves[1024 / 32], digit, rest;
};

/* The sum of a number of each lane up to this one; `waves`: those of all waves. */
RETC_DEVICE uint64_t retc_sample_sum(uint64_t sum, unsigned long long *waves) {
  const int lane = threadIdx.x % RETC_WAVE, wave = threadIdx.x / RETC_WAVE;
  for (int distance = 1; distance < RETC_WAVE; distance *= 2) {
    const uint64_t other = __shfl_up(sum, distance);
    if (lane >= distance) sum += other;
  }
  if (lane == RETC_WAVE - 1) waves[wave] = sum;
  __syncthreads();
  for (int w = 0; w < wave; w++) sum += waves[w];
  return sum;
}

/* The largest key that, with all larger ones, weighs as much as the target; keys below `floor` do not count. Without a
 * target it is a share of all. Digit by digit: what the keys with the same digits so far weigh by their next one. */
RETC_DEVICE uint64_t retc_sample_select(const retc_sample_row &row, uint64_t floor, bool evenly, double share,
                                        uint64_t target, retc_sample_memory &memory) {
  const int last = (1 << RETC_SAMPLE_DIGIT_BITS) - 1;
  uint64_t found = 0;
  for (int shift = (RETC_SAMPLE_DIGITS - 1) * RETC_SAMPLE_DIGIT_BITS; shift >= 0; shift -= RETC_SAMPLE_DIGIT_BITS) {
    for (int i = threadIdx.x; i <= last; i += 1024) memory.bins[i] = 0;
    __syncthreads();
#pragma unroll 4
    for (int64_t i = threadIdx.x; i < row.count; i += 1024) {
      const float logit = row.logits[i];
      const uint64_t key = retc_sample_key(logit, i);
      if (key < floor || key >> shift >> RETC_SAMPLE_DIGIT_BITS != found) continue;
      const uint64_t weight = evenly ? 1 : retc_sample_weight(logit, row.largest, row.temperature);
      atomicAdd(&memory.bins[key >> shift & last], static_cast<unsigned long long>(weight));
    }
    __syncthreads();
    /* Two digits a lane, the largest ones first. */
    const int digit = last - 2 * int(threadIdx.x);
    const uint64_t first = memory.bins[digit], both = first + memory.bins[digit - 1];
    const uint64_t through = retc_sample_sum(both, memory.waves), before = through - both;
    if (!target) {
      uint64_t total = 0;
      for (int w = 0; w < 1024 / RETC_WAVE; w++) total += memory.waves[w];
      target = retc_sample_target(share, total);
    }
    if (before < target && target <= through) {
      const bool is_first = target <= before + first;
      memory.digit = is_first ? digit : digit - 1;
      memory.rest = target - before - (is_first ? 0 : first);
    }
    __syncthreads();
    found = found << RETC_SAMPLE_DIGIT_BITS | memory.digit;
    target = memory.rest;
  }
  return found;
}

/* Chooses a token of each row of logits [B,count], a block a row. Temperature 0: the first of the largest logits; else
 * draw number `index` of seed + row, among the top_k likeliest (0: all) and of them those
 * that reach top_p together (0, 1: all). A row with a logit that is no number gets -1 - its first such token. */
extern "C" __global__ void __launch_bounds__(1024, 1) retc_sample(
    const float *__restrict__ logits, int64_t *__restrict__ tokens, int64_t count, float temperature, double top_p,
    int64_t top_k, uint64_t seed, uint64_t index) {
  __shared__ retc_sample_memory memory;
  retc_sample_row row = {logits + blockIdx.x * count, count, 0, temperature};
  uint64_t key = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < count; i += 1024) {
    const uint64_t other = retc_sample_key(row.logits[i], i);
    if (other > key) key = other;
  }
  for (int mask = 1; mask < RETC_WAVE; mask *= 2) {
    const uint64_t other = __shfl_xor(key, mask);
    if (other > key) key = other;
  }
  if (threadIdx.x % RETC_WAVE == 0) memory.waves[threadIdx.x / RETC_WAVE] = key;
  __syncthreads();
  for (int w = 0; w < 1024 / RETC_WAVE; w++) {
    if (memory.waves[w] > key) key = memory.waves[w];
  }
  if (temperature != 0 && retc_sample_is_number(key)) {
    uint64_t floor = 0;
    row.largest = row.logits[retc_sample_token_of(key)];
    if (top_k > 0 && top_k < count) floor = retc_sample_select(row, floor, true, 0, top_k, memory);
    if (top_p > 0 && top_p < 1) floor = retc_sample_select(row, floor, false, top_p, 0, memory);
    key = retc_sample_select(row, floor, false, retc_sample_uniform(seed + blockIdx.x, index), 0, memory);
  }
  const int64_t token = retc_sample_token_of(key);
  if (threadIdx.x == 0) tokens[blockIdx.x] = retc_sample_is_number(key) ? token : -1 - token;
}
