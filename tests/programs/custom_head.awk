# examples/programs/custom_head.graph in doubles. Lines "NAME NUMBER" come in; the numbers of the outputs go out likewise.
{ v[$1, n[$1]++] = $2 }

END {
  for (row = 0; row < n["hidden"] / 20; row++) {
    logit[7] = v["none", 0]
    for (i = total = 0; i < 7; i++) {
      for (k = logit[i] = 0; k < 20; k++) logit[i] += v["hidden", row * 20 + k] * v["embeddings", v["chosen", i] * 20 + k]
      total += exp(logit[i])
    }
    for (i = 0; i < 7; i++) print "probabilities", exp(logit[i]) / total
    for (i = 0; i < 8; i++) print "scores", logit[i] - log(total + exp(logit[7]))
  }
}
