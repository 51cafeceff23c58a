# retc verify: sh tests/verify.sh good DIR | arithmetic DIR | gpu DIR ARCH MATH | planted PROGRAM | planted_bit PROGRAM
. "$(dirname "$0")/common.sh"

# Its own random tokens, and the golden's.
good() {
  "$FAST" verify "$1" --tokens "$1/golden.safetensors" || fail "status $?"
}

# Every type of weights and math; f32 and integers have the same bits in code for a lesser CPU, where there is one.
arithmetic() {
  for chosen in "--weights f32" "--weights f16" "--weights bf16" "--math bf16" "--weights int8" "--weights int4" \
    "--weights int8 --math f32" "--weights int4 --math f32" "--math bf16 --cpu x86-64-v3" "--weights int4 --cpu x86-64-v3"; do
    case $chosen in *x86*) [ "$(uname -m)" = x86_64 ] || continue ;; esac
    # shellcheck disable=SC2086
    "$FAST" verify "$1" $chosen >"$work/report" || { cat "$work/report"; fail "$chosen: status $?"; }
    grep -H "code for" "$work/report" | sed "s/^.*:/$chosen: /"
  done
}

# On the emulated GPU, whose kernels are interpreted as well.
gpu() {
  RETC_EMULATOR_ARCH=$2 "$FAST" verify "$1" --target hip --math "$3" || fail "status $?"
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
    'session (chunk 64), jit: logits' 'session (chunk 64), kernel: logits'; do
    grep -q "^not verified: .*$blamed" "$work/verdict" || fail "the verdict does not name $blamed"
  done
  for innocent in graph: recurrent '(chunk 1)' bits; do
    ! grep -q "$innocent" "$work/verdict" || fail "the verdict names $innocent"
  done
  status=0
  "$1" verify "$source/tests/cases/fla-tiny" --json >"$work/json" || status=$?
  [ $status = 1 ] && grep -q '"verified": false' "$work/json" || fail "--json: status $status"
}

# An interpreter that is wrong in the last bit of one number: near enough to the graph, not the bits of compiled code.
planted_bit() {
  status=0
  "$1" verify "$source/tests/cases/fla-tiny" >"$work/report" 2>"$work/words" || status=$?
  cat "$work/report" "$work/words"
  [ $status = 1 ] || fail "status $status, expected 1"
  tail -n 1 "$work/report" >"$work/verdict"
  grep -q "^not verified: .*parallel (chunk [0-9]*), kernel: different bits, from the jit engine: [1-9]" \
    "$work/verdict" || fail "the verdict does not name the kernel interpreter"
  for innocent in jit: graph: 'kernel: logits' 'kernel: states'; do
    ! grep -q "$innocent" "$work/verdict" || fail "the verdict names $innocent"
  done
}

"$@"
