# examples/programs/gated_retention.graph in doubles, retention as its sum over all positions before. Lines "NAME NUMBER"
# come in; the numbers of y go out likewise.
{ v[$1, n[$1]++] = $2 }

function product(from, row, weight, out, width, sum, k) {
  for (k = sum = 0; k < width; k++) sum += v[from, row * width + k] * v[weight, out * width + k]
  return sum
}

# x[row] / sqrt(mean of squares + eps) [* weight]
function norm(from, to, row, width, weight, squares, k) {
  for (k = squares = 0; k < width; k++) squares += v[from, row * width + k] ^ 2
  for (k = 0; k < width; k++)
    v[to, row * width + k] = v[from, row * width + k] / sqrt(squares / width + 1e-6) * (weight ? v[weight, k] : 1)
}

# Rotated rows multiply to what the distance of their positions turns them by.
function score(q, k, angle, h, sum, p, a, b, c, d) {
  for (p = sum = 0; p < 4; p++) {
    a = v["q", q * 16 + h * 8 + p]; b = v["q", q * 16 + h * 8 + p + 4]
    c = v["k", k * 16 + h * 8 + p]; d = v["k", k * 16 + h * 8 + p + 4]
    sum += (a * c + b * d) * cos(angle * 10 ^ -p) + (a * d - b * c) * sin(angle * 10 ^ -p)
  }
  return sum / sqrt(8)
}

END {
  rows = n["x"] / 24
  for (row = 0; row < rows; row++) {
    norm("x", "n", row, 24, "norm")
    for (i = 0; i < 16; i++) v["q", row * 16 + i] = product("n", row, "wq", i, 24)
    for (i = 0; i < 16; i++) v["k", row * 16 + i] = product("n", row, "wk", i, 24)
    for (i = 0; i < 32; i++) v["v", row * 32 + i] = product("n", row, "wv", i, 24)
    for (i = 0; i < 32; i++) v["g", row * 32 + i] = product("n", row, "wg", i, 24)
  }
  for (row = 0; row < rows; row++) {
    for (h = 0; h < 2; h++) {
      for (m = row - row % tokens; m <= row; m++) {
        weight = (h ? 15 / 16 : 7 / 8) ^ (row - m) * score(row, m, row - m, h)
        for (c = 0; c < 16; c++) v["o", row * 32 + h * 16 + c] += weight * v["v", m * 32 + h * 16 + c]
      }
      norm("o", "heads", row * 2 + h, 16, "")
    }
    for (i = 0; i < 32; i++) v["gated", row * 32 + i] = v["heads", row * 32 + i] * v["g", row * 32 + i] / (1 + exp(-v["g", row * 32 + i]))
    for (i = 0; i < 24; i++) print "y", v["x", row * 24 + i] + product("gated", row, "wo", i, 32)
  }
}
