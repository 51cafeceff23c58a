/* What the two kinds of `retc eval` share. */
#ifndef RETC_MAIN_EVAL_H
#define RETC_MAIN_EVAL_H

#include "compiler/driver/engine.h"
#include "compiler/main/commands.h"

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

/* Prints "nats_per_token X": the mean of -ln p(byte | bytes before it) over the bytes of a file but the first. */
retc_status retc_eval_text(const retc_source *source, const char *path, const retc_engine_options *options,
                           retc_diagnostics *diagnostics);

#endif
