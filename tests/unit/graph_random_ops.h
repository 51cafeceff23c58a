/* The steps that test_graph_random.c makes its graphs of: each tries to add an operation of a kind to the graph. */
#ifndef RETC_TEST_GRAPH_RANDOM_OPS_H
#define RETC_TEST_GRAPH_RANDOM_OPS_H

#include "tests/unit/graph_random.h"

/* ---- pointwise ---- */

static inline void make_unary(generator *g) {
  static const retc_op ops[] = {RETC_OP_NEG,  RETC_OP_ABS,     RETC_OP_FLOOR, RETC_OP_EXP,  RETC_OP_SIN, RETC_OP_COS,
                                RETC_OP_TANH, RETC_OP_SIGMOID, RETC_OP_RELU,  RETC_OP_SILU, RETC_OP_GELU};
  static const retc_op positive_ops[] = {RETC_OP_SQRT, RETC_OP_RSQRT, RETC_OP_LOG};
  bool positive = pick(g, 3) == 0;
  const known *a = find_value(g, positive ? is_positive : is_real);
  if (!a) return;
  retc_op op = positive ? positive_ops[pick(g, 3)] : ops[pick(g, 11)];
  known k = {.most = 1, .error = a->error + function_error};
  switch (op) {
    case RETC_OP_NEG:
    case RETC_OP_ABS:
      k = *a;
      k.low = op == RETC_OP_ABS ? a->low : 0;
      break;
    case RETC_OP_RELU: k = *a; break;
    case RETC_OP_FLOOR:
      if (!(a->grain > 0)) return;
      k = (known){.most = a->most + 1, .grain = 1};
      break;
    case RETC_OP_EXP:
      if (a->most > 4) return;
      k.most = exp(a->most);
      k.low = exp(-a->most);
      k.error = k.most * (1.1 * a->error + function_error);
      break;
    case RETC_OP_SIGMOID: k.low = a->most < 2 ? 1 / (1 + exp(a->most)) : 0; break;
    case RETC_OP_SILU:
    case RETC_OP_GELU: k = (known){.most = a->most, .error = 1.2 * a->error + function_error * (1 + a->most)}; break;
    case RETC_OP_SQRT:
      k.most = sqrt(a->most);
      k.low = sqrt(a->low);
      k.error = a->error / k.low + rounding * k.most;
      break;
    case RETC_OP_RSQRT:
      k.most = 1 / sqrt(a->low);
      k.low = 1 / sqrt(a->most);
      k.error = a->error * k.most / a->low + function_error * k.most;
      break;
    case RETC_OP_LOG:
      k.most = larger(fabs(log(a->low)), fabs(log(a->most)));
      k.error = 1.2 * a->error / a->low + function_error * (1 + k.most);
      break;
    default: break;
  }
  add(g, op, &a->value, 1, NULL, NULL, k);
}

/* Another value that goes with `a`; its own shape more often than not. */
static inline const known *find_partner(generator *g, const known *a, wanted accept) {
  int start = pick(g, g->count);
  for (int i = 0; i < g->count; i++) {
    const known *b = &g->values[(start + i) % g->count];
    const retc_type *own = type_of(g, a->value), *other = type_of(g, b->value);
    if (!accept(g, b) || (own->dtype != other->dtype)) continue;
    const retc_value both[] = {a->value, b->value};
    retc_type type;
    retc_op op = own->dtype == RETC_DTYPE_BOOL ? RETC_OP_AND : RETC_OP_EQUAL;
    const retc_attributes none = {.word = NULL};
    retc_status status = retc_graph_infer(g->b.graph, op, both, 2, NULL, &none, &g->diagnostics, &type);
    retc_diagnostics_clear(&g->diagnostics);
    if (status == RETC_OK) return b;
  }
  return NULL;
}

static inline void make_binary(generator *g) {
  static const retc_op ops[] = {RETC_OP_ADD, RETC_OP_ADD, RETC_OP_SUB, RETC_OP_MUL, RETC_OP_MUL,
                                RETC_OP_MIN, RETC_OP_MAX, RETC_OP_DIV, RETC_OP_POW};
  retc_op op = ops[pick(g, 9)];
  const known *a = find_value(g, op == RETC_OP_POW ? is_positive : is_real);
  const known *b = a ? find_partner(g, a, op == RETC_OP_DIV ? is_positive : is_real) : NULL;
  if (!b) return;
  const retc_value both[] = {a->value, b->value};
  known k = {.most = larger(a->most, b->most), .error = larger(a->error, b->error), .grain = common_grain(a, b)};
  switch (op) {
    case RETC_OP_ADD: k = sum_of(a, b, false); break;
    case RETC_OP_SUB: k = sum_of(a, b, true); break;
    case RETC_OP_MUL: k = product_of(a, b, 1); break;
    case RETC_OP_MIN: k.low = smaller(a->low, b->low); break;
    case RETC_OP_MAX: k.low = larger(a->low, b->low); break;
    case RETC_OP_DIV:
      k = (known){.most = a->most / b->low, .low = a->low / b->most};
      k.error = 1.2 * (a->error / b->low + k.most * b->error / b->low) + rounding * k.most;
      break;
    default:
      if (a->most > 4 || b->most > 2) return;
      k = (known){.most = 400};
      k.error = 400 * (1.2 * b->most * a->error / a->low + 3 * b->error + 4 * function_error);
      break;
  }
  add(g, op, both, 2, NULL, NULL, k);
}

