/* What the files of retention by matrix instructions share: gpu_retention_matrix.c writes the kernels,
 * gpu_retention_forms.c says which there are, gpu_retention_tiles.c brings the rows of a chunk into shared memory,
 * gpu_retention_token.c has what a token alone has of its own. */
#ifndef RETC_COMPILER_GPU_RETENTION_MATRIX_H
#define RETC_COMPILER_GPU_RETENTION_MATRIX_H

#include "compiler/gpu_retention.h"

enum {
  RETC_MATRIX_ROWS = 64,         /* of a chunk, the longest there may be */
  RETC_MATRIX_SLICE = 64,        /* channels of the head at a time */
  RETC_MATRIX_STEP = 2 * RETC_FRAGMENT_SIDE, /* keys are there in multiples of it */
  /* A wave has one of the bands of SIDE rows, and one of so many halves of the columns. */
  RETC_MATRIX_HALVES = RETC_FRAGMENT_WAVES * RETC_FRAGMENT_SIDE / RETC_MATRIX_ROWS,
  RETC_MATRIX_COLUMNS_MOST = 64 /* of a block, of two passes twice as many */
};

/* Which launch of the retention is made. */
typedef enum retc_matrix_form {
  RETC_MATRIX_SCORES,   /* one token a sequence: its scores, of all value channels */
  RETC_MATRIX_TOKEN,    /* and what comes of them and of the state */
  RETC_MATRIX_UPDATE,   /* and the new state, where it completes a chunk */
  RETC_MATRIX_ONE_PASS, /* a block walks the chunks, its state in registers */
  RETC_MATRIX_STATES, /* two passes: a block walks the chunks with a slice of the state, and leaves it at each start */
  RETC_MATRIX_OUTPUTS /* and a block has a chunk */
} retc_matrix_form;

typedef struct retc_matrix_retention {
  retc_lowering *l;
  const retc_gpu_retention *of;
  retc_dtype math;
  retc_matrix_form form;
  int64_t columns, slices;
  retc_dim batch;
  bool in_place;                          /* the new state takes the place of the old one */
  retc_buffer_id decay, state;            /* global */
  /* Global, of a token alone: its query, turned and rounded, [b,h,row,channel], and its scores, masked and rounded,
   * [b,h,row,key]. It is row 0 of a fragment; the others are zeros. */
  retc_buffer_id token_query, token_scores;
  retc_buffer_id starts;                  /* global: the state at the start of each chunk, rounded, [b,n,h,column,x] */
  retc_buffer_id query, key, key_turned;  /* shared: [row, channel], [key, channel], [channel, key] with decay */
  retc_buffer_id state_turned, value;     /* shared: [column, channel], [column, key] */
  retc_buffer_id sums, scores, kept;      /* fragments: rows x columns, rows x keys, the state by slices */
  retc_expr b, h, g, n, first_column;
  retc_expr first, start, end;            /* of the chunk at hand: rows first..end are this call's tokens start + row */
  retc_expr whole;                        /* the chunk is complete */
} retc_matrix_retention;

static inline void retc_matrix_put(retc_matrix_retention *m, retc_buffer_id buffer, const retc_expr *at,
                                   retc_expr value) {
  retc_write_store(&m->l->writer, buffer, at, value);
}
static inline void retc_matrix_put2(retc_matrix_retention *m, retc_buffer_id buffer, retc_expr a, retc_expr b,
                                    retc_expr value) {
  retc_matrix_put(m, buffer, (retc_expr[]){a, b}, value);
}
/* e^((chunk - x) log_decay) of this head. */
static inline retc_expr retc_matrix_decay(retc_matrix_retention *m, retc_expr x) {
  return retc_load(m->l, m->decay, (retc_expr[]){m->h, x});
}
/* Not every block's columns are all there. */
static inline bool retc_matrix_has_column_condition(const retc_matrix_retention *m) {
  return m->of->v.width % m->columns != 0;
}
/* Tokens of the chunk at hand from before the call. */
retc_expr retc_matrix_pending(retc_matrix_retention *m);
/* 1 where the launch at hand has blocks, else 0. */
retc_expr retc_matrix_is_chosen(retc_matrix_retention *m);

/* Loops over the elements of the wave's part of a fragment; the last two of the indices. Two blocks to end. */
void retc_matrix_begin_elements(retc_matrix_retention *m, retc_buffer_id fragment, retc_expr out_at[2]);

/* The channel that lies at place x of a slice; whether the head has one there. */
retc_expr retc_matrix_channel(retc_matrix_retention *m, const retc_rows *rows, retc_expr slice, retc_expr x);
retc_expr retc_matrix_has_channel(retc_matrix_retention *m, const retc_rows *rows, retc_expr slice, retc_expr x);

/* query[i, x] of the slice, for all bands that have a row. */
void retc_matrix_write_queries(retc_matrix_retention *m, retc_expr slice);
/* key[j, x] and key_turned[x, j] of the slice, those of both that there are, of the chunk's keys so far. */
void retc_matrix_write_keys(retc_matrix_retention *m, retc_expr slice);
/* value[c, j] of all keys of the chunk that there are so far. */
void retc_matrix_write_values(retc_matrix_retention *m);

/* state_turned[c, x] of all slices. */
void retc_matrix_read_state_turned(retc_matrix_retention *m);
/* The output of the token, of that, the values and what the launch before has left. */
void retc_matrix_write_token_outputs(retc_matrix_retention *m);

#endif
