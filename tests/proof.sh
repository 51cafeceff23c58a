# The chain of proof of one model: every pass keeps what the program computes, and the text of every stage, interpreted,
# gives the logits of the compiled program: kernels bit for bit, graphs within 1e-5: sh tests/proof.sh MODEL
. "$(dirname "$0")/common.sh"
model=$1
vocabulary=$(sed -n 's/^ *"vocab_size": *\([0-9]*\).*/\1/p' "$model/config.json")
failed=

"$TOOLS/tokens" random "$work/tokens" 1 2 9 "${vocabulary:-8}"
"$RETC" eval "$model" --tokens "$work/tokens" --form session --out "$work/compiled"

# The programs of both kinds are slow under sanitizers, which see the interpreters in unit tests.
passes=$("$FAST" ops | sed -n '/^Passes/,$p' | sed '1,/^name /d' | awk '{ print $1 }')
[ -n "$passes" ] || fail "no passes listed"
for pass in $passes; do
  "$FAST" dump "$model" --after "$pass" >"$work/program"
  "$FAST" opt "$work/program" | cmp - "$work/program" || failed="$failed [$pass: other text]"
  "$FAST" opt "$work/program" --run "$work/tokens" --weights "$model" --out "$work/interpreted"
  tolerance=1e-5
  ! grep -q '^kernel ' "$work/program" || tolerance=0
  printf '%-10s ' "$pass"
  "$TOOLS/compare" tensor logits "$work/interpreted" "$work/compiled" "$tolerance" || failed="$failed [$pass: logits]"
done

"$FAST" dump "$model" --after import >"$work/program"
"$FAST" opt "$work/program" --to memory --check 2>&1 >"$work/checked" || failed="$failed [check]"
"$FAST" dump "$model" | cmp - "$work/checked" || failed="$failed [passes on text make another program]"
[ -z "$failed" ] || fail "$failed"
