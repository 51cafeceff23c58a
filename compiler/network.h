/* What a model description means, whatever dialect it was written in: sizes, choices of mathematics, constants and
 * tensor names. Dialects fill it, network_build.c makes the graph of it, `explain` prints it.
 *
 * A layer on x[b,t,d], with a = residual_scale (docs/mathematics.md has the sources):
 *   before (norm_place):  x = a x + R(N(x));   x = a x + F(N(x))
 *   after:                x = N(a x + R(x));   x = N(a x + F(x))
 *   branch:               x = a x + N(R(x));   x = a x + N(F(x))
 *   R(y) = Wo (U(retention(q, k, v)) * gate_activation(Wg y)), U the head norm, q k v = Wq y, Wk y, Wv y
 *   F(y) = Wdown (act(Wgate y) * (Wup y))   when feed_gate has a weight
 *          Wdown inner_norm(act(Wup y))     otherwise
 * and every W may have a bias. */
#ifndef RETC_COMPILER_NETWORK_H
#define RETC_COMPILER_NETWORK_H

#include "base/arena.h"
#include "base/dtype.h"
#include "base/status.h"
#include "ir/graph.h"

/* One tensor of the checkpoint as the network uses it. A name of NULL: the network has none. */
typedef struct retc_network_tensor {
  const char *name; /* in the checkpoint */
  retc_dtype dtype; /* in memory: matrices as stored, vectors f32 */
  int rank;
  int64_t dim[2];   /* matrices [out, in] */
} retc_network_tensor;

typedef struct retc_network_linear {
  retc_network_tensor weight, bias; /* y = x W^T + b */
} retc_network_linear;

typedef enum retc_norm_kind {
  RETC_NORM_NONE,
  RETC_NORM_RMS,   /* w x / sqrt(mean(x^2) + eps) */
  RETC_NORM_LAYER, /* w (x - mean) / sqrt(var + eps) + b */
} retc_norm_kind;

typedef struct retc_network_norm {
  retc_norm_kind kind;
  double eps;
  retc_network_tensor weight, bias;
} retc_network_norm;

typedef struct retc_network_layer {
  retc_network_norm retention_norm, head_norm, feed_norm, inner_norm;
  retc_network_linear query, key, value, gate, output;
  retc_network_linear feed_gate, feed_up, feed_down;
  const double *theta; /* [K/2], radians a position */
} retc_network_layer;

typedef enum retc_norm_place { RETC_PLACE_BEFORE, RETC_PLACE_AFTER, RETC_PLACE_BRANCH } retc_norm_place;

/* How the forms scale o; r is plain retention, S_m = 1 + g + ... + g^(m-1), abs the sum of |q.k| g^(i-j) of the rows
 * of r's own chunk.
 *   plain       o = r in every form
 *   torchscale  parallel:  r / (sqrt(S_(n+1)) clamp(abs / sqrt(S_(n+1)), 1, 50000))
 *               recurrent: r / sqrt(S_(n+1))
 *               chunkwise: r / (sqrt(S_(i+1)) max(1, abs / sqrt(S_(i+1)), z)), i the row of the chunk,
 *                          z = max_v sum_k |S_b[k,v]| / S_C of the state at the chunk's start */
typedef enum retc_normaliser { RETC_NORMALISER_PLAIN, RETC_NORMALISER_TORCHSCALE } retc_normaliser;

/* Layout of the state that upstream keeps: [B,H,K,V], or [B,H,V,K] scaled as the form does, with the scale beside it
 * as [H] or [B,H,1,1]. */
typedef enum retc_state_layout { RETC_STATE_KEY_VALUE, RETC_STATE_TORCHSCALE, RETC_STATE_SYNCDOTH } retc_state_layout;

/* One decision of the importer, for `explain`. */
typedef struct retc_network_note {
  const char *what, *chosen;
  const char *source; /* "hidden_size", "tensor model.norm.weight", "default", "upstream" */
} retc_network_note;

