# Weight types and math: sh tests/arithmetic.sh text | bits MODEL
#   text  what rounding costs on the text of the trained model, in nats a byte
#   bits  compiled and interpreted kernels, pieces and threads give the same bits in every arithmetic
. "$(dirname "$0")/common.sh"

nats() {
  "$FAST" eval "$source/examples/shakespeare" --text "$source/examples/shakespeare/validation.txt" "$@" |
    awk '$1 == "nats_per_token" { print $2 }'
}

# near LIMIT OPTION...
near() {
  limit=$1
  shift
  found=$(nats "$@")
  echo "$*: $found nats, limit $limit above $exact"
  awk -v a="$found" -v b="$exact" -v limit="$limit" 'BEGIN { exit !(a > 0 && a - b <= limit) }' || fail "$*"
}

text() {
  exact=$(nats)
  near 0.0002 --weights f16
  near 0.0005 --weights bf16
  near 0.0002 --math bf16
  near 0.0007 --weights int8
  near 0.010 --weights int4
  near 0.010 --weights int4 --math f32
}

# run OUT OPTION...
run() {
  out=$1
  shift
  "$FAST" eval "$model" --tokens "$model/golden.safetensors" --form session --out "$work/$out" "$@" || fail "$*"
}

bits() {
  model=$1
  for arithmetic in "--weights f16" "--weights bf16" "--math bf16" "--weights int8" "--weights int4" \
    "--weights int8 --math f32" "--weights int4 --math f32"; do
    # shellcheck disable=SC2086
    {
      run jit $arithmetic --threads 1
      run kernel $arithmetic --engine kernel
      run threads $arithmetic --threads 3
      run pieces $arithmetic --split "$2"
    }
    for other in kernel threads pieces; do
      "$TOOLS/compare" equal "$work/jit" "$work/$other" || fail "$arithmetic: $other"
    done
  done
}

"$@"