static inline void make_truth(generator *g) {
  static const retc_op ops[] = {RETC_OP_LESS, RETC_OP_LESS_EQUAL, RETC_OP_EQUAL, RETC_OP_AND, RETC_OP_OR, RETC_OP_NOT};
  int which = pick(g, 6);
  const known *a = find_value(g, which < 3 ? is_exact : is_bool);
  const known *b = a ? find_partner(g, a, which < 3 ? is_exact : is_bool) : NULL;
  if (!b) return;
  const retc_value both[] = {a->value, b->value};
  add(g, ops[which], both, which == 5 ? 1 : 2, NULL, NULL, (known){.most = 1, .grain = 1});
}

static inline void make_select(generator *g) {
  const known *c = find_value(g, is_bool), *a = find_value(g, is_any);
  const known *b = a ? find_partner(g, a, is_any) : NULL;
  if (!c || !b || is_bool(g, a)) return;
  const retc_value all[] = {c->value, a->value, b->value};
  add(g, RETC_OP_SELECT, all, 3, NULL, NULL,
      (known){.most = larger(a->most, b->most),
              .low = smaller(a->low, b->low),
              .error = larger(a->error, b->error),
              .grain = common_grain(a, b)});
}

static inline void make_cast(generator *g) {
  static const char *const words[] = {"f32", "f64", "f16", "bf16", "i64", "i32"};
  static const double multiples[] = {0x1p22, 0x1p22, 0x1p11, 0x1p8}, relative[] = {0, 0, 0x1p-10, 0x1p-7};
  const known *a = find_value(g, is_any);
  if (!a) return;
  if (pick(g, 8) == 0) {
    add(g, RETC_OP_COPY, &a->value, 1, NULL, NULL, *a);
    return;
  }
  int to = pick(g, 6);
  known k = *a;
  if (to >= 4) {
    if (!(a->grain > 0)) return;
    k = (known){.most = a->most, .grain = larger(1, a->grain)};
  } else if (!(a->grain > 0 && a->most / a->grain <= multiples[to])) {
    k = (known){.most = a->most, .low = a->low / 2, .error = a->error + (relative[to] + rounding) * a->most};
  }
  add(g, RETC_OP_CAST, &a->value, 1, NULL, &(retc_attributes){.word = words[to]}, k);
}

/* |a| + 1/4: what may be divided by. */
static inline void make_positive(generator *g) {
  const known *a = find_value(g, is_real);
  const known *b = a ? add(g, RETC_OP_ABS, &a->value, 1, NULL, NULL, *a) : NULL;
  if (!b) return;
  const known quarter = {.most = 0.25, .low = 0.25, .grain = 0.25};
  known k = sum_of(b, &quarter, false);
  k.low = 0.25;
  const retc_value both[] = {b->value, retc_build_number(&g->b, type_of(g, b->value)->dtype, 0.25)};
  add(g, RETC_OP_ADD, both, 2, NULL, NULL, k);
}

/* ---- indexing ---- */

/* Splits a constant axis, joins two, or puts one of size 1 somewhere. */
static inline void make_reshape(generator *g) {
  const known *a = find_value(g, is_any);
  if (!a) return;
  retc_type type = *type_of(g, a->value);
  retc_shape *s = &type.shape;
  int at = s->rank ? pick(g, s->rank) : 0;
  bool constant = s->rank && !retc_dim_is_named(s->dim[at]);
  if (pick(g, 2) && constant && at + 1 < s->rank && !retc_dim_is_named(s->dim[at + 1])) {
    s->dim[at] *= s->dim[at + 1];
    memmove(&s->dim[at + 1], &s->dim[at + 2], (size_t)(s->rank - at - 2) * sizeof *s->dim);
    s->rank--;
  } else if (s->rank < RETC_RANK_MAX) {
    retc_dim first = constant && s->dim[at] % 2 == 0 && pick(g, 3) ? 2 : 1;
    memmove(&s->dim[at + 1], &s->dim[at], (size_t)(s->rank - at) * sizeof *s->dim);
    s->rank++;
    s->dim[at] = first;
    if (first == 2) s->dim[at + 1] /= 2;
  }
  add(g, RETC_OP_RESHAPE, &a->value, 1, &type, NULL, *a);
}

