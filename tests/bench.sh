# The contract of `retc bench --json`: what is there, what kind it is, and what must hold of it on any machine. How fast
# anything is decides nothing here.
. "$(dirname "$0")/common.sh"
ids=$source/tests/cases/fla-tiny

# bench STATUS ARGUMENT...: the leaves of the report in $work/leaves. A share above 1 is a failed benchmark, of which a
# machine that is busy with other things may have some; the report is the same.
bench() {
  status=0
  "$FAST" bench "$@" --json >"$work/report" 2>"$work/words" || status=$?
  [ $status = 0 ] || { [ $status = 1 ] && grep -q 'reached .* of its ceiling' "$work/words"; } ||
    fail "bench $*: status $status: $(cat "$work/words")"
  "$TOOLS/json" "$work/report" >"$work/leaves" || fail "bench $*: not JSON: $(cat "$work/report")"
}
value() { sed -n "s/^$1 number //p" "$work/leaves"; }
# positive PATH...: a number above 0
positive() {
  for path in "$@"; do
    value "$path" | awk '{ ok = $1 > 0 } END { exit !ok }' || fail "$path is no number above 0: $(grep "^$path" "$work/leaves")"
  done
}
# or_null PATH...: what not every CPU has
or_null() {
  for path in "$@"; do grep -qx "$path null" "$work/leaves" || positive "$path"; done
}
contract() {
  positive machine.fma_f32_gflops machine.read_gbps machine.threads machine.one_thread.fma_f32_gflops compile.cold_s \
    compile.cached_s load_s memory.peak_bytes memory.weights_bytes memory.state_bytes
  or_null machine.dot_bf16_gflops machine.dot_int8_gops machine.tile_bf16_gflops machine.tile_int8_gops
}
phases() {
  positive prefill.tokens_per_s prefill.gflops decode.tokens_per_s decode.gbps decode.ceiling_gbps
  or_null prefill.share_of_peak
  positive decode.share_of_bandwidth
}

# Random weights of a bare description, in panels of 64 rows: 2 layers, f32.
bench "$ids/config.json" --prompt 70 --tokens 3 --rounds 2
contract
phases
"$RETC" explain "$ids/config.json" >"$work/explained"
for row in "memory: weights:memory.weights_bytes" "state of a sequence:memory.state_bytes"; do
  bytes=$(sed -n "s/^${row%:*}  *\([0-9]*\) bytes.*/\1/p" "$work/explained")
  [ "$(printf %.9g "$bytes")" = "$(value "${row##*:}")" ] || fail "$row: $(value "${row##*:}"), explain says $bytes"
done
state=$(value memory.state_bytes)

# A checkpoint, two rows, a chunk length, one thread; positions are multiples of the chunk; kernels and trace.
bench "$ids" --batch 2 --prompt 5 --tokens 9 --rounds 1 --chunk 8 --threads 1 --positions 7,100 --profile \
  --trace "$work/trace"
contract
phases
positive positions.0.token_s positions.1.slowest_token_s profile.prefill.0.seconds profile.decode.0.calls
[ "$(value positions.0.position),$(value positions.1.position),$(value machine.threads),$(value batch)" = 0,96,1,2 ] ||
  fail "positions, threads or batch: $(cat "$work/leaves")"
awk -v one="$state" -v two="$(value memory.state_bytes)" 'BEGIN { exit !(two > one / 8 && two < 2 * one) }' ||
  fail "states take $(value memory.state_bytes) bytes at batch 2 and chunk 8, $state at batch 1 and chunk 64"
# 9 tokens, of which a chunk of 8 is profiled: each kernel ran in each of them, or never.
for calls in $(sed -n 's/^profile\.decode\.[0-9]*\.calls number //p' "$work/leaves"); do
  [ $((calls % 8)) = 0 ] || fail "a kernel ran $calls times in 8 tokens"
done
"$TOOLS/json" "$work/trace" >"$work/events" || fail "the trace is not JSON"
kernels=$(sed -n 's/^profile\.decode\.[0-9]*\.kernel string //p' "$work/leaves" | sort)
traced=$(sed -n 's/^traceEvents.*\.name string //p' "$work/events" | sort -u)
[ "$kernels" = "$traced" ] || fail "the trace has kernels $traced, the profile $kernels"
[ "$(sed -n 's/.*\.ph string //p' "$work/events" | sort -u)" = X ] || fail "the trace has events that are no spans"

# A CPU of another name, and words for people.
status=0
"$FAST" bench "$ids" --prompt 8 --tokens 0 --rounds 1 --cpu x86-64-v3 >"$work/report" 2>"$work/words" || status=$?
if [ "$(uname -m)" = x86_64 ]; then
  [ $status = 0 ] || grep -q 'of its ceiling' "$work/words" || fail "--cpu: $(cat "$work/words")"
  for line in '^machine' '^compile ' '^prefill ' '^memory '; do
    grep -q "$line" "$work/report" || fail "no line $line in: $(cat "$work/report")"
  done
  ! grep -q '^decode ' "$work/report" || fail "nothing was decoded, but: $(cat "$work/report")"
fi
