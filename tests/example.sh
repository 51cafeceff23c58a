# The C example writes what the trained model is known to write: sh tests/example.sh PROGRAM
. "$(dirname "$0")/common.sh"
model=$source/examples/shakespeare
"$1" "$model" >"$work/text"
head -c 100 "$work/text" >"$work/head"
"$TOOLS/compare" text "$model/training.json" greedy_200 100 "$work/head"
status=0
"$1" "$work" >"$work/text" 2>"$work/message" || status=$?
[ $status = 2 ] && grep -q config.json "$work/message" || fail "no model: status $status, $(cat "$work/message")"
