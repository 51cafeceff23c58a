/* The weight and constant buffers of a plan in memory, shared by all sessions of a model. A weight that the file
 * already holds in the plan's dtype and layout stays mapped; the others are converted or packed into panels. */
#ifndef RETC_RUNTIME_WEIGHTS_H
#define RETC_RUNTIME_WEIGHTS_H

#include "runtime/plan.h"
#include "runtime/safetensors.h"

typedef struct retc_weights {
  void **data; /* one a plan buffer; NULL for those that are not weights or constants */
  void *room;  /* the memory of all that are made; owned */
  int64_t *place; /* where a plan buffer's begins in it; owned */
  size_t count;
} retc_weights;

/* `checkpoint` must outlive the weights. A missing tensor or another shape is RETC_INVALID. */
retc_status retc_weights_load(const retc_plan *plan, const retc_checkpoint *checkpoint, retc_diagnostics *diagnostics,
                              retc_weights *out_weights);
void retc_weights_deinit(retc_weights *weights);

/* rows x columns of `from`, row-major, into panels of `to` (see RETC_LAYOUT_PANEL). */
void retc_pack_panels(retc_dtype from, const void *source, int64_t rows, int64_t columns, retc_dtype to, void *target);
/* The same into any layout, the plain one too; of codes into those of integers. `rows` of a whole matrix, or of whole
 * panels of one. */
void retc_pack(retc_weight_layout layout, retc_dtype from, const void *source, int64_t rows, int64_t columns,
               retc_dtype to, void *target);

#endif
