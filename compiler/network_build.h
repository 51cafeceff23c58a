/* The pieces of network_build.c and network_forms.c: making a graph of a network. */
#ifndef RETC_COMPILER_NETWORK_BUILD_H
#define RETC_COMPILER_NETWORK_BUILD_H

#include "compiler/network.h"

typedef struct retc_network_builder {
  const retc_network *network;
  retc_network_options options;
  retc_builder builder;
  retc_value position, log_decay;
} retc_network_builder;

/* State inputs of a layer: S, pending_k, pending_v. */
typedef struct retc_layer_states {
  const char *names[3];
  retc_value values[3];
} retc_layer_states;

retc_shape retc_shape_of(int rank, const retc_dim *dims);
#define RETC_SHAPE(...) \
  retc_shape_of((int)(sizeof((retc_dim[]){__VA_ARGS__}) / sizeof(retc_dim)), (retc_dim[]){__VA_ARGS__})

void retc_network_builder_init(retc_network_builder *nb, const retc_network *network,
                               const retc_network_options *options, const char *name, retc_diagnostics *diagnostics);
retc_layer_states retc_network_build_states(retc_network_builder *nb, int64_t layer);

/* What forms and upstreams differ in (network_forms.c). */

/* The embedded x[B,T,D], with zero vectors from position E on in the form that fills its last chunk with them. */
retc_value retc_network_build_end(retc_network_builder *nb, retc_value x);
/* 1 for tokens, 0 for padding: f32[B,T,1,1]. */
retc_value retc_network_build_mask(retc_network_builder *nb);
/* Retention's o[B,T,H,V] scaled as the form scales it; `inputs` and `attributes` are the retention's. */
retc_value retc_network_build_normaliser(retc_network_builder *nb, retc_value o, const retc_value *inputs,
                                         const retc_attributes *attributes);
/* Adds the outputs state_<layer> and scale_<layer> made of S[B,H,K,V] after P tokens. */
void retc_network_build_upstream_state(retc_network_builder *nb, int64_t layer, retc_value state);

#endif
