# Builds retc and lets a small trained RetNet write in the manner of Shakespeare. stdout is the text and nothing else.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
sh "$source/tests/setup.sh" >&2
sh "$source/tests/build.sh" release -DCMAKE_BUILD_TYPE=Release -DRETC_TESTS=OFF >&2
exec "$source/build/release/retc" run "$source/examples/shakespeare" --prompt "ROMEO:" -n 400 --temperature 0.7 --seed 1
