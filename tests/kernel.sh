# Interpreted kernels give the bits of compiled ones, logits and states: sh tests/kernel.sh MODEL [TOKENS]
# In every form on the golden's tokens. With TOKENS on so many of each row, in the two most different forms, and in pieces.
. "$(dirname "$0")/common.sh"
model=$1
tokens=$model/golden.safetensors
failed=

# Cut, unless there are no more; a mask must stay with its tokens.
if [ $# = 2 ] && "$TOOLS/tokens" prefix "$work/tokens" "$tokens" "$2" 2>"$work/words"; then
  tokens=$work/tokens
elif [ $# = 2 ]; then
  grep -q "not as many tokens" "$work/words" || fail "$(cat "$work/words")"
fi

# run ENGINE OPTION...
run() {
  engine=$1
  shift
  "$FAST" eval "$model" --tokens "$tokens" --engine $engine --out "$work/$engine" "$@" || fail "$engine $*"
}
same() {
  "$TOOLS/compare" equal "$work/jit" "$work/kernel" || failed="$failed [$1]"
}
both() {
  run jit "$@"
  run kernel "$@"
  same "$*"
}

if [ $# = 1 ]; then
  chunk=$(sed -n 's/^ *"chunk": *\([0-9]*\).*/\1/p' "$model/case.json" 2>/dev/null) || chunk=
  for form in parallel recurrent session; do
    both --form $form
  done
  both --form chunkwise ${chunk:+--chunk $chunk}
else
  both --form parallel
  both --form session --chunk 5
  # The compiled session at once, the interpreted one in pieces that do not end with a chunk.
  if [ "$tokens" = "$work/tokens" ]; then
    run kernel --form session --chunk 5 --split 3,1,$(($2 - 5)),1
    same "in pieces"
  fi
fi
[ -z "$failed" ] || fail "$failed"
