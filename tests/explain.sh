# What `retc explain` says of the published 1.3B shape, from its description alone and from a checkpoint of that size.
. "$(dirname "$0")/common.sh"
config=$source/tests/bench/configs/1.3b.json
layers=24 width=2048 heads=8 feed=2816 vocabulary=32000

explain() {
  "$RETC" explain "$1" >"$work/found" 2>"$work/words" || fail "explain $1: $(cat "$work/words")"
  [ ! -s "$work/words" ] || fail "explain $1 writes to stderr: $(cat "$work/words")"
}
# says WHAT CHOSEN: a row of the table begins so, whatever the columns are wide
says() {
  sed 's/   */|/g' "$work/found" | grep -qF -e "$1|$2" || { cat "$work/found"; fail "explain does not say: $1: $2"; }
}
says_all() {
  says parameters 1351727104
  says tensors 267
  # 24 layers of 8 heads: S of 256 x 512, and 64 rows of k and v, all f32
  says "state of a sequence" "$((layers * heads * (256 * 512 + 64 * (256 + 512)) * 4)) bytes"
  says "decay of head 0" "gamma 0.96875|half-life in tokens: 21.83"
  says "decay of head 7" "gamma 0.999755859|half-life in tokens: 2839"
  says sessions "the recurrent form's algebra, 64 tokens a chunk"
}

explain "$config"
says_all
# Weights are packed as they are stored, and the rest is small.
bytes=$(sed -n 's/^memory: weights  *\([0-9]*\) bytes.*/\1/p' "$work/found")
least=$((2 * 1351727104))
[ "$bytes" -ge $least ] && [ "$bytes" -le $((least + least / 50)) ] || fail "weights take $bytes bytes, expected $least"

mkdir "$work/model"
cp "$config" "$work/model/config.json"
{
  echo "model.embeddings.weight $vocabulary $width"
  echo "model.norm.weight $width 0"
  echo "lm_head.weight $vocabulary $width"
  layer=0
  while [ $layer -lt $layers ]; do
    for row in "attn_norm $width 0" "attn.q_proj $width $width" "attn.k_proj $width $width" \
      "attn.v_proj $((2 * width)) $width" "attn.g_proj $((2 * width)) $width" "attn.g_norm_swish_gate 512 0" \
      "attn.o_proj $width $((2 * width))" "mlp_norm $width 0" "mlp.gate_proj $feed $width" "mlp.up_proj $feed $width" \
      "mlp.down_proj $width $feed"; do
      echo "model.layers.$layer.${row%% *}.weight ${row#* }"
    done
    layer=$((layer + 1))
  done
} >"$work/tensors"
[ "$(wc -l <"$work/tensors")" = 267 ] || fail "the checkpoint would have $(wc -l <"$work/tensors") tensors"
"$TOOLS/sparse_checkpoint" make "$work/model/model.safetensors" BF16 <"$work/tensors"
explain "$work/model"
says_all
# What is read of a file lies in memory afterwards: the header does, the data does not.
if command -v fincore >/dev/null; then
  read=$(fincore --bytes --noheadings --output RES "$work/model/model.safetensors")
  [ "$read" -le $((64 << 20)) ] || fail "explain read $read bytes of the checkpoint"
fi

# Every key is either a choice or ignored, and every head has its decay.
explain "$source/tests/cases/fla-tiny"
says "ignored key" use_cache
says "decay of head 1" "gamma 0.984375"
