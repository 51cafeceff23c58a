# Configures and builds build/NAME with all cores, saying nothing unless it fails: sh tests/build.sh NAME [CMAKE OPTION...]
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=$source/build/$1
shift
mkdir -p "$build"
if ! { cmake -S "$source" -B "$build" "$@" && cmake --build "$build" --parallel "$(nproc)"; } >"$build/build.log" 2>&1
then
  cat "$build/build.log" >&2
  echo "build: $build could not be built" >&2
  exit 1
fi
