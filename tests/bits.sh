# A session's bits do not depend on how a sequence is split, on its batch or on threads: sh tests/bits.sh MODEL
. "$(dirname "$0")/common.sh"
model=$1
rows=3 count=200
vocabulary=$(sed -n 's/^ *"vocab_size": *\([0-9]*\).*/\1/p' "$model/config.json")
ones=$(awk -v n=$count 'BEGIN { for (i = 1; i < n; i++) printf "1,"; print 1 }')
failed=

"$TOOLS/tokens" random "$work/tokens" 1 $rows $count "$vocabulary"
evaluate() {
  tokens=$1 out=$2
  shift 2
  "$RETC" eval "$model" --tokens "$tokens" --form session --out "$out" "$@"
}
check() {
  what=$1
  shift
  "$TOOLS/compare" "$@" || failed="$failed [$what]"
}

# The chunk length is part of the arithmetic, so each has bits of its own: the default, one, odd, longer than the text.
for chunk in "" 1 7 256; do
  grid=${chunk:+--chunk $chunk}
  evaluate "$work/tokens" "$work/whole" $grid --threads 1
  for threads in 2 3; do
    evaluate "$work/tokens" "$work/out" $grid --threads $threads
    check "chunk ${chunk:-default}, $threads threads" equal "$work/whole" "$work/out"
  done
  # 64 is the default chunk: up to its edge, one over it, across several of them, and from the middle of one.
  for split in 63,1,64,72 64,136 5,59,1,70,65 1,199 130,70 $ones; do
    evaluate "$work/tokens" "$work/out" $grid --split $split --threads 2
    check "chunk ${chunk:-default}, split $split" equal "$work/whole" "$work/out"
  done
  for row in 0 1 2; do
    "$TOOLS/tokens" row "$work/row" "$work/tokens" $row
    evaluate "$work/row" "$work/out" $grid
    check "chunk ${chunk:-default}, row $row alone" row $row "$work/whole" "$work/out"
  done
done
[ -z "$failed" ] || fail "$failed"
echo "all bits equal"
