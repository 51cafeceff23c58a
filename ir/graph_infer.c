#include "ir/graph_infer.h"

#include <math.h>

/* Constants of integers and truths are written as what they are. */
static retc_status expect_whole(const inference *in, retc_dtype dtype) {
  for (size_t i = 0; !retc_dtype_is_float(dtype) && i < in->attributes.dense_count; i++) {
    const double number = in->attributes.dense[i];
    if (retc_dtype_round(dtype, number) != number) return wrong(in, "%g is no %s", number, retc_dtype_name(dtype));
  }
  return RETC_OK;
}

static RETC_SHAPE_RULE(declared) {
  if (!in->declared) return wrong(in, "no type given");
  RETC_TRY(check_type(in, in->declared));
  *out_type = *in->declared;
  if (in->op == RETC_OP_INPUT) {
    static const char *const kinds[] = {"input", "weight", "state"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
      if (strcmp(in->attributes.word, kinds[i]) == 0) return RETC_OK;
    }
    return wrong(in, "kind is %s, expected input, weight or state", in->attributes.word);
  }
  RETC_TRY(expect_whole(in, out_type->dtype));
  if (in->attributes.dense_count == 1) return RETC_OK;
  const retc_shape *shape = &out_type->shape;
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    if (retc_dim_is_named(shape->dim[i])) return wrong(in, "only a single number fills %s", show(out_type).text);
    count *= shape->dim[i];
  }
  if (in->attributes.dense_count == (uint64_t)count) return RETC_OK;
  return wrong(in, "%zu numbers, expected 1 or the %lld of %s", in->attributes.dense_count, (long long)count,
               show(out_type).text);
}

/* The shape that two shapes broadcast to, right-aligned. */
static retc_status broadcast_shapes(const inference *in, const retc_type *a, const retc_type *b,
                                    retc_shape *out_shape) {
  const retc_type *longer = a->shape.rank >= b->shape.rank ? a : b, *shorter = longer == a ? b : a;
  retc_shape shape = longer->shape;
  for (int i = 1; i <= shorter->shape.rank; i++) {
    retc_dim *dim = &shape.dim[longer->shape.rank - i], other = shorter->shape.dim[shorter->shape.rank - i];
    if (*dim == 1) *dim = other;
    if (other != 1 && other != *dim) {
      return wrong(in, "%s and %s do not broadcast", show_shape(a).text, show_shape(b).text);
    }
  }
  *out_shape = shape;
  return RETC_OK;
}

static retc_status expect_same_dtype(const inference *in, int a, int b) {
  if (in->types[a]->dtype == in->types[b]->dtype) return RETC_OK;
  return wrong(in, "%s and %s are of different dtypes", show(in->types[a]).text, show(in->types[b]).text);
}

static RETC_SHAPE_RULE(broadcast) {
  RETC_TRY(expect_real(in, 0));
  RETC_TRY(expect_same_dtype(in, 0, 1));
  out_type->dtype = in->types[0]->dtype;
  return broadcast_shapes(in, in->types[0], in->types[1], &out_type->shape);
}

static RETC_SHAPE_RULE(compare) {
  RETC_TRY(expect_same_dtype(in, 0, 1));
  if (in->types[0]->dtype == RETC_DTYPE_BOOL) {
    return wrong(in, "input 1 is %s, expected numbers", show(in->types[0]).text);
  }
  out_type->dtype = RETC_DTYPE_BOOL;
  return broadcast_shapes(in, in->types[0], in->types[1], &out_type->shape);
}

static retc_status expect_bool(const inference *in, int index) {
  if (in->types[index]->dtype == RETC_DTYPE_BOOL) return RETC_OK;
  return wrong(in, "input %d is %s, expected bool", index + 1, show(in->types[index]).text);
}

static RETC_SHAPE_RULE(logic) {
  for (int i = 0; i < in->input_count; i++) RETC_TRY(expect_bool(in, i));
  *out_type = *in->types[0];
  return in->input_count == 1 ? RETC_OK : broadcast_shapes(in, in->types[0], in->types[1], &out_type->shape);
}

static RETC_SHAPE_RULE(select) {
  RETC_TRY(expect_bool(in, 0));
  RETC_TRY(expect_same_dtype(in, 1, 2));
  retc_type values = {.dtype = in->types[1]->dtype};
  RETC_TRY(broadcast_shapes(in, in->types[1], in->types[2], &values.shape));
  out_type->dtype = values.dtype;
  return broadcast_shapes(in, in->types[0], &values, &out_type->shape);
}

static RETC_SHAPE_RULE(copy) {
  *out_type = *in->types[0];
  return RETC_OK;
}

static RETC_SHAPE_RULE(same) {
  RETC_TRY(expect_real(in, 0));
  *out_type = *in->types[0];
  return RETC_OK;
}

