# A golden case in each form that it has logits of, compiled and interpreted: sh tests/case.sh DIR. Prints a table of
# relative errors.
. "$(dirname "$0")/common.sh"
case=$1
model=$case
golden=$case/golden.safetensors
chunk=$(sed -n 's/^ *"chunk": *\([0-9]*\).*/\1/p' "$case/case.json")
engines="jit graph"
failed=

# Weights too large to be kept; as large a model is compiled only.
if [ -f "$case/recipe.txt" ]; then
  engines=jit
  mkdir "$work/case"
  cp "$case"/*.json "$work/case"
  "$TOOLS/recipe" make "$case" "$work/case/model.safetensors"
  model=$work/case
fi

# has NAME: whether the golden holds this tensor
has() { head -c 65536 "$golden" | grep -aqF "\"$1\""; }

evaluate() {
  # The interpreter is slow by design; what it computes does not depend on sanitizers, which see it in unit tests.
  program=$RETC
  [ "$engine" != graph ] || program=$FAST
  options=
  [ "$form" != chunkwise ] || options="--chunk $chunk"
  ! has loss || options="$options --loss"
  "$program" eval "$model" --tokens "$golden" --form "$form" --engine "$engine" $options --out "$work/out.safetensors" \
    >"$work/stdout" || return 1
  # A session is the recurrent form on a chunk grid.
  expected=$form
  [ "$form" != session ] || expected=recurrent
  "$TOOLS/compare" case "$case" "$expected" "$work/out.safetensors" || return 1
  ! has loss || "$TOOLS/compare" loss "$golden" "$(sed -n '$s/^loss //p' "$work/stdout")"
}

for form in parallel recurrent chunkwise session; do
  of=$form
  [ "$form" != session ] || of=recurrent
  has "logits_$of" || continue
  for engine in $engines; do
    printf '%-10s %-6s ' "$form" "$engine"
    evaluate || failed="$failed $form/$engine"
    rm -f "$work/out.safetensors"
  done
done
[ -z "$failed" ] || fail "$failed"
