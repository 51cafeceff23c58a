# What the test scripts share; they source it. RETC is the program, FAST one without sanitizers, TOOLS the folder of the
# test tools. $work is a folder of the script's own.
set -eu
: "${RETC:?}" "${TOOLS:?}" "${FAST:=$RETC}"
source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
  echo "FAILED: $*"
  exit 1
}