static RETC_SHAPE_RULE(cast) {
  const char *word = in->attributes.word;
  *out_type = *in->types[0];
  if (!retc_dtype_parse(word, strlen(word), &out_type->dtype) || out_type->dtype == RETC_DTYPE_BOOL) {
    return wrong(in, "dtype is %s, expected f64, f32, f16, bf16, i64 or i32", word);
  }
  return RETC_OK;
}

/* The product of the constants from *axis up to the next name, which *axis is left at. */
static int64_t take_constants(const retc_shape *shape, int *axis) {
  int64_t product = 1;
  for (; *axis < shape->rank && !retc_dim_is_named(shape->dim[*axis]); ++*axis) product *= shape->dim[*axis];
  return product;
}

static RETC_SHAPE_RULE(reshape) {
  if (!in->declared) return wrong(in, "no shape given");
  const retc_type *from = in->types[0];
  *out_type = (retc_type){from->dtype, in->declared->shape};
  RETC_TRY(check_type(in, out_type));
  const retc_shape *a = &from->shape, *b = &out_type->shape;
  int i = 0, k = 0;
  do {
    bool fits = take_constants(a, &i) == take_constants(b, &k) && (i == a->rank) == (k == b->rank);
    if (fits && i < a->rank) fits = a->dim[i] == b->dim[k];
    if (!fits) {
      return wrong(in, "%s cannot become %s: names stay in order, and so does the size between them",
                   show_shape(from).text, show_shape(out_type).text);
    }
  } while (i++ < a->rank && k++ < b->rank);
  return RETC_OK;
}

static retc_status expect_constant_axis(const inference *in, int input, int64_t axis) {
  if (!retc_dim_is_named(in->types[input]->shape.dim[axis])) return RETC_OK;
  return wrong(in, "axis %lld of %s has no constant size", (long long)axis, show(in->types[input]).text);
}

static RETC_SHAPE_RULE(repeat) {
  *out_type = *in->types[0];
  RETC_TRY(expect_integer(in, 0, "axis", 0, out_type->shape.rank - 1));
  RETC_TRY(expect_integer(in, 1, "times", 1, integer_max));
  RETC_TRY(expect_constant_axis(in, 0, in->attributes.integer[0]));
  retc_dim *dim = &out_type->shape.dim[in->attributes.integer[0]];
  if (*dim > elements_max / in->attributes.integer[1]) return wrong(in, "too many elements");
  *dim *= in->attributes.integer[1];
  return RETC_OK;
}

static RETC_SHAPE_RULE(transpose) {
  *out_type = *in->types[0];
  retc_dim *dim = out_type->shape.dim;
  RETC_TRY(expect_integer(in, 0, "first", 0, out_type->shape.rank - 1));
  RETC_TRY(expect_integer(in, 1, "second", 0, out_type->shape.rank - 1));
  dim[in->attributes.integer[0]] = in->types[0]->shape.dim[in->attributes.integer[1]];
  dim[in->attributes.integer[1]] = in->types[0]->shape.dim[in->attributes.integer[0]];
  return RETC_OK;
}

static RETC_SHAPE_RULE(slice) {
  *out_type = *in->types[0];
  const int64_t axis = in->attributes.integer[0], start = in->attributes.integer[1], count = in->attributes.integer[2];
  const int64_t step = in->attributes.integer[3];
  RETC_TRY(expect_integer(in, 0, "axis", 0, out_type->shape.rank - 1));
  RETC_TRY(expect_constant_axis(in, 0, axis));
  const int64_t extent = out_type->shape.dim[axis];
  RETC_TRY(expect_integer(in, 1, "start", 0, extent - 1));
  RETC_TRY(expect_integer(in, 3, "step", 1, integer_max));
  RETC_TRY(expect_integer(in, 2, "count", 1, (extent - 1 - start) / step + 1));
  out_type->shape.dim[axis] = count;
  return RETC_OK;
}

static RETC_SHAPE_RULE(concat) {
  *out_type = *in->types[0];
  const int64_t axis = in->attributes.integer[0];
  RETC_TRY(expect_integer(in, 0, "axis", 0, out_type->shape.rank - 1));
  int64_t extent = 0;
  for (int i = 0; i < in->input_count; i++) {
    RETC_TRY(expect_same_dtype(in, 0, i));
    const retc_shape *shape = &in->types[i]->shape;
    bool fits = shape->rank == out_type->shape.rank;
    for (int k = 0; fits && k < shape->rank; k++) fits = k == axis || shape->dim[k] == out_type->shape.dim[k];
    if (!fits) {
      return wrong(in, "%s and %s differ beside axis %lld", show_shape(in->types[0]).text,
                   show_shape(in->types[i]).text, (long long)axis);
    }
    RETC_TRY(expect_constant_axis(in, i, axis));
    extent += shape->dim[axis];
  }
  out_type->shape.dim[axis] = extent;
  return RETC_OK;
}

