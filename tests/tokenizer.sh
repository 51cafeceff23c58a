# retc run and eval with a SentencePiece tokenizer that Debian's spm_train makes, against spm_encode and spm_decode.
. "$(dirname "$0")/common.sh"
if ! command -v spm_train spm_encode spm_decode >/dev/null; then
  echo "skipped: no spm_train, of Debian's package sentencepiece"
  exit 77
fi
tiny=$source/tests/cases/fla-tiny
model=$work/model
corpus=$source/examples/shakespeare/validation.txt
prompt="Hear me speak, good people"

# expect STATUS COMMAND...: stdout and stderr in $work.
expect() {
  wanted=$1
  shift
  status=0
  "$@" >"$work/stdout" 2>"$work/stderr" </dev/null || status=$?
  [ $status = "$wanted" ] || fail "status $status, expected $wanted: $*: $(cat "$work/stderr")"
}
config() {
  sed -i "s|^  \"$1\": .*|  \"$1\": $2,|" "$model/config.json"
}
train() {
  spm_train --input="$corpus" --model_prefix="$work/spm" --num_threads=1 --minloglevel=2 "$@" >/dev/null 2>&1
  cp "$work/spm.model" "$model/tokenizer.model"
}
decode() {
  tr ' ' '\n' | paste -sd ' ' | spm_decode --model="$model/tokenizer.model" --input_format=id | head -c -1
}
mkdir "$model"
cp "$tiny/config.json" "$tiny/model.safetensors" "$model"
train --vocab_size=97
"$RETC" run "$model" --prompt "$prompt" -n 0 2>"$work/stderr" || true
if grep -q "built without SentencePiece" "$work/stderr"; then
  echo "skipped: this retc was built without SentencePiece"
  exit 77
fi
config bos_token_id 1
config eos_token_id 97 # a piece that is not generated below, checked there

# The same ids as spm_encode's, bos before them; the text of the continuation is what spm_decode adds to the prompt's.
ids=$(printf '%s\n' "$prompt" | spm_encode --model="$model/tokenizer.model" --output_format=id | tr ' ' ,)
expect 0 "$FAST" run "$model" --prompt-tokens "1,$ids" -n 30 --temperature 1 --seed 3 --ignore-eos
generated=$(cat "$work/stdout")
! echo " $generated " | grep -q ' 97 ' || fail "choose another id for eos, $generated has 97"
expect 0 "$RETC" run "$model" --prompt "$prompt" -n 30 --temperature 1 --seed 3
cp "$work/stdout" "$work/text"
tokens=$(($(echo "$ids" | tr -cd , | wc -c) + 2))
grep -q "^prompt: $tokens tokens" "$work/stderr" || fail "expected $tokens tokens: $(cat "$work/stderr")"
echo "$ids" | tr , ' ' | decode >"$work/prompt"
[ "$(cat "$work/prompt")" = "$prompt" ] || fail "spm_decode gives back $(cat "$work/prompt")"
echo "$(echo "$ids" | tr , ' ') $generated" | decode >"$work/whole"
cat "$work/prompt" "$work/text" | cmp - "$work/whole" || fail "the text is not what spm_decode makes of the ids"
[ -s "$work/text" ] || fail "no text came"
printf '%s' "$prompt" >"$work/prompt"
expect 0 "$RETC" run "$model" --prompt-file "$work/prompt" -n 30 --temperature 1 --seed 3
cmp "$work/text" "$work/stdout" || fail "--prompt-file gives another text"

# Without bos it is another text, and the one of the ids alone.
expect 0 "$FAST" run "$model" --prompt-tokens "$ids" -n 30 --temperature 1 --seed 3
echo "$(echo "$ids" | tr , ' ') $(cat "$work/stdout")" | decode >"$work/whole"
expect 0 "$RETC" run "$model" --prompt "$prompt" -n 30 --temperature 1 --seed 3 --no-bos
cat "$work/prompt" "$work/stdout" | cmp - "$work/whole" || fail "--no-bos is not the ids alone"
! cmp -s "$work/text" "$work/stdout" || fail "bos makes no difference"
# bos alone is a prompt.
expect 0 "$RETC" run "$model" --prompt "" -n 3
grep -q "^prompt: 1 tokens" "$work/stderr" || fail "an empty prompt is not bos alone: $(cat "$work/stderr")"
expect 2 "$RETC" run "$model" --prompt "" --no-bos
expect 2 "$RETC" run "$model" --prompt a --bos --no-bos
expect 2 "$RETC" run "$model" --prompt a --eos --ignore-eos

# The config's eos ends the text before it; the tokenizer's does where the config has none.
seventh=$(echo "$generated" | cut -d ' ' -f 7)
before=
for id in $generated; do
  [ "$id" != "$seventh" ] || break
  before="$before $id"
done
config eos_token_id "$seventh"
echo "$(echo "$ids" | tr , ' ')$before" | decode >"$work/whole"
expect 0 "$RETC" run "$model" --prompt "$prompt" -n 30 --temperature 1 --seed 3
cat "$work/prompt" "$work/stdout" | cmp - "$work/whole" || fail "eos $seventh does not end: $(cat "$work/stdout")"
expect 0 "$FAST" run "$model" --prompt-tokens "1,$ids" -n 30 --temperature 1 --seed 3
[ "$(cat "$work/stdout")" = "${before# }" ] || fail "eos does not end ids: $(cat "$work/stdout")"
expect 0 "$RETC" run "$model" --prompt "$prompt" -n 30 --temperature 1 --seed 3 --ignore-eos
cmp "$work/text" "$work/stdout" || fail "--ignore-eos ends at eos"
config eos_token_id -1
config bos_token_id -1
train --vocab_size=97 --bos_id="$seventh" --eos_id=1 --unk_id=0
expect 0 "$RETC" run "$model" --prompt "" -n 5
cp "$work/stdout" "$work/text"
expect 0 "$FAST" run "$model" --prompt-tokens "$seventh" -n 5 --ignore-eos
decode <"$work/stdout" | cmp - "$work/text" || fail "the tokenizer's bos is not used"
config bos_token_id 1
config eos_token_id 2

# eval: nats per token of spm_encode's ids.
train --vocab_size=90 # the model's vocabulary is padded
grep -m 1 '.\{40\}' "$corpus" | tr -d '\n' >"$work/line"
ids=$(spm_encode --model="$model/tokenizer.model" --output_format=id <"$work/line" | tr ' ' ,)
"$TOOLS/tokens" ids "$work/ids" "$ids"
expect 0 "$RETC" eval "$model" --tokens "$work/ids" --form session --loss
loss=$(sed -n 's/^loss //p' "$work/stdout")
expect 0 "$RETC" eval "$model" --text "$work/line"
nats=$(sed -n 's/^nats_per_token //p' "$work/stdout")
echo "$loss $nats" | awk 'NF != 2 || ($1 - $2) ^ 2 > 1e-10 { exit 1 }' || fail "loss $loss, nats_per_token $nats"

# A tokenizer that does not fit, and one that is none.
train --vocab_size=98
expect 2 "$RETC" run "$model" --prompt a
grep -q "the tokenizer has 98 pieces, the model's vocabulary 97" "$work/stderr" || fail "$(cat "$work/stderr")"
head -c 1000 "$work/spm.model" >"$model/tokenizer.model"
expect 2 "$RETC" run "$model" --prompt a
[ "$(wc -l <"$work/stderr")" = 1 ] || fail "expected one line: $(cat "$work/stderr")"
expect 0 "$FAST" run "$model" --prompt-tokens 1,2 -n 2
echo "text, bos, eos and padding are as the tokenizer's own programs have them"
