# The HIP text of models built for AMD's GPUs, and what the compilers say of its kernels: sh tests/hip/amd.sh MODEL...
#   sh tests/hip/amd.sh --document   the same of the models in docs/hip.md, and writes its table
# Prints registers, shared memory and matrix instructions of each kernel. Fails for a warning, for vector registers that
# are spilled, for memory that lanes have on the side, for more shared memory than a block may have or the plan says, and
# for a kernel that is planned for matrix instructions and has none of its type. No GPU is needed, and nothing is run.
#
# Packages: clang-19 and lld-19 build for all four architectures with HIP's headers (libamdhip64-dev) and device
# libraries (rocm-device-libs); hipcc, where it is installed, builds for gfx90a, and so does the hiprtc of libamdhip64.
# Status 77 without them.
set -eu
: "${RETC:?}"
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archs="gfx90a gfx942 gfx1100 gfx1201"
bitcode=/usr/lib/x86_64-linux-gnu/amdgcn/bitcode
library=/usr/lib/x86_64-linux-gnu/libamdhip64.so.5

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
for program in clang-19 ld.lld-19 llvm-readelf-19 llvm-objdump-19; do
  command -v $program >/dev/null || { echo "skipped: $program is not installed"; exit 77; }
done
[ -d $bitcode ] || { echo "skipped: no $bitcode (rocm-device-libs)"; exit 77; }
[ -f /usr/include/hip/hip_runtime.h ] || { echo "skipped: no HIP headers (libamdhip64-dev)"; exit 77; }

# The device libraries of Debian 12 are older than some of the architectures: a constant is all that they lack.
mkdir "$work/bitcode"
ln -s $bitcode/*.bc "$work/bitcode"
layout=$(printf 'void f(void) {}\n' |
  clang-19 -x c -target amdgcn-amd-amdhsa -nogpulib -emit-llvm -S -o - - | grep '^target datalayout')
for version in 90a:9010 942:9402 1100:11000 1201:12001; do
  file=$work/bitcode/oclc_isa_version_${version%:*}.bc
  [ ! -e "$file" ] || continue
  printf '%s\ntarget triple = "amdgcn-amd-amdhsa"\n%s constant i32 %s, align 4\n' "$layout" \
    "@__oclc_ISA_version = weak_odr hidden local_unnamed_addr addrspace(4)" "${version#*:}" >"$work/version.ll"
  clang-19 -x ir -target amdgcn-amd-amdhsa -nogpulib -emit-llvm -c -o "$file" "$work/version.ll"
done

# build ARCH FILE: a code object, without a word
build() {
  clang-19 -x hip --offload-arch="$1" --offload-device-only --no-gpu-bundle-output \
    --rocm-device-lib-path="$work/bitcode" -std=c++17 -O3 -ffp-contract=off -Wall -Wextra -c "$2" \
    -o "$work/$1.co" 2>"$work/words" || { cat "$work/words" >&2; fail "$1: the text does not build"; }
  [ ! -s "$work/words" ] || { cat "$work/words" >&2; fail "$1: a warning"; }
}

build_by_hipcc() {
  command -v hipcc >/dev/null || { echo "skipped: hipcc is not installed" >&2; return 0; }
  HIP_PLATFORM=amd hipcc --offload-arch=gfx90a -std=c++17 -O3 -ffp-contract=off -Wall -Wextra --genco \
    --no-gpu-bundle-output "$1" -o "$work/hipcc.co" 2>"$work/words" ||
    { cat "$work/words" >&2; fail "hipcc: the text does not build"; }
  [ ! -s "$work/words" ] || { cat "$work/words" >&2; fail "hipcc: a warning"; }
}

# By the runtime, which keeps the code that it builds; loading it is refused here, for want of a device.
build_by_hiprtc() {
  [ -e $library ] && [ -x "${TOOLS-}/hiprtc" ] || { echo "skipped: no $library with hiprtc" >&2; return 0; }
  RETC_HIP_LIBRARY=$library XDG_CACHE_HOME="$work/cache" "$TOOLS/hiprtc" gfx90a "$1" >"$work/words" 2>&1 || true
  [ "$(ls "$work/cache/retc/hip" 2>/dev/null | wc -l)" != 0 ] || { cat "$work/words" >&2; fail "hiprtc: no code"; }
  rm -r "$work/cache"
}

# rows ARCH: "kernel vector scalar accumulators shared scratch spills kept" of each kernel in its code object; kept: scalar
# registers that are kept in lanes of vector registers
rows() {
  llvm-readelf-19 --notes "$work/$1.co" | awk '
    function put() { if (name) print name, v, s, a + 0, lds, scratch, spills, kept }
    $1 == "-" && $2 ~ /^\.agpr_count:|^\.args:/ { put(); name = ""; a = 0 }
    { sub(/^ *- /, "  ") }
    $1 == ".agpr_count:" { a = $2 }
    $1 == ".symbol:" { name = $2; gsub(/\.kd|'"'"'/, "", name) }
    $1 == ".vgpr_count:" { v = $2 }
    $1 == ".sgpr_count:" { s = $2 }
    $1 == ".group_segment_fixed_size:" { lds = $2 }
    $1 == ".private_segment_fixed_size:" { scratch = $2 }
    $1 == ".vgpr_spill_count:" { spills = $2 }
    $1 == ".sgpr_spill_count:" { kept = $2 }
    END { put() }'
}

# matrices ARCH: "kernel count type..." of those with matrix instructions; the types: "half" or "f32", of their operands
matrices() {
  llvm-objdump-19 -d --no-show-raw-insn "$work/$1.co" |
    awk '/^[0-9a-f]+ <.*>:/ { name = $2; gsub(/[<>:]/, "", name) }
         /[ \t]v_(mfma|wmma)_/ {
           count[name]++
           type = /v_mfma_f32_16x16x4_?f32/ ? "f32" : "half"
           if (!seen[name, type]++) types[name] = types[name] " " type
         }
         END { for (name in count) print name, count[name] types[name] }'
}

# planned FILE: "kernel half" and "kernel f32" of those that call a matrix product of the prelude on such operands
planned() {
  awk '/__global__/ { name = $0; sub(/\($/, "", name); sub(/.* /, "", name) }
       /__shared__ float/ { sub(/\[.*/, ""); f32[name, $4] = 1 }
       name && /retc_mma</ { print name, "half" }
       name && /retc_multiply\(/ {
         sub(/^[^&]*&/, "")
         sub(/\[.*/, "")
         print name, (name, $0) in f32 ? "f32" : "half"
       }' "$1" | sort -u
}

# planned_shared PLAN: "kernel bytes" of shared memory, of which a block may have 65536; of the kernels that the plan has
planned_shared() {
  sed -n 's/^ *"name": "\(.*\)",$/\1/p; s/^ *"shared_bytes": \([0-9]*\).*/bytes \1/p' "$1" |
    awk '$1 == "bytes" { print name, $2; next } { name = $1 }'
}

# check ARCH: what must hold of the code object's rows
check() {
  [ -s "$work/rows.$1" ] || fail "$1: no kernels in the code object"
  while read -r name vector scalar accumulators shared scratch spills kept; do
    [ "$spills" = 0 ] || fail "$name on $1 spills $spills vector registers"
    [ "$scratch" = 0 ] || fail "$name on $1 has $scratch bytes a lane on the side"
    most=$(awk -v name="$name" '$1 == name { print $2 }' "$work/shared")
    [ "$shared" -le "${most:-65536}" ] || fail "$name on $1 has $shared bytes of shared memory, not ${most:-65536}"
  done <"$work/rows.$1"
  while read -r name fragment; do
    case $1/$fragment in gfx1[12]*/f32) continue ;; esac # they have no matrix instruction on f32
    grep -q "^$name .* $fragment" "$work/matrices.$1" || fail "$name on $1 has no matrix instruction on $fragment"
  done <"$work/planned"
}

