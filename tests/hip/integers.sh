# Weights of integers on the emulated GPU: what the CPU computes of them, the bits of the interpreted kernels, and the
# same bits of any split: sh tests/hip/integers.sh DIR ARCH...
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
case=$1
shift
export XDG_CACHE_HOME="$work/cache"
tokens=$(sed -n 's/^ *"tokens": *\([0-9]*\).*/\1/p' "$case/case.json")
evaluate() { # OUT OPTION...
  out=$1
  shift
  "$FAST" eval "$case" --tokens "$case/golden.safetensors" --form session "$@" --out "$work/$out" || fail "eval $*"
}
for arch in "$@"; do
  export RETC_EMULATOR_ARCH=$arch
  for weights in int8 int4; do
    evaluate cpu --weights $weights --math f32
    evaluate jit --weights $weights --target hip --arch $arch
    "$TOOLS/compare" tensor logits "$work/cpu" "$work/jit" 1e-5 || fail "$weights on $arch is not what the CPU computes"
    evaluate kernel --weights $weights --target hip --arch $arch --engine kernel
    "$TOOLS/compare" equal "$work/jit" "$work/kernel" || fail "other bits than the interpreter's on $arch"
    evaluate split --weights $weights --target hip --arch $arch --split 1,$((tokens - 2)),1
    "$TOOLS/compare" equal "$work/jit" "$work/split" || fail "other bits of another split on $arch"
    evaluate rounded --weights $weights --target hip --arch $arch --math bf16
    "$TOOLS/compare" tensor logits "$work/cpu" "$work/rounded" 2e-2 || fail "$weights with math bf16 on $arch"
  done
done
status=0
"$FAST" eval "$case" --tokens "$case/golden.safetensors" --target hip --weights int8 --math int8 --out "$work/none" \
  2>"$work/words" || status=$?
[ $status = 2 ] && grep -q 'found "int8"' "$work/words" || fail "math int8 is not refused by name"
