# include/retc.h with a model on the emulated GPU, and without one: sh tests/hip/api.sh DIR
. "$(dirname "$0")/../common.sh"
: "${RETC_HIP_LIBRARY:?}"
export XDG_CACHE_HOME="$work/cache"

# Waves of 64, and of 32, with matrix instructions for f16.
for arch in gfx942 gfx1100; do
  expect_words 0 "f16: relative difference" env RETC_EMULATOR_ARCH=$arch "$TOOLS/hip_api" "$1"
done
expect_words 0 "hip: no GPU that HIP can use: hipErrorNoDevice" env RETC_EMULATOR_ARCH=none "$TOOLS/hip_api" --absent "$1"
expect_words 0 "RETC_HIP_LIBRARY is no library that can be loaded" \
  env RETC_HIP_LIBRARY=/nowhere/libamdhip64.so "$TOOLS/hip_api" --absent "$1"
