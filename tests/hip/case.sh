# A golden case in each form that it has logits of, on the emulated GPU: sh tests/hip/case.sh DIR ARCH... Prints a table of
# relative errors. Every architecture gets another order of threads and blocks.
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
case=$1
shift
golden=$case/golden.safetensors
chunk=$(sed -n 's/^ *"chunk": *\([0-9]*\).*/\1/p' "$case/case.json")
export XDG_CACHE_HOME="$work/cache"
failed=
seed=0

has() { head -c 65536 "$golden" | grep -aqF "\"$1\""; }

evaluate() { # FORM
  options=
  expected=$1
  [ "$1" != chunkwise ] || options="--chunk $chunk"
  [ "$1" != session ] || expected=recurrent
  "$FAST" eval "$case" --tokens "$golden" --form "$1" --target hip $options --out "$work/out.safetensors" || return 1
  "$TOOLS/compare" case "$case" "$expected" "$work/out.safetensors"
}

for arch in "$@"; do
  export RETC_EMULATOR_ARCH=$arch RETC_EMULATOR_SEED=$seed
  seed=$((seed + 1))
  for form in parallel recurrent chunkwise session; do
    of=$form
    [ "$form" != session ] || of=recurrent
    has "logits_$of" || continue
    printf '%-10s %-8s ' "$form" "$arch"
    evaluate "$form" || failed="$failed $form/$arch"
    rm -f "$work/out.safetensors"
  done
done
[ -z "$failed" ] || fail "$failed"
