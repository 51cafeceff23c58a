/* The weight tensors of a network, and random ones for a network that has no checkpoint. */
#ifndef RETC_COMPILER_NETWORK_PARAMETERS_H
#define RETC_COMPILER_NETWORK_PARAMETERS_H

#include "compiler/network.h"
#include "runtime/safetensors.h"

typedef enum retc_parameter_role {
  RETC_PARAMETER_EMBEDDING, /* rows are looked up; also when the output is tied to it */
  RETC_PARAMETER_MATRIX,
  RETC_PARAMETER_BIAS,
  RETC_PARAMETER_SCALE, /* what a norm multiplies with */
} retc_parameter_role;

typedef struct retc_network_parameter {
  const retc_network_tensor *tensor; /* the network's */
  retc_parameter_role role;
} retc_network_parameter;

/* Each tensor once, whatever uses it, in name order; on the arena. */
size_t retc_network_parameters(const retc_network *network, retc_arena *arena,
                               const retc_network_parameter **out_parameters);
int64_t retc_network_tensor_elements(const retc_network_tensor *tensor);

/* A checkpoint of random numbers such as training begins with: matrices keep the size of what they multiply, norms
 * multiply with 1, so that logits are of the order of 1. The same seed gives the same numbers everywhere. `path` is
 * what messages call it. */
retc_status retc_network_randomize(const retc_network *network, const char *path, uint64_t seed,
                                   retc_diagnostics *diagnostics, retc_checkpoint **out_checkpoint);

#endif
