# A golden case in all forms, compiled and interpreted: sh tests/case.sh DIR. Prints a table of relative errors.
. "$(dirname "$0")/common.sh"
case=$1
chunk=$(sed -n 's/^ *"chunk": *\([0-9]*\).*/\1/p' "$case/case.json")
failed=

# A session computes the recurrent form on a chunk grid.
for row in parallel:parallel recurrent:recurrent chunkwise:chunkwise session:recurrent; do
  form=${row%:*} golden=${row#*:}
  options=
  [ "$form" != chunkwise ] || options="--chunk $chunk"
  for engine in jit graph; do
    # The interpreter is slow by design; what it computes does not depend on sanitizers, which see it in unit tests.
    program=$RETC
    [ "$engine" != graph ] || program=$FAST
    printf '%-10s %-6s ' "$form" "$engine"
    if "$program" eval "$case" --tokens "$case/golden.safetensors" --form "$form" --engine "$engine" $options \
      --out "$work/out.safetensors"
    then
      "$TOOLS/compare" case "$case" "$golden" "$work/out.safetensors" || failed="$failed $form/$engine"
    else
      failed="$failed $form/$engine"
    fi
    rm -f "$work/out.safetensors"
  done
done
[ -z "$failed" ] || fail "$failed"
