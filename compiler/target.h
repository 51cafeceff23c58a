/* Where kernels run, and what products with weights are computed in there, by the words that users write. */
#ifndef RETC_COMPILER_TARGET_H
#define RETC_COMPILER_TARGET_H

#include "backends/target.h"
#include "base/status.h"

/* `target` is "cpu" or "hip" (NULL: cpu), `math` of hip "f32", "bf16" or "f16" (NULL: f32); that of a CPU is part of the
 * program, and retc_network_choose knows its words. RETC_INVALID: there is no such target, or none such of hip; in the
 * message `prefix` stands before "target" and "math". */
retc_status retc_target_choose(const char *prefix, const char *target, const char *math, retc_diagnostics *diagnostics,
                               bool *out_is_hip);
/* Of words that are known: whether it is hip; the math of schedules, of a CPU f32. */
bool retc_target_is_hip(const char *target);
retc_math_type retc_target_math(const char *target, const char *math);
/* `math` as part of the program: of hip f32 where `weights` are chosen, otherwise nothing. */
const char *retc_target_program_math(const char *target, const char *math, const char *weights);

#endif
