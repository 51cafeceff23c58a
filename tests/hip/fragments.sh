# Products by matrix instructions on the emulated GPU: sh tests/hip/fragments.sh DIR. For each architecture and math: near
# the interpreted kernels, which round the same operands; near what f32 gives; the same bits however the tokens are split, and with
# retention in two passes.
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
case=$1
golden=$case/golden.safetensors
export XDG_CACHE_HOME="$work/cache"

evaluate() { # OUT MATH ARGUMENTS...
  out=$1
  math=$2
  shift 2
  "$FAST" eval "$case" --tokens "$golden" --form session --target hip --math "$math" "$@" --out "$work/$out" ||
    fail "$RETC_EMULATOR_ARCH, $math: $*"
}
near() { # TOLERANCE A B
  printf '%-8s %-5s %-12s ' "$RETC_EMULATOR_ARCH" "$math" "$3"
  "$TOOLS/compare" tensor logits "$work/$2" "$work/$3" "$1" || fail "$RETC_EMULATOR_ARCH, $math: $3"
}
splits() { # MATH ARGUMENTS...
  of=$1
  shift
  for split in "1,1,1,$((count - 3))" "$((count - 5)),5"; do
    evaluate split "$of" --split "$split" "$@"
    "$TOOLS/compare" equal "$work/whole" "$work/split" || fail "$arch, $of: split $split $*"
  done
}

count=$(sed -n 's/^ *"tokens": *\([0-9]*\).*/\1/p' "$case/case.json")
for arch in gfx90a gfx942 gfx1100 gfx1201; do
  export RETC_EMULATOR_ARCH=$arch
  evaluate plain f32
  for of in bf16 f16; do
    evaluate whole "$of"
    evaluate interpreted "$of" --engine kernel
    near 1e-5 whole interpreted
    near 2e-2 whole plain
    splits "$of"
    # Many chunks of few rows go in two passes, few of them in one.
    evaluate whole "$of" --chunk 4
    evaluate interpreted "$of" --chunk 4 --engine kernel
    near 1e-5 whole interpreted
    splits "$of" --chunk 4
  done
done
