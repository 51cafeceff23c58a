# Calls of a program that go on from the states of those before give the bits of one call; arrays are taken as they are
# given: sh tests/programs_states.sh
. "$(dirname "$0")/common.sh"
program=$source/examples/programs/gated_retention.graph
inputs=$source/examples/programs/gated_retention.safetensors
arrays="$TOOLS/arrays"

"$RETC" run "$program" --inputs "$inputs" --out "$work/whole"
states=
position=0
# Three, one and one of the five vectors; the states of each call are the next one's.
for count in 3 1 1; do
  # shellcheck disable=SC2086
  "$arrays" make "$work/in" "x@$inputs:1:$position:$count" "P:i64:-:=$position" $states
  "$RETC" run "$program" --inputs "$work/in" --weights "$inputs" --out "$work/out.$position"
  "$arrays" make "$work/expected" "y@$work/whole:1:$position:$count"
  "$arrays" make "$work/found" "y@$work/out.$position"
  cmp "$work/expected" "$work/found" || fail "position $position: other bits than in one call"
  states="S@$work/out.$position pending_k@$work/out.$position pending_v@$work/out.$position"
  position=$((position + count))
done
# Of the pending rows the first is that of position 4; what is behind it is absent, and may be anything.
for state in S:0:0:2 pending_k:1:0:1 pending_v:1:0:1; do
  "$arrays" make "$work/a" "${state%%:*}@$work/whole:${state#*:}"
  "$arrays" make "$work/b" "${state%%:*}@$work/out.4:${state#*:}"
  cmp "$work/a" "$work/b" || fail "$state: other bits than after one call"
done

# Scalars bind dimensions; what is no input is named on stderr and not used; weights of another float dtype are taken.
head=$source/examples/programs/custom_head
"$arrays" make "$work/in" "hidden@$head.safetensors" "chosen:i32:7:=3,49,0,17,8,3,31" L:i32:-:=1 strange:f32:2:=1,2
"$RETC" run "$head.graph" --inputs "$work/in" --weights "$head.safetensors" --out "$work/last" 2>"$work/words"
grep -q "tensor 'strange' is no input of the program" "$work/words" || fail "not said: strange is not used"
"$RETC" run "$head.graph" --inputs "$head.safetensors" --out "$work/all" 2>"$work/words"
[ ! -s "$work/words" ] || fail "something was written to stderr: $(cat "$work/words")"
"$arrays" make "$work/a" "probabilities@$work/all:1:2:1"
cmp "$work/a" "$work/last" || fail "L=1 is not the last position"

# The interpreter asks for the same arrays, in the same words.
weights=$head.safetensors
chosen=chosen:i32:7:=3,49,0,17,8,3,31
for wrong in hidden:f16:1x2x20:~1 hiden:f32:1x2x20:~1 hidden:f32:1x2x19:~1 "hidden@$weights strange:f32:1:=1"; do
  "$arrays" make "$work/in" $wrong $chosen
  compiled=0 interpreted=0
  "$RETC" run "$head.graph" --inputs "$work/in" --weights "$weights" --out "$work/a" 2>"$work/words" || compiled=$?
  "$RETC" opt "$head.graph" --run "$work/in" --weights "$weights" --out "$work/b" 2>"$work/said" || interpreted=$?
  [ $compiled = $interpreted ] || fail "$wrong: status $compiled of run, $interpreted of opt --run"
  [ -s "$work/words" ] || fail "$wrong: nothing is said"
  cmp "$work/words" "$work/said" || fail "$wrong: $(cat "$work/words" "$work/said")"
done

# A file beside others: what a failed call leaves is what was there.
echo before >"$work/kept"
! "$RETC" run "$head.graph" --inputs "$inputs" --out "$work/kept" 2>/dev/null || fail "arrays of another program were taken"
[ "$(cat "$work/kept")" = before ] || fail "a failed call wrote its output"

# A model's own entry is a program too: the logits of one call are those of eval.
model=$source/tests/cases/fla-tiny
"$TOOLS/tokens" random "$work/tokens" 1 2 9 16
"$RETC" eval "$model" --tokens "$work/tokens" --form session --out "$work/eval"
"$RETC" run "$model" --inputs "$work/tokens" --out "$work/step"
"$arrays" make "$work/a" "logits@$work/eval"
"$arrays" make "$work/b" "logits@$work/step"
cmp "$work/a" "$work/b" || fail "entry step gives other logits than eval"

# Kernels without a plan are entries of their own.
cat >"$work/double.kernel" <<'TEXT'
kernel double(x: read f32[B,7], sum: update f32[B,7], twice: write f32[B,7]) {
  for b in 0..B parallel {
    for i in 0..7 vector {
      twice[b,i] = 2.0 * exp(x[b,i])
      sum[b,i] = sum[b,i] + x[b,i]
    }
  }
}
TEXT
"$arrays" make "$work/in" x:f32:3x7:~1 sum:f32:3x7:~2
"$RETC" run "$work/double.kernel" --inputs "$work/in" --out "$work/a"
"$RETC" opt "$work/double.kernel" --run "$work/in" --out "$work/b"
cmp "$work/a" "$work/b" || fail "a kernel alone"
