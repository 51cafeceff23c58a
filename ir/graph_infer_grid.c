/* Shape rules of positions, rotation, the chunk grid and retention. */
#include "ir/graph_infer.h"

RETC_SHAPE_RULE(rotate) {
  RETC_TRY(expect_pairs(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  const retc_dim *x = in->types[0]->shape.dim;
  RETC_TRY(expect_even(in, 0, x[3]));
  for (int i = 1; i < 3; i++) RETC_TRY(expect(in, i, RETC_DTYPE_F32, SHAPE(x[1], x[3] / 2)));
  *out_type = *in->types[0];
  return RETC_OK;
}

RETC_SHAPE_RULE(positions) {
  RETC_TRY(expect(in, 0, RETC_DTYPE_I64, scalar));
  *out_type = (retc_type){RETC_DTYPE_F64, SHAPE(T)};
  return RETC_OK;
}

RETC_SHAPE_RULE(chunk) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  RETC_TRY(expect_axis(in, 0, 1, T, "T"));
  RETC_TRY(expect(in, 1, RETC_DTYPE_I64, scalar));
  const retc_dim *x = in->types[0]->shape.dim, chunk = in->attributes.integer[0];
  if (in->input_count == 3) RETC_TRY(expect(in, 2, RETC_DTYPE_F32, SHAPE(x[0], chunk, x[2], x[3])));
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(x[0], N, chunk, x[2], x[3])};
  return RETC_OK;
}

/* x[b,n,i,..] on the grid. */
static retc_status expect_grid(const inference *in) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 5));
  RETC_TRY(expect_axis(in, 0, 1, N, "N"));
  return expect_axis(in, 0, 2, in->attributes.integer[0], "the chunk length");
}

RETC_SHAPE_RULE(unchunk) {
  RETC_TRY(expect_grid(in));
  RETC_TRY(expect(in, 1, RETC_DTYPE_I64, scalar));
  const retc_dim *x = in->types[0]->shape.dim;
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(x[0], T, x[3], x[4])};
  return RETC_OK;
}

RETC_SHAPE_RULE(carry) {
  RETC_TRY(expect_grid(in));
  const retc_dim *x = in->types[0]->shape.dim;
  RETC_TRY(expect(in, 1, RETC_DTYPE_F32, SHAPE(x[0], x[2], x[3], x[4])));
  RETC_TRY(expect(in, 2, RETC_DTYPE_I64, scalar));
  *out_type = *in->types[1];
  return RETC_OK;
}

static retc_status expect_decay(const inference *in) {
  if (in->types[0]->shape.rank != 1) return wrong(in, "input 1 is %s, expected [H]", show(in->types[0]).text);
  return expect_real(in, 0);
}

RETC_SHAPE_RULE(decay_mask) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_decay(in));
  const retc_dim chunk = in->attributes.integer[0];
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(in->types[0]->shape.dim[0], chunk, chunk)};
  return RETC_OK;
}

RETC_SHAPE_RULE(decay_powers) {
  RETC_TRY(expect_integer(in, 0, "count", 1, integer_max));
  RETC_TRY(expect_integer(in, 1, "first", -integer_max, integer_max));
  RETC_TRY(expect_integer(in, 2, "step", -integer_max, integer_max));
  RETC_TRY(expect_decay(in));
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(in->types[0]->shape.dim[0], in->attributes.integer[0])};
  return RETC_OK;
}

RETC_SHAPE_RULE(scan) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 5));
  RETC_TRY(expect_axis(in, 0, 1, N, "N"));
  const retc_dim *x = in->types[0]->shape.dim;
  RETC_TRY(expect(in, 1, RETC_DTYPE_F32, SHAPE(x[2], 1)));
  RETC_TRY(expect(in, 2, RETC_DTYPE_F32, SHAPE(x[0], x[2], x[3], x[4])));
  RETC_TRY(expect(in, 3, RETC_DTYPE_I64, scalar));
  *out_type = *in->types[0];
  return RETC_OK;
}

/* S[b,h,k,v], pending_k[b,c,g,k], pending_v[b,c,g,v] as three inputs from `first` on, with the sizes given. */
static retc_status expect_state(const inference *in, int first, const retc_dim *q, const retc_dim *v) {
  const retc_dim chunk = in->attributes.integer[0];
  RETC_TRY(expect(in, first, RETC_DTYPE_F32, SHAPE(q[0], q[2], q[3], v[3])));
  RETC_TRY(expect(in, first + 1, RETC_DTYPE_F32, SHAPE(q[0], chunk, v[2], q[3])));
  return expect(in, first + 2, RETC_DTYPE_F32, SHAPE(q[0], chunk, v[2], v[3]));
}

RETC_SHAPE_RULE(retention) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_pairs(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  RETC_TRY(expect_axis(in, 0, 1, T, "T"));
  RETC_TRY(expect_rank(in, 2, RETC_DTYPE_F32, 4));
  const retc_dim *q = in->types[0]->shape.dim, *v = in->types[2]->shape.dim;
  RETC_TRY(expect_even(in, 0, q[3]));
  RETC_TRY(expect_heads(in, q[2], v[2]));
  RETC_TRY(expect(in, 1, RETC_DTYPE_F32, SHAPE(q[0], T, v[2], q[3])));
  RETC_TRY(expect(in, 2, RETC_DTYPE_F32, SHAPE(q[0], T, v[2], v[3])));
  RETC_TRY(expect_real_vector(in, 3, q[2]));
  RETC_TRY(expect_real_vector(in, 4, q[3] / 2));
  RETC_TRY(expect(in, 5, RETC_DTYPE_I64, scalar));
  RETC_TRY(expect_state(in, 6, q, v));
  *out_type = (retc_type){RETC_DTYPE_F32, SHAPE(q[0], T, q[2], v[3])};
  return RETC_OK;
}

/* A number for each token and head. */
RETC_SHAPE_RULE(retention_row) {
  RETC_TRY(retc_infer_retention(in, out_type));
  out_type->shape.dim[3] = 1;
  return RETC_OK;
}

RETC_SHAPE_RULE(flush) {
  RETC_TRY(expect_chunk(in));
  RETC_TRY(expect_rank(in, 0, RETC_DTYPE_F32, 4));
  RETC_TRY(expect_rank(in, 2, RETC_DTYPE_F32, 4));
  const retc_dim *s = in->types[0]->shape.dim, *v = in->types[2]->shape.dim;
  RETC_TRY(expect_heads(in, s[1], v[2]));
  RETC_TRY(expect_state(in, 0, (retc_dim[]){s[0], 0, s[1], s[2]}, (retc_dim[]){0, 0, v[2], s[3]}));
  RETC_TRY(expect_real_vector(in, 3, s[1]));
  RETC_TRY(expect(in, 4, RETC_DTYPE_I64, scalar));
  *out_type = *in->types[0];
  return RETC_OK;
}
