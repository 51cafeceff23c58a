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

run() { # ARCH OUT ARGUMENTS...
  arch=$1 out=$2
  shift 2
  RETC_EMULATOR_ARCH=$arch "$FAST" run "$work/products.graph" --target hip --out "$work/$out" "$@" || fail "$arch: $*"
}
"$RETC" dump "$work/products.graph" --target hip --arch gfx942 >"$work/kernels"
[ "$(grep -c '^kernel contract' "$work/kernels")" = 6 ] || fail "the products are not three launches, each twice"
run gfx1100 plain --inputs "$work/many"
run gfx942 few --inputs "$work/few"
set --
for of in four two g logits; do set -- "$@" "$of@$work/plain:0:0:15"; done
"$TOOLS/arrays" make "$work/begin" "$@"
"$TOOLS/compare" equal "$work/few" "$work/begin" || fail "a few rows have other bits"
for arch in gfx90a gfx942 gfx1100 gfx1201; do
  run $arch matrix --inputs "$work/many" --arch gfx90a,gfx942,gfx1100,gfx1201
  "$TOOLS/compare" equal "$work/plain" "$work/matrix" || fail "$arch: matrix instructions have other bits"
done
"$FAST" run "$work/products.graph" --inputs "$work/many" --out "$work/cpu"
for of in four two g logits; do
  "$TOOLS/compare" tensor $of "$work/cpu" "$work/plain" 1e-5 || fail "$of is not what a CPU computes"
done
