/* Retention by matrix instructions: whether a region goes so, in launches of which forms, and which of them a call has. */
#include "base/number.h"
#include "compiler/gpu_retention_matrix.h"

enum {
  ROWS = RETC_MATRIX_ROWS,
  SLICE = RETC_MATRIX_SLICE,
  COLUMNS_LEAST = RETC_MATRIX_HALVES * RETC_FRAGMENT_SIDE,
  STATE_MOST = 16384, /* elements of the state in the registers of a block: 64 a lane */
  FULL = 16,          /* blocks of one pass a unit of the card, for more of which two passes want too much memory */
  WAVE_MOST = 64,     /* lanes; units of cards with waves of fewer have shared memory for larger blocks */
  CHUNKS_LEAST = 4,   /* of two passes */
  SHORT = 4           /* tokens of a chunk, below which each one of them leaves a state */
};

typedef retc_matrix_retention matrix;

retc_dtype retc_gpu_retention_type(const retc_graph *graph, const retc_node *scan, const retc_target_profile *profile) {
  const int64_t width = retc_graph_node(graph, scan->inputs[2])->type.shape.dim[2];
  const bool fits = scan->attributes.integer[0] <= ROWS && width % 2 == 0 && width <= STATE_MOST / COLUMNS_LEAST;
  return fits ? retc_gpu_wanted_math(profile) : RETC_DTYPE_F32;
}

void retc_gpu_retention_matrix_schedule(const retc_graph *graph, const retc_node *scan, retc_dtype math,
                                        const retc_target_profile *profile, retc_region *region) {
  const retc_shape *state = &retc_graph_node(graph, scan->inputs[2])->type.shape;
  const int64_t slices = retc_ceil_div(state->dim[2], SLICE);
  int64_t columns = RETC_MATRIX_COLUMNS_MOST;
  while (columns > COLUMNS_LEAST && columns * slices * SLICE > STATE_MOST) columns /= 2;
  retc_gpu_set_math(region, math);
  retc_schedule_set(region, "block_columns", columns);
  const int64_t blocks = retc_ceil_div(state->dim[3], columns) * state->dim[1];
  retc_schedule_set(region, "two_pass_rows", FULL * profile->units / blocks);
  if (profile->wave < WAVE_MOST && state->dim[3] >= 2 * columns)
    retc_schedule_set(region, "two_pass_columns", 2 * columns);
}

retc_dtype retc_gpu_retention_math(const retc_lowering *l, const retc_gpu_retention *of) {
  const retc_region *region = retc_graph_region(l->graph, l->region);
  const retc_rows *q = &of->q, *k = &of->k;
  const bool alike = !q->cosine.index == !k->cosine.index && q->half == k->half && !of->v.cosine.index;
  return k->chunk > ROWS || k->width % 2 || !alike ? RETC_DTYPE_F32 : retc_gpu_scheduled_math(region);
}

int retc_gpu_retention_matrix_launches(const retc_lowering *l) {
  return retc_schedule_get(retc_graph_region(l->graph, l->region), "two_pass_rows", 0) ? RETC_MATRIX_OUTPUTS + 1
                                                                                       : RETC_MATRIX_ONE_PASS + 1;
}

bool retc_gpu_retention_makes(retc_lowering *l, retc_value result) {
  retc_gpu_retention of;
  if (!retc_gpu_retention_describe(l, &of) || retc_gpu_retention_math(l, &of) == RETC_DTYPE_F32) return true;
  switch ((retc_matrix_form)l->launch) {
    case RETC_MATRIX_SCORES: return false;
    case RETC_MATRIX_UPDATE:
    case RETC_MATRIX_STATES: return result.index == of.found.end.index;
    case RETC_MATRIX_TOKEN:
    case RETC_MATRIX_OUTPUTS: return result.index == of.found.output.index;
    case RETC_MATRIX_ONE_PASS: break;
  }
  return true;
}

retc_expr retc_matrix_pending(matrix *m) {
  return retc_mod(m->l, retc_lower_value(m->l, m->of->found.position, NULL), retc_int(m->l, m->of->k.chunk));
}

/* 1 where a call is for two passes, else 0. */
static retc_expr is_two_pass(matrix *m) {
  retc_lowering *l = m->l;
  const int64_t rows = retc_schedule_get(retc_graph_region(l->graph, l->region), "two_pass_rows", 0);
  if (!rows) return retc_int(l, 0);
  retc_expr one = retc_int(l, 1), chunks = retc_div(l, retc_dim_expr(l, RETC_NAMED(N)), retc_int(l, CHUNKS_LEAST));
  retc_expr few = retc_div(l, retc_int(l, rows), retc_dim_expr(l, m->batch));
  return retc_mul(l, retc_min(l, chunks, one), retc_min(l, few, one));
}

/* 1 where a call's token has to leave a new state, else 0: where its chunk is complete, or no state is there yet. Of
 * short chunks it always leaves one: calls that have launches of their own too often would not become graphs. */
static retc_expr is_updating(matrix *m) {
  retc_lowering *l = m->l;
  if (!m->in_place || m->of->k.chunk < SHORT) return retc_int(l, 1);
  return retc_div(l, retc_add(l, retc_matrix_pending(m), retc_int(l, 1)), retc_int(l, m->of->k.chunk));
}

retc_expr retc_matrix_is_chosen(matrix *m) {
  retc_lowering *l = m->l;
  retc_expr several = retc_gpu_has_several_tokens(l), one = retc_int(l, 1);
  switch (m->form) {
    case RETC_MATRIX_SCORES:
    case RETC_MATRIX_TOKEN: return retc_sub(l, one, several);
    case RETC_MATRIX_UPDATE: return retc_mul(l, retc_sub(l, one, several), is_updating(m));
    case RETC_MATRIX_ONE_PASS: return retc_mul(l, several, retc_sub(l, one, is_two_pass(m)));
    default: return is_two_pass(m); /* of several chunks, and so of several tokens */
  }
}
