/* Products of a wave by NVIDIA's mma.sync, in the place of the prelude's: 16 x 8 sums, 16 deep. Of a lane, group = lane
 * / 4 is a row of the left operand and a column of the right one, and quarter = lane % 4 its part of the depth; of the
 * sums it has rows group and group + 8, columns 2 * quarter and the next.
 *
 * Which elements of the depth a quarter has may be chosen, as long as both operands choose alike: 8 that lie together,
 * so that a load is 16 bytes, and two steps take them up. */
#ifndef RETC_CUDA_FRAGMENTS_H
#define RETC_CUDA_FRAGMENTS_H

#define RETC_WAVE 32
#define RETC_SUMS 8

/* The row that stands for the `group`th of eight: rows that are read together are 0 and 4, 1 and 5, ..., which lie in
 * other banks of shared memory when rows are 4 or 20 banks apart, as those of tiles are. */
RETC_DEVICE int retc_row(int group) { return group / 2 + 4 * (group % 2); }

/* 16 x 16 sums as two products of 16 x 8. */
typedef float retc_fragment[RETC_SUMS];
RETC_DEVICE int retc_fragment_row(int sum, int lane) { return retc_row(lane / 4) + 8 * (sum % 4 / 2); }
RETC_DEVICE int retc_fragment_column(int sum, int lane) { return 8 * (sum / 4) + retc_row(2 * (lane % 4) + sum % 2); }

RETC_DEVICE void retc_step(float *sums, const uint32_t *left, const uint32_t *right, const retc_bf16 *) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
}
RETC_DEVICE void retc_step(float *sums, const uint32_t *left, const uint32_t *right, const retc_f16 *) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
               : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
}

/* A quarter's 8 of 32 elements of a row, of which `count` exist; rows begin at multiples of 16 bytes. */
template <class T> RETC_DEVICE void retc_load(const T *row, int quarter, int64_t count, uint32_t *out_pairs) {
  const T *from = row + 8 * quarter;
  if (count >= 32) {
    const uint4 all = *reinterpret_cast<const uint4 *>(from);
    out_pairs[0] = all.x, out_pairs[1] = all.y, out_pairs[2] = all.z, out_pairs[3] = all.w;
  } else {
    for (int i = 0; i < 4; i++) {
      const uint32_t first = 8 * quarter + 2 * i < count ? from[2 * i].bits : 0;
      const uint32_t second = 8 * quarter + 2 * i + 1 < count ? from[2 * i + 1].bits : 0;
      out_pairs[i] = first | second << 16;
    }
  }
}

/* sums[i,l] += sum over x < depth of a[i * a_row + x] b[l * b_column + x], i < 16 R, l < 16 C. */
template <bool OF, int R, int C, class T>
RETC_DEVICE void retc_multiply_of(retc_fragment (&sums)[R][C], const T *a, int64_t a_row, const T *b, int64_t b_column,
                                  int64_t depth, int64_t rows) {
  const int lane = threadIdx.x % RETC_WAVE, group = retc_row(lane / 4), quarter = lane % 4;
#pragma unroll 4
  for (int64_t x = 0; x < depth; x += 32) {
    uint32_t upper[R][4], lower[R][4], right[2 * C][4];
#pragma unroll
    for (int i = 0; i < R; i++) {
      retc_load(a + retc_there<OF>(16 * i + group, rows) * a_row + x, quarter, depth - x, upper[i]);
      retc_load(a + retc_there<OF>(16 * i + group + 8, rows) * a_row + x, quarter, depth - x, lower[i]);
    }
#pragma unroll
    for (int l = 0; l < 2 * C; l++) retc_load(b + (8 * l + group) * b_column + x, quarter, depth - x, right[l]);
#pragma unroll
    for (int step = 0; step < 2; step++)
#pragma unroll
      for (int i = 0; i < R; i++) {
        const uint32_t left[4] = {upper[i][2 * step], lower[i][2 * step], upper[i][2 * step + 1],
                                  lower[i][2 * step + 1]};
#pragma unroll
        for (int l = 0; l < 2 * C; l++) retc_step(&sums[i][l / 2][4 * (l % 2)], left, &right[l][2 * step], a);
      }
  }
}

/* The same sums in memory, at c[i * c_row + l]. */
template <int R, int C, class T>
RETC_DEVICE void retc_mma(float *c, int64_t c_row, const T *a, int64_t a_row, const T *b, int64_t b_column,
                          int64_t depth) {
  const int lane = threadIdx.x % RETC_WAVE;
  retc_fragment sums[R][C];
#pragma unroll
  for (int i = 0; i < R; i++)
#pragma unroll
    for (int l = 0; l < C; l++)
#pragma unroll
      for (int s = 0; s < RETC_SUMS; s++)
        sums[i][l][s] = c[(16 * i + retc_fragment_row(s, lane)) * c_row + 16 * l + retc_fragment_column(s, lane)];
  retc_multiply_of<false>(sums, a, a_row, b, b_column, depth, 0);
#pragma unroll
  for (int i = 0; i < R; i++)
#pragma unroll
    for (int l = 0; l < C; l++)
#pragma unroll
      for (int s = 0; s < RETC_SUMS; s++)
        c[(16 * i + retc_fragment_row(s, lane)) * c_row + 16 * l + retc_fragment_column(s, lane)] = sums[i][l][s];
}

#endif
