# What retc prints: sh tests/golden.sh [--bless] FILE.test
#
# A test is a file: a head, the input, a line --EXPECT--, what is printed.
#   #! ARGUMENTS   the first line: what stands behind retc, in shell words. The folder it runs in holds the input as a
#                  file `input`; standard input is the same. $SOURCE is the project
#   #| FILTER      perhaps the second line: a shell command that makes less of a long output
#   # ...          what the test is about. The head ends before the first line without '#'
# retc gets the head as empty lines, so that the places in its messages are those of the test's file. A program that is
# printed must also be read back and printed the same.
# Behind --EXPECT-- stands what goes to stdout; behind --EXPECT 2-- (any status but 0) that and then stderr. --bless
# rewrites this part; read it afterwards.
. "$(dirname "$0")/common.sh"
bless=
[ "$1" != --bless ] || { bless=yes; shift; }
SOURCE=$source
test_file=$1

awk -v folder="$work" '
  NR == 1 { if (!sub(/^#! /, "")) exit 1; print >(folder "/arguments"); print "" >(folder "/input"); head = 1; next }
  expected { print >(folder "/expected"); next }
  /^--EXPECT( [0-9]+)?--$/ { expected = 1; print >(folder "/expected"); next }
  head && NR == 2 && sub(/^#\| /, "") { print >(folder "/filter"); print "" >(folder "/input"); next }
  head && /^#/ { print "" >(folder "/input"); next }
  { head = 0; print >(folder "/input") }' "$test_file" || fail "$test_file: the first line is not \"#! ARGUMENTS\""
read -r arguments <"$work/arguments"
filter=cat
[ ! -f "$work/filter" ] || read -r filter <"$work/filter"

status=0
(
  cd "$work"
  eval "set -- $arguments"
  exec "$RETC" "$@" <input >stdout 2>stderr
) || status=$?
[ $status -lt 64 ] || fail "$test_file: status $status: $(cat "$work/stderr")"
if [ $status = 0 ]; then
  [ ! -s "$work/stderr" ] || fail "$test_file: something was written to stderr: $(cat "$work/stderr")"
  { echo --EXPECT--; (cd "$work" && eval "$filter") <"$work/stdout"; } >"$work/found"
else
  { echo "--EXPECT $status--"; cat "$work/stdout"; sed "s|$SOURCE|\$SOURCE|g" "$work/stderr"; } >"$work/found"
fi
case $(head -c 8 "$work/stdout") in
  "program"*)
    "$RETC" opt - <"$work/stdout" >"$work/again" || fail "$test_file: what was printed is not read back"
    cmp "$work/stdout" "$work/again" || fail "$test_file: what was printed is printed otherwise when read back" ;;
esac

[ -f "$work/expected" ] || : >"$work/expected"
! cmp -s "$work/expected" "$work/found" || exit 0
[ -n "$bless" ] || { diff "$work/expected" "$work/found" || fail "$test_file: something else than expected (<)"; }
{ sed '/^--EXPECT\( [0-9]*\)\{0,1\}--$/,$d' "$test_file"; cat "$work/found"; } >"$work/blessed"
cat "$work/blessed" >"$test_file"
echo "blessed $test_file: $(head -n 1 "$work/expected") to $(head -n 1 "$work/found")"