static inline void make_view(generator *g) {
  const known *a = find_value(g, is_any);
  if (!a) return;
  const retc_shape *s = &type_of(g, a->value)->shape;
  if (!s->rank) return;
  int64_t axis = pick(g, s->rank), extent = retc_dim_is_named(s->dim[axis]) ? 1 : s->dim[axis];
  retc_attributes attributes = {.integer = {axis}};
  switch (pick(g, 4)) {
    case 0:
      attributes.integer[1] = 1 + pick(g, 3);
      add(g, RETC_OP_REPEAT, &a->value, 1, NULL, &attributes, *a);
      break;
    case 1:
      attributes.integer[1] = pick(g, s->rank);
      add(g, RETC_OP_TRANSPOSE, &a->value, 1, NULL, &attributes, *a);
      break;
    case 2:
      attributes.integer[1] = pick(g, (int)extent);
      attributes.integer[3] = 1 + pick(g, 3);
      attributes.integer[2] = 1 + pick(g, (int)((extent - 1 - attributes.integer[1]) / attributes.integer[3]) + 1);
      add(g, RETC_OP_SLICE, &a->value, 1, NULL, &attributes, *a);
      break;
    default: add(g, RETC_OP_TAIL, &a->value, 1, NULL, NULL, *a); break;
  }
}

static inline void make_concat(generator *g) {
  const known *a = find_value(g, is_any);
  if (!a || !type_of(g, a->value)->shape.rank) return;
  const retc_attributes attributes = {.integer = {pick(g, type_of(g, a->value)->shape.rank)}};
  retc_value inputs[3] = {a->value};
  known k = *a;
  int count = 1 + (pick(g, 3) == 0);
  for (int i = 1; i < count; i++) inputs[i] = a->value;
  for (int i = 0, start = pick(g, g->count); i < g->count; i++) {
    const known *b = &g->values[(start + i) % g->count];
    inputs[count] = b->value;
    known both = {.most = larger(k.most, b->most),
                  .low = smaller(k.low, b->low),
                  .error = larger(k.error, b->error),
                  .grain = common_grain(&k, b)};
    if (add(g, RETC_OP_CONCAT, inputs, count + 1, NULL, &attributes, both)) return;
  }
}

/* Ids are an input, which must fit the table, or computed, which may not. */
static inline void make_gather(generator *g) {
  const known *table = find_value(g, is_any);
  if (!table || !type_of(g, table->value)->shape.rank) return;
  retc_dim rows = type_of(g, table->value)->shape.dim[0];
  const known *ids = NULL;
  if (pick(g, 2) && !retc_dim_is_named(rows)) {
    const retc_shape shapes[] = {{2, {RETC_NAMED(B), RETC_NAMED(T)}}, {1, {any_size(g)}}, {0, {0}}};
    char name[32];
    snprintf(name, sizeof name, "ids_%lld_%d", (long long)rows, g->inputs++);
    retc_value value =
        retc_build_input(&g->b, "input", name, pick(g, 2) ? RETC_DTYPE_I64 : RETC_DTYPE_I32, &shapes[pick(g, 3)]);
    ids = remember(g, (known){.value = value, .most = (double)rows, .grain = 1});
  } else {
    ids = find_value(g, is_any);
    bool computed = ids && !retc_graph_find_given(g->b.graph, ids->value).index;
    if (!computed) return;
  }
  if (!ids) return;
  const retc_value both[] = {table->value, ids->value};
  add(g, RETC_OP_GATHER, both, 2, NULL, NULL, *table);
}

/* ---- products and reductions ---- */

