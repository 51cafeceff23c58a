# What the program is after a pass: sh tests/dump.sh FILE.test
# Such a file holds the arguments of `retc dump` for the trained model, a line --EXPECT--, then one regular expression a
# line that some line of the output matches, or that none matches when "! " stands before it.
. "$(dirname "$0")/common.sh"
arguments=$(sed '/^--EXPECT--$/,$d' "$1")
sed '1,/^--EXPECT--$/d' "$1" >"$work/expected"
[ -s "$work/expected" ] || fail "$1: nothing is expected"
"$RETC" dump "$source/examples/shakespeare" $arguments >"$work/found"
missing=
while read -r line; do
  case $line in
    "! "*) ! grep -qE -e "${line#! }" "$work/found" || { echo "found, but should not be: ${line#! }"; missing=yes; } ;;
    *) grep -qE -e "$line" "$work/found" || { echo "not found: $line"; missing=yes; } ;;
  esac
done <"$work/expected"
[ -z "$missing" ] || fail "$1: retc dump $arguments"