/* The arithmetic of products of rows with weight matrices. */
typedef enum retc_math_kind { RETC_PRODUCT_F32, RETC_PRODUCT_BF16, RETC_PRODUCT_INT8 } retc_math_kind;

/* Weight matrices in memory, and what they are multiplied in. */
typedef struct retc_arithmetic {
  retc_math_kind math;
  bool converts;    /* matrices are kept in `dtype`, else as stored */
  retc_dtype dtype; /* f32, f16, bf16 */
  int bits;         /* of integers that all but the embedding's table become: 8 or 4; 0: none */
} retc_arithmetic;

typedef struct retc_network {
  const char *dialect;
  retc_arithmetic arithmetic; /* at first: f32, as stored */
  int64_t layers;
  int64_t width;            /* D, of the residual stream */
  int64_t heads;            /* H */
  int64_t key_value_heads;  /* G, divides H */
  int64_t key_width;        /* K, of one head; even */
  int64_t value_width;      /* V, of one head */
  int64_t feed_width;       /* F */
  int64_t vocabulary_size;
  int64_t chunk_length;     /* default of sessions */
  int64_t form_chunk_length; /* default of the chunkwise form */
  int64_t bos_token, eos_token; /* -1: none */
  double embedding_scale;   /* on the embedding; 1: none */
  double residual_scale;    /* alpha */
  double query_scale, key_scale; /* before the rotation */
  retc_norm_place norm_place;
  retc_normaliser normaliser;
  retc_state_layout state_layout;
  retc_op activation;       /* of the feed-forward */
  retc_op gate_activation;  /* of the output gate; the gate is there when layers have its weight */
  retc_op feature_map;      /* on q and k before the rotation; RETC_OP_INPUT: none */
  const char *rotation_pairs; /* "half" or "adjacent" */
  const double *log_decay;  /* [H], ln gamma */
  double z_loss;            /* coefficient of mean(ln(logsumexp(logits))) in the loss */
  retc_network_tensor embedding;
  retc_network_norm embedding_norm, final_norm;
  retc_network_linear head; /* its weight equals embedding when tied */
  const retc_network_layer *layer; /* [layers] */
  RETC_VEC(retc_network_note) notes;
  RETC_VEC(const char *) ignored; /* config keys without effect */
} retc_network;

/* Records a decision; `chosen` is a printf format. */
void retc_network_explain(retc_network *network, retc_arena *arena, const char *what, const char *source,
                          const char *chosen, ...) __attribute__((format(printf, 5, 6)));

/* Sets the arithmetic: `weights` is f32, f16, bf16, int8 or int4, `math` f32, bf16 or int8; NULL: as stored, and what
 * goes with the weights. RETC_INVALID when they do not go together. Explains what was chosen. */
retc_status retc_network_choose(retc_network *network, retc_arena *arena, const char *weights, const char *math,
                                retc_diagnostics *diagnostics);

typedef enum retc_form { RETC_FORM_SESSION, RETC_FORM_PARALLEL, RETC_FORM_RECURRENT, RETC_FORM_CHUNKWISE } retc_form;

typedef struct retc_network_options {
  retc_form form;       /* whose normalisers and state are built; a session has the recurrent form's */
  int64_t chunk_length; /* for the parallel form: at least the number of tokens */
  bool padded;          /* rows may begin with padding: an input pads i64[B] counts each row's */
  bool has_tiles;       /* products of bf16 are added up in the order of tiles */
} retc_network_options;

/* The two entries as graphs, of composite operations:
 *   "step"   tokens i64[B,T], P [, pads i64[B]] -> logits f32[B,L,V]; states S.<l>, pending_k.<l>, pending_v.<l>
 *            replaced
 *   "state"  P [, pads] -> state_<l> f32 and, where upstream has it, scale_<l> f32: upstream's state of this form
 *            after P tokens, in its layout */
retc_status retc_network_build(const retc_network *network, const retc_network_options *options,
                               retc_diagnostics *diagnostics, retc_graph **out_step, retc_graph **out_state);

#endif
