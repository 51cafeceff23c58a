/* What products of f32 can reach on a CPU with AVX-512, one thread: the loop that retc makes, 6 rows x 64 columns, with
 * its operands nearer and farther, each as a share of the same multiply-adds without any memory, measured around it.
 *   clang -O2 -march=native tests/bench/ceiling.c -o ceiling && ./ceiling */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
  ROWS = 6,
  VECTORS = 4,
  COLUMNS = 16 * VECTORS,
  PART = 128,
  PARTS = 16,
  BLOCK = 85 * ROWS,
  PANELS = 4,
  ROUNDS = 61
};
enum { STREAM = 128 << 20, DEPTH = PART * PARTS };

typedef struct operands {
  float *rows;       /* [PARTS][BLOCK][PART] */
  float *wide;       /* [PART][COLUMNS] */
  float *sums;       /* [PANELS][BLOCK][COLUMNS] */
  uint16_t *weights; /* STREAM bytes, taken in turn */
  size_t at;
} operands;

/* What of a product is done: the rest stays where it is. */
typedef struct way {
  const char *name;
  int panels, tiles;
  int moves_rows, widens;
} way;

static const way ways[] = {
  {"one tile, in the first cache", 1, 1, 0, 0},
  {"all rows, from the second cache", 4, 85, 0, 0},
  {"and all parts of k of the rows, from memory", 4, 85, 1, 0},
  {"and widened weights, from memory", 4, 85, 1, 1},
  {"the same, a panel at a time", 1, 85, 1, 1},
};
enum { WAYS = sizeof ways / sizeof *ways };

static volatile float source = 0.999f, sink;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void *room(size_t bytes) {
  void *memory;
  if (posix_memalign(&memory, 2 << 20, bytes)) exit(1);
  (void)madvise(memory, bytes, MADV_HUGEPAGE);
  memset(memory, 1, bytes);
  return memory;
}

/* FLOP/s of registers alone. */
static double peak(void) {
  enum { TIMES = 1000000 };
  __m512 sums[ROWS * VECTORS], a = _mm512_set1_ps(source), b = _mm512_set1_ps(1 - source);
  for (int i = 0; i < ROWS * VECTORS; i++) sums[i] = b;
  const double begin = now();
  for (int64_t r = 0; r < TIMES; r++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < ROWS * VECTORS; i++) sums[i] = _mm512_fmadd_ps(sums[i], a, b);
  }
  for (int i = 1; i < ROWS * VECTORS; i++) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  sink = _mm512_cvtss_f32(sums[0]);
  return 2.0 * 16 * ROWS * VECTORS * TIMES / (now() - begin);
}

__attribute__((noinline)) static void tile(const float *rows, const float *wide, float *sums) {
  __m512 sum[ROWS][VECTORS], b[VECTORS];
#pragma clang loop unroll(full)
  for (int i = 0; i < ROWS * VECTORS; i++) sum[i / VECTORS][i % VECTORS] = _mm512_loadu_ps(sums + 16 * i);
#pragma clang loop unroll(disable)
  for (int x = 0; x < PART; x++) {
#pragma clang loop unroll(full)
    for (int v = 0; v < VECTORS; v++) b[v] = _mm512_loadu_ps(wide + x * COLUMNS + 16 * v);
#pragma clang loop unroll(full)
    for (int i = 0; i < ROWS * VECTORS; i++)
      sum[i / VECTORS][i % VECTORS] =
          _mm512_fmadd_ps(_mm512_set1_ps(rows[i / VECTORS * PART + x]), b[i % VECTORS], sum[i / VECTORS][i % VECTORS]);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < ROWS * VECTORS; i++) _mm512_storeu_ps(sums + 16 * i, sum[i / VECTORS][i % VECTORS]);
}

static void widen(operands *o) {
  for (int i = 0; i < PART * COLUMNS; i += 16) {
    __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(o->weights + o->at + i)));
    _mm512_storeu_ps(o->wide + i, _mm512_castsi512_ps(_mm512_slli_epi32(words, 16)));
  }
  o->at = (o->at + PART * COLUMNS) % (STREAM / sizeof(uint16_t));
}

/* FLOP/s of PANELS panels, or of as many tiles. */
static double run(operands *o, const way *w) {
  const double begin = now();
  double done = 0;
  for (int first = 0; first < PANELS; first += w->panels) {
    for (int part = 0; part < PARTS; part++) {
      for (int panel = 0; panel < w->panels; panel++) {
        if (w->widens) widen(o);
        const float *rows = o->rows + (w->moves_rows ? part : 0) * BLOCK * PART;
        for (int t = 0; t < BLOCK / ROWS; t++) {
          const int at = t % w->tiles * ROWS;
          tile(rows + at * PART, o->wide, o->sums + (panel * BLOCK + at) * COLUMNS);
        }
        done += 2.0 * BLOCK * COLUMNS * PART;
      }
    }
  }
  return done / (now() - begin);
}

static int compare(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

int main(void) {
  operands o = {.rows = room(sizeof(float) * DEPTH * BLOCK), .wide = room(sizeof(float) * PART * COLUMNS),
                .sums = room(sizeof(float) * PANELS * BLOCK * COLUMNS), .weights = room(STREAM)};
  double rates[WAYS][ROUNDS], shares[WAYS][ROUNDS];
  for (int r = 0; r < ROUNDS; r++) {
    for (int i = 0; i < WAYS; i++) {
      const double before = peak();
      rates[i][r] = run(&o, &ways[i]);
      shares[i][r] = rates[i][r] * 2 / (before + peak());
    }
  }
  for (int i = 0; i < WAYS; i++) {
    qsort(rates[i], ROUNDS, sizeof(double), compare);
    qsort(shares[i], ROUNDS, sizeof(double), compare);
    printf("%-45s %6.1f GFLOP/s, %3.0f %% of registers alone\n", ways[i].name, rates[i][ROUNDS / 2] / 1e9,
           100 * shares[i][ROUNDS / 2]);
  }
  return 0;
}
