/* Rows of queries, keys and values as the chunk grid reads them: rotated or plain, from this call or pending. */
#ifndef RETC_COMPILER_LOWER_ROWS_H
#define RETC_COMPILER_LOWER_ROWS_H

#include "compiler/lower.h"

typedef struct retc_rows {
  retc_value value;        /* the rows on the grid */
  retc_value rotated;      /* [B,T,heads,width] behind the rotation, or none */
  retc_value operand;      /* the same below the rotation */
  retc_value pending;      /* [B,C,heads,width], or none */
  retc_value cosine, sine; /* [T,width/2], or none: plain rows */
  bool half;               /* pairs (p, p + width/2), else (2p, 2p + 1) */
  int64_t heads, width, chunk;
} retc_rows;

/* The rows behind a `chunk` node, through a `repeat` if there is one. False when `value` is nothing of the kind. */
bool retc_rows_describe(const retc_lowering *l, retc_value value, retc_rows *out_rows);

/* Writes loops that store row (b, t, head) of this call to to[.., channel, ..], channel on axis `channel_axis` of `to`;
 * the other indices are those of `to_at`. */
void retc_rows_write(retc_lowering *l, const retc_rows *rows, retc_expr b, retc_expr t, retc_expr head,
                     retc_buffer_id to, const retc_expr *to_at, int to_rank, int channel_axis);

/* The table decay[h, x] = e^((C - x) log_decay[h]), x = 0..C, as a constant: f32 of values computed in f64. `margin`
 * more elements behind them, which are 1, may be read with lanes whose results nobody uses. */
retc_buffer_id retc_rows_decay_table(retc_lowering *l, retc_value log_decay, int64_t chunk, int64_t margin);
/* growth[h] = e^(C log_decay[h]) - 1: what a state loses in a chunk keeps its digits where e^(C log_decay) is nearly 1.
 */
retc_buffer_id retc_rows_growth_table(retc_lowering *l, retc_value log_decay, int64_t chunk);

#endif
