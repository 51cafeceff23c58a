/* Opens a byte-level RetNet, compiles it for this machine and prints what it would write next. */
#include <stdio.h>

#include "retc.h"

static retc_status generate(retc_context *context, retc_model *model, retc_session *session) {
  static const int64_t prompt[] = {'R', 'O', 'M', 'E', 'O', ':', '\n'};
  const retc_sampling greedy = {.struct_size = sizeof greedy};
  int64_t vocabulary = retc_model_vocabulary_size(model);
  retc_status status = retc_session_prefill(session, prompt, sizeof prompt / sizeof prompt[0]);
  for (uint64_t i = 0; i < 100 && status == RETC_OK; i++) {
    int64_t token;
    status = retc_sample(context, retc_session_logits(session), vocabulary, &greedy, i, &token);
    if (status != RETC_OK) break;
    putchar((int)token);
    status = retc_session_step(session, &token);
  }
  putchar('\n');
  return status;
}

int main(int count, char **words) {
  retc_context *context;
  retc_model *model = NULL;
  retc_session *session = NULL;
  if (count != 2 || retc_context_create(&context) != RETC_OK) {
    fprintf(stderr, "usage: compile_and_run MODEL\n");
    return 2;
  }
  retc_status status = retc_model_open(context, words[1], NULL, &model);
  if (status == RETC_OK) status = retc_session_create(model, NULL, &session);
  if (status == RETC_OK) status = generate(context, model, session);
  fprintf(stderr, "%s", retc_context_message(context));
  retc_session_destroy(session);
  retc_model_destroy(model);
  retc_context_destroy(context);
  return status;
}
