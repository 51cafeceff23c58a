/* What the files of this backend share. */
#ifndef RETC_BACKENDS_HIP_PRIVATE_H
#define RETC_BACKENDS_HIP_PRIVATE_H

#include "backends/hip/hip_backend.h"

extern const char *const retc_hip_prelude[]; /* pieces, to NULL */
extern const char retc_hip_sample[];         /* the kernel that chooses tokens: sample_common.h and sample.hip */

typedef struct hip_emitter {
  const retc_kernel *kernel;
  retc_launch launch;
  retc_text *text;
  bool *used_variables, *used_buffers; /* by what is written */
  bool used_dims[RETC_DIM_COUNT];
  const retc_statement **definitions; /* of each variable: its loop or let, of those above the statement at hand */
  bool *packed;                       /* of each buffer: an array of runs of halves or bytes */
  bool in_wave;
  const retc_statement *element_rows; /* the loop of rows around the element loop at hand */
  const char *refused; /* the first thing that cannot be expressed */
} hip_emitter;

/* Types as the text names them. */
const char *hip_value_type(retc_dtype dtype);
const char *hip_memory_type(retc_dtype dtype);
/* Whether numbers lie in memory in fewer than four bytes, and are widened when they are read. */
bool hip_is_narrow(retc_dtype dtype);

/* Names that C++ or HIP has a use for get an underscore. */
void hip_print_name(hip_emitter *e, const char *name);
void hip_print_expr(hip_emitter *e, retc_expr expr);
/* The same where nothing stands before and behind it. */
void hip_print_top(hip_emitter *e, retc_expr expr);
/* buffer[...], as something to read or to assign to. */
void hip_print_element(hip_emitter *e, retc_buffer_id buffer, const retc_expr *indices);
/* The element of a view `row` and `column` (texts) away from its base, widened to f32. */
void hip_print_view_element(hip_emitter *e, const retc_view *view, const char *row, const char *column);
/* hip_copy.c: writes a loop that copies 8 elements into an array of the lane as one copy; false: it is no such loop. */
bool hip_emit_run(hip_emitter *e, const retc_statement *loop, int depth);
/* The same for a loop that stores 2, 4 or 8 rounded numbers in shared memory. */
bool hip_emit_put(hip_emitter *e, const retc_statement *loop, int depth);
/* Finds the packed buffers; the type of one's runs. */
void hip_find_packed(hip_emitter *e);
void hip_print_run_type(hip_emitter *e, const retc_buffer *buffer);
/* hip_mma.c: whether the value is certainly a multiple of `by`. */
bool hip_is_aligned(const hip_emitter *e, retc_expr expr, int64_t by);
/* Elements from one index on `axis` to the next; 0: no constant. */
int64_t hip_stride_of(const retc_buffer *buffer, int axis);
/* hip_fragment.c: fragments in registers. A wave loop whose iterations they belong to; a pair of element loops; a
 * declaration; the indices of a wave's part, up to its rows and columns. */
bool hip_has_fragments(const hip_emitter *e, const retc_block *block);
void hip_emit_fragment_waves(hip_emitter *e, const retc_statement *s, int depth);
void hip_emit_elements(hip_emitter *e, const retc_statement *s, int depth);
void hip_declare_fragment(hip_emitter *e, const retc_buffer *buffer, int depth);
void hip_print_fragment_part(hip_emitter *e, retc_buffer_id id, const retc_expr *indices);
/* hip_emit.c */
void hip_emit_block(hip_emitter *e, const retc_block *block, int depth);
void hip_end_block(hip_emitter *e, const retc_block *block, int depth);
void hip_declare_index(hip_emitter *e, const retc_statement *s, const char *index, int depth);
/* hip_mma.c: a product of a wave's lanes together, in a wave loop. */
void hip_emit_wave_mma(hip_emitter *e, const retc_statement *s, int depth);
void hip_begin_widened(hip_emitter *e, retc_dtype dtype);
void hip_end_widened(hip_emitter *e, retc_dtype dtype);

#endif
