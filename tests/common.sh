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

# expect_words STATUS TEXT COMMAND...: its status, and part of what it says; stdout and stderr in $work
expect_words() {
  wanted=$1 text=$2 status=0
  shift 2
  "$@" >"$work/stdout" 2>"$work/stderr" || status=$?
  [ $status = "$wanted" ] && cat "$work/stdout" "$work/stderr" | grep -qF -e "$text" && return
  cat "$work/stdout" "$work/stderr"
  fail "$*: status $status, expected $wanted and \"$text\""
}
