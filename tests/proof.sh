# The chain of proof. Every file of program text that `retc dump --all` writes is printed the same when it is read, and
# gives, interpreted, what compiled code gives: kernels bit for bit, graphs within 1e-5. Every pass keeps what the program
# computes, on text too.
#   sh tests/proof.sh MODEL [OPTION]... a model directory, in two calls that chunks of 4 tokens cut elsewhere; with options
#                                       of arithmetic that rounds to few bits, graphs are near by what these allow
#   sh tests/proof.sh PROGRAM INPUTS    program text, every entry of it
. "$(dirname "$0")/common.sh"
model=$1
failed=
chunk=
near=1e-5
if [ -d "$model" ]; then
  shift
  chunk="--chunk 4 $*"
  case $chunk in *"math f32"*) ;; *int8* | *int4* | *bf16*) near=3e-2 ;; esac
fi

if [ -d "$model" ]; then
  vocabulary=$(sed -n 's/^ *"\(vocab_size\|num_tokens\)": *\([0-9]*\).*/\2/p' "$model/config.json" | head -n 1)
  "$TOOLS/tokens" random "$work/tokens" 1 2 11 "${vocabulary:-8}"
  "$TOOLS/arrays" make "$work/call.1" "input_ids@$work/tokens:1:0:6"
  "$RETC" eval "$model" --tokens "$work/tokens" --form session $chunk --out "$work/whole"
  "$TOOLS/arrays" make "$work/compiled.1" "logits@$work/whole:1:0:6"
  "$TOOLS/arrays" make "$work/compiled.2" "logits@$work/whole:1:6:5"
fi

# interpret FILE CALL OPTION...: what the text gives, in $work/out.CALL. Sanitizers see the interpreters in unit tests.
interpret() {
  text=$1 call=$2
  shift 2
  rm -f "$work/out.$call"
  "$FAST" opt "$text" --run "$work/call.$call" --out "$work/out.$call" "$@" || failed="$failed [$text, call $call]"
}
# compare NAME CALL TOLERANCE
compare() {
  "$TOOLS/compare" tensor "$1" "$work/out.$2" "$work/compiled.$2" "$3" || failed="$failed [${file##*/}: $1 of call $2]"
}

# The second call goes on with the states of the first.
prove_model() {
  interpret "$file" 1 --weights "$model"
  compare logits 1 "$tolerance"
  states=$(sed -n 's/^  output \(.*\) = .*/\1/p; /^}/q' "$work/all/01-import.graph" | grep -v '^logits$' | sort -u)
  set --
  for state in $states; do set -- "$@" "$state@$work/out.1"; done
  "$TOOLS/arrays" make "$work/call.2" "input_ids@$work/tokens:1:6:5" P:i64:-:=6 "$@"
  interpret "$file" 2 --weights "$model"
  compare logits 2 "$tolerance"
}

prove_program() {
  for entry in $(sed -n 's/^graph \([^ ]*\) {.*/\1/p' "$model"); do
    cp "$2" "$work/call.$entry"
    "$RETC" run "$model" --entry "$entry" --inputs "$2" --out "$work/compiled.$entry"
    interpret "$file" "$entry" --entry "$entry"
    for name in $(sed -n "/^graph $entry {/,/^}/s/^  output \(.*\) = .*/\1/p" "$model"); do
      compare "$name" "$entry" "$tolerance"
    done
  done
}

"$FAST" dump "$model" $chunk --all "$work/all"
count=0
for file in "$work"/all/*.graph "$work"/all/*.kernel; do
  count=$((count + 1))
  tolerance=$near
  [ "${file##*.}" = graph ] || tolerance=0
  first=kernel
  [ "${file##*.}" = kernel ] || first=graph
  grep -q "^$first " "$file" || failed="$failed [${file##*/}: no $first in it]"
  "$RETC" opt "$file" | cmp - "$file" || failed="$failed [${file##*/}: other text]"
  pass=${file##*/[0-9][0-9]-}
  "$FAST" dump "$model" $chunk --after "${pass%.*}" | cmp - "$file" || failed="$failed [dump --after ${pass%.*}]"
  printf '%-20s ' "${file##*/}"
  if [ -d "$model" ]; then prove_model; else prove_program "$@"; fi
  echo
done
passes=$("$FAST" ops | sed -n '/^Passes/,$p' | sed '1,/^name /d' | wc -l)
[ "$passes" -gt 6 ] && [ $count = "$passes" ] || failed="$failed [$count files of $passes passes]"

first=$(ls "$work"/all/*.graph | head -n 1)
"$FAST" opt "$first" --to memory --check >"$work/checked" 2>"$work/words" || failed="$failed [check]"
cat "$work/words"
[ "$(grep -c ' holds' "$work/words")" = $((passes - 1)) ] || failed="$failed [not every pass was checked]"
"$FAST" dump "$model" $chunk | cmp - "$work/checked" || failed="$failed [passes on text make another program]"
[ -z "$failed" ] || fail "$failed"
