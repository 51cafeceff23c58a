/* What the files of the retention kernel's lowering share: lower_retention.c writes the kernel, lower_retention_tiles.c
 * the tiles of a chunk's keys and values. */
#ifndef RETC_COMPILER_LOWER_RETENTION_H
#define RETC_COMPILER_LOWER_RETENTION_H

#include "compiler/lower_rows.h"
#include "compiler/retention_pattern.h"

/* Rows of large tiles are a little apart, so that a column of them is spread over the cache. */
enum { RETC_TILE_GAP = 16 };

typedef struct retc_retention_lowering {
  retc_lowering *l;
  retc_rows q, k, v;
  retc_value result, state, log_decay, position;
  retc_value end_state;             /* the result that is the new state, or none */
  retc_value score_sum, state_peak; /* results [B,T,H,1], or none */
  retc_retention found;
  retc_dim batch;
  int64_t heads, repeat, chunk, padded;        /* padded: chunk rounded up to score_columns */
  int64_t block, columns, wide, score_columns; /* of the schedule: rows of a block, lanes of values and of scores */
  int64_t parts;                               /* that the value columns of a head are cut into */
  retc_expr part_column;                       /* where this task's part begins */
  int64_t group;                               /* rows whose queries and scores are kept at a time */
  bool has_panel;                              /* columns of the state are copied for a group of rows */
  bool is_gpu;                                 /* tiles lie in a block's shared memory, of which there is little */
  retc_buffer_id decay, growth, key_tile, state_buffer;
  retc_expr state_b, state_h;           /* where this task's state is in state_buffer */
  retc_expr b, h, g, first, end, start; /* rows first..end of the chunk are this call's tokens start + row */
  /* of the rows at hand: their first one in the chunk and in the tiles, and how many */
  retc_expr row, slot;
  int64_t rows;
  retc_expr group_start, group_end;
  retc_buffer_id query_tile, score_tile;
  retc_buffer_id value_tile; /* the chunk's values, or none: they are read where they are */
} retc_retention_lowering;

/* A private buffer of rows x columns, and a view of it from (row, column) on. */
retc_buffer_id retc_retention_tile(retc_retention_lowering *r, const char *name, int64_t rows, int64_t columns);
retc_view retc_retention_view(retc_retention_lowering *r, retc_buffer_id buffer, retc_expr row, retc_expr column);

/* key_tile[x,j] = channel x of the chunk's key j, rotated: rows 0..end, and zeros up to a multiple of score_columns. */
void retc_retention_write_keys(retc_retention_lowering *r);

/* value_tile, where the chunk's values are not too many: rows 0..end, if the call has a block of rows or completes the
 * chunk. */
void retc_retention_write_values(retc_retention_lowering *r);

/* to += a[.., from] * values[from], one row of values. */
void retc_retention_write_value_row(retc_retention_lowering *r, retc_value computed, retc_view to, retc_buffer_id a,
                                    retc_expr a_row, int64_t rows, retc_expr from, retc_expr column, int64_t width);

/* to += a[.., 0..upto] * values[0..upto]: pending rows first, then this call's, in order. */
void retc_retention_write_value_product(retc_retention_lowering *r, retc_value computed, retc_view to, retc_buffer_id a,
                                        retc_expr a_row, int64_t rows, retc_expr upto, retc_expr column, int64_t width);

#endif