static RETC_SHAPE_RULE(tail) {
  *out_type = *in->types[0];
  if (out_type->shape.rank < 2) return wrong(in, "input 1 is %s, expected [B,T,..]", show(in->types[0]).text);
  RETC_TRY(expect_axis(in, 0, 1, T, "T"));
  out_type->shape.dim[1] = L;
  return RETC_OK;
}

static RETC_SHAPE_RULE(gather) {
  const retc_type *table = in->types[0], *ids = in->types[1];
  if (table->shape.rank == 0) return wrong(in, "the table is %s, expected a first axis", show(table).text);
  if (ids->dtype != RETC_DTYPE_I64 && ids->dtype != RETC_DTYPE_I32) {
    return wrong(in, "the ids are %s, expected i64 or i32", show(ids).text);
  }
  const bool half = table->dtype == RETC_DTYPE_F16 || table->dtype == RETC_DTYPE_BF16;
  *out_type = (retc_type){half ? RETC_DTYPE_F32 : table->dtype, ids->shape};
  int rank = ids->shape.rank + table->shape.rank - 1;
  if (rank > RETC_RANK_MAX) return wrong(in, "%d axes, expected at most %d", rank, RETC_RANK_MAX);
  for (int i = 1; i < table->shape.rank; i++) out_type->shape.dim[out_type->shape.rank++] = table->shape.dim[i];
  return RETC_OK;
}

static RETC_SHAPE_RULE(contract) {
  const retc_type *a = in->types[0], *b = in->types[1];
  const bool wide = a->dtype == RETC_DTYPE_F64;
  if (!retc_dtype_is_float(a->dtype) || !retc_dtype_is_float(b->dtype) || wide != (b->dtype == RETC_DTYPE_F64)) {
    return wrong(in, "%s and %s, expected f32, f16 or bf16, or f64 and f64", show(a).text, show(b).text);
  }
  retc_contraction contraction;
  if (!retc_contraction_parse(in->attributes.word, &contraction)) {
    return wrong(in, "spec is \"%s\", expected letters like \"btk,nk->btn\"", in->attributes.word);
  }
  *out_type = (retc_type){.dtype = wide ? RETC_DTYPE_F64 : RETC_DTYPE_F32};
  int ranks[2] = {0};
  for (int i = 0; i < contraction.letter_count; i++) {
    const struct retc_letter *letter = &contraction.letters[i];
    ranks[0] += letter->a >= 0;
    ranks[1] += letter->b >= 0;
  }
  if (ranks[0] != a->shape.rank || ranks[1] != b->shape.rank) {
    return wrong(in, "spec \"%s\" does not fit %s and %s", in->attributes.word, show(a).text, show(b).text);
  }
  for (int i = 0; i < contraction.letter_count; i++) {
    const struct retc_letter *letter = &contraction.letters[i];
    retc_dim dim = letter->a >= 0 ? a->shape.dim[letter->a] : b->shape.dim[letter->b];
    if (letter->a >= 0 && letter->b >= 0 && b->shape.dim[letter->b] != dim) {
      return wrong(in, "spec \"%s\": %s and %s differ along %c", in->attributes.word, show(a).text, show(b).text,
                   letter->letter);
    }
    if (letter->out < 0) continue;
    out_type->shape.dim[letter->out] = dim;
    out_type->shape.rank++;
  }
  return RETC_OK;
}

/* "..k,nk->..n" */
static retc_status infer_rows(const inference *in, retc_type *out_type) {
  const retc_type *a = in->types[0], *w = in->types[1];
  const int last = a->shape.rank - 1;
  if (a->dtype != RETC_DTYPE_F32 || last < 1 || w->shape.rank != 2 || w->shape.dim[1] != a->shape.dim[last]) {
    return wrong(in, "%s and %s, expected f32[..,m,k] and [n,k]", show(a).text, show(w).text);
  }
  *out_type = *a;
  out_type->shape.dim[last] = w->shape.dim[0];
  return RETC_OK;
}

static RETC_SHAPE_RULE(contract_bf16) {
  const char *order = in->attributes.word;
  if (strcmp(order, "pairs") != 0 && strcmp(order, "tiles") != 0)
    return wrong(in, "order is %s, expected pairs or tiles", order);
  if (in->types[1]->dtype != RETC_DTYPE_BF16)
    return wrong(in, "%s, expected a matrix of bf16", show(in->types[1]).text);
  return infer_rows(in, out_type);
}

