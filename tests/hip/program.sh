# The runtime's way to a GPU, on the emulator and without one: sh tests/hip/program.sh
set -eu
: "${TOOLS:?}" "${RETC_HIP_LIBRARY:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache"

# expect STATUS TEXT [NAME=VALUE...]: what the program says in this environment
expect() {
  wanted=$1 text=$2 status=0
  shift 2
  env "$@" "$TOOLS/hip_program" >"$work/out" 2>&1 || status=$?
  [ $status = "$wanted" ] && grep -qF "$text" "$work/out" && return
  echo "FAILED: ${*:-as it is}: status $status, expected $wanted and \"$text\" in:"
  cat "$work/out"
  exit 1
}

expect 0 "emulated gfx90a, a gfx90a"
expect 0 "emulated gfx1100, a gfx1100" RETC_EMULATOR_ARCH=gfx1100
# Built code is kept, and what is not such code is built again.
[ "$(ls "$work/cache/retc/hip" | wc -l)" = 2 ] || { echo "FAILED: 2 code objects are to be kept"; exit 1; }
expect 0 "emulated gfx90a" RETC_EMULATOR_COMPILER=/nowhere
for file in "$work/cache/retc/hip"/*; do echo damaged >"$file"; done
expect 0 "emulated gfx90a"

expect 1 "hip: no GPU that HIP can use: hipErrorNoDevice (no ROCm-capable device is detected)" RETC_EMULATOR_ARCH=none
expect 1 "RETC_HIP_LIBRARY is no library that can be loaded" RETC_HIP_LIBRARY=/nowhere/libamdhip64.so
expect 1 "hip: libamdhip64 has no hip" RETC_HIP_LIBRARY=libc.so.6
expect 1 "hip: weight: 280 bytes of device memory wanted, 200 of 200 free on emulated gfx90a: hipErrorOutOfMemory" \
  RETC_EMULATOR_MEMORY=200
expect 1 "bytes of device memory wanted" RETC_EMULATOR_MEMORY=600
expect 1 "hiprtc refused the HIP source" XDG_CACHE_HOME="$work/other" RETC_EMULATOR_COMPILER=/bin/false
# Without a place for it nothing is kept, and all works.
expect 0 "emulated gfx90a" XDG_CACHE_HOME=/proc/nowhere

# AMD's own library, where it is installed, on a machine without a card.
for library in /usr/lib/x86_64-linux-gnu/libamdhip64.so.5 /opt/rocm/lib/libamdhip64.so; do
  [ -e $library ] && [ ! -e /dev/kfd ] || continue
  expect 1 "hip: no GPU that HIP can use: hipErrorNoDevice" RETC_HIP_LIBRARY=$library
  echo "$library says that there is no device"
done
