# Products of many rows by rocBLAS, on the emulated GPU: sh tests/hip/blas.sh DIR, a model with sizes that are multiples of
# 16. With the library the logits are near those of retc's kernels; without it they are the same bits, and so are those of
# a few rows.
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
case=$1
export XDG_CACHE_HOME="$work/cache" RETC_EMULATOR_BLAS=1
unset RETC_ROCBLAS

# eval NAME OPTION...: logits to $work/NAME, words to $work/NAME.stderr
eval_to() {
  name=$1
  shift
  "$FAST" eval "$case" --tokens "$case/golden.safetensors" --form session --target hip --arch gfx90a --weights $type \
    --math $type --out "$work/$name" "$@" >/dev/null 2>"$work/$name.stderr" || { cat "$work/$name.stderr"; fail "$name $type"; }
}
products() { grep -c "^emulator: rocblas_gemm_ex" "$work/$1.stderr" || true; }

for type in bf16 f16; do
  eval_to own
  eval_to blas --blas
  eval_to few --blas --split 16,16,16
  eval_to few-own --split 16,16,16
  eval_to interpreted --blas --engine kernel
  RETC_ROCBLAS=off eval_to off --blas
  [ "$(products blas)" -gt 0 ] || fail "no product went to rocBLAS ($type)"
  [ "$(products own)$(products off)$(products few)" = 000 ] || fail "products of few rows or without --blas went to rocBLAS"
  "$TOOLS/compare" equal "$work/own" "$work/off" || fail "other bits without the library ($type)"
  "$TOOLS/compare" equal "$work/few-own" "$work/few" || fail "other bits of a few rows ($type)"
  "$TOOLS/compare" tensor logits "$work/own" "$work/blas" 2e-2 || fail "rocBLAS gives something else ($type)"
  "$TOOLS/compare" tensor logits "$work/own" "$work/interpreted" 1e-2 || fail "the interpreter gives something else ($type)"
done

run() { "$RETC" run "$case" --prompt-tokens 1,2,3 -n 1 "$@"; }
expect_words 2 "--blas goes with --target hip and --math bf16 or f16" run --target hip --blas
expect_words 2 "--blas goes with --target hip and --math bf16 or f16" run --blas
expect_words 1 "RETC_ROCBLAS is no library that can be loaded, and not off" \
  env RETC_ROCBLAS=/nowhere/librocblas.so "$RETC" run "$case" --prompt-tokens 1,2 -n 1 --weights bf16 --math bf16 --target hip --blas
"$RETC" dump "$case" --target hip --arch gfx90a --weights bf16 --math bf16 --blas >"$work/once.graph" &&
  "$RETC" dump "$work/once.graph" >"$work/twice.graph" && cmp "$work/once.graph" "$work/twice.graph" ||
  fail "program text is not read back"
grep -q ") product {" "$work/once.graph" || fail "no kernel is marked"
"$RETC" explain "$case" --target hip --arch gfx942 --weights bf16 --math bf16 --blas --tokens 64 --batch 2 >"$work/stdout" ||
  fail "explain"
grep -q "code, or rocBLAS" "$work/stdout" || fail "explain does not tell which products may go to rocBLAS"
