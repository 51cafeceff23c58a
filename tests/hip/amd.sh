# The HIP text of a model built for AMD's GPUs, and what compilers say of its kernels: sh tests/hip/amd.sh MODEL...
# prints a table of registers, shared memory and matrix instructions of each kernel, and fails for a warning, for
# vector registers that are spilled, for memory that lanes have on the side, for more shared memory than a block may have, and
# for a kernel that is planned for matrix instructions and has none. No GPU is needed, and nothing is run.
#
# Packages: clang-19 and lld-19 build for all four architectures with HIP's headers (libamdhip64-dev) and device
# libraries (rocm-device-libs); hipcc, where it is installed, builds for gfx90a. Status 77 without them.
set -eu
: "${RETC:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archs="gfx90a gfx942 gfx1100 gfx1201"
bitcode=/usr/lib/x86_64-linux-gnu/amdgcn/bitcode

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

# matrices ARCH: "kernel count" of those with matrix instructions
matrices() {
  llvm-objdump-19 -d --no-show-raw-insn "$work/$1.co" |
    awk '/^[0-9a-f]+ <.*>:/ { name = $2; gsub(/[<>:]/, "", name) } / v_(mfma|wmma)_/ { count[name]++ }
         END { for (name in count) print name, count[name] }'
}

# Kernels whose text calls a matrix fragment.
planned() {
  awk '/__global__/ { name = $0; sub(/\($/, "", name); sub(/.* /, "", name) } /retc_fragment_multiply|__builtin_amdgcn_[mw]/ { if (name) print name }' \
    "$1" | sort -u
}

for model in "$@"; do
  "$RETC" compile "$model" --target hip -o "$work/out" >"$work/words" 2>&1 || { cat "$work/words" >&2; fail "$model"; }
  text=$work/out/model.hip
  build_by_hipcc "$text"
  planned "$text" >"$work/planned"
  echo
  echo "\`$(basename "${model%/config.json}")\`"
  echo
  echo "| kernel | architecture | vector registers | scalar | kept in lanes | accumulators | shared bytes | matrix instructions |"
  echo "|---|---|---:|---:|---:|---:|---:|---:|"
  for arch in $archs; do
    build "$arch" "$text"
    rows "$arch" >"$work/rows"
    matrices "$arch" >"$work/matrices"
    [ -s "$work/rows" ] || fail "$arch: no kernels in the code object"
    while read -r name vector scalar accumulators shared scratch spills kept; do
      count=$(awk -v name="$name" '$1 == name { print $2 }' "$work/matrices")
      echo "| $name | $arch | $vector | $scalar | $kept | $accumulators | $shared | ${count:-0} |"
      [ "$spills" = 0 ] || fail "$name on $arch spills $spills vector registers"
      [ "$scratch" = 0 ] || fail "$name on $arch has $scratch bytes a lane on the side"
      [ "$shared" -le 65536 ] || fail "$name on $arch has $shared bytes of shared memory"
      ! grep -qx "$name" "$work/planned" || [ -n "$count" ] || fail "$name on $arch has no matrix instruction"
    done <"$work/rows"
  done
done
