/* What a model description means, whatever dialect it was written in: sizes, choices of mathematics, constants and
 * tensor names. Dialects fill it, network_build.c makes the graph of it, `explain` will print it.
 *
 * Notation of a layer on x[b,t,d] (docs/mathematics.md has the sources):
 *   x = x + Wo (gate(norm_h(retention(q, k, v)), Wg y)), y = norm(x), q k v = Wq y, Wk y, Wv y
 *   x = x + Wdown (act(Wgate y) * (Wup y)),              y = norm(x) */
#ifndef RETC_COMPILER_NETWORK_H
#define RETC_COMPILER_NETWORK_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/status.h"
#include "ir/graph.h"

/* One tensor of the checkpoint as the network uses it. */
typedef struct retc_network_tensor {
  const char *name; /* in the checkpoint */
  retc_dtype dtype; /* in memory: matrices as stored, vectors f32 */
  int rank;
  int64_t dim[2];   /* matrices [out, in] */
} retc_network_tensor;

/* The tensors of one layer; a name of NULL: the network has none. */
typedef struct retc_network_layer {
  retc_network_tensor retention_norm, query, key, value, gate, head_norm, output;
  retc_network_tensor feed_norm, feed_gate, feed_up, feed_down;
} retc_network_layer;

typedef struct retc_network {
  const char *dialect;
  int64_t layers;
  int64_t width;            /* D, of the residual stream */
  int64_t heads;            /* H */
  int64_t key_value_heads;  /* G, divides H */
  int64_t key_width;        /* K, of one head; even */
  int64_t value_width;      /* V, of one head */
  int64_t feed_width;       /* F */
  int64_t vocabulary_size;
  int64_t chunk_length;     /* default of sessions and of the chunkwise form */
  int64_t bos_token, eos_token; /* -1: none */
  double norm_eps;
  double query_scale;       /* on q before the rotation */
  retc_op activation;       /* of the feed-forward gate */
  retc_op gate_activation;  /* of the output gate */
  retc_op feature_map;      /* on q and k before the rotation; RETC_OP_INPUT: none */
  bool output_gate;
  const char *rotation_pairs; /* "half" or "adjacent" */
  const double *theta;      /* [K/2], radians a position */
  const double *log_decay;  /* [H], ln gamma */
  retc_network_tensor embedding, final_norm, head; /* head equals embedding when tied */
  const retc_network_layer *layer; /* [layers] */
} retc_network;

/* The two entries as graphs, of composite operations, with this chunk length:
 *   "step"   tokens i64[B,T], P -> logits f32[B,L,V]; states S.<l>, pending_k.<l>, pending_v.<l> replaced
 *   "state"  P -> state_<l> f32[B,H,K,V], the states after P tokens */
retc_status retc_network_build(const retc_network *network, int64_t chunk_length, retc_diagnostics *diagnostics,
                               retc_graph **out_step, retc_graph **out_state);

#endif