table() { # MODEL MATH: a row a kernel, a column an architecture
  echo
  echo "\`$1\`, \`--math $2\`"
  echo
  echo "| kernel | gfx90a | gfx942 | gfx1100 | gfx1201 |"
  echo "|---|---|---|---|---|"
  cut -d ' ' -f 1 "$work/rows.gfx90a" | while read -r kernel; do
    printf '| %s |' "$kernel"
    for arch in $archs; do
      count=$(awk -v name="$kernel" '$1 == name { print $2 }' "$work/matrices.$arch")
      awk -v name="$kernel" -v count="${count:-0}" '$1 == name {
        printf " %d%s, %d%s, %d, %d |", $2, $4 ? " (" $4 ")" : "", $3, $8 ? " (" $8 ")" : "", $5, count }' "$work/rows.$arch"
    done
    echo
  done
}

examine() { # MODEL MATH OPTION...
  model=$1 math=$2
  shift 2
  "$RETC" compile "$model" --target hip --math "$math" "$@" -o "$work/out" >"$work/words" 2>&1 || { cat "$work/words" >&2; fail "$model"; }
  text=$work/out/model.hip
  build_by_hipcc "$text"
  build_by_hiprtc "$text"
  planned "$text" >"$work/planned"
  planned_shared "$work/out/plan.json" >"$work/shared"
  for arch in $archs; do
    build "$arch" "$text"
    rows "$arch" >"$work/rows.$arch"
    matrices "$arch" >"$work/matrices.$arch"
    check "$arch"
  done
  type=half
  [ "$math" != f32 ] || type=f32
  grep -q " $type$" "$work/planned" || fail "$model: no product is planned for matrix instructions with --math $math"
  table "${model#"$source"/}" "$math${*:+ $*}"
}

if [ "${1-}" != --document ]; then
  for named in "$@"; do
    for math in f32 bf16 f16; do examine "$named" $math; done
    for weights in int8 int4; do examine "$named" f32 --weights $weights; done
    examine "$named" bf16 --weights bf16 --blas
  done
  exit 0
fi
document=$source/docs/hip.md
for named in examples/shakespeare tests/bench/configs/1.3b.json; do
  for math in f32 bf16; do examine "$source/$named" $math; done
  examine "$source/$named" f32 --weights int8
done >"$work/tables"
awk -v tables="$work/tables" '
  /^<!-- end of tables/ { while ((getline line < tables) > 0) print line; print ""; inside = 0 }
  !inside { print }
  /^<!-- tables/ { inside = 1 }' "$document" >"$work/document"
cat "$work/document" >"$document"
