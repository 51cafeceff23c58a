# Products that share a launch, of few rows and of many, with and without matrix instructions on f32: the same bits:
# sh tests/hip/products.sh
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
export XDG_CACHE_HOME="$work/cache"

# Four products side by side, two, and some one behind the other; widths and a depth that fill no blocks.
cat >"$work/products.graph" <<'END'
graph step {
  %x = input kind=input : f32[B,328]
  %a = input kind=weight : f32[40,328]
  %b = input kind=weight : f32[40,328]
  %c = input kind=weight : f32[40,328]
  %d = input kind=weight : f32[40,328]
  %e = input kind=weight : bf16[72,328]
  %f = input kind=weight : bf16[72,328]
  %g = input kind=weight : f16[90,328]
  %h = input kind=weight : f16[7,328]
  %xa = contract %x, %a spec="bk,nk->bn" : f32[B,40]
  %xb = contract %x, %b spec="bk,nk->bn" : f32[B,40]
  %xc = contract %x, %c spec="bk,nk->bn" : f32[B,40]
  %xd = contract %x, %d spec="bk,nk->bn" : f32[B,40]
  %ab = mul %xa, %xb : f32[B,40]
  %cd = mul %xc, %xd : f32[B,40]
  %four = sub %ab, %cd : f32[B,40]
  %xe = contract %x, %e spec="bk,nk->bn" : f32[B,72]
  %xf = contract %x, %f spec="bk,nk->bn" : f32[B,72]
  %gate = silu %xe : f32[B,72]
  %two = mul %gate, %xf : f32[B,72]
  %xg = contract %x, %g spec="bk,nk->bn" : f32[B,90]
  %xh = contract %x, %h spec="bk,nk->bn" : f32[B,7]
  output four = %four
  output two = %two
  output g = %xg
  output logits = %xh
}
END
set --
for weight in a:f32:40 b:f32:40 c:f32:40 d:f32:40 e:bf16:72 f:bf16:72 g:f16:90 h:f16:7; do
  set -- "$@" "${weight}x328:~${#weight}$#"
done
"$TOOLS/arrays" make "$work/many" x:f32:70x328:~1 "$@"
"$TOOLS/arrays" make "$work/few" x@"$work/many:0:0:15" "$@"

like_cpu() { # PROGRAM INPUTS FOUND LIMIT OUTPUT...: what is found is what a CPU computes
  program=$1 inputs=$2 found=$3 limit=$4
  shift 4
  "$FAST" run "$work/$program.graph" --inputs "$work/$inputs" --out "$work/cpu" || fail "$program on a CPU"
  for of in "$@"; do
    "$TOOLS/compare" tensor $of "$work/cpu" "$work/$found" $limit || fail "$program: $of is not what a CPU computes"
  done
}
begins_like() { # FEW MANY ROWS OUTPUT...: so many rows have the bits that they have among many
  few=$1 many=$2 rows=$3
  shift 3
  for of in "$@"; do
    shift
    set -- "$@" "$of@$work/$many:0:0:$rows"
  done
  "$TOOLS/arrays" make "$work/begin" "$@"
  "$TOOLS/compare" equal "$work/$few" "$work/begin" || fail "a few rows have other bits than among $many"
}
run() { # ARCH OUT ARGUMENTS...
  arch=$1 out=$2
  shift 2
  RETC_EMULATOR_ARCH=$arch "$FAST" run "$work/products.graph" --target hip --out "$work/$out" "$@" || fail "$arch: $*"
}
"$RETC" dump "$work/products.graph" --target hip --arch gfx942 >"$work/kernels"
[ "$(grep -c '^kernel contract' "$work/kernels")" = 6 ] || fail "the products are not three launches, each twice"
run gfx1100 plain --inputs "$work/many"
run gfx942 few --inputs "$work/few"
begins_like few plain 15 four two g logits
for arch in gfx90a gfx942 gfx1100 gfx1201; do
  run $arch matrix --inputs "$work/many" --arch gfx90a,gfx942,gfx1100,gfx1201
  "$TOOLS/compare" equal "$work/plain" "$work/matrix" || fail "$arch: matrix instructions have other bits"
done
like_cpu products many plain 1e-5 four two g logits

