/* What torchscale and its port by syncdoth share: one network, in almost the same keys and tensor names. */
#ifndef RETC_COMPILER_DIALECT_MICROSOFT_H
#define RETC_COMPILER_DIALECT_MICROSOFT_H

#include "compiler/dialect.h"

/* Where the two differ, and what the config says there. */
typedef struct retc_microsoft {
  const char *prefix;        /* of all tensors but the head's: "" or "model." */
  const char *head;          /* "output_projection" */
  const char *tied_key;      /* config key that ties the head to the embedding */
  int64_t vocabulary;        /* default of vocab_size; 0: it must be given */
  bool before;               /* norms before the branches */
  const char *before_source; /* for `explain` */
  bool linspace_decay;
  const char *decay_source;
  bool gated;                /* the feed-forward */
  const char *gated_source;
  retc_norm_kind inner_norm; /* of an ungated feed-forward */
} retc_microsoft;

/* All of the network but `state_layout` and `z_loss`. */
retc_status retc_microsoft_import(retc_import *in, const retc_microsoft *upstream, retc_network *network);

#endif
