# retc's kernels for GPUs on an NVIDIA card, through tests/gpu/cuda: sh tests/gpu/run.sh [BUILD]
# BUILD is a folder that was built with -DRETC_TESTS=ON and CUDA; without it, build/gpu is made. Status 77, with a word,
# without nvcc or a card. The last line is "N passed, M failed".
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)

command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || { echo "skipped: no nvcc (CUDA toolkit)"; exit 77; }
[ -e /dev/nvidiactl ] || nvidia-smi -L >/dev/null 2>&1 || { echo "skipped: no NVIDIA card"; exit 77; }
if [ $# = 0 ]; then
  sh "$source/tests/setup.sh"
  sh "$source/tests/build.sh" gpu -DCMAKE_BUILD_TYPE=Release -DRETC_TESTS=ON
  set -- "$source/build/gpu"
fi
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export RETC="$build/retc" FAST="$build/retc" TOOLS="$build/tests" XDG_CACHE_HOME="$work/cache"
export RETC_HIP_LIBRARY="$build/tests/gpu/libamdhip64.so"
[ -f "$RETC_HIP_LIBRARY" ] || { echo "FAILED: $build was configured without CUDA"; exit 1; }
nvidia-smi -L 2>/dev/null || true

passed=0 failed=0
try() { # NAME COMMAND...
  name=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    passed=$((passed + 1))
    echo "ok     $name"
  else
    failed=$((failed + 1))
    echo "FAILED $name"
    tail -20 "$work/log"
  fi
}

try hip_program "$TOOLS/hip_program"
for count in 60 5000 50257; do try "hip_sample $count" "$TOOLS/hip_sample" $count 100; done
# Not those that must fail: nothing checks accesses here.
for file in "$source"/tests/hip/kernels/*.hip; do
  case ${file##*/} in bad_* | mfma_* | wmma_*) ;; *) try "kernel ${file##*/}" "$TOOLS/launch" "$file" ;; esac
done
for model in "$source"/tests/cases/*/model.safetensors; do
  folder=${model%/*}
  try "case ${folder##*/}" sh "$source/tests/hip/case.sh" "$folder" gfx1100
done

greedy() {
  "$RETC" run "$source/examples/shakespeare" --prompt "ROMEO:" -n 400 >"$work/cpu" &&
    "$RETC" run "$source/examples/shakespeare" --prompt "ROMEO:" -n 400 --target hip >"$work/gpu" &&
    cmp "$work/cpu" "$work/gpu"
}
try "shakespeare, 400 greedy tokens" greedy
echo "$passed passed, $failed failed"
[ $failed = 0 ]
