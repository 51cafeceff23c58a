# An example program: compiled = interpreted kernels bit for bit, with any number of threads; the interpreted graph and
# numbers that an awk script computes are near them: sh tests/programs.sh NAME ENTRY [OUTPUT]...
. "$(dirname "$0")/common.sh"
name=$1 entry=$2
shift 2
program=$source/examples/programs/$name.graph
inputs=$source/examples/programs/$name.safetensors

run() { "$RETC" run "$program" --entry "$entry" "$@"; }

# numbers FILE NAME: lines "NAME NUMBER".
numbers() { "$TOOLS/arrays" print "$1" "$2" | sed "s/^/$2 /"; }

run --inputs "$inputs" --out "$work/one" --threads 1
run --inputs "$inputs" --out "$work/three" --threads 3
cmp "$work/one" "$work/three" || fail "three threads give other bits than one"
"$RETC" opt "$program" --to memory --check >"$work/kernels" 2>"$work/checked" || fail "$(cat "$work/checked")"
"$RETC" opt "$work/kernels" --entry "$entry" --run "$inputs" --out "$work/interpreted"
cmp "$work/one" "$work/interpreted" || fail "interpreted kernels give other bits than compiled ones"
if [ "$(uname -m)" = x86_64 ]; then
  run --inputs "$inputs" --out "$work/lesser" --cpu x86-64-v2
  cmp "$work/one" "$work/lesser" || fail "code for a lesser CPU gives other bits"
fi
run --inputs "$inputs" --out "$work/again" >"$work/stdout"
cmp "$work/one" "$work/again"
[ ! -s "$work/stdout" ] || fail "something was written to stdout"
for pass in expand simplify fuse schedule lower math memory; do
  "$RETC" opt "$program" --to $pass >"$work/stage"
  "$RETC" run "$work/stage" --entry "$entry" --inputs "$inputs" --out "$work/staged"
  cmp "$work/one" "$work/staged" || fail "the program as text after $pass compiles to other bits"
done
# Tiles of few rows for many panels a task: rows are turned.
"$RETC" opt "$program" --to schedule | sed 's/rows=6, \(.*\)panels=[0-9]*/rows=2, \1panels=8/' >"$work/turned"
"$RETC" run "$work/turned" --entry "$entry" --inputs "$inputs" --out "$work/staged"
cmp "$work/one" "$work/staged" || fail "other tiles compile to other bits"
"$RETC" opt "$program" --entry "$entry" --run "$inputs" --out "$work/graph"

arrays=$(sed -n 's/^ *%\([a-z0-9]*\) = input kind=\(input\|weight\) .*/\1/p' "$program" | sort -u)
for array in $arrays; do numbers "$inputs" "$array"; done >"$work/given"
awk -v tokens=5 -f "$source/tests/programs/$name.awk" "$work/given" >"$work/expected"
for output in "$@"; do
  "$TOOLS/compare" tensor "$output" "$work/graph" "$work/one" 1e-5 || fail "$output: the interpreted graph is far away"
  grep "^$output " "$work/expected" >"$work/a"
  numbers "$work/one" "$output" >"$work/b"
  paste -d ' ' "$work/a" "$work/b" | awk -v name="$output" '
    NF != 4 { failed = 1 }
    { e = $2 - $4; limit = 2e-5 * ($2 < 0 ? -$2 : $2) + 2e-6; if (!(e <= limit && -e <= limit)) failed = 1 }
    END { if (!NR || failed) { print name ": other numbers than expected"; exit 1 } }' || {
    paste "$work/a" "$work/b" | head -5
    fail "$output"
  }
done