/* Axes of b get letters of a where the sizes are equal, or their own; each letter stays or is summed. */
static inline void make_contract(generator *g) {
  const known *a = find_value(g, is_float), *b = NULL;
  if (!a) return;
  const retc_shape s = type_of(g, a->value)->shape;
  bool dense = s.rank && pick(g, 3) && !retc_dim_is_named(s.dim[s.rank - 1]);
  if (dense) {
    const retc_shape shape = {2, {any_size(g), s.dim[s.rank - 1]}};
    static const retc_dtype dtypes[] = {RETC_DTYPE_F32, RETC_DTYPE_F32, RETC_DTYPE_BF16, RETC_DTYPE_F16};
    bool wide = type_of(g, a->value)->dtype == RETC_DTYPE_F64;
    int at = (int)(a - g->values);
    b = new_input(g, pick(g, 4) ? "weight" : "input", wide ? RETC_DTYPE_F64 : dtypes[pick(g, 4)], &shape);
    a = &g->values[at];
  } else {
    b = find_value(g, is_float);
  }
  if (!b) return;
  const retc_shape t = type_of(g, b->value)->shape;
  char spec[32], out[16];
  int length = 0, out_length = 0, letters = s.rank;
  double terms = 1;
  bool taken[RETC_RANK_MAX] = {false}, in_b[2 * RETC_RANK_MAX] = {false};
  retc_dim sizes[2 * RETC_RANK_MAX];
  for (int i = 0; i < s.rank; i++) {
    spec[length++] = (char)('a' + i);
    sizes[i] = s.dim[i];
  }
  spec[length++] = ',';
  for (int i = 0; i < t.rank; i++) {
    int letter = -1;
    for (int k = 0; k < s.rank && letter < 0; k++) {
      if (!taken[k] && s.dim[k] == t.dim[i] && (dense ? i == 1 && k == s.rank - 1 : pick(g, 4))) letter = k;
    }
    if (letter >= 0)
      taken[letter] = true;
    else
      sizes[letter = letters++] = t.dim[i];
    in_b[letter] = true;
    spec[length++] = (char)('a' + letter);
  }
  for (int letter = 0; letter < letters; letter++) {
    bool both = letter < s.rank && in_b[letter];
    bool summed = dense ? both : pick(g, both ? 3 : 6) == 0 || (both && pick(g, 2));
    if (summed) {
      const retc_shape axis = {1, {sizes[letter]}};
      terms *= (double)elements(g, &axis);
    } else {
      out[out_length++] = (char)('a' + letter);
    }
  }
  if (out_length > RETC_RANK_MAX || (!dense && terms > 40)) return;
  for (int i = 0; i < out_length && !dense && pick(g, 2); i++) { /* another order */
    int k = pick(g, out_length);
    char swap = out[i];
    out[i] = out[k];
    out[k] = swap;
  }
  snprintf(spec + length, sizeof spec - (size_t)length, "->%.*s", out_length, out);
  const retc_value both[] = {a->value, b->value};
  add(g, RETC_OP_CONTRACT, both, 2, NULL, &(retc_attributes){.word = spec}, product_of(a, b, terms));
}

static inline void make_reduction(generator *g) {
  static const retc_op ops[] = {RETC_OP_REDUCE_SUM, RETC_OP_REDUCE_MEAN, RETC_OP_REDUCE_MAX,
                                RETC_OP_REDUCE_MIN, RETC_OP_SOFTMAX,     RETC_OP_LOG_SOFTMAX};
  const known *a = find_value(g, is_real);
  if (!a || !type_of(g, a->value)->shape.rank) return;
  const retc_shape *s = &type_of(g, a->value)->shape;
  const retc_shape row = {1, {s->dim[s->rank - 1]}};
  double width = (double)elements(g, &row);
  int which = pick(g, 6);
  known k = *a;
  if (which == 0) k = product_of(a, &(known){.most = 1, .low = 1, .grain = 1}, width);
  if (which == 1) k = (known){.most = a->most, .low = a->low, .error = a->error + width * rounding * a->most};
  if (which == 4) k = (known){.most = 1, .error = 2 * a->error + 2 * function_error};
  if (which == 5) {
    k = (known){.most = 2 * a->most + log(width)};
    k.error = 2 * a->error + 2 * function_error * (1 + k.most);
  }
  add(g, ops[which], &a->value, 1, NULL, NULL, k);
}

static inline void make_norm(generator *g) {
  const known *a = find_value(g, is_real);
  if (!a || !type_of(g, a->value)->shape.rank) return;
  const retc_type type = *type_of(g, a->value);
  const retc_shape row = {1, {type.shape.dim[type.shape.rank - 1]}};
  bool layer = pick(g, 2);
  double eps = 0.125, width = (double)elements(g, &row), scale = (layer ? 4 : 2) / sqrt(eps);
  known k = {.most = scale / 2 * a->most};
  k.error = scale * a->error + 4 * width * rounding * k.most + function_error * k.most;
  retc_value inputs[3] = {a->value};
  int count = 1;
  int most_inputs = retc_dim_is_named(row.dim[0]) ? 1 : layer ? 3 : 2;
  for (int more = pick(g, most_inputs); more > 0; more--) {
    const known *w = new_input(g, "weight", type.dtype, &row);
    if (!w) return;
    k = count == 1 ? product_of(&k, w, 1) : sum_of(&k, w, false);
    inputs[count++] = w->value;
  }
  add(g, layer ? RETC_OP_LAYER_NORM : RETC_OP_RMS_NORM, inputs, count, NULL, &(retc_attributes){.number = eps}, k);
}
#endif
