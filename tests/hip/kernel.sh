# One file of tests/hip/kernels on the emulator, for architectures of both wave sizes and several orders of threads and
# blocks: sh tests/hip/kernel.sh FILE. Its comments say what is done (tests/hip/launch.c), and of a kernel that must fail how:
#   // fails TEXT    part of what the emulator says
set -eu
: "${TOOLS:?}" "${RETC_HIP_LIBRARY:?}"
file=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work"
expected=$(sed -n 's|^// fails ||p' "$file")
ran=

try() { # ARCH SEED CHECKS
  status=0
  RETC_EMULATOR_ARCH=$1 RETC_EMULATOR_SEED=$2 RETC_EMULATOR_CHECKS=$3 "$TOOLS/launch" "$file" >"$work/out" 2>&1 || status=$?
  [ $status != 77 ] || return 0
  ran=yes
  if [ -z "$expected" ]; then
    [ $status = 0 ] && return 0
  elif [ $status = 1 ] && grep -qF "$expected" "$work/out" && grep -qF "hipErrorIllegalAddress" "$work/out"; then
    return 0
  fi
  echo "FAILED: $1, seed $2, checks $3: status $status, expected ${expected:-0}"
  cat "$work/out"
  exit 1
}

# gfx942 has the waves and matrix instructions of gfx90a, gfx1201 the waves of gfx1100.
archs="gfx90a gfx1100"
! grep -q "^// only" "$file" || archs="gfx90a gfx942 gfx1100 gfx1201"
for arch in $archs; do
  for seed in 0 1; do try $arch $seed 1; done
  # What is found without instrumented accesses: waves, barriers, guard pages.
  case ${file##*/} in
    bad_shared_* | bad_private_* | bad_device_bounds* | bad_race*) ;;
    *) try $arch 1 0 ;;
  esac
done
[ -n "$ran" ] || { echo "FAILED: no architecture runs it"; exit 1; }
