# Products by matrix instructions on the emulated GPU: sh tests/hip/fragments.sh DIR. For each architecture, of bf16 and f16:
# near the interpreted kernels, which round the same operands; near what f32 gives; the same bits however the tokens are
# split, and with retention in two passes. In f32, by kernels for all architectures and for the one at hand alone: the bits
# of the interpreted kernels.
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
equal() { "$TOOLS/compare" equal "$work/$1" "$work/$2" || fail "$RETC_EMULATOR_ARCH, $math: $3"; }
splits() { # OF MATH ARGUMENTS...
  of=$1 math=$2
  shift 2
  for split in "1,1,1,$((count - 3))" "$((count - 5)),5"; do
    evaluate split "$math" --split "$split" "$@"
    equal "$of" split "split $split $*"
  done
}

all=gfx90a,gfx942,gfx1100,gfx1201
count=$(sed -n 's/^ *"tokens": *\([0-9]*\).*/\1/p' "$case/case.json")
export RETC_EMULATOR_ARCH=gfx90a
evaluate f32 f32 --arch $all --engine kernel
for arch in gfx90a gfx942 gfx1100 gfx1201; do
  export RETC_EMULATOR_ARCH=$arch
  evaluate plain f32 --arch $all
  equal f32 plain "the kernels for all architectures"
  evaluate plain f32
  equal f32 plain "the kernels for it alone"
  splits f32 f32 --arch $all
  for type in bf16 f16; do
    evaluate whole "$type"
    evaluate interpreted "$type" --engine kernel
    near 1e-5 whole interpreted
    near 2e-2 whole plain
    splits whole "$type"
    # Many chunks of few rows go in two passes, few of them in one.
    evaluate whole "$type" --chunk 4
    evaluate interpreted "$type" --chunk 4 --engine kernel
    near 1e-5 whole interpreted
    splits whole "$type" --chunk 4
  done
done
