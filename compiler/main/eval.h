/* What the two kinds of `retc eval` share. */
#ifndef RETC_MAIN_EVAL_H
#define RETC_MAIN_EVAL_H

#include "compiler/driver/engine.h"
#include "compiler/main/commands.h"

/* What --tokens FILE holds. */
typedef struct retc_eval_input {
  int64_t *ids;     /* input_ids [B,T] */
  int64_t *labels;  /* [B,T]; NULL: the ids are the labels */
  int64_t *padding; /* [B], how many tokens of each row attention_mask hides; NULL: none */
  int64_t batch, length;
} retc_eval_input;

/* RETC_INVALID: no input_ids, another shape, a token outside the vocabulary, a mask that is no left padding, fewer than
 * two tokens a row when labels are wanted. */
retc_status retc_eval_input_read(const char *path, int64_t vocabulary, bool with_labels, retc_diagnostics *diagnostics,
                                 retc_eval_input *out_input);
void retc_eval_input_deinit(retc_eval_input *input);

/* ln sum_i e^logits[i] */
double retc_log_sum_exp(const float *logits, int64_t count);
/* The mean over rows and positions but the last of lse - logits[next label], lse the log-sum-exp of the logits[B,T,V]
 * there, plus z_loss times the mean of ln(lse). */
double retc_eval_loss(const retc_eval_input *input, const float *logits, int64_t vocabulary, double z_loss);

/* An engine with one runner, fed with at most `piece` tokens a call, all of whose logits can be read. */
typedef struct retc_evaluation {
  retc_engine *engine;
  retc_runner *runner;
  int64_t piece;
} retc_evaluation;

/* For B rows of at most `length` tokens. After a failure, too, deinit is to be called. */
retc_status retc_evaluation_init(retc_evaluation *evaluation, const retc_source *source,
                                 const retc_engine_options *options, int64_t batch, int64_t length,
                                 retc_diagnostics *diagnostics);
void retc_evaluation_deinit(retc_evaluation *evaluation);

/* Prints "nats_per_token X": the mean of -ln p(token | tokens before it) over the tokens of a file but the first. No
 * bos is put before them. */
retc_status retc_eval_text(const retc_source *source, const char *path, const retc_engine_options *options,
                           retc_diagnostics *diagnostics);

#endif
