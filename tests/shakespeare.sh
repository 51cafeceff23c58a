# The trained model in examples/shakespeare: sh tests/shakespeare.sh logits|greedy|text
. "$(dirname "$0")/common.sh"
model=$source/examples/shakespeare

logits() {
  for form in parallel recurrent chunkwise session; do
    printf '%-10s jit    ' $form
    "$RETC" eval "$model" --tokens "$model/golden.safetensors" --form $form --out "$work/out"
    "$TOOLS/compare" golden "$model/golden.safetensors" logits 1e-5 "$work/out"
  done
  # The interpreter is slow by design and gets the first tokens only.
  "$TOOLS/tokens" prefix "$work/prefix" "$model/golden.safetensors" 32
  printf '%-10s graph  ' session
  "$FAST" eval "$model" --tokens "$work/prefix" --form session --engine graph --out "$work/out"
  "$TOOLS/compare" golden "$model/golden.safetensors" logits 1e-5 "$work/out"
}

greedy() {
  printf 'ROMEO:\n' >"$work/prompt"
  "$RETC" run "$model" --prompt-file "$work/prompt" -n 200 >"$work/text"
  "$TOOLS/compare" text "$model/training.json" greedy_200 200 "$work/text"
}

text() {
  "$FAST" eval "$model" --text "$model/validation.txt" >"$work/out"
  cat "$work/out"
  awk '$1 == "nats_per_token" { found = 1; apart = $2 - 1.27214 }
    END { exit !(found && apart <= 0.0001 && apart >= -0.0001) }' "$work/out"
}

"$1"
