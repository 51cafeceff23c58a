# Makes the virtual environment of the peers, outside the repository: sh tests/bench/peers/setup.sh FOLDER [--llama]
# --llama also builds llama-cpp-python from its source for the instructions of this CPU, which takes a quarter of an hour
# a core. Tiles (AMX) are left out: that llama.cpp ends with signal 11 as it loads their sizes, most of which compilers
# remove from its code (ggml-org/llama.cpp, pull request 26954).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: sh tests/bench/peers/setup.sh FOLDER [--llama]" >&2; exit 2; }
folder=$1
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
"$folder/bin/pip" install --quiet -r "$here/requirements.txt"
[ "${2-}" = --llama ] || exit 0

options="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF"
has() { grep -m1 '^flags' /proc/cpuinfo | grep -qw "$1"; }
for pair in avx512f:AVX512 avx512_vbmi:AVX512_VBMI avx512vbmi:AVX512_VBMI avx512_vnni:AVX512_VNNI \
  avx512_bf16:AVX512_BF16; do
  if has "${pair%:*}"; then options="$options -DGGML_${pair#*:}=ON"; fi
done
CMAKE_ARGS="$options" "$folder/bin/pip" install --quiet --no-binary llama-cpp-python -r "$here/requirements-llama.txt"
