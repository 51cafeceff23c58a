# A checkpoint cut into shards, as large models are published, gives the bits of the whole one: sh tests/shards.sh MODEL
. "$(dirname "$0")/common.sh"
model=$1

evaluate() {
  for form in session chunkwise; do
    "$RETC" eval "$1" --tokens "$model/golden.safetensors" --form $form --out "$work/$2.$form"
  done
}
evaluate "$model" whole
tensors=$("$TOOLS/edit_safetensors" shard "$model/model.safetensors" 1 "$work" &&
  grep -c '": "model-00001-of-00001.safetensors"' "$work/model.safetensors.index.json")
[ "$tensors" -gt 3 ] || fail "$tensors tensors are too few for shards"
for count in 1 2 3 "$tensors"; do
  sharded=$work/in-$count
  mkdir "$sharded"
  cp "$model/config.json" "$sharded"
  "$TOOLS/edit_safetensors" shard "$model/model.safetensors" "$count" "$sharded"
  [ "$(ls "$sharded" | grep -c '^model-0.*\.safetensors$')" = "$count" ] || fail "the tool did not make $count shards"
  evaluate "$sharded" found
  for form in session chunkwise; do
    "$TOOLS/compare" equal "$work/whole.$form" "$work/found.$form" || fail "$count shards, $form"
  done
done

# A shard may hold tensors that the index does not send to it: copies of others', which do not count.
mv "$work/in-2" "$work/more"
cp "$model/model.safetensors" "$work/more/model-00001-of-00002.safetensors"
evaluate "$work/more" found
"$TOOLS/compare" equal "$work/whole.session" "$work/found.session" || fail "a shard with tensors of another"
# Where both are there, the one file wins.
cp "$model/model.safetensors" "$work/more"
echo '{}' >"$work/more/model.safetensors.index.json"
evaluate "$work/more" found
"$TOOLS/compare" equal "$work/whole.session" "$work/found.session" || fail "one file and an index"
echo "$tensors tensors, 1 to $tensors shards: the same bits"
