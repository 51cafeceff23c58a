/* Evaluates a graph written as text, for the tests of the interpreter. Include cmocka before. */
#ifndef RETC_TEST_GRAPH_BENCH_H
#define RETC_TEST_GRAPH_BENCH_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph_eval.h"

/* A graph in text, the tensors it reads, and what it gave. Inputs that the test does not set are filled with numbers
 * in -1..1 that depend on their name. */
enum { TENSORS_MAX = 12 };

typedef struct bench {
  retc_diagnostics diagnostics;
  retc_graph *graph;
  retc_dims dims;
  int count;
  char names[TENSORS_MAX][16];
  retc_tensor tensors[TENSORS_MAX];
  retc_tensor outputs[TENSORS_MAX];
} bench;

static inline void fill(const char *name, retc_tensor *tensor) {
  uint32_t seed = 7;
  for (; *name; name++) seed = 31 * seed + (unsigned char)*name;
  for (int64_t i = 0; i < retc_tensor_count(tensor); i++) {
    seed = seed * 1664525u + 1013904223u;
    tensor->data[i] = (double)(seed >> 8) / (1 << 23) - 1;
  }
}

/* The tensor of that name, made when it is not there yet. */
static inline retc_tensor *tensor_of(bench *t, const char *name) {
  for (int i = 0; i < t->count; i++) {
    if (strcmp(t->names[i], name) == 0) return &t->tensors[i];
  }
  const retc_node *node = retc_graph_node(t->graph, retc_graph_find_input(t->graph, name));
  assert_non_null(node->name);
  assert_true(t->count < TENSORS_MAX);
  retc_tensor *tensor = &t->tensors[t->count];
  strcpy(t->names[t->count++], name);
  assert_int_equal(retc_tensor_init(tensor, &node->type.shape, &t->dims, &t->diagnostics), RETC_OK);
  if (node->type.dtype != RETC_DTYPE_I64) fill(name, tensor);
  return tensor;
}

static inline bool lend(void *user, const char *name, const retc_type *type, const retc_dims *dims,
                 const retc_tensor **out_tensor) {
  (void)type;
  (void)dims;
  *out_tensor = tensor_of(user, name);
  return true;
}

static inline void start(bench *t, const char *text, retc_dims dims) {
  *t = (bench){.dims = dims};
  if (retc_graph_parse(text, strlen(text), "test", &t->diagnostics, &t->graph) != RETC_OK) {
    fail_msg("%s", retc_diagnostics_text(&t->diagnostics));
  }
}

static inline retc_status try_eval(bench *t) {
  return retc_graph_eval(t->graph, &t->dims, lend, t, &t->diagnostics, t->outputs);
}

static inline void eval(bench *t) {
  if (try_eval(t) != RETC_OK) fail_msg("%s", retc_diagnostics_text(&t->diagnostics));
}

static inline void finish(bench *t) {
  for (int i = 0; i < t->count; i++) retc_tensor_deinit(&t->tensors[i]);
  for (size_t i = 0; i < t->graph->outputs.count; i++) retc_tensor_deinit(&t->outputs[i]);
  retc_graph_destroy(t->graph);
  retc_diagnostics_deinit(&t->diagnostics);
}

static inline void expect_near(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance * (1 + fabs(b)))) fail_msg("%.17g, expected %.17g", a, b);
}

static inline retc_dims dims_of(int64_t batch, int64_t tokens, int64_t chunks, int64_t last) {
  retc_dims dims = {{0}};
  dims.value[RETC_DIM_B] = batch;
  dims.value[RETC_DIM_T] = tokens;
  dims.value[RETC_DIM_N] = chunks;
  dims.value[RETC_DIM_L] = last;
  return dims;
}

#endif