static RETC_SHAPE_RULE(contract_int8) {
  const retc_type *w = in->types[1], *scale = in->types[2];
  const int64_t group = in->attributes.integer[0];
  if (w->dtype != RETC_DTYPE_I8 && w->dtype != RETC_DTYPE_I4) {
    return wrong(in, "%s, expected a matrix of i8 or i4", show(w).text);
  }
  if (group != 16 && group != 32 && group != 64)
    return wrong(in, "group is %lld, expected 16, 32 or 64", (long long)group);
  RETC_TRY(infer_rows(in, out_type));
  const bool half = scale->dtype == RETC_DTYPE_F16 || scale->dtype == RETC_DTYPE_F32;
  const retc_dim depth = w->shape.dim[1];
  if (!half || scale->shape.rank != 2 || scale->shape.dim[0] != w->shape.dim[0] || retc_dim_is_named(depth) ||
      scale->shape.dim[1] != (depth + group - 1) / group) {
    return wrong(in, "%s and scales %s, expected f16 or f32, one a row and group of %lld", show(w).text,
                 show(scale).text, (long long)group);
  }
  return RETC_OK;
}

/* Over the last axis, the shape unchanged. */
static RETC_SHAPE_RULE(row) {
  RETC_TRY(expect_real(in, 0));
  *out_type = *in->types[0];
  if (out_type->shape.rank == 0) return wrong(in, "input 1 is %s, expected a last axis", show(out_type).text);
  return RETC_OK;
}

static RETC_SHAPE_RULE(reduce) {
  RETC_TRY(retc_infer_row(in, out_type));
  out_type->shape.dim[out_type->shape.rank - 1] = 1;
  return RETC_OK;
}

static RETC_SHAPE_RULE(norm) {
  RETC_TRY(retc_infer_row(in, out_type));
  if (!isfinite(in->attributes.number) || in->attributes.number < 0) {
    return wrong(in, "eps is %g, expected a number of at least 0", in->attributes.number);
  }
  for (int i = 1; i < in->input_count; i++) {
    RETC_TRY(expect(in, i, out_type->dtype, SHAPE(out_type->shape.dim[out_type->shape.rank - 1])));
  }
  return RETC_OK;
}

static RETC_SHAPE_RULE(part) {
  const int64_t index = in->attributes.integer[0];
  const retc_node *whole = retc_graph_node(in->graph, in->inputs[0]);
  if (index == 0) {
    *out_type = whole->type;
    return RETC_OK;
  }
  int input = retc_part_input(whole->op, index);
  if (input < 0) {
    return wrong(in, "%s has no result %lld", retc_op_get_info(whole->op)->name, (long long)index);
  }
  *out_type = retc_graph_node(in->graph, whole->inputs[input])->type;
  return RETC_OK;
}

static retc_status (*const rules[RETC_OP_COUNT])(const inference *in, retc_type *out_type) = {
#define RETC_OP(NAME, text, minimum, maximum, traits, rule, attributes, meaning) retc_infer_##rule,
#include "ir/graph_ops.def"
#undef RETC_OP
};

static retc_status check_attributes(const inference *in) {
  for (retc_attribute_walk walk = retc_attribute_walk_start(in->op); retc_attribute_walk_next(&walk);) {
    if (walk.kind == 's' && !in->attributes.word) return wrong(in, "no %.*s given", walk.name_length, walk.name);
    if (walk.kind == 'd' && (!in->attributes.dense || !in->attributes.dense_count)) {
      return wrong(in, "no numbers given");
    }
  }
  return RETC_OK;
}

retc_status retc_graph_infer(const retc_graph *graph, retc_op op, const retc_value *inputs, int input_count,
                             const retc_type *declared, const retc_attributes *attributes,
                             retc_diagnostics *diagnostics, retc_type *out_type) {
  if ((int)op < 0 || op >= RETC_OP_COUNT) return retc_fail(diagnostics, RETC_INVALID, "unknown operation %d", (int)op);
  inference in = {.graph = graph, .op = op, .inputs = inputs, .input_count = input_count, .declared = declared,
                  .diagnostics = diagnostics};
  if (attributes) in.attributes = *attributes;
  const retc_op_info *info = retc_op_get_info(op);
  if (input_count < info->min_inputs || input_count > info->max_inputs) {
    if (info->min_inputs == info->max_inputs) {
      return wrong(&in, "%d input%s, expected %d", input_count, &"s"[input_count == 1], info->min_inputs);
    }
    return wrong(&in, "%d input%s, expected %d to %d", input_count, &"s"[input_count == 1], info->min_inputs,
                 info->max_inputs);
  }
  for (int i = 0; i < input_count; i++) {
    if (inputs[i].index == 0 || inputs[i].index >= graph->nodes.count) return wrong(&in, "input %d is missing", i + 1);
    in.types[i] = &retc_graph_node(graph, inputs[i])->type;
  }
  RETC_TRY(check_attributes(&in));
  retc_type type;
  RETC_TRY(rules[op](&in, &type));
  RETC_TRY(check_type(&in, &type));
  *out_type = type;
  return RETC_OK;
}
