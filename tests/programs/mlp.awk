# examples/programs/mlp.graph in doubles. Lines "NAME NUMBER" come in; the numbers of the outputs go out likewise.
{ v[$1, n[$1]++] = $2 }

# 2 / sqrt(pi) e^(-x^2) sum_k 2^k x^(2k+1) / (1 3 5 .. (2k+1))
function erf(x, term, sum, k) {
  for (term = sum = x; term > 1e-18 || term < -1e-18; sum += term) term *= 2 * x * x / (2 * ++k + 1)
  return 1.1283791670955126 * exp(-x * x) * sum
}

function dense(from, row, weight, bias, out, width, sum, k) {
  sum = v[bias, out]
  for (k = 0; k < width; k++) sum += v[from, row * width + k] * v[weight, out * width + k]
  return sum
}

END {
  for (row = 0; row < n["x"] / 24; row++) {
    for (i = 0; i < 40; i++) {
      a = dense("x", row, "w1", "b1", i, 24)
      v["hidden", row * 40 + i] = a * (1 + erf(a / sqrt(2))) / 2
    }
    for (i = total = 0; i < 10; i++) {
      logit[i] = dense("hidden", row, "w2", "b2", i, 40)
      print "logits", logit[i]
      total += exp(logit[i])
    }
    for (i = 0; i < 10; i++) print "probabilities", exp(logit[i]) / total
  }
}
