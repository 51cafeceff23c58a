# retc verify: sh tests/verify.sh good DIR | planted PROGRAM
. "$(dirname "$0")/common.sh"

# Its own random tokens, and the golden's.
good() {
  "$FAST" verify "$1" --tokens "$1/golden.safetensors" || fail "status $?"
}

# Compiled code whose decay within chunks is wrong: forms without other rows in the chunk are right, and so is the
# interpreter.
planted() {
  status=0
  "$1" verify "$source/tests/cases/fla-tiny" >"$work/report" 2>"$work/words" || status=$?
  cat "$work/report" "$work/words"
  [ $status = 1 ] || fail "status $status, expected 1"
  tail -n 1 "$work/report" >"$work/verdict"
  for blamed in 'parallel (chunk [0-9]*), jit: logits' 'chunkwise (chunk 16), jit: logits' \
    'session (chunk 64), jit: logits'; do
    grep -q "^not verified: .*$blamed" "$work/verdict" || fail "the verdict does not name $blamed"
  done
  for innocent in graph: recurrent '(chunk 1)' bits; do
    ! grep -q "$innocent" "$work/verdict" || fail "the verdict names $innocent"
  done
  status=0
  "$1" verify "$source/tests/cases/fla-tiny" --json >"$work/json" || status=$?
  [ $status = 1 ] && grep -q '"verified": false' "$work/json" || fail "--json: status $status"
}

"$@"
