#include <math.h>

#include "compiler/main/eval.h"

double retc_log_sum_exp(const float *logits, int64_t count) {
  double largest = logits[0], sum = 0;
  for (int64_t i = 1; i < count; i++) {
    if (logits[i] > largest) largest = logits[i];
  }
  for (int64_t i = 0; i < count; i++) sum += exp(logits[i] - largest);
  return largest + log(sum);
}

double retc_eval_loss(const retc_eval_input *input, const float *logits, int64_t vocabulary, double z_loss) {
  const int64_t *labels = input->labels ? input->labels : input->ids;
  double surprise = 0, logs = 0;
  for (int64_t b = 0; b < input->batch; b++) {
    for (int64_t t = 0; t + 1 < input->length; t++) {
      int64_t at = b * input->length + t;
      const float *row = logits + at * vocabulary;
      double normaliser = retc_log_sum_exp(row, vocabulary);
      surprise += normaliser - row[labels[at + 1]];
      if (z_loss > 0) logs += log(normaliser);
    }
  }
  double positions = (double)input->batch * (double)(input->length - 1);
  return (surprise + z_loss * logs) / positions;
}
