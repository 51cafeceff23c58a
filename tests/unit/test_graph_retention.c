#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compiler/pass.h"
#include "tests/unit/graph_bench.h"

/* Retention: B = 2, H heads reading G, K = 4, V = 6. */
enum { BATCH = 2, KEYS = 4, VALUES = 6 };

static void retention_text(int heads, int groups, int chunk, char *text, size_t size) {
  snprintf(text, size,
           "graph g { %%q = input kind=input : f32[B,T,%d,4] %%k = input kind=input : f32[B,T,%d,4] "
           "%%v = input kind=input : f32[B,T,%d,6] %%P = input kind=input : i64[] "
           "%%S = input kind=state : f32[B,%d,4,6] "
           "%%pk = input kind=state : f32[B,%d,%d,4] %%pv = input kind=state : f32[B,%d,%d,6] "
           "%%d = input kind=weight : f64[%d] %%th = const [1.0, 0.03] : f64[2] "
           "%%o = retention %%q, %%k, %%v, %%d, %%th, %%P, %%S, %%pk, %%pv chunk=%d pairs=%s : f32[B,T,%d,6] "
           "%%1 = part %%o index=1 : f32[B,%d,4,6] %%2 = part %%o index=2 : f32[B,%d,%d,4] "
           "%%3 = part %%o index=3 : f32[B,%d,%d,6] output o = %%o output S = %%1 output pk = %%2 output pv = %%3 }",
           heads, groups, groups, heads, chunk, groups, chunk, groups, heads, chunk, chunk % 2 ? "half" : "adjacent",
           heads, heads, chunk, groups, chunk, groups);
}

/* q, k, v of a whole sequence, and what retention gives by its definition, sum_{m<=t} g^(t-m) (q_t . k_m) v_m. */
typedef struct sequence {
  int heads, groups, length;
  double *q, *k, *v, *o;
} sequence;

static double decay_of(int h) {
  static const double log_decays[] = {-0.03, 0, -0.7, -INFINITY};
  return log_decays[h % 4];
}

static double *make(int count, const char *name) {
  retc_tensor tensor = {.rank = 1, .dim = {count}, .data = calloc((size_t)count, sizeof(double))};
  fill(name, &tensor);
  return tensor.data;
}

/* q . k with q turned further than k by `distance` positions. */
static double score(const double *q, const double *k, int distance, bool half) {
  const double theta[2] = {1.0, 0.03};
  double sum = 0;
  for (int p = 0; p < 2; p++) {
    int y = half ? p : 2 * p, z = half ? p + 2 : 2 * p + 1;
    double c = cos(distance * theta[p]), sine = sin(distance * theta[p]);
    sum += (q[y] * k[y] + q[z] * k[z]) * c - (q[z] * k[y] - q[y] * k[z]) * sine;
  }
  return sum;
}

static sequence make_sequence(int heads, int groups, int length, bool half) {
  sequence s = {heads, groups, length, NULL, NULL, NULL, NULL};
  s.q = make(BATCH * length * heads * KEYS, "q");
  s.k = make(BATCH * length * groups * KEYS, "k");
  s.v = make(BATCH * length * groups * VALUES, "v");
  s.o = calloc((size_t)(BATCH * length * heads * VALUES), sizeof(double));
  for (int row = 0; row < BATCH * length * heads; row++) {
    int h = row % heads, t = row / heads % length, b = row / heads / length, g = h * groups / heads;
    for (int m = 0; m <= t; m++) {
      int other = (b * length + m) * groups + g;
      double weight = m == t ? 1 : exp((t - m) * decay_of(h));
      weight *= score(s.q + row * KEYS, s.k + other * KEYS, t - m, half);
      for (int x = 0; x < VALUES; x++) s.o[row * VALUES + x] += weight * s.v[other * VALUES + x];
    }
  }
  return s;
}

static void free_sequence(sequence *s) {
  free(s->q);
  free(s->k);
  free(s->v);
  free(s->o);
}

/* Rows first .. first + count of [b,t,width]. */
static void cut(const double *from, int length, int first, int count, int width, double *to) {
  for (int b = 0; b < BATCH; b++) {
    memcpy(to + b * count * width, from + (b * length + first) * width, sizeof *to * (size_t)(count * width));
  }
}

