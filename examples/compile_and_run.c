/* Opens a RetNet, compiles it for this machine and prints what it would write next. */
#include <stdio.h>

#include "retc.h"

static retc_status generate(retc_context *context, retc_model *model, retc_session *session, retc_decoder *decoder) {
  const retc_sampling greedy = {.struct_size = sizeof greedy};
  const int64_t *prompt;
  int64_t count, token, vocabulary = retc_model_vocabulary_size(model);
  const char *text;
  size_t size;
  retc_status status = retc_model_encode(model, "ROMEO:\n", 7, &prompt, &count);
  if (status == RETC_OK) status = retc_decoder_add(decoder, prompt, count, &text, &size);
  if (status == RETC_OK) status = retc_session_prefill(session, prompt, count);
  for (uint64_t i = 0; i < 100 && status == RETC_OK; i++) {
    status = retc_sample(context, retc_session_logits(session), vocabulary, &greedy, i, &token);
    if (status == RETC_OK) status = retc_decoder_add(decoder, &token, 1, &text, &size);
    if (status == RETC_OK) fwrite(text, 1, size, stdout);
    if (status == RETC_OK) status = retc_session_step(session, &token);
  }
  return status;
}

int main(int count, char **words) {
  retc_context *context;
  retc_model *model = NULL;
  retc_session *session = NULL;
  retc_decoder *decoder = NULL;
  if (count != 2 || retc_context_create(&context) != RETC_OK) return 2;
  retc_status status = retc_model_open(context, words[1], NULL, &model);
  if (status == RETC_OK) status = retc_session_create(model, NULL, &session);
  if (status == RETC_OK) status = retc_decoder_create(model, &decoder);
  if (status == RETC_OK) status = generate(context, model, session, decoder);
  fprintf(stderr, "\n%s", retc_context_message(context));
  retc_decoder_destroy(decoder);
  retc_session_destroy(session);
  retc_model_destroy(model);
  retc_context_destroy(context);
  return status;
}
