# Builds and runs the tests: sh tests/run.sh [--all | --bless]
#   (nothing)  the fast set
#   --all      the slow ones too
#   --bless    rewrites what tests/bad, tests/golden and docs expect; read the difference before keeping it
# The last line is "N passed, M failed", with ", K skipped" when there are any. Status 0 when nothing failed.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
selection="-LE slow"
bless=
case ${1-} in
  "") ;;
  --all) selection= ;;
  --bless) bless=yes ;;
  *) echo "usage: sh tests/run.sh [--all | --bless]" >&2; exit 2 ;;
esac

sh "$source/tests/setup.sh" libcmocka-dev chromium sentencepiece clang-19 libclang-rt-19-dev lld-19 hipcc libamdhip64-dev rocm-device-libs
sh "$source/tests/build.sh" release -DCMAKE_BUILD_TYPE=Release -DRETC_TESTS=OFF
sh "$source/tests/build.sh" sanitize -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRETC_SANITIZE=ON -DRETC_TESTS=ON \
  -DRETC_FAST_PROGRAM="$source/build/release/retc"

if [ -n "$bless" ]; then
  status=0
  export RETC="$source/build/sanitize/retc" TOOLS="$source/build/sanitize/tests"
  for file in "$source"/tests/bad/*.test; do sh "$source/tests/bad.sh" --bless "$file" || status=1; done
  for file in "$source"/tests/golden/*/*.test "$source"/tests/golden/*/*/*.test; do
    sh "$source/tests/golden.sh" --bless "$file" || status=1
  done
  for name in ir reading-dumps; do sh "$source/tests/docs.sh" --bless "$source/docs/$name.md" || status=1; done
  exit $status
fi

log=$source/build/sanitize/tests.log
status=0
ctest --test-dir "$source/build/sanitize" $selection --no-tests=error --output-on-failure -j "$(nproc)" >"$log" 2>&1 ||
  status=$?
cat "$log"
# Whatever neither passed nor was skipped has failed: crashed, ran out of time, could not be started.
awk -v status="$status" '
  /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / { total++; passed += / Passed +[0-9.]+ sec/; skipped += /\*\*\*Skipped/ }
  END {
    failed = total - passed - skipped
    if (status && !failed) failed = 1
    printf "%d passed, %d failed", passed, failed
    if (skipped) printf ", %d skipped", skipped
    printf "\n"
    exit failed > 0
  }' "$log"
