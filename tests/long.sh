# A session of 200,000 tokens: flat memory, and the end that float64 has. sh tests/long.sh DIR STATE_TOLERANCE
. "$(dirname "$0")/common.sh"
vocabulary=$(sed -n 's/^ *"vocab_size": *\([0-9]*\).*/\1/p' "$1/config.json")
"$TOOLS/tokens" random "$work/tokens" 1 1 200000 "$vocabulary"
"$FAST" eval "$1" --tokens "$work/tokens" --form session --engine graph --out "$work/reference"
"$TOOLS/long_session" check "$1" "$work/tokens" "$work/reference" "$2" || fail "see above"