# By matrix instructions on bf16, of weights as they lie and rounded on the way: two side by side, whose parts are taken in
# slices, and some one behind the other, beside one that is computed in f32; and one of rows that are stored rounded. A program
# for a vendor's BLAS has each alone.
cat >"$work/halves.graph" <<'EOF'
graph step {
  %x = input kind=input : f32[B,1040]
  %y = input kind=input : f32[B,80]
  %a = input kind=weight : bf16[16,1040]
  %b = input kind=weight : bf16[16,1040]
  %c = input kind=weight : f32[16,1040]
  %d = input kind=weight : f32[16,1040]
  %e = input kind=weight : bf16[48,80]
  %f = input kind=weight : bf16[7,80]
  %g = input kind=weight : bf16[32,80]
  %h = input kind=weight : f16[32,80]
  %i = input kind=weight : f16[16,80]
  %j = input kind=weight : bf16[32,16]
  %xa = contract %x, %a spec="bk,nk->bn" : f32[B,16]
  %xb = contract %x, %b spec="bk,nk->bn" : f32[B,16]
  %gate = silu %xa : f32[B,16]
  %two = mul %gate, %xb : f32[B,16]
  %down = contract %two, %j spec="bk,nk->bn" : f32[B,32]
  %xc = contract %x, %c spec="bk,nk->bn" : f32[B,16]
  %xd = contract %x, %d spec="bk,nk->bn" : f32[B,16]
  %rounded = sub %xc, %xd : f32[B,16]
  %ye = contract %y, %e spec="bk,nk->bn" : f32[B,48]
  %yf = contract %y, %f spec="bk,nk->bn" : f32[B,7]
  %yg = contract %y, %g spec="bk,nk->bn" : f32[B,32]
  %yh = contract %y, %h spec="bk,nk->bn" : f32[B,32]
  %yi = contract %y, %i spec="bk,nk->bn" : f32[B,16]
  %h_silu = silu %yh : f32[B,32]
  output two = %down
  output rounded = %rounded
  output e = %ye
  output f = %yf
  output g = %yg
  output h = %h_silu
  output logits = %yi
}
EOF
set -- a:bf16:16x1040:~1 b:bf16:16x1040:~2 c:f32:16x1040:~3 d:f32:16x1040:~4 e:bf16:48x80:~5 f:bf16:7x80:~6 \
  g:bf16:32x80:~7 h:f16:32x80:~8 i:f16:16x80:~9 j:bf16:32x16:~10
"$TOOLS/arrays" make "$work/many" x:f32:70x1040:~1 y:f32:70x80:~2 "$@"
"$TOOLS/arrays" make "$work/few" x@"$work/many:0:0:5" y@"$work/many:0:0:5" "$@"
"$RETC" dump "$work/halves.graph" --target hip --arch gfx942 --math bf16 >"$work/kernels"
[ "$(grep -c '^kernel contract' "$work/kernels")" = 16 ] || fail "the products are not four regions of three launches and two of two"
for arch in gfx942 gfx1100; do
  for rows in many few; do
    RETC_EMULATOR_ARCH=$arch "$FAST" run "$work/halves.graph" --target hip --math bf16 --inputs "$work/$rows" \
      --out "$work/$rows.out" || fail "$arch: $rows rows"
  done
  RETC_ROCBLAS=off RETC_EMULATOR_ARCH=$arch "$FAST" run "$work/halves.graph" --target hip --math bf16 --blas \
    --inputs "$work/many" --out "$work/alone" || fail "$arch: --blas"
  "$TOOLS/compare" equal "$work/alone" "$work/many.out" || fail "$arch: products that share launches have other bits"
  begins_like few.out many.out 5 two rounded e f g h logits
done

# Not rounded twice, nor summed of others: what a CPU gives in f32.
like_cpu halves many many.out 2e-2 two rounded e f g h logits

# Rows that are bf16 from the beginning, as they lie and seen in another shape.
cat >"$work/rows.graph" <<'EOF'
graph step {
  %x = input kind=input : bf16[B,64]
  %z = input kind=input : bf16[B,4,16]
  %a = input kind=weight : bf16[32,64]
  %b = input kind=weight : bf16[48,64]
  %flat = reshape %z : bf16[B,64]
  %xa = contract %x, %a spec="bk,nk->bn" : f32[B,32]
  %zb = contract %flat, %b spec="bk,nk->bn" : f32[B,48]
  output xa = %xa
  output logits = %zb
}
EOF
"$TOOLS/arrays" make "$work/rows" x:bf16:5x64:~1 z:bf16:5x4x16:~2 a:bf16:32x64:~3 b:bf16:48x64:~4
for arch in gfx942 gfx1100; do
  RETC_EMULATOR_ARCH=$arch "$FAST" run "$work/rows.graph" --target hip --math bf16 --inputs "$work/rows" --out "$work/gpu" ||
    fail "$arch: rows of bf16"
  like_cpu rows rows gpu 1e-5 xa logits
done