/* Feeds the sequence in calls of these sizes to the graph, carrying the states; compares every output. */
static void feed(const sequence *s, int chunk, bool expand, const int *calls, int call_count, double tolerance,
                 retc_tensor *out_state) {
  char text[2048];
  retention_text(s->heads, s->groups, chunk, text, sizeof text);
  double *states[3] = {NULL};
  int first = 0;
  for (int c = 0; c < call_count; c++) {
    int count = calls[c], offset = first % chunk;
    bench t;
    start(&t, text, dims_of(BATCH, count, (offset + count + chunk - 1) / chunk, 1));
    if (expand) {
      retc_graph *expanded;
      retc_pass_context context = {.diagnostics = &t.diagnostics};
      assert_int_equal(retc_expand(&context, t.graph, &expanded), RETC_OK);
      assert_int_equal(retc_graph_verify(expanded, &t.diagnostics), RETC_OK);
      retc_graph_destroy(t.graph);
      t.graph = expanded;
    }
    static const char *const names[3] = {"S", "pk", "pv"};
    for (int i = 0; i < 3; i++) {
      retc_tensor *tensor = tensor_of(&t, names[i]);
      size_t bytes = sizeof(double) * (size_t)retc_tensor_count(tensor);
      if (states[i]) {
        memcpy(tensor->data, states[i], bytes);
      } else {
        /* Pending rows before the first are nobody's: poison shows a reader. */
        for (int64_t x = 0; x < retc_tensor_count(tensor); x++) tensor->data[x] = i ? NAN : 0;
        states[i] = malloc(bytes);
      }
    }
    tensor_of(&t, "P")->data[0] = first;
    for (int h = 0; h < s->heads; h++) tensor_of(&t, "d")->data[h] = decay_of(h);
    cut(s->q, s->length, first, count, s->heads * KEYS, tensor_of(&t, "q")->data);
    cut(s->k, s->length, first, count, s->groups * KEYS, tensor_of(&t, "k")->data);
    cut(s->v, s->length, first, count, s->groups * VALUES, tensor_of(&t, "v")->data);
    eval(&t);
    for (int i = 0; i < retc_tensor_count(&t.outputs[0]); i++) {
      int width = s->heads * VALUES, b = i / width / count, row = i / width % count;
      expect_near(t.outputs[0].data[i], s->o[(b * s->length + first + row) * width + i % width], tolerance);
    }
    for (int i = 0; i < 3; i++) {
      memcpy(states[i], t.outputs[i + 1].data, sizeof(double) * (size_t)retc_tensor_count(&t.outputs[i + 1]));
    }
    first += count;
    if (c + 1 == call_count && out_state) {
      *out_state = t.outputs[1];
      t.outputs[1] = (retc_tensor){0};
    }
    finish(&t);
  }
  for (int i = 0; i < 3; i++) free(states[i]);
}

static void test_retention(void **state) {
  (void)state;
  static const int chunks[] = {1, 2, 3, 5, 8, 23, 64}, heads[][2] = {{2, 2}, {4, 2}, {4, 1}};
  static const int whole[] = {23}, ones[23] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  static const int pieces[] = {2, 1, 11, 4, 5};
  for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
      sequence s = make_sequence(heads[h][0], heads[h][1], 23, chunks[c] % 2);
      for (int expand = 0; expand < 2; expand++) {
        const double tolerance = 1e-6; /* cosine and sine are rounded to f32 */
        feed(&s, chunks[c], expand, whole, 1, tolerance, NULL);
        feed(&s, chunks[c], expand, ones, 23, tolerance, NULL);
        feed(&s, chunks[c], expand, pieces, 5, tolerance, NULL);
      }
      free_sequence(&s);
    }
  }
}

/* The new state is the sum over finished chunks: g^C per chunk, whatever the calls were. */
static void test_states_agree(void **state) {
  (void)state;
  static const int whole[] = {22}, pieces[] = {3, 7, 1, 11};
  sequence s = make_sequence(4, 2, 22, true);
  retc_tensor results[4];
  for (int i = 0; i < 4; i++) feed(&s, 5, i & 1, i & 2 ? pieces : whole, i & 2 ? 4 : 1, 1e-5, &results[i]);
  int64_t count = retc_tensor_count(&results[0]);
  for (int i = 1; i < 4; i++) {
    for (int64_t x = 0; x < count; x++) expect_near(results[i].data[x], results[0].data[x], 1e-6);
  }
  /* By its definition, of the first 20 tokens. Keys are rotated by their position. */
  for (int h = 0; h < 4; h++) {
    double expected = 0;
    for (int m = 0; m < 20; m++) {
      int row = m * 2 + h / 2;
      double y = s.k[row * KEYS], z = s.k[row * KEYS + 2], weight = m == 19 ? 1 : exp((19 - m) * decay_of(h));
      expected += weight * (y * cos(m) - z * sin(m)) * s.v[row * VALUES + 1];
    }
    expect_near(results[0].data[h * KEYS * VALUES + 1], expected, 1e-6);
  }
  for (int i = 0; i < 4; i++) retc_tensor_deinit(&results[i]);
  free_sequence(&s);
}

static void test_flush(void **state) {
  (void)state;
  for (int position = 6; position < 9; position++) {
    bench t;
    start(&t,
          "graph g { %S = input kind=state : f32[B,4,2,3] %k = input kind=state : f32[B,3,2,2] "
          "%v = input kind=state : f32[B,3,2,3] "
          "%d = const [-0.03, 0.0, -0.7, -inf] : f64[4] %P = input kind=input : i64[] "
          "%o = flush %S, %k, %v, %d, %P chunk=3 : f32[B,4,2,3] output o = %o }",
          dims_of(2, 0, 0, 0));
    tensor_of(&t, "P")->data[0] = position;
    eval(&t);
    const double *start_state = tensor_of(&t, "S")->data, *k = tensor_of(&t, "k")->data, *v = tensor_of(&t, "v")->data;
    int rows = position % 3;
    for (int i = 0; i < 48; i++) {
      int b = i / 24, h = i / 6 % 4, x = i / 3 % 2, y = i % 3;
      double expected = rows ? exp(rows * decay_of(h)) * start_state[i] : start_state[i];
      for (int j = 0; j < rows; j++) {
        int row = (b * 3 + j) * 2 + h / 2;
        expected += (j == rows - 1 ? 1 : exp((rows - 1 - j) * decay_of(h))) * k[row * 2 + x] * v[row * 3 + y];
      }
      expect_near(t.outputs[0].data[i], expected, 1e-14);
    }
    finish(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_retention),
      cmocka_unit_test(test_states_agree),
      cmocka_unit_test(test_flush),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
