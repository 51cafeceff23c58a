# Measures retc on this machine beside DESIGN's goals and, with --peers FOLDER, beside other programs; prints the table and
# writes docs/performance.md: sh tests/bench/run.sh [--quick] [--peers FOLDER] [--out FILE] [--run-with WORDS]
#   --quick     the 170M shape and few rounds: a few minutes, to see that everything works
#   --rounds N  of which the median counts (5)
#   --peers     the virtual environment that tests/bench/peers/setup.sh has made
#   --only      a regular expression of the groups to measure; what was measured before stays in the file
#   --run-with  words before each measuring command, "taskset -c 0-3" or what keeps the machine free meanwhile
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
sh "$source/tests/setup.sh" python3 >&2
sh "$source/tests/build.sh" release -DCMAKE_BUILD_TYPE=Release -DRETC_TESTS=OFF >&2
exec python3 "$source/tests/bench/report.py" "$@"
