# Tokens chosen on the emulated GPU: sh tests/hip/sample.sh
set -eu
: "${TOOLS:?}" "${RETC_HIP_LIBRARY:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache"

# Single accesses are checked for few logits, which also leave most lanes without any; in more than lanes they are not.
RETC_EMULATOR_ARCH=gfx90a "$TOOLS/hip_sample" 60 1
RETC_EMULATOR_ARCH=gfx1100 RETC_EMULATOR_SEED=2 "$TOOLS/hip_sample" 1100 1
export RETC_EMULATOR_CHECKS=0
RETC_EMULATOR_ARCH=gfx1201 RETC_EMULATOR_SEED=3 "$TOOLS/hip_sample" 60 3
RETC_EMULATOR_ARCH=gfx942 RETC_EMULATOR_SEED=4 "$TOOLS/hip_sample" 5000 3
